//! A checkout in miniature: two chapters, two exercises, three experiments, nothing to download.
//!
//! Its folder's name has a space and an umlaut, so that every test is one of such paths, too.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;

/// `mine-add` in the reference's place.
pub const ADD_SOLVED: &str = "
/// The sum.
pub fn add(a: i32, b: i32) -> i32 {
    let sum = i64::from(a) + i64::from(b);
    i32::try_from(sum).expect(\"overflow\")
}
";

const ADD_STARTER: &str = "\
//! Exercise `toy/add`.

/// The sum.
pub fn add(a: i32, b: i32) -> i32 {
    todo!(\"add {a} and {b}: write `add` in exercises/add.rs\")
}
";

/// Their order is not the alphabet's, one's name begins as another's, one must panic, and one is ignored.
const ADD_TESTS: &str = "\
use toy::add::add;

#[test]
fn small_numbers() {
    assert!(add(1, 2) == 3, \"1 and 2 make 3, not {}: was one left out?\", add(1, 2));
}

#[test]
fn negative() {
    assert!(add(-1, -2) == -3, \"-1 and -2 make -3, not {}: is the sign lost?\", add(-1, -2));
}

#[test]
fn negative_and_positive() {
    assert!(add(-1, 1) == 0, \"-1 and 1 make 0, not {}\", add(-1, 1));
}

#[test]
#[should_panic(expected = \"overflow\")]
fn too_large() {
    add(i32::MAX, 1);
}

#[test]
#[ignore = \"not on this kernel\"]
fn not_here() {
    panic!(\"nobody runs this\");
}
";

pub const TWICE_SOLVED: &str = "/// Two times.\npub fn twice(a: i32) -> i32 {\n    a + a\n}\n";

pub struct Checkout {
    home: TempDir,
    /// The name of the checkout's folder.
    name: String,
    runs: AtomicU32,
}

impl Checkout {
    pub fn new() -> Self {
        let home = tempfile::Builder::new().prefix("workbook-cli-").tempdir().expect("a temporary folder");
        let name = "mein Verzeichnis für alles".to_owned();
        let checkout = Self { home, name, runs: AtomicU32::new(0) };
        checkout.write_book();
        checkout.write_toy();
        checkout.write_experiments();
        checkout
    }

    /// The checkout. Cargo's target folder is beside it.
    pub fn root(&self) -> PathBuf {
        self.home.path().join(&self.name)
    }

    /// Move the checkout into a folder of this name.
    pub fn move_to(&mut self, name: &str) {
        fs::rename(self.root(), self.home.path().join(name)).expect("a rename");
        self.stand_in(name);
    }

    /// From now on, the checkout is the one in this folder.
    pub fn stand_in(&mut self, name: &str) {
        name.clone_into(&mut self.name);
    }

    pub fn target(&self) -> PathBuf {
        self.home.path().join("target")
    }

    /// For what a test and its toy tell each other. Its name marks every process that the tool starts.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// A mark for the processes of the tool's next run.
    pub fn next_run(&self) -> String {
        format!("{} {}", self.home().display(), self.runs.fetch_add(1, Ordering::Relaxed))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        let path = self.path(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    pub fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder for the file");
        fs::write(&path, content).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// Write the reader's file of an exercise of toy's.
    pub fn solve(&self, module: &str, content: &str) {
        self.write(&format!("crates/toy/exercises/{module}.rs"), content);
    }

    /// Every file of the checkout with its content.
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        let mut folders = vec![self.root()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.push((path.clone(), fs::read(&path).unwrap_or_default()));
                }
            }
        }
        files.sort();
        files
    }

    fn write_book(&self) {
        self.write(
            "book/src/SUMMARY.md",
            "\
# Summary

- [Sums](01-sums/index.md)
    - [Vanishing](01-sums/fd-vanishes.md)
    - [Add](01-sums/exercise-add.md)
- [Doubles](02-doubles/index.md)
    - [Disputed](02-doubles/disputed.md)
    - [Twice](02-doubles/exercise-twice.md)
",
        );
        for page in ["01-sums/index", "02-doubles/index"] {
            self.write(&format!("book/src/{page}.md"), "# A chapter\n");
        }
        let include = |path: &str| format!("# A page\n\n{{{{#include ../../../{path}}}}}\n");
        self.write("book/src/01-sums/fd-vanishes.md", &include("experiments/01-sums/fd-vanishes.txt"));
        self.write("book/src/02-doubles/disputed.md", &include("experiments/02-doubles/disputed.txt"));
        self.write("book/src/01-sums/exercise-add.md", &include("crates/toy/hints/add.md:step-1"));
        self.write("book/src/02-doubles/exercise-twice.md", &include("crates/toy/hints/twice.md:step-1"));
    }

    fn write_toy(&self) {
        // No debug information and no incremental builds: these files are compiled once.
        self.write(
            "Cargo.toml",
            "\
[workspace]
resolver = \"3\"
members = [\"crates/*\", \"experiments\"]

[profile.dev]
debug = false
incremental = false
",
        );
        let packages = ["experiments", "toy"]
            .map(|name| format!("\n[[package]]\nname = \"{name}\"\nversion = \"0.1.0\"\n"));
        let head = "# This file is automatically @generated by Cargo.\n# It is not intended for manual editing.\nversion = 4\n";
        self.write("Cargo.lock", &(head.to_owned() + &packages.concat()));
        self.write(
            "crates/toy/Cargo.toml",
            "\
[package]
name = \"toy\"
version = \"0.1.0\"
edition = \"2024\"

[features]
mine-add = []
mine-twice = []
check = []
",
        );
        self.write(
            "crates/toy/src/lib.rs",
            "\
#![allow(missing_docs)]
#[cfg_attr(feature = \"mine-add\", path = \"../exercises/add.rs\")]
pub mod add;
#[cfg_attr(feature = \"mine-twice\", path = \"../exercises/twice.rs\")]
pub mod twice;

#[cfg(all(test, feature = \"check\"))]
extern crate self as toy;

#[cfg(all(test, feature = \"check\"))]
#[cfg_attr(feature = \"mine-add\", path = \"../tests/add.rs\")]
#[cfg_attr(feature = \"mine-twice\", path = \"../tests/twice.rs\")]
mod t;
",
        );
        self.write("crates/toy/src/add.rs", ADD_SOLVED);
        self.write("crates/toy/starters/add.rs", ADD_STARTER);
        self.write("crates/toy/tests/add.rs", ADD_TESTS);
        self.solve("add", ADD_STARTER);
        let mistakes = [
            ("first_only", "small_numbers", "1 and 2 make 3, not 1", "{ let _ = b; a }"),
            ("no_sign", "negative", "is the sign lost?", "{ a.abs() + b.abs() }"),
            ("too_small", "too_large", "did not panic as expected", "{ a.saturating_add(b) }"),
        ];
        for (name, test, message, body) in mistakes {
            self.mistake("add", name, test, message, &format!("pub fn add(a: i32, b: i32) -> i32 {body}"));
        }
        self.hints("add", 3);

        let starter = "/// Two times.\npub fn twice(a: i32) -> i32 {\n    todo!(\"double {a}\")\n}\n";
        self.write(
            "crates/toy/src/twice.rs",
            &format!("// ANCHOR: twice\n{TWICE_SOLVED}// ANCHOR_END: twice\n"),
        );
        self.write("crates/toy/starters/twice.rs", starter);
        self.solve("twice", starter);
        self.write(
            "crates/toy/tests/twice.rs",
            "\
#[test]
fn doubles() {
    let seen = toy::twice::twice(3);
    assert!(seen == 6, \"twice 3 is 6, not {seen}\");
}
",
        );
        for (name, message, body) in
            [("once", "not 3", "a"), ("square", "not 9", "a * a"), ("nil", "not 0", "a - a")]
        {
            self.mistake(
                "twice",
                name,
                "doubles",
                message,
                &format!("pub fn twice(a: i32) -> i32 {{ {body} }}"),
            );
        }
        self.hints("twice", 3);
    }

    /// Add a plausible wrong answer: this code in place of all that the reference has.
    pub fn mistake(&self, module: &str, name: &str, test: &str, message: &str, code: &str) {
        let reference = self.read(&format!("crates/toy/src/{module}.rs"));
        let compared = reference.lines().filter(|line| !line.is_empty() && !line.starts_with("//"));
        let removed: String = compared.map(|line| format!("-{line}\n")).collect();
        let added: String = code.lines().map(|line| format!("+{line}\n")).collect();
        let fields = format!("- Caught by: `{test}`\n- Message: `{message}`\n");
        let text =
            format!("### {name}\n\nIt is wrong: {name}.\n\n{fields}\n```diff\n{removed}{added}```\n\n");
        let file = self.path(&format!("crates/toy/mistakes/{module}.md"));
        let before = fs::read_to_string(&file).unwrap_or_default();
        self.write(&format!("crates/toy/mistakes/{module}.md"), &(before + &text));
    }

    /// Give it a program `mutants` that prints these edits of `twice`, and puts answers into one source: the first of these, or
    /// the second if one of them is empty.
    pub fn maker(&self, edits: &Value, [all, fewer]: [&Value; 2]) {
        let lock = self.read("Cargo.lock");
        let toy = "\n[[package]]\nname = \"toy\"";
        let entry = "\n[[package]]\nname = \"mutants\"\nversion = \"0.1.0\"\n";
        if !lock.contains(entry) {
            self.write("Cargo.lock", &lock.replace(toy, &format!("{entry}{toy}")));
        }
        self.write(
            "crates/mutants/Cargo.toml",
            "[package]\nname = \"mutants\"\nversion = \"0.1.0\"\nedition = \"2024\"\n",
        );
        let none = json!({ "source": "", "arms": [] }).to_string();
        let main = format!(
            "\
fn main() {{
    let args: Vec<String> = std::env::args().collect();
    let answers = args.get(3).map(|file| std::fs::read_to_string(file).unwrap());
    println!(\"{{}}\", match (args[2].ends_with(\"twice.rs\"), answers) {{
        (false, None) => \"[]\",
        (false, Some(_)) => {none:?},
        (true, None) => {:?},
        (true, Some(answers)) if answers.contains(r#\"\"\"\"#) => {:?},
        (true, Some(_)) => {:?},
    }});
}}
",
            edits.to_string(),
            fewer.to_string(),
            all.to_string(),
        );
        self.write("crates/mutants/src/main.rs", &main);
    }

    /// Write so many hints.
    pub fn hints(&self, module: &str, number: usize) {
        let step = |n| {
            format!("<!-- ANCHOR: step-{n} -->\nStep {n} for {module}.\n<!-- ANCHOR_END: step-{n} -->\n\n")
        };
        self.write(&format!("crates/toy/hints/{module}.md"), &(1..=number).map(step).collect::<String>());
    }

    fn write_experiments(&self) {
        self.write(
            "experiments/Cargo.toml",
            "\
[package]
name = \"experiments\"
version = \"0.1.0\"
edition = \"2024\"
autobins = false
",
        );
        self.write("experiments/src/lib.rs", "");
        self.experiment("01-sums", "fd-vanishes", "answer(\"agrees\", \"null\", 0)");
        self.experiment("02-doubles", "disputed", "answer(\"disagrees\", \"\\\"it saw 5\\\"\", 1)");
        self.experiment("02-doubles", "not-here", "answer(\"skipped\", \"\\\"no such call\\\"\", 3)");
    }

    /// Add an experiment that does this. `answer(VERDICT, REASON, CODE)` prints a report, or words, and exits.
    pub fn experiment(&self, chapter: &str, name: &str, code: &str) {
        self.write(
            &format!("experiments/{chapter}/{name}.rs"),
            &format!(
                "\
fn main() {{
    {code}
}}
#[allow(dead_code)]
fn answer(verdict: &str, reason: &str, code: i32) {{
    if std::env::args().any(|arg| arg == \"--json\") {{
        println!(\"{{{{\\\"verdict\\\": \\\"{{verdict}}\\\", \\\"reason\\\": {{reason}}}}}}\");
    }} else {{
        println!(\"What was seen: {name} {{verdict}}\");
    }}
    std::process::exit(code);
}}
"
            ),
        );
        let transcript = format!("A preamble. Is\n{name} so?\n\n  a  Yes.\n");
        self.write(&format!("experiments/{chapter}/{name}.txt"), &transcript);
        let manifest = self.read("experiments/Cargo.toml");
        let bin = format!("\n[[bin]]\nname = \"{name}\"\npath = \"{chapter}/{name}.rs\"\n");
        self.write("experiments/Cargo.toml", &(manifest + &bin));
    }

    /// Have `add` do this, whatever it is called with: `body` is code before the sum is returned.
    pub fn add_does(&self, body: &str) {
        self.solve(
            "add",
            &format!(
                "
#![allow(unused, unreachable_code)]
use std::os::unix::process::CommandExt;
use std::process::{{Command, Stdio}};
unsafe extern \"C\" {{
    fn setsid() -> i32;
    fn atexit(function: extern \"C\" fn()) -> i32;
}}
/// Where the test waits for a sign, and gives one.
fn sign(name: &str) -> std::path::PathBuf {{
    std::path::Path::new(&std::env::var_os(\"WORKBOOK_TEST_MARK\").unwrap()).join(name)
}}
/// A shell that runs this, in a session of its own if wanted.
fn shell(script: &str, escape: bool) -> std::process::Child {{
    let mut command = Command::new(\"/bin/sh\");
    command.args([\"-c\", script]);
    if escape {{
        unsafe {{ command.pre_exec(|| {{ setsid(); Ok(()) }}) }};
    }}
    command.spawn().unwrap()
}}
pub fn add(a: i32, b: i32) -> i32 {{
    {body}
    i32::try_from(i64::from(a) + i64::from(b)).expect(\"overflow\")
}}
"
            ),
        );
    }
}

/// A folder, and all folders in it, in which nothing can be made or removed, until this is dropped.
pub struct ReadOnly(Vec<PathBuf>);

impl ReadOnly {
    pub fn make(top: &Path) -> Self {
        let mut all = vec![top.to_owned()];
        let mut next = 0;
        while next < all.len() {
            let entries = fs::read_dir(&all[next]).expect("a folder");
            all.extend(entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_dir()));
            next += 1;
        }
        all.iter().for_each(|folder| mode(folder, 0o555));
        Self(all)
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        self.0.iter().for_each(|folder| mode(folder, 0o755));
    }
}

fn mode(folder: &Path, mode: u32) {
    fs::set_permissions(folder, fs::Permissions::from_mode(mode)).expect("the owner may change the mode");
}
