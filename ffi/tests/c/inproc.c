/* inproc: everything is finished when the call returns, and queues hold an exact number of messages. */
#include "check.h"

static void close_both (int a, int b)
{
    MUST (nn_close (a));
    MUST (nn_close (b));
}

/* How many messages of this size the sender takes before it would wait. */
static int fill (int s, size_t size)
{
    char body[2000];
    int n = 0;
    memset (body, 0, sizeof body);
    CHECK (size <= sizeof body);
    while (nn_send (s, body, size, NN_DONTWAIT) == (int) size)
        if (++n > 100000)
            FAIL ("the queue has no end");
    EQ (nn_errno (), EAGAIN);
    return n;
}

static int drain (int s)
{
    char byte;
    int n = 0;
    while (nn_recv (s, &byte, 1, NN_DONTWAIT) >= 0)
        ++n;
    EQ (nn_errno (), EAGAIN);
    return n;
}

/* A message enters an empty queue, or one whose bytes stay below the limit with it; one more waits before. */
static void a_queue_holds_exactly_what_its_limit_says (void)
{
    static const int expected[][3] = {
        {200, 10, 20},  {200, 256, 2}, {200, 200, 2}, {200, 199, 2},   {200, 100, 2},
        {201, 100, 3},  {1, 1, 2},     {2, 1, 2},     {131072, 100, 1311}, {1000, 100, 10},
    };
    int i;
    for (i = 0; i < COUNT (expected); ++i) {
        char address[NN_SOCKADDR_MAX];
        int a = cooked (NN_PAIR);
        int b = cooked (NN_PAIR);
        int n;
        set_int (a, NN_SOL_SOCKET, NN_RCVBUF, expected[i][0]);
        new_address ("inproc", address);
        MUST (nn_bind (a, address));
        MUST (nn_connect (b, address));
        n = fill (b, (size_t) expected[i][1]);
        if (n != expected[i][2])
            FAIL ("limit %d, messages of %d: %d sent, expected %d", expected[i][0], expected[i][1], n,
                  expected[i][2]);
        EQ (drain (a), n);
        EQ (fill (b, (size_t) expected[i][1]), n);
        close_both (a, b);
    }
}

static void the_connecting_side_has_its_own_limit (void)
{
    char address[NN_SOCKADDR_MAX];
    int a = cooked (NN_PAIR);
    int b = cooked (NN_PAIR);
    set_int (a, NN_SOL_SOCKET, NN_RCVBUF, 1000);
    set_int (b, NN_SOL_SOCKET, NN_RCVBUF, 200);
    set_int (b, NN_SOL_SOCKET, NN_SNDBUF, 1);
    new_address ("inproc", address);
    MUST (nn_connect (b, address));
    MUST (nn_bind (a, address));
    EQ (fill (a, 10), 20);
    EQ (fill (b, 10), 100);
    close_both (a, b);
}

static void the_limit_is_read_when_the_two_are_paired (void)
{
    char address[NN_SOCKADDR_MAX];
    int a = cooked (NN_PAIR);
    int b = cooked (NN_PAIR);
    new_address ("inproc", address);
    MUST (nn_bind (a, address));
    set_int (a, NN_SOL_SOCKET, NN_RCVBUF, 200);
    MUST (nn_connect (b, address));
    set_int (a, NN_SOL_SOCKET, NN_RCVBUF, 100000);
    EQ (fill (b, 10), 20);
    close_both (a, b);
}

static void one_receive_makes_room_for_exactly_one_send (void)
{
    char address[NN_SOCKADDR_MAX];
    char body[256];
    int a = cooked (NN_PAIR);
    int b = cooked (NN_PAIR);
    int i;
    memset (body, 'b', sizeof body);
    set_int (a, NN_SOL_SOCKET, NN_RCVBUF, 200);
    new_address ("inproc", address);
    MUST (nn_bind (a, address));
    MUST (nn_connect (b, address));
    EQ (fill (b, 10), 20);
    set_int (b, NN_SOL_SOCKET, NN_SNDTIMEO, 20);
    for (i = 0; i < 50; ++i) {
        EQ (nn_recv (a, body, sizeof body, 0), 10);
        EQ (nn_send (b, body, 10, 0), 10);
        FAILS (nn_send (b, body, 10, 0), ETIMEDOUT);
    }
    EQ (drain (a), 20);
    EQ (nn_send (b, body, sizeof body, 0), sizeof body);
    EQ (nn_recv (a, body, sizeof body, 0), sizeof body);
    close_both (a, b);
}

/* The id in front of a request is part of what the queue counts. */
static void headers_count_in_the_queue (void)
{
    char address[NN_SOCKADDR_MAX];
    int pull = raw (NN_REP);
    int req = raw (NN_REQ);
    int n = 0;
    set_int (pull, NN_SOL_SOCKET, NN_RCVBUF, 200);
    new_address ("inproc", address);
    MUST (nn_bind (pull, address));
    MUST (nn_connect (req, address));
    while (nn_send (req, "\x80\0\0\1ABCDEF", 10, NN_DONTWAIT) == 10)
        ++n;
    EQ (n, 20);
    close_both (pull, req);
}

static void a_blocked_sender_goes_on_after_a_receive (void)
{
    struct call c;
    char address[NN_SOCKADDR_MAX];
    char buf[16];
    int a = cooked (NN_PAIR);
    int b = cooked (NN_PAIR);
    set_int (a, NN_SOL_SOCKET, NN_RCVBUF, 20);
    new_address ("inproc", address);
    MUST (nn_bind (a, address));
    MUST (nn_connect (b, address));
    fill (b, 10);
    call_start (&c, call_send, b, 0);
    call_await_blocked (&c);
    EQ (nn_recv (a, buf, sizeof buf, 0), 10);
    call_join (&c);
    EQ (c.rc, 3);
    close_both (a, b);
}

static void r83_pairing_is_finished_when_bind_or_connect_returns (void)
{
    int order;
    for (order = 0; order < 2; ++order) {
        char address[NN_SOCKADDR_MAX];
        int push = cooked (NN_PUSH);
        int pull = cooked (NN_PULL);
        char byte;
        new_address ("inproc", address);
        MUST (order ? nn_bind (pull, address) : nn_connect (push, address));
        MUST (order ? nn_connect (push, address) : nn_bind (pull, address));
        EQ (stat_of (push, NN_STAT_CURRENT_CONNECTIONS), 1);
        EQ (stat_of (pull, NN_STAT_CURRENT_CONNECTIONS), 1);
        EQ (nn_send (push, "A", 1, NN_DONTWAIT), 1);
        EQ (nn_recv (pull, &byte, 1, NN_DONTWAIT), 1);
        close_both (push, pull);
    }
}

static void a_message_is_there_when_the_send_returns (void)
{
    char address[NN_SOCKADDR_MAX];
    char byte;
    int req = cooked (NN_REQ);
    int rep = cooked (NN_REP);
    int surveyor;
    int respondent;
    int i;
    new_address ("inproc", address);
    MUST (nn_connect (req, address));
    EQ (nn_send (req, "A", 1, NN_DONTWAIT), 1);
    MUST (nn_bind (rep, address));
    EQ (nn_recv (rep, &byte, 1, NN_DONTWAIT), 1);
    EQ (nn_send (rep, "B", 1, NN_DONTWAIT), 1);
    RECV (req, "B");
    for (i = 0; i < 100; ++i) {
        EQ (nn_send (req, "A", 1, NN_DONTWAIT), 1);
        EQ (nn_recv (rep, &byte, 1, NN_DONTWAIT), 1);
        EQ (nn_send (rep, "B", 1, NN_DONTWAIT), 1);
        RECV (req, "B");
    }
    close_both (req, rep);
    open_linked (NN_SURVEYOR, NN_RESPONDENT, "inproc", &surveyor, &respondent);
    EQ (nn_send (surveyor, "A", 1, NN_DONTWAIT), 1);
    EQ (nn_recv (respondent, &byte, 1, NN_DONTWAIT), 1);
    close_both (surveyor, respondent);
}

static void peers_have_lost_the_pipe_when_close_or_shutdown_returns (void)
{
    int way;
    for (way = 0; way < 3; ++way) {
        char address[NN_SOCKADDR_MAX];
        int push = cooked (NN_PUSH);
        int pull = cooked (NN_PULL);
        int bound;
        int connected;
        new_address ("inproc", address);
        bound = MUST (nn_bind (pull, address));
        connected = MUST (nn_connect (push, address));
        if (way == 0)
            MUST (nn_close (pull));
        if (way == 1)
            MUST (nn_shutdown (pull, bound));
        if (way == 2)
            MUST (nn_shutdown (push, connected));
        FAILS (nn_send (push, "A", 1, NN_DONTWAIT), EAGAIN);
        EQ (stat_of (push, NN_STAT_CURRENT_CONNECTIONS), 0);
        if (way != 0)
            MUST (nn_close (pull));
        MUST (nn_close (push));
    }
}

static void r84_waiting_connectors_are_paired_with_whoever_binds (void)
{
    char address[NN_SOCKADDR_MAX];
    int push = cooked (NN_PUSH);
    int i;
    new_address ("inproc", address);
    MUST (nn_connect (push, address));
    for (i = 0; i < 20; ++i) {
        int pull = cooked (NN_PULL);
        char byte;
        MUST (nn_bind (pull, address));
        EQ (nn_send (push, "A", 1, NN_DONTWAIT), 1);
        EQ (nn_recv (pull, &byte, 1, NN_DONTWAIT), 1);
        MUST (nn_close (pull));
        FAILS (nn_send (push, "A", 1, NN_DONTWAIT), EAGAIN);
    }
    MUST (nn_close (push));
}

static void r86_a_second_pair_connector_stays_idle (void)
{
    int order;
    for (order = 0; order < 2; ++order) {
        char address[NN_SOCKADDR_MAX];
        int bound = cooked (NN_PAIR);
        int first = cooked (NN_PAIR);
        int second = cooked (NN_PAIR);
        new_address ("inproc", address);
        MUST (nn_bind (bound, address));
        MUST (nn_connect (first, address));
        MUST (nn_connect (second, address));
        SEND (bound, "HELLO");
        RECV (first, "HELLO");
        SEND (first, "THERE");
        RECV (bound, "THERE");
        FAILS (nn_send (second, "A", 1, NN_DONTWAIT), EAGAIN);
        MUST (nn_close (order ? first : second));
        MUST (nn_close (order ? second : first));
        MUST (nn_close (bound));
    }
}

/* Whether a PAIR finds itself or stays alone is left open; it must answer and close. */
static void a_pair_connected_to_itself_survives (void)
{
    char address[NN_SOCKADDR_MAX];
    int s = cooked (NN_PAIR);
    new_address ("inproc", address);
    MUST (nn_bind (s, address));
    MUST (nn_connect (s, address));
    if (nn_send (s, "A", 1, NN_DONTWAIT) != 1)
        EQ (nn_errno (), EAGAIN);
    CHECK (stat_of (s, NN_STAT_CURRENT_CONNECTIONS) <= 2);
    MUST (nn_close (s));
}

static void r82_names_are_compared_byte_for_byte (void)
{
    int a = cooked (NN_PUSH);
    int b = cooked (NN_PULL);
    int c = cooked (NN_PULL);
    MUST (nn_bind (b, "inproc://Name"));
    MUST (nn_bind (c, "inproc://name"));
    MUST (nn_connect (a, "inproc://name"));
    SEND (a, "ABC");
    RECV (c, "ABC");
    EQ (stat_of (b, NN_STAT_CURRENT_CONNECTIONS), 0);
    MUST (nn_close (a));
    close_both (b, c);
}

static int call_connect_and_close (struct call *c)
{
    int i;
    for (i = 0; i < 50; ++i) {
        int s = nn_socket (AF_SP, NN_SUB);
        if (s < 0)
            return nn_errno () == EMFILE ? 0 : -1;
        if (nn_connect (s, c->data) < 0 || nn_close (s) != 0)
            return -1;
    }
    return 0;
}

static void many_threads_connect_and_close (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        struct call calls[20];
        char address[NN_SOCKADDR_MAX];
        int pub = cooked (NN_PUB);
        int i;
        new_address (TRANSPORTS[t], address);
        MUST (nn_bind (pub, address));
        for (i = 0; i < COUNT (calls); ++i) {
            calls[i].data = address;
            call_start (&calls[i], call_connect_and_close, 0, 0);
        }
        for (i = 0; i < COUNT (calls); ++i) {
            call_join (&calls[i]);
            EQ (calls[i].rc, 0);
        }
        AWAIT_PEERS (pub, 0);
        MUST (nn_close (pub));
    }
}

static const struct check_case CASES[] = {
    CASE (a_queue_holds_exactly_what_its_limit_says),
    CASE (the_connecting_side_has_its_own_limit),
    CASE (the_limit_is_read_when_the_two_are_paired),
    CASE (one_receive_makes_room_for_exactly_one_send),
    CASE (headers_count_in_the_queue),
    CASE (a_blocked_sender_goes_on_after_a_receive),
    CASE (r83_pairing_is_finished_when_bind_or_connect_returns),
    CASE (a_message_is_there_when_the_send_returns),
    CASE (peers_have_lost_the_pipe_when_close_or_shutdown_returns),
    CASE (r84_waiting_connectors_are_paired_with_whoever_binds),
    CASE (r86_a_second_pair_connector_stays_idle),
    CASE (a_pair_connected_to_itself_survives),
    CASE (r82_names_are_compared_byte_for_byte),
    CASE (many_threads_connect_and_close),
};

CHECK_MAIN (CASES)
