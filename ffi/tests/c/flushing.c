/* What was sent leaves, whatever the sender does or does not do next. Each sender is a process of its
 * own, so that nothing but its own library can move its messages; each message carries the time at which
 * it was sent. */
#include "check.h"

#include <stdint.h>
#include <sys/prctl.h>

/* Bounds for a loaded machine. One message takes tens of microseconds, and one that waits for others a few
 * hundred. */
#define PROMPT_MS 1000
#define PACED_MS 250
#define STAMP 12
#define LONGEST 4000


static int64_t now_ns (void)
{
    struct timespec ts;
    clock_gettime (CLOCK_MONOTONIC, &ts);
    return (int64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static uint32_t state = 1;

static uint32_t random_below (uint32_t bound)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state % bound;
}

/* Sends a stamped message; left is how many will follow. */
static void send_stamped (int s, int left, size_t len)
{
    char buf[LONGEST] = {0};
    int64_t ns = now_ns ();
    int32_t rest = left;
    memcpy (buf, &ns, 8);
    memcpy (buf + 8, &rest, 4);
    EQ (nn_send (s, buf, len, 0), len);
}

static void send_burst (int s, int count)
{
    while (count-- > 0)
        send_stamped (s, count, STAMP + random_below (LONGEST - STAMP));
}

static void wait_to_be_killed (void)
{
    for (;;)
        pause ();
}

static int call_burst (struct call *c)
{
    send_burst (c->s, c->s2);
    return 0;
}

static int call_sleep_in_recv (struct call *c)
{
    char byte;
    set_timeouts (c->s, -1);
    return nn_recv (c->s, &byte, 1, 0);
}

/* One message every 5 to 15 us for 0.2 s: no pause is long enough to tell that no more will come. */
static void send_paced (int s)
{
    int64_t end = now_ns () + 200000000;
    int64_t next = now_ns ();
    while (next < end) {
        send_stamped (s, 1, STAMP + random_below (80));
        next += 5000 + random_below (10000);
        while (now_ns () < next) {
        }
    }
    send_stamped (s, 0, STAMP);
}

static void answer_in_the_third (int s)
{
    int round;
    for (round = 500; round-- > 0;) {
        int i;
        for (i = 2; i >= 0; --i)
            send_stamped (s, 3 * round + i, STAMP + random_below (80));
        RECV (s, "answer");
    }
}

static void send_then (int s, const char *how, int count)
{
    struct call c;
    if (strcmp (how, "paced") == 0) {
        send_paced (s);
        return;
    }
    if (strcmp (how, "conversation") == 0) {
        answer_in_the_third (s);
        return;
    }
    if (strcmp (how, "beside") == 0) {
        call_start (&c, call_sleep_in_recv, s, 0);
        call_await_blocked (&c);
    }
    if (strcmp (how, "thread") == 0) {
        call_start (&c, call_burst, s, count);
        EQ (pthread_join (c.thread, NULL), 0);
        return;
    }
    send_burst (s, count);
    if (strcmp (how, "poll") == 0) {
        struct nn_pollfd p;
        p.fd = s;
        p.events = NN_POLLIN;
        nn_poll (&p, 1, -1);
    }
    if (strcmp (how, "recv") == 0) {
        c.s = s;
        call_sleep_in_recv (&c);
    }
    if (strcmp (how, "exit") == 0)
        exit (0);
    if (strncmp (how, "fork", 4) == 0) {
        pid_t pid = fork ();
        CHECK (pid >= 0);
        if (pid == 0)
            _exit (0);
        EQ (wait_child (pid), 0);
        if (strcmp (how, "forkexit") == 0)
            exit (0);
    }
}

/* Argument: how, how many, the seed, the address. */
static void sender (void)
{
    char how[32];
    char address[NN_SOCKADDR_MAX];
    int count;
    int s = cooked (NN_PAIR);
    /* A case that fails leaves nobody behind. */
    EQ (prctl (PR_SET_PDEATHSIG, SIGKILL), 0);
    EQ (sscanf (check_argument, "%31s %d %u %127s", how, &count, &state, address), 4);
    MUST (nn_connect (s, address));
    AWAIT_PEERS (s, 1);
    send_then (s, how, count);
    wait_to_be_killed ();
}

/* Starts a sender and takes everything it sends; no message may be under way longer than bound. */
static void follow (const char *transport, const char *how, int count, int bound_ms)
{
    static uint32_t seeds = 1;
    char address[NN_SOCKADDR_MAX];
    char argument[256];
    int64_t longest = 0;
    int taken = 0;
    int32_t left;
    int s = cooked (NN_PAIR);
    uint32_t seed = seeds++;
    pid_t pid;
    new_address (transport, address);
    MUST (nn_bind (s, address));
    snprintf (argument, sizeof argument, "%s %d %u %s", how, count, seed, address);
    pid = spawn ("sender", argument);
    do {
        char buf[LONGEST];
        int64_t ns;
        int rc = nn_recv (s, buf, sizeof buf, 0);
        if (rc < 0)
            FAIL ("%s over %s, seed %u: %d arrived and no more, errno %d", how, transport, seed, taken,
                  nn_errno ());
        CHECK (rc >= STAMP);
        memcpy (&ns, buf, 8);
        memcpy (&left, buf + 8, 4);
        if (now_ns () - ns > longest)
            longest = now_ns () - ns;
        ++taken;
        if (strcmp (how, "paced") != 0)
            EQ (taken + left, count);
        if (strcmp (how, "conversation") == 0 && left % 3 == 0)
            SEND (s, "answer");
    } while (left > 0);
    printf ("%s over %s: %d messages, the slowest took %ld us\n", how, transport, taken,
            (long) (longest / 1000));
    if (longest > bound_ms * (int64_t) 1000000)
        FAIL ("%s over %s, seed %u: a message took %ld us", how, transport, seed, (long) (longest / 1000));
    kill (pid, SIGKILL);
    wait_child (pid);
    MUST (nn_close (s));
}

static void each_network (const char *how, int count, int bound_ms)
{
    int t;
    for (t = 0; t < COUNT (NETWORKS); ++t)
        follow (NETWORKS[t], how, count, bound_ms);
}

static void one_message_leaves_without_another_call (void)
{
    each_network ("nothing", 1, PROMPT_MS);
}

static void the_last_of_a_burst_leaves_without_another_call (void)
{
    static const int COUNTS[] = {2, 3, 10, 31, 100, 333, 1000, 2000};
    int i;
    for (i = 0; i < COUNT (COUNTS); ++i)
        each_network ("nothing", COUNTS[i], PROMPT_MS);
}

static void what_a_paced_sender_sends_is_never_stuck (void)
{
    each_network ("paced", 0, PACED_MS);
}

static void a_burst_and_an_answer (void)
{
    each_network ("conversation", 1500, PROMPT_MS);
}

static void a_thread_blocked_in_recv_is_not_in_the_way (void)
{
    each_network ("beside", 50, PROMPT_MS);
}

static void a_sender_may_block_in_recv_or_poll (void)
{
    each_network ("recv", 50, PROMPT_MS);
    each_network ("poll", 50, PROMPT_MS);
}

static void the_sending_thread_may_end (void)
{
    each_network ("thread", 50, PROMPT_MS);
}

static void the_sending_process_may_fork_or_exit_without_nn_close (void)
{
    each_network ("exit", 50, PROMPT_MS);
    each_network ("fork", 50, PROMPT_MS);
    each_network ("forkexit", 50, PROMPT_MS);
}

static const struct check_case CASES[] = {
    HELPER (sender),
    CASE (one_message_leaves_without_another_call),
    CASE (the_last_of_a_burst_leaves_without_another_call),
    CASE (what_a_paced_sender_sends_is_never_stuck),
    CASE (a_burst_and_an_answer),
    CASE (a_thread_blocked_in_recv_is_not_in_the_way),
    CASE (a_sender_may_block_in_recv_or_poll),
    CASE (the_sending_thread_may_end),
    CASE (the_sending_process_may_fork_or_exit_without_nn_close),
};

CHECK_MAIN (CASES)
