/* What the test programs in this folder share.
 *
 * A program is a table of cases. Without arguments it runs them all, in order, in this process; a case
 * marked ALONE gets a process of its own, because it ends the library, forks, exits or changes limits. With
 * the name of a case as its argument it runs only that one. The first failure prints file, line and values
 * and ends the process with status 1. Programs write socket files into the working directory: run them in an
 * empty one.
 */
#ifndef CHECK_H_INCLUDED
#define CHECK_H_INCLUDED

#include <nanomsg/nn.h>
#include <nanomsg/bus.h>
#include <nanomsg/inproc.h>
#include <nanomsg/ipc.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/survey.h>
#include <nanomsg/tcp.h>
#include <nanomsg/ws.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Seconds a process may take; milliseconds for an awaited event, and to see that nothing comes. */
#define CHECK_PROCESS_S 100
#define CHECK_EVENT_MS 10000
#define CHECK_QUIET_MS 100

#define COUNT(array) ((int) (sizeof (array) / sizeof ((array)[0])))

/* ---- failing ------------------------------------------------------------------------------------------ */

static const char *volatile check_now = "start";

#define FAIL(...)                                                                   \
    do {                                                                            \
        fprintf (stderr, "%s:%d: in %s: ", __FILE__, __LINE__, (char *) check_now); \
        fprintf (stderr, __VA_ARGS__);                                              \
        fprintf (stderr, "\n");                                                     \
        fflush (stderr);                                                            \
        _exit (1);                                                                  \
    } while (0)

#define CHECK(condition)                                   \
    do {                                                   \
        if (!(condition))                                  \
            FAIL ("not true: %s", #condition);             \
    } while (0)

/* The two integers are equal. */
#define EQ(actual, expected)                                                                            \
    do {                                                                                                \
        long long check_a = (long long) (actual), check_e = (long long) (expected);                     \
        if (check_a != check_e)                                                                         \
            FAIL ("%s is %lld, expected %s = %lld (errno %d %s)", #actual, check_a, #expected, check_e, \
                  errno, nn_strerror (errno));                                                          \
    } while (0)

/* The call succeeds; its value. */
#define MUST(call) check_must ((call), #call, __FILE__, __LINE__)

static inline int check_must (int rc, const char *call, const char *file, int line)
{
    if (rc >= 0)
        return rc;
    fprintf (stderr, "%s:%d: in %s: %s failed with errno %d (%s)\n", file, line, (char *) check_now, call,
             nn_errno (), nn_strerror (nn_errno ()));
    fflush (stderr);
    _exit (1);
}

/* The call returns -1 and leaves this error number, for errno and nn_errno alike. */
#define FAILS(call, error) check_fails ((errno = 0, (call)), (error), #call, #error, __FILE__, __LINE__)

static inline void check_fails (int rc, int error, const char *call, const char *name, const char *file,
                                int line)
{
    int plain = errno;
    int asked = nn_errno ();
    if (rc == -1 && plain == error && asked == error)
        return;
    fprintf (stderr, "%s:%d: in %s: %s returned %d with errno %d (%s), nn_errno %d; expected -1, %s = %d\n",
             file, line, (char *) check_now, call, rc, plain, nn_strerror (plain), asked, name, error);
    fflush (stderr);
    _exit (1);
}

/* ---- time --------------------------------------------------------------------------------------------- */

static inline long long now_ms (void)
{
    struct timespec ts;
    clock_gettime (CLOCK_MONOTONIC, &ts);
    return (long long) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static inline void pause_ms (int ms)
{
    struct timespec ts;
    ts.tv_sec = ms / 1000;
    ts.tv_nsec = (long) (ms % 1000) * 1000000;
    while (nanosleep (&ts, &ts) != 0 && errno == EINTR) {
    }
}

/* Waits until the condition holds, looking every millisecond. */
#define AWAIT(condition)                                                        \
    do {                                                                        \
        long long check_end = now_ms () + CHECK_EVENT_MS;                       \
        while (!(condition)) {                                                  \
            if (now_ms () > check_end)                                          \
                FAIL ("not true in %d ms: %s", CHECK_EVENT_MS, #condition);     \
            pause_ms (1);                                                       \
        }                                                                       \
    } while (0)

/* ---- sockets ------------------------------------------------------------------------------------------ */

static inline void set_int (int s, int level, int option, int value)
{
    if (nn_setsockopt (s, level, option, &value, sizeof value) != 0)
        FAIL ("option %d of level %d refused %d: errno %d", option, level, value, nn_errno ());
}

static inline int get_int (int s, int level, int option)
{
    int value = -12345;
    size_t size = sizeof value;
    if (nn_getsockopt (s, level, option, &value, &size) != 0)
        FAIL ("option %d of level %d cannot be read: errno %d", option, level, nn_errno ());
    EQ (size, sizeof value);
    return value;
}

static inline void set_timeouts (int s, int ms)
{
    set_int (s, NN_SOL_SOCKET, NN_SNDTIMEO, ms);
    set_int (s, NN_SOL_SOCKET, NN_RCVTIMEO, ms);
}

/* A new socket, whose calls fail with ETIMEDOUT instead of hanging the test. */
static inline int open_in (int domain, int protocol)
{
    int s = nn_socket (domain, protocol);
    if (s < 0)
        FAIL ("nn_socket (%d, %d) failed with errno %d", domain, protocol, nn_errno ());
    set_timeouts (s, CHECK_EVENT_MS);
    return s;
}

static inline int cooked (int protocol)
{
    return open_in (AF_SP, protocol);
}

static inline int raw (int protocol)
{
    return open_in (AF_SP_RAW, protocol);
}

static inline long long stat_of (int s, int stat)
{
    return (long long) nn_get_statistic (s, stat);
}

#define AWAIT_STAT(s, stat, value) AWAIT (stat_of ((s), (stat)) == (value))
#define AWAIT_PEERS(s, number) AWAIT_STAT (s, NN_STAT_CURRENT_CONNECTIONS, number)

#define SEND(s, text) EQ (nn_send ((s), (text), strlen (text), 0), strlen (text))

/* The next message is exactly this text. */
#define RECV(s, text)                                                                               \
    do {                                                                                            \
        char check_buf[256];                                                                        \
        int check_rc = nn_recv ((s), check_buf, sizeof check_buf, 0);                               \
        if (check_rc < 0)                                                                           \
            FAIL ("waiting for %s: errno %d (%s)", (text), nn_errno (), nn_strerror (nn_errno ())); \
        if ((size_t) check_rc != strlen (text) || memcmp (check_buf, (text), (size_t) check_rc))    \
            FAIL ("received %d bytes: %.*s; expected %s", check_rc,                                 \
                  check_rc < 256 ? check_rc : 256, check_buf, (text));                              \
    } while (0)

/* Nothing arrives, not even a little later. */
#define RECV_NOTHING(s)                                              \
    do {                                                             \
        char check_byte;                                             \
        set_int ((s), NN_SOL_SOCKET, NN_RCVTIMEO, CHECK_QUIET_MS);   \
        FAILS (nn_recv ((s), &check_byte, 1, 0), ETIMEDOUT);         \
        set_int ((s), NN_SOL_SOCKET, NN_RCVTIMEO, CHECK_EVENT_MS);   \
    } while (0)

static inline int fd_readable (int fd)
{
    struct pollfd p;
    p.fd = fd;
    p.events = POLLIN;
    p.revents = 0;
    return poll (&p, 1, 0) == 1 && (p.revents & POLLIN) != 0;
}

static inline int can_recv (int s)
{
    return fd_readable (get_int (s, NN_SOL_SOCKET, NN_RCVFD));
}

static inline int can_send (int s)
{
    return fd_readable (get_int (s, NN_SOL_SOCKET, NN_SNDFD));
}

/* ---- addresses ---------------------------------------------------------------------------------------- */

static const char *const TRANSPORTS[] = {"inproc", "ipc", "tcp", "ws"};
static const char *const NETWORKS[] = {"ipc", "tcp", "ws"};

/* A TCP port of 127.0.0.1 that the system chose. A descriptor of ours stays bound to it, without listening,
 * until the process ends, so that nobody else is given it and no connector can connect to itself by chance;
 * SO_REUSEADDR on both sides lets the library listen there all the same. */
static inline int free_port (void)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    int yes = 1;
    int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memset (&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
    if (fd < 0 || setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0
        || bind (fd, (struct sockaddr *) &address, sizeof address) != 0
        || getsockname (fd, (struct sockaddr *) &address, &size) != 0)
        FAIL ("no free port: errno %d", errno);
    return ntohs (address.sin_port);
}

/* An address nobody uses yet. */
static inline void new_address (const char *transport, char address[NN_SOCKADDR_MAX])
{
    static int number = 0;
    int n = __atomic_add_fetch (&number, 1, __ATOMIC_SEQ_CST);
    if (strcmp (transport, "tcp") == 0 || strcmp (transport, "ws") == 0)
        snprintf (address, NN_SOCKADDR_MAX, "%s://127.0.0.1:%d", transport, free_port ());
    else
        snprintf (address, NN_SOCKADDR_MAX, "%s://t%d-%d.sock", transport, (int) getpid (), n);
}

/* Two connected sockets; a is bound. Both protocols must make connections that both sides can count. */
static inline void link_sockets (int a, int b, const char *transport)
{
    char address[NN_SOCKADDR_MAX];
    long long of_a = stat_of (a, NN_STAT_CURRENT_CONNECTIONS);
    long long of_b = stat_of (b, NN_STAT_CURRENT_CONNECTIONS);
    new_address (transport, address);
    MUST (nn_bind (a, address));
    MUST (nn_connect (b, address));
    AWAIT_PEERS (a, of_a + 1);
    AWAIT_PEERS (b, of_b + 1);
}

static inline void open_linked (int type_a, int type_b, const char *transport, int *a, int *b)
{
    *a = cooked (type_a);
    *b = cooked (type_b);
    link_sockets (*a, *b, transport);
}

/* ---- calls in other threads --------------------------------------------------------------------------- */

struct call {
    int (*body) (struct call *);
    int s;
    int s2;
    void *data;
    int rc;
    int error;
    int done;
    int tid;
    pthread_t thread;
};

static inline void *call_main (void *argument)
{
    struct call *c = argument;
    __atomic_store_n (&c->tid, (int) syscall (SYS_gettid), __ATOMIC_SEQ_CST);
    c->rc = c->body (c);
    c->error = nn_errno ();
    __atomic_store_n (&c->done, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static inline void call_start (struct call *c, int (*body) (struct call *), int s, int s2)
{
    c->body = body;
    c->s = s;
    c->s2 = s2;
    c->rc = -2;
    c->error = 0;
    c->done = 0;
    c->tid = 0;
    EQ (pthread_create (&c->thread, NULL, call_main, c), 0);
}

static inline int call_done (struct call *c)
{
    return __atomic_load_n (&c->done, __ATOMIC_SEQ_CST);
}

static inline void call_join (struct call *c)
{
    AWAIT (call_done (c));
    EQ (pthread_join (c->thread, NULL), 0);
}

/* The letter that /proc gives for the state of a thread, 0 when there is none. */
static inline char thread_state (int tid)
{
    char path[64];
    char text[512];
    const char *after;
    ssize_t n;
    int fd;
    snprintf (path, sizeof path, "/proc/self/task/%d/stat", tid);
    fd = open (path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    n = read (fd, text, sizeof text - 1);
    close (fd);
    if (n <= 0)
        return 0;
    text[n] = 0;
    after = strrchr (text, ')');
    return (char) (after && after[1] ? after[2] : 0);
}

/* Waits until the call's thread has slept through several looks: it is blocked. */
static inline void call_await_blocked (struct call *c)
{
    long long end = now_ms () + CHECK_EVENT_MS;
    int asleep = 0;
    while (asleep < 5) {
        int tid = __atomic_load_n (&c->tid, __ATOMIC_SEQ_CST);
        if (call_done (c))
            FAIL ("a call that should block returned %d, errno %d", c->rc, c->error);
        if (now_ms () > end)
            FAIL ("a call never blocked");
        asleep = tid && thread_state (tid) == 'S' ? asleep + 1 : 0;
        pause_ms (2);
    }
}

static inline int call_recv (struct call *c)
{
    char buf[64];
    return nn_recv (c->s, buf, sizeof buf, 0);
}

static inline int call_send (struct call *c)
{
    return nn_send (c->s, "ABC", 3, 0);
}

static inline int call_device (struct call *c)
{
    return nn_device (c->s, c->s2);
}

/* ---- the table and main ------------------------------------------------------------------------------- */

enum { CHECK_SHARED, CHECK_ALONE, CHECK_HELPER };

struct check_case {
    const char *name;
    void (*run) (void);
    int kind;
};

#define CASE(fn) {#fn, fn, CHECK_SHARED}
#define ALONE(fn) {#fn, fn, CHECK_ALONE}
/* Not a case: a second process that some case starts with spawn. */
#define HELPER(fn) {#fn, fn, CHECK_HELPER}

/* The argument a helper was started with. */
static const char *check_argument = "";

/* Starts this program again in a process of its own, with one argument for the case or helper. */
static inline pid_t spawn (const char *name, const char *argument)
{
    pid_t pid = fork ();
    if (pid < 0)
        FAIL ("fork: errno %d", errno);
    if (pid == 0) {
        execl ("/proc/self/exe", name, name, argument, (char *) NULL);
        _exit (126);
    }
    return pid;
}

/* The child's exit status, or 1000 + the signal that ended it. */
static inline int wait_child (pid_t pid)
{
    int status = 0;
    while (waitpid (pid, &status, 0) != pid)
        if (errno != EINTR)
            FAIL ("waitpid: errno %d", errno);
    return WIFSIGNALED (status) ? 1000 + WTERMSIG (status) : WEXITSTATUS (status);
}

static inline void check_deadline (int signal_number)
{
    static const char text[] = "deadline passed in ";
    ssize_t ignored = write (2, text, sizeof text - 1);
    ignored = write (2, (char *) check_now, strlen ((char *) check_now));
    ignored = write (2, "\n", 1);
    (void) ignored;
    _exit (signal_number == SIGALRM ? 3 : 4);
}

static inline void check_run (const struct check_case *c)
{
    check_now = c->name;
    c->run ();
    if (c->kind != CHECK_HELPER)
        printf ("ok %s\n", c->name);
    fflush (stdout);
}

static inline int check_main (int argc, char **argv, const struct check_case *cases, int count)
{
    int i;
    int known = 0;
    struct sigaction action;
    memset (&action, 0, sizeof action);
    action.sa_handler = check_deadline;
    action.sa_flags = SA_RESTART;
    sigaction (SIGALRM, &action, NULL);
    alarm (CHECK_PROCESS_S);
    check_argument = argc > 2 ? argv[2] : "";
    for (i = 0; i < count; ++i) {
        if (argc > 1 && strcmp (argv[1], cases[i].name) == 0) {
            check_run (&cases[i]);
            known = 1;
        } else if (argc <= 1 && cases[i].kind == CHECK_SHARED) {
            check_run (&cases[i]);
        } else if (argc <= 1 && cases[i].kind == CHECK_ALONE) {
            check_now = cases[i].name;
            EQ (wait_child (spawn (cases[i].name, "")), 0);
        }
    }
    if (argc > 1 && !known) {
        fprintf (stderr, "no case is called %s\n", argv[1]);
        return 2;
    }
    return 0;
}

#define CHECK_MAIN(cases)                                       \
    int main (int argc, char **argv)                            \
    {                                                           \
        return check_main (argc, argv, cases, COUNT (cases));   \
    }

#endif
