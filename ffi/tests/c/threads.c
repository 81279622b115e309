/* One socket in many threads; closing under everybody's feet. */
#include "check.h"

#include <dirent.h>

#define SENDERS 4
#define RECEIVERS 4
#define EACH 3000

struct shared {
    int seen[SENDERS][EACH];
    int received;
};

struct numbered {
    int sender;
    int number;
};

static struct shared shared;

static int call_send_numbers (struct call *c)
{
    struct numbered n;
    n.sender = c->s2;
    for (n.number = 0; n.number < EACH; ++n.number)
        if (nn_send (c->s, &n, sizeof n, 0) != sizeof n)
            return -1;
    return 0;
}

/* Takes messages until the socket is closed. One receiver sees each sender's numbers in rising order. */
static int call_receive_numbers (struct call *c)
{
    int last[SENDERS];
    int i;
    for (i = 0; i < SENDERS; ++i)
        last[i] = -1;
    for (;;) {
        struct numbered n;
        int rc = nn_recv (c->s, &n, sizeof n, 0);
        if (rc == -1)
            return nn_errno () == EBADF ? 0 : -1;
        if (rc != sizeof n || n.sender < 0 || n.sender >= SENDERS || n.number < 0 || n.number >= EACH)
            return -2;
        if (n.number <= last[n.sender])
            return -3;
        last[n.sender] = n.number;
        __atomic_add_fetch (&shared.seen[n.sender][n.number], 1, __ATOMIC_SEQ_CST);
        __atomic_add_fetch (&shared.received, 1, __ATOMIC_SEQ_CST);
    }
}

static void messages_are_neither_lost_nor_doubled_nor_mixed (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        struct call senders[SENDERS];
        struct call receivers[RECEIVERS];
        int push;
        int pull;
        int i;
        int k;
        memset (&shared, 0, sizeof shared);
        open_linked (NN_PUSH, NN_PULL, TRANSPORTS[t], &push, &pull);
        for (i = 0; i < RECEIVERS; ++i)
            call_start (&receivers[i], call_receive_numbers, pull, 0);
        for (i = 0; i < SENDERS; ++i)
            call_start (&senders[i], call_send_numbers, push, i);
        for (i = 0; i < SENDERS; ++i) {
            call_join (&senders[i]);
            EQ (senders[i].rc, 0);
        }
        AWAIT (__atomic_load_n (&shared.received, __ATOMIC_SEQ_CST) == SENDERS * EACH);
        MUST (nn_close (pull));
        for (i = 0; i < RECEIVERS; ++i) {
            call_join (&receivers[i]);
            EQ (receivers[i].rc, 0);
        }
        for (i = 0; i < SENDERS; ++i)
            for (k = 0; k < EACH; ++k)
                EQ (shared.seen[i][k], 1);
        MUST (nn_close (push));
    }
}

static int call_echo (struct call *c)
{
    for (;;) {
        void *msg = NULL;
        int rc = nn_recv (c->s, &msg, NN_MSG, 0);
        if (rc < 0)
            return nn_errno () == EBADF ? 0 : -1;
        if (nn_send (c->s, &msg, NN_MSG, 0) != rc) {
            int error = nn_errno ();
            nn_freemsg (msg);
            return error == EBADF ? 0 : -2;
        }
    }
}

static void receiving_and_sending_threads_share_a_socket (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        struct call c[3];
        int a;
        int b;
        int i;
        open_linked (NN_PAIR, NN_PAIR, TRANSPORTS[t], &a, &b);
        for (i = 0; i < COUNT (c); ++i)
            call_start (&c[i], call_echo, b, 0);
        for (i = 0; i < 2000; ++i) {
            SEND (a, "echo");
            RECV (a, "echo");
        }
        MUST (nn_close (b));
        for (i = 0; i < COUNT (c); ++i) {
            call_join (&c[i]);
            EQ (c[i].rc, 0);
        }
        MUST (nn_close (a));
    }
}

static void one_message_wakes_one_of_several_receivers (void)
{
    struct call c[4];
    int a;
    int b;
    int done = 0;
    int i;
    open_linked (NN_PUSH, NN_PULL, "tcp", &a, &b);
    for (i = 0; i < COUNT (c); ++i) {
        call_start (&c[i], call_recv, b, 0);
        call_await_blocked (&c[i]);
    }
    for (i = 0; i < COUNT (c); ++i) {
        int k;
        SEND (a, "ABC");
        do
            for (done = 0, k = 0; k < COUNT (c); ++k)
                done += call_done (&c[k]);
        while (done <= i);
        EQ (done, i + 1);
    }
    for (i = 0; i < COUNT (c); ++i) {
        call_join (&c[i]);
        EQ (c[i].rc, 3);
    }
    MUST (nn_close (a));
    MUST (nn_close (b));
}

static void all_blocked_threads_leave_when_the_socket_closes (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        struct call c[16];
        char address[NN_SOCKADDR_MAX];
        int s = cooked (NN_PAIR);
        int i;
        new_address (TRANSPORTS[t], address);
        set_timeouts (s, -1);
        MUST (nn_bind (s, address));
        for (i = 0; i < COUNT (c); ++i)
            call_start (&c[i], i % 2 ? call_recv : call_send, s, 0);
        for (i = 0; i < COUNT (c); ++i)
            call_await_blocked (&c[i]);
        MUST (nn_close (s));
        for (i = 0; i < COUNT (c); ++i) {
            call_join (&c[i]);
            EQ (c[i].rc, -1);
            EQ (c[i].error, EBADF);
        }
    }
}

static void a_number_is_not_reused_before_all_callers_have_left (void)
{
    int round;
    for (round = 0; round < 30; ++round) {
        struct call c;
        int s = cooked (NN_PAIR);
        int next;
        set_timeouts (s, -1);
        call_start (&c, call_recv, s, 0);
        call_await_blocked (&c);
        MUST (nn_close (s));
        next = cooked (NN_PAIR);
        EQ (next, s);
        call_join (&c);
        EQ (c.error, EBADF);
        MUST (nn_close (next));
    }
}

static int call_open_talk_close (struct call *c)
{
    int i;
    for (i = 0; i < 30; ++i) {
        char address[NN_SOCKADDR_MAX];
        char buf[3];
        int a = nn_socket (AF_SP, NN_PAIR);
        int b = nn_socket (AF_SP, NN_PAIR);
        if (a < 0 || b < 0)
            return -1;
        set_timeouts (a, CHECK_EVENT_MS);
        set_timeouts (b, CHECK_EVENT_MS);
        new_address (TRANSPORTS[(c->s + i) % 3], address);
        if (nn_connect (a, address) < 0 || nn_bind (b, address) < 0)
            return -2;
        if (nn_send (a, "ABC", 3, 0) != 3 || nn_recv (b, buf, 3, 0) != 3)
            return -3;
        if (nn_close (a) != 0 || nn_close (b) != 0)
            return -4;
    }
    return 0;
}

static void threads_with_sockets_of_their_own_do_not_meet (void)
{
    struct call c[8];
    int i;
    for (i = 0; i < COUNT (c); ++i)
        call_start (&c[i], call_open_talk_close, i, 0);
    for (i = 0; i < COUNT (c); ++i) {
        call_join (&c[i]);
        EQ (c[i].rc, 0);
    }
}

static int call_options (struct call *c)
{
    int i;
    for (i = 1; i < 2000; ++i) {
        int value = i;
        size_t size = sizeof value;
        if (nn_setsockopt (c->s, NN_SOL_SOCKET, NN_RECONNECT_IVL, &value, sizeof value) != 0
            || nn_getsockopt (c->s, NN_SOL_SOCKET, NN_RECONNECT_IVL, &value, &size) != 0 || value < 1)
            return -1;
        nn_get_statistic (c->s, NN_STAT_MESSAGES_SENT);
    }
    return 0;
}

static void options_may_change_while_others_send_and_receive (void)
{
    struct call c[4];
    int a;
    int b;
    int i;
    open_linked (NN_PAIR, NN_PAIR, "tcp", &a, &b);
    for (i = 0; i < COUNT (c); ++i)
        call_start (&c[i], call_options, i % 2 ? a : b, 0);
    for (i = 0; i < 1000; ++i) {
        SEND (a, "ABC");
        RECV (b, "ABC");
    }
    for (i = 0; i < COUNT (c); ++i) {
        call_join (&c[i]);
        EQ (c[i].rc, 0);
    }
    MUST (nn_close (a));
    MUST (nn_close (b));
}

/* Threads of this process whose names begin like those of the library's I/O threads. */
static int io_threads (void)
{
    int n = 0;
    struct dirent *e;
    DIR *d = opendir ("/proc/self/task");
    CHECK (d != NULL);
    while ((e = readdir (d)) != NULL) {
        char path[300];
        char name[32] = "";
        FILE *f;
        snprintf (path, sizeof path, "/proc/self/task/%s/comm", e->d_name);
        f = fopen (path, "r");
        if (f == NULL)
            continue;
        n += fgets (name, sizeof name, f) != NULL && strncmp (name, "spmsg-io-", 9) == 0;
        fclose (f);
    }
    closedir (d);
    return n;
}

/*  Also in the middle of a conversation, which goes on.  */
static void spinning_can_be_switched_off (void)
{
    static const int settings[] = {0, 1, 0};
    int a;
    int b;
    open_linked (NN_PAIR, NN_PAIR, "tcp", &a, &b);
    for (int i = 0; i < 3; i++) {
        spmsg_spin (settings[i]);
        for (int n = 0; n < 200; n++) {
            SEND (a, "ABC");
            RECV (b, "ABC");
            SEND (b, "DEF");
            RECV (a, "DEF");
        }
    }
    MUST (nn_close (a));
    MUST (nn_close (b));
}

static void the_number_of_io_threads_can_be_set (void)
{
    int a;
    int b;
    FAILS (spmsg_io_threads (0), EINVAL);
    FAILS (spmsg_io_threads (-1), EINVAL);
    FAILS (spmsg_io_threads (65), EINVAL);
    EQ (spmsg_io_threads (2), 0);
    EQ (io_threads (), 0);
    open_linked (NN_PAIR, NN_PAIR, "tcp", &a, &b);
    AWAIT (io_threads () == 2);
    EQ (spmsg_io_threads (3), 0);
    AWAIT (io_threads () == 3);
    SEND (a, "ABC");
    RECV (b, "ABC");
    MUST (nn_close (a));
    MUST (nn_close (b));
    AWAIT (io_threads () == 0);
}

static const struct check_case CASES[] = {
    CASE (messages_are_neither_lost_nor_doubled_nor_mixed),
    CASE (receiving_and_sending_threads_share_a_socket),
    CASE (one_message_wakes_one_of_several_receivers),
    CASE (all_blocked_threads_leave_when_the_socket_closes),
    CASE (a_number_is_not_reused_before_all_callers_have_left),
    CASE (threads_with_sockets_of_their_own_do_not_meet),
    CASE (options_may_change_while_others_send_and_receive),
    ALONE (spinning_can_be_switched_off),
    ALONE (the_number_of_io_threads_can_be_set),
};

CHECK_MAIN (CASES)
