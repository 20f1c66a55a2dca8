//! `harness run --background`: a machine that outlives the command.
//!
//! The owner is this very command once more, with the same arguments, told by its environment. It
//! speaks to the one who started it over a pipe: one line when the machine is ready, or an end of
//! file when it will not be. Everything else that it says is in `run.log` of the state folder.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};

use super::boot::Booting;
use super::foreground::Signals;
use super::state::StateFolder;
use super::{other, runtime};
use machine::MachineError;

/// Set for the owner.
const OWNER: &str = "HARNESS_BACKGROUND_OWNER";
/// What the owner says when the machine is ready, before how to log in.
const READY: &str = "harness-background-ready: ";
const LOG: &str = "run.log";

/// Whether this process is the owner.
pub(super) fn is_owner() -> bool {
    std::env::var_os(OWNER).is_some()
}

/// Starts the owner and waits until the machine is ready; Ctrl-C meanwhile ends it.
pub(super) fn start(state_folder: &Path) -> Result<ExitCode, MachineError> {
    let state = StateFolder::new(state_folder);
    // Told here rather than through a log; the owner then takes it for itself.
    drop(state.claim()?);
    let log = state.file(LOG);
    let mut owner = spawn(&log).map_err(|e| other(format!("the owner cannot be started: {e}")))?;
    let runtime = runtime()?;
    let login = runtime.block_on(async {
        let mut signals = Signals::new()?;
        let stdout = owner.stdout.take();
        let said = tokio::task::spawn_blocking(move || stdout.and_then(ready_line));
        tokio::select! {
            login = said => login.map_err(other)?.ok_or_else(|| other(last_words(&log))),
            () = signals.any() => Err(other("interrupted")),
        }
    });
    match login {
        Ok(login) => {
            eprintln!("ready: {login}; `harness stop` ends it");
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            // Its machine ends with it.
            let _ = owner.kill();
            let _ = owner.wait();
            Err(error)
        }
    }
}

fn spawn(log: &Path) -> std::io::Result<Child> {
    Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(OWNER, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(log)?)
        .spawn()
}

/// The rest of the line by which the owner says that all is well.
fn ready_line(pipe: impl std::io::Read) -> Option<String> {
    let mut lines = BufReader::new(pipe).lines().map_while(Result::ok);
    lines.find_map(|line| line.strip_prefix(READY).map(str::to_owned))
}

fn last_words(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let words = text.trim().trim_start_matches("error: ").to_owned();
    if words.is_empty() {
        format!("the machine ended; see {}", log.display())
    } else {
        words
    }
}

/// The owner itself: until the machine ends, or a signal asks for its end.
pub(super) fn own(
    begin: impl Future<Output = Result<Booting, MachineError>>,
) -> Result<ExitCode, MachineError> {
    // Away from the terminal, whose Ctrl-C and end are not for us.
    nix::unistd::setsid().map_err(other)?;
    runtime()?.block_on(async {
        let mut signals = Signals::new()?;
        let booting = begin.await?;
        tokio::select! {
            ready = booting.ready() => ready?,
            () = signals.any() => return Ok(ExitCode::FAILURE),
        }
        tell(&booting);
        tokio::select! {
            bad = booting.machine.wait_ended() => eprintln!("{bad}"),
            () = signals.any() => booting.power_off().await,
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Whoever started us may be gone; the machine stays.
fn tell(booting: &Booting) {
    let _ = writeln!(std::io::stdout(), "{READY}{}", booting.login);
}
