/*  libnng's own interface: queues of 1024 messages where the pattern has them, no limit of the size.
    TCP_NODELAY is its default.  */

#define _GNU_SOURCE
#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>

#include "cases.h"

typedef nng_socket sock;

static void must (int error, const char *what)
{
    if (error != 0)
        die (what, nng_strerror (error));
}

/*  Patterns without such a queue say so.  */
static void queue (sock s, const char *option)
{
    int error = nng_socket_set_int (s, option, ask.size >= 1 << 16 ? 64 : 1024);
    if (error != NNG_ENOTSUP)
        must (error, option);
}

static sock sock_open (enum role role)
{
    static int (*const types[]) (nng_socket *) = {nng_push0_open, nng_pull0_open, nng_pair0_open,
        nng_req0_open, nng_rep0_open, nng_pub0_open, nng_sub0_open};
    sock s;
    must (types[role] (&s), "open");
    queue (s, NNG_OPT_SENDBUF);
    queue (s, NNG_OPT_RECVBUF);
    must (nng_socket_set_size (s, NNG_OPT_RECVMAXSZ, 0), NNG_OPT_RECVMAXSZ);
    if (role == SUB)
        must (nng_socket_set (s, NNG_OPT_SUB_SUBSCRIBE, "", 0), NNG_OPT_SUB_SUBSCRIBE);
    return s;
}

static void sock_bind (sock s, const char *address)
{
    must (nng_listen (s, address, NULL, 0), "nng_listen");
}

static void sock_connect (sock s, const char *address)
{
    must (nng_dial (s, address, NULL, NNG_FLAG_NONBLOCK), "nng_dial");
}

static inline void sock_send (sock s, const void *body, size_t len)
{
    must (nng_send (s, (void *) body, len, 0), "nng_send");
}

static inline void sock_recv (sock s, void *body, size_t len)
{
    size_t room = len;
    must (nng_recv (s, body, &room, 0), "nng_recv");
    if (room != len)
        die ("nng_recv", "wrong length");
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
