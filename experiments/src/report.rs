//! What came of an experiment: its timeline, its facts and its verdict, as `--json` prints them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::question::Question;
use crate::timeline::{Event, What};
use crate::verdict::Verdict;

mod picture;
pub(crate) mod strace;
mod text;
mod wording;

pub(crate) use text::question_text;
pub(crate) use wording::resolve;
pub use wording::{events, vary};

/// The whole report, as `--json` prints it.
#[derive(Serialize)]
pub(crate) struct Report {
    name: String,
    question: &'static str,
    setup: &'static str,
    choices: Vec<&'static str>,
    /// The wrong choices by their letters, and why each is wrong.
    why_not: BTreeMap<char, &'static str>,
    prediction: Option<char>,
    /// Why the kernel does not do what the reader predicted, where the experiment has a sentence on that.
    because: Option<&'static str>,
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
    /// What came of an experiment: the choice that was observed, if it ran to its end; or why it could not be asked.
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
        // What a child was refused. An experiment that agrees has wanted that, or did not need it.
        let mut refused = None;
        for event in &events {
            let text = resolve(&event.text, false);
            match event.what {
                What::Fact { holds } => facts.push(Fact { holds, text }),
                What::Refused => refused = refused.or(Some(text)),
                What::Failed => {}
                ref what => timeline.push(Row { lane: event.lane.clone(), event: what.clone(), text }),
            }
        }
        let failed = facts.iter().find(|fact| !fact.holds);
        let agrees = failed.is_none() && observed == Some(question.book);
        let (verdict, reason) = match (skipped.or(refused.filter(|_| !agrees)), failed, observed) {
            (Some(reason), ..) => (Verdict::Skipped, Some(reason)),
            (None, Some(fact), _) => (Verdict::Disagrees, Some(format!("this does not hold: {}", fact.text))),
            (None, None, _) if agrees => (Verdict::Agrees, None),
            (None, None, seen) => (
                Verdict::Disagrees,
                Some(match seen {
                    Some(seen) => format!("seen: {}; the book says {}", letter(seen), letter(question.book)),
                    None => "the experiment did not run to its end".into(),
                }),
            ),
        };
        let wrong = prediction.filter(|choice| observed.is_some() && observed != Some(*choice));
        let why_not = why_not(question);
        let because = wrong.and_then(|choice| why_not.get(&letter(choice)).copied());
        Self {
            name,
            question: question.question,
            setup: question.setup,
            why_not,
            choices: question.texts().collect(),
            because,
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
}

/// The wrong choices that have a sentence on why they are wrong.
fn why_not(question: Question) -> BTreeMap<char, &'static str> {
    let answers = question.choices.iter().enumerate().map(|(choice, it)| (letter(choice), it.because));
    answers.filter(|(_, because)| !because.is_empty()).collect()
}

/// The letter of a choice, counted from 0.
pub(crate) fn letter(choice: usize) -> char {
    char::from(b'a' + u8::try_from(choice).unwrap_or(25).min(25))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::question::Choice;

    const QUESTION: Question =
        Question { choices: &[Choice::new("No."), Choice::new("Yes.")], book: 1, ..Question::EMPTY };

    fn event(what: What, text: &str) -> Event {
        Event::now("child", "child", what, text.into())
    }

    /// The verdict and its reason, when a child was refused a call and a fact holds or not.
    fn when_refused(observed: Option<usize>, holds: bool) -> (Verdict, Option<String>) {
        let events =
            vec![event(What::Refused, "EPERM, at child.rs:1"), event(What::Fact { holds }, "a fact")];
        let report = Report::new("name".into(), QUESTION, None, observed, None, events);
        (report.verdict, report.reason)
    }

    #[test]
    fn what_a_child_was_refused_is_the_reason_to_skip() {
        let skipped = (Verdict::Skipped, Some("EPERM, at child.rs:1".to_owned()));
        assert_eq!(when_refused(None, false), skipped, "the child failed");
        assert_eq!(when_refused(Some(0), true), skipped, "the parent saw another answer");
    }

    #[test]
    fn an_experiment_that_agrees_has_wanted_the_refusal() {
        assert_eq!(when_refused(Some(1), true), (Verdict::Agrees, None));
    }
}
