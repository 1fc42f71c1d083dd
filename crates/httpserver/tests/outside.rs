//! Clients that we did not write: curl, Python's http.client and h11, where they are installed. Each test is skipped, with the
//! reason, where its tool is missing.

#[path = "support/files.rs"]
mod support;

use std::fs;
use std::process::{Command, Stdio};

use support::{Served, TWENTY_SIX};

testing::begin!();

/// Runs a program; `None` if it is not installed. Otherwise what it printed: it must have exited with 0.
#[track_caller]
fn run(program: &str, args: &[&str]) -> Option<String> {
    let output = match Command::new(program).args(args).stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(error) => {
            testing::skipped(format_args!("{program} cannot be run: {error}"));
            return None;
        }
    };
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {args:?}: {}\n{out}\n{err}", output.status);
    Some(out.into_owned())
}

/// What curl prints for a target: the body, then a line with the status and the number of connections that were made.
#[track_caller]
fn curl(served: &Served, target: &str, args: &[&str]) -> Option<String> {
    let url = served.url(target);
    let fixed = ["-sS", "--noproxy", "*", "--max-time", "20", "-w", "\n%{http_code} %{num_connects}"];
    run("curl", &[&fixed, args, &[&url]].concat())
}

/// Runs curl with each row's arguments on `/robots.txt`, and compares the body and the status.
fn rows(rows: &[(&[&str], &str, u16)]) {
    testing::needs!(loopback);
    let served = Served::new();
    for (args, body, status) in rows {
        let Some(printed) = curl(&served, "/robots.txt", args) else { return };
        assert_eq!(printed, format!("{body}\n{status} 1"), "curl {args:?}");
    }
}

#[test]
fn curl_gets_a_file_in_both_versions() {
    rows(&[
        (&["-0"], TWENTY_SIX, 200),
        (&["--http1.1"], TWENTY_SIX, 200),
        (&["--compressed"], TWENTY_SIX, 200),
    ]);
}

#[test]
fn curl_gets_ranges() {
    rows(&[
        (&["-r", "0-0"], "U", 206),
        (&["-r", "-1"], "\n", 206),
        (&["-r", "5-"], &TWENTY_SIX[5..], 206),
        (&["-r", "999999-"], "The file has 26 bytes.\n", 416),
        (&["-r", "0-1,5-6"], TWENTY_SIX, 200),
    ]);
}

#[test]
fn curl_reads_slowly() {
    rows(&[(&["--limit-rate", "1k"], TWENTY_SIX, 200)]);
}

#[test]
fn curl_reuses_its_connection() {
    testing::needs!(loopback);
    let served = Served::new();
    let again = served.url("/a/");
    let Some(printed) = curl(&served, "/robots.txt", &["--http1.1", &again]) else { return };
    assert!(printed.ends_with("200 0"), "the second request needed a connection of its own: {printed:?}");
    let Some(printed) = curl(&served, "/robots.txt", &["-I", &again]) else { return };
    assert!(printed.ends_with("200 0"), "after a HEAD the connection is not used again: {printed:?}");
}

#[test]
fn curl_resumes_a_file_that_was_cut() {
    testing::needs!(loopback);
    let served = Served::new();
    let part = served.root.join("part");
    fs::write(&part, &TWENTY_SIX[..7]).unwrap();
    let part = part.to_str().unwrap();
    if curl(&served, "/robots.txt", &["-C", "-", "-o", part]).is_some() {
        assert_eq!(fs::read_to_string(part).unwrap(), TWENTY_SIX);
    }
}

#[test]
fn curl_asks_whether_a_file_has_changed() {
    testing::needs!(loopback);
    let served = Served::new();
    let tag = served.root.parent().unwrap().join("tag");
    let tag = tag.to_str().unwrap();
    let Some(printed) = curl(&served, "/robots.txt", &["--etag-save", tag]) else { return };
    assert_eq!(printed, format!("{TWENTY_SIX}\n200 1"));
    assert_eq!(curl(&served, "/robots.txt", &["--etag-compare", tag]).as_deref(), Some("\n304 1"));
    let file = served.root.join("robots.txt");
    assert_eq!(curl(&served, "/robots.txt", &["-z", file.to_str().unwrap()]).as_deref(), Some("\n304 1"));
}

#[test]
fn curl_does_not_leave_the_root() {
    testing::needs!(loopback);
    let served = Served::new();
    for target in ["/../secret", "/../../etc/passwd", "/%2e%2e/secret", "/..%2fsecret", "/a/../../secret"] {
        let Some(printed) = curl(&served, target, &["--path-as-is"]) else { return };
        assert!(printed.ends_with("404 1") && !printed.contains("outside"), "{target}: {printed}");
    }
}

#[test]
fn curl_is_refused_an_upload() {
    testing::needs!(loopback);
    let served = Served::new();
    let body = served.root.parent().unwrap().join("body");
    fs::write(&body, vec![b'x'; 512 * 1024]).unwrap();
    let from_file = format!("@{}", body.display());
    let rows: [&[&str]; 3] = [
        &["--data-binary", &from_file],
        &["--data-binary", &from_file, "-H", "Expect: 100-continue", "--expect100-timeout", "10"],
        &["-T", body.to_str().unwrap(), "-H", "Transfer-Encoding: chunked"],
    ];
    for args in rows {
        let Some(printed) = curl(&served, "/robots.txt", &[args, &["--max-time", "5"]].concat()) else {
            return;
        };
        assert!(printed.ends_with("405 1"), "curl {args:?} prints {printed:?}");
    }
}

#[test]
fn curl_asks_for_the_options_of_the_server() {
    testing::needs!(loopback);
    let served = Served::new();
    let Some(printed) = curl(&served, "/", &["-X", "OPTIONS", "--request-target", "*"]) else { return };
    assert!(printed.ends_with("405 1"), "{printed}");
}

#[test]
fn python_reuses_its_connection() {
    testing::needs!(loopback);
    let served = Served::new();
    let script = "
import http.client, sys
client = http.client.HTTPConnection(sys.argv[1], timeout=20)
client.connect()
first = client.sock
for method, path, status in [('GET', '/robots.txt', 200), ('HEAD', '/', 200), ('GET', '/x', 404), ('GET', '/a', 301), ('GET', '/a/', 200)] * 20:
    client.request(method, path)
    response = client.getresponse()
    response.read()
    assert response.status == status, (method, path, response.status)
    assert client.sock is first, 'the connection was closed after ' + path
print('done')";
    if let Some(printed) = run("python3", &["-c", script, &served.authority()]) {
        assert_eq!(printed, "done\n");
    }
}

#[test]
fn h11_parses_every_response_byte_by_byte() {
    testing::needs!(loopback);
    // A Python of the user's own often comes before that of the distribution, which has the package.
    let has_h11 = |python: &&str| {
        Command::new(python).args(["-c", "import h11"]).output().is_ok_and(|output| output.status.success())
    };
    let Some(python) = ["python3", "/usr/bin/python3"].into_iter().find(has_h11) else {
        testing::skip!("there is no python3 with h11");
    };
    let served = Served::new();
    let script = "
import h11, socket, sys
host, port = sys.argv[1].split(':')
for method, target, fields in [
    ('GET', '/robots.txt', []), ('HEAD', '/robots.txt', []), ('GET', '/x', []), ('HEAD', '/x', []), ('GET', '/a', []),
    ('GET', '/robots.txt', [('Range', 'bytes=0-4')]), ('GET', '/robots.txt', [('Range', 'bytes=99-')]), ('GET', '/empty', []),
    ('GET', '/robots.txt', [('If-None-Match', '*')]), ('GET', '/robots.txt', [('If-Match', '\"x\"')]), ('POST', '/', []), ('GET', '/%00', []),
]:
    connection = h11.Connection(h11.CLIENT)
    peer = socket.create_connection((host, int(port)), 20)
    peer.sendall(connection.send(h11.Request(method=method, target=target, headers=[('Host', 'h'), ('Connection', 'close')] + fields)))
    connection.send(h11.EndOfMessage())
    ended = False
    while True:
        byte = peer.recv(1)
        connection.receive_data(byte)
        event = connection.next_event()
        while event is not h11.NEED_DATA and not isinstance(event, h11.ConnectionClosed) and event is not h11.PAUSED:
            ended |= isinstance(event, h11.EndOfMessage)
            event = connection.next_event()
        if not byte:
            break
    assert ended, (method, target, 'has no end')
    assert connection.trailing_data[0] == b'', (method, target, connection.trailing_data)
print('done')";
    if let Some(printed) = run(python, &["-c", script, &served.authority()]) {
        assert_eq!(printed, "done\n");
    }
}
