/*  What differs between the libraries that offer nn_*: where the headers are, how
    a program learns of connections, and what raw sockets show.  */

#ifndef NN_LIBRARY_H
#define NN_LIBRARY_H

#include <pthread.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/*  Room for a folder and the name of a file in it.  */
#define TLS_PATH_BYTES 512

#ifdef PEER_IS_NNG

#include <nng/compat/nanomsg/nn.h>
#include <nng/compat/nanomsg/bus.h>
#include <nng/compat/nanomsg/pair.h>
#include <nng/compat/nanomsg/pipeline.h>
#include <nng/compat/nanomsg/pubsub.h>
#include <nng/compat/nanomsg/reqrep.h>
#include <nng/compat/nanomsg/survey.h>
#include <nng/nng.h>
#include <nng/supplemental/tls/tls.h>
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

/*  nng's own interface, because its other one has no TLS. Certificates are matched
    by DNS names only, so the name is set; both sides verify.  */
static nng_tls_config *tls_config (const char *folder, int server)
{
    nng_tls_config *config;
    char path[TLS_PATH_BYTES];

    if (nng_tls_config_alloc (&config, server ? NNG_TLS_MODE_SERVER : NNG_TLS_MODE_CLIENT) != 0)
        return NULL;
    snprintf (path, sizeof path, "%s/ca.pem", folder);
    if (nng_tls_config_ca_file (config, path) != 0)
        return NULL;
    snprintf (path, sizeof path, "%s/both.pem", folder);
    if (nng_tls_config_cert_key_file (config, path, NULL) != 0)
        return NULL;
    if (!server && nng_tls_config_server_name (config, "localhost") != 0)
        return NULL;
    return nng_tls_config_auth_mode (config, NNG_TLS_AUTH_MODE_REQUIRED) == 0 ? config : NULL;
}

static int library_tls (int fd, const char *folder)
{
    (void) fd;
    (void) folder;
    return 0;
}

/*  1 when it is done, 0 when the address is none of TLS, -1 when it failed. One
    configuration is for both schemes.  */
static int library_tls_endpoint (int fd, int bind, const char *addr, const char *folder)
{
    nng_socket s;
    nng_listener listener;
    nng_dialer dialer;
    nng_tls_config *config;
    int rc;

    if (strncmp (addr, "tls+tcp://", 10) != 0 && strncmp (addr, "wss://", 6) != 0)
        return 0;
    s.id = (uint32_t) fd;
    config = tls_config (folder, bind);
    if (!config)
        return -1;
    if (bind) {
        rc = nng_listener_create (&listener, s, addr);
        if (rc == 0)
            rc = nng_listener_set_ptr (listener, NNG_OPT_TLS_CONFIG, config);
        if (rc == 0)
            rc = nng_listener_start (listener, 0);
    } else {
        rc = nng_dialer_create (&dialer, s, addr);
        if (rc == 0)
            rc = nng_dialer_set_ptr (dialer, NNG_OPT_TLS_CONFIG, config);
        if (rc == 0)
            rc = nng_dialer_start (dialer, NNG_FLAG_NONBLOCK);
    }
    nng_tls_config_free (config);
    return rc == 0 ? 1 : -1;
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

static int library_tls_endpoint (int fd, int bind, const char *addr, const char *folder)
{
    (void) fd;
    (void) bind;
    (void) addr;
    (void) folder;
    return 0;
}

#if defined(__has_include) && __has_include(<nanomsg/tls.h>)

#include <nanomsg/tls.h>

static int library_tls (int fd, const char *folder)
{
    static const struct {
        int option;
        const char *name;
    } files[] = {{NN_TLS_CA_FILE, "ca"}, {NN_TLS_CERT_FILE, "cert"}, {NN_TLS_KEY_FILE, "key"}};
    int required = NN_TLS_AUTH_REQUIRED;
    char path[TLS_PATH_BYTES];
    size_t i;

    for (i = 0; i < sizeof files / sizeof files[0]; ++i) {
        snprintf (path, sizeof path, "%s/%s.pem", folder, files[i].name);
        if (nn_setsockopt (fd, NN_TLS, files[i].option, path, strlen (path)) < 0)
            return -1;
    }
    return nn_setsockopt (fd, NN_TLS, NN_TLS_AUTH, &required, sizeof required);
}

#else

static int library_tls (int fd, const char *folder)
{
    (void) fd;
    (void) folder;
    errno = ENOTSUP;
    return -1;
}

#endif

#endif

#endif
