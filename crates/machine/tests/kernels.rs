//! The table of kernels in the appendix has each experiment once, and says why whatever differs does.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn text(name: &str) -> String {
    let path = Path::new(name);
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rows of the table: their cells.
fn rows() -> Vec<Vec<String>> {
    let table = text("kernels/table.md");
    let rows = table.lines().filter(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()).collect()
}

#[test]
fn the_table_has_exactly_the_experiments_of_the_book() {
    let manifest: toml::Table = text("../../experiments/Cargo.toml").parse().expect("a manifest");
    let bins = manifest["bin"].as_array().expect("experiments");
    let book: BTreeSet<String> =
        bins.iter().map(|bin| bin["name"].as_str().expect("a name").to_owned()).collect();
    let mut found = BTreeSet::new();
    for cell in rows().iter().flatten() {
        for link in cell.split("](../").skip(1) {
            let name = link
                .split_once(".md)")
                .and_then(|(page, _)| page.split_once('/'))
                .map_or(link, |(_, name)| name);
            assert!(found.insert(name.to_owned()), "crates/machine/kernels/table.md has {name} twice");
        }
    }
    let missing: Vec<_> = book.difference(&found).collect();
    let unknown: Vec<_> = found.difference(&book).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "crates/machine/kernels/table.md lacks {missing:?}, and has {unknown:?}, which the book has not: run `just kernels`"
    );
}

#[test]
fn whatever_differs_has_a_sentence() {
    let rows = rows();
    let head = |i: usize| rows[..i].iter().rev().find(|row| row.last().is_some_and(|cell| cell == "Why"));
    for (i, row) in
        rows.iter().enumerate().filter(|(_, row)| row.iter().any(|cell| cell.contains("**differs**")))
    {
        let whole = head(i).is_some_and(|head| head.len() == row.len());
        let sentence = row.last().is_some_and(|cell| cell.ends_with('.'));
        assert!(whole && sentence, "{} differs on a kernel: write why into kernels/why.toml", row[0]);
    }
}

#[test]
fn nothing_was_left_out() {
    let left_out: Vec<_> =
        rows().into_iter().filter(|row| row.iter().any(|cell| cell.contains("not run"))).collect();
    assert!(left_out.is_empty(), "run `just kernels`, without a name: {left_out:?}");
}
