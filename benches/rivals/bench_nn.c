/*  The nn_* interface: linked once with spmsg, once with nanomsg, so that whatever differs is the library.
    TCP_NODELAY is on; buffer=BYTES sets NN_SNDBUF and NN_RCVBUF for large bodies: with small ones nanomsg is
    faster without. tls=FOLDER names ca.pem, cert.pem and key.pem, where the library has TLS.  */

#define _GNU_SOURCE
#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/tcp.h>
#if __has_include(<nanomsg/tls.h>)
#include <nanomsg/tls.h>
#endif

#include "cases.h"

#define LARGE_BYTES (1 << 16)

typedef int sock;

static void must (int result, const char *what)
{
    if (result < 0)
        die (what, nn_strerror (nn_errno ()));
}

static void set (sock s, int level, int option, int value, const char *what)
{
    must (nn_setsockopt (s, level, option, &value, sizeof (value)), what);
}

static void secure (sock s)
{
#ifdef NN_TLS
    static const struct {
        int option;
        const char *name;
    } files[] = {{NN_TLS_CA_FILE, "ca"}, {NN_TLS_CERT_FILE, "cert"}, {NN_TLS_KEY_FILE, "key"}};
    char path[4096];
    for (size_t i = 0; i < sizeof (files) / sizeof (files[0]); i++) {
        snprintf (path, sizeof (path), "%s/%s.pem", ask.tls, files[i].name);
        must (nn_setsockopt (s, NN_TLS, files[i].option, path, strlen (path)), path);
    }
#else
    (void) s;
    die ("tls", "this library has none");
#endif
}

static sock sock_open (enum role role)
{
    static const int types[] = {NN_PUSH, NN_PULL, NN_PAIR, NN_REQ, NN_REP, NN_PUB, NN_SUB};
    sock s = nn_socket (AF_SP, types[role]);
    must (s, "nn_socket");
    set (s, NN_SOL_SOCKET, NN_RCVMAXSIZE, -1, "NN_RCVMAXSIZE");
    set (s, NN_TCP, NN_TCP_NODELAY, 1, "NN_TCP_NODELAY");
    if (ask.buffer && ask.size >= LARGE_BYTES) {
        set (s, NN_SOL_SOCKET, NN_SNDBUF, (int) ask.buffer, "NN_SNDBUF");
        set (s, NN_SOL_SOCKET, NN_RCVBUF, (int) ask.buffer, "NN_RCVBUF");
    }
    if (ask.tls)
        secure (s);
    if (role == SUB)
        must (nn_setsockopt (s, NN_SUB, NN_SUB_SUBSCRIBE, "", 0), "NN_SUB_SUBSCRIBE");
    return s;
}

static void sock_bind (sock s, const char *address)
{
    must (nn_bind (s, address), "nn_bind");
}

static void sock_connect (sock s, const char *address)
{
    must (nn_connect (s, address), "nn_connect");
}

static inline void sock_send (sock s, const void *body, size_t len)
{
    if (nn_send (s, body, len, 0) != (int) len)
        die ("nn_send", nn_strerror (nn_errno ()));
}

static inline void sock_recv (sock s, void *body, size_t len)
{
    if (nn_recv (s, body, len, 0) != (int) len)
        die ("nn_recv", nn_strerror (nn_errno ()));
}

static inline void sock_flush (sock s)
{
    (void) s;
}

#define BENCH_CASES_BODY
#include "cases.h"

int main (int argc, char **argv)
{
    return bench_main (argc, argv);
}
