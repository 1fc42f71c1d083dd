//! A connection gets any bytes, in any pieces. It does not panic or hang, the pieces change nothing, and what it sends is a
//! sequence of well-formed responses. The first two bytes of an input choose the pieces, the others are what the client sends.

#![no_main]

use httpserver::{Limits, Request, Response};
use libfuzzer_sys::fuzz_target;
use support::parse::{self, Unread};
use support::split::Split;
use support::talk::{Answer, Seen, Talk, words};

/// The strict reader of responses and the conversation of httpserver's tests.
#[allow(dead_code)]
#[path = "../tests/support"]
mod support {
    pub mod parse;
    pub mod split;
    pub mod talk;
}

/// Small ones, so that inputs reach them.
fn limits() -> Limits {
    Limits { head: 512, target: 128, fields: 8, body: 64, chunk_overhead: 64, ..Limits::default() }
}

/// Whole responses and streams, with a body and without, the last one and not.
fn answer(request: &Request) -> Answer {
    match request.path().as_bytes() {
        [b'/', b's', ..] => Answer::Parts(Response::new(200), vec![b"a part".to_vec(), vec![], b"another".to_vec()]),
        [b'/', b'n', ..] => Answer::Whole(Response::new(204)),
        [b'/', b'm', ..] => Answer::Parts(Response::new(304), vec![b"nothing of this".to_vec()]),
        [b'/', b'c', ..] => Answer::Whole(Response::text(200, words(request)).close()),
        _ => Answer::Whole(Response::text(200, words(request))),
    }
}

fn talk(limits: &Limits, bytes: &[u8], split: Split) -> Seen {
    let mut talk = Talk::new(limits, &answer);
    split.pieces(bytes).into_iter().for_each(|piece| talk.send(piece));
    talk.end();
    talk.seen
}

/// What was sent is one response after the other.
fn check(seen: &Seen) {
    let mut methods = seen.requests.iter().map(|words| words.split(' ').next().unwrap_or("GET"));
    let mut at = 0;
    while at < seen.out.len() {
        let rest = &seen.out[at..];
        let is_interim = rest.starts_with(b"HTTP/1.1 100 ");
        let method = if is_interim { "GET" } else { methods.next().unwrap_or("GET") };
        at += match parse::response(rest, method, seen.is_done) {
            Ok((_, length)) => length,
            // The last one may refuse a HEAD, which the application never got.
            Err(Unread::Incomplete) => match parse::response(rest, "HEAD", seen.is_done) {
                Ok((got, length)) if length == rest.len() && got.status >= 400 => length,
                other => panic!("{other:?}: {}", rest.escape_ascii()),
            },
            Err(Unread::Wrong(why)) => panic!("{why}: {}", rest.escape_ascii()),
        };
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((seed, bytes)) = input.split_at_checked(2) else { return };
    let limits = limits();
    let whole = talk(&limits, bytes, Split::Whole);
    check(&whole);
    for split in [Split::Bytes, Split::Random(u64::from(seed[0]) << 8 | u64::from(seed[1]))] {
        assert_eq!(talk(&limits, bytes, split), whole, "{split:?}: {}", bytes.escape_ascii());
    }
});
