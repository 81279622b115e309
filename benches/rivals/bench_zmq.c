/*  libzmq: no high-water marks (nothing ever waits for one, PUB drops nothing), ZMQ_IMMEDIATE, one I/O
    thread, batching as it is.  */

#define _GNU_SOURCE
#include <zmq.h>

#include "cases.h"

typedef void *sock;

static void *context;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void must (int result, const char *what)
{
    if (result < 0)
        die (what, zmq_strerror (zmq_errno ()));
}

static void make_context (void)
{
    context = zmq_ctx_new ();
    must (zmq_ctx_set (context, ZMQ_MAX_SOCKETS, 4096), "ZMQ_MAX_SOCKETS");
}

static void set (sock s, int option, int value, const char *what)
{
    must (zmq_setsockopt (s, option, &value, sizeof (value)), what);
}

static sock sock_open (enum role role)
{
    static const int types[] = {ZMQ_PUSH, ZMQ_PULL, ZMQ_PAIR, ZMQ_REQ, ZMQ_REP, ZMQ_PUB, ZMQ_SUB};
    /*  From 1 MiB up, unbounded queues would be all of the machine's memory.  */
    int mark = ask.size >= 1 << 20 ? 64 : 0;
    sock s;
    pthread_once (&once, make_context);
    s = zmq_socket (context, types[role]);
    if (!s)
        die ("zmq_socket", zmq_strerror (zmq_errno ()));
    set (s, ZMQ_SNDHWM, mark, "ZMQ_SNDHWM");
    set (s, ZMQ_RCVHWM, mark, "ZMQ_RCVHWM");
    set (s, ZMQ_IMMEDIATE, 1, "ZMQ_IMMEDIATE");
    set (s, ZMQ_BACKLOG, 4096, "ZMQ_BACKLOG");
    if (role == SUB)
        must (zmq_setsockopt (s, ZMQ_SUBSCRIBE, "", 0), "ZMQ_SUBSCRIBE");
    return s;
}

static void sock_bind (sock s, const char *address)
{
    must (zmq_bind (s, address), "zmq_bind");
}

static void sock_connect (sock s, const char *address)
{
    must (zmq_connect (s, address), "zmq_connect");
}

static inline void sock_send (sock s, const void *body, size_t len)
{
    if (zmq_send (s, body, len, 0) != (int) len)
        die ("zmq_send", zmq_strerror (zmq_errno ()));
}

static inline void sock_recv (sock s, void *body, size_t len)
{
    if (zmq_recv (s, body, len, 0) != (int) len)
        die ("zmq_recv", zmq_strerror (zmq_errno ()));
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
