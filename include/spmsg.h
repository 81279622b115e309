/* The functions and structures of libspmsg, which are nanomsg's. Generated from the library's source: do
 * not edit.
 *
 * Programs include <nanomsg/nn.h> and its companions, which include this and define the constants.
 *
 * Failure is -1, NULL or all ones, by the return type, with the reason in errno; output parameters are
 * written on success only. Buffers are read before a call returns and not kept, except for message buffers
 * (nn_allocmsg), which belong to their holder until a send with NN_MSG succeeds. Any function may be called
 * from any thread at any time. After fork the child has none of its parent's sockets and may open its own.
 */

#ifndef SPMSG_H_INCLUDED
#define SPMSG_H_INCLUDED

#include <stddef.h>
#include <stdint.h>

/* How the functions are declared. A program may define it before including this file. */
#ifndef NN_EXPORT
#define NN_EXPORT extern
#endif

/**
 * Header of a control record; its data follows at once.
 */
struct nn_cmsghdr {
    /**
     * Bytes of header and data.
     */
    size_t cmsg_len;
    /**
     * Who defines the type: PROTO_SP, or a transport.
     */
    int cmsg_level;
    /**
     * What the data is.
     */
    int cmsg_type;
};

/**
 * One part of a message's body.
 */
struct nn_iovec {
    /**
     * Where the part is. With NN_MSG as length: a pointer to the pointer of a message buffer.
     */
    void *iov_base;
    /**
     * Its size in bytes, or NN_MSG.
     */
    size_t iov_len;
};

/**
 * A message in parts, and its control data.
 */
struct nn_msghdr {
    /**
     * The parts of the body.
     */
    struct nn_iovec *msg_iov;
    /**
     * How many there are.
     */
    int msg_iovlen;
    /**
     * Control data, or NULL for none. With NN_MSG as length: a pointer to the pointer of a message buffer.
     */
    void *msg_control;
    /**
     * Size of the control data in bytes, or NN_MSG.
     */
    size_t msg_controllen;
};

/**
 * What to wait for on one socket, and what was ready.
 */
struct nn_pollfd {
    /**
     * Number of the socket. Ignored if no events are asked for.
     */
    int fd;
    /**
     * NN_POLLIN, NN_POLLOUT.
     */
    short events;
    /**
     * Those of them that are ready.
     */
    short revents;
};

/**
 * What nn_symbol_info tells about a constant.
 */
struct nn_symbol_properties {
    /**
     * The constant's value.
     */
    int value;
    /**
     * Its name; static.
     */
    const char *name;
    /**
     * What it belongs to, NN_NS_*.
     */
    int ns;
    /**
     * Type of the option's value, NN_TYPE_*.
     */
    int type;
    /**
     * Unit of the option's value, NN_UNIT_*.
     */
    int unit;
};

#ifdef __cplusplus
extern "C" {
#endif /* __cplusplus */

/**
 * The control record behind `cmsg` in a message's control data, or the first one for NULL.
 *
 * Returns NULL when there is none, or none that lies wholly within the control data. Errno is not touched.
 * Meant for the macros NN_CMSG_FIRSTHDR and NN_CMSG_NXTHDR.
 */
NN_EXPORT struct nn_cmsghdr *nn_cmsg_nxthdr_(const struct nn_msghdr *mhdr, const struct nn_cmsghdr *cmsg);

/**
 * Forwards messages, routing headers included, between two raw sockets, or with -1 as one of them from the
 * other back to itself, until a receive or send fails. The sockets stay open.
 *
 * Always returns -1. Errors: EBADF, also when a socket is closed; EINVAL for sockets that do not fit;
 * ENOTSUP for a loop-back that cannot work; ETIMEDOUT by the sockets' timeouts; EINTR in one direction and
 * in loop-back.
 */
NN_EXPORT int nn_device(int s1, int s2);

/**
 * The calling thread's errno, for programs whose C library has another one than ours.
 */
NN_EXPORT int nn_errno(void);

/**
 * The text of an error number, never NULL; the library's own numbers have texts, others are the system's.
 * Static for numbers that exist; of others valid until the thread's next call.
 */
NN_EXPORT const char *nn_strerror(int errnum);

/**
 * A message buffer of `size` bytes, aligned for every type, with any content. `type` must be 0.
 *
 * To be handed to a send as NN_MSG or freed by nn_freemsg, by any thread. Errors: EINVAL, ENOMEM.
 */
NN_EXPORT void *nn_allocmsg(size_t size, int type);

/**
 * Changes the size of a message buffer: in place to a smaller one, by moving to a larger one, whose bytes
 * beyond the old size are undefined. NULL allocates. On failure (ENOMEM) the result is NULL and the buffer
 * as before.
 */
NN_EXPORT void *nn_reallocmsg(void *msg, size_t size);

/**
 * Frees a message buffer, by any thread, also after nn_term. NULL is no buffer and costs nothing. Returns 0.
 */
NN_EXPORT int nn_freemsg(void *msg);

/**
 * Sets an option. Integer values take exactly 4 bytes.
 *
 * Errors, in this order: EBADF, EFAULT for NULL with a length, EINVAL for the length, ENOPROTOOPT for an
 * option that is unknown, read-only or not of this socket, EINVAL for the value.
 */
NN_EXPORT int nn_setsockopt(int s, int level, int option, const void *optval, size_t optvallen);

/**
 * Reads an option: stores as much of its value as fits into `*optvallen` bytes, and its full size in
 * `*optvallen`.
 *
 * Errors: EBADF, EFAULT, ENOPROTOOPT; EINVAL for a buffer too small for NN_REQ_RESEND_IVL or
 * NN_SURVEYOR_DEADLINE; EMFILE when NN_SNDFD or NN_RCVFD, which are made when first read, cannot be.
 */
NN_EXPORT int nn_getsockopt(int s, int level, int option, void *optval, size_t *optvallen);

/**
 * Waits until a send or receive would not block on one of the sockets, or until `timeout` milliseconds
 * have passed; a negative timeout is for ever. Without sockets it sleeps.
 *
 * Returns how many entries are ready, 0 after the timeout, and writes `revents` of all. A socket that is
 * closed meanwhile is ready for everything asked for. Errors: EBADF, ENOPROTOOPT for a direction the
 * socket lacks, EINVAL, EFAULT, EINTR.
 */
NN_EXPORT int nn_poll(struct nn_pollfd *fds, int nfds, int timeout);

/**
 * Opens a socket of a domain (AF_SP, AF_SP_RAW) and protocol (NN_PAIR, ...).
 *
 * Returns its number, from 0. Errors: ETERM, EAFNOSUPPORT, EMFILE with 512 sockets open, EINVAL for a
 * protocol.
 */
NN_EXPORT int nn_socket(int domain, int protocol);

/**
 * Closes a socket. Calls of other threads on it return EBADF; what was accepted for connected peers leaves
 * within the linger time (NN_LINGER), for which this waits. Errors: EBADF.
 */
NN_EXPORT int nn_close(int s);

/**
 * Listens at an address (inproc, ipc, tcp) for any number of peers.
 *
 * Returns the endpoint's number, from 1, for nn_shutdown. Errors: EBADF, EINVAL, ENAMETOOLONG,
 * EPROTONOSUPPORT, ENODEV, EADDRINUSE, EADDRNOTAVAIL, and what the system says.
 */
NN_EXPORT int nn_bind(int s, const char *addr);

/**
 * Connects to an address in the background, again and again, until nn_shutdown or nn_close.
 *
 * Returns the endpoint's number, from 1. Errors: EBADF, EINVAL, ENAMETOOLONG, EPROTONOSUPPORT, ENODEV;
 * never the network's.
 */
NN_EXPORT int nn_connect(int s, const char *addr);

/**
 * Ends the endpoint `how`, as nn_bind or nn_connect returned it, and its connections. What was accepted
 * for them leaves in the background. Errors: EBADF, EINVAL.
 */
NN_EXPORT int nn_shutdown(int s, int how);

/**
 * The counter `stat` (NN_STAT_*) of a socket.
 *
 * On failure all ones. NN_STAT_CURRENT_SND_PRIORITY is all ones, without an error, when no peer can take a
 * message. Errors: EBADF, EINVAL.
 */
NN_EXPORT uint64_t nn_get_statistic(int s, int stat);

/**
 * The name of the constant with this index, and its value in `*value` unless that is NULL. Static.
 *
 * Indices go from 0 without gaps; beyond the last, and below 0, the result is NULL and errno EINVAL.
 */
NN_EXPORT const char *nn_symbol(int i, int *value);

/**
 * Stores the first `buflen` bytes of what there is to know about the constant with this index.
 *
 * Returns the bytes stored, at most the structure's size; 0, without an error, for an index that does not
 * exist.
 */
NN_EXPORT int nn_symbol_info(int i, struct nn_symbol_properties *buf, int buflen);

/**
 * Closes all sockets, as nn_close would, under one deadline. Afterwards nn_socket fails with ETERM and
 * everything else that takes a socket with EBADF; message buffers stay valid. Does nothing before the
 * first nn_socket.
 */
NN_EXPORT void nn_term(void);

/**
 * Allows sockets again after nn_term, for which it waits if it is running.
 */
NN_EXPORT void nn_init(void);

/**
 * Sets how many I/O threads serve the sockets, now and whenever they start: 1 (the default) to 64. The
 * environment variable SPMSG_IO_THREADS wins at the start. An extension of spmsg.
 *
 * Returns 0. Errors: EINVAL, and the system's when it is out of descriptors or threads.
 */
NN_EXPORT int spmsg_io_threads(int n);

/**
 * Switches spinning off (0) or on (anything else) for the whole process, from the next wait on, whatever the environment
 * variable SPMSG_SPIN says: a call that waits in a brisk conversation looks for its message for at most 50 us before it
 * sleeps. On by default, save with one processor. An extension of spmsg.
 */
NN_EXPORT void spmsg_spin(int on);

/**
 * Sends `len` bytes, or with NN_MSG as `len` the message buffer whose pointer `buf` points to.
 *
 * Returns the size of the body. With NN_MSG the library owns the buffer then; on failure the caller still
 * does. `flags` is 0 or NN_DONTWAIT. Without NN_DONTWAIT a body of 256 KiB or more to a single peer may hold
 * the call up 10 ms longer where the wire is full. Errors: EBADF, EFAULT, EINVAL, ENOTSUP, EFSM, EAGAIN,
 * ETIMEDOUT, EINTR, ENOMEM, EMSGSIZE beyond what an int can return.
 */
NN_EXPORT int nn_send(int s, const void *buf, size_t len, int flags);

/**
 * Sends a message in parts, with control data.
 *
 * As nn_send, which see. A message buffer is the only part or no part (EINVAL). On success the library
 * owns buffers for body and control data; on failure both are still the caller's. Errors also: EINVAL for
 * NULL, EMSGSIZE for a negative number of parts.
 */
NN_EXPORT int nn_sendmsg(int s, const struct nn_msghdr *msghdr, int flags);

/**
 * Receives into `len` bytes; what does not fit is dropped. With NN_MSG as `len` the pointer of a new
 * message buffer is stored in `*buf`, to be freed with nn_freemsg.
 *
 * Returns the size of the whole body. Errors: EBADF, EFAULT, ENOTSUP, EFSM, EAGAIN, ETIMEDOUT, EINTR,
 * ENOMEM (for the new buffer; the message is lost).
 */
NN_EXPORT int nn_recv(int s, void *buf, size_t len, int flags);

/**
 * Receives a message in parts, with control data.
 *
 * As nn_recv, which see. A message buffer is the only part or no part (EINVAL). The header is not changed;
 * control data is delivered if its first record fits, or in a new message buffer. Errors also: EINVAL for
 * NULL, EMSGSIZE for a negative number of parts; none of these takes a message.
 */
NN_EXPORT int nn_recvmsg(int s, struct nn_msghdr *msghdr, int flags);

#ifdef __cplusplus
}  /* extern "C" */
#endif  /* __cplusplus */

#endif  /* SPMSG_H_INCLUDED */
