/* Control records: how they are walked, what a receive delivers, what a send does with them. */
#include "check.h"

/* A message received with its routing header. */
struct received {
    int size;
    char body[64];
    size_t control[32];
    size_t header_size;
    unsigned char header[64];
};

static struct nn_msghdr message (struct nn_iovec *iov, void *body, size_t size, void *control, size_t length)
{
    struct nn_msghdr hdr;
    iov->iov_base = body;
    iov->iov_len = size;
    hdr.msg_iov = iov;
    hdr.msg_iovlen = 1;
    hdr.msg_control = control;
    hdr.msg_controllen = length;
    return hdr;
}

/* Receives with a control buffer full of rubbish, and reads the first record, which must be SP_HDR. */
static void receive (int s, struct received *r)
{
    struct nn_iovec iov;
    struct nn_msghdr hdr = message (&iov, r->body, sizeof r->body, r->control, sizeof r->control);
    struct nn_cmsghdr *c;
    memset (r->control, 0xa7, sizeof r->control);
    r->size = MUST (nn_recvmsg (s, &hdr, 0));
    EQ (hdr.msg_controllen, sizeof r->control);
    c = NN_CMSG_FIRSTHDR (&hdr);
    CHECK (c != NULL);
    CHECK ((void *) c == (void *) r->control);
    EQ (c->cmsg_level, PROTO_SP);
    EQ (c->cmsg_type, SP_HDR);
    memcpy (&r->header_size, NN_CMSG_DATA (c), sizeof r->header_size);
    CHECK (r->header_size <= sizeof r->header);
    EQ (c->cmsg_len, NN_CMSG_SPACE (sizeof (size_t) + r->header_size));
    memcpy (r->header, NN_CMSG_DATA (c) + sizeof (size_t), r->header_size);
}

/* Sends a body behind a routing header in a record that is complete, padding included. */
static int send_with (int s, const char *body, const void *header, size_t header_size, int flags)
{
    size_t words[16];
    struct nn_cmsghdr *c = (struct nn_cmsghdr *) words;
    struct nn_iovec iov;
    struct nn_msghdr hdr =
        message (&iov, (void *) body, strlen (body), words, NN_CMSG_SPACE (sizeof (size_t) + header_size));
    memset (words, 0, sizeof words);
    CHECK (hdr.msg_controllen <= sizeof words);
    c->cmsg_len = hdr.msg_controllen;
    c->cmsg_level = PROTO_SP;
    c->cmsg_type = SP_HDR;
    memcpy (NN_CMSG_DATA (c), &header_size, sizeof header_size);
    if (header_size)
        memcpy (NN_CMSG_DATA (c) + sizeof (size_t), header, header_size);
    return nn_sendmsg (s, &hdr, flags);
}

static void close_both (int a, int b)
{
    MUST (nn_close (a));
    MUST (nn_close (b));
}

/* ---- walking ------------------------------------------------------------------------------------------ */

static void put_record (unsigned char *at, size_t length, int type)
{
    struct nn_cmsghdr c;
    c.cmsg_len = length;
    c.cmsg_level = 5;
    c.cmsg_type = type;
    memcpy (at, &c, sizeof c);
}

static struct nn_msghdr control_only (void *control, size_t length)
{
    struct nn_msghdr hdr;
    memset (&hdr, 0, sizeof hdr);
    hdr.msg_control = control;
    hdr.msg_controllen = length;
    return hdr;
}

static void records_are_walked_to_the_last (void)
{
    size_t words[16];
    unsigned char *bytes = (unsigned char *) words;
    struct nn_msghdr hdr = control_only (words, 64);
    struct nn_cmsghdr *c;
    memset (words, 0, sizeof words);
    put_record (bytes, 17, 1);
    put_record (bytes + 24, 24, 2);
    put_record (bytes + 48, 16, 3);
    c = NN_CMSG_FIRSTHDR (&hdr);
    CHECK ((unsigned char *) c == bytes);
    c = NN_CMSG_NXTHDR (&hdr, c);
    CHECK ((unsigned char *) c == bytes + 24);
    c = NN_CMSG_NXTHDR (&hdr, c);
    CHECK ((unsigned char *) c == bytes + 48);
    CHECK (NN_CMSG_NXTHDR (&hdr, c) == NULL);
}

static void a_walk_through_a_library_buffer_uses_its_own_size (void)
{
    unsigned char *chunk = nn_allocmsg (48, 0);
    void *control = chunk;
    struct nn_msghdr hdr = control_only (&control, NN_MSG);
    struct nn_cmsghdr *c;
    CHECK (chunk != NULL);
    put_record (chunk, 24, 1);
    put_record (chunk + 24, 24, 2);
    c = NN_CMSG_FIRSTHDR (&hdr);
    CHECK ((unsigned char *) c == chunk);
    c = NN_CMSG_NXTHDR (&hdr, c);
    CHECK ((unsigned char *) c == chunk + 24);
    CHECK (NN_CMSG_NXTHDR (&hdr, c) == NULL);
    EQ (nn_freemsg (chunk), 0);
}

static void records_that_do_not_fit_are_not_returned (void)
{
    size_t words[8];
    unsigned char *bytes = (unsigned char *) words;
    struct nn_msghdr hdr = control_only (words, 40);
    memset (words, 0, sizeof words);
    put_record (bytes, 24, 1);
    put_record (bytes + 24, 17, 2);
    CHECK (NN_CMSG_NXTHDR (&hdr, NN_CMSG_FIRSTHDR (&hdr)) == NULL);
    put_record (bytes + 24, 16, 2);
    CHECK (NN_CMSG_NXTHDR (&hdr, NN_CMSG_FIRSTHDR (&hdr)) != NULL);
    hdr.msg_controllen = 39;
    CHECK (NN_CMSG_NXTHDR (&hdr, NN_CMSG_FIRSTHDR (&hdr)) == NULL);
    hdr.msg_controllen = 23;
    CHECK (NN_CMSG_FIRSTHDR (&hdr) == NULL);
    hdr.msg_controllen = 15;
    CHECK (NN_CMSG_FIRSTHDR (&hdr) == NULL);
    hdr.msg_controllen = 0;
    CHECK (NN_CMSG_FIRSTHDR (&hdr) == NULL);
}

static void null_headers_end_the_walk (void)
{
    struct nn_cmsghdr c;
    put_record ((unsigned char *) &c, 16, 1);
    CHECK (nn_cmsg_nxthdr_ (NULL, NULL) == NULL);
    CHECK (nn_cmsg_nxthdr_ (NULL, &c) == NULL);
}

static void impossible_records_end_the_walk (void)
{
    static const size_t lengths[] = {0, 1, 15, (size_t) -1, (size_t) -8, (size_t) -24};
    size_t words[16];
    unsigned char *bytes = (unsigned char *) words;
    struct nn_msghdr hdr = control_only (words, sizeof words);
    void *none = NULL;
    int i;
    for (i = 0; i < COUNT (lengths); ++i) {
        memset (words, 0, sizeof words);
        put_record (bytes, lengths[i], 1);
        CHECK (NN_CMSG_FIRSTHDR (&hdr) == NULL);
        CHECK (NN_CMSG_NXTHDR (&hdr, bytes) == NULL);
        put_record (bytes, 24, 1);
        put_record (bytes + 24, lengths[i], 2);
        CHECK ((void *) NN_CMSG_FIRSTHDR (&hdr) == (void *) words);
        CHECK (NN_CMSG_NXTHDR (&hdr, words) == NULL);
    }
    hdr = control_only (&none, NN_MSG);
    CHECK (NN_CMSG_FIRSTHDR (&hdr) == NULL);
    hdr = control_only (NULL, 64);
    CHECK (NN_CMSG_FIRSTHDR (&hdr) == NULL);
    hdr = control_only (NULL, NN_MSG);
    CHECK (NN_CMSG_FIRSTHDR (&hdr) == NULL);
}

/* ---- receiving ---------------------------------------------------------------------------------------- */

static void r222_every_message_has_a_record (void)
{
    static const int pairs[][2] = {{NN_PAIR, NN_PAIR}, {NN_PUSH, NN_PULL}, {NN_PUB, NN_SUB}};
    int domain;
    int t;
    int i;
    for (t = 0; t < COUNT (TRANSPORTS); ++t)
        for (i = 0; i < COUNT (pairs); ++i)
            for (domain = AF_SP; domain <= AF_SP_RAW; ++domain) {
                struct received r;
                int a = open_in (domain, pairs[i][0]);
                int b = open_in (domain, pairs[i][1]);
                if (pairs[i][1] == NN_SUB)
                    MUST (nn_setsockopt (b, NN_SUB, NN_SUB_SUBSCRIBE, "", 0));
                link_sockets (a, b, TRANSPORTS[t]);
                SEND (a, "ABC");
                receive (b, &r);
                EQ (r.size, 3);
                EQ (r.header_size, 0);
                close_both (a, b);
            }
}

static void cooked_sockets_show_no_header (void)
{
    struct received r;
    int req;
    int rep;
    open_linked (NN_REP, NN_REQ, "inproc", &rep, &req);
    SEND (req, "ABC");
    receive (rep, &r);
    EQ (r.header_size, 0);
    EQ (r.size, 3);
    SEND (rep, "DEF");
    receive (req, &r);
    EQ (r.header_size, 0);
    EQ (memcmp (r.body, "DEF", 3), 0);
    close_both (req, rep);
}

/* A raw responder shows the key of the pipe, then the request's id; sent back unchanged that is a reply. */
static void r214_raw_responders_show_key_and_stack_and_r215_route_by_it (void)
{
    static const int families[][2] = {{NN_REP, NN_REQ}, {NN_RESPONDENT, NN_SURVEYOR}};
    int t;
    int i;
    for (t = 0; t < COUNT (TRANSPORTS); ++t)
        for (i = 0; i < COUNT (families); ++i) {
            struct received r;
            int rep = raw (families[i][0]);
            int req = cooked (families[i][1]);
            link_sockets (rep, req, TRANSPORTS[t]);
            SEND (req, "ABC");
            receive (rep, &r);
            EQ (r.size, 3);
            EQ (r.header_size, 8);
            EQ (r.header[0] & 0x80, 0);
            EQ (r.header[4] & 0x80, 0x80);
            EQ (send_with (rep, "DEF", r.header, r.header_size, 0), 3);
            RECV (req, "DEF");
            close_both (rep, req);
        }
}

static void the_received_message_header_serves_for_the_reply (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        unsigned char control[256];
        char body[3];
        struct nn_iovec iov;
        struct nn_msghdr hdr = message (&iov, body, sizeof body, control, sizeof control);
        int rep = raw (NN_REP);
        int req = cooked (NN_REQ);
        memset (control, 0xa7, sizeof control);
        link_sockets (rep, req, TRANSPORTS[t]);
        SEND (req, "ABC");
        EQ (nn_recvmsg (rep, &hdr, 0), 3);
        EQ (nn_sendmsg (rep, &hdr, 0), 3);
        RECV (req, "ABC");
        close_both (rep, req);
    }
}

/* Programs use plain character arrays, which may lie at any address. */
static void control_buffers_need_no_alignment (void)
{
    size_t words[40];
    int offset;
    for (offset = 0; offset < 8; ++offset) {
        unsigned char *control = (unsigned char *) words + offset;
        struct nn_cmsghdr copy;
        struct nn_cmsghdr *c;
        char body[3];
        struct nn_iovec iov;
        struct nn_msghdr hdr = message (&iov, body, sizeof body, control, 256);
        int rep = raw (NN_REP);
        int req = cooked (NN_REQ);
        memset (words, 0, sizeof words);
        link_sockets (rep, req, "inproc");
        SEND (req, "ABC");
        EQ (nn_recvmsg (rep, &hdr, 0), 3);
        c = nn_cmsg_nxthdr_ (&hdr, NULL);
        CHECK ((void *) c == (void *) control);
        memcpy (&copy, control, sizeof copy);
        EQ (copy.cmsg_len, 32);
        EQ (copy.cmsg_level, PROTO_SP);
        EQ (copy.cmsg_type, SP_HDR);
        hdr.msg_controllen = 32;
        CHECK (nn_cmsg_nxthdr_ (&hdr, c) == NULL);
        EQ (nn_sendmsg (rep, &hdr, 0), 3);
        RECV (req, "ABC");
        close_both (rep, req);
    }
}

static void a_library_buffer_can_carry_the_control_records (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        void *control = NULL;
        char body[3];
        struct nn_iovec iov;
        struct nn_msghdr hdr = message (&iov, body, sizeof body, &control, NN_MSG);
        struct nn_cmsghdr *c;
        int rep = raw (NN_REP);
        int req = cooked (NN_REQ);
        link_sockets (rep, req, TRANSPORTS[t]);
        SEND (req, "ABC");
        EQ (nn_recvmsg (rep, &hdr, 0), 3);
        EQ (hdr.msg_controllen, NN_MSG);
        CHECK (control != NULL);
        c = NN_CMSG_FIRSTHDR (&hdr);
        CHECK ((void *) c == control);
        EQ (c->cmsg_len, NN_CMSG_SPACE (8 + sizeof (size_t)));
        EQ (NN_CMSG_DATA (c)[8] & 0x80, 0);
        EQ (NN_CMSG_DATA (c)[12] & 0x80, 0x80);
        /* Over ws the type of the message follows. */
        CHECK ((NN_CMSG_NXTHDR (&hdr, c) == NULL) == (strcmp (TRANSPORTS[t], "ws") != 0));
        EQ (nn_sendmsg (rep, &hdr, 0), 3);
        RECV (req, "ABC");
        SEND (req, "AGAIN");
        EQ (nn_recvmsg (rep, &hdr, 0), 5);
        EQ (nn_freemsg (control), 0);
        close_both (rep, req);
    }
}

static void a_library_buffer_is_made_for_an_empty_header_too (void)
{
    void *control = NULL;
    char body[3];
    struct nn_iovec iov;
    struct nn_msghdr hdr = message (&iov, body, sizeof body, &control, NN_MSG);
    int a;
    int b;
    open_linked (NN_PAIR, NN_PAIR, "inproc", &a, &b);
    SEND (a, "ABC");
    EQ (nn_recvmsg (b, &hdr, 0), 3);
    CHECK (control != NULL);
    EQ (NN_CMSG_FIRSTHDR (&hdr)->cmsg_len, 24);
    EQ (nn_freemsg (control), 0);
    close_both (a, b);
}

static void r220_records_are_padded_with_zeros (void)
{
    static const unsigned char id[4] = {0x80, 0, 0, 1};
    struct received r;
    int rep = raw (NN_REP);
    int req = raw (NN_REQ);
    link_sockets (rep, req, "inproc");
    EQ (send_with (req, "ABC", id, 4, 0), 3);
    receive (rep, &r);
    EQ (r.header_size, 8);
    EQ (memcmp (r.header + 4, id, 4), 0);
    EQ (send_with (rep, "DEF", r.header, 8, 0), 3);
    receive (req, &r);
    EQ (r.header_size, 4);
    EQ (memcmp (r.header, id, 4), 0);
    EQ (memcmp ((unsigned char *) r.control + 16 + 8 + 4, "\0\0\0\0", 4), 0);
    EQ (((unsigned char *) r.control)[32], 0xa7);
    close_both (rep, req);
}

static void r221_a_short_control_buffer_is_left_alone (void)
{
    size_t words[4];
    unsigned char *control = (unsigned char *) words;
    char body[3];
    struct nn_iovec iov;
    struct nn_msghdr hdr = message (&iov, body, sizeof body, words, 31);
    int rep = raw (NN_REP);
    int req = cooked (NN_REQ);
    int i;
    link_sockets (rep, req, "inproc");
    memset (words, 0xa7, sizeof words);
    SEND (req, "ABC");
    EQ (nn_recvmsg (rep, &hdr, 0), 3);
    EQ (memcmp (body, "ABC", 3), 0);
    for (i = 0; i < 32; ++i)
        EQ (control[i], 0xa7);
    hdr.msg_controllen = 32;
    SEND (req, "DEF");
    EQ (nn_recvmsg (rep, &hdr, 0), 3);
    EQ (NN_CMSG_FIRSTHDR (&hdr)->cmsg_len, 32);
    hdr.msg_control = NULL;
    hdr.msg_controllen = 0;
    SEND (req, "GHI");
    EQ (nn_recvmsg (rep, &hdr, 0), 3);
    close_both (rep, req);
}

static void r217_raw_requesters_split_off_one_word (void)
{
    /* A stack of two words, as behind a device. */
    static const unsigned char stack[8] = {0, 0, 0, 7, 0x80, 0, 0, 1};
    static const int families[][2] = {{NN_REP, NN_REQ}, {NN_RESPONDENT, NN_SURVEYOR}};
    int i;
    for (i = 0; i < COUNT (families); ++i) {
        struct received r;
        int rep = raw (families[i][0]);
        int req = raw (families[i][1]);
        link_sockets (rep, req, "tcp");
        EQ (send_with (req, "ABC", stack, sizeof stack, 0), 3);
        receive (rep, &r);
        EQ (r.header_size, 12);
        EQ (memcmp (r.header + 4, stack, 8), 0);
        EQ (r.size, 3);
        EQ (send_with (rep, "DEF", r.header, 12, 0), 3);
        receive (req, &r);
        EQ (r.header_size, 4);
        EQ (memcmp (r.header, stack, 4), 0);
        EQ (r.size, 7);
        EQ (memcmp (r.body, stack + 4, 4), 0);
        EQ (memcmp (r.body + 4, "DEF", 3), 0);
        close_both (rep, req);
    }
}

/* ---- sending ------------------------------------------------------------------------------------------ */

static void r216_a_raw_responder_drops_what_it_cannot_route (void)
{
    static const int families[][2] = {{NN_REP, NN_REQ}, {NN_RESPONDENT, NN_SURVEYOR}};
    int i;
    for (i = 0; i < COUNT (families); ++i) {
        struct received r;
        unsigned char header[8];
        int rep = raw (families[i][0]);
        int req = cooked (families[i][1]);
        link_sockets (rep, req, "inproc");
        SEND (req, "ABC");
        receive (rep, &r);
        memcpy (header, r.header, 8);
        header[3] ^= 0x55;
        EQ (nn_send (rep, "none", 4, 0), 4);
        EQ (send_with (rep, "short", header, 3, 0), 5);
        EQ (send_with (rep, "foreign", header, 8, 0), 7);
        EQ (send_with (rep, "good", r.header, 8, 0), 4);
        RECV (req, "good");
        MUST (nn_close (req));
        EQ (send_with (rep, "gone", r.header, 8, 0), 4);
        MUST (nn_close (rep));
    }
}

static void r218_raw_requesters_send_header_and_body_as_given (void)
{
    static const unsigned char id[4] = {0x81, 2, 3, 4};
    struct received r;
    int rep = raw (NN_REP);
    int req = raw (NN_REQ);
    link_sockets (rep, req, "tcp");
    EQ (send_with (req, "ABC", id, 4, 0), 3);
    receive (rep, &r);
    EQ (memcmp (r.header + 4, id, 4), 0);
    /* Without a header the body itself is read as stack and body. */
    EQ (nn_send (req, "\x82\x05\x06\x07XYZ", 7, 0), 7);
    receive (rep, &r);
    EQ (memcmp (r.header + 4, "\x82\x05\x06\x07", 4), 0);
    EQ (r.size, 3);
    EQ (memcmp (r.body, "XYZ", 3), 0);
    close_both (rep, req);
}

static void headers_of_plain_protocols_come_out_in_front_of_the_body (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        int a;
        int b;
        open_linked (NN_PAIR, NN_PAIR, TRANSPORTS[t], &a, &b);
        EQ (send_with (a, "ABC", "head", 4, 0), 3);
        RECV (b, "headABC");
        EQ (send_with (a, "ABC", "", 0, 0), 3);
        RECV (b, "ABC");
        close_both (a, b);
        open_linked (NN_PULL, NN_PUSH, TRANSPORTS[t], &a, &b);
        EQ (send_with (b, "ABC", "head", 4, 0), 3);
        RECV (a, "headABC");
        close_both (a, b);
    }
}

static void r212_headers_on_bus (void)
{
    struct received r;
    int bus;
    int peer;
    open_linked (NN_BUS, NN_BUS, "inproc", &bus, &peer);
    FAILS (send_with (bus, "ABC", "12345678", 8, 0), EINVAL);
    FAILS (send_with (bus, "ABC", "1", 1, 0), EINVAL);
    EQ (send_with (bus, "ABC", "", 0, 0), 3);
    RECV (peer, "ABC");
    close_both (bus, peer);
    bus = raw (NN_BUS);
    peer = cooked (NN_BUS);
    link_sockets (bus, peer, "inproc");
    FAILS (send_with (bus, "ABC", "1234", 4, 0), EINVAL);
    FAILS (send_with (bus, "ABC", "123456789", 9, 0), EINVAL);
    EQ (send_with (bus, "DEF", "", 0, 0), 3);
    RECV (peer, "DEF");
    SEND (peer, "in");
    receive (bus, &r);
    EQ (r.header_size, 8);
    close_both (bus, peer);
}

static void r210_raw_bus_leaves_out_the_pipe_in_the_header (void)
{
    struct received r;
    int bus = raw (NN_BUS);
    int one = cooked (NN_BUS);
    int two = cooked (NN_BUS);
    link_sockets (bus, one, "inproc");
    link_sockets (bus, two, "tcp");
    SEND (one, "hello");
    receive (bus, &r);
    EQ (r.header_size, 8);
    EQ (send_with (bus, "hello", r.header, 8, 0), 5);
    RECV (two, "hello");
    EQ (nn_send (bus, "all", 3, 0), 3);
    RECV (two, "all");
    RECV (one, "all");
    MUST (nn_close (bus));
    close_both (one, two);
}

static void headers_on_cooked_routed_sockets_are_einval (void)
{
    int rep;
    int req;
    open_linked (NN_REP, NN_REQ, "inproc", &rep, &req);
    FAILS (send_with (req, "ABC", "\x80\0\0\1", 4, 0), EINVAL);
    SEND (req, "ABC");
    RECV (rep, "ABC");
    FAILS (send_with (rep, "ABC", "\x80\0\0\1", 4, 0), EINVAL);
    EQ (send_with (rep, "DEF", "", 0, 0), 3);
    RECV (req, "DEF");
    close_both (rep, req);
    open_linked (NN_RESPONDENT, NN_SURVEYOR, "inproc", &rep, &req);
    FAILS (send_with (req, "ABC", "\x80\0\0\1", 4, 0), EINVAL);
    SEND (req, "ABC");
    RECV (rep, "ABC");
    FAILS (send_with (rep, "ABC", "\x80\0\0\1", 4, 0), EINVAL);
    SEND (rep, "DEF");
    RECV (req, "DEF");
    close_both (rep, req);
}

static void a_record_must_lie_whole_inside_the_control_buffer (void)
{
    size_t words[8];
    size_t inner = 4;
    struct nn_iovec iov;
    struct nn_msghdr hdr;
    int a;
    int b;
    open_linked (NN_PAIR, NN_PAIR, "inproc", &a, &b);
    memset (words, 0, sizeof words);
    put_record ((unsigned char *) words, 28, SP_HDR);
    ((struct nn_cmsghdr *) words)->cmsg_level = PROTO_SP;
    memcpy (NN_CMSG_DATA (words), &inner, sizeof inner);
    memcpy (NN_CMSG_DATA (words) + 8, "head", 4);
    hdr = message (&iov, (char *) "ABC", 3, words, 28);
    EQ (nn_sendmsg (a, &hdr, 0), 3);
    RECV (b, "ABC");
    hdr.msg_controllen = 32;
    EQ (nn_sendmsg (a, &hdr, 0), 3);
    RECV (b, "headABC");
    /* An inner length beyond the record counts as no header. */
    inner = 5;
    memcpy (NN_CMSG_DATA (words), &inner, sizeof inner);
    EQ (nn_sendmsg (a, &hdr, 0), 3);
    RECV (b, "ABC");
    inner = (size_t) -1;
    memcpy (NN_CMSG_DATA (words), &inner, sizeof inner);
    EQ (nn_sendmsg (a, &hdr, 0), 3);
    RECV (b, "ABC");
    close_both (a, b);
}

static void foreign_records_are_skipped_and_the_first_header_counts (void)
{
    unsigned char bytes[128];
    size_t aligned[16];
    size_t inner = 3;
    struct nn_iovec iov;
    struct nn_msghdr hdr;
    int a;
    int b;
    int i;
    open_linked (NN_PAIR, NN_PAIR, "inproc", &a, &b);
    memset (bytes, 0, sizeof bytes);
    put_record (bytes, 24, 77);
    for (i = 0; i < 2; ++i) {
        unsigned char *at = bytes + 24 + 32 * i;
        struct nn_cmsghdr c;
        c.cmsg_len = 32;
        c.cmsg_level = PROTO_SP;
        c.cmsg_type = SP_HDR;
        memcpy (at, &c, sizeof c);
        memcpy (at + 16, &inner, sizeof inner);
        memcpy (at + 24, i ? "two" : "one", 3);
    }
    memcpy (aligned, bytes, sizeof bytes);
    hdr = message (&iov, (char *) "ABC", 3, aligned, 24 + 64);
    EQ (nn_sendmsg (a, &hdr, 0), 3);
    RECV (b, "oneABC");
    close_both (a, b);
}

static void a_control_buffer_of_zeros_or_rubbish_is_no_header (void)
{
    size_t words[32];
    struct nn_iovec iov;
    struct nn_msghdr hdr = message (&iov, (char *) "ABC", 3, words, sizeof words);
    int fill;
    int a;
    int b;
    open_linked (NN_PAIR, NN_PAIR, "inproc", &a, &b);
    for (fill = 0; fill < 256; fill += 51) {
        memset (words, fill, sizeof words);
        EQ (nn_sendmsg (a, &hdr, 0), 3);
        RECV (b, "ABC");
    }
    close_both (a, b);
}

static void a_failed_send_leaves_the_control_buffer_with_the_caller (void)
{
    int pair = cooked (NN_PAIR);
    int sub = cooked (NN_SUB);
    int rep = cooked (NN_REP);
    unsigned char *control = nn_allocmsg (24, 0);
    void *pointer = control;
    void *none = NULL;
    struct nn_iovec iov;
    struct nn_msghdr hdr = message (&iov, (char *) "ABC", 3, &pointer, NN_MSG);
    CHECK (control != NULL);
    memset (control, 0, 24);
    put_record (control, 24, SP_HDR);
    FAILS (nn_sendmsg (pair, &hdr, NN_DONTWAIT), EAGAIN);
    FAILS (nn_sendmsg (sub, &hdr, 0), ENOTSUP);
    FAILS (nn_sendmsg (rep, &hdr, 0), EFSM);
    FAILS (nn_sendmsg (-1, &hdr, 0), EBADF);
    set_int (pair, NN_SOL_SOCKET, NN_SNDTIMEO, 20);
    FAILS (nn_sendmsg (pair, &hdr, 0), ETIMEDOUT);
    iov.iov_base = &none;
    iov.iov_len = NN_MSG;
    FAILS (nn_sendmsg (pair, &hdr, 0), EFAULT);
    CHECK (pointer == control);
    EQ (control[0], 24);
    EQ (nn_freemsg (control), 0);
    MUST (nn_close (pair));
    close_both (sub, rep);
}

static const struct check_case CASES[] = {
    CASE (records_are_walked_to_the_last),
    CASE (a_walk_through_a_library_buffer_uses_its_own_size),
    CASE (records_that_do_not_fit_are_not_returned),
    CASE (null_headers_end_the_walk),
    CASE (impossible_records_end_the_walk),
    CASE (r222_every_message_has_a_record),
    CASE (cooked_sockets_show_no_header),
    CASE (r214_raw_responders_show_key_and_stack_and_r215_route_by_it),
    CASE (the_received_message_header_serves_for_the_reply),
    CASE (control_buffers_need_no_alignment),
    CASE (a_library_buffer_can_carry_the_control_records),
    CASE (a_library_buffer_is_made_for_an_empty_header_too),
    CASE (r220_records_are_padded_with_zeros),
    CASE (r221_a_short_control_buffer_is_left_alone),
    CASE (r217_raw_requesters_split_off_one_word),
    CASE (r216_a_raw_responder_drops_what_it_cannot_route),
    CASE (r218_raw_requesters_send_header_and_body_as_given),
    CASE (headers_of_plain_protocols_come_out_in_front_of_the_body),
    CASE (r212_headers_on_bus),
    CASE (r210_raw_bus_leaves_out_the_pipe_in_the_header),
    CASE (headers_on_cooked_routed_sockets_are_einval),
    CASE (a_record_must_lie_whole_inside_the_control_buffer),
    CASE (foreign_records_are_skipped_and_the_first_header_counts),
    CASE (a_control_buffer_of_zeros_or_rubbish_is_no_header),
    CASE (a_failed_send_leaves_the_control_buffer_with_the_caller),
};

CHECK_MAIN (CASES)
