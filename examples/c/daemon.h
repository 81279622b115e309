/* What the daemons of the demo share: sockets that complain, messages of text, and an orderly end.
 *
 * A daemon prints "ready" when its addresses are bound and ends when its standard input does, so that it
 * never outlives the program that started it.
 */
#ifndef DAEMON_H_INCLUDED
#define DAEMON_H_INCLUDED

#include <stddef.h>

/* Bytes of the longest text that these daemons exchange, with its terminating zero. */
#define TEXT_MAX 256

/* Prints "<what>: <reason of the last nn_ call>" to standard error and exits with status 1. */
void die(const char *what);

/* Prints a line to standard output at once. */
void say(const char *format, ...);

/* A socket of a protocol such as NN_REP. */
int open_socket(int protocol);

/* Binds; waits up to 5 s for an address that is still in use. */
void bind_to(int socket, const char *address);

/* Connects, in the background. */
void connect_to(int socket, const char *address);

/* Sends a text, without its terminating zero. Returns -1 when the library has been ended. */
int send_text(int socket, const char *format, ...);

/* Receives a text and terminates it with a zero; what exceeds the buffer is cut off.
 * Returns its length, or -1 when the library has been ended. */
int recv_text(int socket, char *text, size_t size);

/* Waits up to 10 s for a socket to have so many connections. Returns how many it has. */
int wait_for_connections(int socket, int wanted);

/* An inproc PAIR on which a message arrives when standard input ends. */
int stop_signal(void);

#endif
