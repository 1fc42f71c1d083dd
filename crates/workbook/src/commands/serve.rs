//! The book in a browser, served by a program of its own, whose dependencies no other command waits for.

use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::cargo;
use crate::catalogue::Catalogue;
use crate::checkout;
use crate::output::say;
use crate::runner;
use crate::terminal::DIM;
use crate::verdicts::Verdicts;

/// The crates of which the server consists, apart from its own.
const PARTS: [&str; 6] = ["cloexec", "httpserver", "ioloop", "nonblocking", "prefork", "waker"];

#[derive(clap::Args)]
pub struct Options {
    /// Let the server run on your code, wherever an exercise is done
    #[arg(long)]
    mine: bool,
    /// The port; without it, the first free one from 4000 on
    #[arg(long)]
    port: Option<u16>,
    /// Do not open a browser
    #[arg(long)]
    no_open: bool,
    /// Serve although you are root: then what the book runs is root too
    #[arg(long)]
    as_root: bool,
}

pub fn run(options: &Options) -> Result<ExitCode> {
    let catalogue = Catalogue::discover()?;
    let mut package = vec!["--package".to_owned(), "live".to_owned()];
    let root = &catalogue.root;
    let paths = [
        ("--root", root.clone()),
        ("--tool", env::current_exe()?),
        // Beside what cargo builds, because the checkout may be one that cannot be written.
        ("--into", checkout::target(root).join("book")),
        ("--verdicts", Verdicts::file(root)),
    ];
    let mut args: Vec<OsString> =
        paths.into_iter().flat_map(|(option, path)| [option.into(), path.into()]).collect();
    if options.mine {
        let done = done(&catalogue);
        match done.is_empty() {
            true => say!("{DIM}No exercise is done that the server consists of: it runs on ours.{DIM:#}")?,
            false => {
                let names: Vec<&str> = done.iter().map(|(name, _)| name.as_str()).collect();
                say!("{DIM}On your code: {}.{DIM:#}", names.join(", "))?;
                let features: Vec<&str> = done.iter().map(|(_, feature)| feature.as_str()).collect();
                package.extend(["--features".into(), features.join(",")]);
                args.extend(["--mine".into(), names.join(",").into()]);
            }
        }
    }
    args.extend(options.port.iter().flat_map(|port| ["--port".into(), port.to_string().into()]));
    args.extend(options.no_open.then(|| "--no-open".into()));
    args.extend(options.as_root.then(|| "--as-root".into()));
    // Before it is built, which takes a minute the first time.
    if nix::unistd::geteuid().is_root() && !options.as_root {
        bail!(
            "`serve` would run experiments and your code as root. Start it as an ordinary user; in a container in which there is \
             none, pass --as-root"
        );
    }
    // In front of the reader, who sees how far it is.
    let built = runner::in_foreground(checkout::cargo(&catalogue.root).arg("build").args(&package));
    if !built.map_err(cargo::cannot_run)?.success() {
        bail!(
            "the server of the book cannot be built here: see above. `mdbook serve book` shows the same pages without what runs, and \
             all commands of this tool work in the terminal"
        );
    }
    // In place of this process, so the terminal, Ctrl-C and the exit status are the server's.
    let mut server = checkout::cargo(&catalogue.root);
    let error = server.args(["run", "--quiet"]).args(&package).arg("--").args(&args).exec();
    Err(error).context("cannot start the server")
}

/// The exercises that are done and of which the server consists, with the features that switch them on.
fn done(catalogue: &Catalogue) -> Vec<(String, String)> {
    let verdicts = Verdicts::load(catalogue);
    let parts = catalogue.exercises.iter().filter(|exercise| PARTS.contains(&exercise.krate.as_str()));
    let done = parts.filter(|exercise| verdicts.exercise(exercise) == Some(true));
    done.map(|exercise| (exercise.name.clone(), format!("{}/{}", exercise.krate, exercise.feature())))
        .collect()
}
