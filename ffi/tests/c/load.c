/* Many messages of mixed sizes through every way to send and to receive: none is lost, doubled, damaged or out
 * of order. SPMSG_LOAD_MESSAGES in the environment says how many both cases move together. */
#include "check.h"

#include <stdint.h>

#define MESSAGES 60000
#define LARGEST (300 * 1024)
/* Bytes that say who sent a message and which of his it is. */
#define LABEL 8
#define SHIFTS 251
#define SENDERS 4
#define RECEIVERS 4
#define STALLED_MS 20000

static const char *const WAYS[] = {"inproc", "ipc", "tcp"};

static unsigned char fill[LARGEST + SHIFTS];
static long each;
static unsigned char *seen[SENDERS];
/* Messages that are too short for a label, by length, and all that were taken. */
static long shorts[2];
static long taken;

static long messages (void)
{
    const char *text = getenv ("SPMSG_LOAD_MESSAGES");
    return text ? atol (text) / (2 * COUNT (WAYS)) : MESSAGES;
}

static size_t len_of (uint64_t number)
{
    static const size_t SMALL[] = {0, 1, 8, 62, 63, 64, 65, 66};
    uint64_t mixed = number * 0x9e3779b97f4a7c15u >> 50;
    if (mixed == 0)
        return LARGEST;
    if (mixed <= 2)
        return 64 * 1024;
    if (mixed <= 4)
        return 16 * 1024;
    if (mixed <= 6)
        return 16 * 1024 - 1;
    if (mixed <= 8)
        return 32 * 1024;
    if (mixed <= 10)
        return 32 * 1024 - 1;
    if (mixed <= 400)
        return 1000;
    return mixed <= 2000 ? 100 : SMALL[mixed % COUNT (SMALL)];
}

static void write_message (unsigned char *to, int sender, uint64_t number)
{
    size_t len = len_of (number);
    uint64_t label = (uint64_t) sender << 48 | number;
    if (len < LABEL) {
        if (len)
            *to = (unsigned char) number;
        return;
    }
    memcpy (to, &label, LABEL);
    memcpy (to + LABEL, fill + number % SHIFTS, len - LABEL);
}

/* Sender and number of a whole, unharmed message; 0 if it is too short to tell. */
static int read_message (const unsigned char *msg, size_t len, int *sender, uint64_t *number)
{
    uint64_t label;
    if (len <= 1)
        return 0;
    CHECK (len >= LABEL);
    memcpy (&label, msg, LABEL);
    *sender = (int) (label >> 48);
    *number = label & 0xffffffffffff;
    EQ (len, len_of (*number));
    CHECK (memcmp (msg + LABEL, fill + *number % SHIFTS, len - LABEL) == 0);
    return 1;
}

static struct nn_msghdr header (struct nn_iovec *iov, int count)
{
    struct nn_msghdr hdr;
    memset (&hdr, 0, sizeof hdr);
    hdr.msg_iov = iov;
    hdr.msg_iovlen = count;
    return hdr;
}

/* Sends in one of four ways; every fifth call does not wait until it is refused once. */
static void send_somehow (int s, unsigned char *buf, int sender, uint64_t number)
{
    size_t len = len_of (number);
    int flags = number % 5 == 0 ? NN_DONTWAIT : 0;
    for (;;) {
        struct nn_iovec iov[2];
        struct nn_msghdr hdr;
        void *msg = NULL;
        int rc;
        if (number % 2) {
            msg = nn_allocmsg (len, 0);
            CHECK (msg != NULL);
        }
        write_message (msg ? msg : buf, sender, number);
        iov[0].iov_base = msg ? (void *) &msg : buf;
        iov[0].iov_len = msg ? NN_MSG : len / 3;
        iov[1].iov_base = buf + len / 3;
        iov[1].iov_len = len - len / 3;
        hdr = header (iov, msg ? 1 : 2);
        if (number / 2 % 2)
            rc = nn_sendmsg (s, &hdr, flags);
        else
            rc = msg ? nn_send (s, &msg, NN_MSG, flags) : nn_send (s, buf, len, flags);
        if (rc >= 0) {
            EQ (rc, len);
            return;
        }
        if (!flags || nn_errno () != EAGAIN)
            FAIL ("a send failed with errno %d (%s)", nn_errno (), nn_strerror (nn_errno ()));
        /* A refused message is still the caller's. */
        if (msg)
            EQ (nn_freemsg (msg), 0);
        flags = 0;
    }
}

/* Receives in one of four ways into buf; -1 when the socket is closed. */
static int recv_somehow (int s, unsigned char *buf, int turn)
{
    struct nn_iovec iov[2];
    struct nn_msghdr hdr;
    void *msg = NULL;
    int flags = turn % 5 == 0 ? NN_DONTWAIT : 0;
    int rc;
    iov[0].iov_base = turn % 2 ? (void *) &msg : buf;
    iov[0].iov_len = turn % 2 ? NN_MSG : 70;
    iov[1].iov_base = buf + 70;
    iov[1].iov_len = LARGEST;
    for (;;) {
        hdr = header (iov, turn % 2 ? 1 : 2);
        if (turn / 2 % 2)
            rc = nn_recvmsg (s, &hdr, flags);
        else if (turn % 2)
            rc = nn_recv (s, &msg, NN_MSG, flags);
        else
            rc = nn_recv (s, buf, LARGEST, flags);
        if (rc < 0 && nn_errno () == EBADF)
            return -1;
        if (rc >= 0)
            break;
        if (!flags || nn_errno () != EAGAIN)
            FAIL ("a receive failed with errno %d (%s)", nn_errno (), nn_strerror (nn_errno ()));
        flags = 0;
    }
    if (turn % 2) {
        memcpy (buf, msg, (size_t) rc);
        EQ (nn_freemsg (msg), 0);
    }
    return rc;
}

static int call_push (struct call *c)
{
    unsigned char *buf = malloc (LARGEST);
    long number;
    for (number = 0; number < each; ++number)
        send_somehow (c->s, buf, c->s2, (uint64_t) number);
    free (buf);
    return 0;
}

static int call_pull (struct call *c)
{
    unsigned char *buf = malloc (70 + LARGEST);
    long next[SENDERS] = {0};
    int turn = 0;
    int len;
    while ((len = recv_somehow (c->s, buf, turn++)) >= 0) {
        int sender;
        uint64_t number;
        if (read_message (buf, (size_t) len, &sender, &number)) {
            CHECK (sender < SENDERS && (long) number < each);
            if ((long) number < next[sender])
                FAIL ("sender %d: message %ld after %ld", sender, (long) number, next[sender] - 1);
            next[sender] = (long) number + 1;
            EQ (__atomic_add_fetch (&seen[sender][number], 1, __ATOMIC_SEQ_CST), 1);
        } else {
            __atomic_add_fetch (&shorts[len], 1, __ATOMIC_SEQ_CST);
        }
        __atomic_add_fetch (&taken, 1, __ATOMIC_SEQ_CST);
    }
    free (buf);
    return 0;
}

/* Like call_join, but a call may take as long as the whole process may. */
static void join_patiently (struct call *c)
{
    EQ (pthread_join (c->thread, NULL), 0);
    EQ (c->rc, 0);
}

/* Waits until nothing is under way any more, as long as something moves. */
static void await_taken (long total)
{
    long last = -1;
    long long end = 0;
    while (__atomic_load_n (&taken, __ATOMIC_SEQ_CST) < total) {
        long now = __atomic_load_n (&taken, __ATOMIC_SEQ_CST);
        if (now != last)
            end = now_ms () + STALLED_MS;
        last = now;
        if (now_ms () > end)
            FAIL ("%ld of %ld messages arrived", now, total);
        pause_ms (1);
    }
}

static void prepare (long total, int senders)
{
    int i;
    each = total / senders + 1;
    for (i = 0; i < (int) sizeof fill; ++i)
        fill[i] = (unsigned char) (i % SHIFTS);
    for (i = 0; i < SENDERS; ++i)
        seen[i] = calloc ((size_t) each, 1);
    shorts[0] = shorts[1] = taken = 0;
}

static void r110_r187_every_pushed_message_arrives_once (void)
{
    int t;
    for (t = 0; t < COUNT (WAYS); ++t) {
        struct call senders[SENDERS];
        struct call receivers[RECEIVERS];
        long expected[2] = {0, 0};
        int push[2];
        int pull[2];
        int i;
        long number;
        prepare (messages (), SENDERS);
        for (i = 0; i < 2; ++i) {
            push[i] = cooked (NN_PUSH);
            pull[i] = cooked (NN_PULL);
            set_timeouts (push[i], STALLED_MS);
            set_timeouts (pull[i], -1);
        }
        for (i = 0; i < 4; ++i)
            link_sockets (pull[i / 2], push[i % 2], WAYS[t]);
        for (i = 0; i < RECEIVERS; ++i)
            call_start (&receivers[i], call_pull, pull[i % 2], 0);
        for (i = 0; i < SENDERS; ++i)
            call_start (&senders[i], call_push, push[i % 2], i);
        for (i = 0; i < SENDERS; ++i)
            join_patiently (&senders[i]);
        await_taken (SENDERS * each);
        for (i = 0; i < 2; ++i)
            MUST (nn_close (pull[i]));
        for (i = 0; i < RECEIVERS; ++i)
            join_patiently (&receivers[i]);
        for (i = 0; i < SENDERS; ++i) {
            for (number = 0; number < each; ++number) {
                size_t len = len_of ((uint64_t) number);
                if (len < LABEL)
                    ++expected[len];
                else
                    EQ (seen[i][number], 1);
            }
            free (seen[i]);
        }
        EQ (shorts[0], expected[0]);
        EQ (shorts[1], expected[1]);
        EQ (taken, SENDERS * each);
        for (i = 0; i < 2; ++i)
            MUST (nn_close (push[i]));
    }
}

/* Exactly the sequence of the other end, the short ones in their places. */
static int call_follow (struct call *c)
{
    unsigned char *buf = malloc (70 + LARGEST);
    unsigned char *wanted = malloc (LARGEST);
    long number;
    for (number = 0; number < each; ++number) {
        int len = recv_somehow (c->s, buf, (int) (number / 3));
        EQ (len, len_of ((uint64_t) number));
        write_message (wanted, 1 - c->s2, (uint64_t) number);
        if (memcmp (buf, wanted, (size_t) len) != 0)
            FAIL ("message %ld is another one", number);
    }
    free (wanted);
    free (buf);
    return 0;
}

static void r110_a_pair_carries_two_whole_sequences_at_once (void)
{
    int t;
    for (t = 0; t < COUNT (WAYS); ++t) {
        struct call calls[4];
        int end[2];
        int i;
        prepare (messages (), 2);
        open_linked (NN_PAIR, NN_PAIR, WAYS[t], &end[0], &end[1]);
        for (i = 0; i < 4; ++i) {
            set_timeouts (end[i % 2], STALLED_MS);
            call_start (&calls[i], i < 2 ? call_push : call_follow, end[i % 2], i % 2);
        }
        for (i = 0; i < 4; ++i)
            join_patiently (&calls[i]);
        for (i = 0; i < 2; ++i) {
            char byte;
            FAILS (nn_recv (end[i], &byte, 1, NN_DONTWAIT), EAGAIN);
            MUST (nn_close (end[i]));
        }
        for (i = 0; i < SENDERS; ++i)
            free (seen[i]);
    }
}

static const struct check_case CASES[] = {
    CASE (r110_r187_every_pushed_message_arrives_once),
    CASE (r110_a_pair_carries_two_whole_sequences_at_once),
};

CHECK_MAIN (CASES)
