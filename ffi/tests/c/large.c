/* Large bodies, received into buffers of every kind: what is received is what was sent, and nothing else in the
 * buffer is touched, above all not by a body that never becomes complete. */
#include "check.h"

#include <stdint.h>

#define MESSAGES 1000
#define LARGEST (300 * 1024)
#define MARGIN 64
#define UNTOUCHED 0xa5
#define SHIFTS 251

static const char *const CARRIERS[] = {"ipc", "tcp"};

static unsigned char source[LARGEST + SHIFTS];
static unsigned char buffer[MARGIN + LARGEST + MARGIN];

static uint32_t mixed (uint32_t number)
{
    number = (number + 1) * 0x9e3779b1u;
    number ^= number >> 15;
    return number * 0x85ebca6bu >> 3;
}

/* Every fourth is small; the others are around the sizes at which something changes, or anything. */
static size_t len_of (uint32_t number)
{
    static const size_t EDGES[] = {
        16 * 1024 - 1, 16 * 1024, 18 * 1024,  32 * 1024 - 1, 32 * 1024,
        34 * 1024,     64 * 1024, 128 * 1024, LARGEST,
    };
    uint32_t random = mixed (number);
    if (number % 4 == 0)
        return random % 100;
    if (number % 4 == 1)
        return EDGES[random % COUNT (EDGES)];
    return random % LARGEST;
}

static const unsigned char *body_of (uint32_t number)
{
    return source + number % SHIFTS;
}

static void prepare (void)
{
    size_t at;
    for (at = 0; at < sizeof source; ++at)
        source[at] = (unsigned char) (mixed ((uint32_t) at) >> 8);
}

static int call_send_all (struct call *c)
{
    uint32_t number;
    for (number = 0; number < MESSAGES; ++number) {
        EQ (nn_send (c->s, body_of (number), len_of (number), 0), len_of (number));
        /* Now and then the receiver is quicker, and waits. */
        if (mixed (number) % 16 == 0)
            pause_ms (1);
    }
    return 0;
}

static int is_untouched (const unsigned char *from, const unsigned char *to)
{
    return from == to || (*from == UNTOUCHED && memcmp (from, from + 1, (size_t) (to - from) - 1) == 0);
}

/* The next message, into a buffer that starts anywhere and may be too small. */
static void receive (int s, uint32_t number)
{
    size_t len = len_of (number);
    unsigned char *at = buffer + mixed (number + 7) % MARGIN;
    size_t room = LARGEST;
    size_t kept;
    if (number % 5 == 0)
        room = len;
    if (number % 7 == 0)
        room = len / 2;
    kept = room < len ? room : len;
    memset (buffer, UNTOUCHED, sizeof buffer);
    EQ (nn_recv (s, at, room, 0), len);
    CHECK (memcmp (at, body_of (number), kept) == 0);
    CHECK (is_untouched (buffer, at));
    CHECK (is_untouched (at + kept, buffer + sizeof buffer));
}

static void stream (int from, int to, const char *carrier, int bound)
{
    struct call c;
    int a, b;
    uint32_t number;
    char address[NN_SOCKADDR_MAX];
    a = cooked (from);
    b = cooked (to);
    set_int (b, NN_SOL_SOCKET, NN_RCVBUF, bound);
    new_address (carrier, address);
    MUST (nn_bind (b, address));
    MUST (nn_connect (a, address));
    AWAIT_PEERS (b, 1);
    call_start (&c, call_send_all, a, 0);
    for (number = 0; number < MESSAGES; ++number)
        receive (b, number);
    EQ (pthread_join (c.thread, NULL), 0);
    EQ (stat_of (b, NN_STAT_MESSAGES_RECEIVED), MESSAGES);
    RECV_NOTHING (b);
    MUST (nn_close (a));
    MUST (nn_close (b));
}

static void large_bodies_arrive_whole_and_touch_nothing_else (void)
{
    int i;
    prepare ();
    for (i = 0; i < COUNT (CARRIERS); ++i) {
        stream (NN_PUSH, NN_PULL, CARRIERS[i], 128 * 1024);
        stream (NN_PAIR, NN_PAIR, CARRIERS[i], 1024 * 1024);
    }
}

/* A connection of a peer without a library. */
static int connect_raw (int port, int protocol)
{
    unsigned char hello[8] = {0, 'S', 'P', 0, 0, 0, 0, 0};
    struct sockaddr_in to;
    int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    hello[5] = (unsigned char) protocol;
    memset (&to, 0, sizeof to);
    to.sin_family = AF_INET;
    to.sin_port = htons ((uint16_t) port);
    to.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
    EQ (connect (fd, (struct sockaddr *) &to, sizeof to), 0);
    EQ (write (fd, hello, sizeof hello), sizeof hello);
    return fd;
}

static void write_all (int fd, const unsigned char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write (fd, bytes, len);
        CHECK (n > 0);
        bytes += n;
        len -= (size_t) n;
    }
}

static void write_head (int fd, size_t len)
{
    unsigned char head[8];
    int i;
    for (i = 0; i < 8; ++i)
        head[i] = (unsigned char) ((uint64_t) len >> (56 - 8 * i));
    write_all (fd, head, sizeof head);
}

/* A program may keep what it had before in the buffer when a receive fails. */
static void a_body_that_is_not_complete_is_nowhere_to_be_seen (void)
{
    enum { LEN = 100000, FIRST = 70000 };
    char address[NN_SOCKADDR_MAX];
    int port = free_port ();
    int s = cooked (NN_PULL);
    int fd;
    prepare ();
    snprintf (address, sizeof address, "tcp://127.0.0.1:%d", port);
    MUST (nn_bind (s, address));
    fd = connect_raw (port, NN_PUSH);
    AWAIT_PEERS (s, 1);
    memset (buffer, UNTOUCHED, sizeof buffer);
    write_head (fd, LEN);
    write_all (fd, body_of (1), FIRST);
    set_int (s, NN_SOL_SOCKET, NN_RCVTIMEO, CHECK_QUIET_MS);
    FAILS (nn_recv (s, buffer, LEN, 0), ETIMEDOUT);
    FAILS (nn_recv (s, buffer, LEN, NN_DONTWAIT), EAGAIN);
    CHECK (is_untouched (buffer, buffer + sizeof buffer));
    set_int (s, NN_SOL_SOCKET, NN_RCVTIMEO, CHECK_EVENT_MS);
    write_all (fd, body_of (1) + FIRST, LEN - FIRST);
    EQ (nn_recv (s, buffer, LEN, 0), LEN);
    CHECK (memcmp (buffer, body_of (1), LEN) == 0);
    /* Nor one whose peer goes. */
    memset (buffer, UNTOUCHED, sizeof buffer);
    write_head (fd, LEN);
    write_all (fd, body_of (2), FIRST);
    close (fd);
    AWAIT_PEERS (s, 0);
    set_int (s, NN_SOL_SOCKET, NN_RCVTIMEO, CHECK_QUIET_MS);
    FAILS (nn_recv (s, buffer, LEN, 0), ETIMEDOUT);
    CHECK (is_untouched (buffer, buffer + sizeof buffer));
    MUST (nn_close (s));
}

static const struct check_case CASES[] = {
    CASE (large_bodies_arrive_whole_and_touch_nothing_else),
    CASE (a_body_that_is_not_complete_is_nowhere_to_be_seen),
};

CHECK_MAIN (CASES)
