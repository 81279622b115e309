/*  The storm's clients: all at once, each connects to a REP, asks once, takes the answer and stays connected.

    They are bare sockets in one process, so that what is measured is the server, and the same whoever serves.
    `sp` speaks to nanomsg's relatives, `zmtp` to libzmq. Bytes are counted: what comes back has the same
    length for everybody, and must end with the body. The conversation is that of cases.h.  */

#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define BODY_BYTES 64
#define MOST_BYTES 256
/*  As in cases.h.  */
#define LIFETIME_SECONDS 90

struct text {
    char bytes[MOST_BYTES];
    size_t len;
};

struct client {
    int fd, opened, asked;
    size_t got;
    char tail[BODY_BYTES];
};

/*  What is said when the connection is there, and when the server has opened too.  */
static struct text opening, question;
/*  How many bytes the server says until then, and until its answer is complete.  */
static size_t opening_bytes, answer_bytes;
static struct sockaddr_storage server;
static socklen_t server_bytes;
static int poller;
static long connect_retries;

static void die (const char *what)
{
    fprintf (stderr, "storm: %s: %s\n", what, strerror (errno));
    exit (1);
}

static double seconds (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

static void put (struct text *text, const void *bytes, size_t len)
{
    memcpy (text->bytes + text->len, bytes, len);
    text->len += len;
}

/*  Header; then one framed request: id with its top bit, body. On ipc a type byte precedes the length.  */
static void speak_sp (int ipc)
{
    static const char header[8] = {0, 'S', 'P', 0, 0, 0x30, 0, 0};
    static const char length[8] = {0, 0, 0, 0, 0, 0, 0, 4 + BODY_BYTES};
    static const char id[4] = {(char) 0x80, 0, 0, 1};
    put (&opening, header, sizeof (header));
    put (&question, "\1", ipc ? 1 : 0);
    put (&question, length, sizeof (length));
    put (&question, id, sizeof (id));
    opening_bytes = opening.len;
    answer_bytes = opening.len + question.len + BODY_BYTES;
}

/*  Greeting of version 3.0 with the NULL mechanism, READY as REQ; then delimiter and body as two frames.  */
static void speak_zmtp (void)
{
    static const char ready[] = "\4\x26\5READY\xbSocket-Type\0\0\0\3REQ\10Identity\0\0\0\0";
    static const char peer_ready[] = "\4\x19\5READY\xbSocket-Type\0\0\0\3REP";
    char greeting[64] = {(char) 0xff};
    greeting[9] = 0x7f;
    greeting[10] = 3;
    memcpy (greeting + 12, "NULL", 4);
    put (&opening, greeting, sizeof (greeting));
    put (&opening, ready, sizeof (ready) - 1);
    put (&question, "\1\0\0\x40", 4);
    opening_bytes = sizeof (greeting) + sizeof (peer_ready) - 1;
    answer_bytes = opening_bytes + 4 + BODY_BYTES;
}

static void resolve (const char *address)
{
    if (strncmp (address, "tcp:", 4) == 0) {
        struct sockaddr_in *in = (struct sockaddr_in *) &server;
        in->sin_family = AF_INET;
        in->sin_addr.s_addr = htonl (INADDR_LOOPBACK);
        in->sin_port = htons ((uint16_t) atoi (strrchr (address, ':') + 1));
        server_bytes = sizeof (*in);
    } else {
        struct sockaddr_un *un = (struct sockaddr_un *) &server;
        un->sun_family = AF_UNIX;
        snprintf (un->sun_path, sizeof (un->sun_path), "%s", address + strlen ("ipc://"));
        server_bytes = sizeof (*un);
    }
}

/*  Whether the connection is made or on its way; a Unix socket whose backlog is full says that it is not.  */
static int begin (struct client *client)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = client};
    if (!client->fd) {
        client->fd = socket (server.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (client->fd < 0)
            die ("socket");
    }
    if (connect (client->fd, (struct sockaddr *) &server, server_bytes) != 0 && errno != EINPROGRESS) {
        if (errno != EAGAIN)
            die ("connect");
        connect_retries++;
        return 0;
    }
    if (epoll_ctl (poller, EPOLL_CTL_ADD, client->fd, &event) != 0)
        die ("epoll_ctl");
    return 1;
}

static void say (struct client *client, const struct text *text)
{
    if (send (client->fd, text->bytes, text->len, MSG_NOSIGNAL) != (ssize_t) text->len)
        die ("send");
}

static void open_up (struct client *client)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    say (client, &opening);
    client->opened = 1;
    if (epoll_ctl (poller, EPOLL_CTL_MOD, client->fd, &event) != 0)
        die ("epoll_ctl");
}

/*  Whether the answer is complete now.  */
static int take (struct client *client)
{
    char block[MOST_BYTES];
    ssize_t got = recv (client->fd, block, sizeof (block), 0);
    if (got <= 0) {
        if (got < 0 && errno == EAGAIN)
            return 0;
        errno = got == 0 ? ECONNRESET : errno;
        die ("recv");
    }
    for (ssize_t i = 0; i < got; i++)
        client->tail[client->got++ % BODY_BYTES] = block[i];
    if (!client->asked && client->got >= opening_bytes) {
        client->asked = 1;
        say (client, &question);
    }
    if (client->got < answer_bytes)
        return 0;
    for (size_t i = 0; i < BODY_BYTES; i++)
        if (client->got != answer_bytes || client->tail[i] != 'b') {
            errno = EPROTO;
            die ("the answer is another");
        }
    return 1;
}

static void storm (long count)
{
    struct client *clients = calloc ((size_t) count, sizeof (*clients));
    struct epoll_event events[256];
    long begun = 0, answered = 0;
    double began = seconds ();
    if (!clients)
        die ("calloc");
    while (answered < count) {
        int ready;
        while (begun < count && begin (&clients[begun]))
            begun++;
        ready = epoll_wait (poller, events, 256, begun < count ? 1 : -1);
        for (int i = 0; i < ready; i++) {
            struct client *client = events[i].data.ptr;
            if (!client->opened && events[i].events & (EPOLLOUT | EPOLLERR))
                open_up (client);
            else if (events[i].events & EPOLLIN)
                answered += take (client);
        }
    }
    printf ("result seconds=%.4f retries=%ld\ndone\n", seconds () - began, connect_retries);
    fflush (stdout);
}

int main (int argc, char **argv)
{
    const char *address = argc > 1 ? argv[1] : "";
    char body[BODY_BYTES];
    if (argc != 4) {
        fprintf (stderr, "usage: storm ADDRESS sp|zmtp COUNT\n");
        return 1;
    }
    alarm (LIFETIME_SECONDS);
    poller = epoll_create1 (0);
    if (poller < 0)
        die ("epoll_create1");
    resolve (address);
    if (strcmp (argv[2], "zmtp") == 0)
        speak_zmtp ();
    else
        speak_sp (strncmp (address, "ipc:", 4) == 0);
    memset (body, 'b', sizeof (body));
    put (&question, body, sizeof (body));
    storm (atol (argv[3]));
    /*  Stays until it is ended.  */
    while (read (0, body, 1) > 0)
        ;
    return 0;
}
