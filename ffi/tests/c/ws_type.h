/* Control data that says what a message is to WebSocket peers, sent and received. */
#ifndef WS_TYPE_H_INCLUDED
#define WS_TYPE_H_INCLUDED

#include "check.h"

/* A record of control data with one byte: what a message is to WebSocket peers. */
struct type_record {
    size_t words[3];
};

static struct nn_msghdr header_of (struct nn_iovec *iov, void *body, size_t size, void *control, size_t length)
{
    struct nn_msghdr hdr;
    iov->iov_base = body;
    iov->iov_len = size;
    hdr.msg_iov = iov;
    hdr.msg_iovlen = 1;
    hdr.msg_control = control;
    hdr.msg_controllen = length;
    return hdr;
}

/* Sends text with a record that says what it is. */
static void send_as (int s, const char *text, unsigned char type)
{
    struct type_record record;
    struct nn_cmsghdr *c = (struct nn_cmsghdr *) record.words;
    struct nn_iovec iov;
    struct nn_msghdr hdr = header_of (&iov, (void *) text, strlen (text), &record, sizeof record);
    EQ (NN_CMSG_SPACE (1), sizeof record);
    memset (&record, 0, sizeof record);
    c->cmsg_len = NN_CMSG_SPACE (1);
    c->cmsg_level = NN_WS;
    c->cmsg_type = NN_WS_MSG_TYPE;
    *NN_CMSG_DATA (c) = type;
    EQ (nn_sendmsg (s, &hdr, 0), strlen (text));
}

/* Receives text and returns the type that its control data has, 0 for none. */
static int type_received (int s, const char *text)
{
    char body[64];
    size_t control[16];
    struct nn_iovec iov;
    struct nn_msghdr hdr = header_of (&iov, body, sizeof body, control, sizeof control);
    struct nn_cmsghdr *c;
    memset (control, 0, sizeof control);
    EQ (nn_recvmsg (s, &hdr, 0), strlen (text));
    CHECK (memcmp (body, text, strlen (text)) == 0);
    c = NN_CMSG_FIRSTHDR (&hdr);
    CHECK (c != NULL);
    EQ (c->cmsg_level, PROTO_SP);
    EQ (c->cmsg_type, SP_HDR);
    EQ (c->cmsg_len, 24);
    c = NN_CMSG_NXTHDR (&hdr, c);
    if (!c)
        return 0;
    EQ (c->cmsg_level, NN_WS);
    EQ (c->cmsg_type, NN_WS_MSG_TYPE);
    EQ (c->cmsg_len, NN_CMSG_SPACE (1));
    CHECK (NN_CMSG_NXTHDR (&hdr, c) == NULL);
    return *NN_CMSG_DATA (c);
}

#endif
