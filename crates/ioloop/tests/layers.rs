//! The whole: the layout of the sources. Types are above and verbs below; mechanisms know nothing of a loop.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Built on a loop, or a part of it. Everything else is a mechanism.
const ON_THE_LOOP: [&str; 4] = ["run_loop", "futures", "accept", "periodic"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Each source by the path of its module, such as `run_loop::tasks`, with its code: no comments.
fn sources() -> BTreeMap<String, String> {
    fn read(folder: &Path, prefix: &str, into: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).expect("the sources are there").map(|entry| entry.unwrap().path()) {
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

/// Where each name that the crate exports is defined: `Events` in `event`.
fn exported(lib: &str) -> BTreeMap<String, String> {
    let lines = lib.lines().filter_map(|line| line.strip_prefix("pub use ")?.strip_suffix(';'));
    let named = lines.flat_map(|path| {
        let (module, names) = path.rsplit_once("::").unwrap();
        let names = names.trim_matches(['{', '}']).split(", ").map(str::to_owned);
        names.map(|name| (name, module.to_owned())).collect::<Vec<_>>()
    });
    named.collect()
}

/// The paths that a list of imports stands for: `{a::b, c}` is two.
fn paths(tree: &str) -> Vec<String> {
    let Some(open) = tree.find('{') else { return vec![tree.trim().to_owned()] };
    let (prefix, list) = (&tree[..open], &tree[open + 1..tree.rfind('}').unwrap()]);
    let (mut depth, mut begin, mut parts) = (0, 0, Vec::new());
    for (at, byte) in list.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            b',' if depth == 0 => {
                parts.push(&list[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&list[begin..]);
    let parts = parts.into_iter().map(str::trim).filter(|part| !part.is_empty());
    parts.flat_map(|part| paths(&format!("{}{part}", prefix.trim()))).collect()
}

/// The modules that each module takes names from. A re-export of what is below is none.
fn imports(sources: &BTreeMap<String, String>) -> BTreeMap<String, BTreeSet<String>> {
    let exported = exported(&sources["lib"]);
    let from = |module: &str, code: &str| {
        let uses = code.split("\nuse ").skip(1).map(|rest| rest.split(';').next().unwrap());
        let mut from = BTreeSet::new();
        for path in uses.flat_map(paths) {
            let above = module.rsplit_once("::").map_or("", |(above, _)| above);
            let path = match (path.strip_prefix("crate::"), path.strip_prefix("super::")) {
                (Some(path), _) => path.to_owned(),
                (_, Some(path)) => format!("{above}::{path}").trim_start_matches("::").to_owned(),
                _ => continue,
            };
            let path = exported.get(&path).map_or(path.clone(), |module| format!("{module}::{path}"));
            // The longest beginning of it that is a module.
            let ends = path.match_indices("::").map(|(at, _)| at).chain([path.len()]).collect::<Vec<_>>();
            let known =
                ends.into_iter().rev().map(|end| &path[..end]).find(|name| sources.contains_key(*name));
            from.extend(known.filter(|known| *known != module).map(str::to_owned));
        }
        from
    };
    let modules = sources.iter().filter(|(module, _)| *module != "lib");
    modules.map(|(module, code)| (module.clone(), from(module, &format!("\n{code}")))).collect()
}

#[test]
fn imports_have_no_circle() {
    let mut left = imports(&sources());
    assert!(left.values().map(BTreeSet::len).sum::<usize>() > 50, "the imports were not found: {left:#?}");
    // What needs nothing of what is left is at the bottom.
    loop {
        let names: BTreeSet<_> = left.keys().cloned().collect();
        let before = left.len();
        left.retain(|_, from| !from.is_disjoint(&names));
        if left.len() == before {
            break;
        }
    }
    assert!(left.is_empty(), "these import each other in a circle: {left:#?}");
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
            assert!(!field.is_some_and(is_name), "a field of {module} is seen by others: {line}");
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
                "{name}.rs is named for no source, and does not begin with `//! The whole: `"
            );
        }
    }
}
