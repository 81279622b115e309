/* What nn_bind and nn_connect accept and refuse. P in an address stands for a free port. */
#include "check.h"

struct row {
    const char *address;
    int bind_error;
    int connect_error;
};

static const struct row SYNTAX[] = {
    {"", EINVAL, EINVAL},
    {"bogus", EINVAL, EINVAL},
    {"inproc", EINVAL, EINVAL},
    {"inproc:", EINVAL, EINVAL},
    {"inproc:/x", EINVAL, EINVAL},
    {"tcp:x//", EINVAL, EINVAL},
    {"tcp:/x", EINVAL, EINVAL},
    {"://x", EPROTONOSUPPORT, EPROTONOSUPPORT},
    {"foo://x", EPROTONOSUPPORT, EPROTONOSUPPORT},
    {"INPROC://x", EPROTONOSUPPORT, EPROTONOSUPPORT},
    {"Tcp://127.0.0.1:P", EPROTONOSUPPORT, EPROTONOSUPPORT},
    {"udp://127.0.0.1:P", EPROTONOSUPPORT, EPROTONOSUPPORT},
    {"tcp2://127.0.0.1:P", EPROTONOSUPPORT, EPROTONOSUPPORT},
};

static const struct row TCP[] = {
    {"tcp://", EINVAL, EINVAL},
    {"tcp://:", EINVAL, EINVAL},
    {"tcp://*", EINVAL, EINVAL},
    {"tcp://*:", EINVAL, EINVAL},
    {"tcp://*:P", 0, EINVAL},
    {"tcp://*:0", EINVAL, EINVAL},
    {"tcp://127.0.0.1:0", EINVAL, EINVAL},
    {"tcp://*:65536", EINVAL, EINVAL},
    {"tcp://*:1000000", EINVAL, EINVAL},
    {"tcp://127.0.0.1:99999999999999999999", EINVAL, EINVAL},
    {"tcp://*:some_port", EINVAL, EINVAL},
    {"tcp://127.0.0.1:", EINVAL, EINVAL},
    {"tcp://127.0.0.1:-1", EINVAL, EINVAL},
    {"tcp://127.0.0.1:+1", EINVAL, EINVAL},
    {"tcp://127.0.0.1:0x50", EINVAL, EINVAL},
    {"tcp://127.0.0.1:P", 0, 0},
    {"tcp://127.0.0.1:0P", 0, 0},
    {"tcp://127.0.0.1: P", EINVAL, EINVAL},
    {"tcp://127.0.0.1:P ", EINVAL, EINVAL},
    {"tcp://127.0.0.1:P/", EINVAL, EINVAL},
    {"tcp://127.0.0.1:P/path", EINVAL, EINVAL},
    {"tcp://127.0.0.1", EINVAL, EINVAL},
    {"tcp://:P", ENODEV, EINVAL},
    {"tcp://localhost:P", ENODEV, 0},
    {"tcp://nosuchhost.invalid:P", ENODEV, 0},
    {"tcp://lo:P", ENODEV, 0},
    {"tcp://eth10000:P", ENODEV, 0},
    {"tcp://192.0.2.1:P", EADDRNOTAVAIL, 0},
    {"tcp://[127.0.0.1]:P", 0, 0},
    {"tcp://[::1]:P", ENODEV, EINVAL},
    {"tcp://::1:P", ENODEV, EINVAL},
    {"tcp://[::1:P", ENODEV, EINVAL},
    {"tcp://127.0.0.1;127.0.0.1:P", ENODEV, 0},
    {"tcp://*;127.0.0.1:P", ENODEV, 0},
    {"tcp://lo;127.0.0.1:P", ENODEV, ENODEV},
    {"tcp://eth10000;127.0.0.1:P", ENODEV, ENODEV},
    {"tcp://1.2.3:P", ENODEV, 0},
    {"tcp://999.1.1.1:P", ENODEV, 0},
    {"tcp://a.b.:P", ENODEV, 0},
    {"tcp://a_b:P", ENODEV, EINVAL},
    {"tcp://-hostname:P", ENODEV, EINVAL},
    {"tcp://abc...123:P", ENODEV, EINVAL},
    {"tcp://.123:P", ENODEV, EINVAL},
    {"tcp://abc.123.---.#:P", ENODEV, EINVAL},
};

static const struct row TCP_WITH_IPV6[] = {
    {"tcp://[::1]:P", 0, 0},
    {"tcp://::1:P", 0, 0},
    {"tcp://*:P", 0, EINVAL},
    {"tcp://127.0.0.1:P", 0, -1},
    {"tcp://[::1:P", ENODEV, EINVAL},
    {"tcp://localhost:P", ENODEV, 0},
};

static const struct row WS[] = {
    {"ws://", EINVAL, EINVAL},
    {"ws://*", EINVAL, EINVAL},
    {"ws:///", EINVAL, EINVAL},
    {"ws://*:P", 0, EINVAL},
    {"ws://*:0", EINVAL, EINVAL},
    {"ws://127.0.0.1:P", 0, 0},
    {"ws://127.0.0.1:0", EINVAL, EINVAL},
    {"ws://127.0.0.1:65536", EINVAL, EINVAL},
    {"ws://127.0.0.1", EINVAL, 0},
    {"ws://127.0.0.1/path", EINVAL, 0},
    {"ws://127.0.0.1:P/", EINVAL, 0},
    {"ws://127.0.0.1:P/a/b?c", EINVAL, 0},
    {"ws://127.0.0.1:P/a b", EINVAL, EINVAL},
    {"ws://127.0.0.1/x:P", ENODEV, EINVAL},
    {"ws://:P", ENODEV, EINVAL},
    {"ws://[::1]:P", ENODEV, EINVAL},
    {"ws://localhost:P", ENODEV, 0},
    {"ws://192.0.2.1:P", EADDRNOTAVAIL, 0},
    {"ws://127.0.0.1;127.0.0.1:P", ENODEV, 0},
    {"ws://eth10000;127.0.0.1:P", ENODEV, ENODEV},
    {"ws://-hostname:P", ENODEV, EINVAL},
    {"ws://abc...123:P", ENODEV, EINVAL},
};

static const struct row OTHERS[] = {
    {"inproc://", 0, 0},
    {"inproc://a/b c\t;:*", 0, 0},
    {"ipc://relative.sock", 0, 0},
    {"ipc:///nonexistent/dir/x", ENOENT, 0},
    {"ipc://nonexistent/x", ENOENT, 0},
    {"ipc:///dev/null/x", ENOTDIR, 0},
};

/* The address with a free port in the place of P. */
static void with_port (char out[NN_SOCKADDR_MAX], const char *address)
{
    const char *p = strchr (address, 'P');
    if (p && strncmp (address, "INPROC", 6) != 0)
        snprintf (out, NN_SOCKADDR_MAX, "%.*s%d%s", (int) (p - address), address, free_port (), p + 1);
    else
        snprintf (out, NN_SOCKADDR_MAX, "%s", address);
}

static void expect (const char *what, const char *address, int rc, int error, int expected)
{
    if (expected == 0 ? rc < 1 : rc != -1 || error != expected)
        FAIL ("%s %s returned %d, errno %d (%s); expected %s", what, address, rc, error, nn_strerror (error),
              expected ? nn_strerror (expected) : "success");
}

/* An expected error of -1 leaves the call out. */
static void check_rows (const struct row *rows, int count, int ipv4_only)
{
    int i;
    for (i = 0; i < count; ++i) {
        char address[NN_SOCKADDR_MAX];
        int s = cooked (NN_PAIR);
        int rc;
        set_int (s, NN_SOL_SOCKET, NN_IPV4ONLY, ipv4_only);
        with_port (address, rows[i].address);
        if (rows[i].bind_error != -1) {
            rc = nn_bind (s, address);
            expect ("nn_bind", address, rc, nn_errno (), rows[i].bind_error);
            if (rc > 0)
                MUST (nn_shutdown (s, rc));
        }
        with_port (address, rows[i].address);
        if (rows[i].connect_error != -1) {
            rc = nn_connect (s, address);
            expect ("nn_connect", address, rc, nn_errno (), rows[i].connect_error);
        }
        MUST (nn_close (s));
    }
}

static void r89_addresses_without_a_known_scheme (void)
{
    int s = cooked (NN_PAIR);
    FAILS (nn_bind (s, NULL), EINVAL);
    FAILS (nn_connect (s, NULL), EINVAL);
    MUST (nn_close (s));
    check_rows (SYNTAX, COUNT (SYNTAX), 1);
}

static void r90_r91_r92_tcp_addresses (void)
{
    check_rows (TCP, COUNT (TCP), 1);
}

static void r90_r91_r92_ws_addresses (void)
{
    check_rows (WS, COUNT (WS), 1);
}

static int have_ipv6 (void)
{
    struct sockaddr_in6 address;
    int rc;
    int fd = socket (AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memset (&address, 0, sizeof address);
    address.sin6_family = AF_INET6;
    address.sin6_addr = in6addr_loopback;
    rc = fd < 0 ? -1 : bind (fd, (struct sockaddr *) &address, sizeof address);
    if (fd >= 0)
        close (fd);
    return rc == 0;
}

static void r96_tcp_addresses_with_ipv6 (void)
{
    /* Without the loopback of IPv6 the system itself refuses these binds; the syntax is left to see. */
    if (have_ipv6 ()) {
        check_rows (TCP_WITH_IPV6, COUNT (TCP_WITH_IPV6), 0);
    } else {
        int s = cooked (NN_PAIR);
        set_int (s, NN_SOL_SOCKET, NN_IPV4ONLY, 0);
        CHECK (nn_connect (s, "tcp://[::1]:9") > 0);
        FAILS (nn_connect (s, "tcp://[::1:9"), EINVAL);
        MUST (nn_close (s));
    }
}

static void r95_ipv4_literals_connect_when_ipv6_is_allowed (void)
{
    char address[NN_SOCKADDR_MAX];
    int a = cooked (NN_PAIR);
    int b = cooked (NN_PAIR);
    set_int (b, NN_SOL_SOCKET, NN_IPV4ONLY, 0);
    new_address ("tcp", address);
    MUST (nn_bind (a, address));
    MUST (nn_connect (b, address));
    SEND (b, "ABC");
    RECV (a, "ABC");
    MUST (nn_close (a));
    MUST (nn_close (b));
}

static void other_transports (void)
{
    check_rows (OTHERS, COUNT (OTHERS), 1);
}

static void names_are_resolved_in_the_background (void)
{
    char address[NN_SOCKADDR_MAX];
    int port = free_port ();
    int a = cooked (NN_PAIR);
    int b = cooked (NN_PAIR);
    snprintf (address, sizeof address, "tcp://127.0.0.1:%d", port);
    MUST (nn_bind (a, address));
    snprintf (address, sizeof address, "tcp://localhost:%d", port);
    MUST (nn_connect (b, address));
    SEND (b, "ABC");
    RECV (a, "ABC");
    MUST (nn_close (a));
    MUST (nn_close (b));
}

static void a_local_part_is_used (void)
{
    char address[NN_SOCKADDR_MAX];
    int port = free_port ();
    int a = cooked (NN_PAIR);
    int b = cooked (NN_PAIR);
    snprintf (address, sizeof address, "tcp://*:%d", port);
    MUST (nn_bind (a, address));
    snprintf (address, sizeof address, "tcp://127.0.0.1;127.0.0.1:%d", port);
    MUST (nn_connect (b, address));
    SEND (b, "ABC");
    RECV (a, "ABC");
    MUST (nn_close (a));
    MUST (nn_close (b));
}

static void a_local_part_that_cannot_be_bound_is_retried (void)
{
    char address[NN_SOCKADDR_MAX];
    int s = cooked (NN_PAIR);
    set_int (s, NN_SOL_SOCKET, NN_RECONNECT_IVL, 5);
    snprintf (address, sizeof address, "tcp://192.0.2.9;127.0.0.1:%d", free_port ());
    MUST (nn_connect (s, address));
    AWAIT (stat_of (s, NN_STAT_CONNECT_ERRORS) >= 3);
    MUST (nn_close (s));
}

static void r88_127_bytes_are_accepted_and_128_refused (void)
{
    char address[300];
    int s = cooked (NN_PUB);
    memset (address, 'x', sizeof address);
    memcpy (address, "inproc://", 9);
    address[127] = 0;
    EQ (nn_bind (s, address), 1);
    EQ (nn_connect (s, address), 2);
    MUST (nn_close (s));
    s = cooked (NN_PAIR);
    address[127] = 'x';
    address[128] = 0;
    FAILS (nn_bind (s, address), ENAMETOOLONG);
    FAILS (nn_connect (s, address), ENAMETOOLONG);
    /* The length comes before the syntax. */
    memset (address, 'x', sizeof address);
    address[299] = 0;
    FAILS (nn_bind (s, address), ENAMETOOLONG);
    FAILS (nn_connect (s, address), ENAMETOOLONG);
    MUST (nn_close (s));
}

static void r31_ipc_paths_of_107_bytes_work_and_longer_ones_are_refused (void)
{
    char address[NN_SOCKADDR_MAX];
    int length;
    int a = cooked (NN_PAIR);
    int b = cooked (NN_PAIR);
    memset (address, 'p', sizeof address);
    memcpy (address, "ipc://", 6);
    address[6 + 107] = 0;
    MUST (nn_bind (a, address));
    MUST (nn_connect (b, address));
    SEND (a, "ABC");
    RECV (b, "ABC");
    for (length = 108; length <= 121; ++length) {
        memset (address, 'p', sizeof address);
        memcpy (address, "ipc://", 6);
        address[6 + length] = 0;
        FAILS (nn_bind (a, address), ENAMETOOLONG);
        FAILS (nn_connect (b, address), ENAMETOOLONG);
    }
    MUST (nn_close (a));
    MUST (nn_close (b));
}

static void r94_endpoint_ids_count_from_one_and_are_not_reused (void)
{
    int s = cooked (NN_PUB);
    char address[NN_SOCKADDR_MAX];
    new_address ("inproc", address);
    EQ (nn_bind (s, address), 1);
    FAILS (nn_bind (s, "inproc"), EINVAL);
    FAILS (nn_bind (s, address), EADDRINUSE);
    FAILS (nn_connect (s, "foo://x"), EPROTONOSUPPORT);
    EQ (nn_connect (s, address), 2);
    MUST (nn_shutdown (s, 1));
    MUST (nn_shutdown (s, 2));
    EQ (nn_bind (s, address), 3);
    FAILS (nn_shutdown (s, 1), EINVAL);
    FAILS (nn_shutdown (s, 4), EINVAL);
    FAILS (nn_shutdown (s, 0), EINVAL);
    FAILS (nn_shutdown (s, -1), EINVAL);
    MUST (nn_close (s));
    s = cooked (NN_PUB);
    EQ (nn_bind (s, address), 1);
    MUST (nn_close (s));
}

static void r28_r84_r91_an_address_in_use_is_refused (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        char address[NN_SOCKADDR_MAX];
        int a = cooked (NN_PAIR);
        int b = cooked (NN_PAIR);
        int c = cooked (NN_PAIR);
        new_address (TRANSPORTS[t], address);
        MUST (nn_bind (a, address));
        FAILS (nn_bind (b, address), EADDRINUSE);
        FAILS (nn_bind (a, address), EADDRINUSE);
        MUST (nn_connect (c, address));
        SEND (c, "ABC");
        RECV (a, "ABC");
        MUST (nn_close (c));
        MUST (nn_close (a));
        MUST (nn_bind (b, address));
        MUST (nn_close (b));
    }
}

static void r30_files_that_are_no_sockets_are_left_alone (void)
{
    int fd = open ("regular.file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    int s = cooked (NN_PAIR);
    struct stat st;
    CHECK (fd >= 0);
    EQ (write (fd, "data", 4), 4);
    EQ (close (fd), 0);
    EQ (mkdir ("a.directory", 0700), 0);
    FAILS (nn_bind (s, "ipc://regular.file"), EADDRINUSE);
    EQ (stat ("regular.file", &st), 0);
    EQ (st.st_size, 4);
    FAILS (nn_bind (s, "ipc://a.directory"), EADDRINUSE);
    EQ (stat ("a.directory", &st), 0);
    MUST (nn_close (s));
    EQ (unlink ("regular.file"), 0);
    EQ (rmdir ("a.directory"), 0);
}

/* Binds, and dies without the chance to remove the file. */
static void die_bound (void)
{
    int s = cooked (NN_PAIR);
    MUST (nn_bind (s, check_argument));
    kill (getpid (), SIGKILL);
}

static void r29_the_file_of_a_dead_listener_is_taken_over (void)
{
    int a = cooked (NN_PAIR);
    int b = cooked (NN_PAIR);
    EQ (wait_child (spawn ("die_bound", "ipc://stale.sock")), 1000 + SIGKILL);
    EQ (access ("stale.sock", F_OK), 0);
    MUST (nn_bind (a, "ipc://stale.sock"));
    MUST (nn_connect (b, "ipc://stale.sock"));
    SEND (b, "ABC");
    RECV (a, "ABC");
    MUST (nn_close (b));
    MUST (nn_close (a));
}

static void r32_the_file_goes_with_its_listener (void)
{
    struct stat st;
    mode_t mask = umask (027);
    int s = cooked (NN_PAIR);
    int id = MUST (nn_bind (s, "ipc://mine.sock"));
    EQ (stat ("mine.sock", &st), 0);
    CHECK (S_ISSOCK (st.st_mode));
    EQ (st.st_mode & 0777, 0777 & ~027);
    MUST (nn_shutdown (s, id));
    CHECK (access ("mine.sock", F_OK) != 0);
    MUST (nn_bind (s, "ipc://mine.sock"));
    MUST (nn_close (s));
    CHECK (access ("mine.sock", F_OK) != 0);
    umask (mask);
}

static void r238_a_shut_down_address_can_be_bound_at_once (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        char address[NN_SOCKADDR_MAX];
        int s = cooked (NN_PUB);
        int i;
        new_address (TRANSPORTS[t], address);
        for (i = 0; i < 20; ++i) {
            int id = MUST (nn_bind (s, address));
            MUST (nn_shutdown (s, id));
        }
        MUST (nn_close (s));
    }
}

static void r93_nobody_there_is_no_error (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        char address[NN_SOCKADDR_MAX];
        int a = cooked (NN_PAIR);
        int b = cooked (NN_PAIR);
        set_int (a, NN_SOL_SOCKET, NN_RECONNECT_IVL, 10);
        new_address (TRANSPORTS[t], address);
        MUST (nn_connect (a, address));
        if (strcmp (TRANSPORTS[t], "inproc") != 0)
            AWAIT (stat_of (a, NN_STAT_CONNECT_ERRORS) >= 3);
        MUST (nn_bind (b, address));
        SEND (a, "ABC");
        RECV (b, "ABC");
        MUST (nn_close (b));
        MUST (nn_close (a));
    }
}

static void r244_several_binds_and_connects_mix_on_one_socket (void)
{
    char address[COUNT (TRANSPORTS)][NN_SOCKADDR_MAX];
    int pull = cooked (NN_PULL);
    int push[COUNT (TRANSPORTS)];
    int extra = cooked (NN_PUSH);
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        new_address (TRANSPORTS[t], address[t]);
        EQ (nn_bind (pull, address[t]), t + 1);
        push[t] = cooked (NN_PUSH);
        MUST (nn_connect (push[t], address[t]));
        MUST (nn_connect (push[t], address[t]));
    }
    AWAIT_PEERS (pull, 2 * COUNT (TRANSPORTS));
    link_sockets (extra, pull, "tcp");
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        SEND (push[t], TRANSPORTS[t]);
        RECV (pull, TRANSPORTS[t]);
        MUST (nn_close (push[t]));
    }
    SEND (extra, "extra");
    RECV (pull, "extra");
    MUST (nn_close (extra));
    MUST (nn_close (pull));
}

static const struct check_case CASES[] = {
    CASE (r89_addresses_without_a_known_scheme),
    CASE (r90_r91_r92_tcp_addresses),
    CASE (r90_r91_r92_ws_addresses),
    CASE (r96_tcp_addresses_with_ipv6),
    CASE (r95_ipv4_literals_connect_when_ipv6_is_allowed),
    CASE (other_transports),
    CASE (names_are_resolved_in_the_background),
    CASE (a_local_part_is_used),
    CASE (a_local_part_that_cannot_be_bound_is_retried),
    CASE (r88_127_bytes_are_accepted_and_128_refused),
    CASE (r31_ipc_paths_of_107_bytes_work_and_longer_ones_are_refused),
    CASE (r94_endpoint_ids_count_from_one_and_are_not_reused),
    CASE (r28_r84_r91_an_address_in_use_is_refused),
    CASE (r30_files_that_are_no_sockets_are_left_alone),
    CASE (r29_the_file_of_a_dead_listener_is_taken_over),
    CASE (r32_the_file_goes_with_its_listener),
    CASE (r238_a_shut_down_address_can_be_bound_at_once),
    CASE (r93_nobody_there_is_no_error),
    CASE (r244_several_binds_and_connects_mix_on_one_socket),
    HELPER (die_bound),
};

CHECK_MAIN (CASES)
