/* nn_get_statistic: when each counter moves. */
#include "check.h"

#define ESTABLISHED NN_STAT_ESTABLISHED_CONNECTIONS
#define ACCEPTED NN_STAT_ACCEPTED_CONNECTIONS
#define DROPPED NN_STAT_DROPPED_CONNECTIONS
#define BROKEN NN_STAT_BROKEN_CONNECTIONS
#define CURRENT NN_STAT_CURRENT_CONNECTIONS
#define EP_ERRORS NN_STAT_CURRENT_EP_ERRORS

static void close_both (int a, int b)
{
    MUST (nn_close (a));
    MUST (nn_close (b));
}

static void expect_traffic (int s, int sent, int bytes_sent, int received, int bytes_received)
{
    EQ (stat_of (s, NN_STAT_MESSAGES_SENT), sent);
    EQ (stat_of (s, NN_STAT_BYTES_SENT), bytes_sent);
    EQ (stat_of (s, NN_STAT_MESSAGES_RECEIVED), received);
    EQ (stat_of (s, NN_STAT_BYTES_RECEIVED), bytes_received);
}

static void every_counter_starts_at_zero (void)
{
    static const int counters[] = {101, 102, 103, 104, 105, 106, 107, 201, 202, 203, 301, 302, 303, 304, 401};
    int s = cooked (NN_PUSH);
    int i;
    for (i = 0; i < COUNT (counters); ++i)
        EQ (stat_of (s, counters[i]), 0);
    MUST (nn_close (s));
}

static void an_unknown_counter_is_einval (void)
{
    static const int counters[] = {0, -1, 100, 108, 200, 204, 300, 305, 400, 402, 1 << 30};
    int s = cooked (NN_PAIR);
    int i;
    for (i = 0; i < COUNT (counters); ++i) {
        errno = 0;
        CHECK (nn_get_statistic (s, counters[i]) == (uint64_t) -1);
        EQ (errno, EINVAL);
    }
    MUST (nn_close (s));
}

static void messages_and_bytes_are_counted_without_headers (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        int rep;
        int req;
        char byte;
        open_linked (NN_REP, NN_REQ, TRANSPORTS[t], &rep, &req);
        /* nanomsg counts a pairing over inproc only when the connector was there first. */
        if (strcmp (TRANSPORTS[t], "inproc") != 0)
            EQ (stat_of (rep, ACCEPTED), 1);
        EQ (stat_of (rep, ESTABLISHED), 0);
        EQ (stat_of (req, ACCEPTED), 0);
        EQ (stat_of (req, ESTABLISHED), 1);
        expect_traffic (req, 0, 0, 0, 0);
        SEND (req, "ABC");
        expect_traffic (req, 1, 3, 0, 0);
        expect_traffic (rep, 0, 0, 0, 0);
        EQ (nn_recv (rep, &byte, 1, 0), 3);
        expect_traffic (rep, 0, 0, 1, 3);
        SEND (rep, "OK");
        RECV (req, "OK");
        expect_traffic (req, 1, 3, 1, 2);
        expect_traffic (rep, 1, 2, 1, 3);
        MUST (nn_close (req));
        AWAIT_PEERS (rep, 0);
        EQ (stat_of (rep, ESTABLISHED), 0);
        MUST (nn_close (rep));
    }
}

static void dropped_messages_count_as_sent_and_failures_do_not (void)
{
    int pub = cooked (NN_PUB);
    int rep = raw (NN_REP);
    int push = cooked (NN_PUSH);
    char byte;
    SEND (pub, "ABC");
    expect_traffic (pub, 1, 3, 0, 0);
    SEND (rep, "ABC");
    expect_traffic (rep, 1, 3, 0, 0);
    FAILS (nn_send (push, "ABC", 3, NN_DONTWAIT), EAGAIN);
    FAILS (nn_recv (push, &byte, 1, NN_DONTWAIT), ENOTSUP);
    expect_traffic (push, 0, 0, 0, 0);
    MUST (nn_close (pub));
    close_both (rep, push);
}

static void resends_do_not_count (void)
{
    int rep;
    int req;
    open_linked (NN_REP, NN_REQ, "inproc", &rep, &req);
    set_int (req, NN_REQ, NN_REQ_RESEND_IVL, 20);
    SEND (req, "ABC");
    RECV (rep, "ABC");
    RECV (rep, "ABC");
    expect_traffic (req, 1, 3, 0, 0);
    expect_traffic (rep, 0, 0, 2, 6);
    close_both (rep, req);
}

static void connect_errors_and_the_error_state (void)
{
    int t;
    for (t = 0; t < COUNT (NETWORKS); ++t) {
        char address[NN_SOCKADDR_MAX];
        int p = cooked (NN_PAIR);
        int q = cooked (NN_PAIR);
        long long errors;
        new_address (NETWORKS[t], address);
        set_int (q, NN_SOL_SOCKET, NN_RECONNECT_IVL, 10);
        MUST (nn_connect (q, address));
        AWAIT (stat_of (q, NN_STAT_CONNECT_ERRORS) >= 2);
        EQ (stat_of (q, EP_ERRORS), 1);
        EQ (stat_of (q, ESTABLISHED), 0);
        MUST (nn_bind (p, address));
        AWAIT_PEERS (p, 1);
        AWAIT_PEERS (q, 1);
        EQ (stat_of (p, ACCEPTED), 1);
        EQ (stat_of (q, ESTABLISHED), 1);
        AWAIT_STAT (q, EP_ERRORS, 0);
        errors = stat_of (q, NN_STAT_CONNECT_ERRORS);
        EQ (stat_of (q, NN_STAT_INPROGRESS_CONNECTIONS), 0);
        EQ (stat_of (p, NN_STAT_BIND_ERRORS), 0);
        EQ (stat_of (q, NN_STAT_CONNECT_ERRORS), errors);
        close_both (p, q);
    }
}

static void the_first_retry_is_immediate_and_the_next_waits (void)
{
    char address[NN_SOCKADDR_MAX];
    int s = cooked (NN_PAIR);
    long long start;
    set_int (s, NN_SOL_SOCKET, NN_RECONNECT_IVL, 300);
    new_address ("tcp", address);
    start = now_ms ();
    MUST (nn_connect (s, address));
    AWAIT (stat_of (s, NN_STAT_CONNECT_ERRORS) >= 2);
    CHECK (now_ms () - start < 250);
    AWAIT (stat_of (s, NN_STAT_CONNECT_ERRORS) >= 3);
    CHECK (now_ms () - start >= 250);
    MUST (nn_close (s));
}

static void a_closed_peer_is_broken_here_and_dropped_there (void)
{
    int t;
    for (t = 0; t < COUNT (NETWORKS); ++t) {
        char address[NN_SOCKADDR_MAX];
        int p = cooked (NN_PAIR);
        int q = cooked (NN_PAIR);
        int id;
        new_address (NETWORKS[t], address);
        MUST (nn_bind (p, address));
        id = MUST (nn_connect (q, address));
        AWAIT_PEERS (p, 1);
        AWAIT_PEERS (q, 1);
        MUST (nn_shutdown (q, id));
        AWAIT_STAT (q, DROPPED, 1);
        AWAIT_STAT (p, BROKEN, 1);
        AWAIT_PEERS (p, 0);
        AWAIT_PEERS (q, 0);
        EQ (stat_of (q, BROKEN), 0);
        EQ (stat_of (p, DROPPED), 0);
        id = MUST (nn_connect (q, address));
        AWAIT_PEERS (p, 1);
        EQ (stat_of (p, ACCEPTED), 2);
        AWAIT_STAT (q, ESTABLISHED, 2);
        MUST (nn_close (q));
        AWAIT_STAT (p, BROKEN, 2);
        AWAIT_PEERS (p, 0);
        MUST (nn_close (p));
    }
}

static void refused_peers_count_as_broken_on_both_sides (void)
{
    /* A second PAIR, and a protocol that does not fit. */
    static const int others[] = {NN_PAIR, NN_PULL};
    int t;
    int i;
    for (t = 0; t < COUNT (NETWORKS); ++t)
        for (i = 0; i < COUNT (others); ++i) {
            char address[NN_SOCKADDR_MAX];
            int p = cooked (NN_PAIR);
            int q = cooked (NN_PAIR);
            int other = cooked (others[i]);
            new_address (NETWORKS[t], address);
            MUST (nn_bind (p, address));
            MUST (nn_connect (q, address));
            AWAIT_PEERS (p, 1);
            AWAIT_PEERS (q, 1);
            set_int (other, NN_SOL_SOCKET, NN_RECONNECT_IVL, 10);
            MUST (nn_connect (other, address));
            AWAIT (stat_of (other, BROKEN) >= 2);
            AWAIT (stat_of (p, BROKEN) >= 2);
            CHECK (stat_of (other, ESTABLISHED) >= 2);
            CHECK (stat_of (p, ACCEPTED) >= 3);
            EQ (stat_of (p, CURRENT), 1);
            EQ (stat_of (q, CURRENT), 1);
            EQ (stat_of (q, BROKEN), 0);
            EQ (stat_of (other, DROPPED), 0);
            MUST (nn_close (other));
            close_both (p, q);
        }
}

static void inproc_counts_pairings_only (void)
{
    char address[NN_SOCKADDR_MAX];
    int p = cooked (NN_PAIR);
    int q = cooked (NN_PAIR);
    new_address ("inproc", address);
    MUST (nn_connect (q, address));
    EQ (stat_of (q, NN_STAT_INPROGRESS_CONNECTIONS), 1);
    EQ (stat_of (q, ESTABLISHED), 0);
    MUST (nn_bind (p, address));
    EQ (stat_of (q, NN_STAT_INPROGRESS_CONNECTIONS), 0);
    EQ (stat_of (q, ESTABLISHED), 1);
    EQ (stat_of (p, ACCEPTED), 1);
    MUST (nn_close (p));
    EQ (stat_of (q, NN_STAT_INPROGRESS_CONNECTIONS), 1);
    EQ (stat_of (q, CURRENT), 0);
    EQ (stat_of (q, BROKEN), 0);
    EQ (stat_of (q, DROPPED), 0);
    MUST (nn_close (q));
}

static void the_current_send_priority_is_the_best_writable_one (void)
{
    char address[2][NN_SOCKADDR_MAX];
    int push = cooked (NN_PUSH);
    int two = cooked (NN_PULL);
    int three = cooked (NN_PULL);
    EQ (stat_of (push, NN_STAT_CURRENT_SND_PRIORITY), 0);
    new_address ("inproc", address[0]);
    new_address ("inproc", address[1]);
    MUST (nn_bind (two, address[0]));
    MUST (nn_bind (three, address[1]));
    set_int (push, NN_SOL_SOCKET, NN_SNDPRIO, 3);
    MUST (nn_connect (push, address[1]));
    EQ (stat_of (push, NN_STAT_CURRENT_SND_PRIORITY), 3);
    set_int (push, NN_SOL_SOCKET, NN_SNDPRIO, 2);
    MUST (nn_connect (push, address[0]));
    EQ (stat_of (push, NN_STAT_CURRENT_SND_PRIORITY), 2);
    MUST (nn_close (two));
    EQ (stat_of (push, NN_STAT_CURRENT_SND_PRIORITY), 3);
    MUST (nn_close (three));
    errno = 0;
    CHECK (nn_get_statistic (push, NN_STAT_CURRENT_SND_PRIORITY) == (uint64_t) -1);
    EQ (errno, 0);
    MUST (nn_close (push));
}

static void a_lost_listener_leaves_no_connection (void)
{
    int a;
    int b;
    open_linked (NN_PAIR, NN_PAIR, "tcp", &a, &b);
    SEND (b, "ABC");
    RECV (a, "ABC");
    MUST (nn_close (a));
    AWAIT_PEERS (b, 0);
    AWAIT_STAT (b, BROKEN, 1);
    AWAIT (stat_of (b, NN_STAT_CONNECT_ERRORS) >= 1);
    MUST (nn_close (b));
}

static const struct check_case CASES[] = {
    CASE (every_counter_starts_at_zero),
    CASE (an_unknown_counter_is_einval),
    CASE (messages_and_bytes_are_counted_without_headers),
    CASE (dropped_messages_count_as_sent_and_failures_do_not),
    CASE (resends_do_not_count),
    CASE (connect_errors_and_the_error_state),
    CASE (the_first_retry_is_immediate_and_the_next_waits),
    CASE (a_closed_peer_is_broken_here_and_dropped_there),
    CASE (refused_peers_count_as_broken_on_both_sides),
    CASE (inproc_counts_pairings_only),
    CASE (the_current_send_priority_is_the_best_writable_one),
    CASE (a_lost_listener_leaves_no_connection),
};

CHECK_MAIN (CASES)
