//! Who may do what: every route of a running server with every wrong credential.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::{env, thread};

use support::Server;

mod support;

const ROUTES: [(&str, &str); 9] = [
    ("GET", "/"),
    ("GET", "/page.html"),
    ("GET", "/api/hello"),
    ("GET", "/api/progress"),
    ("POST", "/api/run"),
    ("POST", "/api/check"),
    ("POST", "/api/events"),
    ("POST", "/api/block"),
    ("POST", "/api/slow"),
];

#[test]
fn every_route_refuses_every_wrong_credential() {
    let server = Server::start();
    let [host, origin] = ["", "http://"].map(|scheme| format!("{scheme}127.0.0.1:{}", server.port));
    let other_port = format!("http://127.0.0.1:{}", server.port + 1);
    let (token, old) = (
        ("X-Workbook-Token", server.token.as_str()),
        ("X-Workbook-Token", "0123456789abcdef0123456789abcdef"),
    );
    let (host, json) = (("Host", host.as_str()), ("Content-Type", "application/json"));
    for (method, path) in ROUTES {
        let is_private = path.starts_with("/api/") && path != "/api/hello";
        // None of these bodies is anything that a route takes, so nothing would start.
        let status = |fields: &[(&str, &str)]| server.ask(method, path, fields, "[").status;
        let good = if method == "POST" { 400 } else { 200 };
        assert_eq!(status(&[host, token, json, ("Origin", &origin)]), good, "{path}: all is right");
        for foreign in ["evil.example", "127.0.0.1", "localhost:1"] {
            assert_eq!(status(&[("Host", foreign), token, json]), 421, "{path}: the host {foreign}");
        }
        for foreign in ["http://evil.example", "null", "https://127.0.0.1", &other_port] {
            assert_eq!(
                status(&[host, token, json, ("Origin", foreign)]),
                403,
                "{path}: the origin {foreign}"
            );
        }
        for site in ["cross-site", "same-site"] {
            assert_eq!(status(&[host, token, json, ("Sec-Fetch-Site", site)]), 403, "{path}: {site}");
        }
        let refused = if is_private { 401 } else { good };
        assert_eq!(status(&[host, json]), refused, "{path}: no token");
        assert_eq!(status(&[host, json, old]), refused, "{path}: a token of another start");
        assert_eq!(status(&[token, json]), 400, "{path}: no host");
        if method == "POST" {
            assert_eq!(status(&[host, token, ("Content-Type", "text/plain")]), 415, "{path}: a form's type");
            assert_eq!(server.ask("GET", path, &[host, token, json], "").status, 405, "{path}: GET");
        }
        let preflight = [host, ("Origin", &origin), ("Access-Control-Request-Method", "POST")];
        let answer = server.ask("OPTIONS", path, &preflight, "");
        assert_eq!(answer.status, 405, "{path}: OPTIONS");
        assert!(!answer.head.to_ascii_lowercase().contains("access-control"), "{path}: {}", answer.head);
    }
}

#[test]
fn every_answer_says_what_the_browser_may_do_with_it() {
    let server = Server::start();
    let host = format!("127.0.0.1:{}", server.port);
    let paths = [
        "/",
        "/page.html",
        "/nothing.html",
        "/api/hello",
        "/api/progress",
        "/api/nothing",
        "/%2e%2e/list.json",
    ];
    for path in paths {
        let answer = server.ask("GET", path, &[("Host", &host)], "");
        for (name, value) in [
            ("X-Content-Type-Options", "nosniff"),
            ("X-Frame-Options", "DENY"),
            ("Referrer-Policy", "no-referrer"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Cross-Origin-Opener-Policy", "same-origin"),
        ] {
            assert_eq!(answer.field(name), Some(value), "{path}: {}", answer.head);
        }
        let policy = answer.field("Content-Security-Policy").expect("a policy");
        for part in ["default-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "script-src 'self'"] {
            assert!(policy.contains(part), "{path}: {part} in {policy}");
        }
        let script = policy.split("script-src").nth(1).expect("the sources of scripts");
        assert!(!script.contains("unsafe"), "{path}: {policy}");
        assert!(!answer.head.contains("Access-Control"), "{path}: {}", answer.head);
        assert!(
            !answer.head.contains("Set-Cookie"),
            "{path}: a cookie would go to every port of this machine"
        );
    }
}

#[test]
fn a_request_that_the_guard_never_sees_has_these_fields_in_its_answer() {
    let server = Server::start();
    let host = format!("127.0.0.1:{}", server.port);
    let long = "x".repeat(20 * 1024);
    for (method, path, fields, status) in [
        ("GET", "/", vec![("Host", "a b")], 400),
        ("GET", "not-a-path", vec![("Host", host.as_str())], 400),
        ("GET", "/", vec![("Host", host.as_str()), ("x", &long)], 431),
        ("POST", "/api/run", vec![("Host", host.as_str()), ("Expect", "much")], 417),
    ] {
        let answer = server.ask(method, path, &fields, "");
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.head);
        for (name, value) in [
            ("X-Content-Type-Options", "nosniff"),
            ("X-Frame-Options", "DENY"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
        ] {
            assert_eq!(answer.field(name), Some(value), "{status}: {}", answer.head);
        }
        let policy = answer.field("Content-Security-Policy").unwrap_or_default();
        assert!(policy.contains("default-src 'self'"), "{status}: {}", answer.head);
    }
}

#[test]
fn a_file_of_the_book_is_never_a_route() {
    let server = Server::start();
    let host = format!("127.0.0.1:{}", server.port);
    // The folder has a file api/run.
    assert_eq!(server.ask("GET", "/api/run", &[("Host", &host)], "").status, 405);
    for path in [
        "/../list.json",
        "/%2e%2e/list.json",
        "/..%2flist.json",
        "/html/../../list.json",
        "//list.json",
        "/tool",
    ] {
        let mut answer = server.ask("GET", path, &[("Host", &host)], "");
        assert!((400..500).contains(&answer.status), "{path}: {}", answer.status);
        assert!(!answer.rest().contains("experiments"), "{path}: a file outside of the book");
    }
}

#[test]
fn root_is_refused_unless_it_is_said() {
    if !nix::unistd::geteuid().is_root() {
        testing::skip!("this is not root");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let output = support::command(&folder).stderr(std::process::Stdio::piped()).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("--as-root") && said.contains("ordinary user"), "{said}");
    assert!(output.stdout.is_empty(), "no address is printed");
}

/// Every user of this machine can read the command line of every process. The stand-in for `xdg-open` says what it was given, and in
/// which process group it is.
#[test]
fn the_browser_is_opened_with_a_file_that_only_its_owner_can_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let opener = folder.path().join("xdg-open");
    let script = "#!/bin/sh\necho \"$@\" > \"$SAID.new\"; cut -d' ' -f5 /proc/$$/stat >> \"$SAID.new\"; mv \"$SAID.new\" \"$SAID\"\n";
    fs::write(&opener, script).expect("a program");
    fs::set_permissions(&opener, Permissions::from_mode(0o755)).expect("a program");
    let said = folder.path().join("said");
    let server = Server::start_opening(|command| {
        let path = format!("{}:{}", folder.path().display(), env::var("PATH").unwrap_or_default());
        command.env("PATH", path).env("SAID", &said).env("DISPLAY", ":99").env_remove("CI");
    });
    while !said.exists() {
        thread::yield_now();
    }
    let text = fs::read_to_string(&said).expect("what it was given");
    let (given, group) = text.split_once('\n').expect("two lines");
    assert!(!given.contains(&server.token), "the token is on a command line: {given}");
    let mode = fs::metadata(given).expect("a file").mode();
    assert_eq!(mode & 0o777, 0o600, "{given}: others can read the token");
    let page = fs::read_to_string(given).expect("a page");
    let address = format!("http://127.0.0.1:{}/#t={}", server.port, server.token);
    assert!(page.contains(&format!("url={address}\"")), "it leads to the address: {page}");
    let own = nix::unistd::getpgid(None).expect("a group").to_string();
    assert_ne!(group.trim(), own, "Ctrl-C in the terminal would end the browser, too");
}
