/* fork without exec: the child has none of the parent's sockets, and the parent keeps all of its own. */
#include "check.h"

/* The child's part runs in the child; its exit status tells how it went. */
static void in_child (void (*part) (int, int), int a, int b)
{
    pid_t pid = fork ();
    CHECK (pid >= 0);
    if (pid == 0) {
        alarm (30);
        part (a, b);
        /* Like a program that returns from main: handlers at exit run. */
        exit (0);
    }
    EQ (wait_child (pid), 0);
}

static void all_inherited_calls_fail (int a, int b)
{
    struct nn_pollfd p;
    char byte;
    int value = 1;
    size_t size = sizeof value;
    FAILS (nn_send (a, "CHILD", 5, 0), EBADF);
    FAILS (nn_recv (b, &byte, 1, 0), EBADF);
    FAILS (nn_bind (a, "inproc://child"), EBADF);
    FAILS (nn_connect (b, "inproc://child"), EBADF);
    FAILS (nn_setsockopt (a, 0, NN_SNDBUF, &value, sizeof value), EBADF);
    FAILS (nn_getsockopt (a, 0, NN_SNDBUF, &value, &size), EBADF);
    FAILS (nn_shutdown (a, 1), EBADF);
    p.fd = a;
    p.events = NN_POLLIN;
    FAILS (nn_poll (&p, 1, 0), EBADF);
    FAILS (nn_close (a), EBADF);
    FAILS (nn_close (b), EBADF);
}

static void inherited_sockets_are_ebadf_in_the_child (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        int a;
        int b;
        open_linked (NN_PAIR, NN_PAIR, TRANSPORTS[t], &a, &b);
        SEND (a, "BEFORE");
        in_child (all_inherited_calls_fail, a, b);
        RECV (b, "BEFORE");
        SEND (b, "AFTER");
        RECV (a, "AFTER");
        MUST (nn_close (a));
        MUST (nn_close (b));
    }
}

static void new_sockets_talk (int a, int b)
{
    int t;
    (void) a;
    (void) b;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        int c;
        int d;
        open_linked (NN_REP, NN_REQ, TRANSPORTS[t], &c, &d);
        SEND (d, "CHILD");
        RECV (c, "CHILD");
        SEND (c, "REPLY");
        RECV (d, "REPLY");
        MUST (nn_close (c));
        MUST (nn_close (d));
    }
}

static void new_sockets_work_in_the_child (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        int a;
        int b;
        open_linked (NN_PAIR, NN_PAIR, TRANSPORTS[t], &a, &b);
        in_child (new_sockets_talk, a, b);
        SEND (a, "ABC");
        RECV (b, "ABC");
        MUST (nn_close (a));
        MUST (nn_close (b));
    }
}

static void forking_before_the_first_socket_is_nothing_special (void)
{
    in_child (new_sockets_talk, -1, -1);
    new_sockets_talk (-1, -1);
}

static void only_leaves (int a, int b)
{
    (void) a;
    (void) b;
}

static void terminates (int a, int b)
{
    (void) a;
    (void) b;
    nn_term ();
}

static void closes_all_descriptors (int a, int b)
{
    int fd;
    (void) a;
    (void) b;
    for (fd = 3; fd < 1024; ++fd)
        close (fd);
}

static void the_parent_s_file_and_connections_survive_the_child (void)
{
    static void (*const parts[]) (int, int) = {
        only_leaves, terminates, closes_all_descriptors, new_sockets_talk, all_inherited_calls_fail,
    };
    int push = cooked (NN_PUSH);
    int pull = cooked (NN_PULL);
    int late;
    int i;
    MUST (nn_bind (pull, "ipc://parent.sock"));
    MUST (nn_connect (push, "ipc://parent.sock"));
    AWAIT_PEERS (pull, 1);
    for (i = 0; i < COUNT (parts); ++i) {
        in_child (parts[i], push, pull);
        EQ (access ("parent.sock", F_OK), 0);
        SEND (push, "ABC");
        RECV (pull, "ABC");
    }
    EQ (stat_of (pull, NN_STAT_ACCEPTED_CONNECTIONS), 1);
    EQ (stat_of (push, NN_STAT_BROKEN_CONNECTIONS), 0);
    late = cooked (NN_PUSH);
    MUST (nn_connect (late, "ipc://parent.sock"));
    AWAIT_PEERS (pull, 2);
    SEND (late, "DEF");
    RECV (pull, "DEF");
    MUST (nn_close (late));
    MUST (nn_close (push));
    MUST (nn_close (pull));
}

/* What waits in the parent is sent by the parent, once. */
static void nothing_waiting_is_sent_twice (void)
{
    int t;
    for (t = 0; t < COUNT (NETWORKS); ++t) {
        static char body[20000];
        int push;
        int pull;
        int sent = 0;
        int got = 0;
        open_linked (NN_PUSH, NN_PULL, NETWORKS[t], &push, &pull);
        while (nn_send (push, body, sizeof body, NN_DONTWAIT) > 0)
            ++sent;
        in_child (only_leaves, push, pull);
        in_child (terminates, push, pull);
        for (got = 0; got < sent; ++got)
            EQ (nn_recv (pull, body, sizeof body, 0), sizeof body);
        RECV_NOTHING (pull);
        MUST (nn_close (push));
        MUST (nn_close (pull));
    }
}

static int call_busy (struct call *c)
{
    while (!__atomic_load_n ((int *) c->data, __ATOMIC_SEQ_CST)) {
        int a = nn_socket (AF_SP, NN_PAIR);
        char byte;
        if (a < 0 || nn_bind (a, "inproc://busy") < 0)
            return -1;
        if (nn_recv (a, &byte, 1, NN_DONTWAIT) != -1 || nn_close (a) != 0)
            return -2;
    }
    return 0;
}

/* A lock that another thread holds at the moment of the fork stays held in the child for ever. */
static void forking_amid_calls_of_other_threads_does_not_hang_the_child (void)
{
    struct call c;
    int stop = 0;
    int i;
    c.data = &stop;
    call_start (&c, call_busy, 0, 0);
    for (i = 0; i < 30; ++i)
        in_child (new_sockets_talk, -1, -1);
    __atomic_store_n (&stop, 1, __ATOMIC_SEQ_CST);
    call_join (&c);
    EQ (c.rc, 0);
}

static void grandchild (int a, int b)
{
    int s = cooked (NN_PAIR);
    (void) a;
    (void) b;
    MUST (nn_bind (s, "ipc://child.sock"));
    in_child (only_leaves, 0, 0);
    EQ (access ("child.sock", F_OK), 0);
    in_child (new_sockets_talk, 0, 0);
    MUST (nn_close (s));
    CHECK (access ("child.sock", F_OK) != 0);
}

static void a_child_may_fork_again (void)
{
    int a;
    int b;
    open_linked (NN_PAIR, NN_PAIR, "tcp", &a, &b);
    in_child (grandchild, a, b);
    SEND (a, "ABC");
    RECV (b, "ABC");
    MUST (nn_close (a));
    MUST (nn_close (b));
}

static void parent_and_child_talk_over_ipc (void)
{
    int s = cooked (NN_REP);
    pid_t pid;
    MUST (nn_bind (s, "ipc://family.sock"));
    pid = fork ();
    CHECK (pid >= 0);
    if (pid == 0) {
        int req;
        alarm (30);
        req = cooked (NN_REQ);
        MUST (nn_connect (req, "ipc://family.sock"));
        SEND (req, "CHILD");
        RECV (req, "PARENT");
        MUST (nn_close (req));
        exit (0);
    }
    RECV (s, "CHILD");
    SEND (s, "PARENT");
    EQ (wait_child (pid), 0);
    MUST (nn_close (s));
}

static const struct check_case CASES[] = {
    ALONE (forking_before_the_first_socket_is_nothing_special),
    ALONE (inherited_sockets_are_ebadf_in_the_child),
    ALONE (new_sockets_work_in_the_child),
    ALONE (the_parent_s_file_and_connections_survive_the_child),
    ALONE (nothing_waiting_is_sent_twice),
    ALONE (forking_amid_calls_of_other_threads_does_not_hang_the_child),
    ALONE (a_child_may_fork_again),
    ALONE (parent_and_child_talk_over_ipc),
};

CHECK_MAIN (CASES)
