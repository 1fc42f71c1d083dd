//! The table of the appendix: first what does not agree everywhere, then what does.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Result;

use super::outcome::{Outcome, Results, Verdict};
use super::why::{Sentence, on};
use crate::place::Place;
use crate::sources::experiments;

const HEAD: &str = "<!-- `just kernels` writes this file. -->\n\n";

/// How the table calls it.
pub fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Agrees => "agrees",
        Verdict::Partly => "agrees in part",
        Verdict::Skipped => "skipped",
        Verdict::Differs => "**differs**",
    }
}

/// How many experiments, or programs of tests, of a kernel have this verdict.
fn count(results: &Results, tests: bool, verdict: Verdict) -> usize {
    results.outcomes.iter().filter(|one| is_test(one) == tests && one.verdict == verdict).count()
}

/// What came of the experiments, in numbers.
fn counts(results: &Results) -> String {
    let [agree, partly, skipped, differ] =
        [Verdict::Agrees, Verdict::Partly, Verdict::Skipped, Verdict::Differs]
            .map(|verdict| count(results, false, verdict));
    format!("{agree} agree, {partly} in part, {skipped} skipped, {differ} differ")
}

/// The item of a kernel in the appendix.
fn of_kernel(results: &Results) -> String {
    format!("- **Linux {}**: {}.\n", results.version, counts(results))
}

/// One line on a kernel.
pub fn summary(results: &Results) -> String {
    let (passed, not_asked) = tests(results.outcomes.iter());
    let failed = count(results, true, Verdict::Differs);
    format!(
        "experiments: {}; tests: {passed} passed, {not_asked} skipped, {failed} programs with one that failed",
        counts(results)
    )
}

/// What differs without a sentence that says so.
pub fn untold(all: &[Results], sentences: &[Sentence]) -> Vec<String> {
    let mut found = Vec::new();
    for results in all {
        let differ = results.outcomes.iter().filter(|one| one.verdict == Verdict::Differs);
        let untold = differ.filter(|one| on(sentences, &one.name, &results.name).is_none());
        found.extend(untold.map(|one| format!("{} on {}: {}", one.name, results.name, one.reason)));
    }
    found
}

/// The whole of it, for so many programs of tests.
///
/// # Errors
/// When the list of experiments cannot be read.
pub fn table(place: &Place, all: &[Results], sentences: &[Sentence], programs: usize) -> Result<String> {
    let mut text = HEAD.to_owned();
    let all: Vec<_> = all.iter().collect();
    let mut chapters: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut rows = String::new();
    for experiment in experiments(place)? {
        let Some((chapter, _)) = experiment.file.split_once('/') else { continue };
        let link = format!("[{name}](../{chapter}/{name}.md)", name = experiment.name);
        match row(&experiment.name, &link, &all, sentences) {
            Some(row) => rows += &row,
            None => chapters.entry(chapter.to_owned()).or_default().push(link),
        }
    }
    text += "## Each kernel\n\n";
    all.iter().for_each(|results| text += &of_kernel(results));
    text += "\n## Experiments that do not agree on every kernel\n\n";
    head(&mut text, "Experiment");
    text += &rows;
    text += "\n## Experiments that agree on every kernel\n\n| Chapter | Experiments |\n|---|---|\n";
    for (chapter, links) in chapters {
        let number = chapter.split('-').next().unwrap_or_default().trim_start_matches('0');
        let _ = writeln!(text, "| {number} | {} |", links.join(", "));
    }
    // Tests take longer, and may have been run on some of the kernels alone.
    let all_of_them =
        |results: &&Results| results.outcomes.iter().filter(|one| is_test(one)).count() == programs;
    let tested: Vec<_> = all.iter().copied().filter(all_of_them).collect();
    if !tested.is_empty() {
        text += &of_tests(&tested, sentences);
    }
    Ok(text)
}

fn of_tests(all: &[&Results], sentences: &[Sentence]) -> String {
    let versions: Vec<_> = all.iter().map(|results| results.version.as_str()).collect();
    let mut text = "\n## The crates' tests\n\n".to_owned();
    let _ = writeln!(text, "| Crate | {} |\n|---|{}", versions.join(" | "), "---|".repeat(versions.len()));
    let mut crates: Vec<_> =
        all.iter().flat_map(|results| &results.outcomes).filter_map(|one| of(&one.name)).collect();
    crates.sort_unstable();
    crates.dedup();
    for name in crates {
        let cells = all.iter().map(|results| {
            let (passed, skipped) = tests(results.outcomes.iter().filter(|one| of(&one.name) == Some(name)));
            if skipped == 0 { passed.to_string() } else { format!("{passed}, {skipped} skipped") }
        });
        let _ = writeln!(text, "| {name} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
    let mut programs: Vec<_> = all
        .iter()
        .flat_map(|results| &results.outcomes)
        .filter(|one| is_test(one))
        .map(|one| &one.name)
        .collect();
    programs.sort_unstable();
    programs.dedup();
    let rows: Vec<_> =
        programs.iter().filter_map(|name| row(name, &format!("`{name}`"), all, sentences)).collect();
    if !rows.is_empty() {
        text += "\nThese programs have a test that is skipped on a kernel, or that fails there:\n\n";
        head(&mut text, "Tests");
        text += &rows.concat();
    }
    text
}

/// The row of what does not agree on every kernel: each other answer, with its kernels, and why.
fn row(name: &str, label: &str, all: &[&Results], sentences: &[Sentence]) -> Option<String> {
    let mut answers: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut why: Vec<String> = Vec::new();
    for results in all {
        let one = results.outcomes.iter().find(|one| one.name == name);
        let answer = one.map_or("not run", |one| word(one.verdict));
        if answer == word(Verdict::Agrees) {
            continue;
        }
        match answers.iter_mut().find(|(there, _)| *there == answer) {
            Some((_, kernels)) => kernels.push(&results.version),
            None => answers.push((answer, vec![&results.version])),
        }
        let Some(one) = one else { continue };
        // What differs is explained by a person, or the explanation is missing.
        let said = if one.verdict == Verdict::Differs { "" } else { one.reason.as_str() };
        let sentence = on(sentences, name, &results.name).unwrap_or(said);
        if !sentence.is_empty() && !why.iter().any(|there| there == sentence) {
            why.push(sentence.to_owned());
        }
    }
    let cells: Vec<String> = answers
        .iter()
        .map(|(answer, kernels)| match kernels.len() == all.len() {
            true => format!("{answer} on all"),
            false => format!("{answer} on {}", kernels.join(", ")),
        })
        .collect();
    let why = why.join(" ").replace('|', "\\|");
    (!cells.is_empty()).then(|| format!("| {label} | {} | {why} |\n", cells.join("; ")))
}

/// The head of a table of such rows.
fn head(text: &mut String, first: &str) {
    let _ = writeln!(text, "| {first} | Answer | Why |\n|---|---|---|");
}

/// The crate of a program of tests; an experiment has none.
fn of(name: &str) -> Option<&str> {
    name.split_once('/').map(|(of, _)| of)
}

fn is_test(one: &Outcome) -> bool {
    of(&one.name).is_some()
}

/// How many tests passed, and how many were skipped.
fn tests<'a>(outcomes: impl Iterator<Item = &'a Outcome>) -> (u32, u32) {
    outcomes.filter_map(|one| one.tests).fold((0, 0), |(passed, skipped), (p, s)| (passed + p, skipped + s))
}
