/* Messages over TLS: `tls+tcp://address:port`, and `wss://address:port`, which is WebSocket inside TLS. An extension:
 * nanomsg has none. */
#ifndef TLS_H_INCLUDED
#define TLS_H_INCLUDED

/* The level of the options. Set them before nn_bind and nn_connect.
 *
 * A connecting side needs none: it trusts the system's authorities, and requires that the server's certificate is
 * good and names the host in the address. A listening side needs certificate and key.
 *
 * Files are PEM, read when the option is set. The call fails there and then, and nothing is changed: with the system's
 * errno when the file cannot be read (ENOENT, EACCES, ...), with EINVAL when it cannot be parsed. With
 * NN_PRINT_ERRORS=1 in the environment the reason is printed to stderr. nn_bind fails with EINVAL when certificate and
 * key are missing or do not fit each other, or when certificates of clients are wanted and NN_TLS_CA_FILE is not set;
 * nn_connect likewise, but needs no certificate.
 *
 * Setting a file again renews it: connections that exist go on, new ones use it, of endpoints that exist too. A new
 * certificate is used as soon as its key is set as well (either may come first). */
#define NN_TLS (-6)

/* Text: authorities to trust in place of the system's. */
#define NN_TLS_CA_FILE 1
/* Text: the own certificate, and behind it those that lead to the authority. */
#define NN_TLS_CERT_FILE 2
/* Text: the private key of the own certificate, not encrypted. */
#define NN_TLS_KEY_FILE 3
/* Text: the name that the server's certificate must have, in place of the host in the address; empty: that host.
 * EINVAL for what is neither a host name nor an IP address. For endpoints made afterwards. */
#define NN_TLS_SERVER_NAME 4
/* Integer: what is asked of the peer, one of the values below. For endpoints made afterwards. */
#define NN_TLS_AUTH 5

/* Each side's own default: a connecting side requires, a listening side asks for nothing. */
#define NN_TLS_AUTH_DEFAULT (-1)
/* Nothing: the connection is encrypted, and nobody knows to whom. */
#define NN_TLS_AUTH_NONE 0
/* A listening side accepts peers without a certificate and refuses bad ones; a connecting side goes on in any case. */
#define NN_TLS_AUTH_OPTIONAL 1
/* A good certificate. */
#define NN_TLS_AUTH_REQUIRED 2

#endif
