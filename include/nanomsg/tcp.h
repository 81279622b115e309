/* Messages over TCP: `tcp://address:port`. */
#ifndef TCP_H_INCLUDED
#define TCP_H_INCLUDED

#define NN_TCP (-3)

/* 1: small messages leave at once. */
#define NN_TCP_NODELAY 1

#endif
