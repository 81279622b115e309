/* Messages over WebSocket: `ws://address:port/path`. */
#ifndef WS_H_INCLUDED
#define WS_H_INCLUDED

#include "nn.h"

#define NN_WS (-4)

/* The kind of frame that messages are sent in: a socket option, and a control record of one message. */
#define NN_WS_MSG_TYPE 1

#define NN_WS_MSG_TYPE_TEXT 0x01
#define NN_WS_MSG_TYPE_BINARY 0x02

#endif
