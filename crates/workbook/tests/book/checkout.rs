//! What the checks read: the pages as they were written, and where each line of a page comes from.
//!
//! Every check is a function over a `Checkout` and gives `Fault`s, so that it can be shown to find a fault in a
//! book made for that (`scratch`), and then be run on ours.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::includes::{self, Include};

/// The folder that everything is in, and the pages of its book.
pub struct Checkout {
    pub root: PathBuf,
    pub pages: Vec<Page>,
}

/// A page of the book, whether or not SUMMARY.md names it.
pub struct Page {
    /// From the checkout: `book/src/02-close-on-exec/index.md`.
    pub file: String,
    /// As it was written.
    pub source: String,
    /// What it includes itself, in the order of the page.
    pub includes: Vec<Include>,
    /// As mdBook sees it once everything is included.
    lines: Vec<Line>,
}

/// A line of a page, and where it was written.
struct Line {
    file: String,
    number: usize,
    text: String,
}

/// Something that is wrong, where, and what to do about it.
#[derive(Debug, PartialEq)]
pub struct Fault {
    pub file: String,
    pub line: usize,
    pub text: String,
}

impl Fault {
    pub fn new(file: &str, line: usize, text: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, text: text.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.text)
    }
}

impl Checkout {
    pub fn of(root: &Path) -> Self {
        let mut checkout = Self { root: root.to_owned(), pages: Vec::new() };
        let pages = checkout.walk("book/src").into_iter().filter(|file| file.ends_with(".md"));
        for file in pages.filter(|file| !file.ends_with("SUMMARY.md")).collect::<Vec<_>>() {
            let source = checkout.read(&file).unwrap_or_default();
            let includes = includes::of(&file, &source);
            let lines = checkout.expand(&file, &source, 0);
            checkout.pages.push(Page { file, source, includes, lines });
        }
        checkout
    }

    /// The text of a file, by its path from the checkout.
    pub fn read(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.root.join(file)).ok()
    }

    /// Every file below a folder, by its path from the checkout, in order.
    pub fn walk(&self, folder: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut entries: Vec<_> =
            fs::read_dir(self.root.join(folder)).into_iter().flatten().flatten().collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                found.extend(self.walk(&path));
            } else {
                found.push(path);
            }
        }
        found
    }

    /// The programs in the numbered folders of `experiments/`.
    pub fn experiments(&self) -> Vec<String> {
        let mut sources = self.walk("experiments");
        sources.retain(|file| file.ends_with(".rs") && file.split('/').nth(1).is_some_and(numbered));
        sources
    }

    /// The experiment of that name.
    pub fn experiment(&self, name: &str) -> Option<String> {
        self.experiments().into_iter().find(|source| stem(source) == name)
    }

    /// The exercises that are handed out: `(crate, module)`. In `exercises/` there may be more, of the reader's own.
    pub fn exercises(&self) -> Vec<(String, String)> {
        let files = self.walk("crates");
        let exercises = files.iter().filter_map(|file| match file.split('/').collect::<Vec<_>>()[..] {
            [_, krate, "starters", module] => {
                Some((krate.to_owned(), module.strip_suffix(".rs")?.to_owned()))
            }
            _ => None,
        });
        exercises.collect()
    }

    /// The pages that include a file, or a part of it.
    pub fn including(&self, file: &str) -> Vec<&Page> {
        self.pages.iter().filter(|page| page.includes.iter().any(|i| i.path == file)).collect()
    }

    /// What mdBook makes of a text: every include replaced by what it names. What it cannot find stays out.
    fn expand(&self, file: &str, text: &str, depth: usize) -> Vec<Line> {
        let includes = includes::of(file, text);
        let mut lines = Vec::new();
        for (i, line) in text.lines().enumerate() {
            lines.push(Line { file: file.to_owned(), number: i + 1, text: line.to_owned() });
            for include in includes.iter().filter(|include| include.line == i + 1 && depth < 5) {
                let Some(included) = self.read(&include.path) else { continue };
                let part = include.take(&included).unwrap_or_default();
                let text: String = part.iter().map(|(_, line)| format!("{line}\n")).collect();
                let mut inside = self.expand(&include.path, &text, depth + 1);
                for line in inside.iter_mut().filter(|line| line.file == include.path) {
                    line.number = part[line.number - 1].0;
                }
                lines.extend(inside);
            }
        }
        lines
    }
}

impl Page {
    /// Where mdBook writes it, below the built book.
    pub fn html(&self) -> String {
        let below = self.file.trim_start_matches("book/src/");
        let below = below.strip_suffix(".md").unwrap_or(below);
        let index = below.strip_suffix("README").map(|folder| format!("{folder}index"));
        format!("{}.html", index.as_deref().unwrap_or(below))
    }

    /// The folder of its chapter, where that has a number.
    pub fn chapter(&self) -> Option<&str> {
        self.file.split('/').nth(2).filter(|folder| numbered(folder))
    }

    /// Where the text in front of a reader was written: the first line with all of `needles`, else the first
    /// with the first of them, else the top of the page.
    pub fn locate(&self, needles: &[&str]) -> (&str, usize) {
        self.locate_nth(0, needles)
    }

    /// The same for text that is on the page more than once: `nth` counts from 0.
    pub fn locate_nth(&self, nth: usize, needles: &[&str]) -> (&str, usize) {
        let with = |nth: usize, needles: &[&str]| {
            let lines =
                self.lines.iter().filter(|line| needles.iter().all(|needle| line.text.contains(needle)));
            lines.flat_map(|line| line.text.matches(needles[0]).map(move |_| line)).nth(nth)
        };
        let line = with(nth, needles).or_else(|| with(0, needles)).or_else(|| with(0, &needles[..1]));
        line.map_or((&self.file, 1), |line| (&line.file, line.number))
    }

    /// A fault at the place that `locate` finds.
    pub fn fault(&self, needles: &[&str], text: impl Into<String>) -> Fault {
        let (file, line) = self.locate(needles);
        let on = if file == self.file { String::new() } else { format!(" (on {})", self.file) };
        Fault::new(file, line, text.into() + &on)
    }
}

/// `02-close-on-exec` is a chapter's folder.
pub fn numbered(folder: &str) -> bool {
    folder.split_once('-').is_some_and(|(number, _)| number.parse::<u32>().is_ok())
}

/// The name of a file without folder and extension.
pub fn stem(file: &str) -> &str {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.split_once('.').map_or(name, |(stem, _)| stem)
}

/// A relative path, seen from a file: both are paths from the same top. `None` where it leads out of that.
pub fn resolve(from: &str, relative: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// One space for each run of white space.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
