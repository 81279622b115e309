/* WebSocket: types of messages, what control data says about them, and what a peer sees on the wire. */
#include "ws_type.h"

/* A browser, or somebody with telnet: connected to a PAIR at this port, the upgrade done. */
static int upgraded (int port)
{
    static const char REQUEST[] = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                  "Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n"
                                  "Sec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Protocol: pair.sp.nanomsg.org\r\n\r\n";
    static const char RESPONSE[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                                   "Connection: Upgrade\r\n"
                                   "Sec-WebSocket-Accept: Bz3qJYTGdOe8gUSpLosEdiLKDrk=\r\n"
                                   "Sec-WebSocket-Protocol: pair.sp.nanomsg.org\r\n\r\n";
    char got[sizeof RESPONSE];
    struct sockaddr_in address;
    int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memset (&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
    address.sin_port = htons ((unsigned short) port);
    EQ (connect (fd, (struct sockaddr *) &address, sizeof address), 0);
    EQ (write (fd, REQUEST, sizeof REQUEST - 1), sizeof REQUEST - 1);
    EQ (recv (fd, got, sizeof RESPONSE - 1, MSG_WAITALL), sizeof RESPONSE - 1);
    CHECK (memcmp (got, RESPONSE, sizeof RESPONSE - 1) == 0);
    return fd;
}

static void expect_bytes (int fd, const char *bytes, size_t size)
{
    char got[64];
    CHECK (size <= sizeof got);
    EQ (recv (fd, got, size, MSG_WAITALL), size);
    CHECK (memcmp (got, bytes, size) == 0);
}

static void r64_types_of_messages_are_delivered (void)
{
    int a, b;
    open_linked (NN_PAIR, NN_PAIR, "ws", &a, &b);
    SEND (a, "binary unless set");
    EQ (type_received (b, "binary unless set"), NN_WS_MSG_TYPE_BINARY);
    send_as (b, "text", NN_WS_MSG_TYPE_TEXT);
    EQ (type_received (a, "text"), NN_WS_MSG_TYPE_TEXT);
    send_as (a, "binary", NN_WS_MSG_TYPE_BINARY);
    EQ (type_received (b, "binary"), NN_WS_MSG_TYPE_BINARY);
    send_as (a, "no such type", 9);
    EQ (type_received (b, "no such type"), NN_WS_MSG_TYPE_BINARY);
    MUST (nn_close (a));
    MUST (nn_close (b));
}

static void r64_the_option_is_for_connections_to_come (void)
{
    char address[NN_SOCKADDR_MAX];
    int a = cooked (NN_PAIR);
    int b = cooked (NN_PAIR);
    new_address ("ws", address);
    set_int (a, NN_WS, NN_WS_MSG_TYPE, NN_WS_MSG_TYPE_TEXT);
    MUST (nn_bind (a, address));
    set_int (b, NN_WS, NN_WS_MSG_TYPE, NN_WS_MSG_TYPE_TEXT);
    MUST (nn_connect (b, address));
    set_int (b, NN_WS, NN_WS_MSG_TYPE, NN_WS_MSG_TYPE_BINARY);
    AWAIT_PEERS (a, 1);
    set_int (a, NN_WS, NN_WS_MSG_TYPE, NN_WS_MSG_TYPE_BINARY);
    SEND (a, "text");
    EQ (type_received (b, "text"), NN_WS_MSG_TYPE_TEXT);
    SEND (b, "text too");
    EQ (type_received (a, "text too"), NN_WS_MSG_TYPE_TEXT);
    MUST (nn_close (a));
    MUST (nn_close (b));
}

static void r64_text_that_is_none_is_not_delivered (void)
{
    int a, b;
    open_linked (NN_PAIR, NN_PAIR, "ws", &a, &b);
    send_as (b, "\x42\x41\xdd\x2e", NN_WS_MSG_TYPE_TEXT);
    AWAIT_STAT (a, NN_STAT_BROKEN_CONNECTIONS, 1);
    RECV_NOTHING (a);
    AWAIT_PEERS (a, 1);
    SEND (b, "connected again");
    RECV (a, "connected again");
    MUST (nn_close (a));
    MUST (nn_close (b));
}

static void other_transports_carry_no_type (void)
{
    int i;
    for (i = 0; i < 3; ++i) {
        int a, b;
        open_linked (NN_PAIR, NN_PAIR, TRANSPORTS[i], &a, &b);
        send_as (a, "text", NN_WS_MSG_TYPE_TEXT);
        EQ (type_received (b, "text"), 0);
        MUST (nn_close (a));
        MUST (nn_close (b));
    }
}

static void control_data_in_a_buffer_has_both_records (void)
{
    int a, b;
    char body[64];
    void *control = NULL;
    struct nn_iovec iov;
    struct nn_msghdr hdr = header_of (&iov, body, sizeof body, &control, NN_MSG);
    struct nn_cmsghdr *c;
    open_linked (NN_PAIR, NN_PAIR, "ws", &a, &b);
    SEND (a, "ABC");
    EQ (nn_recvmsg (b, &hdr, 0), 3);
    CHECK (control != NULL);
    c = NN_CMSG_NXTHDR (&hdr, NN_CMSG_FIRSTHDR (&hdr));
    CHECK (c != NULL);
    EQ (c->cmsg_level, NN_WS);
    EQ (*NN_CMSG_DATA (c), NN_WS_MSG_TYPE_BINARY);
    /* Sent back, it has its type again. */
    iov.iov_len = 3;
    EQ (nn_sendmsg (b, &hdr, 0), 3);
    EQ (type_received (a, "ABC"), NN_WS_MSG_TYPE_BINARY);
    MUST (nn_close (a));
    MUST (nn_close (b));
}

static void r59_r64_r72_a_peer_sees_plain_frames (void)
{
    int port = free_port ();
    char address[NN_SOCKADDR_MAX];
    int s = cooked (NN_PAIR);
    int fd;
    snprintf (address, sizeof address, "ws://127.0.0.1:%d", port);
    MUST (nn_bind (s, address));
    fd = upgraded (port);
    AWAIT_PEERS (s, 1);
    SEND (s, "Hello");
    expect_bytes (fd, "\x82\x05Hello", 7);
    send_as (s, "Hello", NN_WS_MSG_TYPE_TEXT);
    expect_bytes (fd, "\x81\x05Hello", 7);
    SEND (s, "");
    expect_bytes (fd, "\x82\x00", 2);
    /* "Hello" and a Ping, masked with 37 fa 21 3d. */
    EQ (write (fd, "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58\x89\x80\x37\xfa\x21\x3d", 17), 17);
    EQ (type_received (s, "Hello"), NN_WS_MSG_TYPE_TEXT);
    expect_bytes (fd, "\x8a\x00", 2);
    RECV_NOTHING (s);
    MUST (nn_close (s));
    /* R69: the end is the end of the stream, without a Close frame. */
    EQ (read (fd, address, 1), 0);
    close (fd);
}

static const struct check_case CASES[] = {
    CASE (r64_types_of_messages_are_delivered),
    CASE (r64_the_option_is_for_connections_to_come),
    CASE (r64_text_that_is_none_is_not_delivered),
    CASE (other_transports_carry_no_type),
    CASE (control_data_in_a_buffer_has_both_records),
    CASE (r59_r64_r72_a_peer_sees_plain_frames),
};

CHECK_MAIN (CASES)
