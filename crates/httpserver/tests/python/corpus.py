"""gunicorn's corpus: each request in four splits. Says which are not read as their description says."""

import json
import pathlib
import re
import sys

from talk import pieces, read, send

# The PROXY protocol, which is none of HTTP, and options for older clients. Requests for which an option of gunicorn's is set,
# such as another limit, are left out as well.
LEFT_OUT = ["pp_", "compat"]

# Where this server decides otherwise, and why.
DEVIATIONS = {
    "valid/005": "a target has no fragment: RFC 9112, 3.2",
    "valid/012": "Content-Type belongs into the head: RFC 9110, 6.5.1",
    "valid/014": "a target has no quotes: RFC 3986, 2",
    "valid/025": "two fields Transfer-Encoding",
    "valid/025_line": "no transfer coding but chunked: 501",
    "valid/029": "two fields Transfer-Encoding",
    "valid/030": "two fields Transfer-Encoding",
    "valid/040": "fields with an underscore are fields like others; WSGI cannot tell it from a hyphen",
    "valid/099": "the length is shorter than the body, so a second request begins with the rest of it",
    "valid/rfc9112_smuggle_gzip_chunked_01": "no transfer coding but chunked: 501",
    "valid/rfc9112_smuggle_te_identity_chunked_01": "no transfer coding but chunked: 501",
    "valid/rfc9112_target_absolute_userinfo_01": "a user name in the target: RFC 9110, 4.2.4 permits to refuse it",
    "valid/rfc9112_target_authority_connect_01": "no CONNECT: this is no proxy",
    "valid/rfc9112_target_authority_ipv6_01": "no CONNECT: this is no proxy",
    "invalid/006": "our limit of a target is 8 KiB, theirs 4",
    "invalid/007": "our limit of a head is 16 KiB, theirs 8 for a field",
    "invalid/008": "our limit of a head is 16 KiB, theirs 8 for a field",
    "invalid/041": "what two fields Content-Type mean is the application's matter",
}


class Config:
    """gunicorn's options, of which we want to know which were set."""

    used = []

    def set(self, name, value):
        self.used.append(name)


class Names(dict):
    """A description uses names of gunicorn, which do not matter here."""

    def __missing__(self, name):
        return name


def described(path):
    """The expected requests, and the options that are set."""
    lines = [line for line in path.read_text().split("\n") if not line.startswith(("from ", "import "))]
    Config.used = []
    names = Names(Config=Config, cfg=Config(), uri=lambda text: text)
    exec("\n".join(lines), names)
    requests = names.get("request")
    return requests if isinstance(requests, list) else [requests], Config.used


def content(path):
    """The bytes of a request: line ends are left out, and escapes stand for what is meant."""
    text = path.read_bytes().decode("latin1").replace("\n", "")
    for escape, meant in [("\\n", "\n"), ("\\r", "\r"), ("\\t", "\t"), ("\\0", "\0")]:
        text = text.replace(escape, meant)
    return re.sub(r"\\x([0-9a-fA-F]{2})", lambda found: chr(int(found[1], 16)), text).encode("latin1")


def with_host(data):
    """gunicorn takes requests of HTTP/1.1 without Host, and RFC 9112, 3.2 demands 400. So that the rest is looked at, too, they
    get one here."""
    # One of HTTP/1.0 has in its body what looks like a request.
    if b"\nhost" in data.lower() or b" HTTP/1.0\r\nContent-Length" in data:
        return data, False
    return data.replace(b" HTTP/1.1\r\n", b" HTTP/1.1\r\nHost: a\r\n"), True


def plain(request):
    """A request as it is described, as the server says it."""
    text = lambda it: it.decode("latin1") if isinstance(it, bytes) else it
    fields = lambda pairs: [[text(name).upper(), text(value)] for name, value in pairs]
    return {
        "method": request["method"],
        "uri": text(request["uri"]),
        "version": "%d.%d" % request["version"],
        "headers": fields(request["headers"]),
        "body": text(request["body"]),
        "trailers": fields(request.get("trailers", [])),
    }


def answers(address, path, kind):
    """What each split is answered with, and what is wrong with it."""
    wanted, options = described(path.with_suffix(".py"))
    if options:
        return None
    if kind == "invalid":
        wanted = []
    data, is_added = with_host(content(path)) if kind == "valid" else (content(path), False)
    if is_added:
        for request in wanted:
            request["headers"] = ([("HOST", "a")] if request["version"] == (1, 1) else []) + request["headers"]
    seen = {}
    for split, parts in pieces(data, path.name):
        responses = read(send(address, parts), [request["method"] for request in wanted])
        for _, fields, _ in responses:
            fields[:] = [field for field in fields if field[0] != b"date"]
        seen[split] = responses
    first = seen["whole"]
    if any(responses != first for responses in seen.values()):
        return f"depends on the split: {seen}"
    statuses = [status for status, _, _ in first]
    if kind == "invalid":
        closes = bool(first) and (b"connection", b"close") in first[-1][1]
        return None if closes and statuses[-1] >= 400 else f"is accepted: {statuses}"
    if statuses != [200] * len(wanted):
        return f"is answered with {statuses}"
    for (_, _, body), request in zip(first, map(plain, wanted)):
        got = json.loads(body) if request["method"] != "HEAD" else request
        got["headers"] = [[name.upper(), value] for name, value in got["headers"]]
        got["trailers"] = [[name.upper(), value] for name, value in got["trailers"]]
        if got != request:
            return f"is read as {got}, and should be {request}"
    return None


def main():
    folder, address = pathlib.Path(sys.argv[1]), sys.argv[2]
    count = 0
    for kind in ["valid", "invalid"]:
        for path in sorted((folder / kind).glob("*.http")):
            if any(part in path.name for part in LEFT_OUT):
                continue
            count += 1
            wrong = answers(address, path, kind)
            name = f"{kind}/{path.stem}"
            if (wrong is not None) != (name in DEVIATIONS):
                print(name, wrong, content(path)[:200])
    if count < 100:
        print(f"the corpus has only {count} requests")


main()
