/* NN_PRINT_ERRORS: one line on stderr when an endpoint enters an error state. */
#include "check.h"

/* Runs a helper with NN_PRINT_ERRORS set to the value, or without it, and returns what it wrote to stderr. */
static void errors_of (const char *helper, const char *argument, const char *value, char *out, size_t size)
{
    int ends[2];
    size_t used = 0;
    ssize_t n;
    pid_t pid;
    EQ (pipe (ends), 0);
    fcntl (ends[0], F_SETFD, FD_CLOEXEC);
    pid = fork ();
    CHECK (pid >= 0);
    if (pid == 0) {
        dup2 (ends[1], 2);
        close (ends[1]);
        unsetenv ("NN_PRINT_ERRORS");
        if (value)
            setenv ("NN_PRINT_ERRORS", value, 1);
        execl ("/proc/self/exe", helper, helper, argument, (char *) NULL);
        _exit (126);
    }
    close (ends[1]);
    while (used < size - 1 && (n = read (ends[0], out + used, size - 1 - used)) > 0)
        used += (size_t) n;
    out[used] = 0;
    close (ends[0]);
    if (wait_child (pid) != 0)
        FAIL ("the helper failed: %s", out);
}

static void refused_helper (void)
{
    int s = cooked (NN_PAIR);
    set_int (s, NN_SOL_SOCKET, NN_RECONNECT_IVL, 5);
    MUST (nn_setsockopt (s, NN_SOL_SOCKET, NN_SOCKET_NAME, "my socket", 9));
    MUST (nn_connect (s, check_argument));
    AWAIT (stat_of (s, NN_STAT_CONNECT_ERRORS) >= 5);
    MUST (nn_close (s));
}

/* The expected line: the socket's name, the address without its scheme, the system's words for the error. */
static void expect_once (const char *text, const char *name, const char *address, int error)
{
    char line[512];
    snprintf (line, sizeof line, "nanomsg: socket.%s[%s]: Error: %s\n", name, address, strerror (error));
    if (strcmp (text, line) != 0)
        FAIL ("stderr was\n%sexpected\n%s", text, line);
}

static void a_refused_connection_is_reported_once (void)
{
    char text[4096];
    char address[NN_SOCKADDR_MAX];
    new_address ("tcp", address);
    errors_of ("refused_helper", address, "1", text, sizeof text);
    expect_once (text, "my socket", address + 6, ECONNREFUSED);
    new_address ("ipc", address);
    errors_of ("refused_helper", address, "yes", text, sizeof text);
    expect_once (text, "my socket", address + 6, ENOENT);
}

static void without_the_variable_nothing_is_printed (void)
{
    char text[4096];
    char address[NN_SOCKADDR_MAX];
    new_address ("tcp", address);
    errors_of ("refused_helper", address, NULL, text, sizeof text);
    EQ (strlen (text), 0);
    errors_of ("refused_helper", address, "", text, sizeof text);
    EQ (strlen (text), 0);
}

static void recovering_helper (void)
{
    int s = cooked (NN_PAIR);
    int round;
    set_int (s, NN_SOL_SOCKET, NN_RECONNECT_IVL, 5);
    MUST (nn_connect (s, check_argument));
    for (round = 0; round < 2; ++round) {
        long long errors = stat_of (s, NN_STAT_CONNECT_ERRORS);
        int peer;
        AWAIT (stat_of (s, NN_STAT_CONNECT_ERRORS) >= errors + 2);
        peer = cooked (NN_PAIR);
        MUST (nn_bind (peer, check_argument));
        AWAIT_PEERS (s, 1);
        AWAIT_STAT (s, NN_STAT_CURRENT_EP_ERRORS, 0);
        MUST (nn_close (peer));
        AWAIT_PEERS (s, 0);
    }
    MUST (nn_close (s));
}

/* Each time that the endpoint had recovered in between, refusal is news again. */
static void a_recovered_endpoint_may_report_again (void)
{
    char text[4096];
    char address[NN_SOCKADDR_MAX];
    char line[512];
    const char *at = text;
    int lines = 0;
    new_address ("tcp", address);
    errors_of ("recovering_helper", address, "1", text, sizeof text);
    snprintf (line, sizeof line, "nanomsg: socket.0[%s]: Error: %s\n", address + 6, strerror (ECONNREFUSED));
    while ((at = strstr (at, line)) != NULL) {
        ++lines;
        at += strlen (line);
    }
    CHECK (lines >= 2);
}

static void working_helper (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        int a;
        int b;
        char address[NN_SOCKADDR_MAX];
        a = cooked (NN_PAIR);
        b = cooked (NN_PAIR);
        new_address (TRANSPORTS[t], address);
        MUST (nn_bind (a, address));
        MUST (nn_connect (b, address));
        SEND (a, "ABC");
        RECV (b, "ABC");
        MUST (nn_close (b));
        MUST (nn_close (a));
    }
}

static void nothing_wrong_nothing_printed (void)
{
    char text[4096];
    errors_of ("working_helper", "", "1", text, sizeof text);
    if (*text)
        FAIL ("stderr was %s", text);
}

static const struct check_case CASES[] = {
    CASE (a_refused_connection_is_reported_once),
    CASE (without_the_variable_nothing_is_printed),
    CASE (a_recovered_endpoint_may_report_again),
    CASE (nothing_wrong_nothing_printed),
    HELPER (refused_helper),
    HELPER (recovering_helper),
    HELPER (working_helper),
};

CHECK_MAIN (CASES)
