/* tls+tcp: programs for nanomsg change the address and name their files.
 *
 * The folder holds what whoever runs this put there: ca.pem, server.pem and server.key (for 127.0.0.1),
 * renewed.pem and renewed.key (another one of the same authority), client.pem and client.key,
 * stranger.pem and stranger.key (nobody vouches for it). */
#include "check.h"

#include <nanomsg/tls.h>

static int set_text (int s, int option, const char *text)
{
    return nn_setsockopt (s, NN_TLS, option, text, strlen (text));
}

static void identify (int s, const char *cert, const char *key)
{
    MUST (set_text (s, NN_TLS_CERT_FILE, cert));
    MUST (set_text (s, NN_TLS_KEY_FILE, key));
}

static void tls_address (char address[NN_SOCKADDR_MAX])
{
    snprintf (address, NN_SOCKADDR_MAX, "tls+tcp://127.0.0.1:%d", free_port ());
}

/* A listening REP that is server.pem. */
static int server (char address[NN_SOCKADDR_MAX])
{
    int s = cooked (NN_PAIR);
    identify (s, "server.pem", "server.key");
    tls_address (address);
    MUST (nn_bind (s, address));
    return s;
}

static int client (void)
{
    int s = cooked (NN_PAIR);
    MUST (set_text (s, NN_TLS_CA_FILE, "ca.pem"));
    return s;
}

static void messages_go_both_ways (void)
{
    static char big[1000000];
    char address[NN_SOCKADDR_MAX];
    void *got = NULL;
    int a = server (address);
    int b = client ();
    MUST (nn_connect (b, address));
    SEND (b, "ABC");
    RECV (a, "ABC");
    SEND (a, "DEFG");
    RECV (b, "DEFG");
    memset (big, 'x', sizeof big);
    EQ (nn_send (a, big, sizeof big, 0), sizeof big);
    EQ (nn_recv (b, &got, NN_MSG, 0), sizeof big);
    EQ (memcmp (got, big, sizeof big), 0);
    MUST (nn_freemsg (got));
    MUST (nn_close (a));
    MUST (nn_close (b));
}

static void options_have_defaults_and_ranges (void)
{
    int s = cooked (NN_REQ);
    int option;
    int value;
    char text[64];
    size_t size;
    EQ (get_int (s, NN_TLS, NN_TLS_AUTH), NN_TLS_AUTH_DEFAULT);
    for (value = NN_TLS_AUTH_DEFAULT; value <= NN_TLS_AUTH_REQUIRED; ++value) {
        set_int (s, NN_TLS, NN_TLS_AUTH, value);
        EQ (get_int (s, NN_TLS, NN_TLS_AUTH), value);
    }
    value = NN_TLS_AUTH_REQUIRED + 1;
    FAILS (nn_setsockopt (s, NN_TLS, NN_TLS_AUTH, &value, sizeof value), EINVAL);
    value = NN_TLS_AUTH_DEFAULT - 1;
    FAILS (nn_setsockopt (s, NN_TLS, NN_TLS_AUTH, &value, sizeof value), EINVAL);
    FAILS (nn_setsockopt (s, NN_TLS, NN_TLS_AUTH, "x", 1), EINVAL);
    FAILS (set_text (s, NN_TLS_AUTH + 1, "x"), ENOPROTOOPT);
    FAILS (set_text (s, 0, "x"), ENOPROTOOPT);
    size = sizeof text;
    FAILS (nn_getsockopt (s, NN_TLS, NN_TLS_AUTH + 1, text, &size), ENOPROTOOPT);
    for (option = NN_TLS_CA_FILE; option <= NN_TLS_SERVER_NAME; ++option) {
        size = sizeof text;
        MUST (nn_getsockopt (s, NN_TLS, option, text, &size));
        EQ (size, 0);
    }
    MUST (set_text (s, NN_TLS_SERVER_NAME, "db.example.org"));
    size = sizeof text;
    MUST (nn_getsockopt (s, NN_TLS, NN_TLS_SERVER_NAME, text, &size));
    EQ (size, strlen ("db.example.org"));
    EQ (memcmp (text, "db.example.org", size), 0);
    MUST (set_text (s, NN_TLS_SERVER_NAME, ""));
    MUST (nn_close (s));
    FAILS (set_text (s, NN_TLS_SERVER_NAME, "x"), EBADF);
}

static void files_are_read_there_and_then (void)
{
    int s = cooked (NN_PAIR);
    FAILS (set_text (s, NN_TLS_CA_FILE, "missing.pem"), ENOENT);
    FAILS (set_text (s, NN_TLS_CERT_FILE, "ca.pem/below"), ENOTDIR);
    FAILS (set_text (s, NN_TLS_KEY_FILE, "."), EISDIR);
    FAILS (set_text (s, NN_TLS_CA_FILE, ""), ENOENT);
    FAILS (set_text (s, NN_TLS_CA_FILE, "server.key"), EINVAL);
    FAILS (set_text (s, NN_TLS_CERT_FILE, "server.key"), EINVAL);
    FAILS (set_text (s, NN_TLS_KEY_FILE, "server.pem"), EINVAL);
    FAILS (set_text (s, NN_TLS_SERVER_NAME, "no name"), EINVAL);
    FAILS (nn_setsockopt (s, NN_TLS, NN_TLS_CA_FILE, NULL, 4), EFAULT);
    MUST (nn_close (s));
}

static void what_is_missing_is_said_by_bind (void)
{
    char address[NN_SOCKADDR_MAX];
    int s = cooked (NN_PAIR);
    tls_address (address);
    FAILS (nn_bind (s, address), EINVAL);
    MUST (set_text (s, NN_TLS_CERT_FILE, "server.pem"));
    FAILS (nn_bind (s, address), EINVAL);
    MUST (set_text (s, NN_TLS_KEY_FILE, "client.key"));
    FAILS (nn_bind (s, address), EINVAL);
    MUST (set_text (s, NN_TLS_KEY_FILE, "server.key"));
    set_int (s, NN_TLS, NN_TLS_AUTH, NN_TLS_AUTH_REQUIRED);
    FAILS (nn_bind (s, address), EINVAL);
    MUST (set_text (s, NN_TLS_CA_FILE, "ca.pem"));
    MUST (nn_bind (s, address));
    FAILS (nn_bind (s, address), EADDRINUSE);
    MUST (nn_close (s));
}

static void unknown_servers_are_refused (void)
{
    char address[NN_SOCKADDR_MAX];
    int a = cooked (NN_PAIR);
    int b = client ();
    identify (a, "stranger.pem", "stranger.key");
    tls_address (address);
    MUST (nn_bind (a, address));
    set_int (b, NN_SOL_SOCKET, NN_RECONNECT_IVL, 10);
    MUST (nn_connect (b, address));
    AWAIT (stat_of (b, NN_STAT_CONNECT_ERRORS) >= 3);
    AWAIT (stat_of (a, NN_STAT_BROKEN_CONNECTIONS) >= 3);
    EQ (stat_of (b, NN_STAT_CURRENT_EP_ERRORS), 1);
    EQ (stat_of (b, NN_STAT_CURRENT_CONNECTIONS), 0);
    EQ (stat_of (b, NN_STAT_ESTABLISHED_CONNECTIONS), 0);
    MUST (nn_close (b));
    b = client ();
    set_int (b, NN_TLS, NN_TLS_AUTH, NN_TLS_AUTH_NONE);
    MUST (nn_connect (b, address));
    SEND (b, "ABC");
    RECV (a, "ABC");
    MUST (nn_close (a));
    MUST (nn_close (b));
}

static void clients_are_asked_for_certificates (void)
{
    char address[NN_SOCKADDR_MAX];
    int a = cooked (NN_PAIR);
    int b = client ();
    identify (a, "server.pem", "server.key");
    MUST (set_text (a, NN_TLS_CA_FILE, "ca.pem"));
    set_int (a, NN_TLS, NN_TLS_AUTH, NN_TLS_AUTH_REQUIRED);
    tls_address (address);
    MUST (nn_bind (a, address));
    set_int (b, NN_SOL_SOCKET, NN_RECONNECT_IVL, 10);
    MUST (nn_connect (b, address));
    AWAIT (stat_of (a, NN_STAT_BROKEN_CONNECTIONS) >= 2);
    EQ (stat_of (a, NN_STAT_CURRENT_CONNECTIONS), 0);
    /* Also for endpoints that exist. */
    identify (b, "client.pem", "client.key");
    SEND (b, "ABC");
    RECV (a, "ABC");
    MUST (nn_close (a));
    MUST (nn_close (b));
}

static void files_set_again_are_renewed (void)
{
    char address[NN_SOCKADDR_MAX];
    int a = cooked (NN_REP);
    int b = cooked (NN_REQ);
    int c = cooked (NN_REQ);
    identify (a, "server.pem", "server.key");
    tls_address (address);
    MUST (nn_bind (a, address));
    MUST (set_text (b, NN_TLS_CA_FILE, "ca.pem"));
    MUST (nn_connect (b, address));
    AWAIT_PEERS (a, 1);
    /* In between the pair does not fit: the old one stays. */
    MUST (set_text (a, NN_TLS_CERT_FILE, "renewed.pem"));
    MUST (set_text (c, NN_TLS_CA_FILE, "ca.pem"));
    MUST (set_text (c, NN_TLS_SERVER_NAME, "renewed.example.org"));
    set_int (c, NN_SOL_SOCKET, NN_RECONNECT_IVL, 10);
    MUST (nn_connect (c, address));
    AWAIT (stat_of (c, NN_STAT_CONNECT_ERRORS) >= 2);
    MUST (set_text (a, NN_TLS_KEY_FILE, "renewed.key"));
    AWAIT_PEERS (a, 2);
    SEND (b, "old");
    RECV (a, "old");
    SEND (a, "fine");
    RECV (b, "fine");
    SEND (c, "new");
    RECV (a, "new");
    EQ (stat_of (b, NN_STAT_BROKEN_CONNECTIONS), 0);
    MUST (nn_close (a));
    MUST (nn_close (b));
    MUST (nn_close (c));
}

static void complain (void)
{
    char address[NN_SOCKADDR_MAX];
    int a = cooked (NN_PAIR);
    int b = cooked (NN_PAIR);
    FAILS (set_text (a, NN_TLS_CERT_FILE, "missing.pem"), ENOENT);
    FAILS (set_text (a, NN_TLS_KEY_FILE, "server.pem"), EINVAL);
    tls_address (address);
    FAILS (nn_bind (a, address), EINVAL);
    identify (a, "stranger.pem", "stranger.key");
    MUST (nn_bind (a, address));
    MUST (set_text (b, NN_TLS_CA_FILE, "ca.pem"));
    MUST (nn_connect (b, address));
    AWAIT (stat_of (b, NN_STAT_CONNECT_ERRORS) >= 1);
    AWAIT (stat_of (a, NN_STAT_BROKEN_CONNECTIONS) >= 1);
    MUST (nn_close (a));
    MUST (nn_close (b));
}

static void reasons_are_printed (void)
{
    static const char *const expected[] = {
        "cannot read the certificate from missing.pem: No such file or directory",
        "server.pem is no good as private key",
        "a certificate and its private key are needed",
        "the peer's certificate is self-signed",
    };
    char text[8192];
    size_t have = 0;
    ssize_t got;
    int ends[2];
    int i;
    pid_t pid;
    EQ (pipe (ends), 0);
    pid = fork ();
    CHECK (pid >= 0);
    if (pid == 0) {
        dup2 (ends[1], 2);
        close (ends[0]);
        close (ends[1]);
        setenv ("NN_PRINT_ERRORS", "1", 1);
        execl ("/proc/self/exe", "complain", "complain", "", (char *) NULL);
        _exit (126);
    }
    close (ends[1]);
    while (have < sizeof text - 1 && (got = read (ends[0], text + have, sizeof text - 1 - have)) > 0)
        have += (size_t) got;
    close (ends[0]);
    text[have] = 0;
    EQ (wait_child (pid), 0);
    for (i = 0; i < COUNT (expected); ++i)
        if (!strstr (text, expected[i]))
            FAIL ("not printed: %s; but:\n%s", expected[i], text);
    CHECK (!strstr (text, "PRIVATE KEY"));
}

static const struct check_case CASES[] = {
    CASE (messages_go_both_ways),
    CASE (options_have_defaults_and_ranges),
    CASE (files_are_read_there_and_then),
    CASE (what_is_missing_is_said_by_bind),
    CASE (unknown_servers_are_refused),
    CASE (clients_are_asked_for_certificates),
    CASE (files_set_again_are_renewed),
    ALONE (reasons_are_printed),
    HELPER (complain),
};

CHECK_MAIN (CASES)
