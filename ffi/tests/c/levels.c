/* NN_RCVFD and NN_SNDFD under load: after every step of a random sequence, in one thread, they say
 * exactly what a call that does not wait then does, and nn_poll says the same. NN_SEED in the
 * environment repeats one sequence. */
#include "check.h"

#define PEERS 3
#define STEPS 300
#define SEQUENCES 3
#define LONGEST 60000

static unsigned state;
static unsigned seed;

static unsigned random_below (unsigned bound)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state % bound;
}

/* A socket in the middle and some around it. */
struct scene {
    const char *transport;
    int hub_type;
    int spoke_type;
    /* An address of the hub's for each spoke, so that each pipe has a priority of its own there. */
    char address[PEERS][NN_SOCKADDR_MAX];
    int hub;
    int spoke[PEERS];
    /* Messages under way to each socket, 0 for the hub and 1 + n for spoke n. */
    int under_way[1 + PEERS];
};

#define WHERE(sc) (sc)->transport, (sc)->hub_type, seed

/* What poll(2) on the descriptor and nn_poll say about one direction; they must agree unless a message
 * or room arrives between the two looks, and then the later look is the ready one. */
static int is_ready (struct scene *sc, int s, int option, short event)
{
    struct nn_pollfd p;
    int fd = get_int (s, NN_SOL_SOCKET, option);
    int before = fd_readable (fd);
    int asked;
    p.fd = s;
    p.events = event;
    p.revents = 0;
    asked = MUST (nn_poll (&p, 1, 0));
    if (before && !asked)
        FAIL ("%s, hub %d, seed %u: the descriptor says ready and nn_poll does not", WHERE (sc));
    if (strcmp (sc->transport, "inproc") == 0)
        EQ (asked, before);
    if (asked && !before && !fd_readable (fd))
        FAIL ("%s, hub %d, seed %u: nn_poll says ready and the descriptor does not", WHERE (sc));
    return asked;
}

/* The receiving level of one socket. Only this thread receives, so what is ready stays ready. */
static void check_recv_level (struct scene *sc, int s, int under_way)
{
    int fd = get_int (s, NN_SOL_SOCKET, NN_RCVFD);
    int synchronous = strcmp (sc->transport, "inproc") == 0;
    if (under_way == 0) {
        char byte;
        if (is_ready (sc, s, NN_RCVFD, NN_POLLIN))
            FAIL ("%s, hub %d, seed %u: readable with nothing under way", WHERE (sc));
        FAILS (nn_recv (s, &byte, 1, NN_DONTWAIT), EAGAIN);
        CHECK (!fd_readable (fd));
        return;
    }
    /* What is under way arrives: at once inside a process, soon otherwise. */
    if (synchronous)
        CHECK (is_ready (sc, s, NN_RCVFD, NN_POLLIN));
    else
        AWAIT (is_ready (sc, s, NN_RCVFD, NN_POLLIN));
    CHECK (fd_readable (fd));
}

static int can_receive (int type)
{
    return type != NN_PUSH;
}

static int can_be_sent (int type)
{
    return type != NN_PULL;
}

static int socket_at (struct scene *sc, int at)
{
    return at == 0 ? sc->hub : sc->spoke[at - 1];
}

static int type_at (struct scene *sc, int at)
{
    return at == 0 ? sc->hub_type : sc->spoke_type;
}

static int total_under_way (struct scene *sc)
{
    int at;
    int sum = 0;
    for (at = 1; at <= PEERS; ++at)
        sum += sc->under_way[at];
    return sum;
}

/* The sockets around a PUSH share what it sends, so one of them has it; otherwise each has its own. */
static void check_recv_levels (struct scene *sc)
{
    int at;
    if (can_receive (sc->hub_type))
        check_recv_level (sc, sc->hub, sc->under_way[0]);
    if (!can_receive (sc->spoke_type))
        return;
    if (sc->hub_type != NN_PUSH) {
        for (at = 1; at <= PEERS; ++at)
            if (sc->spoke[at - 1] >= 0)
                check_recv_level (sc, sc->spoke[at - 1], sc->under_way[at]);
        return;
    }
    if (total_under_way (sc) == 0) {
        for (at = 1; at <= PEERS; ++at)
            check_recv_level (sc, sc->spoke[at - 1], 0);
    } else {
        AWAIT (is_ready (sc, sc->spoke[0], NN_RCVFD, NN_POLLIN)
               || is_ready (sc, sc->spoke[1], NN_RCVFD, NN_POLLIN)
               || is_ready (sc, sc->spoke[2], NN_RCVFD, NN_POLLIN));
    }
}

/* Sends without waiting. Whoever is writable sends; who is not is refused, unless room came in between. */
static void step_send (struct scene *sc, int at)
{
    static char buf[LONGEST];
    int s = socket_at (sc, at);
    int fd = get_int (s, NN_SOL_SOCKET, NN_SNDFD);
    int before = is_ready (sc, s, NN_SNDFD, NN_POLLOUT);
    int len = random_below (4) ? (int) random_below (200) : (int) random_below (LONGEST);
    int rc = nn_send (s, buf, (size_t) len, NN_DONTWAIT);
    if (rc < 0) {
        EQ (nn_errno (), EAGAIN);
        if (before)
            FAIL ("%s, hub %d, seed %u: writable, and refused", WHERE (sc));
        return;
    }
    EQ (rc, len);
    if (!before && strcmp (sc->transport, "inproc") == 0)
        FAIL ("%s, hub %d, seed %u: not writable, and accepted", WHERE (sc));
    ++sc->under_way[at == 0 ? 1 : 0];
    /* The level follows at once: if it says no, a second call is refused unless room came. */
    before = is_ready (sc, s, NN_SNDFD, NN_POLLOUT);
    EQ (fd_readable (fd) || !before, 1);
}

/* Receives without waiting: who is readable has a message. */
static void step_recv (struct scene *sc, int at)
{
    static char buf[LONGEST];
    int s = socket_at (sc, at);
    int before = is_ready (sc, s, NN_RCVFD, NN_POLLIN);
    int rc = nn_recv (s, buf, sizeof buf, NN_DONTWAIT);
    if (rc < 0) {
        EQ (nn_errno (), EAGAIN);
        if (before)
            FAIL ("%s, hub %d, seed %u: readable, and nothing there", WHERE (sc));
        return;
    }
    if (!before && strcmp (sc->transport, "inproc") == 0)
        FAIL ("%s, hub %d, seed %u: not readable, and a message there", WHERE (sc));
    if (at > 0 && sc->hub_type == NN_PUSH)
        --sc->under_way[1];
    else
        --sc->under_way[at];
}

static void drain (struct scene *sc, int at)
{
    int *left = &sc->under_way[at > 0 && sc->hub_type == NN_PUSH ? 1 : at];
    char byte;
    if (at > 0 && sc->hub_type == NN_PUSH) {
        while (total_under_way (sc) > 0) {
            int i;
            for (i = 0; i < PEERS; ++i)
                while (nn_recv (sc->spoke[i], &byte, 1, NN_DONTWAIT) >= 0)
                    --*left;
        }
        return;
    }
    while (*left > 0) {
        MUST (nn_recv (socket_at (sc, at), &byte, 1, 0));
        --*left;
    }
}

/* When everything is taken, everybody who has a peer can send again. */
static void check_send_levels_when_empty (struct scene *sc)
{
    int at;
    for (at = 0; at <= PEERS; ++at)
        if (can_receive (type_at (sc, at)) && (at == 0 || sc->spoke[at - 1] >= 0))
            drain (sc, at);
    for (at = 0; at <= PEERS; ++at)
        if (can_be_sent (type_at (sc, at)) && (at == 0 || sc->spoke[at - 1] >= 0)) {
            AWAIT (is_ready (sc, socket_at (sc, at), NN_SNDFD, NN_POLLOUT));
            CHECK (can_send (socket_at (sc, at)));
        }
}

static void connect_spoke (struct scene *sc, int n, int peers)
{
    int s = cooked (sc->spoke_type);
    MUST (nn_connect (s, sc->address[n]));
    AWAIT_PEERS (s, 1);
    AWAIT_PEERS (sc->hub, peers);
    sc->spoke[n] = s;
}

/* A peer leaves when all is taken, and another comes: the levels follow. */
static void step_replace (struct scene *sc, int n, int peers)
{
    check_send_levels_when_empty (sc);
    MUST (nn_close (sc->spoke[n]));
    AWAIT_PEERS (sc->hub, peers - 1);
    if (peers == 1 && can_be_sent (sc->hub_type)) {
        CHECK (!can_send (sc->hub));
        FAILS (nn_send (sc->hub, "", 0, NN_DONTWAIT), EAGAIN);
    }
    connect_spoke (sc, n, peers);
}

static void run_sequence (const char *transport, int hub_type, int spoke_type, int peers)
{
    struct scene sc;
    int i;
    memset (&sc, 0, sizeof sc);
    sc.transport = transport;
    sc.hub_type = hub_type;
    sc.spoke_type = spoke_type;
    sc.hub = cooked (hub_type);
    /* Some buffers are soon full. The kernel's receive buffer follows the option, and below the size of
     * a tcp segment of the loopback device it waits for timers of its own. */
    set_int (sc.hub, NN_SOL_SOCKET, NN_RCVBUF, 70000 + (int) random_below (100000));
    set_int (sc.hub, NN_SOL_SOCKET, NN_SNDBUF, 500 + (int) random_below (100000));
    for (i = 0; i < PEERS; ++i)
        sc.spoke[i] = -1;
    for (i = 0; i < peers; ++i) {
        new_address (transport, sc.address[i]);
        set_int (sc.hub, NN_SOL_SOCKET, NN_RCVPRIO, 1 + (int) random_below (16));
        set_int (sc.hub, NN_SOL_SOCKET, NN_SNDPRIO, 1 + (int) random_below (16));
        MUST (nn_bind (sc.hub, sc.address[i]));
        connect_spoke (&sc, i, i + 1);
    }
    for (i = 0; i < STEPS; ++i) {
        int at = random_below (2) ? 0 : 1 + (int) random_below ((unsigned) peers);
        /* Phases in which mostly one side works fill the buffers, and empty them. */
        int sending = random_below (10) < (i / 50 % 2 ? 2u : 8u);
        if (random_below (100) == 0)
            step_replace (&sc, (int) random_below ((unsigned) peers), peers);
        else if (sending && can_be_sent (type_at (&sc, at)))
            step_send (&sc, at);
        else if (!sending && can_receive (type_at (&sc, at)))
            step_recv (&sc, at);
        check_recv_levels (&sc);
    }
    check_send_levels_when_empty (&sc);
    check_recv_levels (&sc);
    MUST (nn_close (sc.hub));
    for (i = 0; i < peers; ++i)
        MUST (nn_close (sc.spoke[i]));
}

static void run_all (int hub_type, int spoke_type, int peers)
{
    const char *again = getenv ("NN_SEED");
    int round;
    int t;
    for (round = 0; round < (again ? 1 : SEQUENCES); ++round)
        for (t = 0; t < COUNT (TRANSPORTS); ++t) {
            state = seed = again ? (unsigned) strtoul (again, NULL, 10) : (unsigned) now_ms () | 1;
            run_sequence (TRANSPORTS[t], hub_type, spoke_type, peers);
        }
}

static void r103_r112_levels_of_a_pull_with_several_senders (void)
{
    run_all (NN_PULL, NN_PUSH, PEERS);
}

static void r103_r188_levels_of_a_push_with_several_receivers (void)
{
    run_all (NN_PUSH, NN_PULL, PEERS);
}

static void r103_r112_levels_of_two_pairs (void)
{
    run_all (NN_PAIR, NN_PAIR, 1);
}

static const struct check_case CASES[] = {
    CASE (r103_r112_levels_of_a_pull_with_several_senders),
    CASE (r103_r188_levels_of_a_push_with_several_receivers),
    CASE (r103_r112_levels_of_two_pairs),
};

CHECK_MAIN (CASES)
