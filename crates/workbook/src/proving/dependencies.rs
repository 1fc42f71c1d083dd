//! What the crates depend on from elsewhere is compiled once: in the first copy, with all cores. The other copies get it from there.
//!
//! cargo takes what it finds, because such a dependency is named by its registry, features and compiler, and not by the checkout.
//! What the first copy has compiled of the checkout itself lies unused in the others.

use std::fs::{self, File};
use std::path::Path;

use super::copy;

/// Has the first copy compiled an exercise, and what that depends on?
pub fn are_compiled(memory: &Path) -> bool {
    let Ok(shortcuts) = fs::read_dir(copy::target(memory, 1).join("shortcuts")) else { return false };
    shortcuts.flatten().any(|file| file.path().extension().is_some_and(|kind| kind == "json"))
}

/// Give this copy what the first one has compiled, unless it has compiled something itself. What goes wrong here costs nothing but
/// time: cargo compiles what is not there.
pub fn lend(memory: &Path, copy: usize) {
    let (from, to) = (copy::target(memory, 1), copy::target(memory, copy));
    // In one step, or an interrupted one would leave half a library, which cargo would take for a whole one.
    let partial = to.with_extension("partial");
    let _ = fs::remove_dir_all(&partial);
    if !to.exists() {
        let _ =
            duplicate(&from.join("debug"), &partial.join("debug")).and_then(|()| fs::rename(&partial, &to));
    }
    let _ = fs::remove_dir_all(&partial);
}

/// Copy a folder, with the times of its files: cargo compares them.
fn duplicate(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let copied = to.join(entry.file_name());
        // Only what is compiled of the checkout is compiled incrementally.
        if entry.file_name() == "incremental" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            duplicate(&entry.path(), &copied)?;
        } else {
            fs::copy(entry.path(), &copied)?;
            File::options().write(true).open(&copied)?.set_modified(entry.metadata()?.modified()?)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_has_compiled_nothing_gets_what_the_first_one_has() {
        let memory = tempfile::tempdir().expect("a folder");
        let first = copy::target(memory.path(), 1);
        let make = |file: &str| {
            let file = first.join(file);
            fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
            fs::write(file, "compiled").expect("a file");
        };
        make("shortcuts/cloexec-flags.lock");
        assert!(!are_compiled(memory.path()), "there is a lock as soon as the compilation begins");
        make("debug/deps/libnix.rlib");
        make("debug/incremental/cloexec/part");
        make("shortcuts/cloexec-flags.json");
        assert!(are_compiled(memory.path()));
        let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        let library =
            File::options().write(true).open(first.join("debug/deps/libnix.rlib")).expect("the library");
        library.set_modified(time).expect("its time");

        lend(memory.path(), 2);
        let second = copy::target(memory.path(), 2);
        let lent = fs::metadata(second.join("debug/deps/libnix.rlib")).expect("the library is lent");
        assert_eq!(lent.modified().expect("a time"), time, "cargo compares the times of files");
        assert!(
            !second.join("debug/incremental").exists(),
            "what is compiled of the checkout is no other copy's"
        );
        assert!(!second.join("shortcuts").exists(), "a shortcut builds in the copy that it is of");

        fs::write(second.join("debug/deps/libnix.rlib"), "its own").expect("a file");
        lend(memory.path(), 2);
        let own = fs::read_to_string(second.join("debug/deps/libnix.rlib")).expect("the library");
        assert_eq!(own, "its own", "a copy that has compiled something keeps it");
    }
}
