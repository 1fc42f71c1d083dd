//! A request on a connection that the server has closed, and two others that are lost.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;

use experiments::{Choice, Lab, Question, Result, ask};

const QUESTION: Question = Question {
    question: "What does a proxy get when it sends a request on a connection that the server has closed?",
    setup: "A proxy keeps a connection to a server open. The server has waited long enough for the next request, and closes \
            the connection. The end of file has arrived at the proxy, which has not read it. Now the proxy sends a POST on \
            this connection, and reads. What do its write and its read return?",
    choices: &[
        Choice::new("The write fails with EPIPE, because the server has closed.").because(
            "An end of file says that the server sends no more. It does not say that the server reads no more, so the \
             kernel takes the bytes and sends them.",
        ),
        Choice::new("The write succeeds, and the read fails with ECONNRESET.").because(
            "The server's kernel does answer with a reset. But the end of file had arrived before the reset, and a read at \
             the end of file returns 0.",
        ),
        Choice::new(
            "The write succeeds, and the read returns 0, as if the server had read the request and then exited.",
        ),
        Choice::new("The write succeeds, and the read waits, because no process answers.")
            .because("The server's kernel has no socket for these bytes, and answers with a reset at once."),
    ],
    book: 2,
    shows: "A proxy that reads end of file instead of a response cannot know whether the server has handled the request. So \
            it may send the request again only if handling it twice does no harm: a GET, but not a POST.",
    lane: "proxy",
    ..Question::EMPTY
};

// ANCHOR: request
const REQUEST: &[u8] = b"POST /pay HTTP/1.1\r\nHost: shop\r\n\
                         Content-Length: 5\r\n\r\n10.00";
// ANCHOR_END: request

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let listener = lab.listen()?;
        let (written, idle) = closed_while_idle(lab, &listener)?;
        let unread = closed_with_the_request_unread(lab, &listener)?;
        let done = exited_after_the_work(lab, &listener)?;
        lab.check(unread == "ECONNRESET", "the proxy's read on connection 2 fails");
        lab.check(done == idle, "the proxy's reads on connections 1 and 3 return the same");
        match (&*written, &*idle) {
            ("EPIPE", _) => Ok(0),
            ("all of it", "ECONNRESET") => Ok(1),
            ("all of it", "0") => Ok(2),
            ("all of it", "EAGAIN") => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

/// The server closes, and then the proxy sends. Gives what its write and its read return.
fn closed_while_idle(lab: &Lab, listener: &TcpListener) -> Result<(String, String)> {
    let (mut proxy, server) = connect(lab, listener)?;
    let [from, port] = [proxy.local_addr()?.port(), proxy.peer_addr()?.port()];
    // ANCHOR: core
    drop(server);
    // Returns when the end of file has arrived, and leaves it there.
    proxy.peek(&mut [0])?;
    let written = proxy.write(REQUEST);
    lab.await_reset(from, port)?;
    let read = proxy.read(&mut [0; 100]);
    let again = proxy.write(REQUEST);
    // ANCHOR_END: core
    let [written, read, again] = [written, read, again].map(said);
    lab.note("connection 1: the server closes, and then the proxy sends");
    lab.note(format!("  write: {written}; read: {read}; one more write: {again}"));
    Ok((written, read))
}

/// The proxy sends, and the server closes before it reads. Gives what the proxy's read returns.
fn closed_with_the_request_unread(lab: &Lab, listener: &TcpListener) -> Result<String> {
    let (mut proxy, server) = connect(lab, listener)?;
    let [from, port] = [proxy.local_addr()?.port(), proxy.peer_addr()?.port()];
    let written = said(proxy.write(REQUEST));
    lab.await_arrival(from, port)?;
    drop(server);
    let read = said(proxy.read(&mut [0; 100]));
    lab.note("connection 2: the proxy sends, and the server closes without reading");
    lab.note(format!("  write: {written}; read: {read}"));
    Ok(read)
}

/// The server reads the request, does the work, and exits before it has answered. Gives what the proxy's read returns.
fn exited_after_the_work(lab: &Lab, listener: &TcpListener) -> Result<String> {
    let (mut proxy, mut server) = connect(lab, listener)?;
    let written = said(proxy.write(REQUEST));
    server.read_exact(&mut [0; REQUEST.len()])?;
    drop(server);
    let read = said(proxy.read(&mut [0; 100]));
    lab.note("connection 3: the proxy sends, and the server reads, works and closes");
    lab.note(format!("  write: {written}; read: {read}"));
    Ok(read)
}

fn connect(lab: &Lab, listener: &TcpListener) -> Result<(TcpStream, TcpStream)> {
    let proxy = lab.connect(listener.local_addr()?.port())?;
    Ok((proxy, listener.accept()?.0))
}

/// What a read or a write of the proxy returned.
fn said(outcome: std::io::Result<usize>) -> String {
    match outcome {
        Ok(count) if count == REQUEST.len() => "all of it".to_owned(),
        Ok(count) => count.to_string(),
        Err(error) => match error.kind() {
            ErrorKind::BrokenPipe => "EPIPE".to_owned(),
            ErrorKind::ConnectionReset => "ECONNRESET".to_owned(),
            ErrorKind::WouldBlock => "EAGAIN".to_owned(),
            _ => error.to_string(),
        },
    }
}
