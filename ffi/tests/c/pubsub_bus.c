/* PUB, SUB and BUS: who gets what. */
#include "check.h"

static int subscribe (int s, const void *topic, size_t size)
{
    return nn_setsockopt (s, NN_SUB, NN_SUB_SUBSCRIBE, topic, size);
}

static int unsubscribe (int s, const void *topic, size_t size)
{
    return nn_setsockopt (s, NN_SUB, NN_SUB_UNSUBSCRIBE, topic, size);
}

static void open_pubsub (const char *transport, int *pub, int *sub)
{
    open_linked (NN_PUB, NN_SUB, transport, pub, sub);
}

static void close_both (int a, int b)
{
    MUST (nn_close (a));
    MUST (nn_close (b));
}

static void r171_everything_reaches_every_subscriber (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        char address[NN_SOCKADDR_MAX];
        int pub = cooked (NN_PUB);
        int sub[3];
        int i;
        new_address (TRANSPORTS[t], address);
        MUST (nn_bind (pub, address));
        for (i = 0; i < 3; ++i) {
            sub[i] = cooked (NN_SUB);
            EQ (subscribe (sub[i], "", 0), 0);
            MUST (nn_connect (sub[i], address));
            AWAIT_PEERS (sub[i], 1);
        }
        AWAIT_PEERS (pub, 3);
        SEND (pub, "0123456789012345678901234567890123456789");
        SEND (pub, "");
        for (i = 0; i < 3; ++i) {
            RECV (sub[i], "0123456789012345678901234567890123456789");
            RECV (sub[i], "");
            MUST (nn_close (sub[i]));
        }
        MUST (nn_close (pub));
    }
}

static void r101_the_subscriber_may_be_the_bound_side (void)
{
    char address[NN_SOCKADDR_MAX];
    int sub = cooked (NN_SUB);
    int one = cooked (NN_PUB);
    int two = cooked (NN_PUB);
    EQ (subscribe (sub, "", 0), 0);
    new_address ("inproc", address);
    MUST (nn_bind (sub, address));
    MUST (nn_connect (one, address));
    MUST (nn_connect (two, address));
    SEND (one, "ABC");
    SEND (two, "DEF");
    RECV (sub, "ABC");
    RECV (sub, "DEF");
    MUST (nn_close (sub));
    close_both (one, two);
}

static void r172_topics_are_prefixes_of_the_body (void)
{
    int domain;
    for (domain = AF_SP; domain <= AF_SP_RAW; ++domain) {
        int pub = open_in (domain, NN_PUB);
        int sub = open_in (domain, NN_SUB);
        link_sockets (pub, sub, "inproc");
        EQ (subscribe (sub, "ab", 2), 0);
        EQ (subscribe (sub, "abcd", 4), 0);
        EQ (subscribe (sub, "x\0y", 3), 0);
        SEND (pub, "a");
        SEND (pub, "");
        SEND (pub, "AB");
        SEND (pub, "ab");
        EQ (nn_send (pub, "x\0z", 3, 0), 3);
        EQ (nn_send (pub, "x\0yes", 5, 0), 5);
        SEND (pub, "abcdef");
        SEND (pub, "abx");
        RECV (sub, "ab");
        {
            char buf[8];
            EQ (nn_recv (sub, buf, sizeof buf, 0), 5);
            EQ (memcmp (buf, "x\0yes", 5), 0);
        }
        RECV (sub, "abcdef");
        RECV (sub, "abx");
        {
            char byte;
            FAILS (nn_recv (sub, &byte, 1, NN_DONTWAIT), EAGAIN);
        }
        close_both (pub, sub);
    }
}

static void r174_without_a_subscription_nothing_comes (void)
{
    int domain;
    for (domain = AF_SP; domain <= AF_SP_RAW; ++domain) {
        int pub = open_in (domain, NN_PUB);
        int sub = open_in (domain, NN_SUB);
        char byte;
        link_sockets (pub, sub, "inproc");
        SEND (pub, "ABC");
        SEND (pub, "");
        FAILS (nn_recv (sub, &byte, 1, NN_DONTWAIT), EAGAIN);
        RECV_NOTHING (sub);
        close_both (pub, sub);
    }
}

static void r177_subscriptions_are_counted (void)
{
    int pub;
    int sub;
    char byte;
    open_pubsub ("inproc", &pub, &sub);
    EQ (subscribe (sub, "a", 1), 0);
    EQ (subscribe (sub, "a", 1), 0);
    EQ (unsubscribe (sub, "a", 1), 0);
    SEND (pub, "a1");
    RECV (sub, "a1");
    EQ (unsubscribe (sub, "a", 1), 0);
    SEND (pub, "a2");
    FAILS (nn_recv (sub, &byte, 1, NN_DONTWAIT), EAGAIN);
    EQ (subscribe (sub, NULL, 0), 0);
    EQ (subscribe (sub, "", 0), 0);
    EQ (unsubscribe (sub, "", 0), 0);
    EQ (unsubscribe (sub, NULL, 0), 0);
    close_both (pub, sub);
}

static void r178_an_absent_topic_is_einval_and_changes_nothing (void)
{
    int pub;
    int sub;
    open_pubsub ("inproc", &pub, &sub);
    EQ (subscribe (sub, "abc", 3), 0);
    FAILS (unsubscribe (sub, "abd", 3), EINVAL);
    FAILS (unsubscribe (sub, "a", 1), EINVAL);
    FAILS (unsubscribe (sub, "", 0), EINVAL);
    FAILS (unsubscribe (sub, "zzz", 3), EINVAL);
    FAILS (unsubscribe (sub, "abcd", 4), EINVAL);
    SEND (pub, "abcdef");
    RECV (sub, "abcdef");
    EQ (unsubscribe (sub, "abc", 3), 0);
    FAILS (unsubscribe (sub, "abc", 3), EINVAL);
    close_both (pub, sub);
}

static void r178_unsubscribing_from_nothing_is_einval (void)
{
    int sub = cooked (NN_SUB);
    FAILS (unsubscribe (sub, "a", 1), EINVAL);
    FAILS (unsubscribe (sub, "", 0), EINVAL);
    MUST (nn_close (sub));
}

static void long_topics_work (void)
{
    static char topic[65536];
    static char body[65537];
    static char back[65537];
    int pub;
    int sub;
    memset (topic, 't', sizeof topic);
    memset (body, 't', sizeof body);
    open_pubsub ("inproc", &pub, &sub);
    EQ (subscribe (sub, topic, sizeof topic), 0);
    EQ (nn_send (pub, body, sizeof topic - 1, 0), sizeof topic - 1);
    EQ (nn_send (pub, body, sizeof body, 0), sizeof body);
    EQ (nn_recv (sub, back, sizeof back, 0), sizeof body);
    EQ (unsubscribe (sub, topic, sizeof topic), 0);
    close_both (pub, sub);
}

static void r176_a_message_comes_once_however_many_topics_match (void)
{
    int pub;
    int sub;
    char byte;
    open_pubsub ("inproc", &pub, &sub);
    EQ (subscribe (sub, "", 0), 0);
    EQ (subscribe (sub, "a", 1), 0);
    EQ (subscribe (sub, "ab", 2), 0);
    EQ (subscribe (sub, "ab", 2), 0);
    SEND (pub, "abc");
    RECV (sub, "abc");
    FAILS (nn_recv (sub, &byte, 1, NN_DONTWAIT), EAGAIN);
    close_both (pub, sub);
}

static void r180_pub_never_blocks (void)
{
    int pub = cooked (NN_PUB);
    int i;
    for (i = 0; i < 1000; ++i)
        EQ (nn_send (pub, "ABC", 3, NN_DONTWAIT), 3);
    MUST (nn_close (pub));
}

static void r181_a_slow_subscriber_loses_the_newest_and_nobody_else (void)
{
    char address[NN_SOCKADDR_MAX];
    char body[100];
    int pub = cooked (NN_PUB);
    int slow = cooked (NN_SUB);
    int quick = cooked (NN_SUB);
    int i;
    memset (body, 0, sizeof body);
    set_int (slow, NN_SOL_SOCKET, NN_RCVBUF, 1000);
    EQ (subscribe (slow, "", 0), 0);
    EQ (subscribe (quick, "", 0), 0);
    new_address ("inproc", address);
    MUST (nn_bind (pub, address));
    MUST (nn_connect (slow, address));
    MUST (nn_connect (quick, address));
    for (i = 0; i < 100; ++i) {
        body[0] = (char) i;
        EQ (nn_send (pub, body, sizeof body, 0), sizeof body);
        EQ (nn_recv (quick, body, sizeof body, 0), sizeof body);
        EQ (body[0], i);
    }
    /* Nine fit below 1000 bytes, one more waits in the slot before the queue. */
    for (i = 0; i < 10; ++i) {
        EQ (nn_recv (slow, body, sizeof body, 0), sizeof body);
        EQ (body[0], i);
    }
    FAILS (nn_recv (slow, body, sizeof body, NN_DONTWAIT), EAGAIN);
    MUST (nn_close (pub));
    close_both (slow, quick);
}

static void r186_unwanted_messages_take_no_room (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        static char body[60000];
        int pub;
        int sub;
        int i;
        open_pubsub (TRANSPORTS[t], &pub, &sub);
        EQ (subscribe (sub, "yes", 3), 0);
        memset (body, 'n', sizeof body);
        /* Whatever is dropped on the way, nothing of this may keep the wanted message out for good. */
        for (i = 0; i < 200; ++i)
            EQ (nn_send (pub, body, sizeof body, 0), sizeof body);
        set_int (sub, NN_SOL_SOCKET, NN_RCVTIMEO, 20);
        for (i = 0; i < 200; ++i) {
            char buf[8];
            SEND (pub, "yes");
            if (nn_recv (sub, buf, sizeof buf, 0) == 3)
                break;
            EQ (nn_errno (), ETIMEDOUT);
        }
        CHECK (i < 200);
        close_both (pub, sub);
    }
}

/* ---- bus ---------------------------------------------------------------------------------------------- */

/* Both messages, in either order. */
static void recv_two_sizes (int s, int one, int two)
{
    char buf[3];
    int first = MUST (nn_recv (s, buf, sizeof buf, 0));
    int second = MUST (nn_recv (s, buf, sizeof buf, 0));
    CHECK ((first == one && second == two) || (first == two && second == one));
    FAILS (nn_recv (s, buf, sizeof buf, NN_DONTWAIT), EAGAIN);
}

static void r206_a_bus_message_reaches_every_other_node_once (void)
{
    char a[NN_SOCKADDR_MAX];
    char b[NN_SOCKADDR_MAX];
    int one = cooked (NN_BUS);
    int two = cooked (NN_BUS);
    int three = cooked (NN_BUS);
    new_address ("inproc", a);
    new_address ("inproc", b);
    MUST (nn_bind (one, a));
    MUST (nn_bind (two, b));
    MUST (nn_connect (two, a));
    MUST (nn_connect (three, a));
    MUST (nn_connect (three, b));
    SEND (one, "A");
    SEND (two, "AB");
    SEND (three, "ABC");
    recv_two_sizes (one, 2, 3);
    recv_two_sizes (two, 1, 3);
    recv_two_sizes (three, 1, 2);
    MUST (nn_close (one));
    close_both (two, three);
}

static void r207_a_bus_node_does_not_forward (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        int middle = cooked (NN_BUS);
        int left = cooked (NN_BUS);
        int right = cooked (NN_BUS);
        link_sockets (middle, left, TRANSPORTS[t]);
        link_sockets (middle, right, TRANSPORTS[t]);
        SEND (left, "ABC");
        RECV (middle, "ABC");
        SEND (middle, "DEF");
        RECV (right, "DEF");
        RECV (left, "DEF");
        RECV_NOTHING (right);
        MUST (nn_close (middle));
        close_both (left, right);
    }
}

static void r208_bus_never_blocks (void)
{
    int a = cooked (NN_BUS);
    int b = cooked (NN_BUS);
    char body[1000];
    int i;
    memset (body, 0, sizeof body);
    EQ (nn_send (a, "ABC", 3, NN_DONTWAIT), 3);
    link_sockets (a, b, "inproc");
    for (i = 0; i < 2000; ++i)
        EQ (nn_send (a, body, sizeof body, NN_DONTWAIT), sizeof body);
    EQ (nn_recv (b, body, sizeof body, NN_DONTWAIT), sizeof body);
    close_both (a, b);
}

static void bus_nodes_reconnect_to_whoever_binds_the_name (void)
{
    char address[NN_SOCKADDR_MAX];
    int bound = cooked (NN_BUS);
    int one = cooked (NN_BUS);
    int two = cooked (NN_BUS);
    int next = cooked (NN_BUS);
    int i;
    new_address ("inproc", address);
    MUST (nn_bind (bound, address));
    MUST (nn_connect (one, address));
    MUST (nn_connect (two, address));
    MUST (nn_close (bound));
    MUST (nn_bind (next, address));
    for (i = 0; i < 100; ++i) {
        SEND (one, "ABC");
        SEND (two, "QRS");
        RECV (next, "ABC");
        RECV (next, "QRS");
        SEND (next, "DEFG");
        RECV (one, "DEFG");
        RECV (two, "DEFG");
    }
    for (i = 0; i < 100; ++i)
        SEND (one, "XYZ");
    for (i = 0; i < 100; ++i)
        RECV (next, "XYZ");
    MUST (nn_close (next));
    close_both (one, two);
}

static void a_bus_connected_to_itself_hears_itself_twice (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        char address[NN_SOCKADDR_MAX];
        int s = cooked (NN_BUS);
        new_address (TRANSPORTS[t], address);
        MUST (nn_bind (s, address));
        MUST (nn_connect (s, address));
        AWAIT_PEERS (s, 2);
        SEND (s, "ABC");
        RECV (s, "ABC");
        RECV (s, "ABC");
        MUST (nn_close (s));
    }
}

static const struct check_case CASES[] = {
    CASE (r171_everything_reaches_every_subscriber),
    CASE (r101_the_subscriber_may_be_the_bound_side),
    CASE (r172_topics_are_prefixes_of_the_body),
    CASE (r174_without_a_subscription_nothing_comes),
    CASE (r177_subscriptions_are_counted),
    CASE (r178_an_absent_topic_is_einval_and_changes_nothing),
    CASE (r178_unsubscribing_from_nothing_is_einval),
    CASE (long_topics_work),
    CASE (r176_a_message_comes_once_however_many_topics_match),
    CASE (r180_pub_never_blocks),
    CASE (r181_a_slow_subscriber_loses_the_newest_and_nobody_else),
    CASE (r186_unwanted_messages_take_no_room),
    CASE (r206_a_bus_message_reaches_every_other_node_once),
    CASE (r207_a_bus_node_does_not_forward),
    CASE (r208_bus_never_blocks),
    CASE (bus_nodes_reconnect_to_whoever_binds_the_name),
    CASE (a_bus_connected_to_itself_hears_itself_twice),
};

CHECK_MAIN (CASES)
