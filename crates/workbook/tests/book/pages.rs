//! The set of pages: SUMMARY.md and the folder agree, figures are used, and pages are short.

use std::sync::LazyLock;

use regex::Regex;

use crate::checkout::{Checkout, Fault, resolve};

/// What a reader takes in at one sitting.
const LONGEST: usize = 160;

/// Pages that a reader looks things up in.
const LOOKED_UP: [&str; 1] = ["book/src/appendix/glossary.md"];

const SUMMARY: &str = "book/src/SUMMARY.md";

pub fn faults(checkout: &Checkout) -> Vec<Fault> {
    static ENTRY: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\]\(([^)]+\.md)\)").expect("a regex"));
    let mut faults = Vec::new();
    let summary = checkout.read(SUMMARY).unwrap_or_default();
    let mut named = Vec::new();
    for (i, line) in summary.lines().enumerate() {
        for entry in ENTRY.captures_iter(line) {
            let file = resolve(SUMMARY, &entry[1]).unwrap_or_default();
            if !checkout.root.join(&file).is_file() {
                faults.push(Fault::new(SUMMARY, i + 1, format!("the page {file} does not exist")));
            }
            named.push(file);
        }
    }
    for page in &checkout.pages {
        if !named.contains(&page.file) {
            faults.push(Fault::new(
                &page.file,
                1,
                "SUMMARY.md does not name this page, so mdBook leaves it out",
            ));
        }
        let length = page.source.lines().count();
        if length > LONGEST && !LOOKED_UP.contains(&page.file.as_str()) {
            let text = format!("the page has {length} lines: one idea a page, and {LONGEST} lines at most");
            faults.push(Fault::new(&page.file, LONGEST + 1, text));
        }
    }
    for figure in checkout.walk("book/src/figures") {
        if checkout.including(&figure).is_empty() {
            faults.push(Fault::new(&figure, 1, "no page includes this figure"));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::{Scratch, none, one};

    #[test]
    fn a_good_set_is_left_alone() {
        let scratch = Scratch::new();
        scratch
            .page("index.md", "{{#include figures/a.svg}}\n")
            .file("book/src/figures/a.svg", "<svg></svg>");
        scratch.page("01-x/long.md", &"x\n".repeat(160));
        scratch.page("appendix/glossary.md", &"x\n".repeat(161));
        none(&faults(&scratch.checkout()));
    }

    #[test]
    fn a_page_that_summary_does_not_name_is_found() {
        let scratch = Scratch::new();
        scratch.page("index.md", "").file("book/src/01-x/lost.md", "# Lost\n");
        one(&faults(&scratch.checkout()), "book/src/01-x/lost.md:1: ", "SUMMARY.md does not name this page");
    }

    #[test]
    fn a_name_without_a_page_is_found() {
        let scratch = Scratch::new();
        scratch.file(SUMMARY, "# Summary\n\n- [A](a.md)\n");
        one(&faults(&scratch.checkout()), "book/src/SUMMARY.md:3: ", "the page book/src/a.md does not exist");
    }

    #[test]
    fn a_figure_on_no_page_is_found() {
        let scratch = Scratch::new();
        scratch.page("index.md", "").file("book/src/figures/a.svg", "<svg></svg>");
        one(&faults(&scratch.checkout()), "book/src/figures/a.svg:1: ", "no page includes this figure");
    }

    #[test]
    fn a_long_page_is_found() {
        let scratch = Scratch::new();
        scratch.page("index.md", &"x\n".repeat(161));
        one(&faults(&scratch.checkout()), "book/src/index.md:161: ", "161 lines");
    }
}
