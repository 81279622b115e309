/* What a send accepted arrives: after nn_close, nn_shutdown, nn_term, and when main returns without them. */
#include "check.h"

#define LARGE 1500000
#define SMALL 100

/* Takes the messages of 100 bytes and the one of 1.5 MB, whole and in order. */
static void receive_everything (int s)
{
    static unsigned char body[LARGE + 1];
    int i;
    for (i = 0; i < SMALL; ++i) {
        EQ (nn_recv (s, body, sizeof body, 0), 100);
        EQ (body[0], i);
    }
    EQ (nn_recv (s, body, sizeof body, 0), LARGE);
    for (i = 0; i < LARGE; ++i)
        if (body[i] != (unsigned char) (i % 251))
            FAIL ("byte %d of the large message is wrong", i);
}

static void send_everything (int s)
{
    static unsigned char body[LARGE];
    int i;
    memset (body, 0, sizeof body);
    for (i = 0; i < SMALL; ++i) {
        body[0] = (unsigned char) i;
        EQ (nn_send (s, body, 100, 0), 100);
    }
    for (i = 0; i < LARGE; ++i)
        body[i] = (unsigned char) (i % 251);
    EQ (nn_send (s, body, LARGE, 0), LARGE);
}

static int connected_sender (void)
{
    int s = cooked (NN_PUSH);
    MUST (nn_connect (s, check_argument));
    AWAIT_PEERS (s, 1);
    send_everything (s);
    return s;
}

static void sender_that_returns_from_main (void)
{
    connected_sender ();
}

static void sender_that_calls_exit (void)
{
    connected_sender ();
    exit (0);
}

static int call_exit (struct call *c)
{
    (void) c;
    connected_sender ();
    exit (0);
}

static void sender_that_exits_in_another_thread (void)
{
    struct call c;
    call_start (&c, call_exit, 0, 0);
    for (;;)
        pause ();
}

static void sender_that_closes (void)
{
    MUST (nn_close (connected_sender ()));
    _exit (0);
}

static void sender_that_shuts_down (void)
{
    int s = connected_sender ();
    MUST (nn_shutdown (s, 1));
    MUST (nn_close (s));
    _exit (0);
}

static void sender_that_terminates (void)
{
    connected_sender ();
    nn_term ();
    _exit (0);
}

static void sender_with_a_long_linger (void)
{
    int s = connected_sender ();
    set_int (s, NN_SOL_SOCKET, NN_LINGER, 20000);
    MUST (nn_close (s));
    _exit (0);
}

/* Starts such a sender and takes everything it accepted. */
static void everything_arrives_from (const char *sender)
{
    int t;
    for (t = 0; t < COUNT (NETWORKS); ++t) {
        char address[NN_SOCKADDR_MAX];
        int pull = cooked (NN_PULL);
        pid_t pid;
        set_int (pull, NN_SOL_SOCKET, NN_RCVMAXSIZE, -1);
        new_address (NETWORKS[t], address);
        MUST (nn_bind (pull, address));
        pid = spawn (sender, address);
        receive_everything (pull);
        EQ (wait_child (pid), 0);
        MUST (nn_close (pull));
    }
}

static void r242_everything_arrives_when_main_returns (void)
{
    everything_arrives_from ("sender_that_returns_from_main");
}

static void r242_everything_arrives_after_exit (void)
{
    everything_arrives_from ("sender_that_calls_exit");
}

static void r242_everything_arrives_after_exit_in_another_thread (void)
{
    everything_arrives_from ("sender_that_exits_in_another_thread");
}

static void r242_everything_arrives_after_nn_close (void)
{
    everything_arrives_from ("sender_that_closes");
}

static void r242_everything_arrives_after_nn_shutdown (void)
{
    everything_arrives_from ("sender_that_shuts_down");
}

static void r242_everything_arrives_after_nn_term (void)
{
    everything_arrives_from ("sender_that_terminates");
}

/* The receiver starts reading only after the sender's close has begun to wait. Its buffer is far too small for
 * all of it, yet not tiny: TCP sends a segment every 200 ms into a window that never takes a whole one. */
static void r241_a_longer_linger_waits_for_a_slow_receiver (void)
{
    int t;
    for (t = 0; t < COUNT (NETWORKS); ++t) {
        char address[NN_SOCKADDR_MAX];
        int pull = cooked (NN_PULL);
        pid_t pid;
        set_int (pull, NN_SOL_SOCKET, NN_RCVMAXSIZE, -1);
        set_int (pull, NN_SOL_SOCKET, NN_RCVBUF, 20000);
        new_address (NETWORKS[t], address);
        MUST (nn_bind (pull, address));
        pid = spawn ("sender_with_a_long_linger", address);
        AWAIT_PEERS (pull, 1);
        /* Twice the linger time that sockets have by default. */
        pause_ms (2000);
        receive_everything (pull);
        EQ (wait_child (pid), 0);
        MUST (nn_close (pull));
    }
}

/* Messages the receiver's library already has stay, whatever becomes of the sender. */
static void r119_received_messages_survive_the_sender (void)
{
    int t;
    int i;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        int push;
        int pull;
        open_linked (NN_PUSH, NN_PULL, TRANSPORTS[t], &push, &pull);
        for (i = 0; i < 5; ++i)
            SEND (push, "ABC");
        MUST (nn_close (push));
        if (strcmp (TRANSPORTS[t], "inproc") == 0)
            EQ (stat_of (pull, NN_STAT_CURRENT_CONNECTIONS), 0);
        for (i = 0; i < 5; ++i)
            RECV (pull, "ABC");
        MUST (nn_close (pull));
    }
}

/* The close may wait, but never longer than the linger time, for a peer that reads nothing. */
static void r242_close_ends_when_the_linger_time_is_over (void)
{
    static const int lingers[] = {-2, 0, 300};
    int t;
    int i;
    for (t = 0; t < COUNT (NETWORKS); ++t)
        for (i = 0; i < COUNT (lingers); ++i) {
            static char body[100000];
            char address[NN_SOCKADDR_MAX];
            long long start;
            int limit = lingers[i] == -2 ? 1000 : lingers[i];
            int push = cooked (NN_PUSH);
            int pull = cooked (NN_PULL);
            if (lingers[i] != -2)
                set_int (push, NN_SOL_SOCKET, NN_LINGER, lingers[i]);
            new_address (NETWORKS[t], address);
            MUST (nn_bind (pull, address));
            MUST (nn_connect (push, address));
            AWAIT_PEERS (push, 1);
            while (nn_send (push, body, sizeof body, NN_DONTWAIT) > 0) {
            }
            start = now_ms ();
            MUST (nn_close (push));
            if (now_ms () - start > limit + 800)
                FAIL ("nn_close took %lld ms with a linger of %d", now_ms () - start, lingers[i]);
            MUST (nn_close (pull));
        }
}

static void r242_nn_term_waits_once_for_all_sockets (void)
{
    static char body[100000];
    char address[NN_SOCKADDR_MAX];
    long long start;
    int push[5];
    int i;
    for (i = 0; i < COUNT (push); ++i) {
        int pull = cooked (NN_PULL);
        push[i] = cooked (NN_PUSH);
        new_address ("tcp", address);
        MUST (nn_bind (pull, address));
        MUST (nn_connect (push[i], address));
        AWAIT_PEERS (push[i], 1);
        while (nn_send (push[i], body, sizeof body, NN_DONTWAIT) > 0) {
        }
    }
    start = now_ms ();
    nn_term ();
    CHECK (now_ms () - start < 2000);
}

static void an_idle_close_is_prompt (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        long long start;
        int a;
        int b;
        open_linked (NN_PAIR, NN_PAIR, TRANSPORTS[t], &a, &b);
        SEND (a, "ABC");
        RECV (b, "ABC");
        SEND (b, "DEF");
        RECV (a, "DEF");
        start = now_ms ();
        MUST (nn_close (a));
        MUST (nn_close (b));
        CHECK (now_ms () - start < 500);
    }
}

static int call_close (struct call *c)
{
    return nn_close (c->s);
}

static void a_large_message_survives_an_immediate_close (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        struct call c;
        static unsigned char body[900000];
        int push;
        int pull;
        int i;
        open_linked (NN_PUSH, NN_PULL, TRANSPORTS[t], &push, &pull);
        for (i = 0; i < (int) sizeof body; ++i)
            body[i] = (unsigned char) (i % 241);
        EQ (nn_send (push, body, sizeof body, 0), sizeof body);
        /* The close may wait for the reader, so it runs beside it. */
        call_start (&c, call_close, push, 0);
        memset (body, 0, sizeof body);
        EQ (nn_recv (pull, body, sizeof body, 0), sizeof body);
        for (i = 0; i < (int) sizeof body; ++i)
            EQ (body[i], i % 241);
        call_join (&c);
        EQ (c.rc, 0);
        MUST (nn_close (pull));
    }
}

static void exit_without_close_helper (void)
{
    char address[NN_SOCKADDR_MAX];
    int bound = cooked (NN_PAIR);
    int first = cooked (NN_PAIR);
    int second = cooked (NN_PAIR);
    new_address ("inproc", address);
    MUST (nn_bind (bound, address));
    MUST (nn_connect (first, address));
    MUST (nn_connect (second, address));
    SEND (bound, "HELLO");
    RECV (first, "HELLO");
}

static int call_recv_for_ever (struct call *c)
{
    set_timeouts (c->s, -1);
    return call_recv (c);
}

static void exit_while_blocked_helper (void)
{
    struct call c;
    int a;
    int b;
    open_linked (NN_PAIR, NN_PAIR, "tcp", &a, &b);
    call_start (&c, call_recv_for_ever, b, 0);
    call_await_blocked (&c);
}

/* A thread that nobody joins and that takes every error for the end of the world. */
static int call_insist (struct call *c)
{
    for (;;) {
        char byte;
        if (c->s2) {
            struct nn_pollfd p;
            p.fd = c->s;
            p.events = NN_POLLIN;
            if (nn_poll (&p, 1, 20) < 0)
                _exit (44);
            if (nn_recv (c->s, &byte, 1, NN_DONTWAIT) < 0 && nn_errno () != EAGAIN)
                _exit (45);
        } else if (nn_recv (c->s, &byte, 1, 0) < 0 && nn_errno () != ETIMEDOUT) {
            _exit (46);
        }
    }
    return 0;
}

static void linger_a_little (void)
{
    pause_ms (300);
}

static void exit_beside_threads_helper (void)
{
    static struct call c[3];
    int a;
    int b;
    int i;
    /* Runs behind the library's own handler, so that the threads have time to notice something. */
    atexit (linger_a_little);
    for (i = 0; i < COUNT (c); ++i) {
        open_linked (NN_PAIR, NN_PAIR, "tcp", &a, &b);
        set_timeouts (b, i == 1 ? 20 : -1);
        call_start (&c[i], call_insist, b, i == 2);
        SEND (a, "ABC");
    }
    call_await_blocked (&c[0]);
    exit (7);
}

static void threads_that_run_to_the_end_are_not_disturbed_by_the_exit (void)
{
    EQ (wait_child (spawn ("exit_beside_threads_helper", "")), 7);
}

static struct call joined_at_exit;
static int socket_of_the_joined;

static void close_and_join (void)
{
    MUST (nn_close (socket_of_the_joined));
    call_join (&joined_at_exit);
    EQ (joined_at_exit.error, EBADF);
}

static void join_at_exit_helper (void)
{
    int a;
    atexit (close_and_join);
    open_linked (NN_PAIR, NN_PAIR, "tcp", &a, &socket_of_the_joined);
    call_start (&joined_at_exit, call_recv_for_ever, socket_of_the_joined, 0);
    call_await_blocked (&joined_at_exit);
    exit (8);
}

static void a_program_may_close_and_join_at_exit (void)
{
    EQ (wait_child (spawn ("join_at_exit_helper", "")), 8);
}

static void leave (int number)
{
    (void) number;
    exit (9);
}

static void exit_in_a_handler_helper (void)
{
    char byte;
    int a;
    int b;
    open_linked (NN_PAIR, NN_PAIR, "tcp", &a, &b);
    set_timeouts (b, -1);
    CHECK (signal (SIGALRM, leave) != SIG_ERR);
    alarm (1);
    nn_recv (b, &byte, 1, 0);
    _exit (1);
}

static void exit_in_a_signal_handler_amid_a_receive_is_prompt (void)
{
    long long start = now_ms ();
    EQ (wait_child (spawn ("exit_in_a_handler_helper", "")), 9);
    CHECK (now_ms () - start < 4000);
}

static void a_process_that_closes_nothing_exits_cleanly (void)
{
    long long start = now_ms ();
    EQ (wait_child (spawn ("exit_without_close_helper", "")), 0);
    EQ (wait_child (spawn ("exit_while_blocked_helper", "")), 0);
    CHECK (now_ms () - start < 5000);
}

static const struct check_case CASES[] = {
    CASE (r242_everything_arrives_when_main_returns),
    CASE (r242_everything_arrives_after_exit),
    CASE (r242_everything_arrives_after_exit_in_another_thread),
    CASE (r242_everything_arrives_after_nn_close),
    CASE (r242_everything_arrives_after_nn_shutdown),
    CASE (r242_everything_arrives_after_nn_term),
    CASE (r241_a_longer_linger_waits_for_a_slow_receiver),
    CASE (r119_received_messages_survive_the_sender),
    CASE (r242_close_ends_when_the_linger_time_is_over),
    ALONE (r242_nn_term_waits_once_for_all_sockets),
    CASE (an_idle_close_is_prompt),
    CASE (a_large_message_survives_an_immediate_close),
    CASE (a_process_that_closes_nothing_exits_cleanly),
    CASE (threads_that_run_to_the_end_are_not_disturbed_by_the_exit),
    CASE (a_program_may_close_and_join_at_exit),
    CASE (exit_in_a_signal_handler_amid_a_receive_is_prompt),
    HELPER (sender_that_returns_from_main),
    HELPER (sender_that_calls_exit),
    HELPER (sender_that_exits_in_another_thread),
    HELPER (sender_that_closes),
    HELPER (sender_that_shuts_down),
    HELPER (sender_that_terminates),
    HELPER (sender_with_a_long_linger),
    HELPER (exit_without_close_helper),
    HELPER (exit_while_blocked_helper),
    HELPER (exit_beside_threads_helper),
    HELPER (join_at_exit_helper),
    HELPER (exit_in_a_handler_helper),
};

CHECK_MAIN (CASES)
