//! Every drawing can be made, and says in words, axes and units what it shows. Measured values vary, so they are not
//! compared.
//!
//! This is a test program of its own: Cargo runs one after the other, so that no other test slows what is measured.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use roxmltree::{Document, Node};
use support::{Run, blessing, experiments, program, run};

mod support;

/// The experiments that draw: their names, and the paths of their drawings.
fn drawings() -> BTreeMap<String, PathBuf> {
    let draws = |path: &Path| fs::read_to_string(path).is_ok_and(|source| source.contains("lab.draw("));
    let found = experiments().into_iter().filter(|(_, path)| draws(&path.with_extension("rs")));
    let found: BTreeMap<_, _> = found.map(|(name, path)| (name, path.with_extension("svg"))).collect();
    assert!(!found.is_empty(), "no experiment draws");
    found
}

/// Run an experiment with `--draw`. Gives the run, and the drawing, if there is one.
fn draw(name: &str) -> (Run, Option<String>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("drawing.svg");
    let run = run(Command::new(program(name)).args(["--plain", "--draw"]).arg(&file));
    (run, fs::read_to_string(file).ok())
}

#[test]
fn every_drawing_can_be_made() {
    let mut faults = Vec::new();
    for (name, path) in drawings() {
        match draw(&name) {
            (Run { status: Some(0), .. }, Some(drawing)) => {
                faults.extend(fault(&drawing).map(|fault| format!("{name} --draw: {fault}")));
                if blessing() {
                    fs::write(&path, drawing).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                }
            }
            (Run { status: Some(3), stdout, .. }, None) => {
                eprintln!("skipped: {name}: {}", stdout.lines().last().unwrap_or_default());
            }
            (run, drawing) => faults.push(format!(
                "{name} --draw: exit status {:?}, {} a drawing:\n{}{}",
                run.status,
                if drawing.is_some() { "with" } else { "without" },
                run.stdout,
                run.stderr
            )),
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_drawing_of_the_book_is_well_formed() {
    if blessing() {
        return; // They are being written.
    }
    let mut faults = Vec::new();
    for (name, path) in drawings() {
        match fs::read_to_string(&path) {
            Ok(drawing) => faults.extend(fault(&drawing).map(|fault| format!("{name}.svg: {fault}"))),
            Err(error) => faults.push(format!("{}: {error}: just bless draws it", path.display())),
        }
    }
    for (name, path) in experiments() {
        let drawing = path.with_extension("svg");
        if drawing.exists() && !drawings().contains_key(&name) {
            faults.push(format!("{}: {name} draws nothing", drawing.display()));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn an_experiment_without_a_drawing_says_so() {
    let (run, drawing) = draw("fd-vanishes");
    assert_eq!((run.status, drawing), (Some(2), None), "wrong usage, and no file: {}", run.stderr);
    assert!(run.stderr.contains("nothing to draw"), "it should say why: {}", run.stderr);
}

/// The fault of a drawing, as a figure of the book.
fn fault(drawing: &str) -> Option<String> {
    let document = match Document::parse(drawing) {
        Ok(document) => document,
        Err(error) => return Some(format!("it is not well-formed: {error}")),
    };
    let figure = document.root_element();
    let charts: Vec<_> = figure.children().filter(|child| child.has_tag_name("svg")).collect();
    let caption = words(figure, "figcaption").pop().unwrap_or_default();
    match () {
        () if !figure.has_tag_name("figure") => Some("it is not a <figure>".into()),
        () if charts.is_empty() => Some("it has no <svg>".into()),
        () if !caption.contains("Linux") => Some(format!("the machine is not named under it: {caption:?}")),
        () if drawing.lines().any(|line| line.trim().is_empty()) => {
            Some("it has a blank line, at which Markdown ends it".into())
        }
        () if drawing.contains("=\"#") => Some("it has a color that is not the theme's".into()),
        () => charts.into_iter().find_map(chart),
    }
}

fn chart(chart: Node<'_, '_>) -> Option<String> {
    let [title, description] = ["title", "desc"].map(|name| words(chart, name).concat());
    let ids: Vec<_> = chart.children().filter_map(|child| child.attribute("id")).collect();
    let labels = words(chart, "text");
    let axes = labels.iter().filter(|label| label.contains(" (") && label.ends_with(')')).count();
    let numbers = labels.iter().filter(|label| label.starts_with(|c: char| c.is_ascii_digit())).count();
    let attributes = ["class", "role"].map(|name| chart.attribute(name));
    match () {
        () if attributes != [Some("figure"), Some("img")] => {
            Some("a chart lacks its class or its role".into())
        }
        () if title.is_empty() || description.is_empty() => Some("a chart lacks <title> or <desc>".into()),
        () if chart.attribute("aria-labelledby") != Some(&ids.join(" ")) => {
            Some(format!("a chart is not labelled by {ids:?}"))
        }
        () if axes != 2 => Some(format!("two of the labels {labels:?} should be axes with units")),
        () if numbers < 4 => Some(format!("the labels {labels:?} have too few numbers for two axes")),
        () if !chart.children().any(|child| child.has_tag_name("polyline")) => {
            Some("a chart lacks a line".into())
        }
        () => None,
    }
}

/// The text of each child of a name.
fn words(parent: Node<'_, '_>, name: &str) -> Vec<String> {
    let children = parent.children().filter(|child| child.has_tag_name(name));
    children.map(|child| child.text().unwrap_or_default().trim().to_owned()).collect()
}
