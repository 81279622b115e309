/*  The cases of the bench, written once. A rival's source supplies a type `sock` and

        sock sock_open (enum role role);
        void sock_bind (sock s, const char *address);
        void sock_connect (sock s, const char *address);
        void sock_send (sock s, const void *body, size_t len);      blocks
        void sock_recv (sock s, void *body, size_t len);            blocks; the body has that length
        void sock_flush (sock s);                                   nothing that was sent may wait any longer

    before it includes this file a second time, with BENCH_CASES_BODY defined, and calls bench_main. A program
    plays one side (`side=far` binds, `side=near` connects) or, over inproc, both.
    What it says on stdout, one thing per line, what it is told on stdin:

        ready               far: bound
        sync                all peers are there: the side that sends to or from many is then told `go`
        result KEY=VALUE..  the measurement; one side says it
        done                nothing is left to be measured; when both sides are there they are told `end`
        usage KEY=VALUE..   what the process used since the measurement began  */

#ifndef BENCH_CASES_H
#define BENCH_CASES_H

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum role { PUSH, PULL, PAIR, REQ, REP, PUB, SUB };

#define MOST_PEERS 1024

/*  A program that nobody leads any more ends by itself; every measurement is shorter.  */
#define LIFETIME_SECONDS 90

/*  What the program was asked for.  */
static struct {
    const char *side, *kind, *pattern, *address, *tls;
    long size, count, warm, peers, pause_us, rate, buffer, batch, spin;
} ask = {.side = "both", .kind = "thr", .pattern = "push", .size = 64, .count = 1000, .warm = 1, .peers = 1,
    .batch = 1};

static void die (const char *what, const char *why)
{
    fprintf (stderr, "%s %s %s: %s: %s\n", ask.kind, ask.side, ask.address, what, why);
    _exit (1);
}

static inline int64_t now_ns (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}

#endif

#ifdef BENCH_CASES_BODY

static struct rusage usage_began;

static void mark_usage (void)
{
    getrusage (RUSAGE_SELF, &usage_began);
}

static double cpu_seconds (const struct rusage *usage)
{
    return (double) (usage->ru_utime.tv_sec + usage->ru_stime.tv_sec)
        + (double) (usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) / 1e6;
}

static void say_usage (void)
{
    struct rusage now;
    getrusage (RUSAGE_SELF, &now);
    printf ("usage cpu=%.6f switches=%ld\n", cpu_seconds (&now) - cpu_seconds (&usage_began),
        now.ru_nvcsw + now.ru_nivcsw - usage_began.ru_nvcsw - usage_began.ru_nivcsw);
    fflush (stdout);
}

/*  Waits for the next line of stdin, at most that many milliseconds (-1: for ever). Whether one came.  */
static int told (int timeout_ms)
{
    struct pollfd input = {.fd = 0, .events = POLLIN};
    char c = 0;
    if (poll (&input, 1, timeout_ms) <= 0)
        return 0;
    while (c != '\n')
        if (read (0, &c, 1) != 1)
            _exit (1);
    return 1;
}

static void say (const char *line)
{
    puts (line);
    fflush (stdout);
}

static void *room (size_t bytes)
{
    void *memory = calloc (1, bytes);
    if (!memory)
        die ("calloc", strerror (errno));
    return memory;
}

static int compare_ns (const void *left, const void *right)
{
    int64_t a = *(const int64_t *) left, b = *(const int64_t *) right;
    return (a > b) - (a < b);
}

static double percentile_us (const int64_t *sorted, long count, double part)
{
    long at = (long) (part * (double) count);
    return (double) sorted[at < count ? at : count - 1] / 1e3;
}

static void say_delays (int64_t *delays, long count)
{
    qsort (delays, (size_t) count, sizeof (*delays), compare_ns);
    printf ("result p50=%.3f p99=%.3f p999=%.3f\n", percentile_us (delays, count, 0.5),
        percentile_us (delays, count, 0.99), percentile_us (delays, count, 0.999));
    fflush (stdout);
}

static void say_rate (double messages, int64_t ns)
{
    printf ("result rate=%.1f\n", messages / ((double) ns / 1e9));
    fflush (stdout);
}

static void sleep_us (long us)
{
    struct timespec time = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    nanosleep (&time, NULL);
}

static sem_t bound;

static sock start (enum role role, int far)
{
    sock s = sock_open (role);
    if (!far) {
        sock_connect (s, ask.address);
        return s;
    }
    sock_bind (s, ask.address);
    say ("ready");
    sem_post (&bound);
    return s;
}

/*  Throughput: the receiver measures from the first message after the warm-up to the last.  */

static void thr_far (void)
{
    sock s = start (strcmp (ask.pattern, "pair") == 0 ? PAIR : PULL, 1);
    char *body = room ((size_t) ask.size);
    int64_t began;
    for (long i = 0; i < ask.warm; i++)
        sock_recv (s, body, (size_t) ask.size);
    mark_usage ();
    began = now_ns ();
    for (long i = 0; i < ask.count; i++)
        sock_recv (s, body, (size_t) ask.size);
    say_rate ((double) ask.count, now_ns () - began);
}

static void thr_near (void)
{
    sock s = start (strcmp (ask.pattern, "pair") == 0 ? PAIR : PUSH, 0);
    char *body = room ((size_t) ask.size);
    for (long i = 0; i < ask.warm; i++)
        sock_send (s, body, (size_t) ask.size);
    mark_usage ();
    for (long i = 0; i < ask.count; i++)
        sock_send (s, body, (size_t) ask.size);
    sock_flush (s);
}

/*  Round trip: `batch` messages and one answer; a pause between one exchange and the next.  */

static void rtt_far (void)
{
    sock s = start (strcmp (ask.pattern, "pair") == 0 ? PAIR : REP, 1);
    char *body = room ((size_t) ask.size);
    /*  Without a count it answers for ever.  */
    for (long i = 0; ask.count == 0 || i < ask.warm + ask.count; i++) {
        if (i == ask.warm)
            mark_usage ();
        for (long j = 0; j < ask.batch; j++)
            sock_recv (s, body, (size_t) ask.size);
        sock_send (s, body, (size_t) ask.size);
        sock_flush (s);
    }
}

static void rtt_near (void)
{
    sock s = start (strcmp (ask.pattern, "pair") == 0 ? PAIR : REQ, 0);
    char *body = room ((size_t) ask.size);
    int64_t *delays = room ((size_t) ask.count * sizeof (*delays));
    for (long i = 0; i < ask.warm + ask.count; i++) {
        int64_t began;
        if (i == ask.warm)
            mark_usage ();
        if (ask.pause_us)
            sleep_us (ask.pause_us);
        began = now_ns ();
        for (long j = 0; j < ask.batch; j++)
            sock_send (s, body, (size_t) ask.size);
        sock_flush (s);
        sock_recv (s, body, (size_t) ask.size);
        if (i >= ask.warm)
            delays[i - ask.warm] = now_ns () - began;
    }
    say_delays (delays, ask.count);
}

/*  One-way delay: the sender keeps a schedule and writes the time of sending into the body.  */

static void paced_far (void)
{
    sock s = start (PULL, 1);
    char *body = room ((size_t) ask.size);
    int64_t *delays = room ((size_t) ask.count * sizeof (*delays));
    for (long i = 0; i < ask.warm + ask.count; i++) {
        int64_t sent;
        if (i == ask.warm)
            mark_usage ();
        sock_recv (s, body, (size_t) ask.size);
        memcpy (&sent, body, sizeof (sent));
        if (i >= ask.warm)
            delays[i - ask.warm] = now_ns () - sent;
    }
    say_delays (delays, ask.count);
}

/*  Sleeps while the time is far, then gives the processor away until it has come.  */
static void wait_until (int64_t due)
{
    int64_t left = due - now_ns ();
    if (left > 200000)
        sleep_us ((long) (left - 100000) / 1000);
    while (now_ns () < due)
        sched_yield ();
}

static void paced_near (void)
{
    sock s = start (PUSH, 0);
    char *body = room ((size_t) ask.size);
    int64_t due = 0;
    for (long i = 0; i < ask.warm + ask.count; i++) {
        int64_t now;
        if (i == ask.warm)
            mark_usage ();
        /*  The first ones wait for the connection: the schedule begins after them.  */
        due = i <= ask.warm / 2 ? now_ns () : due + 1000000000ll / ask.rate;
        wait_until (due);
        now = now_ns ();
        memcpy (body, &now, sizeof (now));
        sock_send (s, body, (size_t) ask.size);
        sock_flush (s);
    }
}

/*  Many peers: each has a thread and a socket of its own in the near process.  */

struct peer {
    pthread_t thread;
    void *(*body) (void *);
    int64_t first_ns, last_ns;
    long received;
};
static struct peer peers[MOST_PEERS];
static pthread_barrier_t all_peers;

static void start_peers (void *(*body) (void *))
{
    pthread_attr_t small;
    if (ask.peers > MOST_PEERS)
        die ("peers", "too many");
    pthread_attr_init (&small);
    pthread_attr_setstacksize (&small, 256 * 1024);
    pthread_barrier_init (&all_peers, NULL, (unsigned) ask.peers + 1);
    for (long i = 0; i < ask.peers; i++)
        if (pthread_create (&peers[i].thread, &small, body, &peers[i]) != 0)
            die ("pthread_create", strerror (errno));
    pthread_barrier_wait (&all_peers);
    mark_usage ();
}

static void join_peers (void)
{
    for (long i = 0; i < ask.peers; i++)
        pthread_join (peers[i].thread, NULL);
}

/*  Fan-in: every peer sends a greeting, and its share when all greetings have arrived.  */

static void fanin_far (void)
{
    sock s = start (PULL, 1);
    char *body = room ((size_t) ask.size);
    long measured = ask.count / ask.peers * ask.peers;
    int64_t began;
    for (long i = 0; i < ask.peers; i++)
        sock_recv (s, body, (size_t) ask.size);
    mark_usage ();
    say ("sync");
    sock_recv (s, body, (size_t) ask.size);
    began = now_ns ();
    for (long i = 1; i < measured; i++)
        sock_recv (s, body, (size_t) ask.size);
    say_rate ((double) (measured - 1), now_ns () - began);
}

static void *fanin_peer (void *unused)
{
    sock s = sock_open (PUSH);
    char *body = room ((size_t) ask.size);
    (void) unused;
    sock_connect (s, ask.address);
    sock_send (s, body, (size_t) ask.size);
    sock_flush (s);
    pthread_barrier_wait (&all_peers);
    pthread_barrier_wait (&all_peers);
    for (long i = 0; i < ask.count / ask.peers; i++)
        sock_send (s, body, (size_t) ask.size);
    sock_flush (s);
    free (body);
    return NULL;
}

static void fanin_near (void)
{
    start_peers (fanin_peer);
    told (-1);
    pthread_barrier_wait (&all_peers);
    join_peers ();
}

/*  Fan-out: greetings until every subscriber has one, `count` messages, farewells until the run is over.  */

static void pub_far (void)
{
    sock s = start (PUB, 1);
    char *body = room ((size_t) ask.size);
    for (body[0] = 'h'; !told (1); sock_flush (s))
        sock_send (s, body, (size_t) ask.size);
    mark_usage ();
    body[0] = 'd';
    for (long i = 0; i < ask.count; i++)
        sock_send (s, body, (size_t) ask.size);
    sock_flush (s);
    say ("done");
    for (body[0] = 'e'; !told (1); sock_flush (s))
        sock_send (s, body, (size_t) ask.size);
}

static void *pub_peer (void *argument)
{
    struct peer *me = argument;
    sock s = sock_open (SUB);
    char *body = room ((size_t) ask.size);
    sock_connect (s, ask.address);
    sock_recv (s, body, (size_t) ask.size);
    pthread_barrier_wait (&all_peers);
    for (;;) {
        sock_recv (s, body, (size_t) ask.size);
        if (body[0] == 'e')
            break;
        if (body[0] != 'd')
            continue;
        if (me->received++ == 0)
            me->first_ns = now_ns ();
        /*  A look at the clock per message would be measured too.  */
        if (me->received % 64 == 0 || me->received >= ask.count)
            me->last_ns = now_ns ();
    }
    free (body);
    return NULL;
}

static void pub_near (void)
{
    int64_t first = INT64_MAX, last = 0;
    long received = 0;
    start_peers (pub_peer);
    say ("sync");
    join_peers ();
    for (long i = 0; i < ask.peers; i++) {
        if (peers[i].received == 0)
            continue;
        received += peers[i].received;
        first = peers[i].first_ns < first ? peers[i].first_ns : first;
        last = peers[i].last_ns > last ? peers[i].last_ns : last;
    }
    printf ("result rate=%.1f loss=%.4f\n",
        last > first ? (double) received / ((double) (last - first) / 1e9) : 0.0,
        1 - (double) received / (double) (ask.count * ask.peers));
    fflush (stdout);
}

/*  Many clients of one server: each asks, then each takes its answer, and again.  */

static void clients_near (void)
{
    sock *clients = room ((size_t) ask.peers * sizeof (*clients));
    char *body = room ((size_t) ask.size);
    long waves = ask.count / ask.peers;
    int64_t began = 0;
    for (long i = 0; i < ask.peers; i++)
        clients[i] = start (REQ, 0);
    for (long wave = -1; wave < waves; wave++) {
        if (wave == 0) {
            mark_usage ();
            began = now_ns ();
        }
        for (long i = 0; i < ask.peers; i++) {
            sock_send (clients[i], body, (size_t) ask.size);
            sock_flush (clients[i]);
        }
        for (long i = 0; i < ask.peers; i++)
            sock_recv (clients[i], body, (size_t) ask.size);
    }
    say_rate ((double) (waves * ask.peers), now_ns () - began);
}

static const struct {
    const char *name;
    void (*far) (void);
    void (*near) (void);
} bench_cases[] = {
    {"thr", thr_far, thr_near},
    {"rtt", rtt_far, rtt_near},
    {"paced", paced_far, paced_near},
    {"fanin", fanin_far, fanin_near},
    {"pub", pub_far, pub_near},
    {"clients", rtt_far, clients_near},
};

static void (*side_of (int far)) (void)
{
    for (size_t i = 0; i < sizeof (bench_cases) / sizeof (bench_cases[0]); i++)
        if (strcmp (bench_cases[i].name, ask.kind) == 0)
            return far ? bench_cases[i].far : bench_cases[i].near;
    die ("case", "unknown");
    return NULL;
}

static void *far_thread (void *unused)
{
    (void) unused;
    side_of (1) ();
    return NULL;
}

static void parse (int argc, char **argv)
{
    const struct {
        const char *key;
        const char **text;
        long *number;
    } keys[] = {{"side", &ask.side, NULL}, {"case", &ask.kind, NULL}, {"pattern", &ask.pattern, NULL},
        {"address", &ask.address, NULL}, {"tls", &ask.tls, NULL}, {"size", NULL, &ask.size}, {"count", NULL, &ask.count},
        {"warm", NULL, &ask.warm}, {"peers", NULL, &ask.peers}, {"pause_us", NULL, &ask.pause_us},
        {"rate", NULL, &ask.rate}, {"buffer", NULL, &ask.buffer}, {"batch", NULL, &ask.batch},
        {"spin", NULL, &ask.spin}};
    for (int i = 1; i < argc; i++) {
        char *value = strchr (argv[i], '=');
        size_t k = 0;
        if (!value)
            die (argv[i], "not KEY=VALUE");
        *value++ = 0;
        while (k < sizeof (keys) / sizeof (keys[0]) && strcmp (keys[k].key, argv[i]) != 0)
            k++;
        if (k == sizeof (keys) / sizeof (keys[0]))
            die (argv[i], "unknown key");
        if (keys[k].text)
            *keys[k].text = value;
        else
            *keys[k].number = atol (value);
    }
}

static int bench_main (int argc, char **argv)
{
    pthread_t far;
    parse (argc, argv);
    alarm (LIFETIME_SECONDS);
    sem_init (&bound, 0, 0);
    if (strcmp (ask.side, "both") == 0) {
        if (pthread_create (&far, NULL, far_thread, NULL) != 0)
            die ("pthread_create", strerror (errno));
        while (sem_wait (&bound) != 0)
            ;
        side_of (0) ();
        pthread_join (far, NULL);
    } else {
        side_of (strcmp (ask.side, "far") == 0) ();
    }
    /*  The fan-out's publisher was told already.  */
    if (!(strcmp (ask.kind, "pub") == 0 && strcmp (ask.side, "far") == 0)) {
        say ("done");
        while (!told (-1))
            ;
    }
    say_usage ();
    _exit (0);
}

#endif
