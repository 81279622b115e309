/* Message buffers: nn_allocmsg, nn_reallocmsg, nn_freemsg, and NN_MSG in sends and receives. */
#include "check.h"

static void buffers_are_aligned_and_unique (void)
{
    static const size_t sizes[] = {0, 1, 7, 8, 16, 31, 32, 33, 1000, 65536, 1 << 20};
    void *buffers[COUNT (sizes)];
    int i;
    int k;
    for (i = 0; i < COUNT (sizes); ++i) {
        buffers[i] = nn_allocmsg (sizes[i], 0);
        CHECK (buffers[i] != NULL);
        EQ ((uintptr_t) buffers[i] % 16, 0);
        memset (buffers[i], 0xa5, sizes[i]);
        for (k = 0; k < i; ++k)
            CHECK (buffers[k] != buffers[i]);
    }
    for (i = 0; i < COUNT (sizes); ++i)
        EQ (nn_freemsg (buffers[i]), 0);
}

static void an_unknown_type_is_einval (void)
{
    static const int types[] = {1, -1, 333};
    int i;
    for (i = 0; i < COUNT (types); ++i) {
        errno = 0;
        CHECK (nn_allocmsg (10, types[i]) == NULL);
        EQ (errno, EINVAL);
    }
}

static void impossible_sizes_are_enomem (void)
{
    static const size_t sizes[] = {SIZE_MAX,      SIZE_MAX - 1,  SIZE_MAX - 2,
                                   SIZE_MAX - 15, SIZE_MAX - 32, SIZE_MAX / 2 + 1};
    int i;
    for (i = 0; i < COUNT (sizes); ++i) {
        char *msg = nn_allocmsg (4, 0);
        CHECK (msg != NULL);
        memcpy (msg, "keep", 4);
        errno = 0;
        CHECK (nn_allocmsg (sizes[i], 0) == NULL);
        EQ (errno, ENOMEM);
        errno = 0;
        CHECK (nn_reallocmsg (msg, sizes[i]) == NULL);
        EQ (nn_errno (), ENOMEM);
        EQ (memcmp (msg, "keep", 4), 0);
        EQ (nn_freemsg (msg), 0);
    }
}

static void reallocation_keeps_the_pointer_when_shrinking_and_moves_when_growing (void)
{
    char *msg = nn_allocmsg (8, 0);
    char *same;
    char *moved;
    CHECK (msg != NULL);
    memcpy (msg, "12345678", 8);
    same = nn_reallocmsg (msg, 8);
    CHECK (same == msg);
    same = nn_reallocmsg (msg, 1);
    CHECK (same == msg);
    moved = nn_reallocmsg (msg, 100);
    CHECK (moved != NULL && moved != same);
    EQ (moved[0], '1');
    EQ ((uintptr_t) moved % 16, 0);
    memset (moved, 'x', 100);
    moved = nn_reallocmsg (moved, 100000);
    CHECK (moved != NULL);
    EQ (moved[99], 'x');
    EQ (nn_freemsg (moved), 0);
}

static void freeing_nothing_does_nothing (void)
{
    EQ (nn_freemsg (NULL), 0);
}

static void reallocating_nothing_allocates (void)
{
    void *msg = nn_reallocmsg (NULL, 10);
    CHECK (msg != NULL);
    memset (msg, 1, 10);
    EQ (nn_freemsg (msg), 0);
}

/* One message from a to b in library buffers; its size is what the last reallocation said. */
static void pass (int a, int b, size_t size, unsigned char fill)
{
    unsigned char *out = nn_allocmsg (size + 10, 0);
    unsigned char *in = NULL;
    size_t i;
    CHECK (out != NULL);
    memset (out, fill, size);
    CHECK (nn_reallocmsg (out, size) == out);
    EQ (nn_send (a, &out, NN_MSG, 0), size);
    EQ (nn_recv (b, &in, NN_MSG, 0), size);
    CHECK (in != NULL);
    EQ ((uintptr_t) in % 16, 0);
    for (i = 0; i < size; ++i)
        EQ (in[i], fill);
    EQ (nn_freemsg (in), 0);
}

static void library_buffers_travel_over_every_transport (void)
{
    static const size_t sizes[] = {0, 1, 31, 32, 33, 256, 16383, 16384, 32767, 32768, 65537, 1048576};
    int t;
    int i;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        int a;
        int b;
        open_linked (NN_PAIR, NN_PAIR, TRANSPORTS[t], &a, &b);
        for (i = 0; i < COUNT (sizes); ++i) {
            pass (a, b, sizes[i], (unsigned char) (i + 1));
            pass (b, a, sizes[i], (unsigned char) (i + 101));
        }
        MUST (nn_close (a));
        MUST (nn_close (b));
    }
}

static void received_buffers_of_routed_protocols_are_aligned_too (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        int rep;
        int req;
        int i;
        open_linked (NN_REP, NN_REQ, TRANSPORTS[t], &rep, &req);
        for (i = 0; i < 200; i += 13) {
            pass (req, rep, (size_t) i, 'q');
            pass (rep, req, (size_t) i, 'r');
        }
        MUST (nn_close (rep));
        MUST (nn_close (req));
    }
}

static void plain_and_library_buffers_mix (void)
{
    int a;
    int b;
    char *msg = NULL;
    open_linked (NN_PAIR, NN_PAIR, "inproc", &a, &b);
    SEND (a, "ABC");
    EQ (nn_recv (b, &msg, NN_MSG, 0), 3);
    EQ (memcmp (msg, "ABC", 3), 0);
    msg[0] = 'X';
    EQ (nn_send (b, &msg, NN_MSG, 0), 3);
    RECV (a, "XBC");
    SEND (a, "ABC");
    EQ (nn_recv (b, &msg, NN_MSG, 0), 3);
    msg = nn_reallocmsg (msg, 5);
    CHECK (msg != NULL);
    memcpy (msg + 3, "DE", 2);
    EQ (nn_send (b, &msg, NN_MSG, 0), 5);
    RECV (a, "ABCDE");
    MUST (nn_close (a));
    MUST (nn_close (b));
}

static void a_failed_send_leaves_the_buffer_with_the_caller (void)
{
    int pair = cooked (NN_PAIR);
    int sub = cooked (NN_SUB);
    int rep = cooked (NN_REP);
    char *msg = nn_allocmsg (4, 0);
    char *before = msg;
    CHECK (msg != NULL);
    memcpy (msg, "keep", 4);
    FAILS (nn_send (pair, &msg, NN_MSG, NN_DONTWAIT), EAGAIN);
    FAILS (nn_send (sub, &msg, NN_MSG, 0), ENOTSUP);
    FAILS (nn_send (rep, &msg, NN_MSG, 0), EFSM);
    FAILS (nn_send (-1, &msg, NN_MSG, 0), EBADF);
    set_int (pair, NN_SOL_SOCKET, NN_SNDTIMEO, 20);
    FAILS (nn_send (pair, &msg, NN_MSG, 0), ETIMEDOUT);
    CHECK (msg == before);
    EQ (memcmp (msg, "keep", 4), 0);
    msg = nn_reallocmsg (msg, 50);
    CHECK (msg != NULL);
    EQ (memcmp (msg, "keep", 4), 0);
    EQ (nn_freemsg (msg), 0);
    MUST (nn_close (pair));
    MUST (nn_close (sub));
    MUST (nn_close (rep));
}

static void a_failed_receive_leaves_the_pointer_alone (void)
{
    int pair = cooked (NN_PAIR);
    int push = cooked (NN_PUSH);
    int req = cooked (NN_REQ);
    void *msg = &pair;
    FAILS (nn_recv (pair, &msg, NN_MSG, NN_DONTWAIT), EAGAIN);
    FAILS (nn_recv (push, &msg, NN_MSG, 0), ENOTSUP);
    FAILS (nn_recv (req, &msg, NN_MSG, 0), EFSM);
    set_int (pair, NN_SOL_SOCKET, NN_RCVTIMEO, 20);
    FAILS (nn_recv (pair, &msg, NN_MSG, 0), ETIMEDOUT);
    CHECK (msg == &pair);
    MUST (nn_close (pair));
    MUST (nn_close (push));
    MUST (nn_close (req));
}

static void null_pointers_are_efault (void)
{
    int a;
    int b;
    void *none = NULL;
    open_linked (NN_PAIR, NN_PAIR, "inproc", &a, &b);
    FAILS (nn_send (a, &none, NN_MSG, 0), EFAULT);
    FAILS (nn_send (a, NULL, 1, 0), EFAULT);
    FAILS (nn_send (a, NULL, 1, NN_DONTWAIT), EFAULT);
    EQ (nn_send (a, NULL, 0, 0), 0);
    EQ (nn_recv (b, NULL, 0, 0), 0);
    MUST (nn_close (a));
    MUST (nn_close (b));
}

static void a_missing_message_pointer_is_efault (void)
{
    int a;
    int b;
    open_linked (NN_PAIR, NN_PAIR, "inproc", &a, &b);
    FAILS (nn_send (a, NULL, NN_MSG, 0), EFAULT);
    MUST (nn_close (a));
    MUST (nn_close (b));
}

static void the_pointer_is_checked_before_the_direction (void)
{
    int sub = cooked (NN_SUB);
    void *none = NULL;
    FAILS (nn_send (sub, NULL, 1, 0), EFAULT);
    FAILS (nn_send (sub, &none, NN_MSG, 0), EFAULT);
    MUST (nn_close (sub));
}

static void each_subscriber_gets_a_buffer_of_its_own (void)
{
    int pub = cooked (NN_PUB);
    int subs[2];
    char *msg[2];
    char address[NN_SOCKADDR_MAX];
    int i;
    new_address ("inproc", address);
    MUST (nn_bind (pub, address));
    for (i = 0; i < 2; ++i) {
        subs[i] = cooked (NN_SUB);
        MUST (nn_setsockopt (subs[i], NN_SUB, NN_SUB_SUBSCRIBE, "", 0));
        MUST (nn_connect (subs[i], address));
    }
    SEND (pub, "a message that is longer than any small inline body would be, one hundred bytes or about");
    for (i = 0; i < 2; ++i)
        CHECK (nn_recv (subs[i], &msg[i], NN_MSG, 0) > 80);
    CHECK (msg[0] != msg[1]);
    msg[0][0] = 'X';
    EQ (msg[1][0], 'a');
    EQ (nn_freemsg (msg[0]), 0);
    EQ (msg[1][0], 'a');
    EQ (nn_freemsg (msg[1]), 0);
    for (i = 0; i < 2; ++i)
        MUST (nn_close (subs[i]));
    MUST (nn_close (pub));
}

static int call_free (struct call *c)
{
    return nn_freemsg (c->data);
}

static void buffers_outlive_sockets_and_the_library (void)
{
    struct call c;
    int a;
    int b;
    char *msg[3];
    int i;
    memset (&c, 0, sizeof c);
    open_linked (NN_PAIR, NN_PAIR, "tcp", &a, &b);
    for (i = 0; i < 3; ++i) {
        SEND (a, "outlive");
        EQ (nn_recv (b, &msg[i], NN_MSG, 0), 7);
    }
    MUST (nn_close (a));
    MUST (nn_close (b));
    EQ (memcmp (msg[0], "outlive", 7), 0);
    EQ (nn_freemsg (msg[0]), 0);
    nn_term ();
    EQ (memcmp (msg[1], "outlive", 7), 0);
    msg[1] = nn_reallocmsg (msg[1], 5000);
    CHECK (msg[1] != NULL);
    EQ (nn_freemsg (msg[1]), 0);
    c.data = msg[2];
    call_start (&c, call_free, 0, 0);
    call_join (&c);
    EQ (c.rc, 0);
    CHECK ((msg[0] = nn_allocmsg (9, 0)) != NULL);
    EQ (nn_freemsg (msg[0]), 0);
}

static void a_message_at_the_default_limit_arrives_whole (void)
{
    size_t size = 1048575;
    char address[NN_SOCKADDR_MAX];
    unsigned char *msg = nn_allocmsg (size, 0);
    unsigned char *in = NULL;
    int a = cooked (NN_PAIR);
    int b = cooked (NN_PAIR);
    size_t i;
    CHECK (msg != NULL);
    for (i = 0; i < size; ++i)
        msg[i] = (unsigned char) (i * 31 >> 3);
    new_address ("tcp", address);
    MUST (nn_bind (a, address));
    MUST (nn_connect (b, address));
    EQ (nn_send (a, &msg, NN_MSG, 0), size);
    EQ (nn_recv (b, &in, NN_MSG, 0), size);
    for (i = 0; i < size; ++i)
        if (in[i] != (unsigned char) (i * 31 >> 3))
            FAIL ("byte %lu is wrong", (unsigned long) i);
    EQ (nn_freemsg (in), 0);
    MUST (nn_close (a));
    MUST (nn_close (b));
}

static const struct check_case CASES[] = {
    CASE (buffers_are_aligned_and_unique),
    CASE (an_unknown_type_is_einval),
    CASE (impossible_sizes_are_enomem),
    CASE (reallocation_keeps_the_pointer_when_shrinking_and_moves_when_growing),
    CASE (freeing_nothing_does_nothing),
    CASE (reallocating_nothing_allocates),
    CASE (library_buffers_travel_over_every_transport),
    CASE (received_buffers_of_routed_protocols_are_aligned_too),
    CASE (plain_and_library_buffers_mix),
    CASE (a_failed_send_leaves_the_buffer_with_the_caller),
    CASE (a_failed_receive_leaves_the_pointer_alone),
    CASE (null_pointers_are_efault),
    CASE (a_missing_message_pointer_is_efault),
    CASE (the_pointer_is_checked_before_the_direction),
    CASE (each_subscriber_gets_a_buffer_of_its_own),
    ALONE (buffers_outlive_sockets_and_the_library),
    CASE (a_message_at_the_default_limit_arrives_whole),
};

CHECK_MAIN (CASES)
