"""Responses of all kinds, and h11, which reads them byte by byte."""

import sys

from talk import read, send

HOST = b"Host: a\r\n"


def request(method, target, lines=b"", body=b""):
    return b"%s %s HTTP/1.1\r\n%s%s\r\n%s" % (method, target, HOST, lines, body)


def main():
    address, files = sys.argv[1:]
    for method, target, lines, status in [
        (b"GET", b"/robots.txt", b"", 200),
        (b"HEAD", b"/robots.txt", b"", 200),
        (b"GET", b"/x", b"", 404),
        (b"HEAD", b"/x", b"", 404),
        (b"GET", b"/a", b"", 301),
        (b"GET", b"/robots.txt", b"Range: bytes=0-4\r\n", 206),
        (b"GET", b"/robots.txt", b"Range: bytes=99-\r\n", 416),
        (b"GET", b"/empty", b"", 200),
        (b"GET", b"/robots.txt", b"If-None-Match: *\r\n", 304),
        (b"GET", b"/robots.txt", b'If-Match: "x"\r\n', 412),
        (b"POST", b"/", b"", 405),
        (b"GET", b"/%00", b"", 400),
    ]:
        got = [status for status, _, _ in read(send(files, [request(method, target, lines)]), [method.decode()])]
        if got != [status]:
            print(method, target, lines, "is answered with", got, "and should be with", status)
    targets = [b"/200", b"/204", b"/205", b"/206", b"/301", b"/304", b"/404", b"/416", b"/500"]
    targets += [b"/", b"/stream", b"/events", b"/long", b"/panic", b"/close"]
    cases = []  # The bytes, the methods, the statuses.
    for target in targets:
        status = int(target[1:]) if target[1:].isdigit() else 500 if target == b"/panic" else 200
        for method in [b"GET", b"HEAD"]:
            cases.append(([request(method, target)], [method.decode()], [status]))
    two = request(b"GET", b"/stream") + request(b"HEAD", b"/long") + request(b"GET", b"/204") + request(b"GET", b"/200")
    cases.append(([two], ["GET", "HEAD", "GET", "GET"], [200, 200, 204, 200]))
    chunks = b"2\r\nok\r\n0\r\nx: y\r\n\r\n"
    chunked = b"Transfer-Encoding: chunked\r\n"
    cases += [
        ([request(b"POST", b"/", b"Content-Length: 2\r\nExpect: 100-continue\r\n"), b"ok"], ["POST"], [200]),
        ([request(b"POST", b"/", chunked, chunks)], ["POST"], [200]),
        ([request(b"POST", b"/", b"Content-Length: 11\r\n")], ["POST"], [413]),
        ([request(b"POST", b"/", b"Expect: much\r\n")], ["POST"], [417]),
        ([request(b"POST", b"/", b"Transfer-Encoding: gzip, chunked\r\n")], ["POST"], [501]),
        ([b"GET / HTTP/1.0\r\n\r\n"], ["GET"], [200]),
        ([b"GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"], ["GET"], [200]),
        ([b"GET /200 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" * 2], ["GET", "GET"], [200, 200]),
        ([b"GET / HTTP/1.1\r\n\r\n"], ["GET"], [400]),
        ([b"HEAD / HTTP/1.1\r\n\r\n"], ["HEAD"], [400]),
        ([b"GET / HTTP/2.0\r\n\r\n"], ["GET"], [505]),
        ([b"GET /" + b"x" * 20000 + b" HTTP/1.1\r\n\r\n"], ["GET"], [414]),
        ([request(b"GET", b"/", b"x: " + b"y" * 20000 + b"\r\n")], ["GET"], [431]),
        ([request(b"GET", b"/200"), b"nonsense\r\n\r\n"], ["GET", "GET"], [200, 400]),
    ]
    for parts, methods, statuses in cases:
        got = [status for status, _, _ in read(send(address, parts), methods)]
        if got != statuses:
            print(b"".join(parts)[:200], "is answered with", got, "and should be with", statuses)
    late = [status for status, _, _ in read(send(address, [b"GET / HTTP/1.1\r\n"], end=False), ["GET"])]
    if late != [408]:
        print("half a head is answered with", late)


main()
