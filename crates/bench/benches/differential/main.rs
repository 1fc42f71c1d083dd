//! The same bytes for our HTTP server and for others: nginx, lighttpd, node and hyper. `just differential` prints what each
//! answered, and fails if ours ran a request that two of them did not: a server in front of ours that reads those bytes in
//! another way could pass on a request that it has not seen.
//!
//! Behind each case comes a request for `/next`, so that a body whose end is read in two ways shows as another number of
//! answers. nginx and lighttpd pass on what they accept, because a proxy has to read a body to its end. A server that is not
//! installed is left out, and the last lines say so.

mod cases;
#[path = "../servers/others.rs"]
mod others;
mod servers;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use servers::{Kind, Server};

/// A server that has said nothing for so long waits for more bytes.
const SILENCE: Duration = Duration::from_millis(500);

/// What a server answered to a case.
struct Answer {
    /// The statuses of its responses, without those below 200.
    statuses: Vec<u16>,
    /// Did it close the connection? Else it waits.
    closed: bool,
}

impl Answer {
    /// How many requests it ran.
    fn ran(&self) -> usize {
        self.statuses.iter().filter(|status| (200..300).contains(*status)).count()
    }

    fn words(&self) -> String {
        let mut words: Vec<String> = self.statuses.iter().map(u16::to_string).collect();
        match (self.closed, words.is_empty()) {
            (false, _) => words.push("waits".into()),
            (true, true) => words.push("closes".into()),
            (true, false) => {}
        }
        words.join(" ")
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // The servers in Rust are this program, started with the name of one.
    if let [flag, name] = args.as_slice()
        && flag == servers::SERVE
    {
        servers::serve(name);
        return ExitCode::SUCCESS;
    }
    // `cargo test --benches` starts this, too.
    if !bench::is_measuring() {
        return ExitCode::SUCCESS;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (mut started, mut left_out) = (Vec::new(), Vec::new());
    for kind in [Kind::Ours, Kind::Nginx, Kind::Lighttpd, Kind::Node, Kind::Hyper] {
        match Server::start(kind, folder.path()) {
            Ok(server) => started.push(server),
            Err(why) => left_out.push(format!("{} is left out: {why}", kind.name())),
        }
    }
    println!("{}case", row(started.iter().map(|server| server.kind.name().to_owned())));
    let (cases, mut faults) = (cases::all(), 0);
    for case in &cases {
        let bytes = [case.as_slice(), b"GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"].concat();
        let answers: Vec<Answer> = started.iter().map(|server| ask(server.address, &bytes)).collect();
        let fewer = answers[1..].iter().filter(|answer| answer.ran() < answers[0].ran()).count();
        let mark = match (fewer > 1, cases::told(case)) {
            (false, _) => String::new(),
            (true, Some(why)) => format!("   <- ours runs more: {why}"),
            (true, None) => {
                faults += 1;
                "   <- FAULT: two ran fewer requests than ours".into()
            }
        };
        println!("{}{}{mark}", row(answers.iter().map(Answer::words)), case.escape_ascii());
    }
    left_out.iter().for_each(|line| println!("{line}"));
    println!("{} cases, {} servers beside ours, {faults} faults", cases.len(), started.len() - 1);
    ExitCode::from(u8::from(faults > 0))
}

fn row(cells: impl Iterator<Item = String>) -> String {
    cells.map(|cell| format!("{cell:13}")).collect()
}

/// Send the bytes, and read until the server closes the connection or waits.
fn ask(address: SocketAddr, bytes: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(SILENCE)).expect("a socket");
    // A server that refuses the first bytes may have closed the connection before the last ones.
    let _ = stream.write_all(bytes);
    let (mut all, mut part) = (Vec::new(), [0; 4096]);
    let closed = loop {
        match stream.read(&mut part) {
            Ok(0) => break true,
            Ok(count) => all.extend_from_slice(&part[..count]),
            Err(error) => break error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    };
    Answer { statuses: statuses(&all), closed }
}

/// The statuses of these responses, each of which has a Content-Length, or is the last.
fn statuses(mut bytes: &[u8]) -> Vec<u16> {
    let mut statuses = Vec::new();
    loop {
        let mut fields = [httparse::EMPTY_HEADER; 32];
        let mut response = httparse::Response::new(&mut fields);
        let Ok(httparse::Status::Complete(head)) = response.parse(bytes) else { return statuses };
        let status = response.code.expect("a complete head has a status");
        let length = response.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
        let length = length.and_then(|field| str::from_utf8(field.value).ok()?.parse().ok());
        let body = if status < 200 { 0 } else { length.unwrap_or(bytes.len()) };
        statuses.extend((status >= 200).then_some(status));
        bytes = &bytes[(head + body).min(bytes.len())..];
    }
}
