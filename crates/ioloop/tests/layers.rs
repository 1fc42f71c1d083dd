//! The whole: the layout of the sources. Types are above and verbs below; mechanisms know nothing of a loop; fields are
//! private. That the modules do not import each other in circles is checked for all crates of the repository.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Built on a loop, or a part of it. Everything else is a mechanism.
const ON_THE_LOOP: [&str; 4] = ["run_loop", "futures", "accept", "periodic"];

fn root() -> PathBuf {
    PathBuf::from(".")
}

/// Each source by the path of its module, such as `run_loop::tasks`, with its code: no comments.
fn sources() -> BTreeMap<String, String> {
    fn read(folder: &Path, prefix: &str, into: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).expect("the sources exist").map(|entry| entry.unwrap().path()) {
            let name = entry.file_stem().unwrap().to_str().unwrap().to_owned();
            if entry.is_dir() {
                read(&entry, &format!("{prefix}{name}::"), into);
            } else {
                let text = fs::read_to_string(&entry).unwrap();
                let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
                into.insert(format!("{prefix}{name}"), code.collect::<Vec<_>>().join("\n"));
            }
        }
    }
    let mut sources = BTreeMap::new();
    read(&root().join("src"), "", &mut sources);
    sources
}

#[test]
fn a_mechanism_does_not_name_the_loop() {
    for (module, code) in sources() {
        let top = module.split("::").next().unwrap();
        if top != "lib" && !ON_THE_LOOP.contains(&top) {
            assert!(!code.contains("IoLoop"), "{module} is a mechanism, and names IoLoop");
        }
    }
}

#[test]
fn fields_are_private() {
    for (module, code) in sources() {
        for line in code.lines().map(str::trim_start) {
            let field = line.strip_prefix("pub(crate) ").or_else(|| line.strip_prefix("pub(super) "));
            let field = field.and_then(|rest| rest.split_once(": ")).map(|(name, _)| name);
            let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            assert!(!field.is_some_and(is_name), "a field of {module} is visible to others: {line}");
        }
    }
}

#[test]
fn a_test_file_is_named_for_a_source_or_tests_the_whole() {
    let sources = sources();
    let names: BTreeSet<_> = sources.keys().map(|module| module.rsplit("::").next().unwrap()).collect();
    for entry in fs::read_dir(root().join("tests")).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_stem().unwrap().to_str().unwrap();
        if entry.is_file() && !names.contains(name) {
            let text = fs::read_to_string(&entry).unwrap();
            assert!(
                text.starts_with("//! The whole: "),
                "{name}.rs is not named for a source, and does not begin with `//! The whole: `"
            );
        }
    }
}
