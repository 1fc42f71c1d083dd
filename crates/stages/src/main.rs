//! Runs one stage of the server, or a client of it.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use stages::{HTTP, Run, STAGES};

const USAGE: &str = "\
usage: stage N [PORT [FILE]]    run the server as it is after chapter N, with the programs of FILE too
       stage ask PORT PROGRAM    send standard input to a program, and print the answer

PROCESSES=K in the environment    from stage 7 on: serve in K processes; 0 means one for each core";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match &args[..] {
        [help] if ["-h", "--help"].contains(&help.as_str()) => Ok(writeln!(io::stdout(), "{USAGE}")),
        [ask, port, program] if ask == "ask" => {
            self::port(port).map(|port| stages::ask::ask(port, program, io::stdin(), &mut io::stdout()))
        }
        _ => stage(&args).map(|(run, port, file)| {
            inherit_no_signals()?;
            run(port, file)
        }),
    };
    match done {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            let _ = writeln!(io::stderr(), "stage {}: {error}", args.join(" "));
            ExitCode::FAILURE
        }
        Err(wrong) => {
            let _ = writeln!(io::stderr(), "stage: {wrong}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// Unblocks every signal, and gives SIGCHLD its default action. A blocked and an ignored signal stay so across exec: with the
/// first a server would not hear SIGTERM, and with the second the kernel would reap its programs before it does.
fn inherit_no_signals() -> io::Result<()> {
    SigSet::empty().thread_set_mask()?;
    // SAFETY: the default action runs no code of this program.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) }?;
    Ok(())
}

fn stage(args: &[String]) -> Result<(Run, u16, &Path), String> {
    let (stage, port, file) = match args {
        [stage] => (stage, "0", "/dev/null"),
        [stage, port] => (stage, port.as_str(), "/dev/null"),
        [stage, port, file] => (stage, port.as_str(), file.as_str()),
        _ => return Err(format!("expected one to three arguments, got {}", args.len())),
    };
    let run = stage.parse().ok().and_then(stages::stage);
    let mut numbers = STAGES.into_iter().chain(HTTP).map(|(number, _)| number).collect::<Vec<_>>();
    numbers.sort_unstable();
    let numbers = numbers.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    let run = run.ok_or_else(|| format!("N must be a stage ({numbers}), not {stage:?}"))?;
    Ok((run, self::port(port)?, Path::new(file)))
}

fn port(port: &str) -> Result<u16, String> {
    port.parse().map_err(|_| format!("PORT must be 0 to 65535, 0 for any free port, not {port:?}"))
}
