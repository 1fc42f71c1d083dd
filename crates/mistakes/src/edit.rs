//! An edit: a diff without line numbers, applied to the one place that each of its hunks matches.
//!
//! Lines are compared trimmed. Lines of the text that are blank or only a comment are not compared, so that a
//! reworded comment breaks no edit; those between two lines that stay, stay too.

/// Consecutive lines of a diff. An empty line ends a hunk.
#[derive(Debug, Clone, PartialEq)]
pub struct Hunk(Vec<Line>);

#[derive(Debug, Clone, PartialEq)]
enum Line {
    /// It must be there, and stays.
    Kept(String),
    /// It must be there, and goes.
    Removed(String),
    Added(String),
}

impl Line {
    /// What the text must have here.
    fn old(&self) -> Option<&str> {
        match self {
            Self::Kept(text) | Self::Removed(text) => Some(text.trim()),
            Self::Added(_) => None,
        }
    }
}

/// Read the hunks of a diff.
///
/// # Errors
/// A line that begins with none of ` `, `-` and `+`, or is a comment that must be matched; a hunk without a line
/// that must be matched; a diff that changes nothing.
pub fn hunks(diff: &str) -> Result<Vec<Hunk>, String> {
    let mut hunks = vec![Hunk(Vec::new())];
    for line in diff.lines() {
        let current = hunks.last_mut().expect("there is one from the start");
        if line.is_empty() {
            hunks.push(Hunk(Vec::new()));
            continue;
        }
        let text = line.get(1..).unwrap_or_default().to_owned();
        current.0.push(match line.as_bytes()[0] {
            b' ' => Line::Kept(text),
            b'-' => Line::Removed(text),
            b'+' => Line::Added(text),
            _ => return Err(format!("«{line}» begins with none of a space, `-` and `+`")),
        });
    }
    hunks.retain(|hunk| !hunk.0.is_empty());
    for (i, Hunk(lines)) in hunks.iter().enumerate() {
        let mut old = lines.iter().filter_map(Line::old);
        if let Some(comment) = old.clone().find(|line| !is_compared(line)) {
            return Err(format!(
                "hunk {} has the line «{comment}»: comments and blank lines are not compared",
                i + 1
            ));
        }
        if old.next().is_none() {
            return Err(format!("hunk {} has no line of the reference, so it has no place", i + 1));
        }
    }
    let changes = |hunk: &Hunk| hunk.0.iter().any(|line| !matches!(line, Line::Kept(_)));
    if !hunks.iter().any(changes) {
        return Err("its diff changes nothing".to_owned());
    }
    Ok(hunks)
}

/// Apply all hunks to a text.
///
/// # Errors
/// A hunk that matches nowhere (with the line at which its closest place differs), or at several places; two hunks
/// that remove the same line.
pub fn apply(hunks: &[Hunk], text: &str) -> Result<String, String> {
    let all: Vec<&str> = text.lines().collect();
    let compared: Vec<usize> = (0..all.len()).filter(|i| is_compared(all[*i])).collect();
    let mut removed = vec![false; all.len()];
    // What is added before the line of this index. The last one is the end.
    let mut added: Vec<Vec<&str>> = vec![Vec::new(); all.len() + 1];
    for (i, hunk) in hunks.iter().enumerate() {
        let place = hunk.place(&all, &compared).map_err(|wrong| format!("hunk {}: {wrong}", i + 1))?;
        let mut old = compared[place..].iter().copied();
        let mut here = compared[place];
        for line in &hunk.0 {
            match line {
                Line::Added(text) => added[here].push(text),
                Line::Kept(_) => here = old.next().map_or(here, |line| line + 1),
                Line::Removed(text) => {
                    let line = old.next().unwrap_or_default();
                    if removed[line] {
                        return Err(format!("hunk {}: another hunk removes «{}» too", i + 1, text.trim()));
                    }
                    // A comment belongs to the line below it.
                    removed[here..=line].fill(true);
                    here = line + 1;
                }
            }
        }
    }
    let mut edited = String::new();
    for (i, added) in added.iter().enumerate() {
        let kept = all.get(i).filter(|_| !removed[i]);
        added.iter().chain(kept).for_each(|line| edited.extend([line, "\n"]));
    }
    Ok(edited)
}

impl Hunk {
    /// Which of the compared lines is its first.
    fn place(&self, all: &[&str], compared: &[usize]) -> Result<usize, String> {
        let old: Vec<&str> = self.0.iter().filter_map(Line::old).collect();
        let agree = |start: usize| {
            let there = compared[start..].iter().map(|line| all[*line].trim());
            old.iter().zip(there).take_while(|(wanted, found)| *wanted == found).count()
        };
        let matching: Vec<usize> = (0..compared.len()).filter(|start| agree(*start) == old.len()).collect();
        match matching[..] {
            [one] => return Ok(one),
            [] => {}
            _ => {
                let lines: Vec<String> =
                    matching.iter().map(|start| (compared[*start] + 1).to_string()).collect();
                return Err(format!("it matches at {} places: lines {}", matching.len(), lines.join(", ")));
            }
        }
        // Of several equally close places, the first.
        let closest = (0..compared.len()).rev().max_by_key(|start| agree(*start)).unwrap_or_default();
        let (wanted, found) = (old[agree(closest)], compared.get(closest + agree(closest)));
        match (agree(closest), found) {
            (0, _) => Err(format!("it matches nowhere: no line is «{wanted}»")),
            (_, None) => Err(format!("it matches nowhere: the text ends where «{wanted}» should come")),
            (_, Some(line)) => {
                let found = all[*line].trim();
                Err(format!(
                    "it matches nowhere: line {} is «{found}» where «{wanted}» should come",
                    line + 1
                ))
            }
        }
    }
}

/// Is this line compared? Blank ones and those with nothing but a comment are not.
fn is_compared(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with("//")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
//! A module.

/// The sum.
pub fn add(a: i32, b: i32) -> i32 {
    // ANCHOR: sum
    let sum = a + b;
    // ANCHOR_END: sum

    sum
}

pub fn same(a: i32) -> i32 {
    a
}
";

    fn edit(diff: &str) -> Result<String, String> {
        apply(&hunks(diff)?, TEXT)
    }

    #[track_caller]
    fn wrong(diff: &str, words: &str) {
        let error = edit(diff).expect_err("this diff has a fault");
        assert!(error.contains(words), "`{error}` lacks `{words}`");
    }

    #[test]
    fn lines_are_compared_without_indentation_and_comments() {
        let edited = edit(" pub fn add(a: i32, b: i32) -> i32 {\n-let sum = a + b;\n+let sum = a - b;\n sum")
            .expect("it matches");
        assert_eq!(edited, TEXT.replace("    // ANCHOR: sum\n    let sum = a + b;", "let sum = a - b;"));
    }

    #[test]
    fn comments_between_lines_that_stay_stay() {
        let edited = edit(" let sum = a + b;\n sum\n+// one more\n }").expect("it matches");
        assert_eq!(edited, TEXT.replacen("    sum\n}", "    sum\n// one more\n}", 1));
    }

    #[test]
    fn several_hunks_may_share_a_line_that_stays() {
        let edited =
            edit("-let sum = a + b;\n+let sum = b;\n sum\n\n sum\n+    + 1\n }").expect("both match");
        assert!(
            edited.contains(
                "{\n    // ANCHOR: sum\nlet sum = b;\n    // ANCHOR_END: sum\n\n    sum\n    + 1\n}"
            ),
            "{edited}"
        );
        wrong("-sum\n\n-sum\n+a", "hunk 2: another hunk removes «sum» too");
    }

    #[test]
    fn lines_may_be_added_at_both_ends() {
        let text = "a\nb\n";
        let both = hunks("+before\n a\n\n b\n+after").and_then(|hunks| apply(&hunks, text));
        assert_eq!(both.as_deref(), Ok("before\na\nb\nafter\n"));
    }

    #[test]
    fn a_hunk_that_matches_nowhere_says_where_it_stops_matching() {
        wrong("-fn gone() {\n+}", "hunk 1: it matches nowhere: no line is «fn gone() {»");
        wrong(
            " pub fn same(a: i32) -> i32 {\n-b\n+c",
            "hunk 1: it matches nowhere: line 13 is «a» where «b» should come",
        );
        wrong(" a\n }\n-end\n+", "hunk 1: it matches nowhere: the text ends where «end» should come");
        wrong("-sum\n+a\n\n-x\n+y", "hunk 2: ");
        assert!(
            apply(&hunks("-a\n+b").expect("a diff"), "").is_err_and(|error| error.contains("no line is «a»"))
        );
    }

    #[test]
    fn a_hunk_that_matches_twice_says_where() {
        wrong("-}\n+", "hunk 1: it matches at 2 places: lines 10, 14");
    }

    #[test]
    fn a_malformed_diff_is_refused() {
        wrong("*sum", "«*sum» begins with none of");
        wrong("é", "«é» begins with none of");
        wrong("+one", "hunk 1 has no line of the reference");
        wrong("-// ANCHOR: sum\n-sum", "hunk 1 has the line «// ANCHOR: sum»");
        wrong(" sum", "its diff changes nothing");
        wrong("", "its diff changes nothing");
    }

    #[test]
    fn carriage_returns_do_no_harm() {
        let edited = apply(&hunks("-sum\r\n+0\r\n }\r").expect("a diff"), &TEXT.replace('\n', "\r\n"));
        assert_eq!(edited.as_deref(), Ok(&*TEXT.replace("    sum\n}", "0\n}")));
    }
}
