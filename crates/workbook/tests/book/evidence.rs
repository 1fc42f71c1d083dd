//! Evidence: a statement about the kernel carries a link to what shows it, and the link's title says which. It
//! names an experiment or a test that exists, and leads to the page that the reader can check it on.

use crate::checkout::{Checkout, Fault, Page, stem};
use crate::render::{Rendered, select, target};

pub fn faults(checkout: &Checkout, rendered: &Rendered) -> Vec<Fault> {
    let mut faults = Vec::new();
    for page in &checkout.pages {
        let Some(html) = rendered.html(page) else { continue };
        let mut seen = Vec::new();
        for link in select(&html, "a[title]") {
            let (title, to) = (link.attr("title").unwrap_or_default(), link.attr("href").unwrap_or_default());
            let shown_on = match title.split_once(' ') {
                Some(("experiment", name)) => experiment(checkout, name.trim()),
                Some(("test", name)) => test(checkout, name.trim()),
                _ => continue,
            };
            let file = to.split('#').next().unwrap_or_default().replace(".html", ".md");
            let nth = seen.iter().filter(|link| **link == (title, to)).count();
            seen.push((title, to));
            let (written, line) = page.locate_nth(nth, &[title, &file]);
            let mut find =
                |text| faults.push(Fault::new(written, line, format!("evidence \"{title}\": {text}")));
            match shown_on {
                Err(wrong) => find(wrong),
                Ok(pages) => {
                    let leads_to = target(&page.html(), to).map(|(file, _)| file).unwrap_or_default();
                    if !pages.iter().any(|page| page.html() == leads_to) {
                        let pages: Vec<_> = pages.iter().map(|page| page.file.as_str()).collect();
                        find(format!("the link leads to {to}, but this is shown on {}", pages.join(" and ")));
                    }
                }
            }
        }
        if page.chapter().is_some() && !is_exempt(page) && seen.is_empty() && !has_transcript(page) {
            let text = "this page shows no evidence: link what it says to a test or an experiment, or include a \
                        transcript";
            faults.push(Fault::new(&page.file, 1, text));
        }
    }
    faults
}

/// A chapter's first page asks, its questions are asked back, and an exercise is its own evidence.
fn is_exempt(page: &Page) -> bool {
    let name = stem(&page.file);
    name == "index" || name == "questions" || name.starts_with("exercise")
}

fn has_transcript(page: &Page) -> bool {
    page.includes
        .iter()
        .any(|include| include.path.starts_with("experiments/") && include.path.ends_with(".txt"))
}

/// The pages with that experiment's transcript.
fn experiment<'a>(checkout: &'a Checkout, name: &str) -> Result<Vec<&'a Page>, String> {
    let Some(source) = checkout.experiment(name) else {
        return Err(format!("no experiment is called `{name}`"));
    };
    let pages = checkout.including(&source.replace(".rs", ".txt"));
    if pages.is_empty() { Err("no page includes its transcript".to_owned()) } else { Ok(pages) }
}

/// The pages of the exercise that `crate/module::test` belongs to; for a test without an exercise, the pages that print it.
fn test<'a>(checkout: &'a Checkout, name: &str) -> Result<Vec<&'a Page>, String> {
    let parts = name.split_once("::").and_then(|(file, test)| Some((file.split_once('/')?, test)));
    let Some(((krate, module), test)) = parts else {
        return Err(
            "a test is named as in \"test cloexec/flags::set_makes_the_descriptor_close_on_exec\"".to_owned()
        );
    };
    let file = format!("crates/{krate}/tests/{module}.rs");
    let Some(source) = checkout.read(&file) else { return Err(format!("{file} does not exist")) };
    if !source.contains(&format!("fn {test}(")) {
        return Err(format!("{file} has no test `{test}`"));
    }
    let hints = format!("crates/{krate}/hints/{module}.md");
    let of_exercise = checkout.including(&hints);
    let pages = if of_exercise.is_empty() { checkout.including(&file) } else { of_exercise };
    if pages.is_empty() { Err(format!("no page includes {hints}, or {file}")) } else { Ok(pages) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::{Scratch, none, one};

    fn book(page: &str) -> Vec<Fault> {
        let scratch = Scratch::new();
        scratch.file("experiments/01-x/seen.rs", "//! x").file("experiments/01-x/seen.txt", "x\n");
        scratch.file("experiments/01-x/unseen.rs", "//! x");
        scratch.file("crates/k/tests/m.rs", "#[test]\nfn it_holds() {}\n");
        scratch.file("crates/k/hints/m.md", "<!-- ANCHOR: 1 -->\nx\n<!-- ANCHOR_END: 1 -->\n");
        scratch.page("01-x/index.md", "# A\n").page("01-x/questions.md", "# Q\n");
        scratch
            .page("01-x/seen.md", "# S\n\n```text\n{{#include ../../../experiments/01-x/seen.txt}}\n```\n");
        scratch.page(
            "01-x/exercise-m.md",
            "# E\n\n## The tests\n\n{{#include ../../../crates/k/hints/m.md:1}}\n",
        );
        scratch.page("01-x/p.md", &format!("# P\n\n{page}\n"));
        scratch.faults(faults)
    }

    #[test]
    fn good_evidence_is_left_alone() {
        none(&book("[s](seen.md \"experiment seen\")"));
        none(&book("[t](exercise-m.md#the-tests \"test k/m::it_holds\") [x](index.md \"experimental\")"));
    }

    #[test]
    fn an_unknown_experiment_is_found() {
        one(
            &book("\n[s](seen.md \"experiment sene\")"),
            "book/src/01-x/p.md:4: ",
            "no experiment is called `sene`",
        );
    }

    #[test]
    fn an_experiment_on_no_page_is_found() {
        one(
            &book("[s](seen.md \"experiment unseen\")"),
            "book/src/01-x/p.md:3: ",
            "no page includes its transcript",
        );
    }

    #[test]
    fn a_link_to_another_page_is_found() {
        let words = "leads to index.html, but this is shown on book/src/01-x/seen.md";
        one(&book("[s](index.md \"experiment seen\")"), "book/src/01-x/p.md:3: ", words);
        let words = "leads to seen.html, but this is shown on book/src/01-x/exercise-m.md";
        one(&book("[s](seen.md \"test k/m::it_holds\")"), "book/src/01-x/p.md:3: ", words);
    }

    #[test]
    fn an_unknown_test_is_found() {
        let page = |test: &str| book(&format!("[t](exercise-m.md \"test {test}\")"));
        one(&page("k/m::it_hold"), "book/src/01-x/p.md:3: ", "crates/k/tests/m.rs has no test `it_hold`");
        one(&page("k/n::it_holds"), "book/src/01-x/p.md:3: ", "crates/k/tests/n.rs does not exist");
        one(&page("it_holds"), "book/src/01-x/p.md:3: ", "a test is named as in");
    }

    #[test]
    fn a_test_of_no_exercise_is_shown_where_it_is_printed() {
        let page = |printed: &str| {
            let scratch = Scratch::new();
            scratch.file("crates/k/tests/n.rs", "#[test]\nfn it_holds() {}\n");
            let text = format!("# N\n\n[t](n.md \"test k/n::it_holds\")\n\n```rust\n{printed}\n```\n");
            scratch.page("01-x/n.md", &text);
            scratch.faults(faults)
        };
        none(&page("{{#include ../../../crates/k/tests/n.rs}}"));
        let words = "no page includes crates/k/hints/n.md, or crates/k/tests/n.rs";
        one(&page("nothing"), "book/src/01-x/n.md:3: ", words);
    }

    #[test]
    fn each_of_two_links_is_found() {
        let faults = book("[s](seen.md \"experiment sene\")\n\n[s](seen.md \"experiment sene\")");
        one(&faults[..1], "book/src/01-x/p.md:3: ", "sene");
        one(&faults[1..], "book/src/01-x/p.md:5: ", "sene");
    }

    #[test]
    fn a_page_without_evidence_is_found() {
        one(&book("The kernel does things."), "book/src/01-x/p.md:1: ", "shows no evidence");
    }
}
