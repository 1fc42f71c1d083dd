//! Prose without words that make a reader feel slow: what is simple need not be called so, and what is not must
//! not be. Code and what is quoted are left alone.

use std::ops::Range;
use std::sync::LazyLock;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use regex::Regex;

use crate::checkout::{Checkout, Fault};

static WEASEL: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)\b(simply|just|obviously|of\s+course|basically)\b").expect("a regex"));
/// HTML's tags and comments, includes, and what stands between quotation marks.
static NOT_OURS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"<[^>]*>|\{\{[^}]*\}\}|"[^"\n]*"|“[^”]*”"#).expect("a regex"));

/// The pages, the hints, and what a visitor of the repository reads.
pub fn faults(checkout: &Checkout) -> Vec<Fault> {
    let mut files: Vec<String> = checkout.pages.iter().map(|page| page.file.clone()).collect();
    files.extend(checkout.walk("crates").into_iter().filter(|file| file.contains("/hints/")));
    files.extend(["README.md".to_owned(), "CONTRIBUTING.md".to_owned()]);
    let mut faults = Vec::new();
    for file in files {
        let prose = prose(&checkout.read(&file).unwrap_or_default());
        for found in WEASEL.find_iter(&prose) {
            let line = prose[..found.start()].matches('\n').count() + 1;
            let word = found.as_str().to_lowercase();
            let text =
                format!("\"{word}\" tells the reader nothing: leave it out, or say what it stands for");
            faults.push(Fault::new(&file, line, text));
        }
    }
    faults
}

/// The text without everything that is not prose, which becomes blank, so that lines keep their numbers.
fn prose(source: &str) -> String {
    let mut bytes: Vec<u8> = source.bytes().map(|byte| if byte == b'\n' { byte } else { b' ' }).collect();
    let mut keep = |range: Range<usize>| bytes[range.clone()].copy_from_slice(&source.as_bytes()[range]);
    let (mut skipping, mut in_name) = (0, false);
    let options = Options::ENABLE_TABLES | Options::ENABLE_GFM | Options::ENABLE_FOOTNOTES;
    for (event, range) in Parser::new_ext(source, options).into_offset_iter() {
        match event {
            // An alert, `> [!NOTE]`, is ours; a plain block quote is quoted from elsewhere.
            Event::Start(Tag::CodeBlock(_) | Tag::BlockQuote(None)) => skipping += 1,
            // The name of a program, in a link to where it comes from.
            Event::Start(Tag::Link { dest_url, .. }) if dest_url.contains("just.systems") => in_name = true,
            Event::End(TagEnd::Link) => in_name = false,
            Event::End(TagEnd::CodeBlock | TagEnd::BlockQuote(None)) => skipping -= 1,
            Event::Text(_) | Event::Html(_) | Event::InlineHtml(_) if skipping == 0 && !in_name => {
                keep(range);
            }
            _ => {}
        }
    }
    let prose = String::from_utf8(bytes).expect("whole pieces of text, and blanks");
    let blank = |found: &regex::Captures<'_>| found[0].replace(|c| c != '\n', " ");
    NOT_OURS.replace_all(&prose, blank).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::{Scratch, none, one};

    fn page(text: &str) -> Vec<Fault> {
        let scratch = Scratch::new();
        scratch.page("index.md", text);
        faults(&scratch.checkout())
    }

    #[test]
    fn code_and_quotes_are_left_alone() {
        none(&page(
            "# A\n\nRun `just fd-vanishes`:\n\n```sh\njust check flags # simply\n```\n\n    just indented\n",
        ));
        none(&page(
            "It says \"just a number\", or “of course”.\n\nWith [just](https://just.systems/man).\n\n> It is just a table.\n\n[a](just.md)\n",
        ));
        none(&page("<div class=\"just\"></div>\n\nAdjust and justify.\n\n{{#include just.md}}\n"));
    }

    #[test]
    fn a_weasel_word_is_found() {
        one(
            &page("# A\n\nRun it.\nJust look.\n"),
            "book/src/index.md:4: ",
            "\"just\" tells the reader nothing",
        );
        one(&page("# A\n\nThis is, of\ncourse, `true`.\n"), "book/src/index.md:3: ", "\"of\ncourse\"");
        one(&page("| a | b |\n|---|---|\n| obviously | c |\n"), "book/src/index.md:3: ", "obviously");
        one(&page("> [!NOTE]\n> Simply wrong.\n"), "book/src/index.md:2: ", "simply");
        one(
            &page("<details>\n<summary>Basically</summary>\n\nx\n\n</details>\n"),
            "book/src/index.md:2: ",
            "basically",
        );
    }

    #[test]
    fn hints_and_the_readme_count_too() {
        let scratch = Scratch::new();
        scratch.file("crates/k/hints/m.md", "Simply call it.\n");
        one(&faults(&scratch.checkout()), "crates/k/hints/m.md:1: ", "simply");
        let scratch = Scratch::new();
        scratch.file("README.md", "\nSimply call it.\n");
        one(&faults(&scratch.checkout()), "README.md:2: ", "simply");
    }
}
