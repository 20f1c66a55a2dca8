//! `harness run` with the serial console in this terminal.

use std::io::Write as _;
use std::process::ExitCode;

use serde_json::Value;
use tokio::sync::mpsc;

use super::boot::{Booting, Kind};
use super::escape::{Escape, Typed};
use super::signals::Signals;
use super::terminal::{Keys, Raw, keys};
use super::{cluster, runtime};
use machine::MachineError;

/// The exit status that a shell reports for a program killed by Ctrl-C.
pub(super) const INTERRUPTED: u8 = 130;

/// How the session ended.
enum End {
    /// The user asked for it. A guest that is ready is powered off.
    Asked,
    /// A signal, or Ctrl-C during the boot.
    Interrupted,
    /// The guest powered off.
    PoweredOff,
    /// The machine failed.
    Failed(MachineError),
}

pub(super) fn run(
    begin: impl Future<Output = Result<Booting, MachineError>>,
) -> Result<ExitCode, MachineError> {
    let runtime = runtime()?;
    let ended = runtime.block_on(session(begin));
    // Do not wait for the thread that reads the keyboard.
    runtime.shutdown_background();
    ended
}

async fn session(
    begin: impl Future<Output = Result<Booting, MachineError>>,
) -> Result<ExitCode, MachineError> {
    let mut signals = Signals::new()?;
    let booting = tokio::select! {
        booting = begin => booting?,
        () = signals.any() => return Ok(ExitCode::from(INTERRUPTED)),
    };
    if booting.machines.len() > 1 {
        return cluster::watch(booting, &mut signals).await;
    }
    eprintln!(
        "{}\nevidence: {}",
        HELP,
        booting.evidence.folder().display()
    );
    let raw = Raw::new();
    let mut typed = keys();
    let mut ready = false;
    let end = connect(&booting, &raw, &mut typed, &mut signals, &mut ready).await;
    let code = match end {
        End::Asked if booting.kind != Kind::Boots => {
            say("the machine is stopped; it can be entered again");
            booting.machine().stop().await;
            ExitCode::SUCCESS
        }
        End::Asked if ready => {
            say("powering off; Ctrl-A X cuts the power now");
            leave(booting, &mut typed, &mut signals).await;
            ExitCode::SUCCESS
        }
        End::Asked | End::Interrupted => {
            booting.machine().stop().await;
            ExitCode::from(INTERRUPTED)
        }
        End::PoweredOff => ExitCode::SUCCESS,
        End::Failed(error) => return Err(error),
    };
    drop(raw);
    Ok(code)
}

const HELP: &str = "serial console of the machine: Ctrl-A X stops it, Ctrl-A P pauses it, Ctrl-A C resumes it, \
    Ctrl-A H shows this help; until the machine is ready, Ctrl-C stops it, too";

/// Prints a message of the harness between the output of the guest.
fn say(text: &str) {
    eprint!("\r\n[harness] {text}\r\n");
}

/// Connects the terminal to the console until the machine exits or the user stops it.
async fn connect(
    booting: &Booting,
    raw: &Raw,
    typed: &mut Keys,
    signals: &mut Signals,
    ready: &mut bool,
) -> End {
    let serial = booting.machine().serial();
    let (before, mut output) = serial.tap();
    show(booting.before.as_bytes());
    show(before.as_bytes());
    let mut escape = Escape::default();
    let became_ready = booting.ready();
    tokio::pin!(became_ready);
    loop {
        tokio::select! {
            Some(bytes) = output.recv() => show(&bytes),
            Some(bytes) = typed.recv() => {
                for piece in escape.split(&bytes, *ready || !raw.is_terminal()) {
                    match piece {
                        // The exit of the guest is handled below.
                        Typed::Guest(bytes) => drop(serial.send(&bytes).await),
                        Typed::Help => say(HELP),
                        Typed::Pause => control(booting, "stop", "paused; Ctrl-A C resumes it").await,
                        Typed::Resume => control(booting, "cont", "resumed").await,
                        Typed::End => return End::Asked,
                    }
                }
            }
            result = &mut became_ready, if !*ready => match result {
                Ok(()) => {
                    *ready = true;
                    say(&format!("{}: {}", booting.kind.state(), booting.login()));
                }
                Err(error) => return failed(booting, error, &mut output),
            },
            failure = booting.machine().wait_ended(), if *ready => {
            return failed(booting, failure.into(), &mut output);
            }
            () = signals.any() => return End::Interrupted,
        }
    }
}

/// Sends `stop` or `cont` to QEMU.
async fn control(booting: &Booting, command: &str, done: &str) {
    match booting.machine().qmp(command, Value::Null).await {
        Ok(_) => say(done),
        Err(error) => say(&error.to_string()),
    }
}

impl Kind {
    fn state(self) -> &'static str {
        match self {
            Self::Entered { paused: true } => "paused, Ctrl-A C resumes it",
            Self::Boots | Self::Entered { paused: false } => "ready",
        }
    }
}

/// Shows the remaining output of the guest, then returns how the session ended.
fn failed(
    booting: &Booting,
    error: MachineError,
    output: &mut mpsc::UnboundedReceiver<Vec<u8>>,
) -> End {
    while let Ok(bytes) = output.try_recv() {
        show(&bytes);
    }
    match booting.machine().shutdown_reason().as_deref() {
        Some("guest-shutdown") => End::PoweredOff,
        _ => End::Failed(error),
    }
}

/// Writes to the terminal. Errors are ignored: SIGHUP reports a closed terminal.
fn show(bytes: &[u8]) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(bytes).and_then(|()| stdout.flush());
}

/// Powers off. A second Ctrl-A X or a signal cuts the power.
async fn leave(booting: Booting, typed: &mut Keys, signals: &mut Signals) {
    let mut escape = Escape::default();
    let cut = async {
        loop {
            tokio::select! {
                Some(bytes) = typed.recv() => {
                    if escape.split(&bytes, false).contains(&Typed::End) {
                        return;
                    }
                }
                () = signals.any() => return,
            }
        }
    };
    tokio::select! {
        () = booting.power_off() => {}
        () = cut => {}
    }
}
