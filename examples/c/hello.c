/* A server in C: answers every request. Its clients may be any nanomsg, nng, mangos or spmsg program.
 *
 *     cc hello.c -lspmsg -o hello && ./hello tcp://127.0.0.1:5555
 */
#include <stdio.h>

#include <nanomsg/nn.h>
#include <nanomsg/reqrep.h>

static int failed(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, nn_strerror(nn_errno()));
    return 1;
}

int main(int argc, char **argv)
{
    const char *address = argc > 1 ? argv[1] : "tcp://127.0.0.1:5555";
    int server = nn_socket(AF_SP, NN_REP);

    if (server < 0 || nn_bind(server, address) < 0)
        return failed(address);
    printf("serving at %s\n", address);
    fflush(stdout);

    for (;;) {
        char *request = NULL;
        char reply[128];

        /* NN_MSG: the library allocates as much as the request needs. */
        int len = nn_recv(server, &request, NN_MSG, 0);
        if (len < 0)
            return failed("nn_recv");
        int size = snprintf(reply, sizeof reply, "%.*s is fine", len < 64 ? len : 64, request);
        nn_freemsg(request);

        /* The reply goes to the client that asked last. */
        if (nn_send(server, reply, (size_t)size, 0) < 0)
            return failed("nn_send");
    }
}
