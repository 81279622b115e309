/* Messages between sockets of one process: `inproc://name`. */
#ifndef INPROC_H_INCLUDED
#define INPROC_H_INCLUDED

#define NN_INPROC (-1)

#endif
