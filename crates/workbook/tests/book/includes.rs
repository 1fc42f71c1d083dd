//! Includes: mdBook says nothing about a missing anchor, and for a missing file it logs a line and goes on. Here
//! both are faults, as are lines that the file does not have.

use std::sync::LazyLock;

use regex::Regex;

use crate::checkout::{Checkout, Fault, resolve};

/// `{{#include path:part}}` as it stands in a file.
pub struct Include {
    pub line: usize,
    /// Where in the text it stands, in bytes.
    pub at: usize,
    /// From the checkout. Empty where it leads out of it.
    pub path: String,
    pub part: Part,
    /// The part as it was written.
    pub name: String,
    helper: String,
    text: String,
}

/// What of a file is included.
#[derive(Debug, PartialEq)]
pub enum Part {
    Whole,
    Anchor(String),
    /// From and to, counted from 1, both included.
    Lines(usize, usize),
}

static HELPER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(\\?)\{\{\s*#([a-zA-Z0-9_]+)\s+([^}]+)\}\}").expect("a regex"));
static START: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"ANCHOR:\s*([\w-]+)").expect("a regex"));
static END: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"ANCHOR_END:\s*([\w-]+)").expect("a regex"));

/// What a text includes. One with a backslash before it is shown, not followed.
pub fn of(file: &str, text: &str) -> Vec<Include> {
    let mut includes = Vec::new();
    for found in HELPER.captures_iter(text).filter(|found| found[1].is_empty()) {
        let at = found.get(0).map_or(0, |whole| whole.start());
        let argument = found[3].split_whitespace().next().unwrap_or_default();
        let (path, part) = argument.split_once(':').unwrap_or((argument, ""));
        includes.push(Include {
            line: text[..at].matches('\n').count() + 1,
            at,
            path: resolve(file, path).unwrap_or_default(),
            part: Part::of(part),
            name: part.to_owned(),
            helper: found[2].to_owned(),
            text: found[0].to_owned(),
        });
    }
    includes.retain(|include| include.helper != "title");
    includes
}

impl Part {
    /// As mdBook reads it: `anchor`, `5` (one line), `5:`, `:9`, `5:9`.
    fn of(part: &str) -> Self {
        let (from, to) = part.split_once(':').map_or((part, None), |(from, to)| (from, Some(to)));
        let number = |text: &str| text.parse().ok();
        match (number(from), to) {
            _ if part.is_empty() => Self::Whole,
            (None, _) if !from.is_empty() => Self::Anchor(from.to_owned()),
            (from, Some(to)) => Self::Lines(from.unwrap_or(1), number(to).unwrap_or(usize::MAX)),
            (Some(line), None) => Self::Lines(line, line),
            (None, None) => Self::Whole,
        }
    }
}

impl Include {
    /// The lines that it brings onto the page, with their numbers; else what is wrong with it.
    pub fn take<'a>(&self, text: &'a str) -> Result<Vec<(usize, &'a str)>, String> {
        let lines: Vec<_> = text.lines().enumerate().map(|(i, line)| (i + 1, line)).collect();
        let named = |mark: &Regex, name: &str| {
            lines.iter().position(|(_, line)| mark.captures(line).is_some_and(|found| &found[1] == name))
        };
        let path = &self.path;
        match &self.part {
            Part::Whole => Ok(lines),
            Part::Anchor(name) => {
                let Some(start) = named(&START, name) else {
                    return Err(format!("{path} has no line with `ANCHOR: {name}`"));
                };
                let Some(end) = named(&END, name).filter(|end| *end > start) else {
                    return Err(format!("{path} has no `ANCHOR_END: {name}` after `ANCHOR: {name}`"));
                };
                let mut part = lines[start + 1..end].to_vec();
                part.retain(|(_, line)| !START.is_match(line) && !END.is_match(line));
                match part.is_empty() {
                    true => Err(format!("there is nothing between the anchors `{name}` of {path}")),
                    false => Ok(part),
                }
            }
            Part::Lines(..) if named(&START, &self.name).is_some() => Err(format!(
                "to mdBook `{}` is a number of a line, not an anchor: rename the anchor",
                self.name
            )),
            Part::Lines(from, to) => {
                let last = if *to == usize::MAX { lines.len() } else { *to };
                match *from >= 1 && *from <= last && last <= lines.len() {
                    true => Ok(lines[from - 1..last].to_vec()),
                    false => {
                        Err(format!("{path} has {} lines, not those from {from} to {last}", lines.len()))
                    }
                }
            }
        }
    }
}

/// The anchors of a text, in order.
pub fn anchors(text: &str) -> Vec<String> {
    START.captures_iter(text).map(|found| found[1].to_owned()).collect()
}

/// Every include, of pages and of what they include, names what there is.
pub fn faults(checkout: &Checkout) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut seen = Vec::new();
    let mut files: Vec<String> = checkout.pages.iter().map(|page| page.file.clone()).collect();
    while let Some(file) = files.pop() {
        let text = checkout.read(&file).unwrap_or_default();
        for include in of(&file, &text) {
            let Include { path, helper, text, .. } = &include;
            let wrong = if !["include", "rustdoc_include", "playground"].contains(&helper.as_str()) {
                Some(format!("mdBook knows no `{helper}`: the reader sees it as it stands here"))
            } else if let Some(included) = checkout.read(path) {
                if !seen.contains(path) && path.ends_with(".md") {
                    seen.push(path.clone());
                    files.push(path.clone());
                }
                include.take(&included).err().or_else(|| {
                    let shown =
                        include.part == Part::Whole && path.ends_with(".rs") && START.is_match(&included);
                    shown.then(|| {
                        format!("{path} has anchors, which show as comments where all of it is included")
                    })
                })
            } else if path.is_empty() {
                Some("this leads out of the checkout".to_owned())
            } else {
                Some(format!("{path} does not exist"))
            };
            faults.extend(wrong.map(|wrong| Fault::new(&file, include.line, format!("`{text}`: {wrong}"))));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::{Scratch, none, one};

    fn book(page: &str) -> Vec<Fault> {
        let scratch = Scratch::new();
        scratch.page("index.md", page);
        scratch.file(
            "crates/a/src/x.rs",
            "// ANCHOR: all\nfn x() {}\n// ANCHOR_END: all\n// ANCHOR: open\nfn y() {}\n",
        );
        scratch.file("crates/a/src/y.rs", "1\n2\n3\n");
        faults(&scratch.checkout())
    }

    #[test]
    fn what_there_is_can_be_included() {
        let page = "# A\n\n{{#include ../../crates/a/src/x.rs:all}}\n{{#include ../../crates/a/src/y.rs}}\n\
                    {{#include ../../crates/a/src/y.rs:2:3}}\n{{#include ../../crates/a/src/y.rs:3}}\n\
                    {{#include ../../crates/a/src/y.rs:2:}}\n\\{{#include shown.rs}}\n";
        none(&book(page));
    }

    #[test]
    fn a_missing_file_is_found() {
        let scratch = Scratch::new();
        scratch.page("index.md", "# A\n\n```rust\n{{#include ../../crates/a/src/gone.rs}}\n```\n");
        one(&faults(&scratch.checkout()), "book/src/index.md:4: ", "crates/a/src/gone.rs does not exist");
    }

    #[test]
    fn a_missing_file_in_an_included_page_is_found_where_it_is_named() {
        let scratch = Scratch::new();
        scratch.page("index.md", "# A\n\n{{#include ../../hints/h.md}}\n");
        scratch.file("hints/h.md", "a hint\n{{#include gone.md}}\n");
        one(&faults(&scratch.checkout()), "hints/h.md:2: ", "hints/gone.md does not exist");
    }

    #[test]
    fn a_missing_anchor_is_found() {
        one(
            &book("# A\n\n{{#include ../../crates/a/src/x.rs:al}}\n"),
            "book/src/index.md:3: ",
            "no line with `ANCHOR: al`",
        );
    }

    #[test]
    fn an_anchor_without_an_end_is_found() {
        one(
            &book("{{#include ../../crates/a/src/x.rs:open}}\n"),
            "book/src/index.md:1: ",
            "no `ANCHOR_END: open` after",
        );
    }

    #[test]
    fn lines_that_are_not_there_are_found() {
        one(
            &book("{{#include ../../crates/a/src/y.rs:2:9}}\n"),
            "book/src/index.md:1: ",
            "has 3 lines, not those from 2 to 9",
        );
    }

    #[test]
    fn an_anchor_with_a_number_for_a_name_is_found() {
        let scratch = Scratch::new();
        scratch.page("index.md", "# A\n\n{{#include ../../hints/h.md:1}}\n");
        scratch.file("hints/h.md", "<!-- ANCHOR: 1 -->\nthe hint\n<!-- ANCHOR_END: 1 -->\n");
        let checkout = scratch.checkout();
        one(&faults(&checkout), "book/src/index.md:3: ", "`1` is a number of a line");
        // If mdBook shows the hint one day, this check has had its time.
        let rendered = crate::render::Rendered::of(&checkout);
        assert!(!rendered.files["index.html"].contains("the hint"), "mdBook takes 1 for an anchor now");
    }

    #[test]
    fn anchors_that_show_are_found() {
        one(&book("{{#include ../../crates/a/src/x.rs}}\n"), "book/src/index.md:1: ", "show as comments");
    }

    #[test]
    fn a_helper_that_mdbook_does_not_know_is_found() {
        one(&book("{{#inlcude part.md}}\n"), "book/src/index.md:1: ", "mdBook knows no `inlcude`");
    }
}
