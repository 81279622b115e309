/* nn_shutdown, nn_close, nn_term, nn_init: what they end, and whom they wake. */
#include "check.h"

static void close_both (int a, int b)
{
    MUST (nn_close (a));
    MUST (nn_close (b));
}

static int call_nn_poll (struct call *c)
{
    struct nn_pollfd p;
    int rc;
    p.fd = c->s;
    p.events = NN_POLLIN;
    p.revents = 0;
    rc = nn_poll (&p, 1, -1);
    return rc == 1 ? 1000 + p.revents : rc;
}

static void r237_shutdown_takes_the_endpoint_s_connections_along (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        char address[2][NN_SOCKADDR_MAX];
        int bus = cooked (NN_BUS);
        int one = cooked (NN_BUS);
        int two = cooked (NN_BUS);
        int id;
        new_address (TRANSPORTS[t], address[0]);
        new_address (TRANSPORTS[t], address[1]);
        id = MUST (nn_bind (bus, address[0]));
        MUST (nn_bind (bus, address[1]));
        MUST (nn_connect (one, address[0]));
        MUST (nn_connect (two, address[1]));
        AWAIT_PEERS (bus, 2);
        AWAIT_PEERS (one, 1);
        AWAIT_PEERS (two, 1);
        MUST (nn_shutdown (bus, id));
        FAILS (nn_shutdown (bus, id), EINVAL);
        AWAIT_PEERS (bus, 1);
        AWAIT_PEERS (one, 0);
        SEND (bus, "ABC");
        RECV (two, "ABC");
        RECV_NOTHING (one);
        id = MUST (nn_bind (bus, address[0]));
        AWAIT_PEERS (one, 1);
        AWAIT_PEERS (bus, 2);
        MUST (nn_close (bus));
        close_both (one, two);
    }
}

static void r237_shutdown_of_a_connector_stops_it_for_good (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        char address[NN_SOCKADDR_MAX];
        int a = cooked (NN_BUS);
        int b = cooked (NN_BUS);
        int id;
        new_address (TRANSPORTS[t], address);
        set_int (b, NN_SOL_SOCKET, NN_RECONNECT_IVL, 1);
        id = MUST (nn_connect (b, address));
        MUST (nn_shutdown (b, id));
        MUST (nn_bind (a, address));
        RECV_NOTHING (b);
        EQ (stat_of (a, NN_STAT_CURRENT_CONNECTIONS), 0);
        id = MUST (nn_connect (b, address));
        AWAIT_PEERS (a, 1);
        MUST (nn_shutdown (b, id));
        AWAIT_PEERS (a, 0);
        close_both (a, b);
    }
}

static void a_socket_goes_on_after_its_endpoint (void)
{
    char address[NN_SOCKADDR_MAX];
    int s = cooked (NN_REQ);
    int id;
    new_address ("tcp", address);
    id = MUST (nn_connect (s, address));
    MUST (nn_shutdown (s, id));
    MUST (nn_close (s));
    s = cooked (NN_PAIR);
    MUST (nn_close (s));
}

static void r239_close_wakes_blocked_calls (void)
{
    static int (*const bodies[]) (struct call *) = {call_recv, call_send, call_nn_poll};
    int i;
    for (i = 0; i < COUNT (bodies); ++i) {
        struct call c;
        long long start;
        int s = cooked (NN_PAIR);
        set_timeouts (s, -1);
        call_start (&c, bodies[i], s, 0);
        call_await_blocked (&c);
        start = now_ms ();
        EQ (nn_close (s), 0);
        call_join (&c);
        CHECK (now_ms () - start < 900);
        if (bodies[i] == call_nn_poll) {
            EQ (c.rc, 1000 + NN_POLLIN);
        } else {
            EQ (c.rc, -1);
            EQ (c.error, EBADF);
        }
        FAILS (nn_close (s), EBADF);
    }
}

static void r239_close_wakes_callers_of_every_protocol (void)
{
    static const int receivers[] = {NN_PAIR, NN_SUB, NN_REP, NN_PULL, NN_RESPONDENT, NN_BUS};
    int i;
    int domain;
    for (domain = AF_SP; domain <= AF_SP_RAW; ++domain)
        for (i = 0; i < COUNT (receivers); ++i) {
            struct call c;
            int s = MUST (nn_socket (domain, receivers[i]));
            call_start (&c, call_recv, s, 0);
            call_await_blocked (&c);
            EQ (nn_close (s), 0);
            call_join (&c);
            EQ (c.rc, -1);
            EQ (c.error, EBADF);
        }
}

static int call_close (struct call *c)
{
    return nn_close (c->s);
}

static void r240_concurrent_closes_succeed_once (void)
{
    int round;
    for (round = 0; round < 50; ++round) {
        struct call c[4];
        int good = 0;
        int s = cooked (NN_PAIR);
        int i;
        for (i = 0; i < COUNT (c); ++i)
            call_start (&c[i], call_close, s, 0);
        for (i = 0; i < COUNT (c); ++i) {
            call_join (&c[i]);
            if (c[i].rc == 0)
                ++good;
            else
                EQ (c[i].error, EBADF);
        }
        EQ (good, 1);
    }
}

static void a_closed_listener_s_address_is_free_at_once (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        char address[NN_SOCKADDR_MAX];
        int i;
        new_address (TRANSPORTS[t], address);
        for (i = 0; i < 10; ++i) {
            struct call c;
            int s = cooked (NN_PULL);
            int push = cooked (NN_PUSH);
            MUST (nn_bind (s, address));
            MUST (nn_connect (push, address));
            AWAIT_PEERS (s, 1);
            call_start (&c, call_recv, s, 0);
            call_await_blocked (&c);
            MUST (nn_close (s));
            call_join (&c);
            EQ (c.error, EBADF);
            MUST (nn_close (push));
        }
    }
}

static void r242_close_does_not_wait_for_absent_peers (void)
{
    char address[NN_SOCKADDR_MAX];
    long long start = now_ms ();
    int i;
    for (i = 0; i < 5; ++i) {
        int req = cooked (NN_REQ);
        int push = cooked (NN_PUSH);
        new_address ("tcp", address);
        MUST (nn_connect (req, address));
        SEND (req, "ABC");
        new_address ("ipc", address);
        MUST (nn_connect (push, address));
        FAILS (nn_send (push, "ABC", 3, NN_DONTWAIT), EAGAIN);
        MUST (nn_connect (push, "tcp://192.0.2.1:9"));
        MUST (nn_connect (push, "tcp://nosuchhost.invalid:9"));
        close_both (req, push);
    }
    CHECK (now_ms () - start < 900);
}

/* A hundred threads come and go while a PUSH serves pullers that close in the middle. */
static int call_pull_ten (struct call *c)
{
    int s = nn_socket (AF_SP, NN_PULL);
    int i;
    if (s < 0)
        return -1;
    set_timeouts (s, CHECK_EVENT_MS);
    for (i = 0; i < 10; ++i)
        if (nn_connect (s, c->data) < 0)
            return -2;
    for (i = 0; i < 10; ++i) {
        char buf[8];
        if (nn_recv (s, buf, sizeof buf, 0) != 5 || memcmp (buf, "hello", 5) != 0)
            return -3;
    }
    return nn_close (s);
}

static void pullers_come_and_go_while_messages_flow (void)
{
    int t;
    int round;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        char address[NN_SOCKADDR_MAX];
        int push = cooked (NN_PUSH);
        new_address (TRANSPORTS[t], address);
        MUST (nn_bind (push, address));
        for (round = 0; round < 3; ++round) {
            struct call c[10];
            int done = 0;
            int i;
            for (i = 0; i < COUNT (c); ++i) {
                c[i].data = address;
                call_start (&c[i], call_pull_ten, 0, 0);
            }
            while (done < COUNT (c)) {
                nn_send (push, "hello", 5, NN_DONTWAIT);
                for (done = 0, i = 0; i < COUNT (c); ++i)
                    done += call_done (&c[i]);
                sched_yield ();
            }
            for (i = 0; i < COUNT (c); ++i) {
                call_join (&c[i]);
                EQ (c[i].rc, 0);
            }
        }
        MUST (nn_close (push));
    }
}

/* ---- ending the library: each case in a process of its own -------------------------------------------- */

static void r243_after_nn_term_nothing_works_but_messages_do (void)
{
    int a;
    int b;
    char byte;
    void *msg;
    struct nn_pollfd p;
    open_linked (NN_PAIR, NN_PAIR, "tcp", &a, &b);
    SEND (a, "ABC");
    nn_term ();
    FAILS (nn_socket (AF_SP, NN_PAIR), ETERM);
    FAILS (nn_socket (7, 7), ETERM);
    FAILS (nn_close (a), EBADF);
    FAILS (nn_send (a, "x", 1, 0), EBADF);
    FAILS (nn_recv (b, &byte, 1, 0), EBADF);
    FAILS (nn_bind (a, "inproc://x"), EBADF);
    FAILS (nn_connect (a, "inproc://x"), EBADF);
    FAILS (nn_shutdown (a, 1), EBADF);
    FAILS (nn_device (a, b), EBADF);
    FAILS (nn_device (-1, -1), EBADF);
    p.fd = a;
    p.events = NN_POLLIN;
    FAILS (nn_poll (&p, 1, 0), EBADF);
    CHECK (nn_get_statistic (a, NN_STAT_MESSAGES_SENT) == (uint64_t) -1);
    CHECK (nn_symbol (3, NULL) != NULL);
    CHECK (*nn_strerror (ETERM));
    msg = nn_allocmsg (5, 0);
    CHECK (msg != NULL);
    EQ (nn_freemsg (msg), 0);
    nn_term ();
    FAILS (nn_socket (AF_SP, NN_PAIR), ETERM);
}

static void r243_nn_term_wakes_blocked_calls (void)
{
    static int (*const bodies[]) (struct call *) = {call_recv, call_send, call_nn_poll};
    struct call c[COUNT (bodies)];
    int s[COUNT (bodies)];
    int i;
    for (i = 0; i < COUNT (bodies); ++i) {
        s[i] = MUST (nn_socket (AF_SP, NN_PAIR));
        call_start (&c[i], bodies[i], s[i], 0);
        call_await_blocked (&c[i]);
    }
    nn_term ();
    for (i = 0; i < COUNT (bodies); ++i) {
        call_join (&c[i]);
        if (bodies[i] == call_nn_poll) {
            EQ (c[i].rc, 1000 + NN_POLLIN);
        } else {
            EQ (c[i].rc, -1);
            EQ (c[i].error, EBADF);
        }
        FAILS (nn_close (s[i]), EBADF);
    }
}

static void nn_init_starts_again_from_zero (void)
{
    int a;
    int b;
    int i;
    for (i = 0; i < 3; ++i) {
        EQ (nn_socket (AF_SP, NN_PAIR), 0);
        open_linked (NN_PAIR, NN_PAIR, "inproc", &a, &b);
        SEND (a, "ABC");
        RECV (b, "ABC");
        MUST (nn_bind (b, "inproc://same-name"));
        nn_term ();
        FAILS (nn_socket (AF_SP, NN_PAIR), ETERM);
        nn_init ();
        nn_init ();
    }
    EQ (nn_socket (AF_SP, NN_PAIR), 0);
    MUST (nn_close (0));
}

static void nn_term_counts_when_all_sockets_are_closed_already (void)
{
    MUST (nn_close (MUST (nn_socket (AF_SP, NN_PAIR))));
    nn_term ();
    FAILS (nn_socket (AF_SP, NN_PAIR), ETERM);
}

static int call_term (struct call *c)
{
    (void) c;
    nn_term ();
    return 0;
}

static void nn_term_may_be_called_by_several_threads (void)
{
    struct call c[4];
    int a;
    int b;
    int i;
    open_linked (NN_PAIR, NN_PAIR, "ipc", &a, &b);
    for (i = 0; i < COUNT (c); ++i)
        call_start (&c[i], call_term, 0, 0);
    for (i = 0; i < COUNT (c); ++i)
        call_join (&c[i]);
    FAILS (nn_socket (AF_SP, NN_PAIR), ETERM);
    FAILS (nn_close (a), EBADF);
}

static void term_at_exit_helper (void)
{
    int a;
    int b;
    atexit (nn_term);
    open_linked (NN_PAIR, NN_PAIR, "tcp", &a, &b);
    SEND (a, "ABC");
    RECV (b, "ABC");
    exit (7);
}

static void nn_term_may_be_called_at_exit (void)
{
    EQ (wait_child (spawn ("term_at_exit_helper", "")), 7);
}

static void nn_term_removes_ipc_files (void)
{
    int s = cooked (NN_PAIR);
    MUST (nn_bind (s, "ipc://term.sock"));
    EQ (access ("term.sock", F_OK), 0);
    nn_term ();
    CHECK (access ("term.sock", F_OK) != 0);
}

static const struct check_case CASES[] = {
    CASE (r237_shutdown_takes_the_endpoint_s_connections_along),
    CASE (r237_shutdown_of_a_connector_stops_it_for_good),
    CASE (a_socket_goes_on_after_its_endpoint),
    CASE (r239_close_wakes_blocked_calls),
    CASE (r239_close_wakes_callers_of_every_protocol),
    CASE (r240_concurrent_closes_succeed_once),
    CASE (a_closed_listener_s_address_is_free_at_once),
    CASE (r242_close_does_not_wait_for_absent_peers),
    CASE (pullers_come_and_go_while_messages_flow),
    ALONE (r243_after_nn_term_nothing_works_but_messages_do),
    ALONE (r243_nn_term_wakes_blocked_calls),
    ALONE (nn_init_starts_again_from_zero),
    ALONE (nn_term_counts_when_all_sockets_are_closed_already),
    ALONE (nn_term_may_be_called_by_several_threads),
    ALONE (nn_term_may_be_called_at_exit),
    ALONE (nn_term_removes_ipc_files),
    HELPER (term_at_exit_helper),
};

CHECK_MAIN (CASES)
