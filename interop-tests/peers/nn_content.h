/*  Generated messages, their digest, and the text forms of peers/LANGUAGE.md.  */

#ifndef NN_CONTENT_H
#define NN_CONTENT_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_SIZES 256
#define MAX_VOICES 8
#define SHOWN_BYTES 64

/*  A numbered run of generated messages: number i has size sizes[i % nsizes].  */
struct stream {
    uint64_t seed;
    uint64_t seeds[MAX_VOICES];
    size_t nseeds;
    uint64_t from;
    uint64_t count;
    uint64_t sizes[MAX_SIZES];
    size_t nsizes;
    int64_t deadline;
};

struct tally {
    uint64_t count;
    uint64_t bytes;
    uint64_t digest;
    uint64_t repeats;
};

static int64_t now_ms (void)
{
    struct timespec ts;

    clock_gettime (CLOCK_MONOTONIC, &ts);
    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
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

/*  Numbers with commas between them; how many, or 0 when it is no such list.  */
static size_t parse_list (uint64_t *out, size_t capacity, const char *text)
{
    size_t n = 0;
    char *next = (char *) text;

    while (*next != '\0') {
        if (n == capacity)
            return 0;
        out[n++] = strtoull (next, &next, 10);
        if (*next == ',')
            ++next;
        else if (*next != '\0')
            return 0;
    }
    return n;
}

static int parse_stream (struct stream *s, char **words, int nwords)
{
    if (nwords < 6)
        return -1;
    s->nseeds = parse_list (s->seeds, MAX_VOICES, words[1]);
    s->seed = s->seeds[0];
    s->from = strtoull (words[2], NULL, 10);
    s->count = strtoull (words[3], NULL, 10);
    s->nsizes = parse_list (s->sizes, MAX_SIZES, words[4]);
    s->deadline = now_ms () + strtoll (words[5], NULL, 10);
    return s->nsizes > 0 && s->nseeds > 0 ? 0 : -1;
}

static size_t size_of (const struct stream *s, uint64_t index)
{
    return (size_t) s->sizes[index % s->nsizes];
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

#endif
