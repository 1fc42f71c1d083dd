//! The course of an experiment: options, prediction, body, report, verdict.

use std::fs;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser};
use nix::errno::Errno;
use nix::sys::signal::{SigEvent, SigevNotify, Signal};
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;

use crate::chart::figure;
use crate::lab::Lab;
use crate::question::Question;
use crate::report::{Report, letter, question_text, strace};
use crate::timeline::Log;
use crate::verdict::{CannotAsk, Result, Verdict};

/// How long an experiment may take. None takes more than a few seconds; SIGALRM kills one that hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// Ask the kernel one question, and print what it answered.
#[derive(Parser)]
#[command(
    after_help = "Exit status: 0 the kernel agrees with the book, 1 it disagrees, 2 wrong usage, 3 it cannot be asked."
)]
struct Options {
    /// Print one JSON object, and nothing else
    #[arg(long, conflicts_with = "plain")]
    json: bool,
    /// Print what the book prints: no color, no prompt, and names for what varies
    #[arg(long)]
    plain: bool,
    /// Show the system calls beside the timeline (needs strace)
    #[arg(long, conflicts_with_all = ["json", "plain"])]
    strace: bool,
    /// Draw what was measured too, into a file; not every experiment has something to draw
    #[arg(long, value_name = "FILE", conflicts_with = "strace")]
    draw: Option<PathBuf>,
    /// Predict this choice, without being asked
    #[arg(long, value_name = "LETTER", conflicts_with = "strace")]
    predict: Option<char>,
    #[arg(long, hide = true)]
    role: Option<String>,
    #[arg(long, hide = true, requires = "role")]
    lane: Option<String>,
    #[arg(hide = true)]
    args: Vec<String>,
}

/// Run an experiment: `body` makes things happen, notes what it sees, and returns the choice that the kernel made.
pub fn ask(question: Question, body: impl FnOnce(&mut Lab) -> Result<usize>) -> ExitCode {
    let options = options(question);
    if let Some(role) = &options.role {
        return play(question, role, &options);
    }
    match experiment(question, body, &options) {
        Ok(verdict) => verdict.into(),
        Err(error) => {
            eprintln!("{}: {error}", name());
            ExitCode::FAILURE
        }
    }
}

fn options(question: Question) -> Options {
    let command = Options::command().about(question.question);
    Options::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
}

fn experiment(
    question: Question,
    body: impl FnOnce(&mut Lab) -> Result<usize>,
    options: &Options,
) -> Result<Verdict> {
    if options.strace {
        return strace::run(&name(), question);
    }
    // Numbers in the timeline must not depend on what the shell that started this leaked into it.
    close_from(3)?;
    let terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    let prompt = terminal && !options.json && !options.plain && options.predict.is_none();
    let prediction = if prompt { predict(question)? } else { predicted(question, options) };
    // A reader who skipped the prediction sees the question again, above the answer.
    let asked = prompt && prediction.is_some();
    let _limit = limit()?;
    let log = Arc::new(Log::create()?);
    let mut lab = Lab::new(question.lane, Arc::clone(&log), Vec::new());
    lab.plots = options.draw.as_ref().map(|_| Vec::new());
    let outcome = body(&mut lab).and_then(|observed| lab.left_nothing().map(|()| observed));
    let (observed, reason) = match outcome {
        Ok(observed) => (Some(observed), None),
        Err(error) if error.is::<CannotAsk>() => (None, Some(error.to_string())),
        Err(error) => {
            lab.check(false, format!("the experiment ran to its end: {error}"));
            (None, None)
        }
    };
    let report = Report::new(name(), question, prediction, observed, reason, log.read()?);
    let printed = if options.json {
        writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&report)?)
    } else if options.plain {
        write!(io::stdout(), "{}", anstream::adapter::strip_str(&report.text(true, asked)))
    } else {
        write!(anstream::stdout(), "{}", report.text(false, asked))
    };
    match printed.and_then(|()| io::stdout().flush()) {
        // The reader of the output has seen enough: `just fd-vanishes | head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        other => other?,
    }
    if let (Some(path), Verdict::Agrees) = (&options.draw, report.verdict) {
        let plots = lab.plots.unwrap_or_default();
        let written = match plots.is_empty() {
            true => Err("there is nothing to draw in this experiment".to_owned()),
            false => {
                fs::write(path, figure(&name(), &plots)?).map_err(|e| format!("{}: {e}", path.display()))
            }
        };
        // The kernel agreed, so only the option is wrong.
        written.unwrap_or_else(|message| Options::command().error(ErrorKind::InvalidValue, message).exit());
    }
    Ok(report.verdict)
}

/// This program has started itself in a role.
fn play(question: Question, role: &str, options: &Options) -> ExitCode {
    let Some((_, body)) = question.roles.iter().find(|(name, _)| *name == role) else {
        eprintln!("{}: no role is called {role}", name());
        return ExitCode::from(2);
    };
    let log = match &options.lane {
        Some(_) => Log::inherited(),
        None => Log::create(),
    };
    let lane = options.lane.as_deref().unwrap_or(role);
    let outcome = log.and_then(|log| {
        let mut lab = Lab::new(lane, Arc::new(log), options.args.clone());
        // On the timeline too, because the exit status alone could be taken for an answer.
        body(&mut lab).inspect_err(|error| lab.check(false, format!("{lane} failed: {error}")))
    });
    match outcome {
        Ok(status) => ExitCode::from(u8::try_from(status).unwrap_or(1)),
        Err(error) => {
            eprintln!("{} as {role}: {error}", name());
            ExitCode::FAILURE
        }
    }
}

/// The choice that `--predict` names.
fn predicted(question: Question, options: &Options) -> Option<usize> {
    let predict = options.predict?;
    let choice = (0..question.choices.len()).find(|choice| letter(*choice) == predict);
    choice.or_else(|| {
        let message =
            format!("`{predict}` is none of the letters a to {}", letter(question.choices.len() - 1));
        Options::command().error(ErrorKind::InvalidValue, message).exit()
    })
}

/// Ask the reader. Nothing has been opened yet, so Ctrl-C here leaves nothing behind.
fn predict(question: Question) -> Result<Option<usize>> {
    anstream::println!("{}", question_text(question));
    let last = letter(question.choices.len() - 1);
    loop {
        anstream::print!("Your prediction (a to {last}, Enter to skip): ");
        io::stdout().flush()?;
        let mut line = String::new();
        let length = io::stdin().lock().read_line(&mut line)?;
        anstream::println!();
        let answer = line.trim().to_ascii_lowercase();
        let mut letters = answer.chars();
        match (letters.next(), letters.next()) {
            (None, _) if length == 0 || answer.is_empty() => return Ok(None),
            (Some(letter), None) if ('a'..=last).contains(&letter) => {
                return Ok(Some(usize::from(letter as u8 - b'a')));
            }
            _ => anstream::println!("That is none of the letters a to {last}."),
        }
    }
}

/// Kill this process if it hangs. The timer is a separate one, so that experiments may use `alarm` and the like. Children
/// do not inherit it; they are killed when their parent dies.
fn limit() -> Result<Timer> {
    let event = SigEvent::new(SigevNotify::SigevSignal { signal: Signal::SIGALRM, si_value: 0 });
    let mut timer = Timer::new(ClockId::CLOCK_MONOTONIC, event)?;
    timer.set(Expiration::OneShot(LIMIT.into()), TimerSetTimeFlags::empty())?;
    Ok(timer)
}

/// Close every descriptor from `first` on.
fn close_from(first: u32) -> Result {
    // SAFETY: called before anything was opened, so no object of this program owns what is closed here.
    let result = unsafe { nix::libc::close_range(first, u32::MAX, 0) };
    Errno::result(result)?;
    Ok(())
}

/// The experiment's name is its program's.
fn name() -> String {
    let program = std::env::args_os().next().unwrap_or_default();
    Path::new(&program).file_name().unwrap_or_default().to_string_lossy().into_owned()
}
