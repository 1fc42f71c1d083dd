//! The list of mutants that are right answers too: `equivalent/NAME.md`, one line for each.
//!
//! ``- `set`: `put(&fd, flags | X)` → `put(&fd, X)`: the reason.`` The first is the function or the constant, then come the
//! changed lines, before and after, without indentation and comments, and cut where they get long. What is deleted becomes
//! `(nothing)`. `workbook mutants` prints each mutant that is alive in this form, so a line is made by adding the reason.

use std::fmt;

/// The most characters of a line that are compared.
const LONGEST: usize = 100;

/// What stands for no line.
const NOTHING: &str = "(nothing)";

/// What a mutant changes, in words that stay the same when lines move.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub function: String,
    pub before: String,
    pub after: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: `{}` → `{}`", self.function, self.before, self.after)
    }
}

impl Change {
    /// What makes the one text the other.
    pub fn between(function: &str, before: &str, after: &str) -> Self {
        let [before, after] = [before, after].map(compared);
        let same = |a: &mut dyn Iterator<Item = (&&str, &&str)>| a.take_while(|(a, b)| a == b).count();
        let start = same(&mut before.iter().zip(&after));
        let [rest, other] = [&before[start..], &after[start..]];
        let end = same(&mut rest.iter().rev().zip(other.iter().rev()));
        let [before, after] = [rest, other].map(|lines| shown(&lines[..lines.len() - end]));
        Self { function: function.to_owned(), before, after }
    }
}

/// The lines without indentation; blank ones and comments are left out.
fn compared(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).collect()
}

fn shown(lines: &[&str]) -> String {
    match lines.join(" ") {
        text if text.is_empty() => NOTHING.to_owned(),
        text if text.chars().count() > LONGEST => text.chars().take(LONGEST).chain(['…']).collect(),
        text => text,
    }
}

/// Read the list. A line that is none of it gives what is wrong with it, and the others are still read. What stands before
/// the first item is for the reader of the file.
pub fn parse(text: &str) -> Vec<Result<Change, String>> {
    text.lines().filter_map(|line| line.strip_prefix("- ")).map(change).collect()
}

fn change(line: &str) -> Result<Change, String> {
    let parts: Vec<&str> = line.split('`').collect();
    match parts[..] {
        ["", function, ": ", before, " → ", after, ref reason @ ..] if !reason.is_empty() => {
            let reason = reason.join("`");
            if reason.strip_prefix(": ").is_none_or(|reason| reason.trim().is_empty()) {
                return Err(format!("«{line}» has no reason behind a colon"));
            }
            let [function, before, after] = [function, before, after].map(str::to_owned);
            Ok(Change { function, before, after })
        }
        _ => Err(format!("«{line}» is not of the form `function`: `before` → `after`: reason")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "fn f() {\n    // Why.\n    a();\n\n    b();\n}\n";

    #[test]
    fn a_change_is_the_lines_that_differ() {
        let of = |after: &str| Change::between("f", TEXT, after).to_string();
        assert_eq!(of(&TEXT.replace("a()", "c()")), "`f`: `a();` → `c();`");
        assert_eq!(of(&TEXT.replace("a();", "")), "`f`: `a();` → `(nothing)`");
        let swapped = of(&TEXT.replace("a();\n\n    b();", "b();\na();"));
        assert_eq!(swapped, "`f`: `a(); b();` → `b(); a();`");
        let long = format!("{}é", "é".repeat(LONGEST));
        assert_eq!(Change::between("f", &long, "").before, format!("{}…", "é".repeat(LONGEST)));
    }

    #[test]
    fn what_is_printed_can_be_listed_with_a_reason() {
        let change = Change::between("f", TEXT, &TEXT.replace("a();", ""));
        let list = format!("# Right answers too\n\n- {change}: `a` does nothing.\n");
        assert_eq!(parse(&list), [Ok(change.clone())]);
        for (line, wrong) in [
            (change.to_string(), "has no reason"),
            (format!("{change}: "), "has no reason"),
            ("`f` may go".to_owned(), "is not of the form"),
        ] {
            let parsed = parse(&format!("- {line}"));
            assert!(matches!(&parsed[..], [Err(said)] if said.contains(wrong)), "{parsed:?}");
        }
    }
}
