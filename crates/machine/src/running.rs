//! Running other programs: their output goes to a file, and the reader sees how far they are.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// How much of a line of another program's output is shown as progress.
const SHOWN: usize = 70;

/// How many lines of the log an error quotes.
const QUOTED: usize = 20;

/// Say what is done now.
pub fn say(text: &str) {
    println!("{text}");
}

/// Run a program to its end. Its output goes to the end of `log`; on a terminal, the last line of it is shown meanwhile.
///
/// Ctrl-C ends the program as well, because it is in the same process group.
///
/// # Errors
/// When the program cannot be started, or fails: with the last lines of its output.
pub fn run(what: &str, log: &Path, command: &mut Command) -> Result<()> {
    let began = Instant::now();
    let program = command.get_program().to_string_lossy().into_owned();
    let mut written = File::options().create(true).append(true).open(log)?;
    writeln!(written, "\n$ {command:?}")?;
    let (reader, writer) = io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().with_context(|| format!("cannot start {program}"))?;
    // The command has the writing end, and would keep the pipe open.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let terminal = io::stdout().is_terminal();
    let mut last: Vec<String> = Vec::new();
    for line in BufReader::new(reader).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        writeln!(written, "{line}")?;
        if terminal {
            let shown: String = line.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
            print!("\r\x1b[K  {:4} s  {shown}", began.elapsed().as_secs());
            io::stdout().flush()?;
        }
        last.push(line);
        if last.len() > QUOTED {
            last.remove(0);
        }
    }
    let status = child.wait()?;
    if terminal {
        print!("\r\x1b[K");
    }
    if !status.success() {
        bail!("{what} failed, {status}:\n{}\nAll of its output is in {}", last.join("\n"), log.display());
    }
    say(&format!("  {what}: {} s", began.elapsed().as_secs()));
    Ok(())
}

/// What a program prints.
///
/// # Errors
/// When it cannot be started, or fails: with what it said.
pub fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {program}"))?;
    if !output.status.success() {
        bail!("{program} failed, {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// How many machines run at once. Each takes a core.
pub const AT_ONCE: usize = 2;

/// Run these programs at the same time, and pass on what they print, a line at a time.
///
/// # Errors
/// When one cannot be started, or fails; those of `take`.
pub fn runs(commands: Vec<Command>, mut take: impl FnMut(String) -> Result<()>) -> Result<()> {
    let start = |mut command: Command| {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        child.with_context(|| format!("cannot start {}", command.get_program().display()))
    };
    let mut children = commands.into_iter().map(start).collect::<Result<Vec<_>>>()?;
    let (sender, lines) = mpsc::channel();
    for output in children.iter_mut().filter_map(|child| child.stdout.take()) {
        let sender = sender.clone();
        thread::spawn(move || BufReader::new(output).lines().try_for_each(|line| sender.send(line)));
    }
    drop(sender);
    let taken = lines.into_iter().try_for_each(|line| take(line?));
    for mut child in children {
        if taken.is_err() {
            let _ = child.kill();
        }
        let status = child.wait()?;
        if taken.is_ok() && !status.success() {
            bail!("a program failed, {status}");
        }
    }
    taken
}

/// Which of these programs are not installed, with the package of Debian that has each.
pub fn missing(programs: &[(&str, &str)]) -> Vec<String> {
    let folders: Vec<_> = std::env::var_os("PATH").iter().flat_map(std::env::split_paths).collect();
    let there = |name: &str| folders.iter().any(|folder| folder.join(name).is_file());
    let absent = programs.iter().filter(|(name, _)| !there(name));
    absent.map(|(name, package)| format!("{name} (Debian's package {package})")).collect()
}

/// Something that the machine is built with or from is not to be had here: no fault of the book.
#[derive(Debug)]
pub struct Missing(pub String);

impl fmt::Display for Missing {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0)
    }
}

impl std::error::Error for Missing {}

/// Refuse to go on without these programs.
///
/// # Errors
/// A [`Missing`] names what is not installed, and how to install it on Debian.
pub fn need(what: &str, programs: &[(&str, &str)]) -> Result<()> {
    let missing = missing(programs);
    if !missing.is_empty() {
        bail!(Missing(format!("{what} takes programs that are not installed here: {}", missing.join(", "))));
    }
    Ok(())
}
