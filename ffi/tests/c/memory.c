/* What waits is bounded, and given back when it is taken: what the process has allocated is asked of the C
 * library, in which spmsg allocates too. */
#include "check.h"

#include <malloc.h>

/* The default of NN_SNDBUF and NN_RCVBUF, and what README and ARCHITECTURE promise beyond them: for each end of a
 * connection, and for each message that waits for the program. */
#define BUFFER (128 * 1024)
#define OF_A_CONNECTION (2 * 128 * 1024)
#define OF_A_MESSAGE 256
/* What a message counts at least on the way to the bound, over a network and on inproc. */
#define COUNTS_WITH 9
#define COUNTS_EMPTY 1
/* What the C library itself keeps for threads and in bins of odd sizes. */
#define SLACK (64 * 1024)

static const size_t LENS[] = {0, 64, 1024, 65536, 1 << 20};

static size_t live (void)
{
    struct mallinfo2 info = mallinfo2 ();
    return info.uordblks + info.hblkhd;
}

static size_t grown (size_t before)
{
    size_t now = live ();
    return now > before ? now - before : 0;
}

/* Sends until nothing more is accepted, neither now nor a little later; how many were. */
static int fill (int s, size_t len, int by_reference)
{
    static char body[1 << 20];
    int count = 0;
    set_int (s, NN_SOL_SOCKET, NN_SNDTIMEO, CHECK_QUIET_MS);
    for (;;) {
        int rc;
        if (by_reference) {
            void *chunk = nn_allocmsg (len, 0);
            CHECK (chunk != NULL);
            memset (chunk, 7, len);
            rc = nn_send (s, &chunk, NN_MSG, 0);
            if (rc < 0)
                MUST (nn_freemsg (chunk));
        } else {
            rc = nn_send (s, body, len, 0);
        }
        if (rc < 0) {
            EQ (nn_errno (), ETIMEDOUT);
            return count;
        }
        EQ (rc, len);
        count++;
    }
}

/* What both ends of a connection may hold of messages of this length. */
static size_t bound (const char *transport, size_t len)
{
    int is_inproc = strcmp (transport, "inproc") == 0;
    size_t counts = is_inproc ? (len > COUNTS_EMPTY ? len : COUNTS_EMPTY) : len + COUNTS_WITH;
    size_t an_end = BUFFER + 2 * len + OF_A_CONNECTION;
    return (is_inproc ? 1 : 2) * an_end + (BUFFER / counts + 2) * OF_A_MESSAGE + SLACK;
}

static void fill_and_drain (const char *transport, size_t len, int by_reference)
{
    int pull, push, count, left;
    size_t before, held;
    open_linked (NN_PULL, NN_PUSH, transport, &pull, &push);
    before = live ();
    count = fill (push, len, by_reference);
    held = grown (before);
    CHECK (count > 0);
    if (held > bound (transport, len))
        FAIL ("%s, %d messages of %zu bytes: %zu bytes are held, more than %zu", transport, count, len, held,
              bound (transport, len));
    for (left = count; left > 0; left--) {
        void *message = NULL;
        EQ (nn_recv (pull, &message, NN_MSG, 0), len);
        MUST (nn_freemsg (message));
    }
    RECV_NOTHING (pull);
    held = grown (before);
    /* A buffer for the next burst may be kept. */
    if (held > 2 * OF_A_CONNECTION + SLACK)
        FAIL ("%s, %d messages of %zu bytes: %zu bytes are kept when all are taken", transport, count, len, held);
    MUST (nn_close (push));
    MUST (nn_close (pull));
}

static void on_each_transport (int by_reference)
{
    int t, l;
    for (t = 0; t < COUNT (TRANSPORTS); t++)
        for (l = 0; l < COUNT (LENS); l++)
            fill_and_drain (TRANSPORTS[t], LENS[l], by_reference);
}

static void r112_a_receiver_that_never_reads_fills_the_buffers_and_no_more (void)
{
    on_each_transport (0);
}

static void r112_nor_does_it_with_messages_passed_by_reference (void)
{
    on_each_transport (1);
}

/* Hundreds of times the same: what is allocated then does not grow with the number of messages or sockets. */
static void hundreds_of_conversations_leave_nothing (void)
{
    size_t before = 0;
    int i;
    for (i = 0; i < 350; i++) {
        int rep, req;
        /* The first ones make tables and threads that stay. */
        if (i == 50)
            before = live ();
        open_linked (NN_REP, NN_REQ, TRANSPORTS[i % COUNT (TRANSPORTS)], &rep, &req);
        SEND (req, "question");
        RECV (rep, "question");
        SEND (rep, "answer");
        RECV (req, "answer");
        MUST (nn_close (req));
        MUST (nn_close (rep));
    }
    if (grown (before) > SLACK)
        FAIL ("%zu bytes more after three hundred conversations", grown (before));
}

static const struct check_case CASES[] = {
    ALONE (r112_a_receiver_that_never_reads_fills_the_buffers_and_no_more),
    ALONE (r112_nor_does_it_with_messages_passed_by_reference),
    ALONE (hundreds_of_conversations_leave_nothing),
};

CHECK_MAIN (CASES)
