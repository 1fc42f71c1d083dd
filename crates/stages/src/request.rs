//! What all stages share: the programs, and the form of a request.
//!
//! A request is a line with the name of a program, and then the program's input, until end of file. The answer is what
//! the program prints, and one more line if it fails.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::{fs, io};

use nix::errno::Errno;
use nix::sys::wait::WaitStatus;

// ANCHOR: programs
/// A name, and a command for the shell. The last two run until the process exits whose pid they are sent.
const PROGRAMS: [(&str, &str); 5] = [
    ("upper", "exec tr a-z A-Z"),
    ("count", "exec wc -c"),
    ("sort", "exec sort"),
    // Leaves a process running in the background, as ssh-agent does, and prints its pid.
    ("agent", "read pid; tail -f /dev/null --pid=$pid -s 0.1 </dev/null >/dev/null 2>&1 & echo $!"),
    // Prints its own pid, closes its output, and keeps running.
    ("silent", "read pid; echo $$; exec tail -f /dev/null --pid=$pid -s 0.1 >/dev/null 2>&1"),
];

/// Prints where the server listens, and how to try it.
pub fn announce(address: SocketAddr) {
    let port = address.port();
    println!("listening on {address}; try: echo hello | cargo run -q -p stages -- ask {port} upper");
}

/// Whether a client stays connected. After an error, which this prints, it does not.
pub fn stays(outcome: io::Result<bool>) -> bool {
    outcome.inspect_err(|error| eprintln!("a client was not served: {error}")).unwrap_or(false)
}

/// What a lookup found: a command for the shell, if a program has the name.
pub type Found = io::Result<Option<String>>;

/// Looks up a program's command: in the table, and then in a file, where each line has a name and a command.
///
/// # Errors
/// The errors of reading the file.
pub fn look_up(name: &str, file: &Path) -> Found {
    if let Some((_, command)) = PROGRAMS.iter().find(|(known, _)| *known == name) {
        return Ok(Some((*command).to_owned()));
    }
    let lines = fs::read_to_string(file)?;
    Ok(lines.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).map(str::to_owned))
}

/// Splits a request into the name, which is its first line, and the program's input.
pub fn split(request: &[u8]) -> (String, &[u8]) {
    let end = request.iter().position(|byte| *byte == b'\n').unwrap_or(request.len());
    let (name, rest) = request.split_at(end);
    (String::from_utf8_lossy(name).into_owned(), rest.get(1..).unwrap_or_default())
}

/// The answer to a name that is in neither.
pub fn unknown(name: &str) -> String {
    format!("no program is called {name:?}\n")
}

/// The last line for a client whose program has failed; nothing if it has not.
pub fn ending(status: nix::Result<WaitStatus>) -> String {
    match status {
        Ok(WaitStatus::Exited(_, 0)) => String::new(),
        Ok(WaitStatus::Exited(_, code)) => format!("exit status {code}\n"),
        Ok(WaitStatus::Signaled(_, signal, _)) => format!("killed by {signal}\n"),
        // nix reaps a program that a real-time signal has killed, and has no name for the signal.
        Err(Errno::EINVAL) => "killed by a real-time signal\n".to_owned(),
        other => format!("{other:?}\n"),
    }
}
// ANCHOR_END: programs

/// All programs by name: those of the table, and those of a file, as [`look_up`] reads it.
///
/// # Errors
/// The errors of reading the file.
pub fn all(file: &Path) -> io::Result<BTreeMap<String, String>> {
    let lines = fs::read_to_string(file)?;
    let more = lines.lines().filter_map(|line| line.split_once(' '));
    // The first of two with one name counts.
    let programs = PROGRAMS.into_iter().chain(more).collect::<Vec<_>>().into_iter().rev();
    Ok(programs.map(|(name, command)| (name.to_owned(), command.to_owned())).collect())
}
