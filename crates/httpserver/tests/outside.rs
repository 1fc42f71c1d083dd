//! Clients that we did not write: curl and Python's http.client, where they are installed. Each test is skipped, with the
//! reason, where its tool is missing.

#[path = "support/mod.rs"]
mod connections;
#[path = "support/files.rs"]
mod support;

use std::fs;
use std::process::{Command, Stdio};

use connections::serving::Serving;
use httpserver::{EventStream, Reply, Request, Response};
use ioloop::IoLoop;
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
fn curl_sends_a_body_without_a_wait_and_asks_in_parallel() {
    testing::needs!(loopback);
    let server = Serving::start(|| {
        |_: &IoLoop, request: &Request, reply: Reply| {
            reply.send(Response::text(200, format!("{} bytes", request.body().len())));
        }
    });
    let url = format!("http://{}/", server.address);
    let fixed = ["-sS", "--noproxy", "*", "--max-time", "20"];
    let folder = tempfile::TempDir::new_in(testing::machine::temporary_folder().expect("a folder")).unwrap();
    let body = folder.path().join("body");
    fs::write(&body, vec![b'x'; 1024 * 1024]).unwrap();
    let from_file = format!("@{}", body.display());
    // It waits for 100 Continue for that long if none comes.
    for args in [
        &[
            "--data-binary",
            &*from_file,
            "-H",
            "Expect: 100-continue",
            "--expect100-timeout",
            "15",
            "--max-time",
            "10",
        ][..],
        &["-T", body.to_str().unwrap(), "-H", "Transfer-Encoding: chunked"],
    ] {
        let Some(printed) = run("curl", &[&fixed, args, &[&*url]].concat()) else { return };
        assert_eq!(printed, "1048576 bytes", "curl {args:?}");
    }
    let many: Vec<String> = (0..40).map(|number| format!("{url}{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let printed =
        run("curl", &[&fixed, &["-Z", "--parallel-max", "8"][..], &many].concat()).expect("curl is there");
    assert_eq!(printed, "0 bytes".repeat(40));
    let counters = server.counters();
    assert!(counters.accepted <= 2 + 8, "{} connections for 42 requests, 8 at a time", counters.accepted);
}

#[test]
fn curl_reads_events_as_they_come_and_speaks_over_a_unix_socket() {
    testing::needs!(loopback);
    let folder = tempfile::TempDir::new_in(testing::machine::temporary_folder().expect("a folder")).unwrap();
    let path = folder.path().join("socket");
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("a path that is free");
    listener.set_nonblocking(true).expect("a socket can be nonblocking");
    let server = Serving::start(|| {
        |ioloop: &IoLoop, _: &Request, reply: Reply| {
            let stream = EventStream::new(ioloop, reply).expect("its fields are valid");
            let _ = stream.send("hello", "1", "first").and_then(|_| stream.send("hello", "2", "second"));
        }
    });
    server.within(|ioloop, server| server.add_sockets(ioloop, vec![listener])).expect("a listening socket");
    let url = format!("http://{}/", server.address);
    for args in [&["-N", &*url][..], &["--unix-socket", path.to_str().unwrap(), "http://a/"]] {
        let Some(printed) = run("curl", &[&["-sS", "--noproxy", "*", "--max-time", "20"], args].concat())
        else {
            return;
        };
        let (first, second) = (printed.find("data: first"), printed.find("data: second"));
        assert!(first.is_some() && first < second, "curl {args:?} prints {printed:?}");
    }
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
