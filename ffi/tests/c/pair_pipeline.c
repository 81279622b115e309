/* PAIR, PUSH and PULL: sends and receives, order, fairness, priorities. */
#include "check.h"

static void close_both (int a, int b)
{
    MUST (nn_close (a));
    MUST (nn_close (b));
}

static void pair_talks_in_both_directions (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        int a;
        int b;
        int i;
        open_linked (NN_PAIR, NN_PAIR, TRANSPORTS[t], &a, &b);
        for (i = 0; i < 100; ++i) {
            SEND (b, "ABC");
            RECV (a, "ABC");
            SEND (a, "DEFG");
            RECV (b, "DEFG");
        }
        for (i = 0; i < 100; ++i)
            SEND (a, "0123456789012345678901234567890123456789");
        for (i = 0; i < 100; ++i)
            RECV (b, "0123456789012345678901234567890123456789");
        close_both (a, b);
    }
}

static void r110_messages_of_a_pipe_stay_in_order (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        int a;
        int b;
        int i;
        int got;
        open_linked (NN_PAIR, NN_PAIR, TRANSPORTS[t], &a, &b);
        for (i = 0; i < 3000; ++i) {
            EQ (nn_send (a, &i, sizeof i, 0), sizeof i);
            if (i % 100 == 99)
                for (got = i - 99; got <= i; ++got) {
                    int value = -1;
                    EQ (nn_recv (b, &value, sizeof value, 0), sizeof value);
                    EQ (value, got);
                }
        }
        close_both (a, b);
    }
}

static void r124_pair_without_a_peer_waits (void)
{
    int domain;
    for (domain = AF_SP; domain <= AF_SP_RAW; ++domain) {
        int s = open_in (domain, NN_PAIR);
        char byte;
        FAILS (nn_send (s, "x", 1, NN_DONTWAIT), EAGAIN);
        FAILS (nn_recv (s, &byte, 1, NN_DONTWAIT), EAGAIN);
        set_timeouts (s, 30);
        FAILS (nn_send (s, "x", 1, 0), ETIMEDOUT);
        FAILS (nn_recv (s, &byte, 1, 0), ETIMEDOUT);
        set_timeouts (s, 0);
        FAILS (nn_send (s, "x", 1, 0), ETIMEDOUT);
        FAILS (nn_recv (s, &byte, 1, 0), ETIMEDOUT);
        MUST (nn_close (s));
    }
}

static void r102_timeouts_last_as_long_as_they_say (void)
{
    int s = cooked (NN_PAIR);
    char byte;
    long long start;
    long long took;
    set_timeouts (s, 100);
    start = now_ms ();
    FAILS (nn_recv (s, &byte, 1, 0), ETIMEDOUT);
    took = now_ms () - start;
    CHECK (took >= 90 && took < 600);
    start = now_ms ();
    FAILS (nn_send (s, "x", 1, 0), ETIMEDOUT);
    took = now_ms () - start;
    CHECK (took >= 90 && took < 600);
    MUST (nn_close (s));
}

static void r102_blocked_calls_go_on_when_they_can (void)
{
    struct call c;
    char address[NN_SOCKADDR_MAX];
    int a = cooked (NN_PAIR);
    int b = cooked (NN_PAIR);
    set_timeouts (a, -1);
    new_address ("tcp", address);
    MUST (nn_connect (a, address));
    call_start (&c, call_send, a, 0);
    call_await_blocked (&c);
    MUST (nn_bind (b, address));
    call_join (&c);
    EQ (c.rc, 3);
    RECV (b, "ABC");
    call_start (&c, call_recv, a, 0);
    call_await_blocked (&c);
    SEND (b, "DEFG");
    call_join (&c);
    EQ (c.rc, 4);
    close_both (a, b);
}

static void r104_sends_and_receives_against_the_direction_are_enotsup (void)
{
    int domain;
    for (domain = AF_SP; domain <= AF_SP_RAW; ++domain) {
        int push = open_in (domain, NN_PUSH);
        int pull = open_in (domain, NN_PULL);
        int pub = open_in (domain, NN_PUB);
        int sub = open_in (domain, NN_SUB);
        char byte;
        FAILS (nn_recv (push, &byte, 1, 0), ENOTSUP);
        FAILS (nn_recv (push, &byte, 1, NN_DONTWAIT), ENOTSUP);
        FAILS (nn_recv (pub, &byte, 1, 0), ENOTSUP);
        FAILS (nn_recv (pub, &byte, 1, NN_DONTWAIT), ENOTSUP);
        FAILS (nn_send (pull, "x", 1, 0), ENOTSUP);
        FAILS (nn_send (pull, "x", 1, NN_DONTWAIT), ENOTSUP);
        FAILS (nn_send (sub, "x", 1, 0), ENOTSUP);
        FAILS (nn_send (sub, "x", 1, NN_DONTWAIT), ENOTSUP);
        close_both (push, pull);
        close_both (pub, sub);
    }
}

/* The second peer stays out, the first is undisturbed, and its place is free when it leaves. */
static void r122_a_second_peer_waits_until_r123_the_first_has_left (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        char address[NN_SOCKADDR_MAX];
        int bound = cooked (NN_PAIR);
        int first = cooked (NN_PAIR);
        int second = cooked (NN_PAIR);
        new_address (TRANSPORTS[t], address);
        set_int (second, NN_SOL_SOCKET, NN_RECONNECT_IVL, 20);
        MUST (nn_bind (bound, address));
        MUST (nn_connect (first, address));
        AWAIT_PEERS (first, 1);
        AWAIT_PEERS (bound, 1);
        MUST (nn_connect (second, address));
        if (strcmp (TRANSPORTS[t], "inproc") != 0)
            AWAIT (stat_of (second, NN_STAT_BROKEN_CONNECTIONS) > 0);
        SEND (bound, "HELLO");
        RECV (first, "HELLO");
        SEND (first, "THERE");
        RECV (bound, "THERE");
        EQ (stat_of (bound, NN_STAT_CURRENT_CONNECTIONS), 1);
        MUST (nn_close (first));
        SEND (second, "MINE");
        RECV (bound, "MINE");
        SEND (bound, "YES");
        RECV (second, "YES");
        close_both (second, bound);
    }
}

static void r187_each_message_goes_to_exactly_one_worker (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        char address[NN_SOCKADDR_MAX];
        int push = cooked (NN_PUSH);
        int one = cooked (NN_PULL);
        int two = cooked (NN_PULL);
        char byte;
        new_address (TRANSPORTS[t], address);
        MUST (nn_bind (push, address));
        MUST (nn_connect (one, address));
        AWAIT_PEERS (push, 1);
        MUST (nn_connect (two, address));
        AWAIT_PEERS (push, 2);
        SEND (push, "ABC");
        SEND (push, "DEF");
        RECV (one, "ABC");
        RECV (two, "DEF");
        FAILS (nn_recv (one, &byte, 1, NN_DONTWAIT), EAGAIN);
        FAILS (nn_recv (two, &byte, 1, NN_DONTWAIT), EAGAIN);
        MUST (nn_close (push));
        close_both (one, two);
    }
}

static void r190_a_puller_takes_from_all_its_peers (void)
{
    int pull = cooked (NN_PULL);
    int push[3];
    char address[NN_SOCKADDR_MAX];
    int i;
    int k;
    new_address ("inproc", address);
    MUST (nn_bind (pull, address));
    for (i = 0; i < 3; ++i) {
        push[i] = cooked (NN_PUSH);
        MUST (nn_connect (push[i], address));
    }
    for (k = 0; k < 4; ++k)
        for (i = 0; i < 3; ++i) {
            char text[3];
            snprintf (text, sizeof text, "%d%d", i, k);
            SEND (push[i], text);
        }
    for (k = 0; k < 4; ++k)
        for (i = 0; i < 3; ++i) {
            char text[3];
            snprintf (text, sizeof text, "%d%d", i, k);
            RECV (pull, text);
        }
    for (i = 0; i < 3; ++i)
        MUST (nn_close (push[i]));
    MUST (nn_close (pull));
}

static void r188_push_without_a_worker_waits (void)
{
    int push = cooked (NN_PUSH);
    int pull;
    char address[NN_SOCKADDR_MAX];
    new_address ("inproc", address);
    FAILS (nn_send (push, "x", 1, NN_DONTWAIT), EAGAIN);
    set_int (push, NN_SOL_SOCKET, NN_SNDTIMEO, 30);
    FAILS (nn_send (push, "x", 1, 0), ETIMEDOUT);
    MUST (nn_bind (push, address));
    pull = cooked (NN_PULL);
    MUST (nn_connect (pull, address));
    SEND (push, "ABC");
    RECV (pull, "ABC");
    MUST (nn_close (pull));
    FAILS (nn_send (push, "x", 1, NN_DONTWAIT), EAGAIN);
    pull = cooked (NN_PULL);
    MUST (nn_connect (pull, address));
    SEND (push, "DEF");
    RECV (pull, "DEF");
    close_both (push, pull);
}

static void r109_the_best_send_priority_gets_everything (void)
{
    char address[2][NN_SOCKADDR_MAX];
    int push = cooked (NN_PUSH);
    int one = cooked (NN_PULL);
    int two = cooked (NN_PULL);
    new_address ("inproc", address[0]);
    new_address ("inproc", address[1]);
    MUST (nn_bind (one, address[0]));
    MUST (nn_bind (two, address[1]));
    set_int (push, NN_SOL_SOCKET, NN_SNDPRIO, 2);
    MUST (nn_connect (push, address[1]));
    set_int (push, NN_SOL_SOCKET, NN_SNDPRIO, 1);
    MUST (nn_connect (push, address[0]));
    set_int (push, NN_SOL_SOCKET, NN_SNDPRIO, 16);
    SEND (push, "ABC");
    SEND (push, "DEF");
    RECV (one, "ABC");
    RECV (one, "DEF");
    MUST (nn_close (one));
    SEND (push, "GHI");
    RECV (two, "GHI");
    close_both (push, two);
}

static void r109_the_best_receive_priority_is_read_first (void)
{
    char address[2][NN_SOCKADDR_MAX];
    int pull = cooked (NN_PULL);
    int one = cooked (NN_PUSH);
    int two = cooked (NN_PUSH);
    new_address ("inproc", address[0]);
    new_address ("inproc", address[1]);
    set_int (pull, NN_SOL_SOCKET, NN_RCVPRIO, 2);
    MUST (nn_bind (pull, address[0]));
    set_int (pull, NN_SOL_SOCKET, NN_RCVPRIO, 1);
    MUST (nn_bind (pull, address[1]));
    MUST (nn_connect (one, address[0]));
    MUST (nn_connect (two, address[1]));
    SEND (one, "ABC");
    SEND (two, "DEF");
    RECV (pull, "DEF");
    RECV (pull, "ABC");
    MUST (nn_close (pull));
    close_both (one, two);
}

static void r115_a_busy_worker_is_skipped (void)
{
    char address[2][NN_SOCKADDR_MAX];
    char large[1000];
    int push = cooked (NN_PUSH);
    int one = cooked (NN_PULL);
    int two = cooked (NN_PULL);
    int i;
    memset (large, 'x', sizeof large);
    set_int (one, NN_SOL_SOCKET, NN_RCVBUF, 100);
    set_int (two, NN_SOL_SOCKET, NN_RCVBUF, 100);
    new_address ("inproc", address[0]);
    new_address ("inproc", address[1]);
    MUST (nn_bind (one, address[0]));
    MUST (nn_bind (two, address[1]));
    set_int (push, NN_SOL_SOCKET, NN_SNDPRIO, 1);
    MUST (nn_connect (push, address[0]));
    set_int (push, NN_SOL_SOCKET, NN_SNDPRIO, 2);
    MUST (nn_connect (push, address[1]));
    /* One message fills the queue and the next the slot before it; then the worse class is used. */
    for (i = 0; i < 4; ++i)
        EQ (nn_send (push, large, sizeof large, NN_DONTWAIT), sizeof large);
    FAILS (nn_send (push, large, sizeof large, NN_DONTWAIT), EAGAIN);
    for (i = 0; i < 2; ++i) {
        EQ (nn_recv (one, large, sizeof large, NN_DONTWAIT), sizeof large);
        EQ (nn_recv (two, large, sizeof large, NN_DONTWAIT), sizeof large);
    }
    MUST (nn_close (push));
    close_both (one, two);
}

static void r9_unlike_protocols_never_connect (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        char address[NN_SOCKADDR_MAX];
        int pair = cooked (NN_PAIR);
        int pull = cooked (NN_PULL);
        new_address (TRANSPORTS[t], address);
        MUST (nn_bind (pair, address));
        MUST (nn_connect (pull, address));
        set_int (pair, NN_SOL_SOCKET, NN_SNDTIMEO, CHECK_QUIET_MS);
        FAILS (nn_send (pair, "ABC", 3, 0), ETIMEDOUT);
        close_both (pair, pull);
        pair = cooked (NN_PAIR);
        pull = cooked (NN_PULL);
        new_address (TRANSPORTS[t], address);
        MUST (nn_connect (pull, address));
        MUST (nn_bind (pair, address));
        set_int (pair, NN_SOL_SOCKET, NN_SNDTIMEO, CHECK_QUIET_MS);
        FAILS (nn_send (pair, "ABC", 3, 0), ETIMEDOUT);
        EQ (stat_of (pair, NN_STAT_CURRENT_CONNECTIONS), 0);
        close_both (pair, pull);
    }
}

static void r79_a_payload_above_the_limit_costs_the_connection (void)
{
    int t;
    for (t = 0; t < COUNT (NETWORKS); ++t) {
        int a;
        int b;
        char byte;
        open_linked (NN_PAIR, NN_PAIR, NETWORKS[t], &a, &b);
        set_int (a, NN_SOL_SOCKET, NN_RCVMAXSIZE, 4);
        SEND (b, "ABCD");
        RECV (a, "ABCD");
        SEND (b, "ABCDE");
        AWAIT (stat_of (a, NN_STAT_BROKEN_CONNECTIONS) == 1);
        FAILS (nn_recv (a, &byte, 1, NN_DONTWAIT), EAGAIN);
        AWAIT_PEERS (a, 1);
        set_int (a, NN_SOL_SOCKET, NN_RCVMAXSIZE, -1);
        AWAIT (stat_of (b, NN_STAT_ESTABLISHED_CONNECTIONS) == 2);
        AWAIT_PEERS (b, 1);
        SEND (b, "ABCDE");
        RECV (a, "ABCDE");
        close_both (a, b);
    }
}

static void r87_inproc_has_no_limit (void)
{
    int a;
    int b;
    open_linked (NN_PAIR, NN_PAIR, "inproc", &a, &b);
    set_int (a, NN_SOL_SOCKET, NN_RCVMAXSIZE, 4);
    SEND (b, "ABCDE");
    RECV (a, "ABCDE");
    close_both (a, b);
}

static void r235_traffic_resumes_when_the_listener_returns (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        char address[NN_SOCKADDR_MAX];
        int round;
        int push = cooked (NN_PUSH);
        set_int (push, NN_SOL_SOCKET, NN_RECONNECT_IVL, 10);
        new_address (TRANSPORTS[t], address);
        MUST (nn_connect (push, address));
        for (round = 0; round < 5; ++round) {
            int pull = cooked (NN_PULL);
            MUST (nn_bind (pull, address));
            AWAIT_PEERS (push, 1);
            SEND (push, "ABC");
            RECV (pull, "ABC");
            MUST (nn_close (pull));
            AWAIT_PEERS (push, 0);
        }
        MUST (nn_close (push));
    }
}

static const struct check_case CASES[] = {
    CASE (pair_talks_in_both_directions),
    CASE (r110_messages_of_a_pipe_stay_in_order),
    CASE (r124_pair_without_a_peer_waits),
    CASE (r102_timeouts_last_as_long_as_they_say),
    CASE (r102_blocked_calls_go_on_when_they_can),
    CASE (r104_sends_and_receives_against_the_direction_are_enotsup),
    CASE (r122_a_second_peer_waits_until_r123_the_first_has_left),
    CASE (r187_each_message_goes_to_exactly_one_worker),
    CASE (r190_a_puller_takes_from_all_its_peers),
    CASE (r188_push_without_a_worker_waits),
    CASE (r109_the_best_send_priority_gets_everything),
    CASE (r109_the_best_receive_priority_is_read_first),
    CASE (r115_a_busy_worker_is_skipped),
    CASE (r9_unlike_protocols_never_connect),
    CASE (r79_a_payload_above_the_limit_costs_the_connection),
    CASE (r87_inproc_has_no_limit),
    CASE (r235_traffic_resumes_when_the_listener_returns),
};

CHECK_MAIN (CASES)
