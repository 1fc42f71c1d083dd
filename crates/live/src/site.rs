//! The book as a site: built once, with the Linux in it that `just machine` has made, so that its experiments run in the pages.

use std::error::Error;
use std::fs;
use std::io;
use std::path::{self, Path};
use std::process::Command;

use mdbook_driver::MDBook;

use crate::output::complain;

/// Build the book of the checkout at `root` into the folder `into`, with the Linux of the folder `machine`. Without it this is the book alone, and a line says so.
///
/// The page for what is not found is sent for any path, so it names the path `base` at which the site begins. All other pages
/// work at every path.
///
/// # Errors
/// When mdBook refuses the book, or the machine cannot be put into it.
pub fn build(root: &Path, machine: &Path, into: &Path, base: &str) -> Result<(), Box<dyn Error>> {
    let into = &path::absolute(into)?;
    let mut book = MDBook::load(root.join("book"))?;
    book.config.build.build_dir.clone_from(into);
    book.config.set("output.html.site-url", base)?;
    book.build()?;
    if machine.join("machine.json").is_file() {
        pack(root, machine, into)?;
    } else {
        complain!("{} has no Linux in it: first, `just machine` makes one", into.display());
    }
    Ok(())
}

/// Put the machine into the built book, in both forms that pages can load: see `site/pack.mjs`.
fn pack(root: &Path, machine: &Path, into: &Path) -> Result<(), Box<dyn Error>> {
    let scripts = root.join("crates/live/site");
    let packages = root.join("target/site-packages");
    let pinned = fs::read(scripts.join("package.json"))?;
    fs::create_dir_all(&packages)?;
    let installed = packages.join("node_modules/esbuild").is_dir();
    if !installed || fs::read(packages.join("package.json")).ok().as_ref() != Some(&pinned) {
        fs::write(packages.join("package.json"), pinned)?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-package-lock", "--no-audit", "--no-fund", "--silent"]);
        run(npm.current_dir(&packages))?;
    }
    let mut node = Command::new("node");
    run(node.arg(scripts.join("pack.mjs")).args([machine, into]).env("PACKAGES", &packages))
}

/// Run a program, and take any status but 0 for an error.
fn run(command: &mut Command) -> Result<(), Box<dyn Error>> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!("there is no {name} here, which comes with Node 20 or newer"),
        _ => format!("{name}: {error}"),
    })?;
    if status.success() { Ok(()) } else { Err(format!("{name}: {status}").into()) }
}
