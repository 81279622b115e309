/* NN_SNDFD, NN_RCVFD and nn_poll. */
#include "check.h"

#include <sys/epoll.h>
#include <sys/select.h>

enum { NO, YES, NONE };

/* Readiness of a fresh, unconnected socket, and what calls that do not wait then give; 0 is success. */
struct fresh {
    int domain;
    int type;
    int in;
    int out;
    int send_error;
    int recv_error;
};

static const struct fresh FRESH[] = {
    {AF_SP, NN_PAIR, NO, NO, EAGAIN, EAGAIN},
    {AF_SP, NN_PUB, NONE, YES, 0, ENOTSUP},
    {AF_SP, NN_SUB, NO, NONE, ENOTSUP, EAGAIN},
    {AF_SP, NN_REQ, NO, YES, 0, EFSM},
    {AF_SP, NN_REP, NO, NO, EFSM, EAGAIN},
    {AF_SP, NN_PUSH, NONE, NO, EAGAIN, ENOTSUP},
    {AF_SP, NN_PULL, NO, NONE, ENOTSUP, EAGAIN},
    {AF_SP, NN_SURVEYOR, YES, YES, 0, EFSM},
    {AF_SP, NN_RESPONDENT, NO, NO, EFSM, EAGAIN},
    {AF_SP, NN_BUS, NO, YES, 0, EAGAIN},
    {AF_SP_RAW, NN_PAIR, NO, NO, EAGAIN, EAGAIN},
    {AF_SP_RAW, NN_PUB, NONE, YES, 0, ENOTSUP},
    {AF_SP_RAW, NN_SUB, NO, NONE, ENOTSUP, EAGAIN},
    {AF_SP_RAW, NN_REQ, NO, NO, EAGAIN, EAGAIN},
    {AF_SP_RAW, NN_REP, NO, YES, 0, EAGAIN},
    {AF_SP_RAW, NN_PUSH, NONE, NO, EAGAIN, ENOTSUP},
    {AF_SP_RAW, NN_PULL, NO, NONE, ENOTSUP, EAGAIN},
    {AF_SP_RAW, NN_SURVEYOR, NO, YES, 0, EAGAIN},
    {AF_SP_RAW, NN_RESPONDENT, NO, YES, 0, EAGAIN},
    {AF_SP_RAW, NN_BUS, NO, YES, 0, EAGAIN},
};

static struct nn_pollfd entry (int s, short events)
{
    struct nn_pollfd p;
    p.fd = s;
    p.events = events;
    p.revents = 0;
    return p;
}

/* The events nn_poll reports at once. */
static int polled (int s, short events)
{
    struct nn_pollfd p = entry (s, events);
    int rc = MUST (nn_poll (&p, 1, 0));
    EQ (rc, p.revents != 0);
    return p.revents;
}

static void close_both (int a, int b)
{
    MUST (nn_close (a));
    MUST (nn_close (b));
}

static void r120_descriptors_of_fresh_sockets (void)
{
    int i;
    for (i = 0; i < COUNT (FRESH); ++i) {
        const struct fresh *f = &FRESH[i];
        int s = open_in (f->domain, f->type);
        int value = 0;
        size_t size = sizeof value;
        if (f->in == NONE)
            FAILS (nn_getsockopt (s, NN_SOL_SOCKET, NN_RCVFD, &value, &size), ENOPROTOOPT);
        else if (can_recv (s) != f->in)
            FAIL ("NN_RCVFD of domain %d type %d is %d", f->domain, f->type, !f->in);
        size = sizeof value;
        if (f->out == NONE)
            FAILS (nn_getsockopt (s, NN_SOL_SOCKET, NN_SNDFD, &value, &size), ENOPROTOOPT);
        else if (can_send (s) != f->out)
            FAIL ("NN_SNDFD of domain %d type %d is %d", f->domain, f->type, !f->out);
        MUST (nn_close (s));
    }
}

static void r120_nn_poll_of_fresh_sockets (void)
{
    int i;
    for (i = 0; i < COUNT (FRESH); ++i) {
        const struct fresh *f = &FRESH[i];
        int s = open_in (f->domain, f->type);
        struct nn_pollfd p = entry (s, NN_POLLIN);
        if (f->in == NONE)
            FAILS (nn_poll (&p, 1, 0), ENOPROTOOPT);
        else
            EQ (polled (s, NN_POLLIN), f->in ? NN_POLLIN : 0);
        p = entry (s, NN_POLLOUT);
        if (f->out == NONE)
            FAILS (nn_poll (&p, 1, -1), ENOPROTOOPT);
        else
            EQ (polled (s, NN_POLLOUT), f->out ? NN_POLLOUT : 0);
        p = entry (s, NN_POLLIN | NN_POLLOUT);
        if (f->in == NONE || f->out == NONE)
            FAILS (nn_poll (&p, 1, -1), ENOPROTOOPT);
        else
            EQ (polled (s, NN_POLLIN | NN_POLLOUT), (f->in ? NN_POLLIN : 0) | (f->out ? NN_POLLOUT : 0));
        MUST (nn_close (s));
    }
}

static void r103_calls_that_do_not_wait_on_fresh_sockets (void)
{
    int i;
    for (i = 0; i < COUNT (FRESH); ++i) {
        const struct fresh *f = &FRESH[i];
        int s = open_in (f->domain, f->type);
        char byte;
        FAILS (nn_recv (s, &byte, 1, NN_DONTWAIT), f->recv_error);
        if (f->send_error)
            FAILS (nn_send (s, "ABC", 3, NN_DONTWAIT), f->send_error);
        else
            EQ (nn_send (s, "ABC", 3, NN_DONTWAIT), 3);
        if (f->domain == AF_SP && f->type == NN_REQ)
            FAILS (nn_recv (s, &byte, 1, NN_DONTWAIT), EAGAIN);
        MUST (nn_close (s));
    }
}

static void descriptors_are_stable_and_distinct (void)
{
    int a;
    int b;
    int rcv;
    int snd;
    open_linked (NN_PAIR, NN_PAIR, "inproc", &a, &b);
    rcv = get_int (a, NN_SOL_SOCKET, NN_RCVFD);
    snd = get_int (a, NN_SOL_SOCKET, NN_SNDFD);
    CHECK (rcv >= 0 && snd >= 0 && rcv != snd);
    SEND (b, "ABC");
    RECV (a, "ABC");
    EQ (get_int (a, NN_SOL_SOCKET, NN_RCVFD), rcv);
    EQ (get_int (a, NN_SOL_SOCKET, NN_SNDFD), snd);
    CHECK (get_int (b, NN_SOL_SOCKET, NN_RCVFD) != rcv);
    close_both (a, b);
}

static void the_receive_descriptor_is_a_level (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        int a;
        int b;
        int i;
        open_linked (NN_PAIR, NN_PAIR, TRANSPORTS[t], &a, &b);
        CHECK (!can_recv (b));
        for (i = 0; i < 20; ++i) {
            SEND (a, "ABC");
            SEND (a, "DEF");
            if (strcmp (TRANSPORTS[t], "inproc") == 0)
                CHECK (can_recv (b));
            AWAIT (can_recv (b));
            RECV (b, "ABC");
            AWAIT (can_recv (b));
            CHECK (can_recv (b));
            RECV (b, "DEF");
            CHECK (!can_recv (b));
        }
        close_both (a, b);
    }
}

static void a_descriptor_asked_for_late_is_right_from_the_start (void)
{
    int a;
    int b;
    open_linked (NN_PAIR, NN_PAIR, "inproc", &a, &b);
    SEND (a, "ABC");
    CHECK (can_recv (b));
    CHECK (can_send (b));
    CHECK (!can_recv (a));
    RECV (b, "ABC");
    CHECK (!can_recv (b));
    MUST (nn_close (a));
    CHECK (!can_send (b));
    MUST (nn_close (b));
}

static void the_send_descriptor_follows_room_and_peers (void)
{
    static const int types[][2] = {{NN_PAIR, NN_PAIR}, {NN_PUSH, NN_PULL}};
    int i;
    for (i = 0; i < COUNT (types); ++i) {
        char address[NN_SOCKADDR_MAX];
        char buf[10];
        int a = cooked (types[i][0]);
        int b = cooked (types[i][1]);
        int k;
        memset (buf, 0, sizeof buf);
        set_int (b, NN_SOL_SOCKET, NN_RCVBUF, 200);
        new_address ("inproc", address);
        MUST (nn_bind (a, address));
        CHECK (!can_send (a));
        MUST (nn_connect (b, address));
        for (k = 0; k < 20; ++k) {
            CHECK (can_send (a));
            EQ (nn_send (a, buf, sizeof buf, NN_DONTWAIT), sizeof buf);
        }
        CHECK (!can_send (a));
        EQ (polled (a, NN_POLLOUT), 0);
        EQ (nn_recv (b, buf, sizeof buf, NN_DONTWAIT), sizeof buf);
        CHECK (can_send (a));
        EQ (polled (a, NN_POLLOUT), NN_POLLOUT);
        MUST (nn_close (b));
        CHECK (!can_send (a));
        MUST (nn_close (a));
    }
}

static void a_full_network_pipe_becomes_writable_again (void)
{
    int t;
    for (t = 0; t < COUNT (NETWORKS); ++t) {
        static char body[10000];
        int push;
        int pull;
        int sent = 0;
        open_linked (NN_PUSH, NN_PULL, NETWORKS[t], &push, &pull);
        /* A refusal may come while buffers further on have room: it is full when it stays unwritable. */
        do {
            while (nn_send (push, body, sizeof body, NN_DONTWAIT) == (int) sizeof body)
                if (++sent > 100000)
                    FAIL ("a peer that does not read never stops the sender");
            EQ (nn_errno (), EAGAIN);
        } while (can_send (push));
        while (sent-- > 0)
            EQ (nn_recv (pull, body, sizeof body, 0), sizeof body);
        AWAIT (can_send (push));
        EQ (polled (push, NN_POLLOUT), NN_POLLOUT);
        close_both (push, pull);
    }
}

static void request_and_reply_change_readiness (void)
{
    int rep;
    int req;
    open_linked (NN_REP, NN_REQ, "inproc", &rep, &req);
    CHECK (!can_send (rep) && !can_recv (rep) && can_send (req) && !can_recv (req));
    SEND (req, "ABC");
    CHECK (can_send (req) && !can_recv (req));
    CHECK (can_recv (rep) && !can_send (rep));
    RECV (rep, "ABC");
    CHECK (!can_recv (rep) && can_send (rep));
    SEND (rep, "DEF");
    CHECK (!can_send (rep));
    AWAIT (can_recv (req));
    RECV (req, "DEF");
    CHECK (!can_recv (req) && can_send (req));
    close_both (rep, req);
}

static void survey_and_answers_change_readiness (void)
{
    int respondent;
    int surveyor;
    char byte;
    open_linked (NN_RESPONDENT, NN_SURVEYOR, "inproc", &respondent, &surveyor);
    set_int (surveyor, NN_SURVEYOR, NN_SURVEYOR_DEADLINE, 300);
    CHECK (can_recv (surveyor) && can_send (surveyor));
    CHECK (!can_recv (respondent) && !can_send (respondent));
    SEND (surveyor, "ABC");
    CHECK (!can_recv (surveyor) && can_send (surveyor));
    RECV (respondent, "ABC");
    CHECK (can_send (respondent));
    SEND (respondent, "DEF");
    CHECK (!can_send (respondent));
    AWAIT (can_recv (surveyor));
    RECV (surveyor, "DEF");
    AWAIT (can_recv (surveyor));
    FAILS (nn_recv (surveyor, &byte, 1, NN_DONTWAIT), ETIMEDOUT);
    CHECK (can_recv (surveyor));
    FAILS (nn_recv (surveyor, &byte, 1, NN_DONTWAIT), EFSM);
    CHECK (can_recv (surveyor));
    close_both (respondent, surveyor);
}

static void r183_messages_nobody_wants_do_not_make_sub_readable (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        int pub;
        int sub;
        open_linked (NN_PUB, NN_SUB, TRANSPORTS[t], &pub, &sub);
        MUST (nn_setsockopt (sub, NN_SUB, NN_SUB_SUBSCRIBE, "yes", 3));
        SEND (pub, "no");
        CHECK (!can_recv (sub));
        EQ (polled (sub, NN_POLLIN), 0);
        SEND (pub, "yes");
        AWAIT (can_recv (sub));
        RECV (sub, "yes");
        SEND (pub, "no");
        SEND (pub, "no");
        CHECK (!can_recv (sub));
        close_both (pub, sub);
    }
}

static void select_and_poll_see_the_same (void)
{
    int a;
    int b;
    int rcv;
    int snd;
    fd_set set;
    struct timeval tv;
    open_linked (NN_PAIR, NN_PAIR, "inproc", &a, &b);
    rcv = get_int (b, NN_SOL_SOCKET, NN_RCVFD);
    snd = get_int (b, NN_SOL_SOCKET, NN_SNDFD);
    CHECK (rcv < FD_SETSIZE && snd < FD_SETSIZE);
    FD_ZERO (&set);
    FD_SET (rcv, &set);
    FD_SET (snd, &set);
    tv.tv_sec = 1;
    tv.tv_usec = 0;
    EQ (select (FD_SETSIZE, &set, NULL, NULL, &tv), 1);
    CHECK (!FD_ISSET (rcv, &set) && FD_ISSET (snd, &set));
    SEND (a, "ABC");
    FD_ZERO (&set);
    FD_SET (rcv, &set);
    EQ (select (FD_SETSIZE, &set, NULL, NULL, &tv), 1);
    RECV (b, "ABC");
    tv.tv_sec = 0;
    tv.tv_usec = 10000;
    FD_ZERO (&set);
    FD_SET (rcv, &set);
    EQ (select (FD_SETSIZE, &set, NULL, NULL, &tv), 0);
    close_both (a, b);
}

static int call_os_poll (struct call *c)
{
    struct pollfd p;
    p.fd = get_int (c->s, NN_SOL_SOCKET, c->s2);
    p.events = POLLIN;
    p.revents = 0;
    return poll (&p, 1, CHECK_EVENT_MS) == 1 ? p.revents : -1;
}

static void a_sleeping_poll_wakes_for_a_message (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        struct call c;
        int a;
        int b;
        open_linked (NN_PAIR, NN_PAIR, TRANSPORTS[t], &a, &b);
        call_start (&c, call_os_poll, b, NN_RCVFD);
        call_await_blocked (&c);
        SEND (a, "ABC");
        call_join (&c);
        CHECK (c.rc & POLLIN);
        RECV (b, "ABC");
        close_both (a, b);
    }
}

static void a_sleeping_poll_wakes_when_the_socket_closes (void)
{
    static const int options[] = {NN_RCVFD, NN_SNDFD};
    int i;
    for (i = 0; i < COUNT (options); ++i) {
        struct call c;
        int s = cooked (NN_PAIR);
        call_start (&c, call_os_poll, s, options[i]);
        call_await_blocked (&c);
        MUST (nn_close (s));
        call_join (&c);
        CHECK (c.rc != -1);
    }
}

static void edge_triggered_epoll_works (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        struct epoll_event event;
        char byte;
        int a;
        int b;
        int i;
        int e = epoll_create1 (EPOLL_CLOEXEC);
        open_linked (NN_PAIR, NN_PAIR, TRANSPORTS[t], &a, &b);
        event.events = EPOLLIN | EPOLLET;
        event.data.u64 = 0;
        EQ (epoll_ctl (e, EPOLL_CTL_ADD, get_int (b, NN_SOL_SOCKET, NN_RCVFD), &event), 0);
        EQ (epoll_wait (e, &event, 1, 0), 0);
        for (i = 0; i < 50; ++i) {
            int got = 0;
            SEND (a, "1");
            SEND (a, "2");
            while (got < 2) {
                EQ (epoll_wait (e, &event, 1, CHECK_EVENT_MS), 1);
                while (nn_recv (b, &byte, 1, NN_DONTWAIT) == 1)
                    ++got;
                EQ (nn_errno (), EAGAIN);
            }
        }
        EQ (close (e), 0);
        close_both (a, b);
    }
}

/* ---- nn_poll ------------------------------------------------------------------------------------------ */

static void nn_poll_counts_entries_and_rewrites_all (void)
{
    struct nn_pollfd p[3];
    int a;
    int b;
    open_linked (NN_PAIR, NN_PAIR, "inproc", &a, &b);
    SEND (a, "ABC");
    p[0] = entry (b, NN_POLLIN | NN_POLLOUT);
    p[1] = entry (a, NN_POLLIN | NN_POLLOUT);
    p[2] = entry (a, NN_POLLIN);
    p[0].revents = p[1].revents = p[2].revents = 0x77;
    EQ (nn_poll (p, 3, -1), 2);
    EQ (p[0].revents, NN_POLLIN | NN_POLLOUT);
    EQ (p[1].revents, NN_POLLOUT);
    EQ (p[2].revents, 0);
    p[1] = entry (b, NN_POLLIN);
    p[2] = entry (-1, 0);
    p[2].revents = 0x77;
    EQ (nn_poll (p, 3, -1), 2);
    EQ (p[1].revents, NN_POLLIN);
    EQ (p[2].revents, 0);
    close_both (a, b);
}

static void nn_poll_ignores_unknown_event_bits (void)
{
    int s = cooked (NN_PUB);
    struct nn_pollfd p = entry (s, (short) (NN_POLLOUT | 0x7ff8));
    EQ (nn_poll (&p, 1, -1), 1);
    EQ (p.revents, NN_POLLOUT);
    MUST (nn_close (s));
}

static void nn_poll_waits_as_long_as_it_is_told (void)
{
    int s = cooked (NN_PAIR);
    struct nn_pollfd p = entry (s, NN_POLLIN | NN_POLLOUT);
    long long start = now_ms ();
    EQ (nn_poll (&p, 1, 100), 0);
    CHECK (now_ms () - start >= 90 && now_ms () - start < 1000);
    EQ (p.revents, 0);
    start = now_ms ();
    EQ (nn_poll (NULL, 0, 50), 0);
    CHECK (now_ms () - start >= 45 && now_ms () - start < 1000);
    EQ (nn_poll (NULL, 0, 0), 0);
    EQ (nn_poll (&p, 1, 0), 0);
    MUST (nn_close (s));
}

static void nn_poll_refuses_a_bad_socket_and_changes_nothing (void)
{
    int s = cooked (NN_PUB);
    struct nn_pollfd p[2];
    p[0] = entry (s, NN_POLLOUT);
    p[1] = entry (s + 1, NN_POLLIN);
    p[0].revents = p[1].revents = 0x77;
    FAILS (nn_poll (p, 2, -1), EBADF);
    EQ (p[0].revents, 0x77);
    EQ (p[1].revents, 0x77);
    p[1].events = 0;
    EQ (nn_poll (p, 2, -1), 1);
    EQ (p[1].revents, 0);
    MUST (nn_close (s));
}

static void nn_poll_refuses_a_negative_count (void)
{
    struct nn_pollfd p = entry (0, 0);
    FAILS (nn_poll (&p, -1, 0), EINVAL);
    FAILS (nn_poll (NULL, -1, -1), EINVAL);
}

static int call_nn_poll (struct call *c)
{
    struct nn_pollfd p = entry (c->s, (short) c->s2);
    int rc = nn_poll (&p, 1, -1);
    return rc == 1 ? 1000 + p.revents : rc;
}

static void nn_poll_wakes_for_a_message_and_for_a_peer (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        struct call in;
        struct call out;
        char address[NN_SOCKADDR_MAX];
        int a = cooked (NN_PAIR);
        int b = cooked (NN_PAIR);
        new_address (TRANSPORTS[t], address);
        call_start (&in, call_nn_poll, a, NN_POLLIN);
        call_start (&out, call_nn_poll, a, NN_POLLOUT);
        call_await_blocked (&in);
        call_await_blocked (&out);
        MUST (nn_bind (a, address));
        MUST (nn_connect (b, address));
        call_join (&out);
        EQ (out.rc, 1000 + NN_POLLOUT);
        SEND (b, "ABC");
        call_join (&in);
        EQ (in.rc, 1000 + NN_POLLIN);
        close_both (a, b);
    }
}

static void nn_poll_returns_the_requested_events_of_a_closed_socket (void)
{
    static const int events[] = {NN_POLLIN, NN_POLLOUT, NN_POLLIN | NN_POLLOUT};
    int i;
    for (i = 0; i < COUNT (events); ++i) {
        struct call c;
        int s = cooked (NN_PAIR);
        call_start (&c, call_nn_poll, s, events[i]);
        call_await_blocked (&c);
        MUST (nn_close (s));
        call_join (&c);
        EQ (c.rc, 1000 + events[i]);
    }
}

static const struct check_case CASES[] = {
    CASE (r120_descriptors_of_fresh_sockets),
    CASE (r120_nn_poll_of_fresh_sockets),
    CASE (r103_calls_that_do_not_wait_on_fresh_sockets),
    CASE (descriptors_are_stable_and_distinct),
    CASE (the_receive_descriptor_is_a_level),
    CASE (a_descriptor_asked_for_late_is_right_from_the_start),
    CASE (the_send_descriptor_follows_room_and_peers),
    CASE (a_full_network_pipe_becomes_writable_again),
    CASE (request_and_reply_change_readiness),
    CASE (survey_and_answers_change_readiness),
    CASE (r183_messages_nobody_wants_do_not_make_sub_readable),
    CASE (select_and_poll_see_the_same),
    CASE (a_sleeping_poll_wakes_for_a_message),
    CASE (a_sleeping_poll_wakes_when_the_socket_closes),
    CASE (edge_triggered_epoll_works),
    CASE (nn_poll_counts_entries_and_rewrites_all),
    CASE (nn_poll_ignores_unknown_event_bits),
    CASE (nn_poll_waits_as_long_as_it_is_told),
    CASE (nn_poll_refuses_a_bad_socket_and_changes_nothing),
    CASE (nn_poll_refuses_a_negative_count),
    CASE (nn_poll_wakes_for_a_message_and_for_a_peer),
    CASE (nn_poll_returns_the_requested_events_of_a_closed_socket),
};

CHECK_MAIN (CASES)
