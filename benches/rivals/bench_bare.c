/*  No library: sockets with eight bytes of length before each body. This is the floor.

    When throughput is measured up to 1000 messages or 256 KiB go with one write, and a read takes what fits
    into as much; bodies from 16 KiB are neither gathered nor copied. spin=1 never sleeps in a read.  */

#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "cases.h"

#define BLOCK_BYTES (256 * 1024)
#define LARGE_BYTES (16 * 1024)
#define GATHERED_MESSAGES 1000

struct connection {
    int fd;
    char *in, *out;
    size_t in_start, in_end, out_end, out_messages;
};

struct bare {
    enum role role;
    int listener, poll;
    long connections;
    struct connection *connection, *current;
};
typedef struct bare *sock;

static void must (long result, const char *what)
{
    if (result < 0)
        die (what, strerror (errno));
}

static void *memory (size_t bytes)
{
    void *memory = calloc (1, bytes);
    if (!memory)
        die ("calloc", strerror (errno));
    return memory;
}

static sock sock_open (enum role role)
{
    sock s = memory (sizeof (*s));
    s->role = role;
    s->listener = s->poll = -1;
    return s;
}

static socklen_t resolve (const char *address, struct sockaddr_storage *to)
{
    memset (to, 0, sizeof (*to));
    if (strncmp (address, "tcp:", 4) == 0) {
        struct sockaddr_in *in = (struct sockaddr_in *) to;
        in->sin_family = AF_INET;
        in->sin_addr.s_addr = htonl (INADDR_LOOPBACK);
        in->sin_port = htons ((uint16_t) atoi (strrchr (address, ':') + 1));
        return sizeof (*in);
    }
    struct sockaddr_un *un = (struct sockaddr_un *) to;
    un->sun_family = AF_UNIX;
    snprintf (un->sun_path, sizeof (un->sun_path), "%s", address + strlen ("ipc://"));
    return sizeof (*un);
}

static void add (sock s, int fd)
{
    struct connection *c = &s->connection[s->connections];
    int one = 1;
    setsockopt (fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof (one));
    c->fd = fd;
    c->in = memory (BLOCK_BYTES);
    c->out = memory (BLOCK_BYTES);
    if (s->poll >= 0) {
        struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t) s->connections};
        must (epoll_ctl (s->poll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
    }
    s->connections++;
    s->current = &s->connection[0];
}

static void sock_bind (sock s, const char *address)
{
    struct sockaddr_storage to;
    socklen_t len = resolve (address, &to);
    s->listener = socket (to.ss_family, SOCK_STREAM, 0);
    must (s->listener, "socket");
    must (bind (s->listener, (struct sockaddr *) &to, len), "bind");
    must (listen (s->listener, 4096), "listen");
    s->connection = memory ((size_t) ask.peers * sizeof (*s->connection));
    if (ask.peers > 1) {
        s->poll = epoll_create1 (0);
        must (s->poll, "epoll_create1");
    }
}

static void sock_connect (sock s, const char *address)
{
    struct sockaddr_storage to;
    socklen_t len = resolve (address, &to);
    int fd = socket (to.ss_family, SOCK_STREAM, 0);
    must (fd, "socket");
    must (connect (fd, (struct sockaddr *) &to, len), "connect");
    s->connection = memory (sizeof (*s->connection));
    add (s, fd);
}

/*  A socket that is bound serves as many as were announced, and waits for them all.  */
static inline void accept_all (sock s)
{
    while (s->listener >= 0 && s->connections < ask.peers) {
        int fd = accept (s->listener, NULL, NULL);
        must (fd, "accept");
        add (s, fd);
    }
}

static size_t read_some (struct connection *c, void *to, size_t room)
{
    ssize_t got;
    do
        got = recv (c->fd, to, room, ask.spin ? MSG_DONTWAIT : 0);
    while (got < 0 && ask.spin && errno == EAGAIN);
    must (got, "recv");
    if (got == 0)
        die ("recv", "closed");
    return (size_t) got;
}

/*  Makes `wanted` bytes lie in the block, which has room for them.  */
static void fill (struct connection *c, size_t wanted)
{
    if (c->in_start == c->in_end)
        c->in_start = c->in_end = 0;
    if (c->in_start + wanted > BLOCK_BYTES) {
        memmove (c->in, c->in + c->in_start, c->in_end - c->in_start);
        c->in_end -= c->in_start;
        c->in_start = 0;
    }
    while (c->in_end - c->in_start < wanted)
        c->in_end += read_some (c, c->in + c->in_end, BLOCK_BYTES - c->in_end);
}

/*  The connection with the next message: the one that has some left, or the next that is readable.  */
static struct connection *readable (sock s)
{
    struct epoll_event event;
    if (s->poll >= 0 && s->current->in_start == s->current->in_end) {
        while (epoll_wait (s->poll, &event, 1, ask.spin ? 0 : -1) != 1)
            ;
        s->current = &s->connection[event.data.u64];
    }
    return s->current;
}

static void sock_recv (sock s, void *body, size_t len)
{
    struct connection *c;
    uint64_t announced;
    size_t have;
    accept_all (s);
    c = readable (s);
    fill (c, sizeof (announced));
    memcpy (&announced, c->in + c->in_start, sizeof (announced));
    if (announced != len)
        die ("recv", "wrong length");
    c->in_start += sizeof (announced);
    if (len < LARGE_BYTES)
        fill (c, len);
    have = c->in_end - c->in_start < len ? c->in_end - c->in_start : len;
    memcpy (body, c->in + c->in_start, have);
    c->in_start += have;
    while (have < len)
        have += read_some (c, (char *) body + have, len - have);
}

static void write_all (struct connection *c, struct iovec *parts, size_t count)
{
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
    while (message.msg_iovlen > 0) {
        ssize_t written = sendmsg (c->fd, &message, MSG_NOSIGNAL);
        must (written, "sendmsg");
        while (message.msg_iovlen > 0 && (size_t) written >= message.msg_iov->iov_len) {
            written -= (ssize_t) message.msg_iov->iov_len;
            message.msg_iov++;
            message.msg_iovlen--;
        }
        if (message.msg_iovlen > 0) {
            message.msg_iov->iov_base = (char *) message.msg_iov->iov_base + written;
            message.msg_iov->iov_len -= (size_t) written;
        }
    }
}

static void flush_one (struct connection *c)
{
    struct iovec part = {.iov_base = c->out, .iov_len = c->out_end};
    if (c->out_end > 0)
        write_all (c, &part, 1);
    c->out_end = c->out_messages = 0;
}

static void send_one (struct connection *c, const void *body, size_t len)
{
    uint64_t announced = len;
    if (len >= LARGE_BYTES) {
        struct iovec parts[] = {{&announced, sizeof (announced)}, {(void *) body, len}};
        flush_one (c);
        write_all (c, parts, 2);
        return;
    }
    if (c->out_end + sizeof (announced) + len > BLOCK_BYTES || c->out_messages == GATHERED_MESSAGES)
        flush_one (c);
    memcpy (c->out + c->out_end, &announced, sizeof (announced));
    memcpy (c->out + c->out_end + sizeof (announced), body, len);
    c->out_end += sizeof (announced) + len;
    c->out_messages++;
}

static void sock_send (sock s, const void *body, size_t len)
{
    accept_all (s);
    if (s->role != PUB) {
        send_one (s->current, body, len);
        return;
    }
    for (long i = 0; i < s->connections; i++)
        send_one (&s->connection[i], body, len);
}

static void sock_flush (sock s)
{
    if (s->role != PUB) {
        flush_one (s->current);
        return;
    }
    for (long i = 0; i < s->connections; i++)
        flush_one (&s->connection[i]);
}

#define BENCH_CASES_BODY
#include "cases.h"

int main (int argc, char **argv)
{
    return bench_main (argc, argv);
}
