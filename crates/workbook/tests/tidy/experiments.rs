//! An experiment is a file, a `[[bin]]` by the same name, and a recipe in the group of its chapter.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use crate::repository::{Repository, stem};

static RECIPE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^([\w-]+)[^:]*:\s*\(run '([\w-]+)' ARGS\)").expect("a regex"));

pub fn faults(repository: &Repository) -> Vec<String> {
    let mut faults = Vec::new();
    // By name: the file, below experiments/.
    let mut files = BTreeMap::new();
    for file in repository.below("experiments/", ".rs") {
        let file = file.trim_start_matches("experiments/").to_owned();
        if file.starts_with(|c: char| c.is_ascii_digit())
            && let Some(other) = files.insert(stem(&file).to_owned(), file.clone())
        {
            faults.push(format!("experiments/{file}: {other} has that name too, and programs go by name"));
        }
    }
    entries(repository, &files, &mut faults);
    recipes(repository, &files, &mut faults);
    for transcript in repository.below("experiments/", ".txt") {
        if !repository.has(&transcript.replace(".txt", ".rs")) {
            faults.push(format!("{transcript}: a transcript of no experiment"));
        }
    }
    faults
}

fn entries(repository: &Repository, files: &BTreeMap<String, String>, faults: &mut Vec<String>) {
    let manifest = repository.toml("experiments/Cargo.toml");
    let bins = manifest.get("bin").and_then(toml::Value::as_array).into_iter().flatten();
    let mut entered = Vec::new();
    for bin in bins {
        let [name, path] =
            ["name", "path"].map(|key| bin.get(key).and_then(toml::Value::as_str).unwrap_or_default());
        if files.get(name).map(String::as_str) != Some(path) {
            let text = format!(
                "the [[bin]] \"{name}\" has the path \"{path}\", and no experiment is there by that name"
            );
            faults.push(format!("experiments/Cargo.toml: {text}"));
        }
        entered.push(name);
    }
    for (name, file) in files.iter().filter(|(name, _)| !entered.contains(&name.as_str())) {
        faults.push(format!(
            "experiments/{file}: experiments/Cargo.toml has no [[bin]] \"{name}\", so it is not built"
        ));
    }
}

fn recipes(repository: &Repository, files: &BTreeMap<String, String>, faults: &mut Vec<String>) {
    let justfile = repository.read("justfile");
    let lines: Vec<&str> = justfile.lines().collect();
    let mut run = Vec::new();
    for (i, line) in lines.iter().enumerate() {
        let Some(found) = RECIPE.captures(line) else { continue };
        let (recipe, name) = (&found[1], found[2].to_owned());
        let place = format!("justfile:{}: the recipe {recipe}", i + 1);
        let above: Vec<&str> = lines[..i].iter().rev().take_while(|line| !line.is_empty()).copied().collect();
        let Some(file) = files.get(&name) else {
            faults.push(format!("{place} runs `{name}`, which is not an experiment"));
            continue;
        };
        if recipe != name {
            faults.push(format!("{place} runs `{name}`: recipe and experiment go by one name"));
        }
        let chapter = file.split('-').next().unwrap_or_default().trim_start_matches('0');
        let group = format!("[group('experiments: {chapter} ");
        if !above.iter().any(|line| line.starts_with(&group)) {
            faults.push(format!("{place} belongs to chapter {chapter}, so above it stands {group}…')]"));
        }
        let question = question(repository, file);
        match above.iter().find_map(|line| line.strip_prefix("# ")) {
            None => faults
                .push(format!("{place} has no comment above it, so `just --list` does not say what it asks")),
            Some(comment) if comment != question => faults.push(format!(
                "{place} asks \"{comment}\", and the experiment \"{question}\": one question, in the same words"
            )),
            Some(_) => {}
        }
        run.push(name);
    }
    for (name, file) in files.iter().filter(|(name, _)| !run.contains(name)) {
        faults.push(format!(
            "experiments/{file}: the justfile has no recipe `{name} *ARGS: (run '{name}' ARGS)`"
        ));
    }
}

/// What an experiment asks: the first paragraph of its transcript, on one line.
fn question(repository: &Repository, file: &str) -> String {
    let transcript = repository.read(&format!("experiments/{}", file.replace(".rs", ".txt")));
    transcript.lines().take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::one;

    const ENTRY: &str = "[[bin]]\nname = \"seen\"\npath = \"02-x/seen.rs\"\n";
    const RECIPES: &str = "# What is seen?\n[group('experiments: 2 x')]\nseen *ARGS: (run 'seen' ARGS)\n";

    fn repository(manifest: &str, justfile: &str, more: &[(&str, &str)]) -> Vec<String> {
        let files = [
            ("experiments/02-x/seen.rs", ""),
            ("experiments/02-x/seen.txt", "What is\nseen?\n\n  a  It.\n"),
            ("experiments/src/lib.rs", ""),
        ];
        let files = [&files, more, &[("experiments/Cargo.toml", manifest), ("justfile", justfile)]].concat();
        faults(&Repository::of(&files))
    }

    #[test]
    fn what_agrees_is_left_alone() {
        assert_eq!(repository(ENTRY, RECIPES, &[]), [""; 0]);
    }

    #[test]
    fn an_experiment_without_an_entry_is_found() {
        one(&repository("", RECIPES, &[]), &["experiments/02-x/seen.rs", "no [[bin]] \"seen\""]);
    }

    #[test]
    fn an_entry_without_an_experiment_is_found() {
        let manifest = format!("{ENTRY}[[bin]]\nname = \"gone\"\npath = \"02-x/gone.rs\"\n");
        one(&repository(&manifest, RECIPES, &[]), &["experiments/Cargo.toml", "\"gone\""]);
    }

    #[test]
    fn an_entry_with_another_name_is_found() {
        let faults = repository(&ENTRY.replace("\"seen\"", "\"sene\""), RECIPES, &[]);
        one(&faults[..1], &["\"sene\" has the path \"02-x/seen.rs\""]);
    }

    #[test]
    fn an_experiment_without_a_recipe_is_found() {
        one(&repository(ENTRY, "", &[]), &["experiments/02-x/seen.rs", "no recipe `seen *ARGS"]);
    }

    #[test]
    fn a_recipe_without_an_experiment_is_found() {
        let justfile =
            format!("{RECIPES}\n# x\n[group('experiments: 2 x')]\ngone *ARGS: (run 'gone' ARGS)\n");
        one(&repository(ENTRY, &justfile, &[]), &["justfile:7: ", "not an experiment"]);
    }

    #[test]
    fn a_recipe_in_another_group_is_found() {
        one(
            &repository(ENTRY, &RECIPES.replace("2 x", "1 x"), &[]),
            &["justfile:3: ", "belongs to chapter 2"],
        );
    }

    #[test]
    fn a_recipe_without_a_comment_is_found() {
        one(
            &repository(ENTRY, &RECIPES.replace("# What is seen?\n", ""), &[]),
            &["justfile:2: ", "no comment"],
        );
    }

    #[test]
    fn a_recipe_that_asks_in_other_words_is_found() {
        one(
            &repository(ENTRY, &RECIPES.replace("What is seen?", "Is it seen?"), &[]),
            &["justfile:3: ", "asks \"Is it seen?\"", "the experiment \"What is seen?\""],
        );
    }

    #[test]
    fn a_recipe_by_another_name_is_found() {
        one(
            &repository(ENTRY, &RECIPES.replace("seen *", "sight *"), &[]),
            &["recipe sight runs `seen`", "one name"],
        );
    }

    #[test]
    fn a_transcript_of_nothing_is_found() {
        one(
            &repository(ENTRY, RECIPES, &[("experiments/02-x/old.txt", "")]),
            &["02-x/old.txt", "no experiment"],
        );
    }

    #[test]
    fn two_experiments_by_one_name_are_found() {
        let faults = repository(ENTRY, RECIPES, &[("experiments/01-y/seen.rs", "")]);
        one(&faults, &["experiments/02-x/seen.rs", "01-y/seen.rs has that name too"]);
    }
}
