/* The management daemon: answers requests (REP) and publishes notices of configuration changes (PUB).
 *
 *     mgmtd REQUESTS_TCP REQUESTS_IPC NOTICES_TCP NOTICES_IPC [STALL_AT]
 *
 * Requests:
 *     announce FIRST COUNT SUBSCRIBERS   once so many subscribers are connected, publishes the notices
 *                                        "config N ..." from FIRST on, and among them as many "debug N ...";
 *                                        answers "announced COUNT" or "only K subscribers"
 *     anything else                      answers "<request>: fine"
 *
 * A request that equals STALL_AT is never answered: the daemon prints "stalled" and waits to be killed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nanomsg/nn.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>

#include "daemon.h"

static void announce(int requests, int notices, int first, int count, int subscribers)
{
    int connected = wait_for_connections(notices, subscribers);
    int number;

    if (connected < subscribers) {
        send_text(requests, "only %d subscribers", connected);
        return;
    }
    for (number = first; number < first + count; number++) {
        send_text(notices, "debug %d nobody asked for this", number);
        send_text(notices, "config %d replicas=%d", number, 1 + number % 5);
    }
    send_text(requests, "announced %d", count);
}

static void serve(int requests, int notices, int stop, const char *stall_at)
{
    char request[TEXT_MAX / 2];
    int first, count, subscribers;

    if (recv_text(requests, request, sizeof request) < 0)
        return;
    if (stall_at != NULL && strcmp(request, stall_at) == 0) {
        char ignored[TEXT_MAX];

        say("stalled");
        recv_text(stop, ignored, sizeof ignored);
        exit(1);
    }
    if (sscanf(request, "announce %d %d %d", &first, &count, &subscribers) == 3)
        announce(requests, notices, first, count, subscribers);
    else
        send_text(requests, "%s: fine", request);
}

int main(int argc, char **argv)
{
    struct nn_pollfd ready[2];
    int requests, notices, stop;

    if (argc < 5 || argc > 6) {
        fprintf(stderr, "usage: mgmtd REQUESTS_TCP REQUESTS_IPC NOTICES_TCP NOTICES_IPC [STALL_AT]\n");
        return 2;
    }
    requests = open_socket(NN_REP);
    bind_to(requests, argv[1]);
    bind_to(requests, argv[2]);
    notices = open_socket(NN_PUB);
    bind_to(notices, argv[3]);
    bind_to(notices, argv[4]);
    stop = stop_signal();
    say("ready");

    memset(ready, 0, sizeof ready);
    ready[0].fd = requests;
    ready[0].events = NN_POLLIN;
    ready[1].fd = stop;
    ready[1].events = NN_POLLIN;
    for (;;) {
        if (nn_poll(ready, 2, -1) < 0)
            die("nn_poll");
        if (ready[1].revents)
            break;
        if (ready[0].revents)
            serve(requests, notices, stop, argc > 5 ? argv[5] : NULL);
    }
    nn_term();
    return 0;
}
