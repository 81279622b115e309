/*  What differs between the libraries that offer nn_*: where the headers are, how
    a program learns of connections, and what raw sockets show.  */

#ifndef NN_LIBRARY_H
#define NN_LIBRARY_H

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>

#ifdef PEER_IS_NNG

#include <nng/compat/nanomsg/nn.h>
#include <nng/compat/nanomsg/bus.h>
#include <nng/compat/nanomsg/pair.h>
#include <nng/compat/nanomsg/pipeline.h>
#include <nng/compat/nanomsg/pubsub.h>
#include <nng/compat/nanomsg/reqrep.h>
#include <nng/compat/nanomsg/survey.h>
#include <nng/nng.h>
#include <nng/protocol/pair1/pair.h>

#define BUS_HEADER_BYTES 4
#define RAW_SUB_FILTERS 0
#define PAIR1_NUMBER 17

#define MAX_PIPES 32

struct pipe_count {
    pthread_mutex_t lock;
    int ids[MAX_PIPES];
    uint64_t now;
    uint64_t in_all;
};

/*  A pipe that the protocol refuses is removed without having been added.  */
static void on_pipe (nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    struct pipe_count *count = arg;
    int wanted = event == NNG_PIPE_EV_ADD_POST ? 0 : nng_pipe_id (pipe);
    int i;

    pthread_mutex_lock (&count->lock);
    for (i = 0; i < MAX_PIPES && count->ids[i] != wanted; ++i)
        continue;
    if (i < MAX_PIPES && wanted == 0) {
        count->ids[i] = nng_pipe_id (pipe);
        count->now += 1;
        count->in_all += 1;
    } else if (i < MAX_PIPES) {
        count->ids[i] = 0;
        count->now -= 1;
    }
    pthread_mutex_unlock (&count->lock);
}

static uint64_t counted (struct pipe_count *count, const uint64_t *which)
{
    uint64_t n;

    pthread_mutex_lock (&count->lock);
    n = *which;
    pthread_mutex_unlock (&count->lock);
    return n;
}

/*  The numbers of the compatibility interface are those of nng's own sockets. It
    has no counters that move, so events are counted.  */
static int library_open (int domain, int protocol, struct pipe_count *count)
{
    nng_socket s;
    int fd;

    if (protocol == PAIR1_NUMBER)
        fd = (domain == AF_SP ? nng_pair1_open (&s) : nng_pair1_open_raw (&s)) == 0 ? (int) s.id : -1;
    else
        fd = nn_socket (domain, protocol);
    if (fd < 0)
        return -1;
    s.id = (uint32_t) fd;
    pthread_mutex_init (&count->lock, NULL);
    nng_pipe_notify (s, NNG_PIPE_EV_ADD_POST, on_pipe, count);
    nng_pipe_notify (s, NNG_PIPE_EV_REM_POST, on_pipe, count);
    return fd;
}

static uint64_t pipes_now (int fd, struct pipe_count *count)
{
    (void) fd;
    return counted (count, &count->now);
}

static uint64_t pipes_in_all (int fd, struct pipe_count *count)
{
    (void) fd;
    return counted (count, &count->in_all);
}

static void print_version (void)
{
    printf ("nng %s", nng_version ());
}

#else

#include <nanomsg/nn.h>
#include <nanomsg/bus.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/survey.h>

#define BUS_HEADER_BYTES 8
#define RAW_SUB_FILTERS 1

struct pipe_count {
    int unused;
};

static int library_open (int domain, int protocol, struct pipe_count *count)
{
    (void) count;
    return nn_socket (domain, protocol);
}

static uint64_t pipes_now (int fd, struct pipe_count *count)
{
    (void) count;
    return nn_get_statistic (fd, NN_STAT_CURRENT_CONNECTIONS);
}

static uint64_t pipes_in_all (int fd, struct pipe_count *count)
{
    (void) count;
    return nn_get_statistic (fd, NN_STAT_ESTABLISHED_CONNECTIONS)
        + nn_get_statistic (fd, NN_STAT_ACCEPTED_CONNECTIONS);
}

static void print_version (void)
{
    printf ("nn %d.%d.%d", NN_VERSION_CURRENT, NN_VERSION_REVISION, NN_VERSION_AGE);
}

#endif

#endif
