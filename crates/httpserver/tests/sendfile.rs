//! A part of a file on its way to a socket: http.md's kind 19.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use httpserver::sendfile::{FileBody, Sent, read_start};
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};

testing::begin!();

/// A file with this content and no name.
fn file(content: &[u8]) -> File {
    let folder = testing::machine::temporary_folder().expect("a folder for temporary files");
    let mut file = tempfile::tempfile_in(folder).unwrap();
    file.write_all(content).unwrap();
    file
}

/// Bytes that differ from their neighbors.
fn content(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i.wrapping_mul(31) >> 3) as u8).collect()
}

/// A connection whose sending side does not block, and holds few bytes.
fn connection() -> (UnixStream, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    setsockopt(&ours, sockopt::SndBuf, &4096).unwrap();
    (ours, theirs)
}

fn body(file: &File, offset: u64, length: u64) -> FileBody {
    FileBody { file: OwnedFd::from(file.try_clone().unwrap()), offset, length }
}

/// Sends it all to a peer that reads when nothing more fits. Returns what arrived, and how often sending stopped.
fn sent(body: &mut FileBody) -> (Vec<u8>, usize) {
    let (ours, mut theirs) = connection();
    theirs.set_nonblocking(true).unwrap();
    let (mut arrived, mut stops) = (Vec::new(), 0);
    loop {
        let sent = body.send(&ours).unwrap();
        let mut buffer = [0; 1024];
        while let Ok(read @ 1..) = theirs.read(&mut buffer) {
            arrived.extend_from_slice(&buffer[..read]);
        }
        match sent {
            Sent::All => return (arrived, stops),
            Sent::Part => stops += 1,
            Sent::Short => {
                panic!("the file is complete, and yet it is called short after {} bytes", arrived.len())
            }
        }
    }
}

#[test]
fn the_whole_file_arrives_however_many_writes_it_takes() {
    let content = content(300_000);
    let (arrived, stops) = sent(&mut body(&file(&content), 0, 300_000));
    assert!(stops > 1, "the socket took everything at once: no partial write was tried");
    assert!(arrived == content, "the bytes that arrived are not those of the file");
}

#[test]
fn only_the_part_from_its_offset_on_arrives() {
    let content = content(100_000);
    let (arrived, _) = sent(&mut body(&file(&content), 30_000, 50_000));
    assert!(arrived == content[30_000..80_000], "the bytes that arrived are not those of the part");
}

#[test]
fn the_offset_of_the_file_itself_neither_counts_nor_moves() {
    let content = content(50_000);
    let mut shared = file(&content);
    shared.seek(SeekFrom::Start(7)).unwrap();
    let (mut one, mut other) = (body(&shared, 0, 50_000), body(&shared, 0, 50_000));
    assert!(sent(&mut one).0 == content && sent(&mut other).0 == content, "two responses share one file");
    assert_eq!(shared.stream_position().unwrap(), 7, "the offset of the file has moved");
}

#[test]
fn a_body_of_no_bytes_is_sent_without_a_call() {
    assert_eq!(
        body(&file(b"abc"), 3, 0).send(file(b"")),
        Ok(Sent::All),
        "a file is no socket, so a call would fail"
    );
}

#[test]
fn a_file_that_was_truncated_before_is_short() {
    let (ours, _theirs) = connection();
    let mut body = body(&file(b"abc"), 0, 10);
    assert_eq!(body.send(&ours), Ok(Sent::Short), "3 of 10 bytes are there");
    assert_eq!((body.offset, body.length), (3, 7), "how far it came");
    assert_eq!(body.send(&ours), Ok(Sent::Short), "and it stays short");
}

#[test]
fn a_file_that_is_truncated_during_the_response_is_short() {
    let file = file(&content(300_000));
    let mut body = body(&file, 0, 300_000);
    let (ours, mut theirs) = connection();
    assert_eq!(body.send(&ours), Ok(Sent::Part));
    let sent = usize::try_from(body.offset).unwrap();
    assert!(sent > 0 && sent < 300_000, "{sent} bytes were sent before the file is truncated");
    file.set_len(body.offset).unwrap();
    theirs.read_exact(&mut vec![0; sent]).unwrap();
    assert_eq!(body.send(&ours), Ok(Sent::Short), "the file ended after {sent} bytes");
}

#[test]
fn a_file_that_grows_during_the_response_is_sent_as_announced() {
    let mut file = file(&content(5_000));
    let mut body = body(&file, 0, 5_000);
    file.write_all(b"more").unwrap();
    assert!(sent(&mut body).0 == content(5_000), "bytes were sent that Content-Length did not announce");
}

#[test]
fn a_file_that_loses_its_name_during_the_response_is_sent_to_its_end() {
    let folder = tempfile::tempdir_in(testing::machine::temporary_folder().unwrap()).unwrap();
    let path = folder.path().join("file");
    fs::write(&path, content(50_000)).unwrap();
    let mut body = body(&File::open(&path).unwrap(), 0, 50_000);
    fs::remove_file(&path).unwrap();
    assert!(sent(&mut body).0 == content(50_000));
}

#[test]
fn one_call_sends_a_megabyte_at_most() {
    let file = file(b"");
    file.set_len(5 << 20).unwrap();
    let (ours, mut theirs) = connection();
    setsockopt(&ours, sockopt::SndBuf, &(16 << 20)).unwrap();
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        theirs.read_to_end(&mut all).map(|_| all.len())
    });
    let mut body = body(&file, 0, 5 << 20);
    let mut before = body.length;
    while body.send(&ours).unwrap() == Sent::Part {
        assert!(before - body.length <= 1 << 20, "one call sent {} bytes", before - body.length);
        before = body.length;
        let mut events =
            [nix::poll::PollFd::new(std::os::fd::AsFd::as_fd(&ours), nix::poll::PollFlags::POLLOUT)];
        nix::poll::poll(&mut events, nix::poll::PollTimeout::NONE).unwrap();
    }
    drop(ours);
    assert_eq!(reader.join().unwrap().unwrap(), 5 << 20);
}

#[test]
fn a_file_that_sendfile_cannot_send_is_read_and_written() {
    testing::needs!(proc);
    // A file of /proc has length 0 and content.
    let status = File::open("/proc/version").unwrap();
    let expected = fs::read("/proc/version").unwrap();
    let mut body = FileBody { file: status.into(), offset: 0, length: expected.len() as u64 };
    assert!(sent(&mut body).0 == expected);
}

#[test]
fn a_client_that_is_gone_is_an_error() {
    let (ours, theirs) = connection();
    drop(theirs);
    let errno = body(&file(b"abc"), 0, 3).send(&ours).unwrap_err();
    assert!(matches!(errno, Errno::EPIPE | Errno::ECONNRESET), "{errno}");
}

#[test]
fn a_file_that_is_not_open_for_reading_is_an_error() {
    let (ours, _theirs) = connection();
    let null = File::options().write(true).open("/dev/null").unwrap();
    let mut body = FileBody { file: null.into(), offset: 0, length: 3 };
    assert_eq!(body.send(&ours), Err(Errno::EBADF));
}

#[test]
fn the_start_of_a_file_is_read_up_to_a_limit() {
    let mut file = file(b"abcdef");
    file.seek(SeekFrom::Start(2)).unwrap();
    assert_eq!(read_start(&file, 4).unwrap(), b"abcd");
    assert_eq!(read_start(&file, 100).unwrap(), b"abcdef");
    assert_eq!(file.stream_position().unwrap(), 2, "the offset of the file has moved");
    let folder = File::open(testing::machine::temporary_folder().unwrap()).unwrap();
    assert!(read_start(&folder, 4).is_err(), "descriptor {} is a folder", folder.as_raw_fd());
}
