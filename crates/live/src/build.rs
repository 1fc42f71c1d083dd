//! The builder: a child process of the server, which builds the book with mdBook's library, and again when something changes
//! that a page shows.
//!
//! Building takes seconds, and a loop that builds would not answer meanwhile. mdBook and the watcher have threads, too. So
//! both are in a process of their own, which prints one JSON object a line: `building`; `built` with the folder, the
//! pages that are new or have changed, and the hashes of each page's scripts; `failed` with a text; `saved` with the name
//! of an exercise; and `judged` when the tool has written down a verdict, because the reader checks in a terminal, too.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use mdbook_driver::MDBook;
use serde_json::{Value, json};

use crate::output::complain;
use crate::scripts;
use crate::watched::{LOOK, Watched, below};

/// Build the book of the checkout at `root` into folders below `into`, and go on building until nothing reads what is printed.
/// `verdicts` is the file to which the tool writes. Where the checkout cannot be watched, the book is built once.
///
/// # Errors
/// When the lines cannot be printed: its server is gone.
pub fn run(root: &Path, into: &Path, verdicts: Option<&Path>) -> Result<(), Box<dyn std::error::Error>> {
    let mut builder =
        Builder { root: root.to_owned(), into: into.to_owned(), builds: 0, pages: BTreeMap::new() };
    let watched = Watched::start(["book", "crates", "experiments"].map(|folder| root.join(folder)));
    if let Err(error) = &watched {
        complain!(
            "The checkout cannot be watched, so pages show what you change after the next start: {error}"
        );
    }
    let mut watched = watched.ok();
    let mut known = verdicts.and_then(written);
    builder.build()?;
    loop {
        let changed = match &mut watched {
            Some(watched) => watched.next()?,
            None => {
                thread::sleep(LOOK);
                BTreeSet::new()
            }
        };
        // Not watched, because its folder comes and goes with the target folder.
        let now = verdicts.and_then(written);
        if now != known {
            known = now;
            print(&json!({ "kind": "judged" }))?;
        }
        let exercises = changed.iter().filter_map(|path| exercise(path.strip_prefix(root).ok()?));
        for name in exercises.collect::<BTreeSet<_>>() {
            print(&json!({ "kind": "saved", "exercise": name }))?;
        }
        let book = root.join("book");
        let included = includes(&book.join("src"));
        if changed.iter().any(|path| path.starts_with(&book) || included.contains(path)) {
            builder.build()?;
        }
    }
}

struct Builder {
    root: PathBuf,
    into: PathBuf,
    builds: usize,
    /// A hash of each page of the last build.
    pages: BTreeMap<String, u64>,
}

impl Builder {
    fn build(&mut self) -> io::Result<()> {
        let start = Instant::now();
        print(&json!({ "kind": "building" }))?;
        // One folder is served while the other one is written.
        let folder = self.into.join(["a", "b"][self.builds % 2]);
        let built = MDBook::load(self.root.join("book")).and_then(|mut book| {
            book.config.build.build_dir.clone_from(&folder);
            book.build()
        });
        match built {
            Ok(()) => {
                self.builds += 1;
                let mut line = self.compare(&folder)?;
                line["seconds"] = start.elapsed().as_secs_f64().into();
                print(&line)
            }
            Err(error) => print(&json!({ "kind": "failed", "text": format!("{error:#}") })),
        }
    }

    /// What is new in this build.
    fn compare(&mut self, folder: &Path) -> io::Result<Value> {
        let (mut pages, mut policies) = (BTreeMap::new(), BTreeMap::new());
        for path in below(folder).into_iter().filter(|path| path.extension().is_some_and(|e| e == "html")) {
            let html = fs::read_to_string(&path)?;
            let mut hasher = DefaultHasher::new();
            without_names(&html).hash(&mut hasher);
            let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
            policies.insert(name.clone(), scripts::hashes(&html));
            pages.insert(name, hasher.finish());
        }
        let changed: Vec<&String> = pages
            .iter()
            .filter(|(name, hash)| self.pages.get(*name) != Some(hash))
            .map(|(name, _)| name)
            .collect();
        let line = json!({ "kind": "built", "folder": folder, "changed": changed, "scripts": policies });
        self.pages = pages;
        Ok(line)
    }
}

/// A page without the names of the search index and of the contents, which have a hash of the whole book in them: every page
/// names them, so any change would be a change of every page.
fn without_names(html: &str) -> String {
    let mut rest = html;
    let mut text = String::with_capacity(html.len());
    while let Some(at) =
        ["searchindex-", "toc-"].iter().filter_map(|name| Some(rest.find(name)? + name.len())).min()
    {
        text.push_str(&rest[..at]);
        rest = rest[at..].trim_start_matches(|c: char| c.is_ascii_hexdigit());
    }
    text + rest
}

/// What tells a file from the one that was there before: the tool replaces it.
fn written(file: &Path) -> Option<(u64, i64, i64)> {
    let metadata = fs::metadata(file).ok()?;
    Some((metadata.ino(), metadata.mtime(), metadata.mtime_nsec()))
}

/// The exercise whose file this is: `crates/cloexec/exercises/flags.rs` is that of `cloexec/flags`.
fn exercise(path: &Path) -> Option<String> {
    let parts: Vec<&str> = path.iter().filter_map(|part| part.to_str()).collect();
    let ["crates", krate, "exercises", file] = parts[..] else { return None };
    Some(format!("{krate}/{}", file.strip_suffix(".rs")?))
}

/// The files outside of the book that a page includes: `{{#include ../../crates/…:anchor}}`.
fn includes(source: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for page in below(source).into_iter().filter(|path| path.extension().is_some_and(|e| e == "md")) {
        let text = fs::read_to_string(&page).unwrap_or_default();
        for rest in text.split("{{#").skip(1) {
            let words = rest.split("}}").next().unwrap_or_default();
            let Some((_, file)) = words.split_once(char::is_whitespace) else { continue };
            let file = file.trim().split(':').next().unwrap_or_default();
            let beside = page.parent().unwrap_or(source).join(file);
            found.extend(beside.canonicalize());
        }
    }
    found
}

fn print(line: &Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_file_of_an_exercise_is_one() {
        assert_eq!(
            exercise(Path::new("crates/cloexec/exercises/flags.rs")).as_deref(),
            Some("cloexec/flags")
        );
        for other in [
            "crates/cloexec/src/flags.rs",
            "crates/cloexec/exercises/flags.rs.kept",
            "book/src/a.md",
            "crates/a/exercises/b/c.rs",
        ] {
            assert_eq!(exercise(Path::new(other)), None, "{other}");
        }
    }

    #[test]
    fn an_included_file_is_known_by_its_path_in_the_checkout() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().canonicalize().expect("its path");
        for path in ["book/src/chapter", "crates/a/src"] {
            fs::create_dir_all(root.join(path)).expect("a folder");
        }
        fs::write(root.join("crates/a/src/lib.rs"), "").expect("a file");
        let page = "# A page\n\n{{#include ../../../crates/a/src/lib.rs:anchor}}\n{{#include gone.rs}}\n";
        fs::write(root.join("book/src/chapter/page.md"), page).expect("a page");
        assert_eq!(includes(&root.join("book/src")), BTreeSet::from([root.join("crates/a/src/lib.rs")]));
    }
}
