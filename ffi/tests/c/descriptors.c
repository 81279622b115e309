/* File descriptors: closed on exec, and what happens when there are none left. */
#include "check.h"

#include <sys/resource.h>

static int is_open (int fd)
{
    return fcntl (fd, F_GETFD) >= 0;
}

static void every_descriptor_is_close_on_exec (void)
{
    char before[1024];
    int sockets[2 * COUNT (TRANSPORTS)];
    int t;
    int fd;
    int seen = 0;
    for (fd = 0; fd < COUNT (before); ++fd)
        before[fd] = (char) is_open (fd);
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        open_linked (NN_PAIR, NN_PAIR, TRANSPORTS[t], &sockets[2 * t], &sockets[2 * t + 1]);
        CHECK (get_int (sockets[2 * t], NN_SOL_SOCKET, NN_RCVFD) >= 0);
        CHECK (get_int (sockets[2 * t], NN_SOL_SOCKET, NN_SNDFD) >= 0);
    }
    for (fd = 0; fd < COUNT (before); ++fd)
        if (!before[fd] && is_open (fd)) {
            ++seen;
            if (!(fcntl (fd, F_GETFD) & FD_CLOEXEC))
                FAIL ("descriptor %d would survive an exec", fd);
        }
    CHECK (seen >= 8);
    for (t = 0; t < COUNT (sockets); ++t)
        MUST (nn_close (sockets[t]));
}

/* Its exit status is the number of descriptors it was started with. */
static void count_helper (void)
{
    int n = 0;
    int fd;
    for (fd = 0; fd < 1024; ++fd)
        n += is_open (fd);
    _exit (n);
}

static void a_program_started_by_us_inherits_nothing (void)
{
    int before = wait_child (spawn ("count_helper", ""));
    int a;
    int b;
    CHECK (before < 200);
    open_linked (NN_PAIR, NN_PAIR, "tcp", &a, &b);
    CHECK (get_int (a, NN_SOL_SOCKET, NN_RCVFD) >= 0);
    EQ (wait_child (spawn ("count_helper", "")), before);
    MUST (nn_close (a));
    MUST (nn_close (b));
}

/* Lowers the limit and uses up what is left; the filled descriptors can be given back. */
struct fillers {
    int fd[512];
    int count;
};

static void limit (int descriptors)
{
    struct rlimit r;
    EQ (getrlimit (RLIMIT_NOFILE, &r), 0);
    r.rlim_cur = (rlim_t) descriptors;
    EQ (setrlimit (RLIMIT_NOFILE, &r), 0);
}

static void fill (struct fillers *f)
{
    int fd;
    f->count = 0;
    while ((fd = fcntl (0, F_DUPFD_CLOEXEC, 0)) >= 0) {
        CHECK (f->count < COUNT (f->fd));
        f->fd[f->count++] = fd;
    }
    EQ (errno, EMFILE);
}

static void give_back (struct fillers *f)
{
    while (f->count > 0)
        EQ (close (f->fd[--f->count]), 0);
}

/* Some descriptor is open at 0, so that there is something to duplicate. */
static void open_zero (void)
{
    if (!is_open (0))
        EQ (open ("/dev/null", O_RDONLY), 0);
}

static void running_out_is_emfile_and_nothing_worse (void)
{
    struct fillers f;
    int a;
    int b;
    int s;
    int value = 0;
    size_t size = sizeof value;
    char address[NN_SOCKADDR_MAX];
    open_zero ();
    limit (100);
    new_address ("tcp", address);
    open_linked (NN_PAIR, NN_PAIR, "tcp", &a, &b);
    fill (&f);
    s = nn_socket (AF_SP, NN_PAIR);
    if (s < 0) {
        EQ (nn_errno (), EMFILE);
    } else {
        /* The socket itself needs no descriptor; readiness and endpoints do. */
        FAILS (nn_getsockopt (s, NN_SOL_SOCKET, NN_RCVFD, &value, &size), EMFILE);
        size = sizeof value;
        FAILS (nn_getsockopt (s, NN_SOL_SOCKET, NN_SNDFD, &value, &size), EMFILE);
        FAILS (nn_bind (s, address), EMFILE);
        FAILS (nn_bind (s, "ipc://emfile.sock"), EMFILE);
        MUST (nn_close (s));
    }
    /* What is connected goes on. */
    SEND (a, "ABC");
    RECV (b, "ABC");
    give_back (&f);
    s = cooked (NN_PAIR);
    CHECK (get_int (s, NN_SOL_SOCKET, NN_RCVFD) >= 0);
    MUST (nn_bind (s, address));
    MUST (nn_close (s));
    MUST (nn_close (a));
    MUST (nn_close (b));
}

static void a_library_that_cannot_start_recovers (void)
{
    struct fillers f;
    char address[NN_SOCKADDR_MAX];
    int s;
    open_zero ();
    limit (100);
    new_address ("tcp", address);
    fill (&f);
    s = nn_socket (AF_SP, NN_PAIR);
    if (s < 0) {
        EQ (nn_errno (), EMFILE);
    } else {
        FAILS (nn_bind (s, address), EMFILE);
        MUST (nn_close (s));
    }
    give_back (&f);
    {
        int a;
        int b;
        open_linked (NN_PAIR, NN_PAIR, "tcp", &a, &b);
        SEND (a, "ABC");
        RECV (b, "ABC");
        MUST (nn_close (a));
        MUST (nn_close (b));
    }
}

static void sockets_up_to_the_limit_then_all_close (void)
{
    int s[600];
    int n = 0;
    limit (256);
    while (n < COUNT (s) && (s[n] = nn_socket (AF_SP, NN_PAIR)) >= 0) {
        int value;
        size_t size = sizeof value;
        ++n;
        if (nn_getsockopt (s[n - 1], NN_SOL_SOCKET, NN_RCVFD, &value, &size) != 0) {
            EQ (nn_errno (), EMFILE);
            break;
        }
    }
    EQ (nn_errno (), EMFILE);
    CHECK (n > 50);
    while (n > 0)
        EQ (nn_close (s[--n]), 0);
}

static long long cpu_ms (void)
{
    struct rusage u;
    EQ (getrusage (RUSAGE_SELF, &u), 0);
    return ((long long) u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000
           + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000;
}

static void connecting_helper (void)
{
    int s = cooked (NN_PUSH);
    MUST (nn_connect (s, check_argument));
    SEND (s, "ABC");
    MUST (nn_close (s));
}

/* A listener that cannot accept waits instead of spinning, and accepts when it can again. */
static void r236_accepting_recovers_from_emfile (void)
{
    int t;
    open_zero ();
    limit (100);
    for (t = 0; t < COUNT (NETWORKS); ++t) {
        struct fillers f;
        char address[NN_SOCKADDR_MAX];
        int pull = cooked (NN_PULL);
        pid_t pid;
        long long used;
        new_address (NETWORKS[t], address);
        MUST (nn_bind (pull, address));
        fill (&f);
        pid = spawn ("connecting_helper", address);
        AWAIT (stat_of (pull, NN_STAT_CURRENT_EP_ERRORS) == 1);
        used = cpu_ms ();
        pause_ms (300);
        used = cpu_ms () - used;
        if (used > 150)
            FAIL ("300 ms of waiting for a descriptor took %lld ms of processor time", used);
        EQ (stat_of (pull, NN_STAT_ACCEPTED_CONNECTIONS), 0);
        give_back (&f);
        RECV (pull, "ABC");
        EQ (stat_of (pull, NN_STAT_ACCEPTED_CONNECTIONS), 1);
        AWAIT (stat_of (pull, NN_STAT_CURRENT_EP_ERRORS) == 0);
        EQ (wait_child (pid), 0);
        MUST (nn_close (pull));
    }
}

/* A descriptor closed by mistake costs its socket, not the process. */
static void a_readiness_descriptor_closed_by_the_program_is_survived (void)
{
    int a;
    int b;
    open_linked (NN_PAIR, NN_PAIR, "inproc", &a, &b);
    EQ (close (get_int (b, NN_SOL_SOCKET, NN_RCVFD)), 0);
    SEND (a, "ABC");
    if (nn_recv (b, &(char){0}, 1, 0) != 3)
        EQ (nn_errno (), EBADF);
    MUST (nn_close (a));
    MUST (nn_close (b));
}

static const struct check_case CASES[] = {
    CASE (every_descriptor_is_close_on_exec),
    ALONE (a_program_started_by_us_inherits_nothing),
    ALONE (running_out_is_emfile_and_nothing_worse),
    ALONE (a_library_that_cannot_start_recovers),
    ALONE (sockets_up_to_the_limit_then_all_close),
    ALONE (r236_accepting_recovers_from_emfile),
    ALONE (a_readiness_descriptor_closed_by_the_program_is_survived),
    HELPER (count_helper),
    HELPER (connecting_helper),
};

CHECK_MAIN (CASES)
