//! Source files open with their contract and hold one concept; no file knows the machine it was written on. What the reader
//! writes need not.

use std::sync::LazyLock;

use regex::Regex;

use crate::repository::{Repository, is_the_readers};

/// One concept, one file: about 150 lines, and never more than this.
const LONGEST: usize = 250;

static HOME: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?:^|[^\w.~-])(/(?:root|home|Users|tmp)/[\w.-]+)").expect("a regex"));

pub fn faults(repository: &Repository) -> Vec<String> {
    let mut faults = Vec::new();
    for file in repository.files().into_iter().filter(|file| !is_the_readers(file)) {
        let text = repository.read(&file);
        let ours = file.starts_with("crates/") || file.starts_with("experiments/");
        if ours && file.ends_with(".rs") {
            if !text.starts_with("//!") {
                faults.push(format!("{file}:1: the file does not open with `//!` and what it is for"));
            }
            let part = file.split('/').nth(2).unwrap_or_default();
            let length = text.lines().count();
            if (part == "src" || file.starts_with("experiments/")) && length > LONGEST {
                faults.push(format!(
                    "{file}:{LONGEST}: {length} lines are more than one concept takes; {LONGEST} at most"
                ));
            }
        }
        for (i, line) in text.lines().enumerate() {
            if let Some(found) = HOME.captures(line) {
                faults.push(format!("{file}:{}: {} is a path of one machine", i + 1, &found[1]));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::one;

    fn file(path: &str, text: &str) -> Vec<String> {
        faults(&Repository::of(&[(path, text)]))
    }

    #[test]
    fn good_files_are_left_alone() {
        assert_eq!(file("crates/k/src/m.rs", &"//! What it is for.\n".repeat(LONGEST)), [""; 0]);
        assert_eq!(file("crates/k/tests/m.rs", &"//! What it is for.\n".repeat(LONGEST + 1)), [""; 0]);
        assert_eq!(file("crates/k/exercises/m.rs", "// What the reader wrote.\n"), [""; 0]);
        assert_eq!(file("README.md", "See https://example.org/home/x, ~/x and \"/dev/null\".\n"), [""; 0]);
    }

    #[test]
    fn a_file_without_a_contract_is_found() {
        one(&file("crates/k/starters/m.rs", "// x\n"), &["crates/k/starters/m.rs:1: ", "`//!`"]);
        one(&file("experiments/01-x/e.rs", "use x;\n"), &["experiments/01-x/e.rs:1: ", "`//!`"]);
    }

    #[test]
    fn a_long_file_is_found() {
        let long = "//! What it is for.\n".repeat(LONGEST + 1);
        one(&file("crates/k/src/bin/h/main.rs", &long), &["crates/k/src/bin/h/main.rs:250: ", "251 lines"]);
        one(&file("experiments/01-x/e.rs", &long), &["experiments/01-x/e.rs:250: ", "251 lines"]);
    }

    #[test]
    fn a_path_of_one_machine_is_found() {
        for home in ["root", "home", "Users", "tmp"] {
            let text = format!("\nsee \"/{home}/someone/notes\"\n");
            one(&file("notes.md", &text), &["notes.md:2: ", &format!("/{home}/someone is a path")]);
        }
    }
}
