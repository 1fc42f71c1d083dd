//! Each wrong answer in a machine: the test that should catch it fails, with its words, and the others pass.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use mistakes::Mistake;
use serde::Deserialize;

use super::asked::Exercise;
use super::program::Program;
use crate::digest::Inputs;
use crate::machines::{self, Put, Run, Wanted};
use crate::place::{Place, read, write};
use crate::running::{AT_ONCE, say};
use crate::state::State;
use crate::step::step;

/// A wrong answer that does not fail as the page says, and how it does.
pub type Differs = BTreeMap<String, String>;

/// What the program prints of a test.
#[derive(Deserialize)]
struct Ran {
    test: String,
    said: Option<String>,
}

/// Run the tests of all wrong answers, and of those that differ once more, unless that was done with these programs on this
/// machine. Gives those that differ still.
///
/// # Errors
/// When the machine does not start.
pub fn proved(place: &Place, state: &State, programs: &[Program]) -> Result<Differs> {
    let mut inputs = Inputs::default();
    inputs.text(&state.digest).file(&machines::script(place)?)?;
    for Program { exercise, file } in programs {
        inputs.text(&exercise.questions().to_string()).file(file)?;
    }
    let file = place.work.join("proved.json");
    step(place, "wrong-answers-proved", &inputs, &file, |_| {
        let mut differs = tried(place, state, programs, None)?;
        if !differs.is_empty() {
            say("once more:");
            differs = tried(place, state, programs, Some(&differs))?;
        }
        write(&file, &serde_json::to_vec(&differs)?)
    })?;
    Ok(serde_json::from_str(&read(&file)?)?)
}

/// Run the tests of all wrong answers, or only of these.
fn tried(place: &Place, state: &State, programs: &[Program], only: Option<&Differs>) -> Result<Differs> {
    let mut asked: BTreeMap<String, (&Exercise, &Mistake)> = BTreeMap::new();
    let mut list = Vec::new();
    for Program { exercise, file } in programs {
        for mistake in &exercise.asked {
            let name = exercise.package(mistake);
            if only.is_some_and(|only| !only.contains_key(&name)) {
                continue;
            }
            let tests = [std::slice::from_ref(&mistake.caught_by), &mistake.passes[..]].concat();
            let path = format!("/tmp/{name}");
            let line = format!("{path} {}", tests.join(" "));
            let put = Some(Put { path, file: file.clone() });
            list.push(Wanted { name: name.clone(), line, put });
            asked.insert(name, (exercise, mistake));
        }
    }
    let mut differs = Differs::new();
    machines::run(place, state, &list, AT_ONCE, |run| {
        let (_, mistake) = asked.remove(&run.name).context("an unknown run")?;
        let wrong = wrong(&run, mistake);
        say(&format!("{:60} {:6.2} s  {}", run.name, run.seconds, wrong.as_deref().unwrap_or("caught")));
        differs.extend(wrong.map(|how| (run.name, how)));
        Ok(())
    })?;
    if let Some(name) = asked.keys().next() {
        bail!("{name} was not run");
    }
    Ok(differs)
}

/// What is not as the page says.
fn wrong(run: &Run, mistake: &Mistake) -> Option<String> {
    let Mistake { caught_by, message, passes, .. } = mistake;
    match run.status {
        Some(0) => {}
        Some(status) => return Some(format!("exit status {status}: {}", run.text)),
        None => return Some(format!("it did not end: {}", run.text)),
    }
    let ran: Vec<Ran> = run.text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    if let Some(line) = run.text.lines().find(|line| line.contains("skipped")) {
        return Some(format!("a test cannot be asked there: {line}"));
    }
    let of = |name: &String| ran.iter().find(|ran| ran.test == *name);
    match of(caught_by) {
        None => return Some(format!("{caught_by} said nothing")),
        Some(Ran { said: None, .. }) => return Some(format!("it passes {caught_by}")),
        Some(Ran { said: Some(said), .. }) if !said.contains(message) => {
            return Some(format!("{caught_by} fails without «{message}»: {said}"));
        }
        Some(_) => {}
    }
    passes.iter().find_map(|name| match of(name) {
        None => Some(format!("{name} said nothing")),
        Some(Ran { said: Some(said), .. }) => Some(format!("it fails {name} as well: {said}")),
        Some(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake() -> Mistake {
        let text = "### one\n\nWrong.\n\n- Caught by: `a`\n- Message: `no a`\n- Passes: `b`, `c`\n\n```diff\n-x\n+y\n```\n";
        mistakes::parse(text).remove(0).expect("it is right")
    }

    fn how(status: Option<i32>, text: &str) -> Option<String> {
        wrong(&Run { name: String::new(), status, text: text.to_owned(), seconds: 0.0 }, &mistake())
    }

    const A: &str = "{\"test\":\"a\",\"said\":\"there is no a\"}\n";
    const B: &str = "{\"test\":\"b\",\"said\":null}\n";
    const C: &str = "{\"test\":\"c\",\"said\":null}\n";

    #[test]
    fn only_the_test_that_is_named_fails_with_its_words() {
        let all = [A, B, C].concat();
        assert_eq!(how(Some(0), &all), None);
        assert_eq!(how(Some(0), &format!("noise of a child\n{all}")), None);
        for (status, text, words) in [
            (None, all.clone(), "did not end"),
            (Some(101), all.clone(), "exit status 101"),
            (Some(0), all.replace("there is no a", "else"), "without «no a»"),
            (Some(0), all.replace("\"there is no a\"", "null"), "it passes a"),
            (Some(0), [A, B].concat(), "c said nothing"),
            (Some(0), all.replace(C, &C.replace("null", "\"c!\"")), "it fails c as well: c!"),
            (Some(0), format!("skipped: no ptrace\n{all}"), "cannot be asked there: skipped: no ptrace"),
        ] {
            assert!(
                how(status, &text).is_some_and(|how| how.contains(words)),
                "{words}: {:?}",
                how(status, &text)
            );
        }
    }
}
