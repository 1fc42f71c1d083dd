//! A book made for one check, in a temporary folder that goes with it.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::checkout::{Checkout, Fault};
use crate::render::Rendered;

const BOOK: &str = "[book]\ntitle = \"Scratch\"\n\n[build]\ncreate-missing = false\n\n[output.html]\n\
                    hash-files = false\n\n[output.html.search]\nenable = false\n\n[output.html.print]\nenable = false\n";

pub struct Scratch(TempDir);

impl Scratch {
    /// A book without a page.
    pub fn new() -> Self {
        let scratch = Self(TempDir::new().expect("a temporary folder"));
        scratch.file("book/book.toml", BOOK);
        scratch.file("book/src/SUMMARY.md", "# Summary\n\n");
        scratch
    }

    /// A file, by its path from the checkout.
    pub fn file(&self, path: &str, text: &str) -> &Self {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).expect("a folder in the temporary one");
        fs::write(path, text).expect("a file in the temporary folder");
        self
    }

    /// A page below `book/src`, with its line in SUMMARY.md.
    pub fn page(&self, path: &str, text: &str) -> &Self {
        let summary = self.0.path().join("book/src/SUMMARY.md");
        let pages = fs::read_to_string(summary).expect("SUMMARY.md");
        self.file("book/src/SUMMARY.md", &format!("{pages}- [{path}]({path})\n"));
        self.file(&format!("book/src/{path}"), text)
    }

    pub fn checkout(&self) -> Checkout {
        Checkout::of(self.0.path())
    }

    /// What a check finds that reads the pages, and what mdBook made of them.
    pub fn faults(&self, check: fn(&Checkout, &Rendered) -> Vec<Fault>) -> Vec<Fault> {
        let checkout = self.checkout();
        let rendered = Rendered::of(&checkout);
        assert!(!rendered.files.is_empty(), "the book does not build: {:?}", rendered.log);
        check(&checkout, &rendered)
    }
}

/// There is one fault: it is at `at` (`file:line: `), and says `words`.
#[track_caller]
pub fn one(faults: &[Fault], at: &str, words: &str) {
    let [fault] = faults else { panic!("there should be one fault: {faults:#?}") };
    let fault = fault.to_string();
    assert!(fault.starts_with(at) && fault.contains(words), "`{fault}` is not at `{at}` or lacks `{words}`");
}

/// The book has no fault.
#[track_caller]
pub fn none(faults: &[Fault]) {
    assert!(faults.is_empty(), "there is nothing wrong with this book: {faults:#?}");
}
