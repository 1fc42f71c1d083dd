//! Exercise `httpserver/connection`: from bytes to requests and back, without a socket. Each conversation is held six
//! times, with the bytes split in six ways, and must be the same each time.

mod support;

use std::cell::Cell;
use std::rc::Rc;

use httpserver::{Connection, Limits, Next, Phase, Request, Response};
use support::split::Split;
use support::talk::{Answer, DATE, Talk, echo, talk, talk_with};

testing::begin!();

/// A request that has what it needs.
fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")
}

/// Limits with a body of at most this many bytes.
fn limits(body: u64) -> Limits {
    Limits { body, ..Limits::default() }
}

#[test]
fn a_request_gets_its_response() {
    let seen = talk(get("/a?b"));
    assert_eq!(seen.requests, ["GET /a?b"]);
    let responses = seen.responses(&[]);
    assert_eq!(
        responses.len(),
        1,
        "one request was sent, and these bytes came back: {}",
        seen.out.escape_ascii()
    );
    let got = &responses[0];
    assert_eq!((got.status, got.text()), (200, "GET /a?b"));
    assert_eq!(got.field("Date"), Some(DATE));
    assert_eq!(
        got.field("Connection"),
        None,
        "HTTP/1.1 stays open by default, so the response to a client that did not ask for anything else says nothing"
    );
}

#[test]
fn requests_that_come_together_are_answered_in_order() {
    let seen = talk([get("/1"), get("/2"), get("/3")].concat());
    assert_eq!(seen.requests, ["GET /1", "GET /2", "GET /3"]);
    let texts: Vec<String> = seen.responses(&[]).iter().map(|got| got.text().to_owned()).collect();
    assert_eq!(
        texts,
        ["GET /1", "GET /2", "GET /3"],
        "three requests that arrive at once need three responses, in their order. Do you read on after a response?"
    );
}

#[test]
fn the_next_request_waits_until_the_response_is_complete() {
    let mut connection = Connection::new(Rc::new(Limits::default()));
    let mut request = Request::default();
    connection.receive([get("/1"), get("/2")].concat().as_bytes());
    assert_eq!(connection.next(&mut request), Next::Request);
    assert_eq!(
        connection.next(&mut request),
        Next::More,
        "the response to /1 is owed. If /2 ran now, its response could overtake that of /1"
    );
    assert_eq!((request.target(), connection.phase()), ("/1", Phase::Owed));
    let mut out = Vec::new();
    connection.start(&Response::new(200), DATE, &mut out);
    assert_eq!((connection.next(&mut request), connection.phase()), (Next::More, Phase::Streaming));
    connection.finish(&mut out);
    assert_eq!(connection.next(&mut request), Next::Request);
    assert_eq!(request.target(), "/2", "the response to /1 is complete, so /2 is next");
}

#[test]
fn a_body_ends_after_its_length() {
    let seen = talk(format!("POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello{}", get("/2")));
    assert_eq!(
        seen.requests,
        ["POST /1 hello", "GET /2"],
        "the body of /1 has 5 bytes, and what follows is the next request"
    );
}

#[test]
fn a_length_of_zero_is_no_body() {
    let seen = talk(format!("POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n{}", get("/2")));
    assert_eq!(seen.requests, ["POST /1", "GET /2"]);
}

#[test]
fn a_chunked_body_ends_after_its_last_chunk_and_trailer() {
    let body = "5\r\nhello\r\n1;a=b\r\n \r\n5\r\nworld\r\n0\r\nx: y\r\n\r\n";
    let seen =
        talk(format!("POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}{}", get("/2")));
    assert_eq!(seen.requests, ["POST /1 hello world x=y", "GET /2"]);
}

#[test]
fn the_body_of_one_request_is_not_left_for_the_next() {
    let one = "POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nt: u\r\n\r\n";
    let two = "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\ny";
    let seen = talk([one, two, &get("/3")].concat());
    assert_eq!(
        seen.requests,
        ["POST /1 x t=u", "POST /2 y", "GET /3"],
        "each request has its own body and trailer"
    );
}

#[test]
fn close_in_a_request_ends_the_connection_after_its_response() {
    let seen = talk(format!("GET /1 HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n{}", get("/2")));
    assert_eq!(
        seen.requests,
        ["GET /1"],
        "the client said that /1 is its last request, so /2 must not run, whatever has arrived"
    );
    assert!(seen.is_done, "nothing more is read, so the connection is done");
    assert!(seen.responses(&[])[0].closes(), "the response must say `Connection: close`, too");
}

#[test]
fn a_response_can_end_the_connection() {
    let closing = |_: &Request| Answer::Whole(Response::text(200, "x").close());
    let seen = talk_with([get("/1"), get("/2")].concat(), &Limits::default(), &closing);
    assert_eq!(
        (seen.requests.len(), seen.is_done),
        (1, true),
        "the application said that this response is the last, so the connection is done after it"
    );
    assert!(seen.responses(&[])[0].closes());
}

#[test]
fn close_after_makes_the_next_response_the_last() {
    let mut talk = Talk::new(&Limits::default(), &echo);
    talk.send(get("/1").as_bytes());
    talk.connection.close_after();
    talk.send([get("/2"), get("/3")].concat().as_bytes());
    assert_eq!(talk.seen.requests, ["GET /1", "GET /2"], "/2 was on its way and is answered, /3 is not");
    let responses = talk.seen.responses(&[]);
    assert_eq!((responses[0].closes(), responses[1].closes()), (false, true));
    assert!(talk.seen.is_done);
}

#[test]
fn close_after_holds_for_a_response_under_way() {
    for is_streaming in [false, true] {
        let mut connection = Connection::new(Rc::new(Limits::default()));
        let (mut request, mut out) = (Request::default(), Vec::new());
        connection.receive([get("/1"), get("/2")].concat().as_bytes());
        assert_eq!(connection.next(&mut request), Next::Request);
        if is_streaming {
            connection.start(&Response::new(200), DATE, &mut out);
        }
        connection.close_after();
        if is_streaming {
            connection.finish(&mut out);
        } else {
            connection.respond(&Response::new(200), DATE, &mut out);
            assert!(
                out.escape_ascii().to_string().contains("Connection: close"),
                "the server called `close_after` before this head was written, so it must say `Connection: close`"
            );
        }
        assert_eq!(
            connection.next(&mut request),
            Next::Done,
            "the server called `close_after` during the response to /1, so that is the last one, and /2 must not run"
        );
    }
}

#[test]
fn close_after_holds_while_a_body_is_read() {
    for when in [Phase::Admission, Phase::Body] {
        let mut connection = Connection::new(Rc::new(Limits::default()));
        let (mut request, mut out) = (Request::default(), Vec::new());
        connection.receive(b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\no");
        assert_eq!(connection.next(&mut request), Next::Head);
        if when == Phase::Admission {
            connection.close_after();
        }
        connection.admit(2, &mut out).expect("2 bytes are permitted");
        assert_eq!(connection.next(&mut request), Next::More);
        if when == Phase::Body {
            connection.close_after();
        }
        connection.receive([b"k", get("/2").as_bytes()].concat().as_slice());
        assert_eq!(connection.next(&mut request), Next::Request);
        connection.respond(&Response::new(200), DATE, &mut out);
        assert!(
            out.escape_ascii().to_string().contains("Connection: close"),
            "the server called `close_after` in {when:?}, so the response to this request is the last, and must say so: {}",
            out.escape_ascii()
        );
        assert_eq!(
            connection.next(&mut request),
            Next::Done,
            "the server called `close_after` in {when:?}, before the response to /1, so that is the last, and /2 must not run"
        );
    }
}

#[test]
fn http_1_0_closes_unless_the_client_asks() {
    let seen = talk("GET /1 HTTP/1.0\r\n\r\nGET /2 HTTP/1.0\r\n\r\n");
    assert_eq!(seen.requests, ["GET /1"]);
    assert!(seen.responses(&[])[0].closes());
    let seen = talk("GET /1 HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\nGET /2 HTTP/1.0\r\n\r\n");
    assert_eq!(seen.requests, ["GET /1", "GET /2"]);
    assert_eq!(
        seen.responses(&[])[0].field("Connection"),
        Some("keep-alive"),
        "a client of HTTP/1.0 that asked for keep-alive waits for the end of the connection, unless the response grants it"
    );
}

#[test]
fn head_gets_the_fields_of_get_and_no_body() {
    // A client may send an empty line before a request: RFC 9112, 2.2.
    for before in ["", "\r\n"] {
        let head = get("/1").replace("GET", "HEAD");
        let seen = talk_with([before, &head, &get("/1")].concat(), &Limits::default(), &|_| {
            Answer::Whole(Response::text(200, "body"))
        });
        assert!(
            before.is_empty() || !seen.out.windows(8).any(|bytes| bytes == b"bodyHTTP"),
            "an empty line precedes a HEAD request, which is permitted, and the response has a body. The client takes this body for \
             the beginning of the next response. Skip the empty line before you compare the method with HEAD"
        );
        let responses = seen.responses(&["HEAD", "GET"]);
        assert_eq!(responses.len(), 2, "the response to HEAD has no body: {}", seen.out.escape_ascii());
        assert_eq!(
            responses[0].fields, responses[1].fields,
            "HEAD has the same fields as GET, Content-Length included"
        );
        assert_eq!(responses[1].text(), "body");
    }
}

#[test]
fn head_gets_the_fields_of_a_stream_and_no_chunk() {
    let parts = |_: &Request| Answer::Parts(Response::new(200), vec![b"a".to_vec()]);
    let seen = talk_with([get("/").replace("GET", "HEAD"), get("/")].concat(), &Limits::default(), &parts);
    let responses = seen.responses(&["HEAD", "GET"]);
    assert_eq!(responses.len(), 2, "not even the last chunk is sent: {}", seen.out.escape_ascii());
    assert_eq!(responses[0].fields, responses[1].fields);
}

#[test]
fn head_of_http_1_0_gets_the_fields_of_a_stream_and_no_part() {
    let parts = |_: &Request| Answer::Parts(Response::new(200), vec![b"a".to_vec()]);
    let got = ["HEAD", "GET"].map(|method| {
        let request = format!("{method} / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        let seen = talk_with(request, &Limits::default(), &parts);
        assert!(seen.is_done, "the end of the connection would be the end of the body, also for {method}");
        seen.responses(&[method]).remove(0)
    });
    assert_eq!(got[0].fields, got[1].fields, "HEAD has the same fields as GET, Connection included");
}

#[test]
fn no_other_method_is_head() {
    for method in ["HEADS", "head", "HEA"] {
        let seen = talk(get("/").replace("GET", method));
        assert!(
            seen.out.ends_with(format!("\r\n\r\n{method} /").as_bytes()),
            "the response to {method} has no body. Methods are compared whole and in their case: RFC 9110, 9.1"
        );
    }
}

#[test]
fn some_statuses_have_no_body() {
    let http_1_0 = |target: &str| format!("GET {target} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    for (status, requests) in [204, 304]
        .into_iter()
        .flat_map(|status| [(status, [get("/1"), get("/2")]), (status, ["/1", "/2"].map(http_1_0))])
    {
        let seen = talk_with(requests.concat(), &Limits::default(), &|request| match request.target() {
            "/1" => Answer::Whole(Response::text(status, "body")),
            _ => Answer::Parts(Response::new(status), vec![b"part".to_vec()]),
        });
        for got in seen.responses(&[]) {
            assert_eq!(got.status, status, "after a {status} comes the next response, at once");
            let framing = (got.field("Content-Length"), got.field("Transfer-Encoding"));
            assert_eq!(framing, (None, None), "a {status} has no body, so its head must not say a length");
            assert!(got.body.is_empty(), "a {status} has no body, even if it is sent in parts to HTTP/1.0");
            let is_1_0 = requests[0].contains("HTTP/1.0");
            assert_eq!(
                got.field("Connection"),
                is_1_0.then_some("keep-alive"),
                "a response to HTTP/1.0 that is not the last says keep-alive, a {status} too"
            );
        }
    }
}

#[test]
fn an_empty_body_has_a_length() {
    let empty = |_: &Request| Answer::Whole(Response::new(200));
    let seen = talk_with([get("/1"), get("/2")].concat(), &Limits::default(), &empty);
    assert_eq!(seen.requests.len(), 2);
    assert!(
        seen.out.windows(19).filter(|line| line == b"Content-Length: 0\r\n").count() == 2,
        "a 200 has a body, even if it is empty: without a length, its client waits for the end of the connection: {}",
        seen.out.escape_ascii()
    );
}

#[test]
fn a_response_in_parts_is_chunked() {
    let parts =
        |_: &Request| Answer::Parts(Response::new(200), vec![b"bc".to_vec(), Vec::new(), vec![b'd'; 300]]);
    let seen = talk_with([get("/1"), get("/2")].concat(), &Limits::default(), &parts);
    let responses = seen.responses(&[]);
    assert_eq!(responses.len(), 2, "an empty part is no chunk: that would end the body");
    for got in responses {
        assert_eq!(got.field("Transfer-Encoding"), Some("chunked"));
        assert_eq!(got.body, format!("bc{}", "d".repeat(300)).into_bytes());
    }
}

#[test]
fn the_last_response_in_parts_says_so() {
    let closing = get("/1").replace("Host", "Connection: close\r\nHost");
    for (request, closes) in [(closing, false), (get("/1"), true)] {
        let seen = talk_with([request, get("/2")].concat(), &Limits::default(), &|_| {
            let head = Response::new(200);
            Answer::Parts(if closes { head.close() } else { head }, vec![b"a".to_vec()])
        });
        assert_eq!((seen.requests.len(), seen.is_done), (1, true), "this response is the last");
        let got = &seen.responses(&[])[0];
        assert!(
            got.closes() && got.text() == "a",
            "the head of the last response says `Connection: close`, in parts, too: {got:?}"
        );
    }
}

#[test]
fn a_response_in_parts_to_http_1_0_ends_with_the_connection() {
    let parts = |_: &Request| Answer::Parts(Response::new(200), vec![b"a".to_vec(), b"b".to_vec()]);
    let request = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    let seen = talk_with(request.repeat(2), &Limits::default(), &parts);
    assert_eq!(seen.requests.len(), 1, "the connection closes, because nothing else ends the body");
    let got = &seen.responses(&[])[0];
    assert_eq!(got.field("Transfer-Encoding"), None, "HTTP/1.0 has no chunks");
    assert_eq!((got.text(), got.closes(), seen.is_done), ("ab", true, true));
    // A request that is refused although its head could be read.
    let mut connection = Connection::new(Rc::new(Limits::default()));
    let (mut request, mut out) = (Request::default(), Vec::new());
    connection.receive(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert!(matches!(connection.next(&mut request), Next::Refused(_)), "HTTP/1.0 has no chunks");
    connection.start(&Response::new(400), DATE, &mut out);
    assert!(
        !out.windows(7).any(|bytes| bytes == b"chunked"),
        "the client of a refused request speaks HTTP/1.0, so the response in parts must not be chunked. Is the version remembered \
         before the framing is refused? {}",
        out.escape_ascii()
    );
}

#[test]
fn a_malformed_request_is_refused_and_nothing_after_it_runs() {
    for wrong in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "\nHEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let seen = talk([&get("/1"), wrong, &get("/2")].concat());
        assert_eq!(seen.requests, ["GET /1"], "`{}` must not run, nor what follows it", wrong.escape_debug());
        assert_eq!(seen.statuses(), [200, 400], "for `{}`", wrong.escape_debug());
        assert!(
            seen.responses(&[])[1].closes() && seen.is_done,
            "where the next request begins cannot be known"
        );
    }
}

#[test]
fn a_refused_head_request_gets_no_body() {
    for head in ["HEAD / HTTP/1.1\r\n\r\n", "\r\nHEAD / HTTP/1.1\r\n\r\n"] {
        let seen = talk(head);
        let responses = seen.responses(&["HEAD"]);
        assert_eq!((responses.len(), responses[0].status), (1, 400), "for `{}`", head.escape_debug());
    }
}

#[test]
fn a_refusal_of_half_a_head_request_has_no_body() {
    for half in ["HEAD / HT", "\r\nHEAD / HTTP/1.1\r\nHo"] {
        let seen = talk(half);
        assert!(
            seen.out.ends_with(b"\r\n\r\n"),
            "the client shut down its side after `{}`, and the refusal has a body. The request is HEAD, although its head is not \
             complete, so its client expects no body: {}",
            half.escape_debug(),
            seen.out.escape_ascii()
        );
        let mut talk = Talk::new(&Limits::default(), &echo);
        talk.send(half.as_bytes());
        talk.connection.refuse();
        assert!(
            !talk.connection.respond(&Response::text(408, "slow"), DATE, &mut talk.seen.out),
            "the server refused after `{}`, for example because the client was too slow, and `respond` asks for a body. The request \
             is HEAD, although its head is not complete: compare the method before you know where the head ends",
            half.escape_debug()
        );
    }
}

#[test]
fn a_refusal_after_head_has_its_body() {
    let seen = talk([&get("/1").replace("GET", "HEAD"), "GET / HTTP/1.1\n"].concat());
    let responses = seen.responses(&["HEAD", "GET"]);
    assert_eq!(responses.len(), 2);
    assert!(!responses[1].body.is_empty(), "only the request before was HEAD");
}

#[test]
fn a_request_is_incomplete_if_the_client_ends_within_it() {
    for part in
        ["G", "GET / HTTP/1.1\r\nHost: a\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx"]
    {
        let seen = talk(part);
        assert_eq!(seen.requests, [""; 0], "half a request must not run");
        assert_eq!(
            (seen.statuses(), seen.is_done),
            (vec![400], true),
            "the client ended after `{}`, so the rest of its request cannot come",
            part.escape_debug()
        );
    }
    let seen = talk("");
    assert_eq!((seen.out.len(), seen.is_done), (0, true), "a client that sent nothing gets nothing");
    let seen = talk([&get("/1"), "G"].concat());
    assert_eq!(seen.statuses(), [200, 400], "the second request is incomplete, and the first was not");
    let seen = talk([&get("/1"), "\r\n"].concat());
    assert_eq!(
        (seen.statuses(), seen.is_done),
        (vec![200], true),
        "the client ended after an empty line, which may precede a request and is no part of it. So no request is incomplete"
    );
}

#[test]
fn a_client_may_end_while_its_body_is_not_admitted_yet() {
    let mut connection = Connection::new(Rc::new(Limits::default()));
    let (mut request, mut out) = (Request::default(), Vec::new());
    connection.receive(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx");
    assert_eq!(connection.next(&mut request), Next::Head);
    connection.receive_end();
    assert!(
        connection.is_ended(),
        "the client shut down its side while the connection waited for `admit`, and `is_ended` must say so from then on"
    );
    assert_eq!(connection.admit(2, &mut out), Ok(()), "2 bytes are permitted, and `next` reads them");
    let next = connection.next(&mut request);
    assert!(
        matches!(next, Next::Refused(refusal) if refusal.status == 400),
        "the client shut down its side before the last byte of its body, while the connection waited for `admit`. That byte cannot \
         come, so the request must be refused with 400, and the result was {next:?}"
    );
}

#[test]
fn a_refusal_is_said_once() {
    let mut connection = Connection::new(Rc::new(Limits::default()));
    let mut request = Request::default();
    connection.receive(b"?\r\n\r\n");
    assert!(matches!(connection.next(&mut request), Next::Refused(_)));
    assert_eq!(
        (connection.next(&mut request), connection.phase()),
        (Next::More, Phase::Owed),
        "after `Next::Refused` its response is owed, as that of any request"
    );
}

#[test]
fn a_server_can_refuse_at_any_time() {
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx";
    for received in ["", "GET / HT", post] {
        let mut talk = Talk::new(&Limits::default(), &echo);
        talk.send(received.as_bytes());
        // A server does so when a client was too slow, or when it has too many connections.
        talk.connection.refuse();
        assert_eq!(talk.connection.phase(), Phase::Owed, "`refuse` means that a response is owed");
        let is_sent = talk.connection.respond(&Response::text(503, "no"), DATE, &mut talk.seen.out);
        assert!(is_sent, "no request is HEAD, so the response to `{}` has its body", received.escape_debug());
        talk.seen.out.extend_from_slice(b"no");
        talk.send(get("/2").as_bytes());
        assert!(
            talk.seen.responses(&[])[0].closes() && talk.seen.is_done && talk.seen.requests.is_empty(),
            "the response to `{}` is the last, even if the response does not ask to close",
            received.escape_debug()
        );
    }
}

#[test]
fn a_refusal_before_the_next_request_is_known_has_its_body() {
    for before in ["no request", "a response to HEAD", "a response to HEAD in parts"] {
        let mut connection = Connection::new(Rc::new(Limits::default()));
        let (mut request, mut out) = (Request::default(), Vec::new());
        if before != "no request" {
            connection.receive(get("/1").replace("GET", "HEAD").as_bytes());
            assert_eq!(connection.next(&mut request), Next::Request);
            if before == "a response to HEAD" {
                connection.respond(&Response::text(200, "yes"), DATE, &mut out);
            } else {
                connection.start(&Response::new(200), DATE, &mut out);
                connection.finish(&mut out);
            }
        }
        // Without a call of `next`, as when a server has too many connections.
        connection.refuse();
        assert!(
            connection.respond(&Response::text(503, "no"), DATE, &mut out),
            "after {before} the server refused, and `next` has not looked for a request since. The head of the refusal \
             announces a body. No HEAD request is waiting for its answer, so this body must be sent, or the client waits for it"
        );
    }
}

#[test]
fn a_client_that_shut_down_its_side_still_gets_its_response() {
    let mut connection = Connection::new(Rc::new(Limits::default()));
    let (mut request, mut out) = (Request::default(), Vec::new());
    let post = "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok";
    connection.receive([&get("/1"), post, &get("/3")].concat().as_bytes());
    connection.receive_end();
    for target in ["/1", "/2", "/3"] {
        if target == "/2" {
            assert_eq!(connection.next(&mut request), Next::Head);
            assert_eq!(
                connection.admit(2, &mut out),
                Ok(()),
                "all of the body is there, so its end changes nothing"
            );
        }
        assert_eq!(
            connection.next(&mut request),
            Next::Request,
            "{target} is complete, and then the client shut down its side: the end of what a client sends is not the end of its \
             interest, so each request that is complete is answered"
        );
        assert_eq!(request.target(), target);
        assert_eq!(connection.next(&mut request), Next::More);
        connection.respond(&Response::new(200), DATE, &mut out);
    }
    assert_eq!(
        connection.next(&mut request),
        Next::Done,
        "everything is answered, and nothing more can come"
    );
    assert_eq!(
        connection.phase(),
        Phase::Done,
        "`phase` must say so, too: the server closes a connection that is done"
    );
}

#[test]
fn a_body_is_read_only_if_it_is_admitted() {
    let post = "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n";
    for is_whole in [true, false] {
        let mut connection = Connection::new(Rc::new(Limits::default()));
        let (mut request, mut out) = (Request::default(), Vec::new());
        connection.receive(post.as_bytes());
        assert_eq!(
            connection.next(&mut request),
            Next::Head,
            "the application is asked before the body comes"
        );
        assert_eq!((request.target(), connection.phase()), ("/1", Phase::Admission));
        assert_eq!(
            connection.next(&mut request),
            Next::Head,
            "the server has neither admitted the body nor responded, so `next` must ask for that again"
        );
        if is_whole {
            connection.respond(&Response::new(403), DATE, &mut out);
        } else {
            connection.start(&Response::new(403), DATE, &mut out);
            connection.finish(&mut out);
        }
        connection.receive(b"abc");
        connection.receive(get("/2").as_bytes());
        assert_eq!(
            connection.next(&mut request),
            Next::Done,
            "the body was refused, so what follows may be body or request, also after a response in parts"
        );
        assert!(
            out.escape_ascii().to_string().contains("Connection: close"),
            "the body was refused, so the response is the last, and must say so: {}",
            out.escape_ascii()
        );
    }
}

#[test]
fn a_body_that_admit_refuses_is_not_read() {
    let mut connection = Connection::new(Rc::new(Limits::default()));
    let (mut request, mut out) = (Request::default(), Vec::new());
    connection.receive(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!(connection.next(&mut request), Next::Head);
    let refusal = connection.admit(2, &mut out).expect_err("3 bytes are more than 2");
    assert_eq!((refusal.status, out.len()), (413, 0));
    assert_eq!(
        (connection.next(&mut request), connection.phase()),
        (Next::More, Phase::Owed),
        "after an error of `admit` its response is owed, and the body is not asked for again"
    );
}

#[test]
fn a_body_that_is_too_long_is_413() {
    let chunked = "Transfer-Encoding: chunked\r\n\r\n";
    for (body, status) in [
        ("Content-Length: 4\r\n\r\nabcd".to_owned(), 200),
        ("Content-Length: 5\r\n\r\nabcde".to_owned(), 413),
        (format!("{chunked}2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"), 200),
        (format!("{chunked}2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n"), 413),
        (format!("{chunked}ffffffffffffffff\r\n"), 413),
    ] {
        let seen = talk_with(format!("POST / HTTP/1.1\r\nHost: a\r\n{body}"), &limits(4), &echo);
        assert_eq!(
            seen.statuses(),
            [status],
            "the limit is 4 bytes, and the request has `{}`",
            body.escape_debug()
        );
        assert_eq!(seen.responses(&[])[0].closes(), status == 413);
    }
}

#[test]
fn the_limits_of_the_connection_hold() {
    let limits = Limits { target: 5, fields: 3, chunk_overhead: 6, ..Limits::default() };
    let post = |body: &str| format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    for (request, status) in [
        (get("/2345"), 200),
        (get("/23456"), 414),
        (get("/").replace("Host", "x: y\r\nz: x\r\nHost"), 200),
        (get("/").replace("Host", "x: y\r\nz: x\r\ny: z\r\nHost"), 431),
        (post("1;a=b\r\nx\r\n0\r\n\r\n"), 200),
        (post("1;a=bcdef\r\nx\r\n0\r\n\r\n"), 400),
    ] {
        let seen = talk_with(&request, &limits, &echo);
        assert_eq!(
            seen.statuses(),
            [status],
            "`new` got limits of 5 bytes for the target, 3 fields and 6 bytes of chunk extensions, and the request is `{}`",
            request.escape_debug()
        );
    }
}

#[test]
fn the_limit_that_admit_gets_holds() {
    let mut talk = Talk::new(&limits(4), &echo);
    talk.admitted = 5;
    talk.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde");
    talk.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n");
    assert_eq!(talk.seen.statuses(), [200, 200], "`admit` was called with 5, and that counts");
}

#[test]
fn a_client_that_waits_for_it_gets_100_continue_once_its_body_is_admitted() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-Continue\r\n\r\n";
    let mut talk = Talk::new(&Limits::default(), &echo);
    talk.send(head.as_bytes());
    assert_eq!(talk.seen.out.escape_ascii().to_string(), r"HTTP/1.1 100 Continue\r\n\r\n");
    talk.send(b"ok");
    assert_eq!(talk.seen.requests, ["POST / ok"]);
    talk.send(
        [get("/2"), "POST /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx".to_owned()]
            .concat()
            .as_bytes(),
    );
    let continues = talk.seen.out.windows(12).filter(|words| words == b"100 Continue").count();
    assert_eq!((continues, talk.seen.requests.len()), (1, 3), "only the first of three requests expects it");
    // A body that arrives with its head changes nothing.
    let seen = support::talk::talk([head, "ok"].concat());
    assert_eq!((seen.requests.len(), seen.statuses()), (1, vec![200]));
}

#[test]
fn a_refusal_takes_the_place_of_100_continue() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n";
    let seen = talk_with(head, &limits(4), &echo);
    assert_eq!(seen.statuses(), [413]);
    assert!(
        !seen.out.windows(12).any(|words| words == b"100 Continue"),
        "the body is refused, so the client must not be told to send it"
    );
}

#[test]
fn http_1_0_gets_no_100_continue() {
    let seen = talk("POST / HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nok");
    assert_eq!(seen.requests, ["POST / ok"]);
    assert!(seen.out.starts_with(b"HTTP/1.1 200 "), "HTTP/1.0 has no 1xx: {}", seen.out.escape_ascii());
}

#[test]
fn another_expectation_is_417() {
    for rest in ["Content-Length: 1\r\n\r\nx", "\r\n"] {
        let seen = talk(format!("POST / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n{rest}"));
        assert_eq!(
            (seen.statuses(), seen.requests.len()),
            (vec![417], 0),
            "`Expect: tea` is refused, with a body and without"
        );
    }
}

#[test]
fn an_expectation_ends_with_its_request() {
    let expects = get("/1").replace("Host", "Expect: 100-continue\r\nHost");
    let post = "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
    let seen = talk([&expects, post].concat());
    assert_eq!(seen.requests, ["GET /1", "POST /2 x"]);
    assert!(
        !seen.out.windows(12).any(|words| words == b"100 Continue"),
        "/1 has no body, so its client waits for nothing, and /2 does not ask for 100 Continue: {}",
        seen.out.escape_ascii()
    );
}

#[test]
fn a_head_in_many_pieces_is_read_in_linear_time() {
    // Looked at from its beginning for each piece, this head takes 10^11 steps, which is far more than the time below.
    let limits = Limits { head: 700_000, ..Limits::default() };
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nx: {}\r\n\r\n", "y".repeat(600_000));
    let mut talk = Talk::new(&limits, &echo);
    let start = std::time::Instant::now();
    for (at, byte) in head.as_bytes().iter().enumerate() {
        talk.send(&[*byte]);
        assert!(
            at % 1000 > 0 || start.elapsed().as_secs() < 5,
            "after {at} of {} pieces {:?} have passed: is the head read from its beginning again for each piece?",
            head.len(),
            start.elapsed()
        );
    }
    assert_eq!(talk.seen.requests, ["GET /"]);
}

#[test]
fn after_the_end_nothing_is_kept() {
    let parts = |_: &Request| Answer::Parts(Response::new(200), vec![b"a".to_vec()]);
    for (how, answer) in [("whole", &echo as &dyn Fn(&Request) -> Answer), ("in parts", &parts)] {
        let mut talk = Talk::new(&Limits::default(), answer);
        talk.send(format!("GET / HTTP/1.0\r\n\r\n{}", get("/2")).as_bytes());
        assert_eq!(talk.connection.phase(), Phase::Done);
        for _ in 0..100 {
            talk.connection.receive(&[b'x'; 1000]);
        }
        assert_eq!(
            talk.connection.buffered(),
            0,
            "nothing is read after the last response, which was sent {how}, so nothing must be kept"
        );
    }
}

#[test]
fn an_idle_connection_has_received_no_part_of_a_request() {
    let mut talk = Talk::new(&Limits::default(), &echo);
    assert!(talk.connection.is_idle());
    talk.send(b"G");
    assert!(
        !talk.connection.is_idle(),
        "a part of a head has arrived, so the client can be too slow with the rest"
    );
    talk.send(&get("/").as_bytes()[1..]);
    assert!(talk.connection.is_idle(), "the request is answered, and none has begun");
    // As old clients send it after a body: RFC 9112, 2.2.
    talk.send(b"\r\n");
    assert!(
        talk.connection.is_idle(),
        "an empty line may precede a request, and is no part of it. If the connection does not count as idle, its client gets a 408 for \
         a request that it has not begun"
    );
    talk.send(b"G");
    assert!(!talk.connection.is_idle(), "the first byte behind the empty line begins a request");
}

#[test]
fn the_server_can_ask_what_the_connection_is_doing() {
    let mut connection = Connection::new(Rc::new(Limits::default()));
    let (mut request, mut out) = (Request::default(), Vec::new());
    let expect = |connection: &Connection, phase: Phase, buffered: usize, is_ended: bool| {
        assert_eq!(
            (connection.phase(), connection.buffered(), connection.is_ended()),
            (phase, buffered, is_ended),
            "the phase, how many bytes were received and not read, and whether the client has shut down its side"
        );
        let is_idle = phase == Phase::Head && buffered == 0;
        assert_eq!(
            connection.is_idle(),
            is_idle,
            "in {phase:?} with {buffered} bytes: an idle connection may be closed"
        );
    };
    expect(&connection, Phase::Head, 0, false);
    connection.receive(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n");
    assert_eq!(connection.next(&mut request), Next::Head);
    expect(&connection, Phase::Admission, 0, false);
    connection.admit(2, &mut out).expect("2 bytes are permitted");
    connection.receive(b"o");
    assert_eq!(connection.next(&mut request), Next::More);
    expect(&connection, Phase::Body, 0, false);
    connection.receive(b"kGET");
    assert_eq!(connection.next(&mut request), Next::Request);
    expect(&connection, Phase::Owed, 3, false);
    connection.receive(b" / HTTP/1.0\r\n\r\n");
    connection.start(&Response::new(200), DATE, &mut out);
    connection.receive_end();
    expect(&connection, Phase::Streaming, 18, true);
    connection.finish(&mut out);
    assert_eq!(connection.next(&mut request), Next::Request);
    expect(&connection, Phase::Owed, 0, true);
    connection.respond(&Response::new(200), DATE, &mut out);
    expect(&connection, Phase::Done, 0, true);
}

#[test]
fn however_the_bytes_are_split_the_result_is_the_same() {
    let parts = [
        "GET /a HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\n",
        "0\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n",
        "Transfer-Encoding: chunked\r\n",
        "ffffffffffffffffff\r\n",
        "\n",
        "x",
    ];
    let conversations = Cell::new(0);
    arbtest::arbtest(|u| {
        let mut bytes = Vec::new();
        for _ in 0..u.int_in_range(1..=6)? {
            match u.int_in_range(0..=9)? {
                0 => bytes.extend_from_slice(u.bytes(u.len().min(8))?),
                _ => bytes.extend_from_slice(u.choose(&parts)?.as_bytes()),
            }
        }
        talk(&bytes);
        conversations.set(conversations.get() + 1);
        Ok(())
    })
    .budget_ms(300);
    assert!(
        conversations.get() > 10,
        "only {} conversations were tried, which is too few for a test",
        conversations.get()
    );
}

#[test]
fn the_pieces_of_a_split_are_the_whole() {
    for split in Split::ALL {
        assert_eq!(
            split.pieces(b"ab\ncd\n\nefghijklmnopqrstuvwxyz").concat(),
            b"ab\ncd\n\nefghijklmnopqrstuvwxyz"
        );
    }
}
