//! The modules of a crate, and where the paths in their code lead.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;

use crate::repository::{Repository, resolve};

/// The crate's own module, by the name that paths have for it.
const ROOT: &str = "crate";

/// The modules of a program or a library.
pub struct Modules(BTreeMap<String, Module>);

struct Module {
    /// What this module calls by a name of its own, and where it is: `use a::{B as C}` has C for `a::B`.
    names: BTreeMap<String, Vec<String>>,
    /// The paths in its code that may lead to other modules of this crate.
    paths: Vec<Vec<String>>,
}

/// Read the modules below a `lib.rs` or a `main.rs`.
pub fn of(repository: &Repository, root: &str) -> Modules {
    static ELSEWHERE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r#"#\[path = "([^"]+)"\]\s*(?:pub\S* )?mod (\w+);"#).expect("a regex"));
    let folder = &root[..=root.rfind('/').unwrap_or_default()];
    let mut files = BTreeMap::new();
    for file in repository.below(folder, ".rs") {
        let below = file[folder.len()..].trim_end_matches(".rs");
        let below = below.strip_suffix("/mod").unwrap_or(below);
        let name = if file == root { ROOT.to_owned() } else { below.replace('/', "::") };
        let source = repository.read(&file);
        // Modules from elsewhere, such as a file that two programs share.
        for found in ELSEWHERE.captures_iter(&source) {
            let there = resolve(&file, &found[1]).unwrap_or_default();
            files.insert(join(&name, &found[2]), code(&repository.read(&there)));
        }
        files.insert(name, code(&source));
    }
    let is_module = |name: &str| files.contains_key(name);
    Modules(files.iter().map(|(name, code)| (name.clone(), Module::of(name, code, &is_module))).collect())
}

impl Module {
    fn of(name: &str, code: &str, is_module: &dyn Fn(&str) -> bool) -> Self {
        static USE: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r"(pub(?:\([^)]*\))?\s+)?\buse\s+([^;]+);").expect("a regex"));
        static PATH: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r"\b\w+(?:\s*::\s*\w+)+").expect("a regex"));
        let mut module = Self { names: BTreeMap::new(), paths: Vec::new() };
        for found in USE.captures_iter(code) {
            for (path, called) in flat(&found[2]) {
                let of_child =
                    path.first().is_some_and(|first| first == "self" || is_module(&join(name, first)));
                // A re-export of one's own child does not count: its user imports the child.
                if found.get(1).is_none() || !of_child {
                    module.paths.push(path.clone());
                }
                module.names.insert(called, path);
            }
        }
        for found in PATH.find_iter(&USE.replace_all(code, "")) {
            module.paths.push(found.as_str().split("::").map(|part| part.trim().to_owned()).collect());
        }
        module
    }
}

impl Modules {
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The modules that the paths of this one lead to.
    pub fn imported_by(&self, module: &str) -> BTreeSet<String> {
        let paths = self.0[module].paths.iter();
        paths.filter_map(|path| self.follow(module, path, 0)).filter(|to| to != module).collect()
    }

    /// The module that a path leads to, through whatever names it; none if it is not of this crate.
    fn follow(&self, from: &str, path: &[String], depth: usize) -> Option<String> {
        let (first, rest) = path.split_first()?;
        let (mut at, mut rest) = match first.as_str() {
            "crate" => (ROOT.to_owned(), rest),
            "self" => (from.to_owned(), rest),
            "super" => (parent(from)?, rest),
            child if self.0.contains_key(&join(from, child)) => (join(from, child), rest),
            _ => return None,
        };
        while let Some((next, further)) = rest.split_first() {
            let below = join(&at, next);
            if next == "super" {
                at = parent(&at)?;
            } else if self.0.contains_key(&below) {
                at = below;
            } else if let Some(path) = self.0[&at].names.get(next).filter(|_| depth < 8) {
                let path: Vec<String> = path.iter().chain(further).cloned().collect();
                // A path into another crate leads to no module of this one.
                return self.follow(&at, &path, depth + 1);
            } else {
                break;
            }
            rest = further;
        }
        Some(at)
    }
}

fn join(module: &str, child: &str) -> String {
    if module == ROOT { child.to_owned() } else { format!("{module}::{child}") }
}

fn parent(module: &str) -> Option<String> {
    match module.rsplit_once("::") {
        Some((parent, _)) => Some(parent.to_owned()),
        None if module == ROOT => None,
        None => Some(ROOT.to_owned()),
    }
}

/// The paths of a `use`, each with the name that it gets: `a::{b, c as d}` is `a::b` as b and `a::c` as d.
fn flat(tree: &str) -> Vec<(Vec<String>, String)> {
    let tree = tree.trim();
    if let Some(at) = tree.find('{') {
        let before: Vec<String> = tree[..at].split("::").map(|part| part.trim().to_owned()).collect();
        let before: Vec<String> = before.into_iter().filter(|part| !part.is_empty()).collect();
        let inside = &tree[at + 1..tree.rfind('}').unwrap_or(tree.len())];
        let mut paths = Vec::new();
        for (path, called) in branches(inside).into_iter().flat_map(flat) {
            let called = if path == ["self"] { before.last().cloned().unwrap_or_default() } else { called };
            let rest = path.into_iter().filter(|part| part != "self" || before.is_empty());
            paths.push((before.iter().cloned().chain(rest).collect(), called));
        }
        return paths;
    }
    let (path, called) =
        tree.split_once(" as ").map_or((tree, None), |(path, name)| (path, Some(name.trim())));
    let path: Vec<String> = path.split("::").map(|part| part.trim().to_owned()).collect();
    let called = called.map_or_else(|| path.last().cloned().unwrap_or_default(), str::to_owned);
    if path == [""] { Vec::new() } else { vec![(path, called)] }
}

/// The parts between commas that are in no inner braces.
fn branches(inside: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, c) in inside.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&inside[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&inside[start..]);
    parts
}

/// A source without comments, literals of text, and the tests at its end.
fn code(source: &str) -> String {
    static NOISE: LazyLock<Regex> = LazyLock::new(|| {
        let noise = r##"(?s)//[^\n]*|/\*.*?\*/|r#".*?"#|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.[^']*)'"##;
        Regex::new(noise).expect("a regex")
    });
    let code = NOISE.replace_all(source, "").into_owned();
    match code.find("#[cfg(test)]\nmod tests {") {
        Some(at) => code[..at].to_owned(),
        None => code,
    }
}
