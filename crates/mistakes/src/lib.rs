//! The mistakes of an exercise: read them from their Markdown file.
//!
//! The file is a list of sections. Each has a heading `### name`, one sentence that says what the code does wrong,
//! the two fields `- Caught by:` and `- Message:`, and a fenced `diff` without line numbers (see [`edit`]), which
//! makes the mistake out of the reference. One that a page asks about has the field `- Passes:` as well.

pub mod edit;

use edit::Hunk;

/// A plausible wrong answer, as an edit of the reference.
#[derive(Debug, Clone, PartialEq)]
pub struct Mistake {
    /// Its heading.
    pub name: String,
    /// What the code does wrong, and what comes of it.
    pub sentence: String,
    /// The test that must fail.
    pub caught_by: String,
    /// What that test's message must contain.
    pub message: String,
    /// Other tests, which it passes: the page asks which test fails. Empty if it is not asked about.
    pub passes: Vec<String>,
    /// The same, to be applied to the reference.
    pub hunks: Vec<Hunk>,
    /// The lines of the fence, as they were written.
    pub diff: String,
}

/// Read all mistakes of a file. A section with a fault gives `name: what is wrong`, and the others are still read.
pub fn parse(text: &str) -> Vec<Result<Mistake, String>> {
    let lines: Vec<&str> = text.lines().collect();
    let mut parsed = Vec::new();
    let mut starts: Vec<usize> = (0..lines.len()).filter(|i| heading(lines[*i]).is_some()).collect();
    let before = &lines[..starts.first().copied().unwrap_or(lines.len())];
    if let Some(line) = before.iter().find(|line| !line.trim().is_empty()) {
        parsed.push(Err(format!("«{line}» stands before the first heading `### name`")));
    }
    starts.push(lines.len());
    let mut names: Vec<&str> = Vec::new();
    for section in starts.windows(2) {
        let name = heading(lines[section[0]]).unwrap_or_default();
        parsed.push(match name {
            "" => Err(format!("the heading in line {} has no name", section[0] + 1)),
            _ if names.contains(&name) => Err(format!("{name}: two mistakes have this name")),
            _ => {
                mistake(name, &lines[section[0] + 1..section[1]]).map_err(|wrong| format!("{name}: {wrong}"))
            }
        });
        names.push(name);
    }
    parsed
}

/// The name in a heading. No line of a diff begins like that, so a fence that is not closed ends here at the latest.
fn heading(line: &str) -> Option<&str> {
    line.strip_prefix("###").filter(|name| name.is_empty() || name.starts_with(' ')).map(str::trim)
}

fn mistake(name: &str, mut lines: &[&str]) -> Result<Mistake, String> {
    let mut sentence: Vec<&str> = Vec::new();
    let (mut caught_by, mut message, mut passes, mut diff) = (None, None, None, None);
    while let [line, rest @ ..] = lines {
        lines = rest;
        if let Some(field) = line.strip_prefix("- ") {
            let (key, value) = field.split_once(':').ok_or_else(|| format!("«{line}» is not a field"))?;
            let slot = match key {
                "Caught by" => &mut caught_by,
                "Message" => &mut message,
                "Passes" => &mut passes,
                _ => return Err(format!("the field `{key}` is none of `Caught by`, `Message` and `Passes`")),
            };
            let not_code = || format!("the value of `{key}` is not in backticks");
            let value =
                if key == "Passes" { value.trim() } else { code(value.trim()).ok_or_else(not_code)? };
            if slot.replace(value.to_owned()).is_some() {
                return Err(format!("it has the field `{key}` twice"));
            }
        } else if let Some(language) = line.strip_prefix("```") {
            if language.trim() != "diff" {
                return Err(format!("its code is in a fence ```{}, not in ```diff", language.trim()));
            }
            let end = rest
                .iter()
                .position(|line| line.starts_with("```"))
                .ok_or("its fence ```diff is not closed")?;
            if diff.replace(rest[..end].join("\n")).is_some() {
                return Err("it has two fences: put an empty line between hunks, inside one fence".to_owned());
            }
            lines = &rest[end + 1..];
        } else if !line.trim().is_empty() {
            if caught_by.is_some() || message.is_some() || diff.is_some() {
                return Err(format!("«{line}» stands behind the fields: the sentence comes first"));
            }
            sentence.push(line.trim());
        }
    }
    let missing = |what: &str| format!("it has no {what}");
    if sentence.is_empty() {
        return Err(missing("sentence that says what the code does wrong"));
    }
    let diff = diff.ok_or_else(|| missing("fence ```diff"))?;
    Ok(Mistake {
        name: name.to_owned(),
        sentence: sentence.join(" "),
        caught_by: caught_by.ok_or_else(|| missing("field `Caught by`"))?,
        message: message.ok_or_else(|| missing("field `Message`"))?,
        passes: passes.map_or_else(|| Ok(Vec::new()), |names| tests(&names))?,
        hunks: edit::hunks(&diff)?,
        diff,
    })
}

/// The tests in `` `one`, `two` ``.
fn tests(names: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("the value of `Passes` is not a list of tests in backticks: {names}");
    names.split(", ").map(|name| code(name).map(str::to_owned).ok_or_else(wrong)).collect()
}

/// The text of a code span. As in Markdown the backticks around it are as many as it takes, and one space inside
/// them is not part of the text.
fn code(span: &str) -> Option<&str> {
    let ticks = span.len() - span.trim_start_matches('`').len();
    let (start, end) = (span.get(..ticks)?, span.get(span.len().checked_sub(ticks)?..)?);
    let text = span.get(ticks..span.len().checked_sub(ticks)?)?;
    let inner = text.strip_prefix(' ').and_then(|text| text.strip_suffix(' ')).unwrap_or(text);
    (ticks > 0 && start == end && !inner.trim().is_empty()).then_some(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "\
### no_carry

The carry is dropped,
so the sum is too small.

- Caught by: `large_numbers`
- Message: `` is the `carry` lost? ``

```diff
 let sum = a
-    + b;
+    ^ b;
```
";

    fn only(text: &str) -> Result<Mistake, String> {
        let mut parsed = parse(text);
        assert_eq!(parsed.len(), 1, "{parsed:#?}");
        parsed.remove(0)
    }

    #[track_caller]
    fn wrong(text: &str, words: &str) {
        let error = only(text).expect_err("this section has a fault");
        assert!(error.contains(words), "`{error}` lacks `{words}`");
    }

    #[test]
    fn a_section_is_read() {
        for text in [ONE.to_owned(), ONE.replace('\n', "\r\n")] {
            let mistake = only(&text).expect("nothing is wrong");
            assert_eq!(mistake.name, "no_carry");
            assert_eq!(mistake.sentence, "The carry is dropped, so the sum is too small.");
            assert_eq!((&*mistake.caught_by, &*mistake.message), ("large_numbers", "is the `carry` lost?"));
            assert_eq!(mistake.diff, " let sum = a\n-    + b;\n+    ^ b;");
            let edited = edit::apply(&mistake.hunks, "let sum = a\n    + b;\n");
            assert_eq!(edited.as_deref(), Ok("let sum = a\n    ^ b;\n"));
        }
        assert_eq!(parse("").len(), 0);
        assert!(only(ONE).is_ok_and(|mistake| mistake.passes.is_empty()));
        assert_eq!(parse(&format!("\n{ONE}\n{}", ONE.replace("no_carry", "other"))).len(), 2);
    }

    #[test]
    fn the_tests_that_it_passes_are_a_list() {
        let passes = |list: &str| only(&ONE.replace("\n```diff", &format!("- Passes: {list}\n\n```diff")));
        assert_eq!(passes("`zero`").map(|mistake| mistake.passes), Ok(vec!["zero".to_owned()]));
        let two = passes("`zero`, `small_numbers`").map(|mistake| mistake.passes);
        assert_eq!(two, Ok(vec!["zero".to_owned(), "small_numbers".to_owned()]));
        for list in ["zero", "`zero`, small", "", "`zero` `small`,"] {
            assert!(passes(list).is_err_and(|wrong| wrong.contains("not a list of tests")), "{list}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        wrong(&ONE.replace("- Caught by: `large_numbers`\n", ""), "no_carry: it has no field `Caught by`");
        wrong(&ONE.replace("- Message", "\n"), "stands behind the fields");
        wrong(&ONE.replace("- Message: `` is the `carry` lost? ``\n", ""), "it has no field `Message`");
        wrong(&ONE.replace("The carry is dropped,\nso the sum is too small.\n", ""), "it has no sentence");
        wrong(&ONE[..ONE.find("```").expect("a fence")], "it has no fence");
        wrong(&ONE.replace("### no_carry", "###"), "the heading in line 1 has no name");
    }

    #[test]
    fn what_is_not_known_is_refused() {
        wrong(&ONE.replace("- Message", "- Massage"), "no_carry: the field `Massage` is none of");
        wrong(&ONE.replace("- Message:", "- Message"), "is not a field");
        wrong(&ONE.replace("- Caught by", "- Message"), "it has the field `Message` twice");
        wrong(
            &ONE.replace("`large_numbers`", "large_numbers"),
            "the value of `Caught by` is not in backticks",
        );
        wrong(&ONE.replace("`large_numbers`", "``"), "is not in backticks");
        wrong(&ONE.replace("```diff", "```rust"), "a fence ```rust, not in ```diff");
        wrong(&format!("{ONE}\nAnd that is it.\n"), "«And that is it.» stands behind the fields");
        wrong(&format!("{ONE}\n```diff\n-a\n```\n"), "it has two fences");
        wrong(&ONE.replace("-    + b;\n+    ^ b;\n", ""), "no_carry: its diff changes nothing");
        wrong("# Mistakes\n", "«# Mistakes» stands before the first heading");
    }

    #[test]
    fn a_fence_that_is_not_closed_hides_no_other_mistake() {
        let open = ONE.strip_suffix("```\n").expect("the end of the fence");
        wrong(open, "its fence ```diff is not closed");
        let parsed = parse(&format!("{open}\n{}", ONE.replace("no_carry", "other")));
        assert!(matches!(&parsed[..], [Err(_), Ok(other)] if other.name == "other"), "{parsed:#?}");
    }

    #[test]
    fn two_mistakes_of_one_name_are_found() {
        let parsed = parse(&format!("{ONE}\n{ONE}"));
        assert!(
            matches!(&parsed[..], [Ok(_), Err(error)] if error == "no_carry: two mistakes have this name"),
            "{parsed:#?}"
        );
    }
}
