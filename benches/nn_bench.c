/*  Throughput and round trip over the nn_* interface, as plain C programs use it.

    The same source is linked once with each library under comparison, so that whatever differs is the library.
    Network transports run as two processes, inproc as two threads.

        nn_bench thr  ADDRESS SIZE COUNT    PUSH to PULL: prints messages per second
        nn_bench lat  ADDRESS SIZE COUNT    PAIR ping-pong: prints microseconds per round trip  */

#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <pthread.h>
#include <sys/wait.h>

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/tcp.h>

static const char *address;
static size_t size;
static long count;
static int latency;

static void die (const char *what)
{
    fprintf (stderr, "nn_bench: %s: %s\n", what, nn_strerror (nn_errno ()));
    exit (1);
}

static double seconds (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

static int open_socket (int type)
{
    int unlimited = -1;
    int nodelay = 1;
    int s = nn_socket (AF_SP, type);
    if (s < 0)
        die ("nn_socket");
    if (nn_setsockopt (s, NN_SOL_SOCKET, NN_RCVMAXSIZE, &unlimited, sizeof (unlimited)) != 0)
        die ("NN_RCVMAXSIZE");
    if (nn_setsockopt (s, NN_TCP, NN_TCP_NODELAY, &nodelay, sizeof (nodelay)) != 0)
        die ("NN_TCP_NODELAY");
    return s;
}

static void must_recv (int s, char *buffer)
{
    if (nn_recv (s, buffer, size + 1, 0) != (int) size)
        die ("nn_recv");
}

static void must_send (int s, const char *buffer)
{
    if (nn_send (s, buffer, size, 0) != (int) size)
        die ("nn_send");
}

/*  The receiving or echoing side. The first message only says that the peer is there.  */
static void *far_side (void *result)
{
    char *buffer = malloc (size + 1);
    double start;
    long i;
    int s = open_socket (latency ? NN_PAIR : NN_PULL);
    if (!buffer || nn_bind (s, address) < 0)
        die ("nn_bind");
    must_recv (s, buffer);
    start = seconds ();
    for (i = 0; i < count; i++) {
        must_recv (s, buffer);
        if (latency)
            must_send (s, buffer);
    }
    *(double *) result = seconds () - start;
    /*  The echo must have left before the process ends.  */
    if (latency)
        must_recv (s, buffer);
    nn_close (s);
    free (buffer);
    return NULL;
}

static double near_side (void)
{
    char *buffer = calloc (1, size + 1);
    double start;
    double elapsed;
    long i;
    int s = open_socket (latency ? NN_PAIR : NN_PUSH);
    if (!buffer || nn_connect (s, address) < 0)
        die ("nn_connect");
    must_send (s, buffer);
    start = seconds ();
    for (i = 0; i < count; i++) {
        must_send (s, buffer);
        if (latency)
            must_recv (s, buffer);
    }
    elapsed = seconds () - start;
    if (latency)
        must_send (s, buffer);
    /*  Libraries without a linger lose what they have not handed to the system when the socket is closed. */
    usleep (latency ? 20000 : 0);
    if (latency)
        nn_close (s);
    free (buffer);
    return elapsed;
}

int main (int argc, char **argv)
{
    double far = 0;
    double near;
    if (argc != 5) {
        fprintf (stderr, "usage: nn_bench thr|lat ADDRESS SIZE COUNT\n");
        return 1;
    }
    latency = strcmp (argv[1], "lat") == 0;
    address = argv[2];
    size = (size_t) atol (argv[3]);
    count = atol (argv[4]);
    if (strncmp (address, "inproc:", 7) == 0) {
        pthread_t thread;
        pthread_create (&thread, NULL, far_side, &far);
        near = near_side ();
        pthread_join (thread, NULL);
    } else {
        int results[2];
        pid_t child;
        if (pipe (results) != 0)
            return 1;
        child = fork ();
        if (child == 0) {
            far_side (&far);
            if (write (results[1], &far, sizeof (far)) != sizeof (far))
                _exit (1);
            _exit (0);
        }
        near = near_side ();
        if (read (results[0], &far, sizeof (far)) != sizeof (far))
            return 1;
        waitpid (child, NULL, 0);
    }
    if (latency)
        printf ("%.3f\n", near / (double) count * 1e6);
    else
        printf ("%.0f\n", (double) count / far);
    return 0;
}
