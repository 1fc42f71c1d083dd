//! The tables of what others do, and what their tests check: each row has a verdict, and each test that it names
//! exists; and so do the tests of the promises. That evidence leads to its page is the affair of [`crate::evidence`].

use std::sync::LazyLock;

use regex::Regex;

use crate::checkout::{Checkout, Fault, stem};

/// `ioloop/iteration::callbacks_run_in_the_order_they_were_added`, in code or in the title of a link.
static TEST: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b([a-z]+)/([a-z_]+)::([a-z0-9_]+)\b").expect("a regex"));

pub fn faults(checkout: &Checkout) -> Vec<Fault> {
    let mut faults = Vec::new();
    for page in checkout.pages.iter().filter(|page| stem(&page.file) == "promises") {
        for (i, line) in page.source.lines().enumerate() {
            faults.extend(missing(checkout, line).map(|text| Fault::new(&page.file, i + 1, text)));
        }
    }
    for page in checkout.pages.iter().filter(|page| stem(&page.file).starts_with("conformance-")) {
        let rows = page.source.lines().enumerate().filter(|(_, line)| line.starts_with("| "));
        let mut rows = rows.filter(|(_, line)| !line.starts_with("| Behavior |")).peekable();
        if rows.peek().is_none() {
            faults.push(Fault::new(&page.file, 1, "this page has no table"));
        }
        for (i, row) in rows {
            let wrong = of_row(checkout, row).into_iter();
            faults.extend(wrong.map(|text| Fault::new(&page.file, i + 1, text)));
        }
    }
    faults
}

fn of_row(checkout: &Checkout, row: &str) -> Vec<String> {
    let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
    let [_, shown_by, verdict] = cells[..] else {
        return vec![format!(
            "a row has three cells, and this one {}: behavior, what shows it, verdict",
            cells.len()
        )];
    };
    let mut wrong = Vec::new();
    let reason = |word: &str| verdict.strip_prefix(word).is_some_and(|reason| reason.len() > 2);
    let holds = verdict == "same" || reason("better: ");
    if !holds && !reason("does not apply: ") && !reason("not built yet: ") {
        wrong.push(format!(
            "the verdict is \"{verdict}\", and not \"same\", \"better: why\", \"does not apply: why\" or \"not built \
             yet: what it comes with\""
        ));
    }
    if holds && !TEST.is_match(shown_by) && !shown_by.contains("\"experiment ") {
        wrong.push("nothing shows this: name a test or an experiment".to_owned());
    }
    wrong.extend(missing(checkout, shown_by));
    wrong
}

/// The tests that this text names and that do not exist.
fn missing(checkout: &Checkout, text: &str) -> impl Iterator<Item = String> {
    TEST.captures_iter(text).filter_map(|test| {
        let file = format!("crates/{}/tests/{}.rs", &test[1], &test[2]);
        match checkout.read(&file) {
            None => Some(format!("{file} does not exist")),
            Some(source) if !source.contains(&format!("#[test]\nfn {}()", &test[3])) => {
                Some(format!("{file} has no test `{}`", &test[3]))
            }
            Some(_) => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::{Scratch, none, one};

    const PAGE: &str = "book/src/appendix/conformance-x.md:5: ";

    fn table(row: &str) -> Vec<Fault> {
        let scratch = Scratch::new();
        scratch.file("crates/k/tests/m.rs", "#[test]\nfn it_holds() {}\n\nfn helps() {}\n");
        let head = "# X\n\n| Behavior | Shown by | Verdict |\n|---|---|---|";
        scratch.page("appendix/conformance-x.md", &format!("{head}\n{row}\n"));
        faults(&scratch.checkout())
    }

    #[test]
    fn a_good_table_is_left_alone() {
        none(&table("| It holds. | `k/m::it_holds` | same |"));
        none(&table("| It holds. | [k/m](e.md \"test k/m::it_holds\") | better: it holds longer |"));
        none(&table("| It holds. | [seen](e.md \"experiment e\") | same |"));
        none(&table(
            "| It holds. | | does not apply: there is no k |\n| It will hold. | | not built yet: with l |",
        ));
    }

    #[test]
    fn a_row_without_a_verdict_is_found() {
        one(&table("| It holds. | `k/m::it_holds` | |"), PAGE, "the verdict is \"\"");
        one(&table("| It holds. | `k/m::it_holds` | better: |"), PAGE, "the verdict is \"better:\"");
        one(&table("| It holds. | same |"), PAGE, "a row has three cells");
    }

    #[test]
    fn a_row_that_nothing_shows_is_found() {
        one(&table("| It holds. | surely | same |"), PAGE, "nothing shows this");
    }

    #[test]
    fn a_test_that_is_none_is_found() {
        one(
            &table("| It holds. | `k/m::it_hold` | same |"),
            PAGE,
            "crates/k/tests/m.rs has no test `it_hold`",
        );
        one(&table("| It helps. | `k/m::helps` | same |"), PAGE, "has no test `helps`");
        one(&table("| It holds. | `k/n::it_holds` | same |"), PAGE, "crates/k/tests/n.rs does not exist");
    }

    #[test]
    fn a_promise_whose_test_is_none_is_found() {
        let scratch = Scratch::new();
        scratch.file("crates/k/tests/m.rs", "#[test]\nfn it_holds() {}\n");
        scratch.page("appendix/promises.md", "# X\n\n`k/m::it_holds`, `k/m::it_lasts`\n");
        let page = "book/src/appendix/promises.md:3: ";
        one(&faults(&scratch.checkout()), page, "crates/k/tests/m.rs has no test `it_lasts`");
    }

    #[test]
    fn a_page_without_a_table_is_found() {
        let scratch = Scratch::new();
        scratch.page("appendix/conformance-x.md", "# X\n");
        one(&faults(&scratch.checkout()), "book/src/appendix/conformance-x.md:1: ", "has no table");
    }
}
