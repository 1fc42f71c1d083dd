//! Modules do not import each other in circles, so that each can be read with nothing but what is below it.
//!
//! An import is a path in code that begins with `crate`, `super`, `self` or the name of one's own child, and leads to
//! another module of the same crate. It is followed through re-exports, and re-exporting one's own child does not count.
//! Tests at the end of a file do not count.

use std::collections::{BTreeMap, BTreeSet};

use crate::modules::{Modules, of};
use crate::repository::Repository;

pub fn faults(repository: &Repository) -> Vec<String> {
    let mut faults = Vec::new();
    for root in roots(repository) {
        let imports = of(repository, &root).imports();
        faults.extend(circles(&imports).iter().map(|circle| format!("{root}: {}", shown(circle, &imports))));
    }
    faults
}

/// The files that have the modules of a program or a library below them.
fn roots(repository: &Repository) -> Vec<String> {
    let mut files = repository.below("", ".rs");
    files.retain(|file| {
        let parts: Vec<&str> = file.split('/').collect();
        let library = matches!(
            parts[..],
            ["crates", _, "src", "lib.rs" | "main.rs"] | ["experiments", "src", "lib.rs"]
        );
        library || matches!(parts[..], ["crates", _, "benches", _, "main.rs"])
    });
    files
}

/// For each module, the modules that it imports.
type Imports = BTreeMap<String, BTreeSet<String>>;

/// The groups of modules in which each leads to each.
fn circles(imports: &Imports) -> Vec<BTreeSet<String>> {
    let reached: BTreeMap<&String, BTreeSet<String>> =
        imports.keys().map(|module| (module, reach(imports, module))).collect();
    let mut circles = Vec::new();
    for (module, there) in &reached {
        let mut circle: BTreeSet<String> = there.clone();
        circle.retain(|other| reached.get(other).is_some_and(|back| back.contains(*module)));
        if !circle.is_empty() && !circles.contains(&circle) {
            circles.push(circle);
        }
    }
    circles
}

/// The modules that a module's imports lead to, in one step or in many.
fn reach(imports: &Imports, from: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut next = vec![from.to_owned()];
    while let Some(module) = next.pop() {
        for imported in imports.get(&module).into_iter().flatten() {
            if reached.insert(imported.clone()) {
                next.push(imported.clone());
            }
        }
    }
    reached
}

/// The imports that make a circle: `a imports b, b imports a`.
fn shown(circle: &BTreeSet<String>, imports: &Imports) -> String {
    let arrows = circle.iter().flat_map(|module| {
        let inside = imports[module].iter().filter(|imported| circle.contains(*imported));
        inside.map(move |imported| format!("{module} imports {imported}"))
    });
    format!("a circle of {}: {}", circle.len(), arrows.collect::<Vec<_>>().join(", "))
}

/// What the modules of a crate import, for those who look at one.
impl Modules {
    fn imports(&self) -> Imports {
        let names = self.names();
        names.map(|module| (module.to_owned(), self.imported_by(module))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::one;

    fn of_files(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<_> =
            files.iter().map(|(file, text)| (format!("crates/k/src/{file}"), *text)).collect();
        let files: Vec<_> = files.iter().map(|(file, text)| (file.as_str(), *text)).collect();
        faults(&Repository::of(&files))
    }

    #[test]
    fn modules_one_above_the_other_are_left_alone() {
        let files = [
            ("lib.rs", "//! See [`crate::a`].\nmod a;\nmod b;\npub use a::{A, x as y};\npub use b::B;\n"),
            ("a.rs", "use crate::b::{self, B};\nuse std::fmt;\npub struct A(B);\n// crate::a\n"),
            ("b.rs", "mod inner;\npub use inner::Inner as B;\nconst TEXT: &str = \"crate::a\";\n"),
            (
                "b/inner.rs",
                "pub struct Inner;\n#[cfg(test)]\nmod tests {\n    use crate::a::A;\n    use super::*;\n}\n",
            ),
        ];
        assert_eq!(of_files(&files), [""; 0]);
    }

    #[test]
    fn two_that_import_each_other_are_found() {
        let both = [
            ("lib.rs", "mod a;\nmod b;\n"),
            ("a.rs", "use crate::b::B;\npub struct A;\n"),
            ("b.rs", "pub struct B;\nfn f() -> crate::a::A { super::a::A }\n"),
        ];
        one(&of_files(&both), &["crates/k/src/lib.rs: a circle of 2: a imports b, b imports a"]);
    }

    #[test]
    fn a_circle_through_a_re_export_is_found() {
        let files = [
            ("main.rs", "mod a;\nmod b;\npub use a::A;\nfn main() { b::f(); }\n"),
            ("a.rs", "use crate::{\n    b::{f},\n};\npub struct A;\n"),
            ("b.rs", "use crate::A;\npub fn f() {}\n"),
        ];
        one(&of_files(&files), &["crates/k/src/main.rs: a circle of 2: a imports b, b imports a"]);
    }

    #[test]
    fn a_circle_of_parent_and_child_is_found() {
        let files = [
            ("lib.rs", "mod a;\n"),
            ("a.rs", "mod child;\npub struct A;\nfn f() { child::g(); }\n"),
            ("a/child.rs", "use super::A;\npub fn g() {}\n"),
        ];
        one(&of_files(&files), &["a circle of 2: a imports a::child, a::child imports a"]);
        let files = [("lib.rs", "mod a;\nuse a::A;\nstruct B(A);\n"), ("a.rs", "pub struct A(crate::B);\n")];
        one(&of_files(&files), &["a circle of 2: a imports crate, crate imports a"]);
    }

    #[test]
    fn a_module_whose_file_is_elsewhere_is_followed() {
        let main = ("main.rs", "mod a;\n#[path = \"../shared/b.rs\"]\nmod b;\nfn main() { a::f(); }\n");
        let a = ("a.rs", "use crate::b;\npub fn f() { b::g(); }\n");
        assert_eq!(of_files(&[main, a, ("../shared/b.rs", "pub fn g() {}\n")]), [""; 0]);
        let back = ("../shared/b.rs", "pub fn g() { crate::a::f(); }\n");
        one(&of_files(&[main, a, back]), &["a circle of 2: a imports b, b imports a"]);
    }

    #[test]
    fn a_circle_of_three_is_found_once() {
        let files = [
            ("lib.rs", "mod a;\nmod b;\nmod c;\n"),
            ("a.rs", "use super::b;\n"),
            ("b.rs", "use super::c as other;\n"),
            ("c.rs", "pub(crate) use crate::a;\n"),
        ];
        one(&of_files(&files), &["a circle of 3: a imports b, b imports c, c imports a"]);
    }
}
