/* REQ, REP, SURVEYOR and RESPONDENT: states, resends, deadlines. */
#include "check.h"

static void close_both (int a, int b)
{
    MUST (nn_close (a));
    MUST (nn_close (b));
}

static void r156_a_reply_without_a_request_is_efsm (void)
{
    static const int types[] = {NN_REP, NN_RESPONDENT};
    int i;
    for (i = 0; i < COUNT (types); ++i) {
        int s = cooked (types[i]);
        FAILS (nn_send (s, "ABC", 3, 0), EFSM);
        FAILS (nn_send (s, "ABC", 3, NN_DONTWAIT), EFSM);
        MUST (nn_close (s));
    }
}

static void r134_r195_a_receive_without_a_question_is_efsm (void)
{
    static const int types[] = {NN_REQ, NN_SURVEYOR};
    int i;
    for (i = 0; i < COUNT (types); ++i) {
        int s = cooked (types[i]);
        char byte;
        FAILS (nn_recv (s, &byte, 1, 0), EFSM);
        FAILS (nn_recv (s, &byte, 1, NN_DONTWAIT), EFSM);
        MUST (nn_close (s));
    }
}

static void requests_are_answered_over_every_transport (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        char address[NN_SOCKADDR_MAX];
        int rep = cooked (NN_REP);
        int one = cooked (NN_REQ);
        int two = cooked (NN_REQ);
        char byte;
        int i;
        new_address (TRANSPORTS[t], address);
        MUST (nn_connect (one, address));
        SEND (one, "EARLY");
        MUST (nn_bind (rep, address));
        RECV (rep, "EARLY");
        SEND (rep, "");
        RECV (one, "");
        MUST (nn_connect (two, address));
        for (i = 0; i < 50; ++i) {
            SEND (one, "ABC");
            RECV (rep, "ABC");
            SEND (rep, "a reply that is longer than thirty-two bytes, as replies are");
            FAILS (nn_send (rep, "again", 5, 0), EFSM);
            RECV (one, "a reply that is longer than thirty-two bytes, as replies are");
            FAILS (nn_recv (one, &byte, 1, 0), EFSM);
            SEND (two, "");
            RECV (rep, "");
            SEND (rep, "DEF");
            RECV (two, "DEF");
        }
        MUST (nn_close (rep));
        close_both (one, two);
    }
}

static void r144_requests_are_shared_out (void)
{
    int req = cooked (NN_REQ);
    int one = cooked (NN_REP);
    int two = cooked (NN_REP);
    char address[NN_SOCKADDR_MAX];
    new_address ("inproc", address);
    MUST (nn_bind (req, address));
    MUST (nn_connect (one, address));
    MUST (nn_connect (two, address));
    SEND (req, "ABC");
    RECV (one, "ABC");
    SEND (one, "ABC");
    RECV (req, "ABC");
    SEND (req, "DEF");
    RECV (two, "DEF");
    SEND (two, "DEF");
    RECV (req, "DEF");
    MUST (nn_close (req));
    close_both (one, two);
}

static void r140_an_unanswered_request_is_sent_again (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        int rep;
        int req;
        open_linked (NN_REP, NN_REQ, TRANSPORTS[t], &rep, &req);
        set_int (req, NN_REQ, NN_REQ_RESEND_IVL, 50);
        SEND (req, "ABC");
        RECV (rep, "ABC");
        RECV (rep, "ABC");
        RECV (rep, "ABC");
        SEND (rep, "DEF");
        RECV (req, "DEF");
        close_both (rep, req);
    }
}

static void r150_an_interval_of_zero_disables_resending (void)
{
    int rep;
    int req;
    open_linked (NN_REP, NN_REQ, "inproc", &rep, &req);
    set_int (req, NN_REQ, NN_REQ_RESEND_IVL, 0);
    SEND (req, "ABC");
    RECV (rep, "ABC");
    RECV_NOTHING (rep);
    SEND (rep, "DEF");
    RECV (req, "DEF");
    close_both (rep, req);
}

static void r142_a_request_moves_on_when_its_server_goes (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        char address[NN_SOCKADDR_MAX];
        int req = cooked (NN_REQ);
        int one = cooked (NN_REP);
        int two = cooked (NN_REP);
        new_address (TRANSPORTS[t], address);
        MUST (nn_bind (req, address));
        MUST (nn_connect (one, address));
        AWAIT_PEERS (req, 1);
        MUST (nn_connect (two, address));
        AWAIT_PEERS (req, 2);
        SEND (req, "ABC");
        RECV (one, "ABC");
        MUST (nn_close (one));
        RECV (two, "ABC");
        SEND (two, "DEF");
        RECV (req, "DEF");
        close_both (req, two);
    }
}

static void r137_a_new_request_cancels_the_one_before (void)
{
    char address[NN_SOCKADDR_MAX];
    int req = cooked (NN_REQ);
    int rep = cooked (NN_REP);
    char byte;
    new_address ("inproc", address);
    MUST (nn_connect (req, address));
    SEND (req, "ABC");
    SEND (req, "DEF");
    MUST (nn_bind (rep, address));
    RECV (rep, "DEF");
    SEND (req, "GHI");
    /* The reply to DEF is stale by now. */
    SEND (rep, "STALE");
    RECV (rep, "GHI");
    SEND (rep, "FRESH");
    RECV (req, "FRESH");
    /* A reply that nobody has collected goes with its request. */
    SEND (req, "JKL");
    RECV (rep, "JKL");
    SEND (rep, "UNREAD");
    AWAIT (can_recv (req));
    SEND (req, "MNO");
    CHECK (!can_recv (req));
    RECV (rep, "MNO");
    SEND (rep, "READ");
    RECV (req, "READ");
    FAILS (nn_recv (rep, &byte, 1, NN_DONTWAIT), EAGAIN);
    close_both (req, rep);
}

static void r139_a_receive_timeout_keeps_the_request (void)
{
    int rep;
    int req;
    char byte;
    open_linked (NN_REP, NN_REQ, "tcp", &rep, &req);
    SEND (req, "ABC");
    FAILS (nn_recv (req, &byte, 1, NN_DONTWAIT), EAGAIN);
    RECV_NOTHING (req);
    RECV (rep, "ABC");
    SEND (rep, "DEF");
    RECV (req, "DEF");
    close_both (rep, req);
}

static void r159_a_failed_receive_keeps_the_pending_question (void)
{
    static const int families[][2] = {{NN_REP, NN_REQ}, {NN_RESPONDENT, NN_SURVEYOR}};
    int i;
    for (i = 0; i < COUNT (families); ++i) {
        int rep;
        int req;
        char byte;
        open_linked (families[i][0], families[i][1], "inproc", &rep, &req);
        SEND (req, "ABC");
        RECV (rep, "ABC");
        FAILS (nn_recv (rep, &byte, 1, NN_DONTWAIT), EAGAIN);
        RECV_NOTHING (rep);
        SEND (rep, "DEF");
        RECV (req, "DEF");
        close_both (rep, req);
    }
}

static void r158_the_next_request_abandons_the_one_before (void)
{
    char address[NN_SOCKADDR_MAX];
    int rep = cooked (NN_REP);
    int one = cooked (NN_REQ);
    int two = cooked (NN_REQ);
    new_address ("inproc", address);
    MUST (nn_bind (rep, address));
    MUST (nn_connect (one, address));
    MUST (nn_connect (two, address));
    SEND (one, "ONE");
    SEND (two, "TWO");
    RECV (rep, "ONE");
    RECV (rep, "TWO");
    SEND (rep, "for two");
    FAILS (nn_send (rep, "for one", 7, 0), EFSM);
    RECV (two, "for two");
    RECV_NOTHING (one);
    MUST (nn_close (rep));
    close_both (one, two);
}

static void r160_a_reply_to_nobody_is_dropped (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        int rep;
        int req;
        open_linked (NN_REP, NN_REQ, TRANSPORTS[t], &rep, &req);
        SEND (req, "ABC");
        RECV (rep, "ABC");
        MUST (nn_close (req));
        AWAIT_PEERS (rep, 0);
        SEND (rep, "DEF");
        FAILS (nn_send (rep, "DEF", 3, 0), EFSM);
        MUST (nn_close (rep));
    }
}

static void a_cooked_responder_answers_through_its_receive_blocked_thread (void)
{
    struct call c;
    int rep;
    int req;
    open_linked (NN_REP, NN_REQ, "tcp", &rep, &req);
    SEND (req, "ABC");
    call_start (&c, call_recv, req, 0);
    call_await_blocked (&c);
    RECV (rep, "ABC");
    SEND (rep, "ANSWER");
    call_join (&c);
    EQ (c.rc, 6);
    close_both (rep, req);
}

/* ---- surveys ------------------------------------------------------------------------------------------ */

static void r198_answers_come_until_r196_the_deadline (void)
{
    int t;
    for (t = 0; t < COUNT (TRANSPORTS); ++t) {
        char address[NN_SOCKADDR_MAX];
        int surveyor = cooked (NN_SURVEYOR);
        int r[3];
        char byte;
        long long start;
        int i;
        set_int (surveyor, NN_SURVEYOR, NN_SURVEYOR_DEADLINE, 400);
        new_address (TRANSPORTS[t], address);
        MUST (nn_bind (surveyor, address));
        for (i = 0; i < 3; ++i) {
            r[i] = cooked (NN_RESPONDENT);
            MUST (nn_connect (r[i], address));
        }
        AWAIT_PEERS (surveyor, 3);
        start = now_ms ();
        SEND (surveyor, "ABC");
        for (i = 0; i < 3; ++i)
            RECV (r[i], "ABC");
        SEND (r[0], "DEF");
        SEND (r[1], "DEF");
        RECV (surveyor, "DEF");
        RECV (surveyor, "DEF");
        FAILS (nn_recv (surveyor, &byte, 1, 0), ETIMEDOUT);
        CHECK (now_ms () - start >= 390);
        FAILS (nn_recv (surveyor, &byte, 1, 0), EFSM);
        FAILS (nn_recv (surveyor, &byte, 1, NN_DONTWAIT), EFSM);
        /* Too late, and not an answer to the next survey either. */
        SEND (r[2], "LATE");
        SEND (surveyor, "NEXT");
        FAILS (nn_recv (surveyor, &byte, 1, 0), ETIMEDOUT);
        FAILS (nn_recv (surveyor, &byte, 1, 0), EFSM);
        for (i = 0; i < 3; ++i)
            MUST (nn_close (r[i]));
        MUST (nn_close (surveyor));
    }
}

static void r196_an_expiry_nobody_saw_is_reported_once (void)
{
    int s = cooked (NN_SURVEYOR);
    char byte;
    set_int (s, NN_SURVEYOR, NN_SURVEYOR_DEADLINE, 30);
    SEND (s, "ABC");
    CHECK (!can_recv (s));
    AWAIT (can_recv (s));
    FAILS (nn_recv (s, &byte, 1, NN_DONTWAIT), ETIMEDOUT);
    FAILS (nn_recv (s, &byte, 1, NN_DONTWAIT), EFSM);
    FAILS (nn_recv (s, &byte, 1, 0), EFSM);
    /* A new survey clears an expiry that was not reported. */
    SEND (s, "ABC");
    AWAIT (can_recv (s));
    set_int (s, NN_SURVEYOR, NN_SURVEYOR_DEADLINE, 5000);
    SEND (s, "DEF");
    FAILS (nn_recv (s, &byte, 1, NN_DONTWAIT), EAGAIN);
    MUST (nn_close (s));
}

static void r202_a_shorter_receive_timeout_keeps_the_survey (void)
{
    int respondent;
    int surveyor;
    char byte;
    open_linked (NN_RESPONDENT, NN_SURVEYOR, "inproc", &respondent, &surveyor);
    set_int (surveyor, NN_SURVEYOR, NN_SURVEYOR_DEADLINE, 5000);
    SEND (surveyor, "ABC");
    set_int (surveyor, NN_SOL_SOCKET, NN_RCVTIMEO, 30);
    FAILS (nn_recv (surveyor, &byte, 1, 0), ETIMEDOUT);
    FAILS (nn_recv (surveyor, &byte, 1, 0), ETIMEDOUT);
    set_int (surveyor, NN_SOL_SOCKET, NN_RCVTIMEO, CHECK_EVENT_MS);
    RECV (respondent, "ABC");
    SEND (respondent, "DEF");
    RECV (surveyor, "DEF");
    close_both (respondent, surveyor);
}

static void r200_a_new_survey_cancels_the_one_before (void)
{
    int respondent;
    int surveyor;
    open_linked (NN_RESPONDENT, NN_SURVEYOR, "inproc", &respondent, &surveyor);
    set_int (surveyor, NN_SURVEYOR, NN_SURVEYOR_DEADLINE, 5000);
    SEND (surveyor, "ONE");
    RECV (respondent, "ONE");
    SEND (respondent, "to one");
    SEND (surveyor, "TWO");
    RECV (respondent, "TWO");
    SEND (respondent, "to two");
    RECV (surveyor, "to two");
    close_both (respondent, surveyor);
}

static void r194_who_joins_later_misses_the_survey (void)
{
    char address[NN_SOCKADDR_MAX];
    int surveyor = cooked (NN_SURVEYOR);
    int respondent = cooked (NN_RESPONDENT);
    new_address ("inproc", address);
    MUST (nn_bind (surveyor, address));
    SEND (surveyor, "ABC");
    MUST (nn_connect (respondent, address));
    RECV_NOTHING (respondent);
    close_both (surveyor, respondent);
}

static void r205_uncollected_answers_go_with_the_survey (void)
{
    int respondent;
    int surveyor;
    int later = cooked (NN_SURVEYOR);
    char byte;
    open_linked (NN_RESPONDENT, NN_SURVEYOR, "inproc", &respondent, &surveyor);
    set_int (surveyor, NN_SURVEYOR, NN_SURVEYOR_DEADLINE, 50);
    set_int (later, NN_SURVEYOR, NN_SURVEYOR_DEADLINE, 100);
    SEND (surveyor, "ABC");
    RECV (respondent, "ABC");
    SEND (respondent, "DEF");
    /* Readiness cannot tell an answer from an expiry; a survey that ends later can. */
    SEND (later, "ABC");
    AWAIT (can_recv (later));
    MUST (nn_close (later));
    FAILS (nn_recv (surveyor, &byte, 1, 0), ETIMEDOUT);
    FAILS (nn_recv (surveyor, &byte, 1, 0), EFSM);
    close_both (respondent, surveyor);
}

static const struct check_case CASES[] = {
    CASE (r156_a_reply_without_a_request_is_efsm),
    CASE (r134_r195_a_receive_without_a_question_is_efsm),
    CASE (requests_are_answered_over_every_transport),
    CASE (r144_requests_are_shared_out),
    CASE (r140_an_unanswered_request_is_sent_again),
    CASE (r150_an_interval_of_zero_disables_resending),
    CASE (r142_a_request_moves_on_when_its_server_goes),
    CASE (r137_a_new_request_cancels_the_one_before),
    CASE (r139_a_receive_timeout_keeps_the_request),
    CASE (r159_a_failed_receive_keeps_the_pending_question),
    CASE (r158_the_next_request_abandons_the_one_before),
    CASE (r160_a_reply_to_nobody_is_dropped),
    CASE (a_cooked_responder_answers_through_its_receive_blocked_thread),
    CASE (r198_answers_come_until_r196_the_deadline),
    CASE (r196_an_expiry_nobody_saw_is_reported_once),
    CASE (r202_a_shorter_receive_timeout_keeps_the_survey),
    CASE (r200_a_new_survey_cancels_the_one_before),
    CASE (r194_who_joins_later_misses_the_survey),
    CASE (r205_uncollected_answers_go_with_the_survey),
};

CHECK_MAIN (CASES)
