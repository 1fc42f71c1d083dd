//! The least that a server can do: one read, httparse, a copy of an answer that was made before, and one write.

use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};

use httparse::{EMPTY_HEADER, Request, Status};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{MsgFlags, recv, send};

/// What ours answers, byte by byte, except the time.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 13\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\r\nHello, world!";

/// A socket, and the beginning of a request of which the rest is not there yet.
type Connection = (TcpStream, Vec<u8>);

pub fn serve(listener: &TcpListener) {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("an epoll");
    let event = |fd: RawFd| EpollEvent::new(EpollFlags::EPOLLIN, fd as u64);
    epoll.add(listener, event(listener.as_raw_fd())).expect("room");
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut events = [EpollEvent::empty(); 512];
    let (mut input, mut output) = (vec![0; 64 * 1024], Vec::new());
    loop {
        let ready = epoll.wait(&mut events, EpollTimeout::NONE).unwrap_or(0);
        for ready in &events[..ready] {
            let fd = ready.data() as usize;
            if let Some(Some(connection)) = connections.get_mut(fd) {
                if !answer(connection, &mut input, &mut output) {
                    connections[fd] = None;
                }
            } else if let Ok((socket, _)) = listener.accept() {
                socket.set_nonblocking(true).expect("a socket");
                socket.set_nodelay(true).expect("a socket");
                epoll.add(&socket, event(socket.as_raw_fd())).expect("room");
                let fd = socket.as_raw_fd() as usize;
                connections.resize_with(connections.len().max(fd + 1), || None);
                connections[fd] = Some((socket, Vec::new()));
            }
        }
    }
}

/// Answer all requests that are there. Returns false at the end of the connection.
fn answer((socket, rest): &mut Connection, input: &mut [u8], output: &mut Vec<u8>) -> bool {
    let count = match recv(socket.as_raw_fd(), input, MsgFlags::empty()) {
        Ok(0) | Err(_) => return false,
        Ok(count) => count,
    };
    let mut bytes = &input[..count];
    let joined;
    if !rest.is_empty() {
        rest.extend_from_slice(bytes);
        joined = std::mem::take(rest);
        bytes = &joined;
    }
    output.clear();
    loop {
        let mut fields = [EMPTY_HEADER; 64];
        match Request::new(&mut fields).parse(bytes) {
            Ok(Status::Complete(end)) => {
                bytes = &bytes[end..];
                output.extend_from_slice(ANSWER);
            }
            Ok(Status::Partial) => break,
            Err(_) => return false,
        }
    }
    rest.extend_from_slice(bytes);
    output.is_empty() || send(socket.as_raw_fd(), output, MsgFlags::MSG_NOSIGNAL) == Ok(output.len())
}
