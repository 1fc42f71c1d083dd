//! Colours and signs. anstream drops them where they are not wanted: pipes, NO_COLOR, dumb terminals.

use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressStyle};

pub const BOLD: Style = Style::new().bold();
pub const DIM: Style = Style::new().dimmed();
pub const GOOD: Style = AnsiColor::Green.on_default();
pub const BAD: Style = AnsiColor::Red.on_default().bold();
pub const NAME: Style = AnsiColor::Cyan.on_default();

/// A sign for each verdict.
pub fn sign(good: bool) -> String {
    if good { format!("{GOOD}✓{GOOD:#}") } else { format!("{BAD}✗{BAD:#}") }
}

/// Text in the style of something to type.
pub fn command(text: &str) -> String {
    format!("{NAME}{}{NAME:#}", crate::place::command(text))
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
