"""A client that sends bytes as they are, in pieces, and lets h11 read the responses byte by byte."""

import random
import socket

import h11


# How many bytes are sent one by one. What follows is a long body.
BYTEWISE = 2000


def pieces(data, name):
    """Four ways to split the bytes."""
    yield "whole", [data]
    first = data[:BYTEWISE]
    yield "bytes", [first[at : at + 1] for at in range(len(first))] + [data[BYTEWISE:]]
    yield "lines", data.splitlines(keepends=True)
    chance, at, parts = random.Random(name), 0, []
    while at < len(data):
        length = chance.randint(1, 20) if at < BYTEWISE else len(data)
        parts.append(data[at : at + length])
        at += length
    yield "random", parts


def send(address, parts, end=True):
    """All bytes that come back until the server closes."""
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), 20) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for part in parts:
                peer.sendall(part)
            if end:
                peer.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass  # The server has refused it. What it said counts.
        received = b""
        while part := peer.recv(65536):
            received += part
        return received


def read(received, methods):
    """The responses in these bytes: (status, fields, body), as h11 reads them one byte at a time. `methods` are those of the
    requests; GET where none is left. Raises if there is anything else."""
    responses, at = [], 0
    while at < len(received):
        method = methods[len(responses)] if len(responses) < len(methods) else "GET"
        client = h11.Connection(h11.CLIENT)
        client.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
        client.send(h11.EndOfMessage())
        status, fields, body, ended = None, [], b"", False
        while not ended:
            byte = received[at : at + 1]
            client.receive_data(byte)
            at += len(byte)
            while (event := client.next_event()) is not h11.NEED_DATA:
                if isinstance(event, h11.Response):
                    status, fields = event.status_code, list(event.headers)
                elif isinstance(event, h11.Data):
                    body += bytes(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    ended = True
                    break
            assert ended or byte, f"a response has no end: {received!r}"
        assert client.trailing_data[0] == b"", f"bytes behind a response: {client.trailing_data[0]!r}"
        responses.append((status, fields, body))
    return responses
