//! Runs one stage of the server: `stage N [PORT [FILE]]`.

use std::path::Path;
use std::process::ExitCode;

use stages::{Run, STAGES};

const USAGE: &str = "usage: stage N [PORT [FILE]]";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (run, port, file) = match parse(&args) {
        Ok(parsed) => parsed,
        Err(wrong) => {
            eprintln!("stage: {wrong}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(port, file) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stage {}, port {port}: {error}", args[0]);
            ExitCode::FAILURE
        }
    }
}

fn parse(args: &[String]) -> Result<(Run, u16, &Path), String> {
    let (stage, port, file) = match args {
        [stage] => (stage, "0", "/dev/null"),
        [stage, port] => (stage, port.as_str(), "/dev/null"),
        [stage, port, file] => (stage, port.as_str(), file.as_str()),
        _ => return Err(format!("expected one to three arguments, got {}", args.len())),
    };
    let run = stage.parse().ok().and_then(|n: usize| STAGES.get(n.checked_sub(1)?));
    let run = run.ok_or_else(|| format!("N must be a stage, 1 to {}, not {stage:?}", STAGES.len()))?;
    let port =
        port.parse().map_err(|_| format!("PORT must be 0 to 65535, 0 for any free port, not {port:?}"))?;
    Ok((*run, port, Path::new(file)))
}
