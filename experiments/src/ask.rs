//! The course of an experiment: options, prediction, body, report, verdict.

use std::fs;
use std::io::{self, BufRead};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser};

use crate::chart::{Plot, figure};
use crate::environment::{limit, missing, settle};
use crate::lab::Lab;
use crate::output::{complain, delivered, is_conversation, print, print_bytes};
use crate::question::Question;
use crate::refused_calls::refused;
use crate::report::{Report, letter, question_text, strace};
use crate::stream;
use crate::timeline::{Event, Log};
use crate::verdict::{Result, Verdict};

/// The exit status where the report cannot be printed.
const LOST: u8 = 4;

/// Ask the kernel one question, and print what it answered.
#[derive(Parser)]
#[command(
    after_help = "Exit status: 0 the kernel agrees with the book, 1 it disagrees, 2 wrong usage, 3 it \
                  cannot be asked, 4 the report cannot be printed."
)]
struct Options {
    /// Print one JSON object, and nothing else
    #[arg(long, conflicts_with = "plain")]
    json: bool,
    /// Print what the book prints: no color, no prompt, and names for what varies
    #[arg(long)]
    plain: bool,
    /// Print JSON objects, one a line, each when it happens: the timeline, other output, the verdict, the end
    #[arg(long, conflicts_with_all = ["json", "plain", "strace", "draw"])]
    json_lines: bool,
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
    /// The log is inherited, and the report goes into it: a process that prints JSON lines has started this one
    #[arg(long, hide = true)]
    logged: bool,
    #[arg(hide = true)]
    args: Vec<String>,
}

/// What happens in an experiment. Boxed, so that all that is around it is compiled once, and not for each experiment.
type Body<'a> = Box<dyn FnOnce(&mut Lab) -> Result<usize> + 'a>;

/// Run an experiment: `body` makes things happen, notes what it sees, and returns the choice that the kernel made.
pub fn ask(question: Question, body: impl FnOnce(&mut Lab) -> Result<usize>) -> ExitCode {
    asked(question, Box::new(body))
}

fn asked(question: Question, body: Body<'_>) -> ExitCode {
    let options = options(question);
    if let Some(role) = &options.role {
        return play(question, role, &options);
    }
    match experiment(question, body, &options) {
        Ok(verdict) => verdict.into(),
        // No report says it, so these lines have to.
        Err(failure) if failure.is_lost() => {
            complain(&format!("{}: {failure}", name()));
            ExitCode::from(LOST)
        }
        Err(failure) => {
            complain(&format!("{}: skipped: {failure}", name()));
            Verdict::Skipped.into()
        }
    }
}

fn options(question: Question) -> Options {
    let command = Options::command().about(question.question);
    Options::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
}

/// Run an experiment and print its report. An error says why there is no report: the output is full, for example.
fn experiment(question: Question, body: Body<'_>, options: &Options) -> Result<Verdict> {
    if options.strace {
        return strace::run(&name(), question);
    }
    if options.json_lines {
        return stream::run(predicted(question, options).map(letter));
    }
    let quiet = options.json || options.plain || options.logged;
    let prompt = is_conversation() && !quiet && options.predict.is_none();
    let prediction = if prompt { predict(question)? } else { predicted(question, options) };
    // A reader who skipped the prediction sees the question again, above the answer.
    let asked = prompt && prediction.is_some();
    let mut seen = Seen { events: Vec::new(), plots: options.draw.as_ref().map(|_| Vec::new()) };
    let log = settle(options.logged).and_then(|()| match options.logged {
        true => Log::inherited(),
        false => Log::create(),
    });
    let log = log.map(Arc::new);
    let kept = log.as_ref().ok().cloned();
    let outcome = log.and_then(|log| run(question, body, log, &mut seen));
    let (observed, mut reason) = match outcome {
        Ok(observed) => (Some(observed), None),
        Err(failure) => {
            let reason = failure.refusal();
            if reason.is_none() {
                seen.events.push(Event::failure(question.lane, &failure));
            }
            (None, reason)
        }
    };
    let report = |reason| Report::new(name(), question, prediction, observed, reason, seen.events.clone());
    if reason.is_none() && report(None).verdict == Verdict::Disagrees {
        reason = missing(&name());
    }
    let report = report(reason);
    let printed = if let (true, Some(log)) = (options.logged, &kept) {
        return log.append(&stream::line(&report)?).map(|()| report.verdict);
    } else if options.json {
        print_bytes(format!("{}\n", serde_json::to_string_pretty(&report)?).as_bytes())
    } else if options.plain {
        print_bytes(anstream::adapter::strip_str(&report.text(true, asked)).to_string().as_bytes())
    } else {
        print(&report.text(false, asked))
    };
    delivered(printed)?;
    if let (Some(path), Verdict::Agrees) = (&options.draw, report.verdict) {
        draw(path, &seen.plots.unwrap_or_default())?;
    }
    Ok(report.verdict)
}

/// What an experiment wrote down and drew, however it ended.
struct Seen {
    events: Vec<Event>,
    plots: Option<Vec<Plot>>,
}

/// Run the body, and collect what it wrote down.
fn run(question: Question, body: Body<'_>, log: Arc<Log>, seen: &mut Seen) -> Result<usize> {
    let _limit = limit();
    let mut lab = Lab::new(question.lane, Arc::clone(&log), Vec::new());
    lab.plots = seen.plots.take();
    // A panic has no report otherwise. The panic's own message is on the standard error, unless a call is refused here, in
    // which std panics. The report names that call.
    let hook = take_hook();
    set_hook(Box::new(move |panic| refused().map_or_else(|| hook(panic), |_| ())));
    let outcome =
        catch_unwind(AssertUnwindSafe(|| body(&mut lab))).unwrap_or_else(|_| Err("it panicked".into()));
    let outcome = outcome.and_then(|observed| lab.left_nothing().map(|()| observed));
    *seen = Seen { events: log.read()?, plots: lab.plots };
    outcome
}

fn draw(path: &Path, plots: &[Plot]) -> Result {
    let written = match plots.is_empty() {
        true => Err("there is nothing to draw in this experiment".to_owned()),
        false => fs::write(path, figure(&name(), plots)?).map_err(|e| format!("{}: {e}", path.display())),
    };
    // The kernel agreed, so only the option is wrong.
    written.unwrap_or_else(|message| Options::command().error(ErrorKind::InvalidValue, message).exit());
    Ok(())
}

/// This program has started itself in a role.
fn play(question: Question, role: &str, options: &Options) -> ExitCode {
    let Some((_, body)) = question.roles.iter().find(|(name, _)| *name == role) else {
        complain(&format!("{}: no role is called {role}", name()));
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
        body(&mut lab).inspect_err(|failure| lab.failed(failure))
    });
    match outcome {
        Ok(status) => ExitCode::from(u8::try_from(status).unwrap_or(1)),
        Err(error) => {
            complain(&format!("{} as {role}: {error}", name()));
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
    delivered(print(&format!("{}\n", question_text(question))))?;
    let last = letter(question.choices.len() - 1);
    loop {
        delivered(print(&format!("Your prediction (a to {last}, Enter to skip): ")))?;
        let mut line = String::new();
        let length = io::stdin().lock().read_line(&mut line)?;
        delivered(print("\n"))?;
        let answer = line.trim().to_ascii_lowercase();
        let mut letters = answer.chars();
        match (letters.next(), letters.next()) {
            (None, _) if length == 0 || answer.is_empty() => return Ok(None),
            (Some(letter), None) if ('a'..=last).contains(&letter) => {
                return Ok(Some(usize::from(letter as u8 - b'a')));
            }
            _ => delivered(print(&format!("That is none of the letters a to {last}.\n")))?,
        }
    }
}

/// The experiment's name is its program's.
fn name() -> String {
    let program = std::env::args_os().next().unwrap_or_default();
    Path::new(&program).file_name().unwrap_or_default().to_string_lossy().into_owned()
}
