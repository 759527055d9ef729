/* The plainest loop over libzmq: PUSH to PULL over TCP, two processes, nothing measured but the whole.
 *
 *   cc -O2 push_pull.c -o push_pull -lzmq && ./push_pull SIZE COUNT
 *
 * Prints messages per second, from the first to the last received. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void check(int ok, const char *what) {
    if (!ok) {
        fprintf(stderr, "%s: %s\n", what, zmq_strerror(zmq_errno()));
        exit(1);
    }
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: %s SIZE COUNT\n", argv[0]);
        return 2;
    }
    size_t size = strtoul(argv[1], NULL, 10);
    long count = strtol(argv[2], NULL, 10);
    char endpoint[128];
    size_t length = sizeof endpoint;
    int pipes[2];
    check(pipe(pipes) == 0, "pipe");
    pid_t child = fork();
    check(child >= 0, "fork");
    char *bytes = calloc(1, size > 0 ? size : 1);
    if (child == 0) {
        check(read(pipes[0], endpoint, sizeof endpoint) > 0, "read");
        void *context = zmq_ctx_new();
        void *push = zmq_socket(context, ZMQ_PUSH);
        check(zmq_connect(push, endpoint) == 0, "connect");
        for (long i = 0; i < count; i++)
            check(zmq_send(push, bytes, size, 0) >= 0, "send");
        zmq_close(push);
        zmq_ctx_term(context);
        return 0;
    }
    void *context = zmq_ctx_new();
    void *pull = zmq_socket(context, ZMQ_PULL);
    check(zmq_bind(pull, "tcp://127.0.0.1:*") == 0, "bind");
    check(zmq_getsockopt(pull, ZMQ_LAST_ENDPOINT, endpoint, &length) == 0, "endpoint");
    check(write(pipes[1], endpoint, length) == (ssize_t)length, "write");
    check(zmq_recv(pull, bytes, size, 0) >= 0, "recv");
    double start = now();
    for (long i = 1; i < count; i++)
        check(zmq_recv(pull, bytes, size, 0) >= 0, "recv");
    printf("%.0f\n", (double)(count - 1) / (now() - start));
    zmq_close(pull);
    zmq_ctx_term(context);
    int status;
    waitpid(child, &status, 0);
    return status != 0;
}
