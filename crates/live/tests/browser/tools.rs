//! What the tests in a browser need: Node 20, the packages of npm, which are installed below target/, and Chromium.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Where Chromium and the packages are.
pub struct Tools {
    pub chromium: PathBuf,
    pub packages: PathBuf,
}

impl Tools {
    /// The tools of this machine. If one is missing, the test is skipped, with the reason.
    #[track_caller]
    pub fn find() -> Option<Self> {
        match Self::look() {
            Ok(tools) => Some(tools),
            Err(missing) => {
                testing::skipped(format_args!("{missing}"));
                None
            }
        }
    }

    fn look() -> Result<Self, &'static str> {
        let chromium = program(&["chromium", "chromium-browser", "google-chrome"])
            .ok_or("there is no Chromium. Debian's package is called chromium")?;
        if node() < 20 {
            return Err("Node is missing, or older than 20");
        }
        let packages = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser");
        fs::create_dir_all(&packages).expect("a folder for the packages");
        fs::copy(scripts().join("package.json"), packages.join("package.json")).expect("package.json");
        if !packages.join("node_modules/puppeteer-core").is_dir() {
            let npm = ["install", "--no-package-lock", "--no-audit", "--no-fund", "--silent"];
            let installed = Command::new("npm").args(npm).current_dir(&packages).status();
            if !installed.is_ok_and(|status| status.success()) {
                return Err("npm cannot install playwright-core, puppeteer-core and axe-core here");
            }
        }
        Ok(Self { chromium, packages })
    }

    /// Node with one of the scripts, which knows where the packages are.
    pub fn node(&self, script: &str) -> Command {
        let mut node = Command::new("node");
        node.arg(scripts().join(script)).env("PACKAGES", &self.packages);
        node
    }
}

/// The folder with the scripts.
pub fn scripts() -> PathBuf {
    Path::new("tests/browser").canonicalize().expect("the scripts")
}

/// Run a script to its end, and print its steps. The test fails if one of them did.
#[track_caller]
pub fn run(mut command: Command) {
    let seen = command.output().expect("node runs");
    let steps = String::from_utf8_lossy(&seen.stdout);
    assert!(seen.status.success(), "{steps}{}", String::from_utf8_lossy(&seen.stderr));
    println!("{steps}");
}

/// The first of these programs that is in the PATH.
fn program(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    names
        .iter()
        .flat_map(|name| env::split_paths(&path).map(move |folder| folder.join(name)))
        .find(|file| file.is_file())
}

/// The major version of Node, or 0.
fn node() -> u32 {
    let Ok(output) = Command::new("node").arg("--version").output() else { return 0 };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.trim().trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0)
}
