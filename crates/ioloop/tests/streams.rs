//! Accepting, connecting, reading and writing, as operations that wait.

mod support;

use std::future::Future;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;

use ioloop::{AsyncFd, IoLoop};
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, getsockname, socket};
use support::{LONG, on_each};

/// More than any socket buffer holds.
const MANY: usize = 4_000_000;

fn pair(ioloop: &IoLoop) -> (AsyncFd<UnixStream>, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    (ioloop.watch(ours).unwrap(), theirs)
}

#[track_caller]
fn assert_is_nonblocking_and_close_on_exec(socket: impl AsFd) {
    let flags = fcntl(socket.as_fd(), FcntlArg::F_GETFL).unwrap();
    assert!(OFlag::from_bits_retain(flags).contains(OFlag::O_NONBLOCK), "it blocks");
    let flags = fcntl(socket.as_fd(), FcntlArg::F_GETFD).unwrap();
    assert!(FdFlag::from_bits_retain(flags).contains(FdFlag::FD_CLOEXEC), "it survives exec");
}

#[test]
fn a_read_waits_for_bytes_and_then_for_end_of_file() {
    on_each(|ioloop| {
        let (ours, mut theirs) = pair(ioloop);
        let thread = thread::spawn(move || {
            theirs.write_all(b"hello").unwrap();
            // Then it is closed.
        });
        let read = async move {
            let (mut all, mut buffer) = (Vec::new(), [0; 3]);
            loop {
                match ours.read(&mut buffer).await? {
                    0 => return Ok::<_, std::io::Error>(all),
                    read => all.extend_from_slice(&buffer[..read]),
                }
            }
        };
        assert_eq!(ioloop.run_sync(read, Some(LONG)).unwrap().unwrap(), b"hello");
        thread.join().unwrap();
    });
}

#[test]
fn a_ready_operation_does_not_wait() {
    on_each(|ioloop| {
        let (ours, mut theirs) = pair(ioloop);
        theirs.write_all(b"x").unwrap();
        let iterations = support::Log::default();
        let seen = iterations.clone();
        ioloop.subscribe(move |_, _| seen.add(()));
        let both = async move {
            let read = ours.read(&mut [0; 8]).await;
            ours.write_all(b"y").await.map(|()| read)
        };
        assert_eq!(ioloop.run_sync(both, None).unwrap().unwrap().unwrap(), 1);
        assert_eq!(iterations.len(), 0, "the loop slept before the first call was made");
    });
}

/// A read that fills its buffer does not wait, so a peer that always has more to send keeps the task in one poll, and
/// blocks the loop.
#[test]
fn reads_that_fill_their_buffer_need_one_poll() {
    on_each(|ioloop| {
        let (ours, mut theirs) = pair(ioloop);
        theirs.write_all(&[1; 4 * 1024]).unwrap();
        let read = async move {
            for _ in 0..4 {
                assert_eq!(ours.read(&mut [0; 1024]).await.unwrap(), 1024, "four buffers of bytes are there");
            }
            ours.read(&mut [0; 1024]).await
        };
        let mut read = pin!(read);
        let mut poll = || read.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(poll().is_pending(), "the fifth read finds nothing");
        drop(theirs);
        let waits = ioloop.call_later(LONG, IoLoop::stop);
        ioloop.subscribe(|ioloop, turn| {
            if turn.events > 0 {
                ioloop.stop();
            }
        });
        ioloop.start().unwrap();
        ioloop.remove_timeout(waits);
        assert!(
            matches!(poll(), Poll::Ready(Ok(0))),
            "end of file: the first poll has read all four buffers"
        );
    });
}

#[test]
fn write_all_waits_for_room_as_often_as_needed() {
    on_each(|ioloop| {
        let (ours, mut theirs) = pair(ioloop);
        let sent: Vec<u8> = (0..MANY).map(|n| (n * 31 % 251) as u8).collect();
        let wanted = sent.clone();
        let thread = thread::spawn(move || {
            let mut received = Vec::new();
            theirs.read_to_end(&mut received).map(|_| received == wanted)
        });
        let write = async move { ours.write_all(&sent).await };
        ioloop.run_sync(write, Some(LONG)).unwrap().unwrap();
        assert!(thread.join().unwrap().unwrap(), "the bytes that came differ from what was written");
    });
}

#[test]
fn a_write_to_a_closed_peer_returns_its_error() {
    on_each(|ioloop| {
        let (ours, theirs) = pair(ioloop);
        drop(theirs);
        let write = async move { ours.write_all(b"x").await };
        let error = ioloop.run_sync(write, Some(LONG)).unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn tasks_accept_and_connect_over_tcp() {
    testing::needs!(loopback);
    on_each(|ioloop| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let listener = ioloop.watch(listener).unwrap();
        let (watching, connecting) = (ioloop.clone(), ioloop.clone());
        let server = ioloop.spawn_joined(async move {
            let (client, from) = listener.accept().await?;
            assert_is_nonblocking_and_close_on_exec(&client);
            let client = watching.watch(client).unwrap();
            let mut buffer = [0; 4];
            let read = client.read(&mut buffer).await?;
            client.write_all(&buffer[..read]).await?;
            Ok::<_, std::io::Error>(from)
        });
        let client = async move {
            let client = connecting.connect(address).await?;
            assert_is_nonblocking_and_close_on_exec(client.source());
            client.write_all(b"ping").await?;
            let mut buffer = [0; 4];
            let read = client.read(&mut buffer).await?;
            let from = server.await.expect("the server is done")?;
            assert_eq!(from, client.source().local_addr()?);
            Ok::<_, std::io::Error>(buffer[..read].to_vec())
        };
        assert_eq!(ioloop.run_sync(client, Some(LONG)).unwrap().unwrap(), b"ping");
    });
}

#[test]
fn a_refused_connection_returns_its_error() {
    testing::needs!(loopback);
    on_each(|ioloop| {
        // Bound but not listening: the port is taken, and connections are refused.
        let bound = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
        bind(bound.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
        let port = getsockname::<SockaddrIn>(bound.as_raw_fd()).unwrap().port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let connecting = ioloop.clone();
        let connect = async move { connecting.connect(address).await.map(drop) };
        let error = ioloop.run_sync(connect, Some(LONG)).unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_task_accepts_over_a_unix_socket() {
    testing::needs!(temporary);
    let folder = testing::machine::temporary_folder().unwrap();
    let folder = folder.join(format!("ioloop-streams-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    on_each(|ioloop| {
        let path = folder.join(ioloop.kind().to_string());
        let listener = UnixListener::bind(&path).unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = ioloop.watch(listener).unwrap();
        let thread = thread::spawn(move || UnixStream::connect(path));
        let accept = async move { listener.accept().await };
        let client = ioloop.run_sync(accept, Some(LONG)).unwrap().unwrap();
        assert_is_nonblocking_and_close_on_exec(&client);
        thread.join().unwrap().unwrap();
    });
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn two_tasks_can_wait_for_one_descriptor() {
    testing::needs!(loopback);
    on_each(|ioloop| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let listener = std::rc::Rc::new(ioloop.watch(listener).unwrap());
        // Two tasks accept at one listener, as two workers would.
        let tasks = [(); 2].map(|()| {
            let listener = std::rc::Rc::clone(&listener);
            ioloop.spawn_joined(async move { listener.accept().await.map(|(_, from)| from) })
        });
        let thread = thread::spawn(move || {
            let clients = [(); 2].map(|()| TcpStream::connect(address).unwrap());
            clients.map(|client| client.local_addr().unwrap())
        });
        let both = async move {
            let [one, other] = tasks;
            [one.await.unwrap().unwrap(), other.await.unwrap().unwrap()]
        };
        let mut accepted = ioloop.run_sync(both, Some(LONG)).unwrap();
        let mut connected = thread.join().unwrap();
        accepted.sort_unstable();
        connected.sort_unstable();
        assert_eq!(accepted, connected, "each of the two tasks accepted one of the two clients");
    });
}
