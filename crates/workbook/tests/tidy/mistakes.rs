//! A mistake is an edit of its reference: each of its hunks matches exactly one place there, a test by its name can
//! catch it, and that test's words can contain its message. All of it is found without compiling anything;
//! `workbook verify` then proves that the test does catch it.
//!
//! Of each exercise, the page asks about some mistakes: which test fails, and what does it say? `just machine` proves that the other
//! tests pass.

use std::sync::LazyLock;

use regex::Regex;

use crate::repository::Repository;
use mistakes::{Mistake, edit, parse};

pub fn faults(repository: &Repository) -> Vec<String> {
    let mut faults = Vec::new();
    for file in repository.below("crates/", ".md") {
        if let [_, krate, "mistakes", name] = file.split('/').collect::<Vec<_>>()[..]
            && let Some(module) = name.strip_suffix(".md")
        {
            let found = of_exercise(repository, &file, krate, module);
            faults.extend(found.iter().map(|wrong| format!("{file}: {wrong}")));
        }
    }
    faults
}

fn of_exercise(repository: &Repository, file: &str, krate: &str, module: &str) -> Vec<String> {
    let parsed = parse(&repository.read(file));
    let mut faults = Vec::new();
    if parsed.len() < 3 {
        faults.push(format!("it has {} mistakes, and at least three must be caught", parsed.len()));
    }
    let reference = repository.sources(krate, module);
    let [reference] = &reference[..] else { return faults };
    let reference = repository.read(reference);
    let tests = repository.read(&format!("crates/{krate}/tests/{module}.rs"));
    let words = Words::of(repository, krate);
    for mistake in &parsed {
        match mistake {
            Err(wrong) => faults.push(wrong.clone()),
            Ok(mistake) => faults
                .extend(wrong(mistake, &reference, &tests, &words).map(|w| format!("{}: {w}", mistake.name))),
        }
    }
    // Once each of them is right by itself.
    if faults.is_empty() {
        let all: Vec<Mistake> = parsed.into_iter().flatten().collect();
        let asked = || all.iter().filter(|mistake| !mistake.passes.is_empty());
        if asked().count() < ASKED {
            let few = asked().count();
            faults.push(format!(
                "{few} of its mistakes have the field `Passes`, and the page asks about {ASKED}"
            ));
        }
        faults.extend(asked().filter_map(|mistake| wrong_choices(mistake, &all)));
    }
    faults
}

fn wrong(mistake: &Mistake, reference: &str, tests: &str, words: &Words) -> Option<String> {
    let Mistake { caught_by, message, hunks, .. } = mistake;
    if !tests.contains(&format!("fn {caught_by}(")) {
        return Some(format!("the test `{caught_by}` does not exist"));
    }
    if !words.may_say(message) {
        return Some(format!("no test of its crate says «{message}»"));
    }
    edit::apply(hunks, reference).err()
}

/// About how many mistakes of an exercise its page asks at least.
const ASKED: usize = 3;

/// Each test that can be chosen comes with words that it says of another mistake.
fn wrong_choices(mistake: &Mistake, all: &[Mistake]) -> Option<String> {
    let Mistake { name, caught_by, passes, .. } = mistake;
    let silent = passes.iter().find(|test| all.iter().all(|other| other.caught_by != **test));
    if passes.contains(caught_by) {
        return Some(format!("{name}: it is caught by `{caught_by}`, and said to pass it"));
    }
    if passes.len() == 1 {
        return Some(format!("{name}: one test that it passes is too little to choose from"));
    }
    silent.map(|test| {
        format!("{name}: no mistake is caught by `{test}`, so there are no words for that choice")
    })
}

/// What the tests of a crate can say: the text of their string literals, between what is filled in.
struct Words(Vec<String>);

/// The least that a message and a literal must share where the rest may be filled in.
const SHARED: usize = 6;

/// What no test says in its own words.
const OF_STD: [&str; 4] = ["did not panic as expected", "panicked", "called `", "attempt to "];

impl Words {
    fn of(repository: &Repository, krate: &str) -> Self {
        static LITERAL: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r#"(?s)"((?:[^"\\]|\\.)*)""#).expect("a regex"));
        static NEXT_LINE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\\\n\s*").expect("a regex"));
        static FILLED_IN: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\{[^{}]*\}").expect("a regex"));
        let mut words = Vec::new();
        let folders = [format!("crates/{krate}/tests/"), "crates/testing/src/".to_owned()];
        for file in folders.iter().flat_map(|folder| repository.below(folder, ".rs")) {
            for literal in LITERAL.captures_iter(&repository.read(&file)) {
                let text = NEXT_LINE.replace_all(&literal[1], "").replace("\\\"", "\"");
                let text = text.replace("{{", "\0").replace("}}", "\u{1}");
                let pieces =
                    FILLED_IN.split(&text).map(|piece| piece.replace('\0', "{").replace('\u{1}', "}"));
                words.extend(pieces.filter(|piece| piece.len() >= SHARED));
            }
        }
        Self(words)
    }

    /// Can one of them say this? No only where it shares nothing with any of them: what is filled in may be anything.
    fn may_say(&self, message: &str) -> bool {
        let ends = || message.char_indices().map(|(at, _)| message.split_at(at));
        let shares = |piece: &String| {
            piece.contains(message)
                || message.contains(piece.as_str())
                || ends().any(|(start, end)| {
                    start.len() >= SHARED && piece.ends_with(start)
                        || end.len() >= SHARED && piece.starts_with(end)
                })
        };
        OF_STD.iter().any(|words| message.contains(words)) || self.0.iter().any(shares)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::one;

    const TESTS: &str = "#[test]\nfn adds() {\n    assert!(sum == 3, \"1 and 2 make 3, \\\n        not {sum}: \\\"+\\\"?\");\n}\n\
        #[test]\nfn adds_zero() {}\n#[test]\nfn adds_more() {}\n";

    /// Three good mistakes, of which the second has one thing replaced. Each is caught by a test of its own, and passes the others.
    fn with(right: &str, wrong: &str) -> Vec<String> {
        let tests = ["adds", "adds_zero", "adds_more"];
        let good = |name: &str, own: &str| {
            let passes: Vec<_> =
                tests.iter().filter(|test| **test != own).map(|test| format!("`{test}`")).collect();
            format!(
                "### {name}\n\nOne.\n\n- Caught by: `{own}`\n- Message: `make 3, not 4: \"+\"?`\n- Passes: {}\n\n\
                 ```diff\n-a + b\n+{name}\n```\n\n",
                passes.join(", ")
            )
        };
        let second = good("two", "adds_zero").replace(right, wrong);
        assert!(right == wrong || second != good("two", "adds_zero"), "{right}");
        let all = [good("one", "adds"), second, good("three", "adds_more")].concat();
        faults(&Repository::of(&[
            ("crates/k/mistakes/m.md", &all),
            ("crates/k/src/deep/m.rs", "pub fn add(a: u8, b: u8) -> u8 {\n    a + b\n}\n"),
            ("crates/k/tests/m.rs", TESTS),
        ]))
    }

    #[test]
    fn good_mistakes_are_left_alone() {
        assert_eq!(with("", ""), [""; 0]);
        assert_eq!(with("make 3, not 4: \"+\"?", "make 3, not 4"), [""; 0]);
        assert_eq!(with("make 3, not 4: \"+\"?", "test did not panic as expected"), [""; 0]);
    }

    #[test]
    fn an_edit_of_something_else_is_found() {
        one(
            &with("-a + b", "-a - b"),
            &["crates/k/mistakes/m.md: two: hunk 1: it matches nowhere", "«a - b»"],
        );
        one(&with("-a + b\n+two", " a + b"), &["crates/k/mistakes/m.md: two: its diff changes nothing"]);
    }

    #[test]
    fn a_test_that_is_not_there_is_found() {
        one(
            &with("by: `adds_zero`", "by: `add`"),
            &["crates/k/mistakes/m.md: two: the test `add` does not exist"],
        );
    }

    #[test]
    fn a_message_that_no_test_says_is_found() {
        one(&with("make 3, not 4: \"+\"?", "makes 4"), &["two: no test of its crate says «makes 4»"]);
    }

    #[test]
    fn what_the_page_cannot_ask_is_found() {
        one(
            &with("- Passes: `adds`, `adds_more`\n", ""),
            &["m.md: 2 of its mistakes have the field `Passes`"],
        );
        one(
            &with("`adds`, `adds_more`", "`adds`, `adds_zero`"),
            &["two: it is caught by `adds_zero`, and said to"],
        );
        one(
            &with("`adds`, `adds_more`", "`adds`, `adds_less`"),
            &["two: no mistake is caught by `adds_less`"],
        );
        one(&with("`adds`, `adds_more`", "`adds`"), &["two: one test that it passes is too little"]);
    }

    #[test]
    fn what_is_missing_is_found() {
        one(&with("One.\n", ""), &["crates/k/mistakes/m.md: two: it has no sentence"]);
        one(&with("```\n", ""), &["two: its fence ```diff is not closed"]);
        let few = Repository::of(&[("crates/k/mistakes/m.md", "")]);
        one(&faults(&few), &["crates/k/mistakes/m.md: it has 0 mistakes"]);
    }
}
