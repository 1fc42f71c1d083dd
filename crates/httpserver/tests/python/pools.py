"""Clients that keep their connections meet a server that closes idle ones. Each pauses for a time around the timeout. What is
safe to send again must never fail; what is not must not fail while the timeout is clearly not over."""

import http.client
import sys
import threading
import time

import urllib3

ROUNDS = 3
# Below the timeout by this much, a connection is open, in seconds.
MARGIN = 0.1


def pool(address, gap, timeout, wrong):
    host, port = address.split(":")
    with urllib3.HTTPConnectionPool(host, int(port), maxsize=1, timeout=20) as connections:
        for method in ["GET", "POST"] * ROUNDS:
            try:
                answer = connections.request(method, "/", body=b"ok" if method == "POST" else None)
                if answer.status != 200:
                    wrong.append(f"urllib3, {method} after {gap:.3f} s: {answer.status}")
            except urllib3.exceptions.HTTPError as error:
                if method == "GET" or gap < timeout - MARGIN:
                    wrong.append(f"urllib3, {method} after {gap:.3f} s: {error!r}")
            time.sleep(gap)


def one(address, gap, timeout, wrong):
    client = http.client.HTTPConnection(address, timeout=20)
    for method in ["GET", "POST"] * ROUNDS:
        try:
            client.request(method, "/", body=b"ok" if method == "POST" else None)
            answer = client.getresponse()
            answer.read()
            if answer.status != 200:
                wrong.append(f"http.client, {method} after {gap:.3f} s: {answer.status}")
        except (http.client.RemoteDisconnected, ConnectionError) as error:
            # It does not look whether the server has closed.
            client.close()
            if gap < timeout - MARGIN:
                wrong.append(f"http.client, {method} after {gap:.3f} s: {error!r}")
        time.sleep(gap)
    client.close()


def main():
    address, timeout = sys.argv[1], float(sys.argv[2])
    # From 0 to 20 ms beyond, most of them within 20 ms.
    gaps = [0, timeout / 3, timeout / 2] + [timeout + step / 1000 for step in range(-20, 21)]
    wrong = []
    threads = [
        threading.Thread(target=client, args=(address, gap, timeout, wrong)) for gap in gaps for client in [pool, one]
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for line in wrong:
        print(line)


main()
