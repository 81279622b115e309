/* PUB and SUB: everything published reaches every subscriber that asked for its beginning. */
#ifndef PUBSUB_H_INCLUDED
#define PUBSUB_H_INCLUDED

#define NN_PROTO_PUBSUB 2

#define NN_PUB (NN_PROTO_PUBSUB * 16 + 0)
#define NN_SUB (NN_PROTO_PUBSUB * 16 + 1)

/* Options of level NN_SUB; the value is the prefix, of any length. */
#define NN_SUB_SUBSCRIBE 1
#define NN_SUB_UNSUBSCRIBE 2

#endif
