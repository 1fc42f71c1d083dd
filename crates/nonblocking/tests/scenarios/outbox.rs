//! `outbox PIECES…`: push the pieces, and flush them into an empty pipe.
//! `outbox-into-a-full-pipe PIECES…`: push the pieces, and flush them into a full pipe.
//! `outbox-in-two-flushes CHUNKS LENGTH`: push that many chunks, flush them into a pipe of one page, read, flush again.

use std::io::{Read, Write};
use std::os::fd::AsFd;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nonblocking::outbox::{Flushed, Outbox};
use testing::judged;

use super::support::helper::output::{in_words, print};

/// Runs the scenario of that name, and returns the helper's exit code.
pub fn run(scenario: &[&str]) -> i32 {
    testing::exit_code(match scenario {
        ["outbox", pieces @ ..] => into_a_pipe(false, pieces),
        ["outbox-in-two-flushes", chunks, length] => in_two_flushes(chunks, length),
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
