//! A report as a reader sees it: question, timeline, what it shows, verdict.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use super::picture::Picture;
use super::wording::resolve;
use super::{Report, letter};
use crate::question::Question;
use crate::timeline::{Event, What};
use crate::verdict::Verdict;

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

impl Report {
    /// The report in text, with colors. `plain` is for transcripts: it has names for what varies. A reader who was
    /// `asked` to predict has the question on the screen already.
    pub fn text(&self, plain: bool, asked: bool) -> String {
        let mut out = String::new();
        if !asked {
            out += &question_lines(self.question, self.setup, &self.choices);
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
        // A reader who predicted has the answer to that choice already.
        if self.prediction.is_none() && self.verdict == Verdict::Agrees && !self.why_not.is_empty() {
            let _ = writeln!(out, "\n{BOLD}Why not the others?{BOLD:#}");
            for (letter, because) in &self.why_not {
                let _ = writeln!(out, "{}", wrap(because, &format!("  {letter}  "), "     "));
            }
        }
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
        if let Some(because) = self.because {
            let _ = writeln!(out, "{}", wrap(because, "", ""));
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
    for event in events.iter().filter(|e| e.what.is_drawn()) {
        let style = LANES[picture.lane(&event.lane) % LANES.len()];
        let row = picture.row(event);
        let _ = writeln!(out, "{style}{row}{style:#}{}", resolve(&event.text, plain));
    }
    out
}

/// The question and its choices, as the prompt shows them.
pub(crate) fn question_text(question: Question) -> String {
    question_lines(question.question, question.setup, &question.texts().collect::<Vec<_>>())
}

fn question_lines(question: &str, setup: &str, choices: &[&str]) -> String {
    let mut out = format!("{BOLD}{}{BOLD:#}\n\n", wrap(question, "", ""));
    if !setup.is_empty() {
        let _ = writeln!(out, "{}\n", wrap(setup, "", ""));
    }
    for (i, choice) in choices.iter().enumerate() {
        let _ = writeln!(out, "{}", wrap(choice, &format!("  {}  ", letter(i)), "     "));
    }
    out
}

fn wrap(text: &str, first: &str, rest: &str) -> String {
    // Not broken at a hyphen: close-on-exec is one word, and a reader searches for it.
    let options = textwrap::Options::new(WIDTH).word_splitter(textwrap::WordSplitter::NoHyphenation);
    textwrap::fill(text, options.initial_indent(first).subsequent_indent(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::question::Choice;

    const QUESTION: Question = Question {
        question: "Is the flag inherited?",
        choices: &[
            Choice::new("No.").because("It was set in the child."),
            Choice::new("Sometimes."),
            Choice::new("Yes."),
        ],
        book: 2,
        ..Question::EMPTY
    };

    /// What is reported to a reader who predicted this choice, in an experiment that shows the last one.
    fn predicted(choice: usize) -> Report {
        Report::new("flag".into(), QUESTION, Some(choice), Some(2), None, Vec::new())
    }

    #[test]
    fn a_wrong_prediction_is_answered_by_its_choice() {
        let report = predicted(0);
        assert_eq!(report.because, Some("It was set in the child."), "in JSON");
        let text = report.text(true, true);
        assert!(text.contains("The kernel did c.\nIt was set in the child.\n"), "in the terminal: {text}");
    }

    #[test]
    fn a_reader_who_did_not_predict_sees_why_each_other_choice_is_wrong() {
        let report = Report::new("flag".into(), QUESTION, None, Some(2), None, Vec::new());
        let text = anstream::adapter::strip_str(&report.text(true, false)).to_string();
        assert!(text.ends_with("Why not the others?\n  a  It was set in the child.\n"), "{text}");
    }

    #[test]
    fn without_a_sentence_nothing_is_added_to_the_answer() {
        for choice in [1, 2] {
            let report = predicted(choice);
            assert_eq!(report.because, None);
            let text = anstream::adapter::strip_str(&report.text(true, true)).to_string();
            assert_eq!(
                text.trim_end().lines().skip_while(|line| !line.starts_with("You")).count(),
                2,
                "{text}"
            );
        }
    }
}
