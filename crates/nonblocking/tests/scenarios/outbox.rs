//! `outbox PIECES…`: push the pieces, and flush them into an empty pipe.
//! `outbox-into-a-full-pipe PIECES…`: push the pieces, and flush them into a full pipe.

use std::io::{Read, Write};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nonblocking::outbox::Outbox;
use testing::judged;

use super::support::helper::output::{in_words, print};

/// Runs the scenario of that name, and returns the helper's exit code.
pub fn run(scenario: &[&str]) -> i32 {
    testing::exit_code(match scenario {
        ["outbox", pieces @ ..] => into_a_pipe(false, pieces),
        ["outbox-into-a-full-pipe", pieces @ ..] => into_a_pipe(true, pieces),
        _ => Err(format!("no scenario is called {scenario:?}")),
    })
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
