//! How things look: colors, signs, spinners, and commands as the reader types them.
//!
//! anstream drops colors where they are not wanted: pipes, NO_COLOR, dumb terminals.

use std::env;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressStyle};

use crate::checkout::find_program;

pub const BOLD: Style = Style::new().bold();
pub const DIM: Style = Style::new().dimmed();
pub const GOOD: Style = AnsiColor::Green.on_default();
pub const BAD: Style = AnsiColor::Red.on_default().bold();
pub const NAME: Style = AnsiColor::Cyan.on_default();

/// Use no colors on a dumb terminal, in a CI neither. anstream takes `CI` for a wish to have them, wherever the output goes.
pub fn respect_dumb_terminals() {
    if env::var_os("TERM").is_some_and(|term| term == "dumb") && env::var_os("CLICOLOR_FORCE").is_none() {
        anstream::ColorChoice::Never.write_global();
    }
}

/// A sign for each verdict.
pub fn sign(good: bool) -> String {
    if good { format!("{GOOD}✓{GOOD:#}") } else { format!("{BAD}✗{BAD:#}") }
}

/// A sign for what is neither good nor bad: it could not be asked.
pub fn neither() -> String {
    format!("{DIM}–{DIM:#}")
}

/// A sign for what is known to be good, known to be bad, or not known.
pub fn mark(verdict: Option<bool>) -> String {
    verdict.map_or_else(|| format!("{DIM}○{DIM:#}"), sign)
}

/// A command of this tool as the reader types it, in the style of something to type.
pub fn command(words: &str) -> String {
    format!("{NAME}{}{NAME:#}", plain_command(words))
}

/// The same without a style: with just where there is just.
pub fn plain_command(words: &str) -> String {
    if find_program("just").is_some() {
        format!("just {words}").replace("just run ", "just ")
    } else {
        format!("cargo workbook {words}")
    }
}

/// How many lines of a program's words are shown of the beginning, and how many of the end.
const LINES: usize = 50;

/// How many bytes of each, at most.
const BYTES: usize = 8 << 10;

/// What a program of the reader's said, as it can be shown: of megabytes, as a loop with a `println!` makes them, the beginning and
/// the end; and without sequences that would change the terminal.
pub fn readable(words: &str) -> String {
    let start = words.match_indices('\n').nth(LINES - 1).map_or(words.len(), |(at, _)| at + 1);
    let start = words.floor_char_boundary(start.min(BYTES));
    let end = words.rmatch_indices('\n').nth(LINES).map_or(0, |(at, _)| at + 1);
    let end = words.ceil_char_boundary(end.max(words.len().saturating_sub(BYTES)));
    if start >= end {
        return plain(words);
    }
    let [before, after] = [&words[..start], &words[end..]].map(plain);
    format!("{}\n[{} bytes are left out here]\n{after}", before.trim_end_matches('\n'), end - start)
}

/// Line by line, because a sequence without an end would take all that follows.
fn plain(words: &str) -> String {
    let lines = words.split('\n').map(|line| anstream::adapter::strip_str(line).to_string());
    lines.collect::<Vec<_>>().join("\n")
}

/// Something turns while the reader waits. Drawn on a terminal only.
pub fn spinner(text: String) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(text);
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}

/// A bar for work of `length` steps. Drawn on a terminal only.
pub fn bar(length: usize) -> ProgressBar {
    let template = "{bar:30} {pos}/{len}  {wide_msg}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length as u64).with_style(style)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_words_are_shown_as_they_are() {
        let lines = "é\tline\n".repeat(2 * LINES);
        for words in ["", "one", "one\n", &lines, &"é".repeat(BYTES)] {
            assert_eq!(readable(words), words);
        }
        let wild = "\u{1b}[2J\u{1b}[31mred\u{1b}]0;title\u{7}\u{e} ink\u{1b}]no end\nthe panic";
        assert_eq!(readable(wild), "red ink\nthe panic", "it would change the terminal, or lose the panic");
    }

    #[test]
    fn of_many_words_the_beginning_and_the_end_are_shown() {
        let lines: String = (1..=1000).map(|number| format!("line {number}\n")).collect();
        let shown = readable(&format!("{lines}the panic"));
        assert!(shown.starts_with("line 1\n") && shown.ends_with("line 1000\nthe panic"), "{shown}");
        assert!(
            shown.contains("line 50\n[") && shown.contains(" bytes are left out here]\nline 951\n"),
            "{shown}"
        );
        let one_line = readable(&format!("first{}last", "é".repeat(1 << 20)));
        assert!(one_line.starts_with("firsté") && one_line.ends_with("élast") && one_line.len() < 3 * BYTES);
    }
}
