/* The worker: takes jobs (PULL), has them done by two threads, and delivers the results (PUSH). The jobs
 * reach the threads over an inproc pipeline, and a second one brings back word of what is done. Meanwhile the
 * worker talks with a console (PAIR).
 *
 *     workerd NAME JOBS RESULTS CONSOLE_BIND
 *
 * A job "job N TEXT" becomes the result "done N HASH NAME", HASH being the 32-bit FNV-1a hash of TEXT in
 * hexadecimal.
 * The console may say:
 *     say N TEXT      answered by "heard N TXET", the text reversed
 *     report          answered by "NAME jobs=N done=A+B bad=N"
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nanomsg/inproc.h>
#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>

#include "daemon.h"

#define THREADS 2

enum { JOBS, DONE, CONSOLE, STOP, SOCKETS };

struct thread {
    pthread_t id;
    int number;
    const char *worker;
    int jobs, results, done;
};

struct worker {
    const char *name;
    struct nn_pollfd sockets[SOCKETS];
    int to_threads;
    struct thread threads[THREADS];
    int jobs, bad, done[THREADS];
};

static unsigned long hash(const char *text)
{
    unsigned long value = 2166136261UL;

    for (; *text; text++)
        value = ((value ^ (unsigned char)*text) * 16777619UL) & 0xffffffffUL;
    return value;
}

static void *run_thread(void *argument)
{
    struct thread *thread = argument;
    char job[TEXT_MAX];
    int number, text_at;

    while (recv_text(thread->jobs, job, sizeof job) >= 0) {
        text_at = 0;
        if (sscanf(job, "job %d %n", &number, &text_at) < 1 || text_at == 0) {
            send_text(thread->done, "bad");
            continue;
        }
        send_text(thread->results, "done %d %08lx %s", number, hash(job + text_at), thread->worker);
        send_text(thread->done, "%d", thread->number);
    }
    return NULL;
}

static void start_thread(struct worker *worker, int number, const char *results)
{
    struct thread *thread = &worker->threads[number];

    thread->number = number;
    thread->worker = worker->name;
    thread->jobs = open_socket(NN_PULL);
    thread->results = open_socket(NN_PUSH);
    thread->done = open_socket(NN_PUSH);
    connect_to(thread->jobs, "inproc://jobs");
    connect_to(thread->results, results);
    connect_to(thread->done, "inproc://done");
    if (pthread_create(&thread->id, NULL, run_thread, thread) != 0) {
        fprintf(stderr, "cannot start a thread\n");
        exit(1);
    }
}

static void on_job(struct worker *worker)
{
    char job[TEXT_MAX];

    if (recv_text(worker->sockets[JOBS].fd, job, sizeof job) < 0)
        return;
    worker->jobs++;
    send_text(worker->to_threads, "%s", job);
}

static void on_done(struct worker *worker)
{
    char text[TEXT_MAX];
    int number;

    if (recv_text(worker->sockets[DONE].fd, text, sizeof text) < 0)
        return;
    if (sscanf(text, "%d", &number) == 1 && number >= 0 && number < THREADS)
        worker->done[number]++;
    else
        worker->bad++;
}

static void reverse(char *text)
{
    size_t left = 0, right = strlen(text);

    while (left + 1 < right) {
        char swapped = text[left];

        text[left++] = text[--right];
        text[right] = swapped;
    }
}

static void on_console(struct worker *worker)
{
    int socket = worker->sockets[CONSOLE].fd;
    char text[TEXT_MAX];
    int number, words_at = 0;

    if (recv_text(socket, text, sizeof text) < 0)
        return;
    if (strcmp(text, "report") == 0) {
        send_text(socket, "%s jobs=%d done=%d+%d bad=%d", worker->name, worker->jobs, worker->done[0],
                  worker->done[1], worker->bad);
    } else if (sscanf(text, "say %d %n", &number, &words_at) == 1 && words_at > 0) {
        reverse(text + words_at);
        send_text(socket, "heard %d %s", number, text + words_at);
    } else {
        send_text(socket, "pardon?");
    }
}

static void open_worker(struct worker *worker, char **argv)
{
    int i;

    memset(worker, 0, sizeof *worker);
    worker->name = argv[1];
    worker->sockets[JOBS].fd = open_socket(NN_PULL);
    worker->sockets[DONE].fd = open_socket(NN_PULL);
    worker->sockets[CONSOLE].fd = open_socket(NN_PAIR);
    worker->sockets[STOP].fd = stop_signal();
    worker->to_threads = open_socket(NN_PUSH);
    for (i = 0; i < SOCKETS; i++)
        worker->sockets[i].events = NN_POLLIN;
    bind_to(worker->to_threads, "inproc://jobs");
    bind_to(worker->sockets[DONE].fd, "inproc://done");
    for (i = 0; i < THREADS; i++)
        start_thread(worker, i, argv[3]);
    bind_to(worker->sockets[CONSOLE].fd, argv[4]);
    connect_to(worker->sockets[JOBS].fd, argv[2]);
}

int main(int argc, char **argv)
{
    static struct worker worker;
    int i;

    if (argc != 5) {
        fprintf(stderr, "usage: workerd NAME JOBS RESULTS CONSOLE_BIND\n");
        return 2;
    }
    open_worker(&worker, argv);
    say("ready");
    for (;;) {
        if (nn_poll(worker.sockets, SOCKETS, -1) < 0)
            die("nn_poll");
        if (worker.sockets[STOP].revents)
            break;
        if (worker.sockets[JOBS].revents)
            on_job(&worker);
        if (worker.sockets[DONE].revents)
            on_done(&worker);
        if (worker.sockets[CONSOLE].revents)
            on_console(&worker);
    }
    /* Ends the threads' blocked calls too. */
    nn_term();
    for (i = 0; i < THREADS; i++)
        pthread_join(worker.threads[i].id, NULL);
    return 0;
}
