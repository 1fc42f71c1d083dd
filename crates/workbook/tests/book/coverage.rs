//! Every experiment and every exercise is on a page, with what a reader needs there.

use std::sync::LazyLock;

use regex::Regex;

use crate::checkout::{Checkout, Fault, Page, one_line, stem};
use crate::includes;

static CHOICE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?m)^  ([a-z])  ").expect("a regex"));

pub fn faults(checkout: &Checkout) -> Vec<Fault> {
    let mut faults = Vec::new();
    for source in checkout.experiments() {
        experiment(checkout, &source, &mut faults);
    }
    for (krate, module) in checkout.exercises() {
        exercise(checkout, &krate, &module, &mut faults);
    }
    faults
}

/// The transcript is included, and the question asked in the same words, with the same choices.
fn experiment(checkout: &Checkout, source: &str, faults: &mut Vec<Fault>) {
    let transcript = source.replace(".rs", ".txt");
    let Some(text) = checkout.read(&transcript) else {
        faults.push(Fault::new(source, 1, "this experiment has no transcript: `just bless` writes it"));
        return;
    };
    let pages = checkout.including(&transcript);
    if pages.is_empty() {
        faults.push(Fault::new(source, 1, format!("no page of the book includes {transcript}")));
        return;
    }
    named(&pages, stem(source), faults);
    let page = pages[0];
    let line =
        page.includes.iter().find(|include| include.path == transcript).map_or(1, |include| include.line);
    asks(&text, &transcript, &pages, (page, line), faults);
    // A page that runs another page's experiment asks its question, too.
    let borrows = format!("data-experiment=\"{}\"", stem(source));
    for page in checkout.pages.iter().filter(|page| page.source.contains(&borrows)) {
        let line =
            page.source.lines().position(|line| line.contains(&borrows)).map_or(1, |before| before + 1);
        asks(&text, &transcript, &[page], (page, line), faults);
    }
}

/// One of these pages asks what the transcript asks. If not, `at` is where that is said.
fn asks(text: &str, transcript: &str, pages: &[&Page], at: (&Page, usize), faults: &mut Vec<Fault>) {
    let (page, line) = at;
    // A transcript begins with its question, the setup and the choices; what follows is the answer.
    let parts: Vec<&str> = text.split("\n\n").collect();
    let choices = parts.iter().position(|part| part.starts_with("  a  ")).unwrap_or(parts.len());
    let (asking, choices) = (&parts[..choices], parts.get(choices).copied().unwrap_or_default());
    let asked = |words: &str| pages.iter().any(|page| self::words(&page.source).contains(words));
    for part in asking.iter().filter(|part| !asked(&words(part))) {
        let text =
            format!("the page does not ask what {transcript} asks, in these words: {}", one_line(part));
        faults.push(Fault::new(&page.file, line, text));
    }
    // A choice is `  a  Yes.` in the terminal and `- a. Yes.` on the page, over as many lines as it takes.
    let choices = CHOICE.replace_all(choices, "\n\n$1. ");
    for choice in choices.split("\n\n").filter(|choice| !choice.trim().is_empty() && !asked(&words(choice))) {
        let text = format!("the page lacks a choice of {transcript}, in these words: {}", one_line(choice));
        faults.push(Fault::new(&page.file, line, text));
    }
}

/// The hints and the mistakes are there, folded, and so is the way to the tests.
fn exercise(checkout: &Checkout, krate: &str, module: &str, faults: &mut Vec<Fault>) {
    let [hints, mistakes] =
        ["hints", "mistakes"].map(|folder| format!("crates/{krate}/{folder}/{module}.md"));
    let tests = format!("crates/{krate}/tests/{module}.rs");
    let pages = checkout.including(&hints);
    let Some(page) = pages.first() else {
        let file = format!("crates/{krate}/starters/{module}.rs");
        faults.push(Fault::new(&file, 1, format!("no page of the book includes {hints}")));
        return;
    };
    named(&pages, &format!("exercise-{module}"), faults);
    for (i, name) in includes::anchors(&checkout.read(&hints).unwrap_or_default()).iter().enumerate() {
        let step = i + 1;
        match page.includes.iter().find(|include| include.path == hints && include.name == *name) {
            None => {
                let text = format!("the page does not include hint {step}: {hints}:{name}");
                faults.push(Fault::new(&page.file, 1, text));
            }
            Some(include) if !folded(page, include.at) => {
                let text = format!("hint {step} is not folded: put it between <details> and </details>");
                faults.push(Fault::new(&page.file, include.line, text));
            }
            Some(_) => {}
        }
    }
    match page.includes.iter().find(|include| include.path == mistakes) {
        None => faults.push(Fault::new(&page.file, 1, format!("the page does not include {mistakes}"))),
        Some(include) if !folded(page, include.at) => {
            let text = "the mistakes are not folded: put them between <details> and </details>";
            faults.push(Fault::new(&page.file, include.line, text));
        }
        Some(_) => {}
    }
    if !page.includes.iter().any(|include| include.path == tests)
        && !page.source.contains(&format!("/{tests})"))
    {
        faults.push(Fault::new(&page.file, 1, format!("the page neither includes {tests} nor links to it")));
    }
}

/// One of these pages has that name, by which the tool finds it without reading any.
fn named(pages: &[&Page], name: &str, faults: &mut Vec<Fault>) {
    if !pages.iter().any(|page| stem(&page.file) == name) {
        faults.push(Fault::new(&pages[0].file, 1, format!("the tool looks for this page as {name}.md")));
    }
}

/// Is this place of a page between `<details>` and `</details>`?
fn folded(page: &Page, at: usize) -> bool {
    let before = &page.source[..at];
    before.matches("<details").count() > before.matches("</details>").count()
}

/// The words of a text without what Markdown adds to them: code marks, emphasis, the marks of quotes.
fn words(text: &str) -> String {
    static MARKS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?m)^\s*>+ ?|[`*]|\\").expect("a regex"));
    one_line(&MARKS.replace_all(text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::{Scratch, none, one};

    const QUESTION: &str = "A file is open. Then comes exec. Is it\nstill open?";
    const HINTS: [&str; 3] = [
        "<details>\n<summary>Hint 1</summary>\n\n{{#include ../../crates/k/hints/m.md:hint-1}}\n\n</details>\n",
        "<details>\n<summary>Hint 2</summary>\n\n{{#include ../../crates/k/hints/m.md:hint-2}}\n\n</details>\n",
        "<details>\n<summary>Hint 3</summary>\n\n{{#include ../../crates/k/hints/m.md:hint-3}}\n\n</details>\n",
    ];
    const MISTAKES: &str =
        "<details>\n<summary>Wrong</summary>\n\n{{#include ../../crates/k/mistakes/m.md}}\n\n</details>\n";
    const TESTS: &str = "```rust\n{{#include ../../crates/k/tests/m.rs}}\n```\n";

    fn experiment_page(page: &str) -> Vec<Fault> {
        let scratch = Scratch::new();
        scratch.file("experiments/src/lib.rs", "").file("experiments/01-x/e.rs", "");
        scratch.file(
            "experiments/01-x/e.txt",
            &format!("{QUESTION}\n\n  a  Yes.\n  b  No, because\n     it is closed.\n\nThe answer is b.\n"),
        );
        scratch.page("e.md", page);
        faults(&scratch.checkout())
    }

    fn exercise_page(page: &str) -> Vec<Fault> {
        let scratch = Scratch::new();
        let hint = |i| format!("<!-- ANCHOR: hint-{i} -->\nx\n<!-- ANCHOR_END: hint-{i} -->\n");
        scratch.file("crates/k/hints/m.md", &[1, 2, 3].map(hint).concat());
        scratch
            .file("crates/k/starters/m.rs", "")
            .file("crates/k/tests/m.rs", "")
            .page("exercise-m.md", page);
        scratch.file("crates/k/mistakes/m.md", "### wrong\n");
        faults(&scratch.checkout())
    }

    #[test]
    fn what_is_on_its_page_is_left_alone() {
        let transcript = "- a. Yes.\n- b. No, because it\n  is closed.\n\n```text\n{{#include ../../experiments/01-x/e.txt}}\n```\n";
        none(&experiment_page(&format!(
            "A file is open. Then comes `exec`.\nIs it still open?\n\n{transcript}"
        )));
        none(&experiment_page(&format!(
            "> A file is open. Then comes *exec*. Is\n> it still open?\n\n{transcript}"
        )));
        none(&exercise_page(&format!("{}{MISTAKES}{TESTS}", HINTS.concat())));
        none(&exercise_page(&format!("{}{MISTAKES}[t](https://x/crates/k/tests/m.rs)\n", HINTS.concat())));
    }

    #[test]
    fn an_experiment_on_no_page_is_found() {
        one(
            &experiment_page("# A\n"),
            "experiments/01-x/e.rs:1: ",
            "no page of the book includes experiments/01-x/e.txt",
        );
    }

    #[test]
    fn an_experiment_without_a_transcript_is_found() {
        let scratch = Scratch::new();
        scratch.file("experiments/01-x/e.rs", "").page("e.md", "# A\n");
        one(&faults(&scratch.checkout()), "experiments/01-x/e.rs:1: ", "`just bless` writes it");
    }

    #[test]
    fn a_question_in_other_words_is_found() {
        let page = "A file was open. Is it still?\n\n- a. Yes.\n- b. No, because it is closed.\n\n```text\n{{#include ../../experiments/01-x/e.txt}}\n```\n";
        one(
            &experiment_page(page),
            "book/src/e.md:7: ",
            "in these words: A file is open. Then comes exec. Is it still open?",
        );
    }

    #[test]
    fn a_choice_with_another_letter_is_found() {
        let page = format!(
            "{QUESTION}\n\n- a. Yes.\n- c. No, because it is closed.\n\n{{{{#include ../../experiments/01-x/e.txt}}}}\n"
        );
        one(&experiment_page(&page), "book/src/e.md:7: ", "in these words: b. No, because it is closed.");
    }

    #[test]
    fn a_borrowed_question_in_other_words_is_found() {
        let own = format!(
            "{QUESTION}\n\n- a. Yes.\n- b. No, because it is closed.\n\n{{{{#include ../../experiments/01-x/e.txt}}}}\n"
        );
        let borrowing = |question: &str| {
            let scratch = Scratch::new();
            scratch.file("experiments/src/lib.rs", "").file("experiments/01-x/e.rs", "");
            let text = format!(
                "{QUESTION}\n\n  a  Yes.\n  b  No, because\n     it is closed.\n\nThe answer is b.\n"
            );
            scratch.file("experiments/01-x/e.txt", &text).page("e.md", &own);
            let choices = "- a. Yes.\n- b. No, because it is closed.\n";
            scratch
                .page("front.md", &format!("# A\n\n<div data-experiment=\"e\">\n\n{question}\n\n{choices}"));
            faults(&scratch.checkout())
        };
        none(&borrowing(QUESTION));
        one(
            &borrowing("A file was open. Is it still?"),
            "book/src/front.md:3: ",
            "in these words: A file is open.",
        );
    }

    #[test]
    fn an_exercise_on_no_page_is_found() {
        one(
            &exercise_page("# A\n"),
            "crates/k/starters/m.rs:1: ",
            "no page of the book includes crates/k/hints/m.md",
        );
    }

    #[test]
    fn a_missing_hint_is_found() {
        let page = [HINTS[0], HINTS[2], MISTAKES, TESTS].concat();
        one(
            &exercise_page(&page),
            "book/src/exercise-m.md:1: ",
            "does not include hint 2: crates/k/hints/m.md:hint-2",
        );
    }

    #[test]
    fn an_open_hint_is_found() {
        let page =
            [HINTS[0], HINTS[1], TESTS, MISTAKES, "{{#include ../../crates/k/hints/m.md:hint-3}}\n"].concat();
        one(&exercise_page(&page), "book/src/exercise-m.md:22: ", "hint 3 is not folded");
    }

    #[test]
    fn missing_tests_are_found() {
        one(
            &exercise_page(&format!("{}{MISTAKES}", HINTS.concat())),
            "book/src/exercise-m.md:1: ",
            "neither includes crates/k/tests/m.rs nor links",
        );
    }

    #[test]
    fn missing_mistakes_are_found() {
        let page = [&HINTS.concat(), TESTS].concat();
        one(&exercise_page(&page), "book/src/exercise-m.md:1: ", "does not include crates/k/mistakes/m.md");
    }

    #[test]
    fn open_mistakes_are_found() {
        let page = [&HINTS.concat(), TESTS, "{{#include ../../crates/k/mistakes/m.md}}\n"].concat();
        one(&exercise_page(&page), "book/src/exercise-m.md:22: ", "the mistakes are not folded");
    }

    #[test]
    fn a_page_that_the_tool_does_not_find_is_found() {
        let scratch = Scratch::new();
        scratch.file("experiments/01-x/e.rs", "").file("experiments/01-x/e.txt", "Is it?\n\n  a  Yes.\n");
        scratch.page("other.md", "Is it?\n\n- a. Yes.\n\n{{#include ../../experiments/01-x/e.txt}}\n");
        one(&faults(&scratch.checkout()), "book/src/other.md:1: ", "looks for this page as e.md");
    }
}
