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

#include "nn_content.h"
#include "nn_library.h"
#include "nn_message.h"

#define MAX_SOCKETS 8
#define MAX_WORDS 12
#define PROBE "spmsg-interop probe "

#ifndef PEER_NAME
#define PEER_NAME "nn"
#endif

/*  How long a raw question waits for its answers before it is asked again.  */
#define RAW_PATIENCE_MS 600

struct socket_entry {
    int fd;
    int protocol;
    int is_raw;
    struct header in;
    struct header out;
    uint32_t last_id;
    struct pipe_count pipes;
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
#ifdef PAIR1_NUMBER
    {"pair1", PAIR1_NUMBER},
#endif
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
    {ENOPROTOOPT, "ENOPROTOOPT"}, {EPROTO, "EPROTO"},
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

/*  Time, and calls that respect a deadline.  */

/*  Milliseconds left, never 0: nanomsg would not even look at the socket.  */
static int remaining (int64_t deadline)
{
    int64_t left = deadline - now_ms ();

    return left > 0 ? (int) left : 1;
}

static struct socket_entry *now (void)
{
    return &sockets[current];
}

static int fd (void)
{
    return now ()->fd;
}

static int answers (void)
{
    return now ()->protocol == NN_REP || now ()->protocol == NN_RESPONDENT;
}

static int asks (void)
{
    return now ()->protocol == NN_REQ || now ()->protocol == NN_SURVEYOR;
}

/*  Whether a raw socket of this kind shows such a header.  */
static int header_is_right (void)
{
    const struct header *h = &now ()->in;

    if (answers ())
        return header_is_stack (h);
    if (asks ())
        return h->len >= 4;
    if (now ()->protocol == NN_BUS)
        return h->len == BUS_HEADER_BYTES;
#ifdef PAIR1_NUMBER
    if (now ()->protocol == PAIR1_NUMBER)
        return h->len == 4;
#endif
    return h->len == 0;
}

static int checked (int rc, void *body)
{
    if (rc < 0 || !now ()->is_raw || header_is_right ())
        return rc;
    printf ("# header ");
    print_hex (now ()->in.bytes, now ()->in.len);
    putchar ('\n');
    nn_freemsg (body);
    errno = EPROTO;
    return -1;
}

static int receive (void **body, int64_t deadline)
{
    int timeout = remaining (deadline);
    int rc;

    if (nn_setsockopt (fd (), NN_SOL_SOCKET, NN_RCVTIMEO, &timeout, sizeof timeout) < 0)
        return -1;
    do {
        rc = now ()->is_raw ? message_receive (fd (), body, &now ()->in)
            : nn_recv (fd (), body, NN_MSG, 0);
    } while (rc < 0 && nn_errno () == EINTR);
    return checked (rc, rc < 0 ? NULL : *body);
}

static int transmit (const void *body, size_t len, int64_t deadline)
{
    int timeout = remaining (deadline);
    int rc;

    if (nn_setsockopt (fd (), NN_SOL_SOCKET, NN_SNDTIMEO, &timeout, sizeof timeout) < 0)
        return -1;
    do {
        rc = now ()->is_raw ? message_send (fd (), body, len, &now ()->out)
            : nn_send (fd (), body, len, 0);
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

/*  Sockets.  */

static void do_hello (void)
{
    printf ("ok " PEER_NAME " ");
    print_version ();
    putchar ('\n');
}

static void do_open (char **words, int nwords)
{
    int is_raw = nwords > 2 && strcmp (words[2], "raw") == 0;
    struct socket_entry *entry = &sockets[nsockets % MAX_SOCKETS];
    size_t i;

    for (i = 0; nwords > 1 && i < sizeof types / sizeof types[0]; ++i) {
        if (strcmp (types[i].name, words[1]) != 0 || nsockets == MAX_SOCKETS)
            continue;
        memset (entry, 0, sizeof *entry);
        entry->protocol = types[i].protocol;
        entry->is_raw = is_raw;
#ifdef PAIR1_NUMBER
        if (types[i].protocol == PAIR1_NUMBER)
            header_set_word (&entry->out, 0);
#endif
        entry->fd = library_open (is_raw ? AF_SP_RAW : AF_SP, types[i].protocol, &entry->pipes);
        if (entry->fd < 0) {
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
    if (now ()->is_raw && !RAW_SUB_FILTERS)
        puts ("ok");
    else if (nn_setsockopt (fd (), NN_SUB, option, topic, len) < 0)
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

static char tls_folder[TLS_PATH_BYTES - 16];

static void do_tls (const char *folder)
{
    snprintf (tls_folder, sizeof tls_folder, "%s", folder);
    if (library_tls (fd (), folder) < 0)
        fail_errno ("tls");
    else
        puts ("ok");
}

static void do_endpoint (const char *verb, const char *addr)
{
    int is_bind = strcmp (verb, "bind") == 0;
    int rc = library_tls_endpoint (fd (), is_bind, addr, tls_folder);

    if (rc == 0)
        rc = is_bind ? nn_bind (fd (), addr) : nn_connect (fd (), addr);
    if (rc < 0)
        fail_errno (verb);
    else
        puts ("ok");
}

/*  There is no call that blocks until a pipe comes, so the counters are polled.  */
static void do_wait (const char *what, uint64_t wanted, int64_t timeout_ms)
{
    struct timespec pause = {0, 1000000};
    int64_t deadline = now_ms () + timeout_ms;
    int in_all = strcmp (what, "wait-pipes") != 0;
    int one_left = strcmp (what, "wait-rejoined") == 0;

    for (;;) {
        uint64_t present = pipes_now (fd (), &now ()->pipes);
        uint64_t joined = pipes_in_all (fd (), &now ()->pipes);

        if ((in_all ? joined : present) >= wanted && (!one_left || present == 1)) {
            puts ("ok");
            return;
        }
        if (now_ms () >= deadline) {
            printf ("err ETIMEDOUT %s: %llu now, %llu in all\n", what,
                (unsigned long long) present, (unsigned long long) joined);
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

/*  Whether what a raw socket received answers its last question; a cooked one has
    seen to that itself.  */
static int is_current (void)
{
    return !now ()->is_raw
        || (now ()->in.len == 4 && header_word (&now ()->in, 0) == now ()->last_id);
}

/*  A failed receive: 0 when the question is to be asked again, -1 after saying why not.  */
static int collect_failed (const struct stream *s)
{
    int may_repeat = now ()->protocol == NN_SURVEYOR || now ()->is_raw;

    if (may_repeat && now_ms () < s->deadline && (nn_errno () == ETIMEDOUT || nn_errno () == EFSM))
        return 0;
    fail_errno ("nn_recv");
    return -1;
}

/*  Collect the answers to one question: 1 all came, 0 time is up, -1 failed and said so.  */
static int collect (const struct stream *s, uint64_t index, int voices)
{
    int64_t until = now ()->is_raw ? now_ms () + RAW_PATIENCE_MS : s->deadline;
    char heard[MAX_VOICES] = {0};
    int missing = voices;

    while (missing > 0) {
        void *body;
        int len = receive (&body, until < s->deadline ? until : s->deadline);
        int v;

        if (len < 0)
            return collect_failed (s);
        if (!is_current ()) {
            nn_freemsg (body);
            continue;
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

/*  A raw question needs an id of ours, its top bit set.  */
static void prepare_question (void)
{
    if (!now ()->is_raw || !asks ())
        return;
    now ()->last_id = (now ()->last_id + 1) | 0x80000000u;
    header_set_word (&now ()->out, now ()->last_id);
}

static void do_ask (const struct stream *s, int voices)
{
    struct tally t;
    uint64_t i;

    tally_start (&t);
    for (i = s->from; i < s->from + s->count;) {
        struct tally before = t;
        int rc;

        prepare_question ();
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

/*  Answer message number index of this seed, when this socket is one that answers.  */
static int answer_number (const struct stream *s, uint64_t seed, uint64_t index)
{
    if (!answers ())
        return 0;
    if (now ()->is_raw)
        now ()->out = now ()->in;
    if (transmit_number (s, seed, index, NULL) >= 0)
        return 0;
    fail_errno ("nn_send");
    return -1;
}

/*  Receive everything of several streams, each in order: next[i] is the number that
    stream i is at. The one before may come again.  */
static int gather_one (const struct stream *s, uint64_t *next, uint64_t rank, struct tally *t)
{
    uint64_t end = s->from + s->count;
    int rc = -1;
    void *body;
    int len = receive_content (&body, s->deadline);
    size_t i;

    if (len < 0) {
        printf ("# %llu came\n", (unsigned long long) t->count);
        fail_errno ("nn_recv");
        return -1;
    }
    for (i = 0; i < s->nseeds; ++i) {
        if (next[i] < end && is_content (body, (size_t) len, s->seeds[i], next[i], size_of (s, next[i]))) {
            tally_add (t, body, (size_t) len);
            next[i] += 1;
            break;
        }
    }
    if (i == s->nseeds) {
        for (i = 0; i < s->nseeds; ++i) {
            if (next[i] > 0 && is_content (body, (size_t) len, s->seeds[i], next[i] - 1,
                  size_of (s, next[i] - 1))) {
                t->repeats += 1;
                break;
            }
        }
    }
    if (i == s->nseeds)
        fail_mismatch (s, next[0], body, len);
    else
        rc = answer_number (s, s->seeds[i] + 1 + rank, next[i] - 1);
    nn_freemsg (body);
    return rc;
}

static void do_gather (const struct stream *s, uint64_t rank)
{
    uint64_t next[MAX_VOICES];
    struct tally t;
    size_t i;

    tally_start (&t);
    for (i = 0; i < s->nseeds; ++i)
        next[i] = s->from;
    while (t.count < s->count * s->nseeds) {
        if (gather_one (s, next, rank, &t) < 0)
            return;
    }
    succeed (&t);
}

/*  Receive whatever part of a stream comes to this socket within the time; the
    numbers go to came. Returns how many, or -1 after saying what went wrong.  */
static int64_t glean (const struct stream *s, uint64_t rank, uint64_t *came)
{
    uint64_t end = s->from + s->count;
    uint64_t next = s->from;
    int64_t n = 0;

    while (next < end) {
        void *body;
        int len = receive_content (&body, s->deadline);

        if (len < 0 && nn_errno () == ETIMEDOUT)
            break;
        if (len < 0) {
            fail_errno ("nn_recv");
            return -1;
        }
        while (next < end && !matches (s, next, body, len))
            ++next;
        nn_freemsg (body);
        if (next == end) {
            fail ("glean: not in the stream, or out of order");
            return -1;
        }
        if (answer_number (s, s->seed + 1 + rank, next) < 0)
            return -1;
        came[n++] = next++;
    }
    return n;
}

static void do_glean (const struct stream *s, uint64_t rank)
{
    uint64_t *came = calloc (s->count + 1, sizeof *came);
    int64_t n, i;

    if (came == NULL) {
        fail ("out of memory");
        return;
    }
    n = glean (s, rank, came);
    for (i = 0; i < n; ++i)
        printf ("%s%llu", i == 0 ? "ok " : ",", (unsigned long long) came[i]);
    if (n >= 0)
        puts (n == 0 ? "ok -" : "");
    free (came);
}

/*  The reading loop.  */

static int run_stream_command (char **words, int nwords)
{
    struct stream s;
    const char *verb = words[0];
    int last = nwords > 6 ? atoi (words[6]) : -1;

    if (strcmp (verb, "burst") != 0 && strcmp (verb, "drain") != 0 && strcmp (verb, "sift") != 0
          && strcmp (verb, "ask") != 0 && strcmp (verb, "answer") != 0
          && strcmp (verb, "gather") != 0 && strcmp (verb, "glean") != 0)
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
    else if (strcmp (verb, "glean") == 0)
        do_glean (&s, last > 0 ? (uint64_t) last : 0);
    else
        do_gather (&s, last > 0 ? (uint64_t) last : 0);
    return 1;
}

static void run_socket_command (char **words, int nwords)
{
    const char *verb = words[0];
    const char *one = nwords > 1 ? words[1] : "";
    const char *two = nwords > 2 ? words[2] : "";

    if (strcmp (verb, "opt") == 0) {
        do_opt (one, two);
    } else if (strcmp (verb, "tls") == 0) {
        do_tls (one);
    } else if (strcmp (verb, "bind") == 0 || strcmp (verb, "connect") == 0) {
        do_endpoint (verb, one);
    } else if (strncmp (verb, "wait-", 5) == 0) {
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
