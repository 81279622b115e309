/* nn_device: which sockets it takes, what it forwards, what ends it. */
#include "check.h"

static const int PROTOCOLS[] = {NN_PAIR, NN_PUB,  NN_SUB,      NN_REQ,        NN_REP,
                                NN_PUSH, NN_PULL, NN_SURVEYOR, NN_RESPONDENT, NN_BUS};

static void close_both (int a, int b)
{
    MUST (nn_close (a));
    MUST (nn_close (b));
}

/* A raw socket whose calls wait for ever, as a device's should. */
static int raw_waiting (int type)
{
    return MUST (nn_socket (AF_SP_RAW, type));
}

static int sends_only (int type)
{
    return type == NN_PUB || type == NN_PUSH;
}

static int receives_only (int type)
{
    return type == NN_SUB || type == NN_PULL;
}

static int allowed (int one, int two)
{
    if (one / 16 != two / 16)
        return 0;
    return sends_only (one) == receives_only (two) && receives_only (one) == sends_only (two);
}

static void r223_numbers_that_are_no_sockets_are_ebadf (void)
{
    int s = raw (NN_PAIR);
    FAILS (nn_device (-1, -1), EBADF);
    FAILS (nn_device (-7, -2), EBADF);
    FAILS (nn_device (s + 1, -1), EBADF);
    FAILS (nn_device (-1, 512), EBADF);
    FAILS (nn_device (s, s + 1), EBADF);
    FAILS (nn_device (s + 1, s), EBADF);
    FAILS (nn_device (s, 100000), EBADF);
    MUST (nn_close (s));
}

static void r223_cooked_sockets_are_einval (void)
{
    int c = cooked (NN_PAIR);
    int r = raw (NN_PAIR);
    FAILS (nn_device (c, r), EINVAL);
    FAILS (nn_device (r, c), EINVAL);
    FAILS (nn_device (c, c), EINVAL);
    FAILS (nn_device (c, -1), EINVAL);
    FAILS (nn_device (-1, c), EINVAL);
    close_both (c, r);
}

/* An allowed pair runs: with short timeouts the first wait ends it with ETIMEDOUT. */
static void r223_pairs_of_sockets (void)
{
    int i;
    int k;
    for (i = 0; i < COUNT (PROTOCOLS); ++i)
        for (k = 0; k < COUNT (PROTOCOLS); ++k) {
            int a = raw (PROTOCOLS[i]);
            int b = raw (PROTOCOLS[k]);
            int expected = allowed (PROTOCOLS[i], PROTOCOLS[k]) ? ETIMEDOUT : EINVAL;
            int rc;
            set_timeouts (a, 10);
            set_timeouts (b, 10);
            errno = 0;
            rc = nn_device (a, b);
            if (rc != -1 || nn_errno () != expected)
                FAIL ("nn_device of types %d and %d returned %d, errno %d; expected errno %d", PROTOCOLS[i],
                      PROTOCOLS[k], rc, nn_errno (), expected);
            close_both (a, b);
        }
}

static void loopbacks_of_one_way_sockets_are_enotsup (void)
{
    int push = raw (NN_PUSH);
    int pub = raw (NN_PUB);
    FAILS (nn_device (push, -1), ENOTSUP);
    FAILS (nn_device (-1, pub), ENOTSUP);
    close_both (push, pub);
}

static void a_loopback_of_pull_fails_at_the_first_message (void)
{
    struct call c;
    int pull = raw (NN_PULL);
    int push = cooked (NN_PUSH);
    link_sockets (pull, push, "inproc");
    call_start (&c, call_device, pull, -1);
    call_await_blocked (&c);
    SEND (push, "ABC");
    call_join (&c);
    EQ (c.rc, -1);
    EQ (c.error, ENOTSUP);
    close_both (pull, push);
}

/* Closes a device's sockets and checks how it ended. */
static void end_device (struct call *c)
{
    MUST (nn_close (c->s));
    if (c->s2 >= 0)
        MUST (nn_close (c->s2));
    call_join (c);
    EQ (c->rc, -1);
    EQ (c->error, EBADF);
}

/* A device between a raw socket that answers to `one` and another that answers to `two`. */
static void start_device (struct call *c, int front, int back, const char *transport, int one, int two)
{
    int a = raw_waiting (front);
    int b = raw_waiting (back);
    if (front == NN_SUB)
        MUST (nn_setsockopt (a, NN_SUB, NN_SUB_SUBSCRIBE, "", 0));
    if (back == NN_SUB)
        MUST (nn_setsockopt (b, NN_SUB, NN_SUB_SUBSCRIBE, "", 0));
    link_sockets (a, one, transport);
    link_sockets (b, two, transport);
    call_start (c, call_device, a, b);
}

static void r224_pair_and_bus_devices_forward_both_ways (void)
{
    static const int types[] = {NN_PAIR, NN_BUS};
    int t;
    int i;
    for (t = 0; t < COUNT (TRANSPORTS); ++t)
        for (i = 0; i < COUNT (types); ++i) {
            struct call c;
            int one = cooked (types[i]);
            int two = cooked (types[i]);
            int k;
            start_device (&c, types[i], types[i], TRANSPORTS[t], one, two);
            for (k = 0; k < 20; ++k) {
                SEND (one, "ABC");
                RECV (two, "ABC");
                SEND (two, "DEFG");
                RECV (one, "DEFG");
            }
            end_device (&c);
            close_both (one, two);
        }
}

static void r224_one_way_devices_forward_in_either_order_of_arguments (void)
{
    static const int types[][2] = {{NN_PUSH, NN_PULL}, {NN_PUB, NN_SUB}};
    int t;
    int i;
    int turn;
    for (t = 0; t < COUNT (TRANSPORTS); ++t)
        for (i = 0; i < COUNT (types); ++i)
            for (turn = 0; turn < 2; ++turn) {
                struct call c;
                int source = cooked (types[i][0]);
                int sink = cooked (types[i][1]);
                if (types[i][1] == NN_SUB)
                    MUST (nn_setsockopt (sink, NN_SUB, NN_SUB_SUBSCRIBE, "", 0));
                if (turn)
                    start_device (&c, types[i][0], types[i][1], TRANSPORTS[t], sink, source);
                else
                    start_device (&c, types[i][1], types[i][0], TRANSPORTS[t], source, sink);
                SEND (source, "ABC");
                RECV (sink, "ABC");
                SEND (source, "");
                RECV (sink, "");
                end_device (&c);
                close_both (source, sink);
            }
}

static void r226_requests_and_surveys_pass_and_answers_come_back (void)
{
    static const int types[][2] = {{NN_REQ, NN_REP}, {NN_SURVEYOR, NN_RESPONDENT}};
    int t;
    int i;
    for (t = 0; t < COUNT (TRANSPORTS); ++t)
        for (i = 0; i < COUNT (types); ++i) {
            struct call c;
            int req = cooked (types[i][0]);
            int rep = cooked (types[i][1]);
            int k;
            start_device (&c, types[i][1], types[i][0], TRANSPORTS[t], req, rep);
            for (k = 0; k < 20; ++k) {
                SEND (req, "a request of more than thirty-two bytes");
                RECV (rep, "a request of more than thirty-two bytes");
                SEND (rep, "REPLYXYZ");
                RECV (req, "REPLYXYZ");
            }
            end_device (&c);
            close_both (req, rep);
        }
}

static void r226_devices_form_chains_over_mixed_transports (void)
{
    static const int types[][2] = {{NN_REQ, NN_REP}, {NN_SURVEYOR, NN_RESPONDENT}};
    int i;
    for (i = 0; i < COUNT (types); ++i) {
        struct call c[2];
        int req = cooked (types[i][0]);
        int rep = cooked (types[i][1]);
        int front = raw_waiting (types[i][1]);
        int front_back = raw_waiting (types[i][0]);
        int back_front = raw_waiting (types[i][1]);
        int back = raw_waiting (types[i][0]);
        link_sockets (front, req, "tcp");
        link_sockets (front_back, back_front, "inproc");
        link_sockets (back, rep, "ipc");
        call_start (&c[0], call_device, front, front_back);
        call_start (&c[1], call_device, back_front, back);
        SEND (req, "XYZ");
        RECV (rep, "XYZ");
        SEND (rep, "REPLYXYZ");
        RECV (req, "REPLYXYZ");
        end_device (&c[0]);
        end_device (&c[1]);
        close_both (req, rep);
    }
}

static void r166_r167_maxttl_counts_the_words_of_the_stack (void)
{
    static const int types[][2] = {{NN_REQ, NN_REP}, {NN_SURVEYOR, NN_RESPONDENT}};
    int i;
    for (i = 0; i < COUNT (types); ++i) {
        struct call c;
        int req = cooked (types[i][0]);
        int rep = cooked (types[i][1]);
        start_device (&c, types[i][1], types[i][0], "tcp", req, rep);
        set_int (rep, NN_SOL_SOCKET, NN_MAXTTL, 1);
        SEND (req, "TOO FAR");
        RECV_NOTHING (rep);
        set_int (rep, NN_SOL_SOCKET, NN_MAXTTL, 2);
        SEND (req, "GOTIT");
        RECV (rep, "GOTIT");
        SEND (rep, "REPLY");
        RECV (req, "REPLY");
        end_device (&c);
        close_both (req, rep);
    }
}

static void r225_a_bus_loopback_is_a_hub_without_echo (void)
{
    int t;
    int turn;
    for (t = 0; t < COUNT (TRANSPORTS); ++t)
        for (turn = 0; turn < 2; ++turn) {
            struct call c;
            int hub = raw_waiting (NN_BUS);
            int node[3];
            int i;
            for (i = 0; i < 3; ++i) {
                node[i] = cooked (NN_BUS);
                link_sockets (hub, node[i], TRANSPORTS[t]);
            }
            call_start (&c, call_device, turn ? -1 : hub, turn ? hub : -1);
            SEND (node[0], "KLM");
            RECV (node[1], "KLM");
            RECV (node[2], "KLM");
            RECV_NOTHING (node[0]);
            SEND (node[2], "NOP");
            RECV (node[0], "NOP");
            RECV (node[1], "NOP");
            MUST (nn_close (hub));
            call_join (&c);
            EQ (c.rc, -1);
            EQ (c.error, EBADF);
            for (i = 0; i < 3; ++i)
                MUST (nn_close (node[i]));
        }
}

static void r229_closing_either_socket_ends_a_two_way_device (void)
{
    static const int types[][2] = {{NN_PAIR, NN_PAIR}, {NN_BUS, NN_BUS}, {NN_REP, NN_REQ},
                                   {NN_RESPONDENT, NN_SURVEYOR}};
    int i;
    int which;
    for (i = 0; i < COUNT (types); ++i)
        for (which = 0; which < 2; ++which) {
            struct call c;
            int a = raw_waiting (types[i][0]);
            int b = raw_waiting (types[i][1]);
            call_start (&c, call_device, a, b);
            call_await_blocked (&c);
            MUST (nn_close (which ? a : b));
            call_join (&c);
            EQ (c.rc, -1);
            EQ (c.error, EBADF);
            /* The other one is still the caller's, and works. */
            CHECK (get_int (which ? b : a, NN_SOL_SOCKET, NN_DOMAIN) == AF_SP_RAW);
            MUST (nn_close (which ? b : a));
        }
}

static void closing_the_source_ends_a_one_way_device (void)
{
    struct call c;
    int pull = raw_waiting (NN_PULL);
    int push = raw_waiting (NN_PUSH);
    call_start (&c, call_device, push, pull);
    call_await_blocked (&c);
    MUST (nn_close (pull));
    call_join (&c);
    EQ (c.rc, -1);
    EQ (c.error, EBADF);
    MUST (nn_close (push));
}

static void closing_the_sink_ends_a_one_way_device_at_the_next_message (void)
{
    struct call c;
    int pull = raw_waiting (NN_PULL);
    int push = raw_waiting (NN_PUSH);
    int source = cooked (NN_PUSH);
    link_sockets (pull, source, "tcp");
    call_start (&c, call_device, pull, push);
    call_await_blocked (&c);
    MUST (nn_close (push));
    SEND (source, "ABC");
    call_join (&c);
    EQ (c.rc, -1);
    EQ (c.error, EBADF);
    close_both (pull, source);
}

static void r227_nn_term_ends_every_device (void)
{
    struct call c[4];
    int i;
    call_start (&c[0], call_device, raw_waiting (NN_PAIR), raw_waiting (NN_PAIR));
    call_start (&c[1], call_device, raw_waiting (NN_PULL), raw_waiting (NN_PUSH));
    call_start (&c[2], call_device, raw_waiting (NN_BUS), -1);
    call_start (&c[3], call_device, raw_waiting (NN_REP), raw_waiting (NN_REQ));
    for (i = 0; i < COUNT (c); ++i)
        call_await_blocked (&c[i]);
    nn_term ();
    for (i = 0; i < COUNT (c); ++i) {
        call_join (&c[i]);
        EQ (c[i].rc, -1);
        EQ (c[i].error, EBADF);
        FAILS (nn_close (c[i].s), EBADF);
    }
}

static void a_device_may_start_before_its_peers_exist (void)
{
    struct call c;
    char a[NN_SOCKADDR_MAX];
    char b[NN_SOCKADDR_MAX];
    int front = raw_waiting (NN_PULL);
    int back = raw_waiting (NN_PUSH);
    int push = cooked (NN_PUSH);
    int pull = cooked (NN_PULL);
    new_address ("inproc", a);
    new_address ("inproc", b);
    MUST (nn_connect (push, a));
    MUST (nn_connect (pull, b));
    call_start (&c, call_device, front, back);
    call_await_blocked (&c);
    MUST (nn_bind (front, a));
    MUST (nn_bind (back, b));
    SEND (push, "XYZ");
    RECV (pull, "XYZ");
    end_device (&c);
    close_both (push, pull);
}

/* What a device could not forward when it ended stays sendable: the sockets are the caller's again. */
static void after_a_timeout_the_sockets_go_on (void)
{
    int one = cooked (NN_PAIR);
    int two = cooked (NN_PAIR);
    int a = raw (NN_PAIR);
    int b = raw (NN_PAIR);
    link_sockets (a, one, "tcp");
    link_sockets (b, two, "tcp");
    set_int (a, NN_SOL_SOCKET, NN_RCVTIMEO, 20);
    set_int (b, NN_SOL_SOCKET, NN_RCVTIMEO, 20);
    FAILS (nn_device (a, b), ETIMEDOUT);
    set_timeouts (a, CHECK_EVENT_MS);
    SEND (one, "ABC");
    RECV (a, "ABC");
    SEND (b, "DEF");
    RECV (two, "DEF");
    close_both (a, b);
    close_both (one, two);
}

static const struct check_case CASES[] = {
    CASE (r223_numbers_that_are_no_sockets_are_ebadf),
    CASE (r223_cooked_sockets_are_einval),
    CASE (r223_pairs_of_sockets),
    CASE (loopbacks_of_one_way_sockets_are_enotsup),
    CASE (a_loopback_of_pull_fails_at_the_first_message),
    CASE (r224_pair_and_bus_devices_forward_both_ways),
    CASE (r224_one_way_devices_forward_in_either_order_of_arguments),
    CASE (r226_requests_and_surveys_pass_and_answers_come_back),
    CASE (r226_devices_form_chains_over_mixed_transports),
    CASE (r166_r167_maxttl_counts_the_words_of_the_stack),
    CASE (r225_a_bus_loopback_is_a_hub_without_echo),
    CASE (r229_closing_either_socket_ends_a_two_way_device),
    CASE (closing_the_source_ends_a_one_way_device),
    CASE (closing_the_sink_ends_a_one_way_device_at_the_next_message),
    ALONE (r227_nn_term_ends_every_device),
    CASE (a_device_may_start_before_its_peers_exist),
    CASE (after_a_timeout_the_sockets_go_on),
};

CHECK_MAIN (CASES)
