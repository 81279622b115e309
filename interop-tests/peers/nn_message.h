/*  One message with its protocol header: what raw sockets show and want. The
    header travels in control data as one SP_HDR record.  */

#ifndef NN_MESSAGE_H
#define NN_MESSAGE_H

#include <string.h>

#include "nn_library.h"

#define MAX_HEADER 64
#define CONTROL_BYTES (sizeof (struct nn_cmsghdr) + sizeof (size_t) + MAX_HEADER)

struct header {
    size_t len;
    unsigned char bytes[MAX_HEADER];
};

static uint32_t header_word (const struct header *h, size_t at)
{
    const unsigned char *b = h->bytes + at;

    return (uint32_t) b[0] << 24 | (uint32_t) b[1] << 16 | (uint32_t) b[2] << 8 | b[3];
}

static void header_set_word (struct header *h, uint32_t word)
{
    int i;

    h->len = 4;
    for (i = 0; i < 4; ++i)
        h->bytes[i] = (unsigned char) (word >> (24 - 8 * i));
}

/*  The key of a pipe, hops, and last the id, the only word with its top bit set.  */
static int header_is_stack (const struct header *h)
{
    size_t at;

    if (h->len < 8 || h->len % 4 != 0)
        return 0;
    for (at = 0; at + 4 < h->len; at += 4) {
        if (header_word (h, at) >> 31 != 0)
            return 0;
    }
    return header_word (h, h->len - 4) >> 31 == 1;
}

/*  The record is walked by hand: the macros differ between the libraries.  */
static void header_from_control (struct header *h, const unsigned char *control)
{
    struct nn_cmsghdr record;
    size_t len;

    h->len = 0;
    memcpy (&record, control, sizeof record);
    if (record.cmsg_level != PROTO_SP || record.cmsg_type != SP_HDR)
        return;
    memcpy (&len, control + sizeof record, sizeof len);
    if (len > MAX_HEADER || record.cmsg_len < sizeof record + sizeof len + len)
        return;
    memcpy (h->bytes, control + sizeof record + sizeof len, len);
    h->len = len;
}

static size_t header_to_control (const struct header *h, unsigned char *control)
{
    struct nn_cmsghdr record;
    size_t padded = (h->len + 7) / 8 * 8;

    memset (control, 0, CONTROL_BYTES);
    record.cmsg_len = sizeof record + sizeof h->len + padded;
    record.cmsg_level = PROTO_SP;
    record.cmsg_type = SP_HDR;
    memcpy (control, &record, sizeof record);
    memcpy (control + sizeof record, &h->len, sizeof h->len);
    memcpy (control + sizeof record + sizeof h->len, h->bytes, h->len);
    return record.cmsg_len;
}

static int message_receive (int fd, void **body, struct header *h)
{
    unsigned char control[CONTROL_BYTES];
    struct nn_iovec iov;
    struct nn_msghdr msg;
    int rc;

    memset (control, 0, sizeof control);
    memset (&msg, 0, sizeof msg);
    iov.iov_base = body;
    iov.iov_len = NN_MSG;
    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    msg.msg_control = control;
    msg.msg_controllen = sizeof control;
    rc = nn_recvmsg (fd, &msg, 0);
    if (rc >= 0)
        header_from_control (h, control);
    return rc;
}

static int message_send (int fd, const void *body, size_t len, const struct header *h)
{
    unsigned char control[CONTROL_BYTES];
    struct nn_iovec iov;
    struct nn_msghdr msg;

    memset (&msg, 0, sizeof msg);
    iov.iov_base = (void *) body;
    iov.iov_len = len;
    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    if (h->len > 0) {
        msg.msg_controllen = header_to_control (h, control);
        msg.msg_control = control;
    }
    return nn_sendmsg (fd, &msg, 0);
}

#endif
