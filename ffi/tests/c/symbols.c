/* The table of names and values that bindings read when they are loaded. */
#include "check.h"

#include <limits.h>

struct row {
    const char *name;
    int header_value;
    int value;
    int ns;
    int type;
    int unit;
};

#define ROW(name, value, ns, type, unit) {#name, name, value, NN_NS_##ns, NN_TYPE_##type, NN_UNIT_##unit}
/* Error numbers have the value of the system's header. */
#define ERROR(name) {#name, name, name, NN_NS_ERROR, NN_TYPE_NONE, NN_UNIT_NONE}

static const struct row TABLE[] = {
    ROW (NN_NS_NAMESPACE, 0, NAMESPACE, NONE, NONE),
    ROW (NN_NS_VERSION, 1, NAMESPACE, NONE, NONE),
    ROW (NN_NS_DOMAIN, 2, NAMESPACE, NONE, NONE),
    ROW (NN_NS_TRANSPORT, 3, NAMESPACE, NONE, NONE),
    ROW (NN_NS_PROTOCOL, 4, NAMESPACE, NONE, NONE),
    ROW (NN_NS_OPTION_LEVEL, 5, NAMESPACE, NONE, NONE),
    ROW (NN_NS_SOCKET_OPTION, 6, NAMESPACE, NONE, NONE),
    ROW (NN_NS_TRANSPORT_OPTION, 7, NAMESPACE, NONE, NONE),
    ROW (NN_NS_OPTION_TYPE, 8, NAMESPACE, NONE, NONE),
    ROW (NN_NS_OPTION_UNIT, 9, NAMESPACE, NONE, NONE),
    ROW (NN_NS_FLAG, 10, NAMESPACE, NONE, NONE),
    ROW (NN_NS_ERROR, 11, NAMESPACE, NONE, NONE),
    ROW (NN_NS_LIMIT, 12, NAMESPACE, NONE, NONE),
    ROW (NN_NS_EVENT, 13, NAMESPACE, NONE, NONE),
    ROW (NN_NS_STATISTIC, 14, NAMESPACE, NONE, NONE),
    ROW (NN_TYPE_NONE, 0, OPTION_TYPE, NONE, NONE),
    ROW (NN_TYPE_INT, 1, OPTION_TYPE, NONE, NONE),
    ROW (NN_TYPE_STR, 2, OPTION_TYPE, NONE, NONE),
    ROW (NN_UNIT_NONE, 0, OPTION_UNIT, NONE, NONE),
    ROW (NN_UNIT_BYTES, 1, OPTION_UNIT, NONE, NONE),
    ROW (NN_UNIT_MILLISECONDS, 2, OPTION_UNIT, NONE, NONE),
    ROW (NN_UNIT_PRIORITY, 3, OPTION_UNIT, NONE, NONE),
    ROW (NN_UNIT_BOOLEAN, 4, OPTION_UNIT, NONE, NONE),
    ROW (NN_UNIT_COUNTER, 6, OPTION_UNIT, NONE, NONE),
    ROW (NN_UNIT_MESSAGES, 5, OPTION_UNIT, NONE, NONE),
    ROW (NN_VERSION_CURRENT, 6, VERSION, NONE, NONE),
    ROW (NN_VERSION_REVISION, 0, VERSION, NONE, NONE),
    ROW (NN_VERSION_AGE, 1, VERSION, NONE, NONE),
    ROW (AF_SP, 1, DOMAIN, NONE, NONE),
    ROW (AF_SP_RAW, 2, DOMAIN, NONE, NONE),
    ROW (NN_INPROC, -1, TRANSPORT, NONE, NONE),
    ROW (NN_IPC, -2, TRANSPORT, NONE, NONE),
    ROW (NN_TCP, -3, TRANSPORT, NONE, NONE),
    ROW (NN_WS, -4, TRANSPORT, NONE, NONE),
    ROW (NN_PAIR, 16, PROTOCOL, NONE, NONE),
    ROW (NN_PUB, 32, PROTOCOL, NONE, NONE),
    ROW (NN_SUB, 33, PROTOCOL, NONE, NONE),
    ROW (NN_REP, 49, PROTOCOL, NONE, NONE),
    ROW (NN_REQ, 48, PROTOCOL, NONE, NONE),
    ROW (NN_PUSH, 80, PROTOCOL, NONE, NONE),
    ROW (NN_PULL, 81, PROTOCOL, NONE, NONE),
    ROW (NN_SURVEYOR, 98, PROTOCOL, NONE, NONE),
    ROW (NN_RESPONDENT, 99, PROTOCOL, NONE, NONE),
    ROW (NN_BUS, 112, PROTOCOL, NONE, NONE),
    ROW (NN_SOCKADDR_MAX, 128, LIMIT, NONE, NONE),
    ROW (NN_SOL_SOCKET, 0, OPTION_LEVEL, NONE, NONE),
    ROW (NN_LINGER, 1, SOCKET_OPTION, INT, MILLISECONDS),
    ROW (NN_SNDBUF, 2, SOCKET_OPTION, INT, BYTES),
    ROW (NN_RCVBUF, 3, SOCKET_OPTION, INT, BYTES),
    ROW (NN_RCVMAXSIZE, 16, SOCKET_OPTION, INT, BYTES),
    ROW (NN_SNDTIMEO, 4, SOCKET_OPTION, INT, MILLISECONDS),
    ROW (NN_RCVTIMEO, 5, SOCKET_OPTION, INT, MILLISECONDS),
    ROW (NN_RECONNECT_IVL, 6, SOCKET_OPTION, INT, MILLISECONDS),
    ROW (NN_RECONNECT_IVL_MAX, 7, SOCKET_OPTION, INT, MILLISECONDS),
    ROW (NN_SNDPRIO, 8, SOCKET_OPTION, INT, PRIORITY),
    ROW (NN_RCVPRIO, 9, SOCKET_OPTION, INT, PRIORITY),
    ROW (NN_SNDFD, 10, SOCKET_OPTION, INT, NONE),
    ROW (NN_RCVFD, 11, SOCKET_OPTION, INT, NONE),
    ROW (NN_DOMAIN, 12, SOCKET_OPTION, INT, NONE),
    ROW (NN_PROTOCOL, 13, SOCKET_OPTION, INT, NONE),
    ROW (NN_IPV4ONLY, 14, SOCKET_OPTION, INT, BOOLEAN),
    ROW (NN_SOCKET_NAME, 15, SOCKET_OPTION, STR, NONE),
    ROW (NN_MAXTTL, 17, SOCKET_OPTION, INT, NONE),
    ROW (NN_SUB_SUBSCRIBE, 1, TRANSPORT_OPTION, STR, NONE),
    ROW (NN_SUB_UNSUBSCRIBE, 2, TRANSPORT_OPTION, STR, NONE),
    ROW (NN_REQ_RESEND_IVL, 1, TRANSPORT_OPTION, INT, MILLISECONDS),
    ROW (NN_SURVEYOR_DEADLINE, 1, TRANSPORT_OPTION, INT, MILLISECONDS),
    ROW (NN_TCP_NODELAY, 1, TRANSPORT_OPTION, INT, BOOLEAN),
    ROW (NN_WS_MSG_TYPE, 1, TRANSPORT_OPTION, INT, NONE),
    ROW (NN_DONTWAIT, 1, FLAG, NONE, NONE),
    ROW (NN_WS_MSG_TYPE_TEXT, 1, FLAG, NONE, NONE),
    ROW (NN_WS_MSG_TYPE_BINARY, 2, FLAG, NONE, NONE),
    ROW (NN_POLLIN, 1, EVENT, NONE, NONE),
    ROW (NN_POLLOUT, 2, EVENT, NONE, NONE),
    ERROR (EADDRINUSE),
    ERROR (EADDRNOTAVAIL),
    ERROR (EAFNOSUPPORT),
    ERROR (EAGAIN),
    ERROR (EBADF),
    ERROR (ECONNREFUSED),
    ERROR (EFAULT),
    ROW (EFSM, 156384766, ERROR, NONE, NONE),
    ERROR (EINPROGRESS),
    ERROR (EINTR),
    ERROR (EINVAL),
    ERROR (EMFILE),
    ERROR (ENAMETOOLONG),
    ERROR (ENETDOWN),
    ERROR (ENOBUFS),
    ERROR (ENODEV),
    ERROR (ENOMEM),
    ERROR (ENOPROTOOPT),
    ERROR (ENOTSOCK),
    ERROR (ENOTSUP),
    ERROR (EPROTO),
    ERROR (EPROTONOSUPPORT),
    ROW (ETERM, 156384765, ERROR, NONE, NONE),
    ERROR (ETIMEDOUT),
    ERROR (EACCES),
    ERROR (ECONNABORTED),
    ERROR (ECONNRESET),
    ERROR (EHOSTUNREACH),
    ERROR (EMSGSIZE),
    ERROR (ENETRESET),
    ERROR (ENETUNREACH),
    ERROR (ENOTCONN),
    ROW (NN_STAT_ESTABLISHED_CONNECTIONS, 101, STATISTIC, INT, COUNTER),
    ROW (NN_STAT_ACCEPTED_CONNECTIONS, 102, STATISTIC, INT, COUNTER),
    ROW (NN_STAT_DROPPED_CONNECTIONS, 103, STATISTIC, INT, COUNTER),
    ROW (NN_STAT_BROKEN_CONNECTIONS, 104, STATISTIC, INT, COUNTER),
    ROW (NN_STAT_CONNECT_ERRORS, 105, STATISTIC, INT, COUNTER),
    ROW (NN_STAT_BIND_ERRORS, 106, STATISTIC, INT, COUNTER),
    ROW (NN_STAT_ACCEPT_ERRORS, 107, STATISTIC, INT, COUNTER),
    ROW (NN_STAT_MESSAGES_SENT, 301, STATISTIC, INT, MESSAGES),
    ROW (NN_STAT_MESSAGES_RECEIVED, 302, STATISTIC, INT, MESSAGES),
    ROW (NN_STAT_BYTES_SENT, 303, STATISTIC, INT, BYTES),
    ROW (NN_STAT_BYTES_RECEIVED, 304, STATISTIC, INT, BYTES),
    ROW (NN_STAT_CURRENT_CONNECTIONS, 201, STATISTIC, INT, NONE),
    ROW (NN_STAT_INPROGRESS_CONNECTIONS, 202, STATISTIC, INT, NONE),
    ROW (NN_STAT_CURRENT_SND_PRIORITY, 401, STATISTIC, INT, PRIORITY),
    ROW (NN_STAT_CURRENT_EP_ERRORS, 203, STATISTIC, INT, NONE),
};

static void the_table_has_121_rows (void)
{
    EQ (COUNT (TABLE), 121);
}

static void the_headers_have_the_values_of_the_table (void)
{
    int i;
    for (i = 0; i < COUNT (TABLE); ++i)
        if (TABLE[i].header_value != TABLE[i].value)
            FAIL ("%s is %d in the header", TABLE[i].name, TABLE[i].header_value);
}

static void nn_symbol_gives_every_row_in_order (void)
{
    int i;
    for (i = 0; i < COUNT (TABLE); ++i) {
        int value = -99;
        const char *name = nn_symbol (i, &value);
        if (!name || strcmp (name, TABLE[i].name) != 0)
            FAIL ("row %d is called %s, expected %s", i, name ? name : "NULL", TABLE[i].name);
        if (value != TABLE[i].value)
            FAIL ("row %d, %s, is %d, expected %d", i, name, value, TABLE[i].value);
    }
}

static void nn_symbol_info_gives_the_same_rows_with_their_kinds (void)
{
    int i;
    for (i = 0; i < COUNT (TABLE); ++i) {
        struct nn_symbol_properties p;
        memset (&p, 0xff, sizeof p);
        EQ (nn_symbol_info (i, &p, (int) sizeof p), sizeof p);
        if (strcmp (p.name, TABLE[i].name) != 0 || p.value != TABLE[i].value || p.ns != TABLE[i].ns
            || p.type != TABLE[i].type || p.unit != TABLE[i].unit)
            FAIL ("row %d is %s = %d, ns %d, type %d, unit %d; expected %s", i, p.name, p.value, p.ns, p.type,
                  p.unit, TABLE[i].name);
    }
}

static void names_live_as_long_as_the_process (void)
{
    struct nn_symbol_properties p;
    const char *name = nn_symbol (6, NULL);
    EQ (nn_symbol_info (6, &p, (int) sizeof p), sizeof p);
    CHECK (name == nn_symbol (6, NULL));
    EQ (strcmp (name, p.name), 0);
}

static void an_index_outside_the_table_is_refused (void)
{
    static const int outside[] = {-1, 121, 2000, INT_MIN, INT_MAX};
    int i;
    for (i = 0; i < COUNT (outside); ++i) {
        struct nn_symbol_properties p;
        int value = 7;
        errno = 0;
        CHECK (nn_symbol (outside[i], &value) == NULL);
        EQ (errno, EINVAL);
        EQ (value, 7);
        errno = 0;
        CHECK (nn_symbol (outside[i], NULL) == NULL);
        EQ (nn_errno (), EINVAL);
        errno = 0;
        EQ (nn_symbol_info (outside[i], &p, (int) sizeof p), 0);
        EQ (errno, 0);
    }
}

static void the_value_is_optional (void)
{
    const char *name = nn_symbol (0, NULL);
    CHECK (name != NULL);
    EQ (strcmp (name, "NN_NS_NAMESPACE"), 0);
}

static void a_shorter_record_gets_as_much_as_fits (void)
{
    unsigned char buf[sizeof (struct nn_symbol_properties) + 16];
    int value = 0;
    memset (buf, 0xee, sizeof buf);
    EQ (nn_symbol_info (35, (struct nn_symbol_properties *) buf, 4), 4);
    memcpy (&value, buf, sizeof value);
    EQ (value, NN_PUB);
    EQ (buf[4], 0xee);
    EQ (nn_symbol_info (35, (struct nn_symbol_properties *) buf, 1), 1);
    memset (buf, 0xee, sizeof buf);
    EQ (nn_symbol_info (35, (struct nn_symbol_properties *) buf, 0), 0);
    EQ (buf[0], 0xee);
}

static void a_longer_record_gets_what_there_is (void)
{
    struct {
        struct nn_symbol_properties p;
        unsigned char rest[16];
    } longer;
    memset (&longer, 0xee, sizeof longer);
    EQ (nn_symbol_info (35, &longer.p, (int) sizeof longer), sizeof longer.p);
    EQ (longer.p.value, NN_PUB);
    EQ (longer.rest[0], 0xee);
}

static void a_negative_length_counts_as_zero (void)
{
    struct nn_symbol_properties p;
    memset (&p, 0xee, sizeof p);
    EQ (nn_symbol_info (0, &p, -1), 0);
    EQ (nn_symbol_info (0, &p, INT_MIN), 0);
    EQ (*(unsigned char *) &p, 0xee);
}

static const struct check_case CASES[] = {
    CASE (the_table_has_121_rows),
    CASE (the_headers_have_the_values_of_the_table),
    CASE (nn_symbol_gives_every_row_in_order),
    CASE (nn_symbol_info_gives_the_same_rows_with_their_kinds),
    CASE (names_live_as_long_as_the_process),
    CASE (an_index_outside_the_table_is_refused),
    CASE (the_value_is_optional),
    CASE (a_shorter_record_gets_as_much_as_fits),
    CASE (a_longer_record_gets_what_there_is),
    CASE (a_negative_length_counts_as_zero),
};

CHECK_MAIN (CASES)
