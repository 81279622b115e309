/*  A puppet on nanomsg's C interface: it obeys the script language of
    peers/LANGUAGE.md, one command per line on stdin, one answer per line on
    stdout. The same file is compiled against every library that offers nn_*.  */

#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <nanomsg/nn.h>
#include <nanomsg/bus.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/survey.h>

#define MAX_SOCKETS 8
#define MAX_SIZES 256
#define MAX_VOICES 8
#define MAX_WORDS 12
#define SHOWN_BYTES 64
#define PROBE "spmsg-interop probe "

#ifndef PEER_NAME
#define PEER_NAME "nn"
#endif

struct socket_entry {
    int fd;
    int protocol;
};

/*  A numbered run of generated messages: number i has size sizes[i % nsizes].  */
struct stream {
    uint64_t seed;
    uint64_t from;
    uint64_t count;
    size_t sizes[MAX_SIZES];
    size_t nsizes;
    int64_t deadline;
};

struct tally {
    uint64_t count;
    uint64_t bytes;
    uint64_t digest;
    uint64_t repeats;
};

static struct socket_entry sockets[MAX_SOCKETS];
static int nsockets;
static int current = -1;

static const struct {
    const char *name;
    int protocol;
} types[] = {
    {"pair", NN_PAIR}, {"bus", NN_BUS}, {"req", NN_REQ}, {"rep", NN_REP},
    {"pub", NN_PUB}, {"sub", NN_SUB}, {"push", NN_PUSH}, {"pull", NN_PULL},
    {"surveyor", NN_SURVEYOR}, {"respondent", NN_RESPONDENT},
};

static const struct {
    const char *name;
    int level;
    int option;
} options[] = {
    {"rcvmaxsize", NN_SOL_SOCKET, NN_RCVMAXSIZE},
    {"sndbuf", NN_SOL_SOCKET, NN_SNDBUF},
    {"rcvbuf", NN_SOL_SOCKET, NN_RCVBUF},
    {"reconnect", NN_SOL_SOCKET, NN_RECONNECT_IVL},
    {"reconnect-max", NN_SOL_SOCKET, NN_RECONNECT_IVL_MAX},
    {"maxttl", NN_SOL_SOCKET, NN_MAXTTL},
    {"resend", NN_REQ, NN_REQ_RESEND_IVL},
    {"deadline", NN_SURVEYOR, NN_SURVEYOR_DEADLINE},
};

static const struct {
    int code;
    const char *name;
} errors[] = {
    {EAGAIN, "EAGAIN"}, {ETIMEDOUT, "ETIMEDOUT"}, {EBADF, "EBADF"}, {EINVAL, "EINVAL"},
    {EFSM, "EFSM"}, {ENOTSUP, "ENOTSUP"}, {EADDRINUSE, "EADDRINUSE"}, {ETERM, "ETERM"},
    {ENOPROTOOPT, "ENOPROTOOPT"},
};

/*  Answers.  */

static void fail (const char *text)
{
    printf ("err %s\n", text);
}

static void fail_errno (const char *doing)
{
    int code = nn_errno ();
    size_t i;

    for (i = 0; i < sizeof errors / sizeof errors[0]; ++i) {
        if (errors[i].code == code) {
            printf ("err %s %s\n", errors[i].name, doing);
            return;
        }
    }
    printf ("err %d %s: %s\n", code, doing, nn_strerror (code));
}

static void succeed (const struct tally *t)
{
    printf ("ok %llu %llu %016llx repeats=%llu\n", (unsigned long long) t->count,
        (unsigned long long) t->bytes, (unsigned long long) t->digest,
        (unsigned long long) t->repeats);
}

static void print_hex (const unsigned char *data, size_t len)
{
    size_t i;

    if (len == 0)
        putchar ('-');
    for (i = 0; i < len && i < SHOWN_BYTES; ++i)
        printf ("%02x", data[i]);
    if (len > SHOWN_BYTES)
        printf ("...");
}

/*  Generated content and its digest.  */

static uint64_t first_state (uint64_t seed, uint64_t index, size_t size)
{
    return seed * 0x9e3779b97f4a7c15u + index * 0xbf58476d1ce4e5b9u
        + (uint64_t) size * 0x94d049bb133111ebu;
}

static uint64_t next_word (uint64_t *state)
{
    uint64_t z;

    *state += 0x9e3779b97f4a7c15u;
    z = *state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void generate (unsigned char *out, uint64_t seed, uint64_t index, size_t size)
{
    uint64_t state = first_state (seed, index, size);
    uint64_t word = 0;
    size_t i;

    for (i = 0; i < size; ++i) {
        if (i % 8 == 0)
            word = next_word (&state);
        out[i] = (unsigned char) (word >> (8 * (i % 8)));
    }
}

static int is_content (const unsigned char *data, size_t len, uint64_t seed, uint64_t index,
    size_t size)
{
    uint64_t state = first_state (seed, index, size);
    uint64_t word = 0;
    size_t i;

    if (len != size)
        return 0;
    for (i = 0; i < size; ++i) {
        if (i % 8 == 0)
            word = next_word (&state);
        if (data[i] != (unsigned char) (word >> (8 * (i % 8))))
            return 0;
    }
    return 1;
}

static uint64_t fnv1a (uint64_t digest, const unsigned char *data, size_t len)
{
    size_t i;

    for (i = 0; i < len; ++i)
        digest = (digest ^ data[i]) * 0x100000001b3u;
    return digest;
}

static void tally_start (struct tally *t)
{
    memset (t, 0, sizeof *t);
    t->digest = 0xcbf29ce484222325u;
}

/*  The length goes in first, so that empty messages leave a trace too.  */
static void tally_add (struct tally *t, const unsigned char *data, size_t len)
{
    unsigned char word[8];
    int i;

    for (i = 0; i < 8; ++i)
        word[i] = (unsigned char) ((uint64_t) len >> (8 * i));
    t->digest = fnv1a (fnv1a (t->digest, word, sizeof word), data, len);
    t->count += 1;
    t->bytes += len;
}

/*  Time, and calls that respect a deadline.  */

static int64_t now_ms (void)
{
    struct timespec ts;

    clock_gettime (CLOCK_MONOTONIC, &ts);
    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/*  Milliseconds left, never 0: nanomsg would not even look at the socket.  */
static int remaining (int64_t deadline)
{
    int64_t left = deadline - now_ms ();

    return left > 0 ? (int) left : 1;
}

static int fd (void)
{
    return sockets[current].fd;
}

static int protocol (void)
{
    return sockets[current].protocol;
}

static int receive (void **body, int64_t deadline)
{
    int timeout = remaining (deadline);
    int rc;

    if (nn_setsockopt (fd (), NN_SOL_SOCKET, NN_RCVTIMEO, &timeout, sizeof timeout) < 0)
        return -1;
    do {
        rc = nn_recv (fd (), body, NN_MSG, 0);
    } while (rc < 0 && nn_errno () == EINTR);
    return rc;
}

static int transmit (const void *body, size_t len, int64_t deadline)
{
    int timeout = remaining (deadline);
    int rc;

    if (nn_setsockopt (fd (), NN_SOL_SOCKET, NN_SNDTIMEO, &timeout, sizeof timeout) < 0)
        return -1;
    do {
        rc = nn_send (fd (), body, len, 0);
    } while (rc < 0 && nn_errno () == EINTR);
    if (rc >= 0 && (size_t) rc != len) {
        errno = EIO;
        return -1;
    }
    return rc;
}

static int is_probe (const void *body, int len)
{
    size_t n = strlen (PROBE);

    return (size_t) len >= n && memcmp (body, PROBE, n) == 0;
}

/*  Receive whatever is not a probe: those only prove that a path exists.  */
static int receive_content (void **body, int64_t deadline)
{
    int rc;

    for (;;) {
        rc = receive (body, deadline);
        if (rc < 0 || !is_probe (*body, rc))
            return rc;
        nn_freemsg (*body);
        if (now_ms () >= deadline) {
            errno = ETIMEDOUT;
            return -1;
        }
    }
}

/*  Parsing.  */

static int parse_hex (const char *text, unsigned char **out, size_t *len)
{
    size_t digits = strcmp (text, "-") == 0 ? 0 : strlen (text);
    size_t i;

    if (digits % 2 != 0)
        return -1;
    *len = digits / 2;
    *out = malloc (*len + 1);
    if (*out == NULL)
        return -1;
    for (i = 0; i < *len; ++i) {
        unsigned int byte;

        if (sscanf (text + 2 * i, "%2x", &byte) != 1) {
            free (*out);
            return -1;
        }
        (*out)[i] = (unsigned char) byte;
    }
    return 0;
}

static int parse_stream (struct stream *s, char **words, int nwords)
{
    char *next;

    if (nwords < 6)
        return -1;
    s->seed = strtoull (words[1], NULL, 10);
    s->from = strtoull (words[2], NULL, 10);
    s->count = strtoull (words[3], NULL, 10);
    s->nsizes = 0;
    for (next = words[4]; *next != '\0';) {
        if (s->nsizes == MAX_SIZES)
            return -1;
        s->sizes[s->nsizes++] = (size_t) strtoull (next, &next, 10);
        if (*next == ',')
            ++next;
        else if (*next != '\0')
            return -1;
    }
    s->deadline = now_ms () + strtoll (words[5], NULL, 10);
    return s->nsizes > 0 ? 0 : -1;
}

static size_t size_of (const struct stream *s, uint64_t index)
{
    return s->sizes[index % s->nsizes];
}

static int matches (const struct stream *s, uint64_t index, const void *body, int len)
{
    return is_content (body, (size_t) len, s->seed, index, size_of (s, index));
}

static void fail_mismatch (const struct stream *s, uint64_t index, const void *body, int len)
{
    unsigned char want[SHOWN_BYTES];
    size_t size = size_of (s, index);

    if (size <= SHOWN_BYTES)
        generate (want, s->seed, index, size);
    printf ("err mismatch at %llu: wanted %zu bytes ", (unsigned long long) index, size);
    if (size <= SHOWN_BYTES)
        print_hex (want, size);
    printf (" got %d bytes ", len);
    print_hex (body, (size_t) len);
    putchar ('\n');
}

/*  Sockets.  */

static void do_hello (void)
{
    printf ("ok " PEER_NAME " nn %d.%d.%d\n", NN_VERSION_CURRENT, NN_VERSION_REVISION,
        NN_VERSION_AGE);
}

static void do_open (char **words, int nwords)
{
    int domain = nwords > 2 && strcmp (words[2], "raw") == 0 ? AF_SP_RAW : AF_SP;
    size_t i;

    for (i = 0; nwords > 1 && i < sizeof types / sizeof types[0]; ++i) {
        if (strcmp (types[i].name, words[1]) != 0 || nsockets == MAX_SOCKETS)
            continue;
        sockets[nsockets].protocol = types[i].protocol;
        sockets[nsockets].fd = nn_socket (domain, types[i].protocol);
        if (sockets[nsockets].fd < 0) {
            fail_errno ("nn_socket");
            return;
        }
        current = nsockets++;
        printf ("ok %d\n", current);
        return;
    }
    fail ("no such type, or too many sockets");
}

static void do_topic (int option, const char *text)
{
    unsigned char *topic;
    size_t len;

    if (parse_hex (text, &topic, &len) < 0) {
        fail ("bad hex");
        return;
    }
    if (nn_setsockopt (fd (), NN_SUB, option, topic, len) < 0)
        fail_errno ("nn_setsockopt");
    else
        puts ("ok");
    free (topic);
}

static void do_opt (const char *name, const char *text)
{
    int value = atoi (text);
    size_t i;

    if (strcmp (name, "subscribe") == 0) {
        do_topic (NN_SUB_SUBSCRIBE, text);
        return;
    }
    if (strcmp (name, "unsubscribe") == 0) {
        do_topic (NN_SUB_UNSUBSCRIBE, text);
        return;
    }
    for (i = 0; i < sizeof options / sizeof options[0]; ++i) {
        if (strcmp (options[i].name, name) != 0)
            continue;
        if (nn_setsockopt (fd (), options[i].level, options[i].option, &value, sizeof value) < 0)
            fail_errno ("nn_setsockopt");
        else
            puts ("ok");
        return;
    }
    fail ("no such option");
}

static void do_endpoint (const char *verb, const char *addr)
{
    int rc = strcmp (verb, "bind") == 0 ? nn_bind (fd (), addr) : nn_connect (fd (), addr);

    if (rc < 0)
        fail_errno (verb);
    else
        puts ("ok");
}

static uint64_t joined_so_far (void)
{
    return nn_get_statistic (fd (), NN_STAT_ESTABLISHED_CONNECTIONS)
        + nn_get_statistic (fd (), NN_STAT_ACCEPTED_CONNECTIONS);
}

/*  There is no call that blocks until a pipe comes, so the counters are polled.  */
static void do_wait (const char *what, uint64_t wanted, int64_t timeout_ms)
{
    struct timespec pause = {0, 1000000};
    int64_t deadline = now_ms () + timeout_ms;
    int in_all = strcmp (what, "wait-joined") == 0;

    for (;;) {
        uint64_t now = nn_get_statistic (fd (), NN_STAT_CURRENT_CONNECTIONS);

        if ((in_all ? joined_so_far () : now) >= wanted) {
            puts ("ok");
            return;
        }
        if (now_ms () >= deadline) {
            printf ("err ETIMEDOUT %s: %llu now, %llu in all\n", what, (unsigned long long) now,
                (unsigned long long) joined_so_far ());
            return;
        }
        nanosleep (&pause, NULL);
    }
}

static void *run_device (void *arg)
{
    int *pair = arg;

    nn_device (pair[0], pair[1]);
    free (pair);
    return NULL;
}

static void do_device (char **words, int nwords)
{
    int *pair = malloc (2 * sizeof *pair);
    pthread_t thread;

    if (pair == NULL || nwords < 2 || atoi (words[1]) >= nsockets
          || (nwords > 2 && atoi (words[2]) >= nsockets)) {
        free (pair);
        fail ("device needs one or two open sockets");
        return;
    }
    pair[0] = sockets[atoi (words[1])].fd;
    pair[1] = nwords > 2 ? sockets[atoi (words[2])].fd : -1;
    if (pthread_create (&thread, NULL, run_device, pair) != 0) {
        free (pair);
        fail ("pthread_create");
        return;
    }
    pthread_detach (thread);
    puts ("ok");
}

/*  One message.  */

static void do_send (const char *text, int64_t timeout_ms)
{
    unsigned char *body;
    size_t len;

    if (parse_hex (text, &body, &len) < 0) {
        fail ("bad hex");
        return;
    }
    if (transmit (body, len, now_ms () + timeout_ms) < 0)
        fail_errno ("nn_send");
    else
        printf ("ok %zu\n", len);
    free (body);
}

static void do_recv (int64_t timeout_ms)
{
    void *body;
    int len = receive_content (&body, now_ms () + timeout_ms);

    if (len < 0) {
        fail_errno ("nn_recv");
        return;
    }
    printf ("msg %d ", len);
    print_hex (body, (size_t) len);
    putchar ('\n');
    nn_freemsg (body);
}

static void do_quiet (int64_t timeout_ms)
{
    void *body;
    int len = receive_content (&body, now_ms () + timeout_ms);

    if (len < 0 && nn_errno () == ETIMEDOUT) {
        puts ("ok");
        return;
    }
    if (len < 0) {
        fail_errno ("nn_recv");
        return;
    }
    printf ("err unexpected message of %d bytes ", len);
    print_hex (body, (size_t) len);
    putchar ('\n');
    nn_freemsg (body);
}

static void do_probe (const char *nonce, int64_t timeout_ms)
{
    char body[128];
    int len = snprintf (body, sizeof body, "%s%s", PROBE, nonce);

    if (transmit (body, (size_t) len, now_ms () + timeout_ms) < 0)
        fail_errno ("nn_send");
    else
        puts ("ok");
}

static void do_seek (const char *nonce, int64_t timeout_ms)
{
    int64_t deadline = now_ms () + timeout_ms;
    char wanted[128];
    int wanted_len = snprintf (wanted, sizeof wanted, "%s%s", PROBE, nonce);
    int found = 0;

    while (!found) {
        void *body;
        int len = receive (&body, deadline);

        if (len < 0) {
            fail_errno ("nn_recv");
            return;
        }
        found = len == wanted_len && memcmp (body, wanted, (size_t) len) == 0;
        if (!found && !is_probe (body, len)) {
            printf ("err unexpected message of %d bytes ", len);
            print_hex (body, (size_t) len);
            putchar ('\n');
            nn_freemsg (body);
            return;
        }
        nn_freemsg (body);
    }
    puts ("ok");
}

/*  Runs of messages.  */

static int transmit_number (const struct stream *s, uint64_t seed, uint64_t index, struct tally *t)
{
    size_t size = size_of (s, index);
    unsigned char *body = malloc (size + 1);
    int rc;

    if (body == NULL)
        return -1;
    generate (body, seed, index, size);
    rc = transmit (body, size, s->deadline);
    if (rc >= 0 && t != NULL)
        tally_add (t, body, size);
    free (body);
    return rc;
}

static void do_burst (const struct stream *s)
{
    struct tally t;
    uint64_t i;

    tally_start (&t);
    for (i = s->from; i < s->from + s->count; ++i) {
        if (transmit_number (s, s->seed, i, &t) < 0) {
            fail_errno ("nn_send");
            return;
        }
    }
    succeed (&t);
}

static void do_drain (const struct stream *s)
{
    struct tally t;
    uint64_t i;

    tally_start (&t);
    for (i = s->from; i < s->from + s->count; ++i) {
        void *body;
        int len = receive_content (&body, s->deadline);

        if (len < 0) {
            printf ("# %llu of %llu came\n", (unsigned long long) t.count,
                (unsigned long long) s->count);
            fail_errno ("nn_recv");
            return;
        }
        if (!matches (s, i, body, len)) {
            fail_mismatch (s, i, body, len);
            nn_freemsg (body);
            return;
        }
        tally_add (&t, body, (size_t) len);
        nn_freemsg (body);
    }
    succeed (&t);
}

/*  Like drain, but messages may be missing and the last one that came may come again.  */
static void do_sift (const struct stream *s)
{
    uint64_t end = s->from + s->count;
    uint64_t next = s->from;
    struct tally t;

    tally_start (&t);
    while (next < end) {
        void *body;
        int len = receive_content (&body, s->deadline);
        uint64_t at = next;

        if (len < 0) {
            fail_errno ("nn_recv");
            return;
        }
        while (at < end && !matches (s, at, body, len))
            ++at;
        if (at < end) {
            tally_add (&t, body, (size_t) len);
            next = at + 1;
        } else if (next > 0 && matches (s, next - 1, body, len)) {
            t.repeats += 1;
        } else {
            fail_mismatch (s, next, body, len);
            nn_freemsg (body);
            return;
        }
        nn_freemsg (body);
    }
    succeed (&t);
}

/*  Which of the voices not yet heard said this, or -1.  */
static int voice_of (const struct stream *s, uint64_t index, const void *body, int len, int voices,
    const char *heard)
{
    int v;

    for (v = 0; v < voices; ++v) {
        if (!heard[v] && is_content (body, (size_t) len, s->seed + 1 + (uint64_t) v, index,
              size_of (s, index)))
            return v;
    }
    return -1;
}

/*  Collect the answers to one question: 1 all came, 0 time is up, -1 failed and said so.  */
static int collect (const struct stream *s, uint64_t index, int voices)
{
    char heard[MAX_VOICES] = {0};
    int missing = voices;

    while (missing > 0) {
        void *body;
        int len = receive (&body, s->deadline);
        int v;

        if (len < 0) {
            int again = protocol () == NN_SURVEYOR && now_ms () < s->deadline
                && (nn_errno () == ETIMEDOUT || nn_errno () == EFSM);

            if (!again)
                fail_errno ("nn_recv");
            return again ? 0 : -1;
        }
        v = voice_of (s, index, body, len, voices, heard);
        if (v < 0)
            fail_mismatch (s, index, body, len);
        nn_freemsg (body);
        if (v < 0)
            return -1;
        heard[v] = 1;
        --missing;
    }
    return 1;
}

static void do_ask (const struct stream *s, int voices)
{
    struct tally t;
    uint64_t i;

    tally_start (&t);
    for (i = s->from; i < s->from + s->count;) {
        struct tally before = t;
        int rc;

        if (transmit_number (s, s->seed, i, &t) < 0) {
            fail_errno ("nn_send");
            return;
        }
        rc = collect (s, i, voices);
        if (rc < 0)
            return;
        if (rc > 0) {
            ++i;
        } else {
            t = before;
            t.repeats += 1;
        }
    }
    succeed (&t);
}

/*  Hear one question; a repeat of the one before is answered again. Returns the
    number heard, or -1 after saying what went wrong.  */
static int64_t hear (const struct stream *s, uint64_t next, struct tally *t)
{
    void *body;
    int len = receive_content (&body, s->deadline);
    int64_t heard = -1;

    if (len < 0) {
        fail_errno ("nn_recv");
        return -1;
    }
    if (matches (s, next, body, len)) {
        tally_add (t, body, (size_t) len);
        heard = (int64_t) next;
    } else if (next > 0 && matches (s, next - 1, body, len)) {
        t->repeats += 1;
        heard = (int64_t) next - 1;
    } else {
        fail_mismatch (s, next, body, len);
    }
    nn_freemsg (body);
    return heard;
}

static void do_answer (const struct stream *s, uint64_t rank)
{
    uint64_t next = s->from;
    struct tally t;

    tally_start (&t);
    while (next < s->from + s->count) {
        int64_t heard = hear (s, next, &t);

        if (heard < 0)
            return;
        if (transmit_number (s, s->seed + 1 + rank, (uint64_t) heard, NULL) < 0) {
            fail_errno ("nn_send");
            return;
        }
        next = (uint64_t) heard + 1;
    }
    succeed (&t);
}

/*  The reading loop.  */

static int run_stream_command (char **words, int nwords)
{
    struct stream s;
    const char *verb = words[0];
    int last = nwords > 6 ? atoi (words[6]) : -1;

    if (strcmp (verb, "burst") != 0 && strcmp (verb, "drain") != 0 && strcmp (verb, "sift") != 0
          && strcmp (verb, "ask") != 0 && strcmp (verb, "answer") != 0)
        return 0;
    if (parse_stream (&s, words, nwords) < 0 || last > MAX_VOICES)
        fail ("wanted SEED FROM COUNT SIZES MS");
    else if (strcmp (verb, "burst") == 0)
        do_burst (&s);
    else if (strcmp (verb, "drain") == 0)
        do_drain (&s);
    else if (strcmp (verb, "sift") == 0)
        do_sift (&s);
    else if (strcmp (verb, "ask") == 0)
        do_ask (&s, last > 0 ? last : 1);
    else
        do_answer (&s, last > 0 ? (uint64_t) last : 0);
    return 1;
}

static void run_socket_command (char **words, int nwords)
{
    const char *verb = words[0];
    const char *one = nwords > 1 ? words[1] : "";
    const char *two = nwords > 2 ? words[2] : "";

    if (strcmp (verb, "opt") == 0) {
        do_opt (one, two);
    } else if (strcmp (verb, "bind") == 0 || strcmp (verb, "connect") == 0) {
        do_endpoint (verb, one);
    } else if (strcmp (verb, "wait-pipes") == 0 || strcmp (verb, "wait-joined") == 0) {
        do_wait (verb, strtoull (one, NULL, 10), atoll (two));
    } else if (strcmp (verb, "send") == 0) {
        do_send (one, atoll (two));
    } else if (strcmp (verb, "recv") == 0) {
        do_recv (atoll (one));
    } else if (strcmp (verb, "quiet") == 0) {
        do_quiet (atoll (one));
    } else if (strcmp (verb, "probe") == 0) {
        do_probe (one, atoll (two));
    } else if (strcmp (verb, "seek") == 0) {
        do_seek (one, atoll (two));
    } else if (strcmp (verb, "close") == 0) {
        if (nn_close (fd ()) < 0)
            fail_errno ("nn_close");
        else
            puts ("ok");
    } else {
        fail ("no such command");
    }
}

static void run_command (char **words, int nwords)
{
    if (strcmp (words[0], "hello") == 0) {
        do_hello ();
    } else if (strcmp (words[0], "open") == 0) {
        do_open (words, nwords);
    } else if (strcmp (words[0], "device") == 0) {
        do_device (words, nwords);
    } else if (strcmp (words[0], "use") == 0) {
        int wanted = nwords > 1 ? atoi (words[1]) : -1;

        if (wanted < 0 || wanted >= nsockets) {
            fail ("no such socket");
        } else {
            current = wanted;
            puts ("ok");
        }
    } else if (current < 0) {
        fail ("no socket is open");
    } else if (!run_stream_command (words, nwords)) {
        run_socket_command (words, nwords);
    }
}

int main (void)
{
    char *line = NULL;
    size_t capacity = 0;

    while (getline (&line, &capacity, stdin) >= 0) {
        char *words[MAX_WORDS];
        int nwords = 0;
        char *word = strtok (line, " \r\n");

        for (; word != NULL && nwords < MAX_WORDS; word = strtok (NULL, " \r\n"))
            words[nwords++] = word;
        if (nwords == 0)
            continue;
        if (strcmp (words[0], "exit") == 0)
            break;
        run_command (words, nwords);
        fflush (stdout);
    }
    free (line);
    return 0;
}
