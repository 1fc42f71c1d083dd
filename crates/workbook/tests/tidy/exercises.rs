//! An exercise is complete: reference, starter, tests and the lines that compile them into the crate, hints,
//! mistakes, its features, and a word for the editor, without which rust-analyzer would be silent in the reader's file.

use std::sync::LazyLock;

use regex::Regex;

use crate::repository::{Repository, resolve, stem};

const SETTINGS: &str = ".vscode/settings.json";
const FEATURES: &str = "rust-analyzer.cargo.features";
const CHECK: &str = "#[cfg(all(test, feature = \"check\"))]";
const OTHERS: [&str; 2] = ["rust-analyzer.toml", "book/src/how-to-use.md"];

pub fn faults(repository: &Repository) -> Vec<String> {
    let mut faults = Vec::new();
    let files = repository.below("crates/", "");
    let place = |file: &str| -> Option<[String; 3]> {
        let mut parts = file.split('/').skip(1).map(str::to_owned);
        Some([parts.next()?, parts.next()?, stem(&parts.next()?).to_owned()])
    };
    let mut exercises = Vec::new();
    for file in files.iter().filter(|file| file.ends_with(".rs")) {
        if let Some([krate, folder, module]) = place(file)
            && folder == "exercises"
            // Without one of these it is the reader's own, as for the tool.
            && [("starters", "rs"), ("hints", "md"), ("mistakes", "md")]
                .iter()
                .any(|(part, end)| repository.has(&format!("crates/{krate}/{part}/{module}.{end}")))
        {
            one(repository, &krate, &module, &mut faults);
            exercises.push((krate, module));
        }
    }
    for file in &files {
        if let Some([krate, folder, name]) = place(file)
            && ["starters", "hints", "mistakes", "equivalent", "alternatives"].contains(&folder.as_str())
            && let module = module(&folder, name)
            && !exercises.contains(&(krate.clone(), module.clone()))
        {
            faults.push(format!("{file}: the exercise crates/{krate}/exercises/{module}.rs does not exist"));
        }
    }
    faults
}

/// The exercise that a file is for: `alternatives/flags-2.rs` is for `flags`.
fn module(folder: &str, name: String) -> String {
    match name.rsplit_once('-') {
        Some((module, _)) if folder == "alternatives" => module.to_owned(),
        _ => name,
    }
}

fn one(repository: &Repository, krate: &str, module: &str, faults: &mut Vec<String>) {
    let exercise = format!("crates/{krate}/exercises/{module}.rs");
    let mut find = |text: String| faults.push(format!("{exercise}: {text}"));
    for folder in ["starters", "tests"] {
        let file = format!("crates/{krate}/{folder}/{module}.rs");
        if !repository.has(&file) {
            find(format!("there is no {file}"));
        }
    }
    match &repository.sources(krate, module)[..] {
        [] => find(format!("the reference is missing: no {module}.rs is below crates/{krate}/src")),
        [_] => {}
        several => find(format!("only one of these can be the reference: {}", several.join(", "))),
    }
    if let Some(wrong) = switch(repository, krate, module) {
        find(wrong);
    }
    let library = format!("crates/{krate}/src/lib.rs");
    let line = format!("#[cfg_attr(feature = \"mine-{module}\", path = \"../tests/{module}.rs\")]");
    if !lines_with_tests(&repository.read(&library)).contains(&line.as_str()) {
        find(format!(
            "{library} lacks the line that compiles its tests into the crate: {line}, below {CHECK} and above mod t;"
        ));
    }
    let manifest = repository.toml(&format!("crates/{krate}/Cargo.toml"));
    let feature = |name: &str| manifest.get("features")?.get(name);
    for name in [&format!("mine-{module}"), "check"] {
        if feature(name).is_none() {
            find(format!("crates/{krate}/Cargo.toml has no feature {name}"));
        }
    }
    let included = feature("mine").and_then(toml::Value::as_array).into_iter().flatten();
    if !included.filter_map(toml::Value::as_str).any(|name| name == format!("mine-{module}")) {
        find(format!("the feature `mine` of crates/{krate}/Cargo.toml leaves out mine-{module}"));
    }
    if let Some(wrong) = hints(&repository.read(&format!("crates/{krate}/hints/{module}.md"))) {
        find(format!("crates/{krate}/hints/{module}.md {wrong}"));
    }
    let mistakes = format!("crates/{krate}/mistakes/{module}.md");
    if !repository.has(&mistakes) {
        find(format!("there is no {mistakes}"));
    }
    if let Some(wrong) = editor(&repository.read(SETTINGS), krate, module) {
        find(wrong);
    }
    for file in OTHERS {
        if repository.has(file) && !repository.read(file).contains(&format!("\"{krate}/mine\"")) {
            find(format!("{file} has no \"{krate}/mine\""));
        }
    }
}

/// Some file of the crate puts the reader's file in the reference's place.
fn switch(repository: &Repository, krate: &str, module: &str) -> Option<String> {
    let start = format!("#[cfg_attr(feature = \"mine-{module}\", path = \"");
    let exercise = format!("crates/{krate}/exercises/{module}.rs");
    for file in repository.below(&format!("crates/{krate}/src/"), ".rs") {
        let text = repository.read(&file);
        let mut lines = text.lines().map(str::trim);
        let Some(path) = lines.find_map(|line| line.strip_prefix(&start)?.strip_suffix("\")]")) else {
            continue;
        };
        // Of the path to its tests, in lib.rs, the next line is another such path, or `mod t;`.
        if !lines.next().is_some_and(|next| next.ends_with(&format!("mod {module};"))) {
            continue;
        }
        if resolve(&file, path).as_deref() != Some(&exercise) {
            return Some(format!("{file} switches it to {path}, which is not {exercise} from there"));
        }
        return None;
    }
    Some(format!(
        "no file of crates/{krate}/src has {start}../exercises/{module}.rs\")] above `mod {module};`"
    ))
}

/// The lines that choose the tests to compile into the crate.
fn lines_with_tests(library: &str) -> Vec<&str> {
    for part in library.split(CHECK).skip(1) {
        let mut lines = part.trim_start().lines();
        let paths: Vec<&str> = lines.by_ref().take_while(|line| *line != "mod t;").collect();
        if !paths.is_empty() && paths.iter().all(|line| line.starts_with("#[cfg_attr(")) {
            return paths;
        }
    }
    Vec::new()
}

/// Three steps, each between anchors.
fn hints(text: &str) -> Option<String> {
    static ANCHOR: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"<!-- ANCHOR(_END)?: ([\w-]+) -->").expect("a regex"));
    let anchors: Vec<_> =
        ANCHOR.captures_iter(text).map(|found| (found.get(1).is_some(), found[2].to_owned())).collect();
    let paired = anchors.chunks(2).all(|pair| matches!(pair, [(false, a), (true, b)] if a == b));
    (anchors.len() != 6 || !paired)
        .then(|| "has not three steps, each between <!-- ANCHOR: … --> and its end".to_owned())
}

/// The editor compiles the reader's file where its feature is on.
fn editor(settings: &str, krate: &str, module: &str) -> Option<String> {
    // VS Code reads comments in this file, and serde_json does not.
    let json: String = settings.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let features = match serde_json::from_str::<serde_json::Value>(&json) {
        Ok(settings) => settings[FEATURES].clone(),
        Err(error) => return Some(format!("{SETTINGS}: {error}")),
    };
    let names = [format!("{krate}/mine"), format!("{krate}/mine-{module}")];
    let on = features == "all"
        || features.as_array().into_iter().flatten().any(|f| names.iter().any(|name| f == name));
    (!on).then(|| format!("\"{FEATURES}\" in {SETTINGS} has neither \"{}\" nor \"{}\"", names[0], names[1]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::one;

    const HINTS: &str = "<!-- ANCHOR: a -->\nx\n<!-- ANCHOR_END: a -->\n<!-- ANCHOR: b -->\nx\n<!-- ANCHOR_END: b -->\n\
                         <!-- ANCHOR: c -->\nx\n<!-- ANCHOR_END: c -->\n";
    const LIBRARY: &str = "#[cfg_attr(feature = \"mine-m\", path = \"../exercises/m.rs\")]\npub mod m;\n\n\
                           #[cfg(all(test, feature = \"check\"))]\nextern crate self as k;\n\n\
                           #[cfg(all(test, feature = \"check\"))]\n\
                           #[cfg_attr(feature = \"mine-l\", path = \"../tests/l.rs\")]\n\
                           #[cfg_attr(feature = \"mine-m\", path = \"../tests/m.rs\")]\nmod t;\n";
    const GOOD: [(&str, &str); 9] = [
        ("crates/k/exercises/m.rs", ""),
        ("crates/k/starters/m.rs", ""),
        ("crates/k/src/m.rs", ""),
        ("crates/k/src/lib.rs", LIBRARY),
        ("crates/k/tests/m.rs", "#[test]\nfn it_holds() {}\n"),
        ("crates/k/hints/m.md", HINTS),
        ("crates/k/mistakes/m.md", ""),
        ("crates/k/Cargo.toml", "[features]\nmine = [\"mine-m\"]\nmine-m = []\ncheck = []\n"),
        (SETTINGS, "{\n  // For the exercises.\n  \"rust-analyzer.cargo.features\": [\"k/mine\"]\n}\n"),
    ];

    /// The good repository with one file replaced, or left out.
    fn with(path: &str, text: Option<&str>) -> Vec<String> {
        let mut files: Vec<_> = GOOD.into_iter().filter(|(file, _)| *file != path).collect();
        files.extend(text.map(|text| (path, text)));
        faults(&Repository::of(&files))
    }

    #[test]
    fn a_complete_exercise_is_left_alone() {
        assert_eq!(faults(&Repository::of(&GOOD)), [""; 0]);
        assert_eq!(
            with(SETTINGS, Some("{\"rust-analyzer.cargo.features\": [\"a/b\", \"k/mine-m\"]}")),
            [""; 0]
        );
    }

    #[test]
    fn a_missing_part_is_found() {
        one(
            &with("crates/k/starters/m.rs", None),
            &["crates/k/exercises/m.rs: ", "no crates/k/starters/m.rs"],
        );
        one(&with("crates/k/src/m.rs", None), &["the reference is missing", "crates/k/src"]);
        one(&with("crates/k/src/a/m.rs", Some("")), &["only one", "crates/k/src/a/m.rs, crates/k/src/m.rs"]);
        one(&with("crates/k/mistakes/m.md", None), &["no crates/k/mistakes/m.md"]);
        one(&with("crates/k/tests/m.rs", None)[..1], &["no crates/k/tests/m.rs"]);
    }

    #[test]
    fn what_the_reader_writes_is_left_alone() {
        assert_eq!(with("crates/k/exercises/m.rs", Some("what the reader wrote, and committed")), [""; 0]);
        assert_eq!(with("crates/k/exercises/m-before.rs", Some("a copy")), [""; 0]);
    }

    #[test]
    fn the_switch_may_stand_beside_the_reference() {
        let switch = "#[cfg_attr(feature = \"mine-m\", path = \"../exercises/m.rs\")]\npub mod m;\n";
        let library = LIBRARY.replace(switch, "mod a;\n");
        assert_ne!(library, LIBRARY);
        let of = |file: &str, text: &str| {
            let mut files = GOOD.to_vec();
            files.retain(|(file, _)| !file.contains("/src/"));
            files.extend([("crates/k/src/lib.rs", &*library), ("crates/k/src/a/m.rs", ""), (file, text)]);
            faults(&Repository::of(&files))
        };
        assert_eq!(of("crates/k/src/a.rs", &format!("mod b;\n{switch}")), [""; 0]);
        let deeper = switch.replace("../", "../../").replace("pub mod", "mod");
        assert_eq!(of("crates/k/src/a/b.rs", &deeper), [""; 0]);
        one(&of("crates/k/src/a/b.rs", switch), &["a/b.rs switches it to ../exercises/m.rs, which is not"]);
        one(&of("crates/k/src/a.rs", &switch.replace("mod m", "mod n")), &["no file of crates/k/src has"]);
        one(
            &of("crates/k/src/a.rs", ""),
            &["no file of crates/k/src has #[cfg_attr(feature = \"mine-m\", path"],
        );
    }

    #[test]
    fn tests_that_are_not_compiled_into_the_crate_are_found() {
        for (right, wrong) in [
            ("tests/m.rs", "tests/n.rs"),
            ("\"mine-m\", path = \"../tests", "\"mine-n\", path = \"../tests"),
            ("mod t", "mod u"),
            ("#[cfg(all(test, feature = \"check\"))]\n#[cfg_attr", "#[cfg(test)]\n#[cfg_attr"),
        ] {
            let library = LIBRARY.replace(right, wrong);
            assert_ne!(library, LIBRARY, "{right}");
            one(
                &with("crates/k/src/lib.rs", Some(&library)),
                &["crates/k/src/lib.rs lacks the line", "path = \"../tests/m.rs\")]"],
            );
        }
    }

    #[test]
    fn a_missing_hint_is_found() {
        one(&with("crates/k/hints/m.md", None), &["hints/m.md has not three steps"]);
        one(
            &with("crates/k/hints/m.md", Some(&HINTS.replace("ANCHOR_END: b", "ANCHOR_END: c"))),
            &["three steps"],
        );
    }

    #[test]
    fn a_missing_feature_is_found() {
        let toml = Some("[features]\nmine = []\nmine-m = []\ncheck = []\n");
        one(&with("crates/k/Cargo.toml", toml), &["the feature `mine` of", "leaves out mine-m"]);
        let toml = Some("[features]\nmine = [\"mine-m\"]\ncheck = []\n");
        one(&with("crates/k/Cargo.toml", toml), &["no feature mine-m"]);
        let toml = Some("[features]\nmine = [\"mine-m\"]\nmine-m = []\n");
        one(&with("crates/k/Cargo.toml", toml), &["no feature check"]);
    }

    #[test]
    fn a_silent_editor_is_found() {
        one(
            &with(SETTINGS, Some("{\"rust-analyzer.cargo.features\": [\"j/mine\"]}")),
            &["has neither \"k/mine\""],
        );
        one(&with(OTHERS[1], Some("`[\"j/mine\"]`")), &["how-to-use.md has no \"k/mine\""]);
        one(&with(SETTINGS, None), &["crates/k/exercises/m.rs: .vscode/settings.json: "]);
    }

    #[test]
    fn parts_of_no_exercise_are_found() {
        one(&with("crates/k/hints/old.md", Some("")), &["crates/k/hints/old.md", "exercises/old.rs"]);
        one(&with("crates/k/mistakes/old.md", Some("")), &["crates/k/mistakes/old.md", "exercises/old.rs"]);
        for file in ["crates/k/equivalent/old.md", "crates/k/alternatives/old-1.rs"] {
            one(&with(file, Some("")), &[file, "exercises/old.rs"]);
        }
        assert_eq!(with("crates/k/alternatives/m-1.rs", Some("")), [""; 0]);
    }
}
