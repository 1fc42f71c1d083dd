//! The options of `workbook serve`, and those that it adds itself.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;

/// Serve the book on this machine, with its experiments and checks
#[derive(Parser)]
#[command(
    name = "serve",
    after_help = "Exit status: 0 ended by Ctrl-C, SIGTERM or SIGHUP; 1 it cannot serve; 2 wrong usage."
)]
pub struct Options {
    /// The port; without it, the first free one from 4000 on
    #[arg(long)]
    pub port: Option<u16>,
    /// Do not open a browser
    #[arg(long)]
    pub no_open: bool,
    /// Serve although you are root: then what the book runs is root too
    #[arg(long)]
    pub as_root: bool,
    /// The checkout
    #[arg(long, hide = true)]
    pub root: Option<PathBuf>,
    /// The reader's tool
    #[arg(long, hide = true)]
    pub tool: Option<PathBuf>,
    /// Where the book is built, in a folder for each server
    #[arg(long, hide = true)]
    pub into: Option<PathBuf>,
    /// The file in which the reader's tool keeps its verdicts
    #[arg(long, hide = true)]
    pub verdicts: Option<PathBuf>,
    /// Serve this folder instead of building the book
    #[arg(long, hide = true)]
    pub built: Option<PathBuf>,
    /// The exercises on whose files this program was compiled
    #[arg(long, hide = true, value_delimiter = ',')]
    pub mine: Vec<String>,
    /// Build the book, and print what happens
    #[arg(long, hide = true)]
    pub build: bool,
    /// Build the book into this folder, with the Linux of `just machine`, and serve nothing
    #[arg(long, hide = true)]
    pub site: Option<PathBuf>,
    /// The path at which the site will be, with a slash at its end: `/name/`
    #[arg(long, hide = true, default_value = "/")]
    pub base: String,
    /// The Linux for `--site`, if it is not that of `just machine`
    #[arg(long, hide = true)]
    pub machine: Option<PathBuf>,
    /// Start this program, and end it with all that it has started when the standard input ends
    #[arg(last = true, hide = true)]
    pub keep: Vec<OsString>,
}
