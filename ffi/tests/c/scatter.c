/* nn_sendmsg and nn_recvmsg with lists of buffers; truncation; lengths that cannot be. */
#include "check.h"

#include <limits.h>

static struct nn_msghdr header_of (struct nn_iovec *iov, int count)
{
    struct nn_msghdr hdr;
    memset (&hdr, 0, sizeof hdr);
    hdr.msg_iov = iov;
    hdr.msg_iovlen = count;
    return hdr;
}

static struct nn_iovec part (void *base, size_t length)
{
    struct nn_iovec iov;
    iov.iov_base = base;
    iov.iov_len = length;
    return iov;
}

static void linked (int *a, int *b)
{
    open_linked (NN_PAIR, NN_PAIR, "inproc", a, b);
}

static void finish (int a, int b)
{
    MUST (nn_close (a));
    MUST (nn_close (b));
}

static void a_list_is_gathered_and_scattered (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        char ab[] = "AB", cdef[] = "CDEF", four[4], two[2];
        struct nn_iovec out[2], in[2];
        struct nn_msghdr hdr;
        int a;
        int b;
        open_linked (NN_PAIR, NN_PAIR, TRANSPORTS[t], &a, &b);
        out[0] = part (ab, 2);
        out[1] = part (cdef, 4);
        hdr = header_of (out, 2);
        EQ (nn_sendmsg (a, &hdr, 0), 6);
        in[0] = part (four, 4);
        in[1] = part (two, 2);
        hdr = header_of (in, 2);
        EQ (nn_recvmsg (b, &hdr, 0), 6);
        EQ (memcmp (four, "ABCD", 4), 0);
        EQ (memcmp (two, "EF", 2), 0);
        finish (a, b);
    }
}

static void the_last_buffer_keeps_what_lies_behind_the_message (void)
{
    char three[3], four[4], last[4];
    struct nn_iovec in[3];
    struct nn_msghdr hdr = header_of (in, 3);
    int a;
    int b;
    memset (last, 'x', sizeof last);
    in[0] = part (three, 3);
    in[1] = part (four, 4);
    in[2] = part (last, 4);
    linked (&a, &b);
    SEND (a, "0123456789");
    EQ (nn_recvmsg (b, &hdr, 0), 10);
    EQ (memcmp (three, "012", 3), 0);
    EQ (memcmp (four, "3456", 4), 0);
    EQ (memcmp (last, "789x", 4), 0);
    finish (a, b);
}

static void r108_a_short_buffer_truncates_and_the_full_size_is_returned (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        char buf[8];
        char large[5000];
        struct nn_iovec in[2];
        struct nn_msghdr hdr = header_of (in, 2);
        int a;
        int b;
        open_linked (NN_PAIR, NN_PAIR, TRANSPORTS[t], &a, &b);
        memset (buf, 'x', sizeof buf);
        SEND (a, "0123456789");
        EQ (nn_recv (b, buf, 4, 0), 10);
        EQ (memcmp (buf, "0123xxxx", 8), 0);
        SEND (a, "0123456789");
        in[0] = part (buf, 2);
        in[1] = part (buf + 4, 3);
        EQ (nn_recvmsg (b, &hdr, 0), 10);
        EQ (memcmp (buf, "0123234x", 8), 0);
        memset (large, 'L', sizeof large);
        EQ (nn_send (a, large, sizeof large, 0), sizeof large);
        EQ (nn_recv (b, buf, 1, 0), sizeof large);
        SEND (a, "next");
        RECV (b, "next");
        finish (a, b);
    }
}

static void empty_messages_travel (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        struct nn_msghdr none = header_of (NULL, 0);
        struct nn_iovec nothing = part (NULL, 0);
        struct nn_msghdr one = header_of (&nothing, 1);
        char byte = 'x';
        int a;
        int b;
        open_linked (NN_PAIR, NN_PAIR, TRANSPORTS[t], &a, &b);
        EQ (nn_send (a, "", 0, 0), 0);
        EQ (nn_sendmsg (a, &none, 0), 0);
        EQ (nn_sendmsg (a, &one, 0), 0);
        SEND (a, "end");
        EQ (nn_recv (b, &byte, 1, 0), 0);
        EQ (nn_recvmsg (b, &none, 0), 0);
        EQ (nn_recv (b, NULL, 0, 0), 0);
        EQ (byte, 'x');
        EQ (nn_recvmsg (b, &none, 0), 3);
        finish (a, b);
    }
}

static void a_missing_header_is_einval_and_a_negative_count_emsgsize (void)
{
    struct nn_msghdr hdr = header_of (NULL, -1);
    int pair = cooked (NN_PAIR);
    int sub = cooked (NN_SUB);
    int pub = cooked (NN_PUB);
    FAILS (nn_sendmsg (pair, NULL, 0), EINVAL);
    FAILS (nn_recvmsg (pair, NULL, 0), EINVAL);
    FAILS (nn_sendmsg (pair, &hdr, 0), EMSGSIZE);
    FAILS (nn_recvmsg (pair, &hdr, 0), EMSGSIZE);
    hdr.msg_iovlen = INT_MIN;
    FAILS (nn_sendmsg (sub, &hdr, 0), EMSGSIZE);
    FAILS (nn_recvmsg (pub, &hdr, NN_DONTWAIT), EMSGSIZE);
    MUST (nn_close (pair));
    MUST (nn_close (sub));
    MUST (nn_close (pub));
}

static void nn_msg_stands_alone_in_a_sent_list (void)
{
    char text[] = "AB";
    void *msg = nn_allocmsg (3, 0);
    struct nn_iovec iov[2];
    struct nn_msghdr hdr = header_of (iov, 2);
    int a;
    int b;
    CHECK (msg != NULL);
    linked (&a, &b);
    iov[0] = part (text, 2);
    iov[1] = part (&msg, NN_MSG);
    FAILS (nn_sendmsg (a, &hdr, 0), EINVAL);
    iov[0] = part (&msg, NN_MSG);
    iov[1] = part (text, 2);
    FAILS (nn_sendmsg (a, &hdr, 0), EINVAL);
    FAILS (nn_recv (b, text, 2, NN_DONTWAIT), EAGAIN);
    EQ (nn_freemsg (msg), 0);
    finish (a, b);
}

static void nn_msg_in_a_received_list_is_einval_and_takes_nothing (void)
{
    char text[8];
    void *msg = text;
    struct nn_iovec iov[2];
    struct nn_msghdr hdr = header_of (iov, 2);
    int a;
    int b;
    linked (&a, &b);
    SEND (a, "ABC");
    iov[0] = part (text, 2);
    iov[1] = part (&msg, NN_MSG);
    FAILS (nn_recvmsg (b, &hdr, 0), EINVAL);
    iov[0] = part (&msg, NN_MSG);
    iov[1] = part (text, 2);
    FAILS (nn_recvmsg (b, &hdr, NN_DONTWAIT), EINVAL);
    CHECK (msg == text);
    RECV (b, "ABC");
    finish (a, b);
}

static void missing_buffers_and_overflowing_sums_are_refused (void)
{
    char text[] = "AB";
    struct nn_iovec iov[3];
    struct nn_msghdr hdr = header_of (iov, 2);
    int a;
    int b;
    linked (&a, &b);
    iov[0] = part (text, 2);
    iov[1] = part (NULL, 1);
    FAILS (nn_sendmsg (a, &hdr, 0), EFAULT);
    iov[0] = part (NULL, 1);
    FAILS (nn_sendmsg (a, &hdr, 0), EFAULT);
    iov[0] = part (text, 2);
    iov[1] = part (text, (size_t) -2);
    FAILS (nn_sendmsg (a, &hdr, 0), EINVAL);
    iov[1] = part (NULL, 0);
    EQ (nn_sendmsg (a, &hdr, 0), 2);
    RECV (b, "AB");
    finish (a, b);
}

static void nn_msg_works_in_a_header (void)
{
    char *msg = nn_allocmsg (5, 0);
    char *in = NULL;
    struct nn_iovec iov = part (&msg, NN_MSG);
    struct nn_msghdr hdr = header_of (&iov, 1);
    int a;
    int b;
    CHECK (msg != NULL);
    memcpy (msg, "HELLO", 5);
    linked (&a, &b);
    EQ (nn_sendmsg (a, &hdr, 0), 5);
    iov = part (&in, NN_MSG);
    EQ (nn_recvmsg (b, &hdr, 0), 5);
    EQ (memcmp (in, "HELLO", 5), 0);
    EQ (nn_freemsg (in), 0);
    finish (a, b);
}

static void the_header_is_never_changed (void)
{
    char buf[8];
    unsigned char control[64];
    struct nn_iovec iov = part (buf, sizeof buf);
    struct nn_msghdr hdr = header_of (&iov, 1);
    struct nn_msghdr before;
    int a;
    int b;
    linked (&a, &b);
    SEND (a, "ABC");
    hdr.msg_control = control;
    hdr.msg_controllen = sizeof control;
    before = hdr;
    EQ (nn_recvmsg (b, &hdr, 0), 3);
    EQ (memcmp (&hdr, &before, sizeof hdr), 0);
    CHECK (iov.iov_base == buf && iov.iov_len == sizeof buf);
    finish (a, b);
}

static void a_long_list_works (void)
{
    char bytes[2000];
    char back[2000];
    struct nn_iovec iov[2000];
    struct nn_msghdr hdr = header_of (iov, 2000);
    int a;
    int b;
    int i;
    open_linked (NN_PAIR, NN_PAIR, "tcp", &a, &b);
    for (i = 0; i < 2000; ++i) {
        bytes[i] = (char) (i % 127);
        iov[i] = part (bytes + i, 1);
    }
    EQ (nn_sendmsg (a, &hdr, 0), 2000);
    for (i = 0; i < 2000; ++i)
        iov[i] = part (back + i, 1);
    EQ (nn_recvmsg (b, &hdr, 0), 2000);
    EQ (memcmp (bytes, back, 2000), 0);
    finish (a, b);
}

static void unknown_flags_are_ignored (void)
{
    static const int flags[] = {0x100, 0xfff0, INT_MIN, 2};
    char buf[4];
    int a;
    int b;
    int i;
    linked (&a, &b);
    for (i = 0; i < COUNT (flags); ++i) {
        EQ (nn_send (a, "ABC", 3, flags[i]), 3);
        EQ (nn_recv (b, buf, sizeof buf, flags[i]), 3);
        FAILS (nn_recv (b, buf, sizeof buf, flags[i] | NN_DONTWAIT), EAGAIN);
    }
    finish (a, b);
}

static const struct check_case CASES[] = {
    CASE (a_list_is_gathered_and_scattered),
    CASE (the_last_buffer_keeps_what_lies_behind_the_message),
    CASE (r108_a_short_buffer_truncates_and_the_full_size_is_returned),
    CASE (empty_messages_travel),
    CASE (a_missing_header_is_einval_and_a_negative_count_emsgsize),
    CASE (nn_msg_stands_alone_in_a_sent_list),
    CASE (nn_msg_in_a_received_list_is_einval_and_takes_nothing),
    CASE (missing_buffers_and_overflowing_sums_are_refused),
    CASE (nn_msg_works_in_a_header),
    CASE (the_header_is_never_changed),
    CASE (a_long_list_works),
    CASE (unknown_flags_are_ignored),
};

CHECK_MAIN (CASES)
