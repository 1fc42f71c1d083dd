//! Which wrong answers the pages ask about: those with the field `Passes`, in the order of their file.

use std::fs;

use anyhow::{Context, Result, anyhow, bail};
use mistakes::{Mistake, parse};
use serde_json::{Value, json};

use crate::digest::files;
use crate::place::{Place, read};

/// An exercise, and the wrong answers that its page asks about.
pub struct Exercise {
    /// Its crate: `cloexec`.
    pub krate: String,
    /// Its module: `flags`.
    pub module: String,
    /// The right answer.
    pub reference: String,
    /// Wrong ones.
    pub asked: Vec<Mistake>,
    /// All that are known: their words are those that a reader can choose from.
    known: Vec<Mistake>,
}

/// All exercises of which something is asked.
///
/// # Errors
/// When a file cannot be read.
pub fn exercises(place: &Place) -> Result<Vec<Exercise>> {
    let mut found = Vec::new();
    let mut crates: Vec<_> =
        fs::read_dir(place.root.join("crates"))?.flatten().map(|entry| entry.path()).collect();
    crates.sort();
    for folder in crates.iter().filter(|folder| folder.join("mistakes").is_dir()) {
        for file in files(&folder.join("mistakes"))? {
            let name =
                |path: &std::path::Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let (krate, module) = (name(folder), name(&file));
            let known = parse(&read(&file)?).into_iter().collect::<Result<Vec<_>, _>>();
            let known = known.map_err(|wrong| anyhow!("{}: {wrong}", file.display()))?;
            let asked: Vec<_> = known.iter().filter(|mistake| !mistake.passes.is_empty()).cloned().collect();
            let source = format!("{module}.rs");
            let sources = files(&folder.join("src"))?;
            let mut sources = sources.iter().filter(|path| path.ends_with(&source));
            let (Some(reference), None) = (sources.next(), sources.next()) else {
                bail!("{krate} has no file {source} that is the reference, or several");
            };
            found.push(Exercise { krate, module, reference: read(reference)?, asked, known });
        }
    }
    found.retain(|one| !one.asked.is_empty());
    Ok(found)
}

/// Keep those with these names; all, if there is no name.
///
/// # Errors
/// When a name is none of theirs.
pub fn keep(exercises: &mut Vec<Exercise>, names: &[String]) -> Result<()> {
    if let Some(unknown) = names.iter().find(|name| exercises.iter().all(|one| one.name() != **name)) {
        let all: Vec<String> = exercises.iter().map(Exercise::name).collect();
        bail!("of {unknown} nothing is asked. The exercises are: {}", all.join(", "));
    }
    exercises.retain(|one| names.is_empty() || names.contains(&one.name()));
    Ok(())
}

impl Exercise {
    /// `cloexec/flags`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.krate, self.module)
    }

    /// Its name in names of files and packages: `cloexec-flags`.
    pub fn id(&self) -> String {
        format!("{}-{}", self.krate, self.module)
    }

    /// The name of the package that has this wrong answer, and of the program that runs its tests.
    pub fn package(&self, mistake: &Mistake) -> String {
        format!("{}-{}", self.id(), mistake.name)
    }

    /// The tests that are asked about, without repetition.
    pub fn tests(&self) -> Vec<&str> {
        let all = self.asked.iter().flat_map(|mistake| mistake.passes.iter().chain([&mistake.caught_by]));
        let mut tests: Vec<&str> = all.map(String::as_str).collect();
        tests.sort_unstable();
        tests.dedup();
        tests
    }

    /// What the page shows: for each wrong answer its diff, and tests with their words, of which one fails.
    pub fn questions(&self) -> Value {
        let question = |mistake: &Mistake| {
            let mut choices: Vec<(&str, &str)> =
                mistake.passes.iter().map(|test| (test.as_str(), self.words(test))).collect();
            choices.push((&mistake.caught_by, &mistake.message));
            // By the alphabet, so that the place says nothing.
            choices.sort_unstable();
            let choices: Vec<Value> =
                choices.iter().map(|(test, says)| json!({ "test": test, "says": says })).collect();
            json!({
                "name": self.package(mistake),
                "diff": mistake.diff,
                "fails": mistake.caught_by,
                "why": mistake.sentence,
                "choices": choices,
            })
        };
        self.asked.iter().map(question).collect::<Vec<_>>().into()
    }

    /// What a test says of the first wrong answer that it catches.
    fn words(&self, test: &str) -> &str {
        self.known.iter().find(|mistake| mistake.caught_by == test).map_or("", |mistake| &mistake.message)
    }

    /// The crate's file with the tests, in which these can be called by the program: public, and no tests for rustc. It gets a
    /// helper that answers nothing, if it has none.
    ///
    /// # Errors
    /// When one is not there, or is no plain function.
    pub fn callable(&self, tests: &str) -> Result<String> {
        let mut tests = tests.to_owned();
        if !["testing::helper!", "testing::begin!"].iter().any(|make| tests.contains(make)) {
            // The program calls one.
            tests.push_str("\npub fn asked_helper(_: &[&str]) -> i32 { 2 }\n");
        }
        self.tests().iter().try_fold(tests, |text, test| {
            let plain = format!("#[test]\nfn {test}() {{");
            if text.matches(&plain).count() != 1 {
                bail!(
                    "{}: `{test}` is no plain test of the file, with nothing between #[test] and fn",
                    self.name()
                );
            }
            Ok(text.replacen(&plain, &format!("pub fn {test}() {{"), 1))
        })
    }

    /// A wrong answer, whole.
    ///
    /// # Errors
    /// When it does not fit the reference.
    pub fn answer(&self, mistake: &Mistake) -> Result<String> {
        mistakes::edit::apply(&mistake.hunks, &self.reference)
            .map_err(|wrong| anyhow!(wrong))
            .with_context(|| format!("{}: {}", self.name(), mistake.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &str = "### one\n\nWrong.\n\n- Caught by: `b`\n- Message: `no b`\n- Passes: `c`, `a`\n\n```diff\n-x\n+y\n```\n\
        ### two\n\nWrong.\n\n- Caught by: `a`\n- Message: `no a`\n\n```diff\n-x\n+z\n```\n\
        ### three\n\nWrong.\n\n- Caught by: `c`\n- Message: `no c`\n\n```diff\n-x\n+w\n```\n";

    fn exercise() -> Exercise {
        let known: Vec<Mistake> = parse(KNOWN).into_iter().map(|one| one.expect("it is right")).collect();
        let asked = known.iter().filter(|mistake| !mistake.passes.is_empty()).cloned().collect();
        Exercise { krate: "k".to_owned(), module: "m".to_owned(), reference: "x\n".to_owned(), asked, known }
    }

    #[test]
    fn the_place_of_a_choice_does_not_say_which_is_right_and_each_has_its_words() {
        let questions = exercise().questions();
        let choices: Vec<(&str, &str)> = questions[0]["choices"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|choice| (choice["test"].as_str().unwrap_or(""), choice["says"].as_str().unwrap_or("")))
            .collect();
        assert_eq!(choices, [("a", "no a"), ("b", "no b"), ("c", "no c")]);
        assert_eq!(questions[0]["fails"], "b");
        assert_eq!(questions[0]["name"], "k-m-one");
        assert_eq!(exercise().tests(), ["a", "b", "c"]);
    }

    #[test]
    fn only_plain_tests_can_be_called() {
        let plain =
            "#[test]\nfn a() {\n}\n\n#[test]\nfn b() {\n}\n\n#[test]\nfn c() {\n}\n\n#[test]\nfn d() {\n}\n";
        let callable = exercise().callable(plain).expect("they are plain");
        assert_eq!(
            callable.matches("pub fn").count(),
            3 + 1,
            "the tests, and a helper, because there is none"
        );
        assert!(callable.contains("#[test]\nfn d() {"), "nothing is asked about this one");
        let ignored = plain.replace("#[test]\nfn c", "#[test]\n#[ignore]\nfn c");
        assert!(
            exercise()
                .callable(&ignored)
                .is_err_and(|wrong| wrong.to_string().contains("k/m: `c` is no plain test"))
        );
    }
}
