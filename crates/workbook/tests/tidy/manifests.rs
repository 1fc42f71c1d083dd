//! One version of each dependency, named in the workspace's Cargo.toml; nothing there that no crate uses; nothing
//! is published; every crate keeps the workspace's lints.

use std::collections::BTreeSet;

use toml::{Table, Value};

use crate::repository::Repository;

const KINDS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

pub fn faults(repository: &Repository) -> Vec<String> {
    let mut faults = Vec::new();
    let mut used = BTreeSet::new();
    let workspace = repository.toml("Cargo.toml");
    let workspace = workspace.get("workspace").and_then(Value::as_table).cloned().unwrap_or_default();
    if workspace.get("package").and_then(|package| package.get("publish")) != Some(&Value::Boolean(false)) {
        faults.push("Cargo.toml: [workspace.package] lacks `publish = false`".to_owned());
    }
    for file in repository.below("", "/Cargo.toml") {
        let manifest = repository.toml(&file);
        if manifest.contains_key("workspace") {
            // A workspace of its own, which is built apart, like a fuzz target: it inherits nothing.
            if manifest.get("package").and_then(|package| package.get("publish"))
                != Some(&Value::Boolean(false))
            {
                faults.push(format!("{file}: [package] lacks `publish = false`"));
            }
            continue;
        }
        let inherits = |table: &str, key: &str| {
            let value = if key.is_empty() {
                manifest.get(table)
            } else {
                manifest.get(table).and_then(|t| t.get(key))
            };
            value.and_then(|value| value.get("workspace")) == Some(&Value::Boolean(true))
        };
        if !inherits("package", "publish") {
            faults.push(format!("{file}: [package] lacks `publish.workspace = true`"));
        }
        if !inherits("lints", "") {
            faults.push(format!("{file}: [lints] lacks `workspace = true`"));
        }
        for (name, dependency) in dependencies(&manifest) {
            let of_workspace = dependency.get("workspace") == Some(&Value::Boolean(true));
            // A crate of this repository has no version to choose.
            if !of_workspace && dependency.get("path").is_none() {
                faults.push(format!(
                    "{file}: {name} must be `{name}.workspace = true`: one version for all crates"
                ));
            }
            used.insert(name);
        }
    }
    let named = workspace.get("dependencies").and_then(Value::as_table).cloned().unwrap_or_default();
    for name in named.keys().filter(|name| !used.contains(*name)) {
        faults.push(format!("Cargo.toml: [workspace.dependencies] has {name}, which no crate uses"));
    }
    faults
}

/// Those for every target, and for some.
fn dependencies(manifest: &Table) -> Vec<(String, Value)> {
    let targets = manifest.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
    let tables = targets.filter_map(Value::as_table).chain([manifest]);
    let tables = tables.flat_map(|table| KINDS.iter().filter_map(|kind| table.get(*kind)?.as_table()));
    tables.flatten().map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::one;

    const WORKSPACE: &str = "[workspace.package]\npublish = false\n[workspace.dependencies]\nnix = \"1\"\n";
    const MEMBER: &str = "[package]\npublish.workspace = true\n[lints]\nworkspace = true\n[dependencies]\n\
                          nix.workspace = true\n";

    fn member(text: &str) -> Vec<String> {
        faults(&Repository::of(&[("Cargo.toml", WORKSPACE), ("crates/k/Cargo.toml", text)]))
    }

    #[test]
    fn good_manifests_are_left_alone() {
        assert_eq!(member(MEMBER), [""; 0]);
        assert_eq!(member(&format!("{MEMBER}other = {{ path = \"../other\" }}\n")), [""; 0]);
    }

    #[test]
    fn a_version_of_its_own_is_found() {
        one(&member(&format!("{MEMBER}libc = \"0.2\"\n")), &["crates/k/Cargo.toml: libc must be"]);
        one(
            &member(&format!(
                "{MEMBER}[target.'cfg(unix)'.dev-dependencies]\nlibc = {{ version = \"1\" }}\n"
            )),
            &["libc must be"],
        );
    }

    #[test]
    fn a_workspace_of_its_own_inherits_nothing_and_is_not_published() {
        let own = "[package]\npublish = false\n[workspace]\n[dependencies]\nlibc = \"0.2\"\n";
        let with = |own: &str| {
            let files = [
                ("Cargo.toml", WORKSPACE),
                ("crates/k/Cargo.toml", MEMBER),
                ("crates/k/fuzz/Cargo.toml", own),
            ];
            faults(&Repository::of(&files))
        };
        assert_eq!(with(own), [] as [&str; 0]);
        one(
            &with(&own.replace("publish = false\n", "")),
            &["crates/k/fuzz/Cargo.toml: [package] lacks `publish"],
        );
    }

    #[test]
    fn an_unused_dependency_is_found() {
        one(
            &member(&MEMBER.replace("nix.workspace = true\n", "")),
            &["Cargo.toml: ", "nix, which no crate uses"],
        );
    }

    #[test]
    fn a_crate_that_could_be_published_is_found() {
        one(
            &member(&MEMBER.replace("publish.workspace = true\n", "")),
            &["crates/k/Cargo.toml: ", "publish"],
        );
        let workspace = WORKSPACE.replace("publish = false\n", "");
        let files = [("Cargo.toml", workspace.as_str()), ("crates/k/Cargo.toml", MEMBER)];
        one(&faults(&Repository::of(&files)), &["Cargo.toml: [workspace.package] lacks"]);
    }

    #[test]
    fn a_crate_without_the_lints_is_found() {
        one(&member(&MEMBER.replace("[lints]\nworkspace = true\n", "")), &["crates/k/Cargo.toml: [lints]"]);
    }
}
