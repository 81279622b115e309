/* REQ and REP: a request to one of several servers, and its reply. */
#ifndef REQREP_H_INCLUDED
#define REQREP_H_INCLUDED

#include "nn.h"

#define NN_PROTO_REQREP 3

#define NN_REQ (NN_PROTO_REQREP * 16 + 0)
#define NN_REP (NN_PROTO_REQREP * 16 + 1)

/* Option of level NN_REQ: milliseconds until an unanswered request is sent again; 0 disables that. */
#define NN_REQ_RESEND_IVL 1

typedef union nn_req_handle {
    int i;
    void *ptr;
} nn_req_handle;

#endif
