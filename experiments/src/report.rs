//! What an experiment prints: question, timeline, what it shows, verdict.

use std::fmt::Write;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::ask::Question;
use crate::timeline::{Event, Picture, What};
use crate::vary::resolve;

const WIDTH: usize = 76;
const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const LANES: [Style; 4] = [
    AnsiColor::Cyan.on_default(),
    AnsiColor::Magenta.on_default(),
    AnsiColor::Yellow.on_default(),
    AnsiColor::Blue.on_default(),
];

/// Does this kernel do what the book says?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    Agrees,
    Disagrees,
    Skipped,
}

impl Verdict {
    pub fn exit_code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Agrees => 0,
            Self::Disagrees => 1,
            Self::Skipped => 3,
        })
    }
}

/// Everything there is to say, as `--json` prints it.
#[derive(Serialize)]
pub(crate) struct Report {
    name: String,
    question: &'static str,
    choices: &'static [&'static str],
    prediction: Option<char>,
    observed: Option<char>,
    book: char,
    timeline: Vec<Row>,
    facts: Vec<Fact>,
    shows: &'static str,
    pub verdict: Verdict,
    reason: Option<String>,
    #[serde(skip)]
    events: Vec<Event>,
}

#[derive(Serialize)]
struct Row {
    lane: String,
    event: What,
    text: String,
}

#[derive(Serialize)]
struct Fact {
    holds: bool,
    text: String,
}

impl Report {
    pub fn new(
        name: String,
        question: Question,
        prediction: Option<usize>,
        observed: Option<usize>,
        skipped: Option<String>,
        events: Vec<Event>,
    ) -> Self {
        let mut timeline = Vec::new();
        let mut facts = Vec::new();
        for event in &events {
            let text = resolve(&event.text, false);
            match event.what {
                What::Fact { holds } => facts.push(Fact { holds, text }),
                ref what => timeline.push(Row { lane: event.lane.clone(), event: what.clone(), text }),
            }
        }
        let failed = facts.iter().find(|fact| !fact.holds);
        let (verdict, reason) = match (skipped, failed, observed) {
            (Some(reason), ..) => (Verdict::Skipped, Some(reason)),
            (None, Some(fact), _) => (Verdict::Disagrees, Some(format!("this does not hold: {}", fact.text))),
            (None, None, Some(seen)) if seen == question.book => (Verdict::Agrees, None),
            (None, None, seen) => (
                Verdict::Disagrees,
                Some(match seen {
                    Some(seen) => format!("seen: {}; the book says {}", letter(seen), letter(question.book)),
                    None => "the experiment did not run to its end".into(),
                }),
            ),
        };
        Self {
            name,
            question: question.question,
            choices: question.choices,
            prediction: prediction.map(letter),
            observed: observed.map(letter),
            book: letter(question.book),
            timeline,
            facts,
            shows: question.shows,
            verdict,
            reason,
            events,
        }
    }

    /// The report in text, with colours. `plain` is for transcripts: it has names for what varies.
    pub fn text(&self, plain: bool) -> String {
        let mut out = String::new();
        if self.prediction.is_none() {
            // Who predicted has the question on the screen already.
            out += &question_lines(self.question, self.choices);
            out.push('\n');
        }
        if !self.timeline.is_empty() {
            out += &timeline_text(&self.events, plain);
            out.push('\n');
        }
        if !self.facts.is_empty() || self.verdict == Verdict::Agrees {
            let _ = writeln!(out, "{BOLD}What it shows{BOLD:#}");
            for event in &self.events {
                if let What::Fact { holds } = event.what {
                    let (style, sign) = if holds { (GOOD, '✓') } else { (BAD, '✗') };
                    let text = resolve(&event.text, plain);
                    let _ = writeln!(out, "{}", wrap(&text, &format!("  {style}{sign}{style:#} "), "    "));
                }
            }
            if self.verdict == Verdict::Agrees {
                let _ = writeln!(out, "{}", wrap(self.shows, "  ", "  "));
            }
            out.push('\n');
        }
        out += &self.verdict_text();
        out
    }

    fn verdict_text(&self) -> String {
        let mut out = String::new();
        if let (Some(prediction), Some(observed)) = (self.prediction, self.observed) {
            let _ = match prediction == observed {
                true => writeln!(out, "{GOOD}You predicted {prediction}, and so it was.{GOOD:#}"),
                false => writeln!(out, "You predicted {prediction}. The kernel did {observed}."),
            };
        }
        let reason = self.reason.as_deref().unwrap_or_default();
        let _ = match self.verdict {
            Verdict::Agrees => {
                writeln!(
                    out,
                    "The answer is {BOLD}{}{BOLD:#}. {GOOD}This kernel agrees with the book.{GOOD:#}",
                    self.book
                )
            }
            Verdict::Disagrees => writeln!(out, "{BAD}This kernel disagrees with the book{BAD:#}: {reason}"),
            Verdict::Skipped => writeln!(out, "{BOLD}This cannot be asked here{BOLD:#}: {reason}"),
        };
        out
    }
}

/// The timeline, one row an event.
fn timeline_text(events: &[Event], plain: bool) -> String {
    let mut out = String::new();
    let mut picture = Picture::new(events);
    let _ = writeln!(out, "{DIM}{}{DIM:#}", picture.header());
    for event in events.iter().filter(|e| !matches!(e.what, What::Fact { .. })) {
        let style = LANES[picture.lane(&event.lane) % LANES.len()];
        let row = picture.row(event);
        let _ = writeln!(out, "{style}{row}{style:#}{}", resolve(&event.text, plain));
    }
    out
}

/// The question and its choices, as the prompt shows them.
pub(crate) fn question_text(question: Question) -> String {
    question_lines(question.question, question.choices)
}

fn question_lines(question: &str, choices: &[&str]) -> String {
    let mut out = format!("{BOLD}{}{BOLD:#}\n\n", wrap(question, "", ""));
    for (i, choice) in choices.iter().enumerate() {
        let _ = writeln!(out, "{}", wrap(choice, &format!("  {}  ", letter(i)), "     "));
    }
    out
}

fn wrap(text: &str, first: &str, rest: &str) -> String {
    let options = textwrap::Options::new(WIDTH).initial_indent(first).subsequent_indent(rest);
    textwrap::fill(text, options)
}

fn letter(choice: usize) -> char {
    char::from(b'a' + u8::try_from(choice).unwrap_or(25).min(25))
}
