/* What a program sees at compile time: layouts, macros, constants that the symbol table does not list. */
#include "check.h"

#if !defined(NN_DONTWAIT) || !defined(NN_PAIR) || !defined(AF_SP) || !defined(NN_EXPORT)
#error "constants must be visible to the preprocessor"
#endif

/* Constants must do as case labels. */
static int label_of (int value)
{
    switch (value) {
    case NN_PAIR:
        return 1;
    case NN_PUB:
        return 2;
    case NN_SUB:
        return 3;
    case NN_REQ:
        return 4;
    case NN_REP:
        return 5;
    case NN_PUSH:
        return 6;
    case NN_PULL:
        return 7;
    case NN_SURVEYOR:
        return 8;
    case NN_RESPONDENT:
        return 9;
    case NN_BUS:
        return 10;
    case ETERM:
        return 11;
    case EFSM:
        return 12;
    case NN_WS:
        return 13;
    default:
        return 0;
    }
}

static void structures_have_the_layout_of_lp64 (void)
{
    EQ (sizeof (struct nn_iovec), 16);
    EQ (offsetof (struct nn_iovec, iov_base), 0);
    EQ (offsetof (struct nn_iovec, iov_len), 8);
    EQ (sizeof (struct nn_msghdr), 32);
    EQ (offsetof (struct nn_msghdr, msg_iov), 0);
    EQ (offsetof (struct nn_msghdr, msg_iovlen), 8);
    EQ (offsetof (struct nn_msghdr, msg_control), 16);
    EQ (offsetof (struct nn_msghdr, msg_controllen), 24);
    EQ (sizeof (struct nn_cmsghdr), 16);
    EQ (offsetof (struct nn_cmsghdr, cmsg_len), 0);
    EQ (offsetof (struct nn_cmsghdr, cmsg_level), 8);
    EQ (offsetof (struct nn_cmsghdr, cmsg_type), 12);
    EQ (sizeof (struct nn_pollfd), 8);
    EQ (offsetof (struct nn_pollfd, fd), 0);
    EQ (offsetof (struct nn_pollfd, events), 4);
    EQ (offsetof (struct nn_pollfd, revents), 6);
    EQ (sizeof (struct nn_symbol_properties), 32);
    EQ (offsetof (struct nn_symbol_properties, value), 0);
    EQ (offsetof (struct nn_symbol_properties, name), 8);
    EQ (offsetof (struct nn_symbol_properties, ns), 16);
    EQ (offsetof (struct nn_symbol_properties, type), 20);
    EQ (offsetof (struct nn_symbol_properties, unit), 24);
    EQ (sizeof (nn_req_handle), 8);
}

static void members_have_the_types_programs_assign (void)
{
    struct nn_pollfd p = {1, NN_POLLIN | NN_POLLOUT, 0};
    struct nn_iovec iov = {NULL, NN_MSG};
    struct nn_msghdr hdr = {NULL, 1, NULL, 0};
    nn_req_handle handle;
    handle.i = 3;
    hdr.msg_iov = &iov;
    EQ (p.events, 3);
    EQ (hdr.msg_iov->iov_len, (size_t) -1);
    EQ (handle.i, 3);
}

static void constants_outside_the_symbol_table (void)
{
    EQ (NN_HAUSNUMERO, 156384712);
    EQ (ETERM, 156384765);
    EQ (EFSM, 156384766);
    EQ (EACCESS, EACCES);
    EQ (NN_MSG, (size_t) -1);
    EQ (PROTO_SP, 1);
    EQ (SP_HDR, 1);
    EQ (NN_PROTO_PAIR, 1);
    EQ (NN_PROTO_PUBSUB, 2);
    EQ (NN_PROTO_REQREP, 3);
    EQ (NN_PROTO_PIPELINE, 5);
    EQ (NN_PROTO_SURVEY, 6);
    EQ (NN_PROTO_BUS, 7);
    EQ (NN_IPC_SEC_ATTR, 1);
    EQ (NN_IPC_OUTBUFSZ, 2);
    EQ (NN_IPC_INBUFSZ, 3);
    EQ (label_of (NN_RESPONDENT), 9);
    EQ (label_of (EFSM), 12);
    EQ (label_of (NN_WS), 13);
}

static void control_macros_compute_the_documented_sizes (void)
{
    struct {
        struct nn_cmsghdr h;
        unsigned char data[8];
    } record;
    size_t n;
    for (n = 0; n < 40; ++n) {
        EQ (NN_CMSG_ALIGN_ (n), (n + 7) / 8 * 8);
        EQ (NN_CMSG_SPACE (n), (n + 7) / 8 * 8 + 16);
        EQ (NN_CMSG_LEN (n), n + 16);
    }
    CHECK (NN_CMSG_DATA (&record.h) == (unsigned char *) &record + 16);
    NN_CMSG_DATA (&record)[7] = 5;
    EQ (record.data[7], 5);
}

static void functions_can_be_taken_by_address (void)
{
    int (*send) (int, const void *, size_t, int) = nn_send;
    uint64_t (*statistic) (int, int) = nn_get_statistic;
    void (*init) (void) = nn_init;
    void (*term) (void) = nn_term;
    FAILS (send (-1, "x", 1, 0), EBADF);
    CHECK (statistic (-1, NN_STAT_BYTES_SENT) == (uint64_t) -1);
    CHECK (init != term);
}

static const struct check_case CASES[] = {
    CASE (structures_have_the_layout_of_lp64),
    CASE (members_have_the_types_programs_assign),
    CASE (constants_outside_the_symbol_table),
    CASE (control_macros_compute_the_documented_sizes),
    CASE (functions_can_be_taken_by_address),
};

CHECK_MAIN (CASES)
