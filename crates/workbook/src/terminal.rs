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
