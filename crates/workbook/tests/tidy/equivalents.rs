//! A mutant that is a right answer too is listed with the lines of its reference that it changes. If the reference has no such
//! lines anymore, the list excuses nothing, and `workbook mutants` reports the mutant again.

use crate::repository::Repository;

/// What the tool prints where a mutant only adds lines.
const NOTHING: &str = "(nothing)";

pub fn faults(repository: &Repository) -> Vec<String> {
    let mut faults = Vec::new();
    for file in repository.below("crates/", ".md") {
        let [_, krate, "equivalent", name] = file.split('/').collect::<Vec<_>>()[..] else { continue };
        let references = repository.sources(krate, name.trim_end_matches(".md"));
        // Without one reference, the check of the exercises says so.
        let [reference] = &references[..] else { continue };
        let lines = compared(&repository.read(reference));
        for (i, line) in repository.read(&file).lines().enumerate() {
            let Some(item) = line.strip_prefix("- ") else { continue };
            // `function`: `before` → `after`: reason, where a long text is cut and ends with `…`.
            match item.split('`').nth(3).map(|before| before.trim_end_matches('…')) {
                Some(before) if before == NOTHING || lines.contains(before) => {}
                Some(before) => {
                    faults.push(format!("{file}:{}: {reference} has no lines «{before}»", i + 1));
                }
                None => faults.push(format!("{file}:{}: it names no lines in backticks", i + 1)),
            }
        }
    }
    faults
}

/// The lines as the tool compares them, one after the other: without indentation, blank ones and comments.
fn compared(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with("//")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::one;

    fn with(item: &str) -> Vec<String> {
        faults(&Repository::of(&[
            ("crates/k/equivalent/m.md", &format!("# Right answers too\n\n- {item}\n")),
            ("crates/k/src/deep/m.rs", "fn f() {\n    a();\n\n    // Why.\n    b();\n}\n"),
        ]))
    }

    #[test]
    fn lines_of_the_reference_are_left_alone() {
        for before in ["a(); b();", "fn f() { a();…", "(nothing)"] {
            assert_eq!(with(&format!("`f`: `{before}` → `c();`: no difference.")), [""; 0]);
        }
    }

    #[test]
    fn lines_that_the_reference_lacks_are_found() {
        let words = ["crates/k/equivalent/m.md:3: ", "crates/k/src/deep/m.rs has no lines «b(); a();»"];
        one(&with("`f`: `b(); a();` → `c();`: no difference."), &words);
        one(&with("`f` may go"), &["m.md:3: it names no lines"]);
    }
}
