//! Trying the faults of an operation, in helper processes, and counting how it took them.

use std::collections::BTreeMap;

use testing::{Answer, Helper, comes_on};

use crate::documented::is_unknown;
use crate::verdict::{Verdict, judge};
use crate::{Fault, Operation, Place, inject, scene};

/// How many faults a helper tries, one after the other.
const BATCH: usize = 100;

/// The helper: run an operation under the tracer without a fault, or with each of the faults in the arguments.
pub fn answer(name: &str, faults: &[&str], operation: impl Fn()) -> i32 {
    if faults.is_empty() {
        return inject::list(|| scene::run(None, &operation));
    }
    for words in faults {
        let Ok(fault) = words.parse() else {
            eprintln!("{name}: {words} is no fault");
            return 2;
        };
        comes_on();
        println!("fault {words}");
        let code = inject::with_fault(&fault, || scene::run(Some(&fault), &operation));
        if code == testing::REFUSED {
            return code;
        }
        println!("code {code}");
    }
    0
}

/// What came of the faults of one call in one operation.
#[derive(Debug, Default)]
pub struct Tally {
    /// How many places in the operation make this call.
    pub places: usize,
    /// How many runs there were, each with one fault that came.
    pub faults: usize,
    /// How many gave an error that names the errno.
    pub errors: usize,
    /// How many took which way out.
    pub fallbacks: BTreeMap<&'static str, usize>,
    /// How many did not come, because that run did not get so far.
    pub missed: usize,
    /// What is not explained, fault by fault.
    pub unexplained: Vec<String>,
}

/// The calls of an operation: the places, in order. `None` if this machine refuses ptrace.
///
/// # Panics
/// If the operation fails without a fault.
pub fn places(name: &str) -> Option<Vec<Place>> {
    let listed = Helper::new(&[name]).if_permitted()?;
    let broken = ["lost", "left", "panic", "error"].iter().any(|word| listed.lines(word).next().is_some());
    assert!(!broken && listed.0.contains("\ndone\n"), "{name} fails without a fault:\n{}", listed.0);
    Some(listed.lines("place").filter_map(|words| words.parse().ok()).collect())
}

/// Try what `pick` chooses of the faults of each place, and count by call. `None` if this machine refuses ptrace.
///
/// # Panics
/// If the operation fails without a fault, or the helper does.
pub fn of(operation: &Operation, pick: impl Fn(&Place) -> Vec<Fault>) -> Option<BTreeMap<String, Tally>> {
    let name = &*operation.name;
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    let mut faults = Vec::new();
    for place in places(name)? {
        let tally = tallies.entry(place.call.clone()).or_default();
        tally.places += 1;
        if tally.places == 1 && is_unknown(&place.call) {
            tally.unexplained.push(format!("documented.rs does not know {}, which {name} calls", place.call));
        }
        faults.extend(pick(&place));
    }
    for batch in faults.chunks(BATCH) {
        let words: Vec<String> = batch.iter().map(ToString::to_string).collect();
        let args: Vec<&str> = [name].into_iter().chain(words.iter().map(String::as_str)).collect();
        let answer = Helper::new(&args).if_permitted()?;
        let runs = runs(&answer);
        assert_eq!(runs.len(), batch.len(), "the helper tries each fault once:\n{}", answer.0);
        for (fault, (lines, code)) in batch.iter().zip(runs) {
            let tally = tallies.entry(fault.place.call.clone()).or_default();
            tally.count(judge(name, fault, &lines, code), || format!("{name}: {fault}"));
        }
    }
    Some(tallies)
}

/// The lines of each run, and its exit code.
pub fn runs(answer: &Answer) -> Vec<(Vec<&str>, i32)> {
    let runs = answer.0.split("fault ").skip(1).map(|run| {
        let lines: Vec<&str> = run.lines().skip(1).collect();
        let code = lines.iter().find_map(|line| line.strip_prefix("code ")?.parse().ok());
        (lines, code.unwrap_or(-1))
    });
    runs.collect()
}

impl Tally {
    fn count(&mut self, verdict: Verdict, fault: impl FnOnce() -> String) {
        self.faults += usize::from(verdict != Verdict::Missed);
        match verdict {
            Verdict::Error => self.errors += 1,
            Verdict::Fallback(fallback) => *self.fallbacks.entry(fallback.name).or_default() += 1,
            Verdict::Missed => self.missed += 1,
            Verdict::Unexplained(why) => self.unexplained.push(format!("{}: {why}", fault())),
        }
    }
}
