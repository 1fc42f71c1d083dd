//! No file has the marks of a merge that was not finished, and each code block of a Markdown file is closed: an open one hides
//! the rest of the page, from readers and from the checks of prose. A merge of the reader's own is the reader's to finish.

use crate::repository::{Repository, is_the_readers};

const ENDINGS: [&str; 7] = [".md", ".rs", ".toml", ".txt", "justfile", ".svg", ".css"];

pub fn faults(repository: &Repository) -> Vec<String> {
    let mut faults = Vec::new();
    let mut files = repository.files();
    files.retain(|file| ENDINGS.iter().any(|ending| file.ends_with(ending)) && !is_the_readers(file));
    for file in &files {
        let text = repository.read(file);
        for (number, line) in (1..).zip(text.lines()) {
            if ["<<<<<<< ", ">>>>>>> "].iter().any(|mark| line.starts_with(mark)) {
                faults.push(format!("{file}:{number}: a merge was not finished here"));
            }
        }
        if file.ends_with(".md")
            && let Some(number) = open_fence(&text)
        {
            faults.push(format!("{file}:{number}: the code block that begins here is never closed"));
        }
    }
    faults
}

/// The line of a fence that is not closed. A fence is closed by one that is as long, or longer, and has no other text.
fn open_fence(text: &str) -> Option<usize> {
    let mut open: Option<(usize, usize)> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim_start();
        let ticks = line.len() - line.trim_start_matches('`').len();
        match open {
            None if ticks >= 3 => open = Some((number, ticks)),
            Some((_, opened)) if ticks >= opened && line[ticks..].trim().is_empty() => open = None,
            _ => {}
        }
    }
    open.map(|(number, _)| number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::one;

    #[test]
    fn closed_blocks_and_underlined_headings_are_left_alone() {
        let page =
            "Title\n=======\n\n````markdown\n```diff\n-a\n```\n````\n\n- item\n\n  ```sh\n  just\n  ```\n";
        assert_eq!(faults(&Repository::of(&[("a.md", page)])), [""; 0]);
    }

    #[test]
    fn an_open_block_is_found() {
        one(
            &faults(&Repository::of(&[("a.md", "a\n````markdown\n```\n```\n")])),
            &["a.md:2: ", "never closed"],
        );
    }

    #[test]
    fn the_marks_of_a_merge_are_found() {
        let page = "<<<<<<< HEAD\na\n=======\n";
        one(&faults(&Repository::of(&[("b.rs", page)])), &["b.rs:1: a merge was not finished"]);
        assert_eq!(faults(&Repository::of(&[("crates/k/exercises/m.rs", page)])), [""; 0]);
    }
}
