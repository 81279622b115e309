/* nn_setsockopt and nn_getsockopt: defaults, ranges, the order of checks, which option exists where. */
#include "check.h"

#include <limits.h>

static const int PROTOCOLS[] = {NN_PAIR, NN_PUB,  NN_SUB,      NN_REQ,        NN_REP,
                                NN_PUSH, NN_PULL, NN_SURVEYOR, NN_RESPONDENT, NN_BUS};

static int set_value (int s, int level, int option, int value)
{
    return nn_setsockopt (s, level, option, &value, sizeof value);
}

static int get_value (int s, int level, int option)
{
    int value = 0;
    size_t size = sizeof value;
    return nn_getsockopt (s, level, option, &value, &size);
}

static void r107_defaults (void)
{
    static const int expected[][2] = {
        {NN_LINGER, 0},        {NN_SNDBUF, 131072},      {NN_RCVBUF, 131072},  {NN_SNDTIMEO, -1},
        {NN_RCVTIMEO, -1},     {NN_RECONNECT_IVL, 100},  {NN_SNDPRIO, 8},      {NN_RECONNECT_IVL_MAX, 0},
        {NN_RCVPRIO, 8},       {NN_IPV4ONLY, 1},         {NN_MAXTTL, 8},       {NN_RCVMAXSIZE, 1048576},
    };
    int p;
    int i;
    for (p = 0; p < COUNT (PROTOCOLS); ++p)
        for (i = 0; i < COUNT (expected); ++i) {
            int s = MUST (nn_socket (AF_SP, PROTOCOLS[p]));
            int r = MUST (nn_socket (AF_SP_RAW, PROTOCOLS[p]));
            EQ (get_int (s, NN_SOL_SOCKET, expected[i][0]), expected[i][1]);
            EQ (get_int (r, NN_SOL_SOCKET, expected[i][0]), expected[i][1]);
            MUST (nn_close (s));
            MUST (nn_close (r));
        }
}

static void r107_defaults_of_protocols_and_transports (void)
{
    int req = cooked (NN_REQ);
    int surveyor = cooked (NN_SURVEYOR);
    void *attributes = &req;
    size_t size = sizeof attributes;
    EQ (get_int (req, NN_REQ, NN_REQ_RESEND_IVL), 60000);
    EQ (get_int (surveyor, NN_SURVEYOR, NN_SURVEYOR_DEADLINE), 1000);
    EQ (get_int (req, NN_TCP, NN_TCP_NODELAY), 0);
    EQ (get_int (req, NN_WS, NN_WS_MSG_TYPE), NN_WS_MSG_TYPE_BINARY);
    EQ (get_int (req, NN_IPC, NN_IPC_OUTBUFSZ), 4096);
    EQ (get_int (req, NN_IPC, NN_IPC_INBUFSZ), 4096);
    MUST (nn_getsockopt (req, NN_IPC, NN_IPC_SEC_ATTR, &attributes, &size));
    EQ (size, sizeof (void *));
    CHECK (attributes == NULL);
    MUST (nn_close (req));
    MUST (nn_close (surveyor));
}

/* Sets the good values and reads them back; the bad ones are EINVAL and change nothing. */
static void range (int level, int option, int protocol, const int *good, int goods, const int *bad, int bads)
{
    int s = cooked (protocol);
    int i;
    for (i = 0; i < goods; ++i) {
        EQ (set_value (s, level, option, good[i]), 0);
        EQ (get_int (s, level, option), good[i]);
    }
    for (i = 0; i < bads; ++i) {
        FAILS (set_value (s, level, option, bad[i]), EINVAL);
        EQ (get_int (s, level, option), good[goods - 1]);
    }
    MUST (nn_close (s));
}

static void r106_ranges_of_socket_options (void)
{
    static const int sizes[] = {1, 4096, INT_MAX}, not_sizes[] = {0, -1, INT_MIN};
    static const int times[] = {-1, 0, 1, INT_MAX, INT_MIN, 250};
    static const int waits[] = {0, 1, 1000, INT_MAX}, not_waits[] = {-1, INT_MIN};
    static const int classes[] = {1, 16, 7}, not_classes[] = {0, 17, -1, INT_MAX, INT_MIN};
    static const int limits[] = {0, 1, INT_MAX, -1}, not_limits[] = {-2, INT_MIN};
    static const int hops[] = {1, 255, 9}, not_hops[] = {0, 256, -1, INT_MAX};
    static const int flags[] = {1, 0}, not_flags[] = {2, -1, INT_MAX};
    range (0, NN_SNDBUF, NN_PAIR, sizes, 3, not_sizes, 3);
    range (0, NN_RCVBUF, NN_PAIR, sizes, 3, not_sizes, 3);
    range (0, NN_SNDTIMEO, NN_PAIR, times, 6, NULL, 0);
    range (0, NN_RCVTIMEO, NN_PAIR, times, 6, NULL, 0);
    range (0, NN_RECONNECT_IVL, NN_PAIR, waits, 4, not_waits, 2);
    range (0, NN_RECONNECT_IVL_MAX, NN_PAIR, waits, 4, not_waits, 2);
    range (0, NN_SNDPRIO, NN_PAIR, classes, 3, not_classes, 5);
    range (0, NN_RCVPRIO, NN_PAIR, classes, 3, not_classes, 5);
    range (0, NN_IPV4ONLY, NN_PAIR, flags, 2, not_flags, 3);
    range (0, NN_RCVMAXSIZE, NN_PAIR, limits, 4, not_limits, 2);
    range (0, NN_MAXTTL, NN_PAIR, hops, 3, not_hops, 4);
}

static void r106_ranges_of_protocol_and_transport_options (void)
{
    static const int flags[] = {1, 0, 1}, not_flags[] = {2, -1};
    static const int kinds[] = {1, 2}, not_kinds[] = {0, 3, 9, -1};
    static const int buffers[] = {0, -1, INT_MAX, 77};
    range (NN_TCP, NN_TCP_NODELAY, NN_SUB, flags, 3, not_flags, 2);
    range (NN_WS, NN_WS_MSG_TYPE, NN_PUSH, kinds, 2, not_kinds, 4);
    range (NN_IPC, NN_IPC_OUTBUFSZ, NN_PAIR, buffers, 4, NULL, 0);
    range (NN_IPC, NN_IPC_INBUFSZ, NN_PAIR, buffers, 4, NULL, 0);
}

static void r150_resend_intervals_may_not_be_negative (void)
{
    static const int good[] = {1, INT_MAX, 0, 500}, bad[] = {-1, INT_MIN};
    range (NN_REQ, NN_REQ_RESEND_IVL, NN_REQ, good, 4, bad, 2);
}

static void r203_deadlines_may_not_be_negative (void)
{
    static const int good[] = {1, INT_MAX, 500}, bad[] = {-1, INT_MIN};
    range (NN_SURVEYOR, NN_SURVEYOR_DEADLINE, NN_SURVEYOR, good, 3, bad, 2);
}

static void r241_linger_is_accepted_and_reads_zero (void)
{
    static const int values[] = {1000, -1, 0, INT_MAX, INT_MIN};
    int s = cooked (NN_PAIR);
    int i;
    for (i = 0; i < COUNT (values); ++i) {
        EQ (set_value (s, NN_SOL_SOCKET, NN_LINGER, values[i]), 0);
        EQ (get_int (s, NN_SOL_SOCKET, NN_LINGER), 0);
    }
    MUST (nn_close (s));
}

static void r106_the_size_is_checked_before_the_option (void)
{
    static const size_t sizes[] = {0, 1, 3, 5, 8};
    static const int options[] = {NN_LINGER, NN_SNDBUF,   NN_RCVMAXSIZE, NN_DOMAIN, NN_SNDFD,
                                  NN_RCVFD,  NN_PROTOCOL, 0,             18,        99,       -1};
    char value[8] = {1, 0, 0, 0, 0, 0, 0, 0};
    int s = cooked (NN_PAIR);
    int i;
    int k;
    for (i = 0; i < COUNT (sizes); ++i) {
        for (k = 0; k < COUNT (options); ++k)
            FAILS (nn_setsockopt (s, NN_SOL_SOCKET, options[k], value, sizes[i]), EINVAL);
        FAILS (nn_setsockopt (s, NN_TCP, NN_TCP_NODELAY, value, sizes[i]), EINVAL);
        FAILS (nn_setsockopt (s, NN_TCP, 99, value, sizes[i]), EINVAL);
        FAILS (nn_setsockopt (s, NN_WS, NN_WS_MSG_TYPE, value, sizes[i]), EINVAL);
        FAILS (nn_setsockopt (s, NN_WS, 99, value, sizes[i]), EINVAL);
    }
    FAILS (nn_setsockopt (s, NN_IPC, NN_IPC_OUTBUFSZ, value, 3), EINVAL);
    EQ (nn_setsockopt (s, NN_IPC, NN_IPC_OUTBUFSZ, value, 8), 0);
    EQ (get_int (s, NN_IPC, NN_IPC_OUTBUFSZ), 1);
    MUST (nn_close (s));
}

static void r106_unknown_and_read_only_options_are_enoprotoopt (void)
{
    static const int read_only[] = {NN_SNDFD, NN_RCVFD, NN_DOMAIN, NN_PROTOCOL};
    static const int unknown[] = {0, 18, 99, -1, INT_MAX, INT_MIN};
    int s = cooked (NN_PAIR);
    int i;
    for (i = 0; i < COUNT (read_only); ++i)
        FAILS (set_value (s, NN_SOL_SOCKET, read_only[i], 1), ENOPROTOOPT);
    for (i = 0; i < COUNT (unknown); ++i) {
        FAILS (set_value (s, NN_SOL_SOCKET, unknown[i], 1), ENOPROTOOPT);
        FAILS (get_value (s, NN_SOL_SOCKET, unknown[i]), ENOPROTOOPT);
        FAILS (set_value (s, NN_INPROC, unknown[i], 1), ENOPROTOOPT);
        FAILS (get_value (s, NN_INPROC, unknown[i]), ENOPROTOOPT);
    }
    for (i = -2; i >= -4; --i) {
        FAILS (set_value (s, i, 99, 1), ENOPROTOOPT);
        FAILS (get_value (s, i, 99), ENOPROTOOPT);
        FAILS (set_value (s, i, 0, 1), ENOPROTOOPT);
        FAILS (get_value (s, i, 0), ENOPROTOOPT);
    }
    FAILS (set_value (s, NN_INPROC, 1, 1), ENOPROTOOPT);
    FAILS (get_value (s, NN_INPROC, 1), ENOPROTOOPT);
    FAILS (set_value (s, -5, 1, 1), ENOPROTOOPT);
    FAILS (get_value (s, -5, 1), ENOPROTOOPT);
    FAILS (set_value (s, INT_MIN, 1, 1), ENOPROTOOPT);
    FAILS (set_value (s, INT_MAX, 1, 1), ENOPROTOOPT);
    FAILS (get_value (s, INT_MAX, 1), ENOPROTOOPT);
    MUST (nn_close (s));
}

static void null_pointers_are_efault (void)
{
    int s = cooked (NN_PAIR);
    int value = 5;
    size_t size = sizeof value;
    FAILS (nn_setsockopt (s, NN_SOL_SOCKET, NN_SNDBUF, NULL, 4), EFAULT);
    FAILS (nn_setsockopt (s, NN_SOL_SOCKET, NN_SNDBUF, NULL, 0), EINVAL);
    FAILS (nn_setsockopt (s, NN_SOL_SOCKET, 99, NULL, 1), EFAULT);
    FAILS (nn_setsockopt (s, 77, 99, NULL, 1), EFAULT);
    FAILS (nn_getsockopt (s, NN_SOL_SOCKET, NN_SNDBUF, NULL, &size), EFAULT);
    MUST (nn_close (s));
    EQ (value, 5);
}

static void a_missing_length_is_efault (void)
{
    int s = cooked (NN_PAIR);
    int value = 5;
    FAILS (nn_getsockopt (s, NN_SOL_SOCKET, NN_SNDBUF, &value, NULL), EFAULT);
    FAILS (nn_getsockopt (s, NN_SOL_SOCKET, NN_SNDBUF, NULL, NULL), EFAULT);
    EQ (value, 5);
    MUST (nn_close (s));
}

static void reading_into_a_short_buffer_truncates (void)
{
    int s = cooked (NN_PAIR);
    unsigned char buf[16];
    size_t size;
    set_int (s, NN_SOL_SOCKET, NN_SNDBUF, 0x01020304);
    for (size = 0; size <= 16; ++size) {
        size_t reported = size;
        int value = 0x01020304;
        memset (buf, 0xee, sizeof buf);
        MUST (nn_getsockopt (s, NN_SOL_SOCKET, NN_SNDBUF, buf, &reported));
        EQ (reported, 4);
        EQ (memcmp (buf, &value, size < 4 ? size : 4), 0);
        if (size < 4)
            EQ (buf[size], 0xee);
    }
    MUST (nn_close (s));
}

static void intervals_and_deadlines_need_the_whole_buffer (void)
{
    int req = cooked (NN_REQ);
    int surveyor = cooked (NN_SURVEYOR);
    int value = 0;
    size_t size;
    for (size = 0; size < 4; ++size) {
        size_t reported = size;
        FAILS (nn_getsockopt (req, NN_REQ, NN_REQ_RESEND_IVL, &value, &reported), EINVAL);
        reported = size;
        FAILS (nn_getsockopt (surveyor, NN_SURVEYOR, NN_SURVEYOR_DEADLINE, &value, &reported), EINVAL);
        FAILS (nn_setsockopt (req, NN_REQ, NN_REQ_RESEND_IVL, &value, size), EINVAL);
        FAILS (nn_setsockopt (surveyor, NN_SURVEYOR, NN_SURVEYOR_DEADLINE, &value, size), EINVAL);
    }
    MUST (nn_close (req));
    MUST (nn_close (surveyor));
}

static void the_security_attribute_is_kept_as_it_is (void)
{
    int s = cooked (NN_PAIR);
    void *in = &s;
    void *out = NULL;
    size_t size = sizeof out;
    MUST (nn_setsockopt (s, NN_IPC, NN_IPC_SEC_ATTR, &in, sizeof in));
    MUST (nn_getsockopt (s, NN_IPC, NN_IPC_SEC_ATTR, &out, &size));
    EQ (size, sizeof out);
    CHECK (out == in);
    MUST (nn_close (s));
}

static void expect_name (int s, const char *expected)
{
    char name[128];
    size_t size = sizeof name;
    memset (name, 0xee, sizeof name);
    MUST (nn_getsockopt (s, NN_SOL_SOCKET, NN_SOCKET_NAME, name, &size));
    EQ (size, strlen (expected));
    EQ (strcmp (name, expected), 0);
    EQ (name[127], 0);
}

static void the_name_is_the_number_until_it_is_set (void)
{
    static const char long_name[] = "123456789 123456789 123456789 123456789 123456789 123456789 1234";
    char name[128];
    size_t size;
    int s = cooked (NN_PAIR);
    int t = cooked (NN_PAIR);
    snprintf (name, sizeof name, "%d", s);
    expect_name (s, name);
    snprintf (name, sizeof name, "%d", t);
    expect_name (t, name);
    MUST (nn_setsockopt (s, NN_SOL_SOCKET, NN_SOCKET_NAME, "hello", 5));
    expect_name (s, "hello");
    MUST (nn_setsockopt (s, NN_SOL_SOCKET, NN_SOCKET_NAME, long_name, 63));
    FAILS (nn_setsockopt (s, NN_SOL_SOCKET, NN_SOCKET_NAME, long_name, 64), EINVAL);
    memcpy (name, long_name, 63);
    name[63] = 0;
    expect_name (s, name);
    size = 3;
    memset (name, 0xee, sizeof name);
    MUST (nn_getsockopt (s, NN_SOL_SOCKET, NN_SOCKET_NAME, name, &size));
    EQ (size, 63);
    EQ (memcmp (name, "123", 3), 0);
    EQ ((unsigned char) name[3], 0xee);
    MUST (nn_setsockopt (s, NN_SOL_SOCKET, NN_SOCKET_NAME, "", 0));
    expect_name (s, "");
    MUST (nn_close (s));
    MUST (nn_close (t));
}

/* One row: a level and option exist on the protocols that are listed, and nowhere else. */
static void only_on (int level, int option, int value, int domain, const int *listed, int listeds)
{
    int p;
    int i;
    for (p = 0; p < COUNT (PROTOCOLS); ++p) {
        int s = open_in (domain, PROTOCOLS[p]);
        int exists = 0;
        for (i = 0; i < listeds; ++i)
            exists |= listed[i] == PROTOCOLS[p];
        if (exists) {
            EQ (set_value (s, level, option, value), 0);
        } else {
            FAILS (set_value (s, level, option, value), ENOPROTOOPT);
            FAILS (nn_setsockopt (s, level, option, &value, 1), ENOPROTOOPT);
            FAILS (get_value (s, level, option), ENOPROTOOPT);
        }
        FAILS (nn_setsockopt (s, level, 99, &value, sizeof value), ENOPROTOOPT);
        MUST (nn_close (s));
    }
}

static void protocol_options_exist_on_their_sockets_only (void)
{
    static const int sub[] = {NN_SUB}, req[] = {NN_REQ}, surveyor[] = {NN_SURVEYOR};
    only_on (NN_SUB, NN_SUB_SUBSCRIBE, 1, AF_SP, sub, 1);
    only_on (NN_SUB, NN_SUB_SUBSCRIBE, 1, AF_SP_RAW, sub, 1);
    only_on (NN_REQ, NN_REQ_RESEND_IVL, 1, AF_SP, req, 1);
    only_on (NN_REQ, NN_REQ_RESEND_IVL, 1, AF_SP_RAW, NULL, 0);
    only_on (NN_SURVEYOR, NN_SURVEYOR_DEADLINE, 1, AF_SP, surveyor, 1);
    only_on (NN_SURVEYOR, NN_SURVEYOR_DEADLINE, 1, AF_SP_RAW, NULL, 0);
    only_on (NN_REP, 1, 1, AF_SP, NULL, 0);
    only_on (NN_PAIR, 1, 1, AF_SP, NULL, 0);
}

static void transport_options_exist_on_every_socket (void)
{
    int p;
    int domain;
    for (p = 0; p < COUNT (PROTOCOLS); ++p)
        for (domain = AF_SP; domain <= AF_SP_RAW; ++domain) {
            int s = open_in (domain, PROTOCOLS[p]);
            set_int (s, NN_TCP, NN_TCP_NODELAY, 1);
            EQ (get_int (s, NN_TCP, NN_TCP_NODELAY), 1);
            set_int (s, NN_WS, NN_WS_MSG_TYPE, NN_WS_MSG_TYPE_TEXT);
            EQ (get_int (s, NN_WS, NN_WS_MSG_TYPE), NN_WS_MSG_TYPE_TEXT);
            set_int (s, NN_IPC, NN_IPC_INBUFSZ, 5);
            EQ (get_int (s, NN_IPC, NN_IPC_INBUFSZ), 5);
            MUST (nn_close (s));
        }
}

static void r185_subscriptions_are_write_only (void)
{
    int domain;
    for (domain = AF_SP; domain <= AF_SP_RAW; ++domain) {
        int s = open_in (domain, NN_SUB);
        MUST (nn_setsockopt (s, NN_SUB, NN_SUB_SUBSCRIBE, "abc", 3));
        FAILS (get_value (s, NN_SUB, NN_SUB_SUBSCRIBE), ENOPROTOOPT);
        FAILS (get_value (s, NN_SUB, NN_SUB_UNSUBSCRIBE), ENOPROTOOPT);
        MUST (nn_close (s));
    }
}

static void readiness_descriptors_exist_in_the_socket_s_directions (void)
{
    int p;
    int domain;
    for (p = 0; p < COUNT (PROTOCOLS); ++p)
        for (domain = AF_SP; domain <= AF_SP_RAW; ++domain) {
            int type = PROTOCOLS[p];
            int s = open_in (domain, type);
            if (type == NN_SUB || type == NN_PULL)
                FAILS (get_value (s, NN_SOL_SOCKET, NN_SNDFD), ENOPROTOOPT);
            else
                CHECK (fcntl (get_int (s, NN_SOL_SOCKET, NN_SNDFD), F_GETFD) >= 0);
            if (type == NN_PUB || type == NN_PUSH)
                FAILS (get_value (s, NN_SOL_SOCKET, NN_RCVFD), ENOPROTOOPT);
            else
                CHECK (fcntl (get_int (s, NN_SOL_SOCKET, NN_RCVFD), F_GETFD) >= 0);
            MUST (nn_close (s));
        }
}

static void options_belong_to_one_socket (void)
{
    int a = cooked (NN_PAIR);
    int b = cooked (NN_PAIR);
    set_int (a, NN_SOL_SOCKET, NN_MAXTTL, 3);
    set_int (a, NN_TCP, NN_TCP_NODELAY, 1);
    EQ (get_int (b, NN_SOL_SOCKET, NN_MAXTTL), 8);
    EQ (get_int (b, NN_TCP, NN_TCP_NODELAY), 0);
    MUST (nn_close (a));
    MUST (nn_close (b));
}

static const struct check_case CASES[] = {
    CASE (r107_defaults),
    CASE (r107_defaults_of_protocols_and_transports),
    CASE (r106_ranges_of_socket_options),
    CASE (r106_ranges_of_protocol_and_transport_options),
    CASE (r150_resend_intervals_may_not_be_negative),
    CASE (r203_deadlines_may_not_be_negative),
    CASE (r241_linger_is_accepted_and_reads_zero),
    CASE (r106_the_size_is_checked_before_the_option),
    CASE (r106_unknown_and_read_only_options_are_enoprotoopt),
    CASE (null_pointers_are_efault),
    CASE (a_missing_length_is_efault),
    CASE (reading_into_a_short_buffer_truncates),
    CASE (intervals_and_deadlines_need_the_whole_buffer),
    CASE (the_security_attribute_is_kept_as_it_is),
    CASE (the_name_is_the_number_until_it_is_set),
    CASE (protocol_options_exist_on_their_sockets_only),
    CASE (transport_options_exist_on_every_socket),
    CASE (r185_subscriptions_are_write_only),
    CASE (readiness_descriptors_exist_in_the_socket_s_directions),
    CASE (options_belong_to_one_socket),
};

CHECK_MAIN (CASES)
