/* nn_socket, socket numbers, bad numbers, error numbers and texts. */
#include "check.h"

#include <dirent.h>
#include <limits.h>

#define MAX_SOCKETS 512

static const int PROTOCOLS[] = {NN_PAIR, NN_PUB,  NN_SUB,      NN_REQ,        NN_REP,
                                NN_PUSH, NN_PULL, NN_SURVEYOR, NN_RESPONDENT, NN_BUS};

static int poll_one (int s, short events)
{
    struct nn_pollfd p;
    p.fd = s;
    p.events = events;
    p.revents = 0x55;
    return nn_poll (&p, 1, 0);
}

/* Every call that takes a socket refuses this number before it looks at anything else. */
static void refused_everywhere (int s)
{
    int value = 1;
    size_t size = sizeof value;
    struct nn_msghdr hdr;
    memset (&hdr, 0, sizeof hdr);
    FAILS (nn_close (s), EBADF);
    FAILS (nn_setsockopt (s, 0, NN_SNDBUF, &value, sizeof value), EBADF);
    FAILS (nn_setsockopt (s, 99, 99, NULL, 5), EBADF);
    FAILS (nn_getsockopt (s, 0, NN_SNDBUF, &value, &size), EBADF);
    FAILS (nn_getsockopt (s, 99, 99, NULL, NULL), EBADF);
    FAILS (nn_bind (s, "inproc://a"), EBADF);
    FAILS (nn_bind (s, NULL), EBADF);
    FAILS (nn_connect (s, "inproc://a"), EBADF);
    FAILS (nn_connect (s, "nonsense"), EBADF);
    FAILS (nn_shutdown (s, 1), EBADF);
    FAILS (nn_send (s, "x", 1, 0), EBADF);
    FAILS (nn_send (s, NULL, 1, NN_DONTWAIT), EBADF);
    FAILS (nn_recv (s, &value, sizeof value, 0), EBADF);
    FAILS (nn_sendmsg (s, &hdr, 0), EBADF);
    FAILS (nn_sendmsg (s, NULL, 0), EBADF);
    FAILS (nn_recvmsg (s, &hdr, 0), EBADF);
    FAILS (nn_recvmsg (s, NULL, 0), EBADF);
    FAILS (poll_one (s, NN_POLLIN), EBADF);
    EQ (poll_one (s, 0), 0);
    FAILS (nn_device (s, s), EBADF);
    errno = 0;
    CHECK (nn_get_statistic (s, NN_STAT_MESSAGES_SENT) == (uint64_t) -1);
    EQ (errno, EBADF);
    errno = 0;
    CHECK (nn_get_statistic (s, 12345) == (uint64_t) -1);
    EQ (errno, EBADF);
    EQ (value, 1);
}

static void before_the_first_socket_every_call_is_safe (void)
{
    int value;
    void *msg;
    nn_term ();
    refused_everywhere (0);
    refused_everywhere (-1);
    EQ (nn_poll (NULL, 0, 1), 0);
    FAILS (nn_device (-1, -1), EBADF);
    CHECK (nn_symbol (1, &value) != NULL);
    CHECK (strlen (nn_strerror (EINVAL)) > 0);
    msg = nn_allocmsg (10, 0);
    CHECK (msg != NULL);
    EQ (nn_freemsg (msg), 0);
    nn_term ();
    EQ (nn_socket (AF_SP, NN_PAIR), 0);
    EQ (nn_close (0), 0);
}

static void r105_an_unknown_domain_is_eafnosupport (void)
{
    static const int domains[] = {0, 3, -1, AF_INET6, INT_MAX, INT_MIN};
    int i;
    for (i = 0; i < COUNT (domains); ++i) {
        FAILS (nn_socket (domains[i], NN_PAIR), EAFNOSUPPORT);
        FAILS (nn_socket (domains[i], 12345), EAFNOSUPPORT);
    }
}

static void r105_an_unknown_protocol_is_einval (void)
{
    /* 17 is the second PAIR protocol, 96 and 97 an older survey, 64 a family never given out. */
    static const int protocols[] = {0,  -1, 1,  15, 17,  34,  50,   64,
                                    82, 96, 97, 100, 113, 1600, INT_MAX, INT_MIN};
    int i;
    for (i = 0; i < COUNT (protocols); ++i) {
        FAILS (nn_socket (AF_SP, protocols[i]), EINVAL);
        FAILS (nn_socket (AF_SP_RAW, protocols[i]), EINVAL);
    }
}

static void every_protocol_exists_in_both_domains (void)
{
    int i;
    for (i = 0; i < COUNT (PROTOCOLS); ++i) {
        int s = MUST (nn_socket (AF_SP, PROTOCOLS[i]));
        int r = MUST (nn_socket (AF_SP_RAW, PROTOCOLS[i]));
        EQ (get_int (s, NN_SOL_SOCKET, NN_DOMAIN), AF_SP);
        EQ (get_int (r, NN_SOL_SOCKET, NN_DOMAIN), AF_SP_RAW);
        EQ (get_int (s, NN_SOL_SOCKET, NN_PROTOCOL), PROTOCOLS[i]);
        EQ (get_int (r, NN_SOL_SOCKET, NN_PROTOCOL), PROTOCOLS[i]);
        MUST (nn_close (s));
        MUST (nn_close (r));
    }
}

static void numbers_are_dense_and_the_last_closed_comes_first (void)
{
    EQ (nn_socket (AF_SP, NN_PAIR), 0);
    EQ (nn_socket (AF_SP, NN_PUB), 1);
    EQ (nn_socket (AF_SP, NN_REQ), 2);
    MUST (nn_close (0));
    MUST (nn_close (1));
    EQ (nn_socket (AF_SP, NN_PAIR), 1);
    EQ (nn_socket (AF_SP, NN_PAIR), 0);
    EQ (nn_socket (AF_SP, NN_PAIR), 3);
    MUST (nn_close (1));
    MUST (nn_close (3));
    MUST (nn_close (0));
    MUST (nn_close (2));
    EQ (nn_socket (AF_SP, NN_PAIR), 0);
    EQ (nn_socket (AF_SP, NN_PAIR), 1);
    MUST (nn_close (1));
    MUST (nn_close (0));
}

static void a_failed_nn_socket_uses_no_number (void)
{
    EQ (nn_socket (AF_SP, NN_PAIR), 0);
    FAILS (nn_socket (AF_SP, 12345), EINVAL);
    FAILS (nn_socket (7, NN_PAIR), EAFNOSUPPORT);
    EQ (nn_socket (AF_SP, NN_PAIR), 1);
    MUST (nn_close (0));
    MUST (nn_close (1));
}

static void numbers_that_are_no_socket_are_ebadf_everywhere (void)
{
    static const int numbers[] = {-1, 1, 7, 511, 512, 513, 100000, INT_MAX, INT_MIN};
    int s = cooked (NN_PAIR);
    int i;
    EQ (s, 0);
    for (i = 0; i < COUNT (numbers); ++i)
        if (numbers[i] >= 0)
            refused_everywhere (numbers[i]);
    FAILS (nn_close (-1), EBADF);
    FAILS (nn_close (INT_MIN), EBADF);
    FAILS (nn_send (INT_MIN, "x", 1, 0), EBADF);
    MUST (nn_close (s));
}

static void r240_a_closed_number_is_ebadf_everywhere (void)
{
    int keep = cooked (NN_PAIR);
    int s = cooked (NN_PAIR);
    MUST (nn_close (s));
    refused_everywhere (s);
    MUST (nn_close (keep));
    refused_everywhere (keep);
}

static void the_513th_socket_is_emfile (void)
{
    int i;
    for (i = 0; i < MAX_SOCKETS; ++i)
        EQ (nn_socket (AF_SP, PROTOCOLS[i % COUNT (PROTOCOLS)]), i);
    FAILS (nn_socket (AF_SP, NN_PAIR), EMFILE);
    FAILS (nn_socket (AF_SP, 12345), EMFILE);
    FAILS (nn_socket (9, NN_PAIR), EAFNOSUPPORT);
    MUST (nn_close (300));
    EQ (nn_socket (AF_SP, NN_PAIR), 300);
    FAILS (nn_socket (AF_SP, NN_PAIR), EMFILE);
    for (i = MAX_SOCKETS - 1; i >= 0; --i)
        EQ (nn_close (i), 0);
    EQ (nn_socket (AF_SP, NN_PAIR), 0);
    MUST (nn_close (0));
}

static void error_texts_are_those_programs_compare (void)
{
    static const int numbers[] = {0,     EINVAL, ENAMETOOLONG, EPROTONOSUPPORT,
                                  EBADF, EAGAIN, ETIMEDOUT,    EADDRINUSE};
    int i;
    EQ (strcmp (nn_strerror (ETERM), "Nanomsg library was terminated"), 0);
    EQ (strcmp (nn_strerror (EFSM), "Operation cannot be performed in this state"), 0);
    for (i = 0; i < COUNT (numbers); ++i)
        EQ (strcmp (nn_strerror (numbers[i]), strerror (numbers[i])), 0);
    CHECK (nn_strerror (-1) != NULL && *nn_strerror (-1));
    CHECK (nn_strerror (INT_MAX) != NULL && *nn_strerror (INT_MAX));
    CHECK (nn_strerror (INT_MIN) != NULL && *nn_strerror (INT_MIN));
}

static int call_errno (struct call *c)
{
    errno = EDOM;
    (void) c;
    return nn_errno ();
}

static void the_error_number_belongs_to_the_thread (void)
{
    struct call c;
    FAILS (nn_close (-1), EBADF);
    call_start (&c, call_errno, 0, 0);
    call_join (&c);
    EQ (c.rc, EDOM);
    errno = ERANGE;
    EQ (nn_errno (), ERANGE);
}

static int threads_of_the_library (void)
{
    int n = 0;
    struct dirent *e;
    DIR *d = opendir ("/proc/self/task");
    CHECK (d != NULL);
    while ((e = readdir (d)) != NULL)
        if (e->d_name[0] != '.')
            ++n;
    closedir (d);
    return n - 1;
}

static int descriptors (void)
{
    int n = 0;
    int fd;
    for (fd = 0; fd < 1024; ++fd)
        if (fcntl (fd, F_GETFD) >= 0)
            ++n;
    return n;
}

static void nothing_is_left_after_the_last_close (void)
{
    int round;
    int before;
    int a;
    int b;
    open_linked (NN_PAIR, NN_PAIR, "tcp", &a, &b);
    MUST (nn_close (a));
    MUST (nn_close (b));
    AWAIT (threads_of_the_library () == 0);
    before = descriptors ();
    for (round = 0; round < 5; ++round) {
        open_linked (NN_PAIR, NN_PAIR, "ipc", &a, &b);
        SEND (a, "ABC");
        RECV (b, "ABC");
        CHECK (get_int (a, NN_SOL_SOCKET, NN_RCVFD) >= 0);
        MUST (nn_close (a));
        MUST (nn_close (b));
        AWAIT (threads_of_the_library () == 0);
        AWAIT (descriptors () == before);
    }
}

static const struct check_case CASES[] = {
    ALONE (before_the_first_socket_every_call_is_safe),
    CASE (r105_an_unknown_domain_is_eafnosupport),
    CASE (r105_an_unknown_protocol_is_einval),
    CASE (every_protocol_exists_in_both_domains),
    CASE (numbers_are_dense_and_the_last_closed_comes_first),
    CASE (a_failed_nn_socket_uses_no_number),
    CASE (numbers_that_are_no_socket_are_ebadf_everywhere),
    CASE (r240_a_closed_number_is_ebadf_everywhere),
    ALONE (the_513th_socket_is_emfile),
    CASE (error_texts_are_those_programs_compare),
    CASE (the_error_number_belongs_to_the_thread),
    ALONE (nothing_is_left_after_the_last_close),
};

CHECK_MAIN (CASES)
