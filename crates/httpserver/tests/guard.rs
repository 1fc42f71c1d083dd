//! What the guard of a server on the reader's own machine lets pass.

use httpserver::guard::{Guard, Head};

testing::begin!();

type Fields<'a> = &'a [(&'a str, &'a [u8])];

/// What the guard of port 4000 says of a request with these fields: the status, or 0. Below `/api` there are no pages.
fn status_of(method: &str, target: &str, fields: Fields<'_>) -> u16 {
    let head = Head { method, target, fields };
    Guard::new(4000)
        .check(&head, !target.starts_with("/api"))
        .map_or_else(httpserver::guard::Rule::status, |()| 0)
}

const OURS: (&str, &[u8]) = ("Host", b"127.0.0.1:4000");

#[test]
fn only_this_address_and_port_are_our_host() {
    for host in ["127.0.0.1:4000", "localhost:4000", "LOCALHOST:4000", "[::1]:4000"] {
        assert_eq!(status_of("GET", "/", &[("host", host.as_bytes())]), 0, "{host}");
    }
    let foreign = [
        "127.0.0.1",
        "localhost",
        "127.0.0.1:4001",
        "evil.example:4000",
        "127.0.0.1:4000.evil.example",
        "0.0.0.0:4000",
        "localhost.:4000",
        "user@localhost:4000",
        "",
        "127.0.0.1:04000",
        "[::1]",
        "127.0.0.1:4000,localhost:4000",
        "\u{e9}:4000",
    ];
    for host in foreign {
        assert_eq!(status_of("GET", "/", &[("Host", host.as_bytes())]), 421, "{host}");
    }
    assert_eq!(status_of("GET", "/", &[("Host", b"\xff\xfe:4000")]), 421, "bytes that are no text");
    assert_eq!(status_of("GET", "/", &[]), 400, "no host");
    assert_eq!(status_of("GET", "/", &[OURS, OURS]), 400, "two hosts");
}

#[test]
fn on_port_80_the_names_are_ours_without_a_port_too() {
    let status = |port, host: &str, origin: &str| {
        let fields = [("Host", host.as_bytes()), ("Origin", origin.as_bytes())];
        let head = Head { method: "POST", target: "/api/run", fields: &fields };
        Guard::new(port).check(&head, false).map_or_else(httpserver::guard::Rule::status, |()| 0)
    };
    for host in ["127.0.0.1", "localhost", "[::1]"] {
        let (plain, with_port) = (format!("http://{host}"), format!("http://{host}:80"));
        assert_eq!(
            status(80, host, &plain),
            0,
            "a browser leaves out the default port, so this is how it names a server on port 80: `Host: {host}`, `Origin: {plain}`"
        );
        assert_eq!(status(80, &format!("{host}:80"), &with_port), 0, "{host}, with the port");
        assert_eq!(
            status(8080, host, "http://localhost:8080"),
            421,
            "{host} is port 80, and this server has another"
        );
        assert_eq!(status(80, host, &format!("https://{host}")), 403, "https://{host} is port 443");
    }
    assert_eq!(status(80, "evil.example", "http://localhost"), 421, "another name");
    assert_eq!(status(80, "localhost", "http://evil.example"), 403, "another site");
}

#[test]
fn a_target_in_absolute_form_names_our_host_too() {
    let status = |target| status_of("GET", target, &[OURS]);
    assert_eq!(status("http://127.0.0.1:4000/"), 0);
    assert_eq!(status("http://evil.example:4000/"), 421);
    assert_eq!(status("http://127.0.0.1:4000@evil.example/"), 421);
    assert_eq!(status("/page?next=http://evil.example/"), 0, "this is a path");
}

#[test]
fn another_origin_is_refused_and_null_is_another_one() {
    for ours in ["http://127.0.0.1:4000", "http://localhost:4000"] {
        assert_eq!(status_of("POST", "/api/run", &[OURS, ("Origin", ours.as_bytes())]), 0, "{ours}");
    }
    for other in [
        "null",
        "",
        "https://127.0.0.1:4000",
        "http://127.0.0.1:4001",
        "http://evil.example",
        "http://localhost",
    ] {
        for method in ["GET", "POST", "OPTIONS"] {
            assert_eq!(
                status_of(method, "/", &[OURS, ("Origin", other.as_bytes())]),
                403,
                "{method} {other}"
            );
        }
    }
    let two = [OURS, ("Origin", b"http://localhost:4000" as &[u8]), ("Origin", b"null")];
    assert_eq!(status_of("GET", "/", &two), 403, "one of two origins");
}

#[test]
fn another_site_may_only_link_to_a_page() {
    let from = |site: &'static [u8], mode: &'static [u8], to: &'static [u8]| {
        [OURS, ("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", mode), ("Sec-Fetch-Dest", to)]
    };
    for site in [b"cross-site" as &[u8], b"same-site", b"", b"something new"] {
        assert_eq!(status_of("GET", "/", &from(site, b"navigate", b"document")), 0, "a link");
        assert_eq!(status_of("GET", "/", &from(site, b"navigate", b"iframe")), 403, "a frame");
        assert_eq!(status_of("GET", "/", &from(site, b"no-cors", b"script")), 403, "a script");
        assert_eq!(status_of("POST", "/", &from(site, b"navigate", b"document")), 403, "a form");
        assert_eq!(
            status_of("GET", "/api/progress", &from(site, b"navigate", b"document")),
            403,
            "a link to the interface"
        );
    }
    assert_eq!(status_of("POST", "/api/run", &from(b"same-origin", b"cors", b"empty")), 0);
    assert_eq!(status_of("GET", "/", &from(b"none", b"navigate", b"document")), 0, "the address bar");
}

#[test]
fn no_bytes_in_a_field_make_the_guard_panic() {
    arbtest::arbtest(|u| {
        let names = ["Host", "Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode", "hOST"];
        let values: Vec<(usize, Vec<u8>)> = u.arbitrary()?;
        let fields: Vec<(&str, &[u8])> =
            values.iter().map(|(name, value)| (names[name % names.len()], value.as_slice())).collect();
        let target: String = u.arbitrary()?;
        let head = Head { method: "GET", target: &target, fields: &fields };
        let passed = Guard::new(4000).check(&head, true).is_ok();
        let ours: [&[u8]; 3] = [b"127.0.0.1:4000", b"localhost:4000", b"[::1]:4000"];
        let is_ours = |host: &[u8]| ours.contains(&&*host.to_ascii_lowercase());
        assert!(!passed || head.one("Host").is_some_and(is_ours));
        Ok(())
    });
}

#[test]
fn a_body_is_json_only_if_it_says_so() {
    let is_json = |fields: Fields<'_>| Head { method: "POST", target: "/", fields }.is_json();
    for json in ["application/json", "Application/JSON", "application/json; charset=utf-8"] {
        assert!(is_json(&[OURS, ("content-type", json.as_bytes())]), "{json}");
    }
    for other in [
        "text/plain",
        "text/plain; application/json",
        "application/json; boundary=x",
        "application/jsonx",
        "",
    ] {
        assert!(!is_json(&[OURS, ("Content-Type", other.as_bytes())]), "{other}: a form can send it");
    }
    let json: (&str, &[u8]) = ("Content-Type", b"application/json");
    assert!(!is_json(&[OURS]), "no type");
    assert!(!is_json(&[OURS, json, json]), "two types");
}
