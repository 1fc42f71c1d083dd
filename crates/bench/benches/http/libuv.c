/* libuv with http-parser, the parser that Node.js had before llhttp, in one thread. */

#include <http_parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define ANSWER                                                                                                         \
    "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 13\r\n"                                 \
    "Content-Type: text/plain; charset=utf-8\r\n\r\nHello, world!"

/* The most requests of one read that are answered: the load sends 16 ahead. */
#define MOST 1024

static char input[64 * 1024];
static char answers[MOST * (sizeof ANSWER - 1)];

/* A connection, its parser, and how many requests its last bytes have ended. */
struct connection {
    uv_tcp_t tcp;
    http_parser parser;
    unsigned requests;
};

static int ended(http_parser *parser)
{
    ((struct connection *) parser->data)->requests++;
    return 0;
}

static const http_parser_settings settings = { .on_message_complete = ended };

static void lend(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    *buffer = uv_buf_init(input, sizeof input);
}

static void closed(uv_handle_t *handle)
{
    free(handle);
}

static void received(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer)
{
    struct connection *connection = (struct connection *) stream;
    if (count < 0) {
        uv_close((uv_handle_t *) stream, closed);
        return;
    }
    connection->requests = 0;
    if (http_parser_execute(&connection->parser, &settings, input, count) != (size_t) count)
        abort();
    if (connection->requests > 0 && connection->requests <= MOST) {
        uv_buf_t output = uv_buf_init(answers, connection->requests * (sizeof ANSWER - 1));
        /* The load reads everything, so the socket has room. */
        if (uv_try_write(stream, &output, 1) != (int) output.len)
            abort();
    }
}

static void accepted(uv_stream_t *listener, int status)
{
    struct connection *connection = calloc(1, sizeof *connection);
    uv_tcp_init(listener->loop, &connection->tcp);
    http_parser_init(&connection->parser, HTTP_REQUEST);
    connection->parser.data = connection;
    if (status < 0 || uv_accept(listener, (uv_stream_t *) &connection->tcp) < 0)
        abort();
    uv_tcp_nodelay(&connection->tcp, 1);
    uv_read_start((uv_stream_t *) &connection->tcp, lend, received);
}

int main(void)
{
    uv_tcp_t listener;
    struct sockaddr_in address;
    int length = sizeof address;
    for (int number = 0; number < MOST; number++)
        memcpy(answers + number * (sizeof ANSWER - 1), ANSWER, sizeof ANSWER - 1);
    uv_tcp_init(uv_default_loop(), &listener);
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_bind(&listener, (struct sockaddr *) &address, 0);
    if (uv_listen((uv_stream_t *) &listener, 1024, accepted) < 0)
        return 1;
    uv_tcp_getsockname(&listener, (struct sockaddr *) &address, &length);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
