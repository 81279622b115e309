/* Signals: blocked calls are interrupted and lose nothing; the library leaves the process's signals alone. */
#include "check.h"

#include <dirent.h>

static volatile sig_atomic_t handled = 0;

static void on_signal (int number)
{
    (void) number;
    ++handled;
}

/* A handler that asks for system calls to be restarted: our calls must return all the same. */
static void install (void)
{
    struct sigaction action;
    memset (&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    EQ (sigaction (SIGUSR1, &action, NULL), 0);
}

/* Signals the thread until its call returns: a signal that comes before the call sleeps has no effect. */
static void interrupt (struct call *c)
{
    long long end = now_ms () + CHECK_EVENT_MS;
    call_await_blocked (c);
    while (!call_done (c)) {
        if (now_ms () > end)
            FAIL ("no signal ends the call");
        EQ (pthread_kill (c->thread, SIGUSR1), 0);
        pause_ms (5);
    }
    call_join (c);
    EQ (c->rc, -1);
    EQ (c->error, EINTR);
    CHECK (handled > 0);
}

static int call_nn_poll (struct call *c)
{
    struct nn_pollfd p;
    int rc;
    p.fd = c->s;
    p.events = NN_POLLIN;
    p.revents = 0x77;
    rc = nn_poll (&p, 1, -1);
    return p.revents == 0x77 ? rc : -3;
}

static int call_nn_poll_nothing (struct call *c)
{
    (void) c;
    return nn_poll (NULL, 0, -1);
}

static int call_recv_msg (struct call *c)
{
    char buf[8];
    struct nn_iovec iov;
    struct nn_msghdr hdr;
    memset (&hdr, 0, sizeof hdr);
    iov.iov_base = buf;
    iov.iov_len = sizeof buf;
    hdr.msg_iov = &iov;
    hdr.msg_iovlen = 1;
    return nn_recvmsg (c->s, &hdr, 0);
}

static int call_send_msg (struct call *c)
{
    struct nn_iovec iov;
    struct nn_msghdr hdr;
    memset (&hdr, 0, sizeof hdr);
    iov.iov_base = (char *) "ABC";
    iov.iov_len = 3;
    hdr.msg_iov = &iov;
    hdr.msg_iovlen = 1;
    return nn_sendmsg (c->s, &hdr, 0);
}

static void blocked_calls_are_interrupted (void)
{
    static int (*const bodies[]) (struct call *) = {call_recv,     call_send,    call_recv_msg,
                                                    call_send_msg, call_nn_poll, call_nn_poll_nothing};
    int i;
    int with_timeout;
    install ();
    for (with_timeout = 0; with_timeout < 2; ++with_timeout)
        for (i = 0; i < COUNT (bodies); ++i) {
            struct call c;
            int s = cooked (NN_PAIR);
            set_timeouts (s, with_timeout ? CHECK_EVENT_MS : -1);
            call_start (&c, bodies[i], s, 0);
            interrupt (&c);
            MUST (nn_close (s));
        }
}

static void receives_are_interrupted_on_every_transport (void)
{
    int t;
    install ();
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        struct call c;
        int a;
        int b;
        open_linked (NN_PAIR, NN_PAIR, TRANSPORTS[t], &a, &b);
        set_timeouts (b, -1);
        SEND (a, "ABC");
        RECV (b, "ABC");
        call_start (&c, call_recv, b, 0);
        interrupt (&c);
        SEND (a, "DEF");
        RECV (b, "DEF");
        MUST (nn_close (a));
        MUST (nn_close (b));
    }
}

static void an_interrupted_send_has_sent_nothing (void)
{
    struct call c;
    char address[NN_SOCKADDR_MAX];
    char body[10];
    int n = 0;
    int i;
    int a = cooked (NN_PAIR);
    int b = cooked (NN_PAIR);
    install ();
    set_timeouts (b, -1);
    set_int (a, NN_SOL_SOCKET, NN_RCVBUF, 200);
    new_address ("inproc", address);
    MUST (nn_bind (a, address));
    MUST (nn_connect (b, address));
    while (nn_send (b, body, sizeof body, NN_DONTWAIT) > 0)
        ++n;
    call_start (&c, call_send, b, 0);
    interrupt (&c);
    for (i = 0; i < n; ++i)
        EQ (nn_recv (a, body, sizeof body, NN_DONTWAIT), 10);
    FAILS (nn_recv (a, body, sizeof body, NN_DONTWAIT), EAGAIN);
    MUST (nn_close (a));
    MUST (nn_close (b));
}

static int call_recv_thousand (struct call *c)
{
    int next = 0;
    while (next < 1000) {
        int value = -1;
        int rc = nn_recv (c->s, &value, sizeof value, 0);
        if (rc == -1 && nn_errno () == EINTR)
            continue;
        if (rc != sizeof value || value != next)
            return -1;
        ++next;
    }
    return 0;
}

static void nothing_is_lost_under_a_storm_of_signals (void)
{
    int t;
    install ();
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        struct call c;
        int a;
        int b;
        int i;
        open_linked (NN_PAIR, NN_PAIR, TRANSPORTS[t], &a, &b);
        call_start (&c, call_recv_thousand, b, 0);
        for (i = 0; i < 1000; ++i) {
            EQ (nn_send (a, &i, sizeof i, 0), sizeof i);
            EQ (pthread_kill (c.thread, SIGUSR1), 0);
            sched_yield ();
        }
        call_join (&c);
        EQ (c.rc, 0);
        MUST (nn_close (a));
        MUST (nn_close (b));
    }
}

static void one_way_devices_and_loopbacks_are_interrupted (void)
{
    struct call c;
    int pull = MUST (nn_socket (AF_SP_RAW, NN_PULL));
    int push = MUST (nn_socket (AF_SP_RAW, NN_PUSH));
    int bus = MUST (nn_socket (AF_SP_RAW, NN_BUS));
    install ();
    call_start (&c, call_device, pull, push);
    interrupt (&c);
    call_start (&c, call_device, bus, -1);
    interrupt (&c);
    MUST (nn_close (pull));
    MUST (nn_close (push));
    MUST (nn_close (bus));
}

/* ---- SIGPIPE ------------------------------------------------------------------------------------------ */

/* Accepts one connection, reads a little, and dies with the rest unread. */
static void reading_peer_helper (void)
{
    int s = cooked (NN_PULL);
    char byte;
    MUST (nn_connect (s, check_argument));
    MUST (nn_recv (s, &byte, 1, 0));
    kill (getpid (), SIGKILL);
}

static void a_vanishing_peer_does_not_kill_the_sender (void)
{
    static char body[100000];
    int t;
    struct sigaction action;
    CHECK (signal (SIGPIPE, SIG_DFL) != SIG_ERR);
    for (t = 0; t < COUNT (NETWORKS); ++t) {
        char address[NN_SOCKADDR_MAX];
        int push = cooked (NN_PUSH);
        pid_t peer;
        int rc;
        new_address (NETWORKS[t], address);
        MUST (nn_bind (push, address));
        set_int (push, NN_SOL_SOCKET, NN_SNDTIMEO, 2000);
        peer = spawn ("reading_peer_helper", address);
        AWAIT_PEERS (push, 1);
        do
            rc = nn_send (push, body, sizeof body, 0);
        while (rc > 0);
        EQ (nn_errno (), ETIMEDOUT);
        EQ (wait_child (peer), 1000 + SIGKILL);
        AWAIT_PEERS (push, 0);
        MUST (nn_close (push));
    }
    EQ (sigaction (SIGPIPE, NULL, &action), 0);
    CHECK (action.sa_handler == SIG_DFL);
}

/* A foreign peer that closes its end at the worst moments. */
static void a_peer_that_closes_at_once_does_not_kill_us (void)
{
    char address[NN_SOCKADDR_MAX];
    int port = free_port ();
    int pub = cooked (NN_PUB);
    int round;
    snprintf (address, sizeof address, "tcp://127.0.0.1:%d", port);
    MUST (nn_bind (pub, address));
    for (round = 0; round < 50; ++round) {
        static const unsigned char hello[8] = {0, 'S', 'P', 0, 0, NN_SUB, 0, 0};
        struct sockaddr_in to;
        struct linger now = {1, 0};
        int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int i;
        memset (&to, 0, sizeof to);
        to.sin_family = AF_INET;
        to.sin_port = htons ((uint16_t) port);
        to.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
        EQ (connect (fd, (struct sockaddr *) &to, sizeof to), 0);
        if (round % 3)
            EQ (write (fd, hello, sizeof hello), sizeof hello);
        if (round % 3 == 2)
            AWAIT_PEERS (pub, 1);
        if (round % 2)
            EQ (setsockopt (fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
        close (fd);
        for (i = 0; i < 20; ++i)
            SEND (pub, "news");
    }
    AWAIT_PEERS (pub, 0);
    MUST (nn_close (pub));
}

/* ---- the library's threads ---------------------------------------------------------------------------- */

static void read_file (char *out, size_t size, const char *tid, const char *name)
{
    char path[300];
    ssize_t n;
    int fd;
    snprintf (path, sizeof path, "/proc/self/task/%s/%s", tid, name);
    fd = open (path, O_RDONLY | O_CLOEXEC);
    CHECK (fd >= 0);
    n = read (fd, out, size - 1);
    CHECK (n > 0);
    out[n] = 0;
    close (fd);
}

/* Every thread but this one blocks all signals that can be blocked; their names, if asked for. */
static int check_threads (int names_too)
{
    char own[16];
    struct dirent *e;
    int found = 0;
    DIR *d = opendir ("/proc/self/task");
    CHECK (d != NULL);
    snprintf (own, sizeof own, "%d", (int) syscall (SYS_gettid));
    while ((e = readdir (d)) != NULL) {
        static char text[8192];
        const char *mask;
        unsigned long long bits;
        unsigned long long unblocked;
        if (e->d_name[0] == '.' || strcmp (e->d_name, own) == 0)
            continue;
        ++found;
        read_file (text, sizeof text, e->d_name, "status");
        mask = strstr (text, "SigBlk:");
        CHECK (mask != NULL);
        bits = strtoull (mask + 7, NULL, 16);
        /* KILL and STOP cannot be blocked; 32 and 33 are the C library's own. */
        unblocked = ~bits & ~(1ULL << (SIGKILL - 1)) & ~(1ULL << (SIGSTOP - 1)) & ~(3ULL << 31);
        if (unblocked)
            FAIL ("a thread of the library takes signals: %llx", unblocked);
        read_file (text, sizeof text, e->d_name, "comm");
        if (names_too && strncmp (text, "spmsg", 5) != 0)
            FAIL ("a thread of the library is called %s", text);
    }
    closedir (d);
    return found;
}

static void threads_of_the_library_block_all_signals (void)
{
    sigset_t before;
    sigset_t after;
    int a;
    int b;
    EQ (pthread_sigmask (SIG_SETMASK, NULL, &before), 0);
    open_linked (NN_PAIR, NN_PAIR, "tcp", &a, &b);
    CHECK (check_threads (0) >= 1);
    EQ (pthread_sigmask (SIG_SETMASK, NULL, &after), 0);
    EQ (sigismember (&after, SIGUSR1), sigismember (&before, SIGUSR1));
    EQ (sigismember (&after, SIGTERM), 0);
    MUST (nn_close (a));
    MUST (nn_close (b));
}

static void threads_of_the_library_are_called_spmsg (void)
{
    int a;
    int b;
    open_linked (NN_PAIR, NN_PAIR, "tcp", &a, &b);
    CHECK (check_threads (1) >= 1);
    MUST (nn_close (a));
    MUST (nn_close (b));
}

static void no_signal_handler_is_installed (void)
{
    int number;
    int a;
    int b;
    open_linked (NN_PAIR, NN_PAIR, "ipc", &a, &b);
    MUST (nn_close (a));
    MUST (nn_close (b));
    for (number = 1; number < 32; ++number) {
        struct sigaction action;
        if (number == SIGALRM)
            continue;
        EQ (sigaction (number, NULL, &action), 0);
        CHECK (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN);
    }
}

static const struct check_case CASES[] = {
    ALONE (no_signal_handler_is_installed),
    ALONE (threads_of_the_library_block_all_signals),
    ALONE (threads_of_the_library_are_called_spmsg),
    ALONE (a_vanishing_peer_does_not_kill_the_sender),
    CASE (a_peer_that_closes_at_once_does_not_kill_us),
    CASE (blocked_calls_are_interrupted),
    CASE (receives_are_interrupted_on_every_transport),
    CASE (an_interrupted_send_has_sent_nothing),
    CASE (nothing_is_lost_under_a_storm_of_signals),
    CASE (one_way_devices_and_loopbacks_are_interrupted),
    HELPER (reading_peer_helper),
};

CHECK_MAIN (CASES)
