//! What the checks read: the files of a checkout, by their path from its top.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// A checkout. One that was made for a test goes with it.
pub struct Repository {
    root: PathBuf,
    _scratch: Option<TempDir>,
}

impl Repository {
    pub fn ours() -> Self {
        Self { root: PathBuf::from("../.."), _scratch: None }
    }

    /// A repository of these files, in a temporary folder.
    pub fn of(files: &[(&str, &str)]) -> Self {
        let scratch = TempDir::new().expect("a temporary folder");
        for (path, text) in files {
            let path = scratch.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder in the temporary one");
            fs::write(path, text).expect("a file in the temporary folder");
        }
        Self { root: scratch.path().to_owned(), _scratch: Some(scratch) }
    }

    pub fn has(&self, file: &str) -> bool {
        self.root.join(file).is_file()
    }

    /// The text of a file; nothing for one that is not there, or is not text.
    pub fn read(&self, file: &str) -> String {
        fs::read_to_string(self.root.join(file)).unwrap_or_default()
    }

    pub fn toml(&self, file: &str) -> toml::Table {
        self.read(file).parse().unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    /// All files that git knows or would add, in order; without git, all that are not in a folder of results.
    pub fn files(&self) -> Vec<String> {
        let mut git = Command::new("git");
        git.arg("-C").arg(&self.root).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        let listed = git.output().ok().filter(|output| output.status.success());
        let mut files = match listed {
            Some(output) => {
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                text.split_terminator('\0').map(str::to_owned).collect()
            }
            None => self.walk(""),
        };
        files.retain(|file| self.has(file));
        files.sort();
        files
    }

    /// The same, of those below `folder` whose name ends with `ending`.
    pub fn below(&self, folder: &str, ending: &str) -> Vec<String> {
        let mut files = self.files();
        files.retain(|file| file.starts_with(folder) && file.ends_with(ending));
        files
    }

    /// The files of this name anywhere below a crate's `src/`. For an exercise it is one: the reference.
    pub fn sources(&self, krate: &str, module: &str) -> Vec<String> {
        let mut files = self.below(&format!("crates/{krate}/src/"), &format!("/{module}.rs"));
        files.retain(|file| stem(file) == module);
        files
    }

    fn walk(&self, below: &str) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.root.join(below)).into_iter().flatten().flatten() {
            let path = format!("{below}{}", entry.file_name().to_string_lossy());
            match entry.path().is_dir() {
                true if ["target", ".git", "book/book"].contains(&path.as_str()) => {}
                true => found.extend(self.walk(&format!("{path}/"))),
                false => found.push(path),
            }
        }
        found
    }
}

/// Is this for the reader to write? Then it may look as it likes, committed or not. What was handed out is in `starters/`.
pub fn is_the_readers(file: &str) -> bool {
    matches!(file.split('/').collect::<Vec<_>>()[..], ["crates", _, "exercises", ..])
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

/// There is one fault, and it says all of `words`.
#[track_caller]
pub fn one(faults: &[String], words: &[&str]) {
    let [fault] = faults else { panic!("there should be one fault: {faults:#?}") };
    assert!(words.iter().all(|word| fault.contains(word)), "`{fault}` lacks one of {words:?}");
}
