//! The catalogue: which experiments and exercises there are, as the reader's tool names them. What runs is one of these.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::{env, io};

use serde_json::Value;

use crate::keeper;

/// The variables that what runs here gets. None of them comes from a request.
const KEPT: [&str; 16] = [
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "CARGO",
    "CARGO_HOME",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_NET_OFFLINE",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "RUSTC_WRAPPER",
    "CARGO_BUILD_JOBS",
    "LD_LIBRARY_PATH",
];

/// The reader's tool, in its checkout.
#[derive(Debug, Clone)]
pub struct Tool {
    program: PathBuf,
    root: PathBuf,
    environment: Vec<(&'static str, OsString)>,
}

impl Tool {
    /// The tool at this path, for the checkout at `root`.
    pub fn new(program: PathBuf, root: PathBuf) -> Self {
        let environment = KEPT.into_iter().filter_map(|name| Some((name, env::var_os(name)?))).collect();
        Self { program, root, environment }
    }

    /// The tool with these arguments, in a keeper.
    pub fn command(&self, args: &[&str]) -> Command {
        self.confined(keeper::command(&self.program), args)
    }

    fn confined(&self, mut command: Command, args: &[&str]) -> Command {
        command.args(args).current_dir(&self.root).env_clear().envs(self.environment.iter().cloned());
        command.env("NO_COLOR", "1").env("TERM", "dumb");
        command
    }

    /// Ask the tool what there is, and wait for the answer: before the server starts.
    ///
    /// # Errors
    /// When the tool cannot be started, or says something else.
    pub fn catalogue(&self) -> io::Result<Catalogue> {
        let mut command = self.confined(Command::new(&self.program), &["list", "--json"]);
        let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
        Catalogue::parse(&output.stdout)
    }
}

/// What there is: the tool's own list.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    list: Value,
}

impl Catalogue {
    /// Read what `list --json` printed.
    ///
    /// # Errors
    /// When it is no JSON.
    pub fn parse(printed: &[u8]) -> io::Result<Self> {
        Ok(Self { list: serde_json::from_slice(printed)? })
    }

    /// The experiment of this name, in the catalogue's own text.
    pub fn experiment(&self, name: &str) -> Option<&str> {
        Self::find(&self.list["experiments"], name)
    }

    /// The exercise of this name.
    pub fn exercise(&self, name: &str) -> Option<&str> {
        Self::find(&self.list["exercises"], name)
    }

    fn find<'a>(list: &'a Value, name: &str) -> Option<&'a str> {
        list.as_array()?.iter().filter_map(|entry| entry["name"].as_str()).find(|known| *known == name)
    }

    /// The experiments, as the tool lists them.
    pub fn experiments(&self) -> &[Value] {
        self.list["experiments"].as_array().map_or(&[], Vec::as_slice)
    }

    /// The exercises, as the tool lists them.
    pub fn exercises(&self) -> &[Value] {
        self.list["exercises"].as_array().map_or(&[], Vec::as_slice)
    }
}

/// A page as the book names it: `book/src/chapter/page.md` is `chapter/page`.
pub fn page(path: &Value) -> Option<&str> {
    path.as_str()?.strip_prefix("book/src/")?.strip_suffix(".md")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_exact_name_is_found() {
        let list = br#"{"experiments":[{"name":"fd-vanishes"}],"exercises":[{"name":"cloexec/flags"}]}"#;
        let catalogue = Catalogue::parse(list).expect("a list");
        assert_eq!(catalogue.experiment("fd-vanishes"), Some("fd-vanishes"));
        assert_eq!(catalogue.exercise("cloexec/flags"), Some("cloexec/flags"));
        for other in
            ["", "fd-vanishe", "fd-vanishes ", "../fd-vanishes", "FD-VANISHES", "cloexec/flags", "--all"]
        {
            assert_eq!(catalogue.experiment(other), None, "{other}");
        }
        assert_eq!(Catalogue::parse(b"{}").expect("JSON").experiment("x"), None);
        assert!(Catalogue::parse(b"error: nothing").is_err());
    }
}
