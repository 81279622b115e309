/* wss: programs that know ws and tls+tcp change the address.
 *
 * The folder holds the same files as that of tls.c. */
#include "ws_type.h"

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

static void wss_address (char address[NN_SOCKADDR_MAX])
{
    snprintf (address, NN_SOCKADDR_MAX, "wss://127.0.0.1:%d", free_port ());
}

/* A listening socket that is server.pem. */
static int server (int protocol, char address[NN_SOCKADDR_MAX])
{
    int s = cooked (protocol);
    identify (s, "server.pem", "server.key");
    wss_address (address);
    MUST (nn_bind (s, address));
    return s;
}

static int client (int protocol)
{
    int s = cooked (protocol);
    MUST (set_text (s, NN_TLS_CA_FILE, "ca.pem"));
    set_int (s, NN_SOL_SOCKET, NN_RECONNECT_IVL, 10);
    return s;
}

static void messages_go_both_ways_with_their_types (void)
{
    static char big[1000000];
    char address[NN_SOCKADDR_MAX];
    void *got = NULL;
    int a = server (NN_PAIR, address);
    int b = client (NN_PAIR);
    MUST (nn_connect (b, address));
    SEND (b, "binary unless set");
    EQ (type_received (a, "binary unless set"), NN_WS_MSG_TYPE_BINARY);
    send_as (a, "text", NN_WS_MSG_TYPE_TEXT);
    EQ (type_received (b, "text"), NN_WS_MSG_TYPE_TEXT);
    send_as (b, "text too", NN_WS_MSG_TYPE_TEXT);
    EQ (type_received (a, "text too"), NN_WS_MSG_TYPE_TEXT);
    memset (big, 'x', sizeof big);
    EQ (nn_send (b, big, sizeof big, 0), sizeof big);
    EQ (nn_recv (a, &got, NN_MSG, 0), sizeof big);
    EQ (memcmp (got, big, sizeof big), 0);
    MUST (nn_freemsg (got));
    MUST (nn_close (a));
    MUST (nn_close (b));
}

static void r64_the_type_of_the_socket_holds_inside_tls (void)
{
    char address[NN_SOCKADDR_MAX];
    int a = cooked (NN_PAIR);
    int b = client (NN_PAIR);
    set_int (a, NN_WS, NN_WS_MSG_TYPE, NN_WS_MSG_TYPE_TEXT);
    identify (a, "server.pem", "server.key");
    wss_address (address);
    MUST (nn_bind (a, address));
    MUST (nn_connect (b, address));
    SEND (a, "text");
    EQ (type_received (b, "text"), NN_WS_MSG_TYPE_TEXT);
    MUST (nn_close (a));
    MUST (nn_close (b));
}

static void addresses_are_those_of_ws (void)
{
    int s = client (NN_PAIR);
    identify (s, "server.pem", "server.key");
    FAILS (nn_bind (s, "wss://127.0.0.1"), EINVAL);
    FAILS (nn_bind (s, "wss://127.0.0.1:5555/path"), EINVAL);
    FAILS (nn_bind (s, "wss://localhost:5555"), ENODEV);
    FAILS (nn_connect (s, "wss://*:5555"), EINVAL);
    FAILS (nn_connect (s, "wss://127.0.0.1:65536"), EINVAL);
    FAILS (nn_connect (s, "tls+ws://127.0.0.1:5555"), EPROTONOSUPPORT);
    /* Without a port it is 443, whether or not anybody is there. */
    MUST (nn_connect (s, "wss://127.0.0.1/a/b?c"));
    MUST (nn_close (s));
}

static void path_and_query_reach_any_listener (void)
{
    char address[NN_SOCKADDR_MAX];
    int a = server (NN_REP, address);
    int b = client (NN_REQ);
    strcat (address, "/some/where?x=y");
    MUST (nn_connect (b, address));
    SEND (b, "ABC");
    RECV (a, "ABC");
    SEND (a, "DEF");
    RECV (b, "DEF");
    MUST (nn_close (a));
    MUST (nn_close (b));
}

static void certificates_are_required_as_over_tcp (void)
{
    char address[NN_SOCKADDR_MAX];
    int a = cooked (NN_PAIR);
    int b = client (NN_PAIR);
    wss_address (address);
    FAILS (nn_bind (a, address), EINVAL);
    identify (a, "stranger.pem", "stranger.key");
    MUST (nn_bind (a, address));
    MUST (nn_connect (b, address));
    AWAIT (stat_of (b, NN_STAT_CONNECT_ERRORS) >= 3);
    EQ (stat_of (b, NN_STAT_CURRENT_CONNECTIONS), 0);
    /* Renewed, it is one that b trusts. */
    identify (a, "server.pem", "server.key");
    SEND (b, "ABC");
    RECV (a, "ABC");
    MUST (nn_close (a));
    MUST (nn_close (b));

    a = cooked (NN_PAIR);
    b = client (NN_PAIR);
    identify (a, "server.pem", "server.key");
    MUST (set_text (a, NN_TLS_CA_FILE, "ca.pem"));
    set_int (a, NN_TLS, NN_TLS_AUTH, NN_TLS_AUTH_REQUIRED);
    wss_address (address);
    MUST (nn_bind (a, address));
    MUST (nn_connect (b, address));
    AWAIT (stat_of (a, NN_STAT_BROKEN_CONNECTIONS) >= 2);
    identify (b, "client.pem", "client.key");
    SEND (b, "ABC");
    RECV (a, "ABC");
    MUST (nn_close (a));
    MUST (nn_close (b));
}

static void names_are_told_and_checked (void)
{
    char address[NN_SOCKADDR_MAX];
    int a = server (NN_PAIR, address);
    int b = client (NN_PAIR);
    MUST (set_text (b, NN_TLS_SERVER_NAME, "elsewhere.example.org"));
    MUST (nn_connect (b, address));
    AWAIT (stat_of (b, NN_STAT_CONNECT_ERRORS) >= 2);
    EQ (stat_of (a, NN_STAT_CURRENT_CONNECTIONS), 0);
    MUST (nn_close (b));
    b = client (NN_PAIR);
    MUST (set_text (b, NN_TLS_SERVER_NAME, "server.example.org"));
    MUST (nn_connect (b, address));
    SEND (b, "ABC");
    RECV (a, "ABC");
    MUST (nn_close (a));
    MUST (nn_close (b));
}

static const struct check_case CASES[] = {
    CASE (messages_go_both_ways_with_their_types),
    CASE (r64_the_type_of_the_socket_holds_inside_tls),
    CASE (addresses_are_those_of_ws),
    CASE (path_and_query_reach_any_listener),
    CASE (certificates_are_required_as_over_tcp),
    CASE (names_are_told_and_checked),
};

CHECK_MAIN (CASES)
