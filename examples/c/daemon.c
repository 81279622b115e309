/* See daemon.h. */
#define _POSIX_C_SOURCE 200809L

#include "daemon.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <nanomsg/inproc.h>
#include <nanomsg/nn.h>
#include <nanomsg/pair.h>

#define BIND_DEADLINE_MS 5000
#define CONNECTIONS_DEADLINE_MS 10000
/* Between two looks at something that cannot be waited for. */
#define LOOK_AGAIN_MS 2

void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, nn_strerror(nn_errno()));
    exit(1);
}

void say(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    fflush(stdout);
}

static long now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int open_socket(int protocol)
{
    int socket = nn_socket(AF_SP, protocol);

    if (socket < 0)
        die("nn_socket");
    return socket;
}

void bind_to(int socket, const char *address)
{
    long deadline = now_ms() + BIND_DEADLINE_MS;

    while (nn_bind(socket, address) < 0) {
        if (nn_errno() != EADDRINUSE || now_ms() > deadline)
            die(address);
        nn_poll(NULL, 0, LOOK_AGAIN_MS);
    }
}

void connect_to(int socket, const char *address)
{
    if (nn_connect(socket, address) < 0)
        die(address);
}

/* Whether the last call failed because the library has been ended, by this program itself. */
static int ended(void)
{
    return nn_errno() == EBADF || nn_errno() == ETERM;
}

int send_text(int socket, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list arguments;
    int sent;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    sent = nn_send(socket, text, strlen(text), 0);
    if (sent < 0 && !ended())
        die("nn_send");
    return sent;
}

int recv_text(int socket, char *text, size_t size)
{
    /* The size of the whole message is returned, however much of it fits. */
    int len = nn_recv(socket, text, size - 1, 0);

    if (len < 0) {
        if (!ended())
            die("nn_recv");
        return -1;
    }
    if ((size_t)len > size - 1)
        len = (int)(size - 1);
    text[len] = '\0';
    return len;
}

int wait_for_connections(int socket, int wanted)
{
    long deadline = now_ms() + CONNECTIONS_DEADLINE_MS;
    int connections;

    for (;;) {
        connections = (int)nn_get_statistic(socket, NN_STAT_CURRENT_CONNECTIONS);
        if (connections >= wanted || now_ms() > deadline)
            return connections;
        nn_poll(NULL, 0, LOOK_AGAIN_MS);
    }
}

static void *watch_input(void *socket)
{
    char ignored[64];

    while (read(STDIN_FILENO, ignored, sizeof ignored) > 0)
        continue;
    send_text(*(int *)socket, "stop");
    return NULL;
}

int stop_signal(void)
{
    static int watcher;
    int listener = open_socket(NN_PAIR);
    pthread_t thread;

    watcher = open_socket(NN_PAIR);
    bind_to(listener, "inproc://stop");
    connect_to(watcher, "inproc://stop");
    if (pthread_create(&thread, NULL, watch_input, &watcher) != 0) {
        fprintf(stderr, "cannot start a thread\n");
        exit(1);
    }
    pthread_detach(thread);
    return listener;
}
