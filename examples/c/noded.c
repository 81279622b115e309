/* The daemon of a storage node: follows configuration notices (SUB), answers what every node is asked
 * (RESPONDENT), and gossips with its equals (BUS). One thread serves them all through nn_poll; a second one,
 * the store, is told of every notice over an inproc PAIR and confirms it.
 *
 *     noded NAME NOTICES SURVEYS GOSSIP_BIND [GOSSIP_CONNECT...]
 *
 * Questions:
 *     who             answers "NAME"
 *     gossip C P      once P peers are connected, tells them C rumours; answers "NAME told C", or
 *                     "NAME lonely K" when only K came
 *     report ...      answers "NAME notices=N stored=N rumours=N bad=N"; bad: torn or out of order
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nanomsg/bus.h>
#include <nanomsg/inproc.h>
#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/survey.h>

#include "daemon.h"

#define PEERS_MAX 16
#define NAME_MAX_BYTES 32

enum { NOTICES, SURVEYS, GOSSIP, STORE, STOP, SOCKETS };

/* The last rumour heard from a peer. */
struct peer {
    char name[NAME_MAX_BYTES];
    int last;
};

struct node {
    const char *name;
    struct nn_pollfd sockets[SOCKETS];
    struct peer peers[PEERS_MAX];
    int peer_count;
    int notices, stored, rumours, bad, told;
};

/* Whether a text is the whole notice of that number. */
static int is_notice(const char *text, int number)
{
    char expected[TEXT_MAX];

    snprintf(expected, sizeof expected, "config %d replicas=%d", number, 1 + number % 5);
    return strcmp(text, expected) == 0;
}

/* The store: confirms each notice that continues what it has. */
static void *run_store(void *argument)
{
    int socket = *(int *)argument;
    char text[TEXT_MAX];
    int stored = 0;

    while (recv_text(socket, text, sizeof text) >= 0) {
        if (is_notice(text, stored + 1))
            send_text(socket, "stored %d", ++stored);
        else
            send_text(socket, "refused");
    }
    return NULL;
}

static void on_notice(struct node *node)
{
    char text[TEXT_MAX];

    if (recv_text(node->sockets[NOTICES].fd, text, sizeof text) < 0)
        return;
    node->notices++;
    if (!is_notice(text, node->notices))
        node->bad++;
    send_text(node->sockets[STORE].fd, "%s", text);
}

static void on_confirmation(struct node *node)
{
    char text[TEXT_MAX];
    int number;

    if (recv_text(node->sockets[STORE].fd, text, sizeof text) < 0)
        return;
    if (sscanf(text, "stored %d", &number) == 1 && number == node->stored + 1)
        node->stored = number;
    else
        node->bad++;
}

static struct peer *find_peer(struct node *node, const char *name)
{
    int i;

    for (i = 0; i < node->peer_count; i++)
        if (strcmp(node->peers[i].name, name) == 0)
            return &node->peers[i];
    if (node->peer_count == PEERS_MAX)
        return NULL;
    strcpy(node->peers[node->peer_count].name, name);
    return &node->peers[node->peer_count++];
}

static void on_rumour(struct node *node)
{
    char text[TEXT_MAX], name[NAME_MAX_BYTES];
    struct peer *peer = NULL;
    int number;

    if (recv_text(node->sockets[GOSSIP].fd, text, sizeof text) < 0)
        return;
    node->rumours++;
    if (sscanf(text, "rumour %31s %d", name, &number) == 2)
        peer = find_peer(node, name);
    if (peer == NULL || number != peer->last + 1)
        node->bad++;
    else
        peer->last = number;
}

static void gossip(struct node *node, int count, int peers)
{
    int survey = node->sockets[SURVEYS].fd, socket = node->sockets[GOSSIP].fd;
    int connected = wait_for_connections(socket, peers);

    if (connected < peers) {
        send_text(survey, "%s lonely %d", node->name, connected);
        return;
    }
    while (node->told < count)
        send_text(socket, "rumour %s %d", node->name, ++node->told);
    send_text(survey, "%s told %d", node->name, node->told);
}

static void on_question(struct node *node)
{
    int socket = node->sockets[SURVEYS].fd;
    char text[TEXT_MAX];
    int count, peers;

    if (recv_text(socket, text, sizeof text) < 0)
        return;
    if (strcmp(text, "who") == 0)
        send_text(socket, "%s", node->name);
    else if (sscanf(text, "gossip %d %d", &count, &peers) == 2)
        gossip(node, count, peers);
    else if (strncmp(text, "report", 6) == 0)
        send_text(socket, "%s notices=%d stored=%d rumours=%d bad=%d", node->name, node->notices,
                  node->stored, node->rumours, node->bad);
}

/* Opens everything; returns the store's end of the inproc PAIR. */
static int open_node(struct node *node, int argc, char **argv)
{
    int notices = open_socket(NN_SUB), surveys = open_socket(NN_RESPONDENT), bus = open_socket(NN_BUS);
    int near_end = open_socket(NN_PAIR), far_end = open_socket(NN_PAIR);
    int i;

    memset(node, 0, sizeof *node);
    node->name = argv[1];
    if (nn_setsockopt(notices, NN_SUB, NN_SUB_SUBSCRIBE, "config ", 7) < 0)
        die("NN_SUB_SUBSCRIBE");
    connect_to(notices, argv[2]);
    connect_to(surveys, argv[3]);
    bind_to(bus, argv[4]);
    for (i = 5; i < argc; i++)
        connect_to(bus, argv[i]);
    bind_to(near_end, "inproc://store");
    connect_to(far_end, "inproc://store");

    node->sockets[NOTICES].fd = notices;
    node->sockets[SURVEYS].fd = surveys;
    node->sockets[GOSSIP].fd = bus;
    node->sockets[STORE].fd = near_end;
    node->sockets[STOP].fd = stop_signal();
    for (i = 0; i < SOCKETS; i++)
        node->sockets[i].events = NN_POLLIN;
    return far_end;
}

int main(int argc, char **argv)
{
    static struct node node;
    pthread_t store;
    int store_end;

    if (argc < 5) {
        fprintf(stderr, "usage: noded NAME NOTICES SURVEYS GOSSIP_BIND [GOSSIP_CONNECT...]\n");
        return 2;
    }
    store_end = open_node(&node, argc, argv);
    if (pthread_create(&store, NULL, run_store, &store_end) != 0) {
        fprintf(stderr, "cannot start a thread\n");
        return 1;
    }
    say("ready");
    for (;;) {
        if (nn_poll(node.sockets, SOCKETS, -1) < 0)
            die("nn_poll");
        if (node.sockets[STOP].revents)
            break;
        if (node.sockets[NOTICES].revents)
            on_notice(&node);
        if (node.sockets[STORE].revents)
            on_confirmation(&node);
        if (node.sockets[GOSSIP].revents)
            on_rumour(&node);
        if (node.sockets[SURVEYS].revents)
            on_question(&node);
    }
    /* Ends the store's blocked receive too. */
    nn_term();
    pthread_join(store, NULL);
    return 0;
}
