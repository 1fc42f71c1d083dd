//! Clients from PyPI, in a virtual environment below `target`. It is made once, and needs Python and the network.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

/// What the tests need, with the versions with which they were written.
const PACKAGES: [&str; 3] = ["h11==0.16.0", "urllib3==2.8.0", "redbot==2.7.1"];

/// The source of the corpus.
const GUNICORN: &str = "gunicorn==27.0.1";

/// The folder of the environment, or why there is none.
static ENVIRONMENT: LazyLock<Result<PathBuf, String>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients");
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    // Another test program may be making it.
    let lock = File::create(folder.join("lock")).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    let complete = folder.join("complete");
    let wanted = format!("{PACKAGES:?} {GUNICORN}");
    if fs::read_to_string(&complete).is_ok_and(|is| is == wanted) {
        return Ok(folder);
    }
    let done = |command: &mut Command| match command.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim_end())),
        Err(error) => Err(format!("{command:?}: {error}")),
    };
    done(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    let pip = || {
        let mut pip = Command::new(folder.join("bin/python"));
        pip.args([
            "-m",
            "pip",
            "--quiet",
            "--disable-pip-version-check",
            "--retries",
            "1",
            "--timeout",
            "20",
        ]);
        pip
    };
    done(pip().arg("install").args(PACKAGES))?;
    done(pip().args(["download", "--no-deps", "--no-binary", ":all:", "-d"]).arg(&folder).arg(GUNICORN))?;
    let archive = folder.join(format!("{}.tar.gz", GUNICORN.replace("==", "-")));
    done(Command::new("tar").arg("xzf").arg(archive).arg("-C").arg(&folder))?;
    fs::write(complete, wanted).map_err(|error| error.to_string())?;
    Ok(folder)
});

/// The environment; `None` if it cannot be had: then the test is skipped.
pub fn environment() -> Option<&'static Path> {
    match &*ENVIRONMENT {
        Ok(folder) => Some(folder),
        Err(why) => {
            testing::skipped(format_args!("the clients from PyPI cannot be had: {why}"));
            None
        }
    }
}

/// The corpus of gunicorn's tests, in this environment.
pub fn corpus(environment: &Path) -> PathBuf {
    environment.join(GUNICORN.replace("==", "-")).join("tests/requests")
}

/// Run a script of the folder `python` with these arguments: what it did.
pub fn run(environment: &Path, script: &str, args: &[&str]) -> Output {
    let script = Path::new("tests/python").join(script);
    let mut command = Command::new(environment.join("bin/python"));
    command.arg(script).args(args).stdin(Stdio::null());
    command.output().expect("the environment has a Python")
}

/// Run a script that prints nothing if all is well.
#[track_caller]
pub fn is_content(environment: &Path, script: &str, args: &[&str]) {
    let output = run(environment, script, args);
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{script}: {}", String::from_utf8_lossy(&said));
}
