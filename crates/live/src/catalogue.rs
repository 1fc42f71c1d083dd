//! The catalogue: which experiments and exercises there are, as the reader's tool names them. What runs is one of these.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::{env, io};

use serde_json::Value;

use crate::keeper;

/// The variables that what runs here gets. None of them comes from a request.
const KEPT: [&str; 15] = [
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "CARGO",
    "CARGO_HOME",
    "LD_LIBRARY_PATH",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
];

/// How the variables begin that say how cargo and rustc build. A check of the page builds as one in the terminal does. The tokens
/// of registries are not among them.
const KEPT_BEGINNINGS: [&str; 8] = [
    "CARGO_BUILD_",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_HTTP_",
    "CARGO_INCREMENTAL",
    "CARGO_NET_",
    "CARGO_PROFILE_",
    "CARGO_TARGET_",
    "RUST",
];

/// The reader's tool, in its checkout.
#[derive(Debug, Clone)]
pub struct Tool {
    program: PathBuf,
    root: PathBuf,
    environment: Vec<(OsString, OsString)>,
}

impl Tool {
    /// The tool at this path, for the checkout at `root`.
    pub fn new(program: PathBuf, root: PathBuf) -> Self {
        let is_kept = |name: &str| {
            KEPT.contains(&name) || KEPT_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
        };
        let kept = env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_kept));
        Self { program, root, environment: kept.collect() }
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
