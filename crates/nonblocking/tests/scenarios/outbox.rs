//! `outbox PIECES…`: push the pieces, and flush them into an empty pipe.
//! `outbox-into-a-full-pipe PIECES…`: push the pieces, and flush them into a full pipe.
//! `outbox-in-two-flushes CHUNKS LENGTH`: push that many chunks, flush them into a pipe of one page, read, flush again.

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork};
use nonblocking::outbox::{Flushed, Outbox};
use testing::allocations::{self, Watched};
use testing::judged;

use super::support::helper::output::{in_words, print};

#[global_allocator]
static ALLOCATOR: Watched = Watched;

/// Runs the scenario of that name, and returns the helper's exit code.
pub fn run(scenario: &[&str]) -> i32 {
    testing::exit_code(match scenario {
        ["outbox", pieces @ ..] => into_a_pipe(false, pieces),
        ["outbox-in-two-flushes", chunks, length] => in_two_flushes(chunks, length),
        ["outbox-push", pieces @ ..] => only_push(pieces),
        ["outbox-new"] => made_in_a_child(),
        ["outbox-into-a-full-pipe", pieces @ ..] => into_a_pipe(true, pieces),
        _ => Err(format!("no scenario is called {scenario:?}")),
    })
}

/// Prints `result …` and `left BYTES` of the first flush, `again …` of the second one, and whether the bytes `arrived in
/// order`, or how many right ones did before a wrong one.
fn in_two_flushes(chunks: &str, length: &str) -> Result<(), String> {
    let number = |words: &str| words.parse::<usize>().map_err(|error| error.to_string());
    let (chunks, length) = (number(chunks)?, number(length)?);
    let (mut reader, writer) = std::io::pipe().map_err(in_words)?;
    for end in [reader.as_fd(), writer.as_fd()] {
        fcntl(end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(in_words)?;
    }
    fcntl(&writer, FcntlArg::F_SETPIPE_SZ(1)).map_err(in_words)?;
    let bytes: Vec<u8> = (0..chunks * length).map(|at| (at % 251) as u8).collect();
    let mut outbox = Outbox::new(bytes.len());
    for chunk in bytes.chunks(length) {
        outbox.push(chunk).map_err(in_words)?;
    }
    let result = judged(|| outbox.flush(&writer));
    print(&result);
    println!("left {}", outbox.len());
    let mut arrived = Vec::new();
    // EAGAIN ends both, because the write end stays open.
    let _ = reader.read_to_end(&mut arrived);
    println!("again {}", outbox.flush(&writer).is_ok_and(|flushed| flushed == Flushed::Empty));
    let _ = reader.read_to_end(&mut arrived);
    let right = arrived.iter().zip(&bytes).take_while(|(one, other)| one == other).count();
    match arrived == bytes {
        true => println!("arrived in order"),
        false => println!("arrived {right} right bytes, and {} others", arrived.len() - right),
    }
    Ok(())
}

/// Prints `result …` and `left BYTES`, and `arrived TEXT` for an empty pipe.
fn into_a_pipe(full: bool, pieces: &[&str]) -> Result<(), String> {
    let (mut reader, mut writer) = std::io::pipe().map_err(in_words)?;
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(in_words)?;
    if full {
        while writer.write(&[b'-'; 4096]).is_ok() {}
    }
    let mut outbox = Outbox::new(4096);
    for piece in pieces {
        outbox.push(*piece).map_err(in_words)?;
    }
    let result = judged(|| outbox.flush(&writer));
    println!("number {}", writer.as_raw_fd());
    drop(writer);
    print(&result);
    println!("left {}", outbox.len());
    if !full {
        let mut arrived = String::new();
        reader.read_to_string(&mut arrived).map_err(in_words)?;
        println!("arrived {arrived}");
    }
    Ok(())
}

/// `outbox-push PIECES…`: push the pieces, and the first once more where there is no room; the tracer prints the calls.
fn only_push(pieces: &[&str]) -> Result<(), String> {
    let mut outbox = Outbox::new(pieces.iter().map(|piece| piece.len()).sum());
    let refused = judged(|| {
        for piece in pieces {
            let _ = outbox.push(*piece);
        }
        outbox.push(pieces[0]).is_err()
    });
    println!("refused {refused}");
    Ok(())
}

/// `outbox-new`: make outboxes in the child of a fork, where each use of the allocator is seen. Prints `allocated …`.
fn made_in_a_child() -> Result<(), String> {
    let (waited, allocated) = allocations::in_a_child(|| {
        // SAFETY: the process has one thread, and the child exits.
        match unsafe { fork() }? {
            ForkResult::Child => {
                for limit in [0, 1, 4096, usize::MAX] {
                    std::hint::black_box(Outbox::new(limit));
                }
                // SAFETY: `_exit` has no preconditions.
                unsafe { libc::_exit(0) }
            }
            ForkResult::Parent { child } => waitpid(child, None),
        }
    })
    .map_err(in_words)?;
    println!("allocated {}", if allocated { "yes" } else { "no" });
    waited.map(drop).map_err(in_words)
}
