//! What requests are accepted and refused: what httparse permits and this server does not, and requests that others have
//! read in two ways. Each case is held without a socket and over one, split in several ways, and has the same answer each time.

mod support;

use std::sync::LazyLock;
use std::time::Duration;

use httpserver::Limits;
use support::client::Client;
use support::serving::Serving;
use support::split::Split;
use support::talk::{echo, talk_with};

testing::begin!();

static SERVER: LazyLock<Serving> = LazyLock::new(Serving::echo);

/// The statuses of the responses to these bytes, and what the application got. Each way of splitting, with and without a socket, has
/// the same.
#[track_caller]
fn answers(bytes: impl AsRef<[u8]>) -> (Vec<u16>, Vec<String>) {
    let bytes = bytes.as_ref();
    let seen = talk_with(bytes, &Limits::default(), &echo);
    let mut methods: Vec<&str> = seen.requests.iter().filter_map(|words| words.split(' ').next()).collect();
    if methods.is_empty() && bytes.starts_with(b"HEAD ") {
        methods.push("HEAD");
    }
    let statuses: Vec<u16> = seen.responses(&methods).iter().map(|got| got.status).collect();
    for split in [Split::Whole, Split::Bytes, Split::Lines, Split::Random(7)] {
        let mut client = Client::connect(SERVER.address);
        client.send_split(bytes, split);
        client.end();
        assert_eq!(
            undated(&client.rest()),
            undated(&seen.out),
            "over a socket, split as {split:?}, `{}` has another answer (left) than without one (right)",
            bytes.escape_ascii()
        );
    }
    (statuses, seen.requests)
}

/// Responses without their dates.
fn undated(out: &[u8]) -> String {
    let text = out.escape_ascii().to_string();
    let mut parts = text.split("Date: ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| all + part.split_once("GMT").map_or(part, |(_, rest)| rest))
}

/// A request with these lines after the Host.
fn with(lines: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
}

/// Each of these, with the request to `/smuggled` behind it, is refused with this status, and that request does not run.
#[track_caller]
fn refused<T: AsRef<[u8]>>(status: u16, cases: impl IntoIterator<Item = T>) {
    for case in cases {
        let case = case.as_ref();
        let bytes = [case, b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
        let (statuses, requests) = answers(&bytes);
        assert_eq!(
            (statuses, requests),
            (vec![status], vec![]),
            "`{}` must be refused, with one response and no request",
            case.escape_ascii()
        );
    }
}

/// Each of these runs, with this answer, and so does the request behind it.
#[track_caller]
fn accepted<T: AsRef<[u8]>>(cases: impl IntoIterator<Item = (T, &'static str)>) {
    for (case, words) in cases {
        let case = case.as_ref();
        let (statuses, requests) = answers([case, b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"].concat());
        assert_eq!(
            (statuses, requests),
            (vec![200, 200], vec![words.to_owned(), "GET /next".to_owned()]),
            "`{}` must be accepted, and so must the request behind it",
            case.escape_ascii()
        );
    }
}

// What httparse permits, and this server does not

#[test]
fn a_bare_line_feed_is_refused_wherever_it_is() {
    refused(
        400,
        [
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nx: y\nz: w\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\n",
            "GET / HTTP/1.1\nHost: a\n\n",
            "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            // Refused before the method is known, so the refusal has a body, however much came at once.
            "\nHEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
            "HEAD / HTTP/1.1\r\nHost: a\n\r\n",
        ],
    );
}

#[test]
fn one_empty_line_may_precede_a_request_and_no_more() {
    accepted([("\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n", "GET /a")]);
    accepted([("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx\r\n", "POST /a x")]);
    refused(400, ["\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"]);
}

#[test]
fn a_malformed_line_of_the_head_is_refused() {
    refused(
        400,
        [
            &b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
            b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
            b" GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /\r\nHost: a\r\n\r\n",
            b"GET / http/1.1\r\nHost: a\r\n\r\n",
            b"GET / HTTP/1\r\nHost: a\r\n\r\n",
            b"GET / HTTP/11.1\r\nHost: a\r\n\r\n",
            b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nx\r\n\r\n",
            b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nx\xff: y\r\n\r\n",
            b"\x16\x03\x01\x02\x00\r\n\r\n",
        ],
    );
}

#[test]
fn continued_lines_and_control_characters_in_fields_are_refused() {
    let mut cases: Vec<Vec<u8>> = vec![
        b"GET / HTTP/1.1\r\nHost: a\r\nx: y\r\n z\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nHost: a\r\nx: y\r\n\tz\r\n\r\n".to_vec(),
    ];
    for control in (0..0x20).chain([0x7f]).filter(|byte| ![b'\t', b'\n'].contains(byte)) {
        cases.push([b"GET / HTTP/1.1\r\nHost: a\r\nx: a", &[control][..], b"b\r\n\r\n"].concat());
    }
    refused(400, cases);
    accepted([("GET /a HTTP/1.1\r\nHost: a\r\nx: a\tb\r\n\r\n", "GET /a")]);
}

#[test]
fn another_version_is_505() {
    refused(
        505,
        ["GET / HTTP/2.0\r\nHost: a\r\n\r\n", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", "PRI * HTTP/2.0\r\n\r\n"],
    );
}

#[test]
fn a_target_is_a_path_or_a_url_or_the_star_of_options() {
    accepted([
        ("GET /%7e/?q={a}|b HTTP/1.1\r\nHost: a\r\n\r\n", "GET /%7e/?q={a}|b"),
        ("GET http://b:80/x?y HTTP/1.1\r\nHost: a\r\n\r\n", "GET http://b:80/x?y"),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS *"),
    ]);
    let mut cases: Vec<Vec<u8>> = Vec::new();
    for target in [
        "x",
        "*",
        "a/b",
        "//\u{e9}",
        "/#x",
        "/<",
        "/>",
        "/\"",
        "/{",
        "/}",
        "/|",
        "/\\",
        "/^",
        "/`",
        "ftp://a/",
        "http://",
        "http:///x",
        "http://u@h/",
        "/?#",
        "http://a b/",
        "a:80",
    ] {
        cases.push(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes());
    }
    cases.push(b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n".to_vec());
    cases.push(b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n".to_vec());
    for target in ["a:80", "/", "/a", "http://a/", "*"] {
        cases.push(format!("CONNECT {target} HTTP/1.1\r\nHost: a:80\r\n\r\n").into_bytes());
    }
    refused(400, cases);
}

#[test]
fn host_is_there_once_and_is_one() {
    accepted([
        ("GET /a HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "GET /a"),
        ("GET /a HTTP/1.1\r\nhOST:\r\n\r\n", "GET /a"),
        ("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET /a"),
    ]);
    refused(
        400,
        [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: []\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a:123456\r\n\r\n",
        ],
    );
}

#[test]
fn a_malformed_host_is_an_answer_and_nothing_else() {
    arbtest::arbtest(|u| {
        let host: Vec<u8> = u.arbitrary()?;
        let host: Vec<u8> = host.into_iter().filter(|byte| !b"\r\n".contains(byte)).collect();
        let bytes = [b"GET / HTTP/1.1\r\nHost: ", &host[..], b"\r\n\r\n"].concat();
        let statuses = talk_with(bytes, &Limits::default(), &echo).statuses();
        assert!(matches!(statuses[..], [200 | 400]), "{statuses:?} for the Host `{}`", host.escape_ascii());
        Ok(())
    })
    .budget_ms(500);
}

#[test]
fn too_many_fields_are_431() {
    let fields = |count: usize| "x: y\r\n".repeat(count);
    accepted([(format!("GET /a HTTP/1.1\r\nHost: a\r\n{}\r\n", fields(99)), "GET /a")]);
    refused(431, [format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", fields(100))]);
}

#[test]
fn a_transfer_coding_with_other_spaces_is_refused() {
    refused(
        400,
        [[&b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \xa0chunked\xa0\r\n\r\n0\r\n\r\n"[..]]
            .concat()],
    );
}

#[test]
fn a_chunk_size_is_digits_and_nothing_else() {
    let head = with("Transfer-Encoding: chunked\r\n");
    for size in [
        "",
        ";a",
        "5;a\nb",
        "5;a=\0",
        "5 ",
        "5\t",
        "5;",
        "5; ",
        "+5",
        "-5",
        "0x5",
        "5_0",
        " 5",
        "5\n",
        "g",
        "00000000000000005",
        "5 5",
        "5 =",
        "5;=a",
        "5;;a",
        "5;a b",
        "5\r",
        "5;a\rb",
    ] {
        refused(400, [format!("{head}{size}\r\nhello\r\n0\r\n\r\n")]);
    }
    for size in ["5", "05", "5;a", "5;a=b", "5;a=\"b;c d\"", "5 ; a = b;c", "0000000000000005"] {
        accepted([(format!("{head}{size}\r\nhello\r\n0\r\n\r\n"), "POST / hello")]);
    }
    accepted([(
        format!("{head}a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n"),
        "POST / 01234567890123456789",
    )]);
}

#[test]
fn a_chunk_size_cannot_overflow() {
    refused(413, [format!("{}ffffffffffffffff\r\n", with("Transfer-Encoding: chunked\r\n"))]);
    let two = format!("{}1\r\nx\r\nffffffffffffffff\r\n", with("Transfer-Encoding: chunked\r\n"));
    refused(413, [two]);
}

#[test]
fn a_limit_may_be_the_largest_number() {
    testing::needs!(loopback);
    let limits = Limits {
        head: usize::MAX,
        target: usize::MAX,
        fields: usize::MAX,
        body: u64::MAX,
        chunk_overhead: usize::MAX,
        head_time: Duration::MAX,
        body_time: Duration::MAX,
        body_rate: u64::MAX,
        idle_time: Duration::MAX,
        write_time: Duration::MAX,
        linger_time: Duration::MAX,
        linger_bytes: u64::MAX,
        connections: usize::MAX,
        pipelined: usize::MAX,
        queued: usize::MAX,
    };
    let long = format!("/{}", "x".repeat(20 * 1024));
    let fields = "x: y\r\n".repeat(20_000);
    let head = format!("POST {long} HTTP/1.1\r\nHost: a\r\n{fields}Transfer-Encoding: chunked\r\n\r\n");
    let request = format!("{head}1\r\nx\r\n0\r\nt: u\r\n\r\n");
    let seen = talk_with(&request, &limits, &echo);
    assert_eq!(seen.requests, [format!("POST {long} x t=u")], "the largest number means no limit");
    let server = Serving::with(limits, |server| server, || support::serving::echo);
    let mut client = Client::connect(server.address);
    client.send(&request);
    assert_eq!(client.response().status, 200, "over a socket too");
}

#[test]
fn a_target_that_is_longer_than_a_head_may_be_has_one_answer() {
    for (target, status) in [(8 * 1024, 431), (500, 414)] {
        let limits = Limits { head: 1000, target, ..Limits::default() };
        // In each split it has the same one.
        let seen =
            talk_with(format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(9000)), &limits, &echo);
        assert_eq!(seen.statuses(), [status], "a target of {target} bytes and a head of 1000 are permitted");
    }
}

// Bugs of others, by the kinds of the list

#[test]
fn kind_1_length_and_coding_together_repeated_or_disguised() {
    refused(
        400,
        [
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
            "Transfer-Encoding : chunked\r\n",
            "Transfer-Encoding: chunked, chunked\r\n",
            "Transfer-Encoding: ,chunked\r\n",
            "Transfer-Encoding: chunked;x=1\r\n",
            "Transfer-Encoding: chunked, identity\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: \"chunked\"\r\n",
            "Transfer-Encoding:\r\n",
            "Transfer-Encoding:\x0bchunked\r\n",
            "Transfer-Encoding: chun\r\n ked\r\n",
        ]
        .map(|lines| format!("{}0\r\n\r\n", with(lines))),
    );
    refused(
        400,
        ["POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    );
    refused(501, [format!("{}0\r\n\r\n", with("Transfer-Encoding: gzip, chunked\r\n"))]);
    accepted([(format!("{}1\r\nx\r\n0\r\n\r\n", with("transfer-ENCODING: Chunked\r\n")), "POST / x")]);
}

#[test]
fn kind_2_lengths_are_digits_and_not_what_int_reads() {
    let lengths = [
        "+5",
        "-1",
        "1_0",
        "0x5",
        "5.0",
        "5 5",
        "5,5",
        "5, 5",
        "",
        "5;",
        "\t",
        "18446744073709551616",
        "1e1",
        "five",
    ];
    refused(400, lengths.map(|length| format!("{}hello", with(&format!("Content-Length: {length}\r\n")))));
    refused(400, [format!("{}hello", with("Content-Length: 5\r\nContent-Length: 5\r\n"))]);
    refused(400, [format!("{}hello", with("Content-Length: 1\r\nContent-Length: 5\r\n"))]);
    accepted([(format!("{}hello", with("Content-Length: 005\r\n")), "POST / hello")]);
    accepted([(format!("{}hello", with("Content-Length: \t5 \r\n")), "POST / hello")]);
}

#[test]
fn kind_4_chunk_extensions_are_counted_and_small_chunks_are_joined() {
    let head = with("Transfer-Encoding: chunked\r\n");
    refused(400, [format!("{head}1;a={}\r\nx\r\n0\r\n\r\n", "b".repeat(17 * 1024))]);
    let many = format!("1;a={}\r\nx\r\n", "b".repeat(1000)).repeat(17);
    refused(400, [format!("{head}{many}0\r\n\r\n")]);
    refused(400, [format!("{head}0\r\nx: {}\r\n\r\n", "y".repeat(17 * 1024))]);
    let small = "1\r\nx\r\n".repeat(1000);
    let (statuses, requests) = answers(format!("{head}{small}0\r\n\r\n"));
    assert_eq!((statuses, requests), (vec![200], vec![format!("POST / {}", "x".repeat(1000))]));
}

#[test]
fn trailer_fields_are_checked_as_header_fields_are() {
    let head = with("Transfer-Encoding: chunked\r\n");
    for tail in [
        "x\r\n\r\n",
        "x y: z\r\n\r\n",
        "x: y\n\r\n",
        "x: y\r\n z\r\n\r\n",
        "x: \0\r\n\r\n",
        "\n",
        "x: y\rz\r\n\r\n",
    ] {
        refused(400, [format!("{head}0\r\n{tail}")]);
    }
    accepted([(format!("{head}0\r\nx: y\r\nDigest: z\r\n\r\n"), "POST / x=y Digest=z")]);
}

#[test]
fn a_trailer_field_that_belongs_into_the_head_is_refused() {
    let head = with("Transfer-Encoding: chunked\r\n");
    for name in [
        "Content-Length",
        "content-length",
        "Transfer-Encoding",
        "Host",
        "TE",
        "Trailer",
        "Connection",
        "Upgrade",
        "Expect",
        "Content-Type",
        "Content-Encoding",
        "Content-Range",
        "Authorization",
        "Cookie",
        "Cache-Control",
    ] {
        refused(400, [format!("{head}5\r\nhello\r\n0\r\nx: y\r\n{name}: 5\r\n\r\n")]);
    }
    accepted([(format!("{head}0\r\nX-Host: a\r\nTEA: b\r\n\r\n"), "POST / X-Host=a TEA=b")]);
}

#[test]
fn kind_15_a_long_head_is_431_and_a_long_target_414() {
    refused(414, [format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(8 * 1024))]);
    refused(414, ["G".repeat(20 * 1024), format!("GET /{}", "x".repeat(20 * 1024))]);
    refused(431, [format!("GET / HTTP/1.1\r\nHost: a\r\nx: {}\r\n\r\n", "y".repeat(16 * 1024))]);
    refused(431, [format!("GET / HTTP/1.1\r\nHost: a\r\nx: {}", "y".repeat(1024 * 1024))]);
    accepted([(format!("GET /a HTTP/1.1\r\nHost: a\r\nx: {}\r\n\r\n", "y".repeat(16_000)), "GET /a")]);
}

#[test]
fn bytes_of_any_kind_never_panic_and_never_depend_on_the_split() {
    arbtest::arbtest(|u| {
        let bytes: Vec<u8> = u.arbitrary()?;
        let prefix = u.choose(&[
            "",
            "GET / HTTP/1.1\r\nHost: a\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        ])?;
        talk_with([prefix.as_bytes(), &bytes].concat(), &Limits::default(), &echo);
        Ok(())
    })
    .budget_ms(1_000);
}
