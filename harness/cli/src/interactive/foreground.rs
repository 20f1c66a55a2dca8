//! `harness run` with the serial console in this terminal.

use std::io::Write as _;
use std::process::ExitCode;

use serde_json::Value;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::boot::{Booting, Kind};
use super::escape::{Escape, Typed};
use super::terminal::{Keys, Raw, keys};
use super::{other, runtime};
use machine::MachineError;

/// As a shell reports a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// How the session came to its end.
enum End {
    /// The user asked for it; a guest that is up is powered off.
    Asked,
    /// A signal, or Ctrl-C during the boot.
    Interrupted,
    /// The guest powered off.
    PoweredOff,
    /// It broke.
    Broken(MachineError),
}

pub(super) fn run(
    begin: impl Future<Output = Result<Booting, MachineError>>,
) -> Result<ExitCode, MachineError> {
    let runtime = runtime()?;
    let ended = runtime.block_on(session(begin));
    // The thread that reads the keyboard is not waited for.
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
    eprintln!(
        "{}\nevidence: {}",
        HELP,
        booting.evidence.folder().display()
    );
    let raw = Raw::new();
    let mut typed = keys();
    let mut ready = false;
    let end = converse(&booting, &raw, &mut typed, &mut signals, &mut ready).await;
    let code = match end {
        End::Asked if booting.kind != Kind::Boots => {
            say("the machine is ended; it can be entered again");
            booting.machine.stop().await;
            ExitCode::SUCCESS
        }
        End::Asked if ready => {
            say("powering off; Ctrl-A X cuts the power now");
            leave(booting, &mut typed, &mut signals).await;
            ExitCode::SUCCESS
        }
        End::Asked | End::Interrupted => {
            booting.machine.stop().await;
            ExitCode::from(INTERRUPTED)
        }
        End::PoweredOff => ExitCode::SUCCESS,
        End::Broken(error) => return Err(error),
    };
    drop(raw);
    Ok(code)
}

const HELP: &str = "serial console of the machine: Ctrl-A X ends it, Ctrl-A H helps; \
    until it is ready, Ctrl-C ends it, too; Ctrl-A P pauses it, Ctrl-A C resumes it";

/// A line of our own in the middle of the guest's.
fn say(text: &str) {
    eprint!("\r\n[harness] {text}\r\n");
}

/// Until the machine or the user has enough.
async fn converse(
    booting: &Booting,
    raw: &Raw,
    typed: &mut Keys,
    signals: &mut Signals,
    ready: &mut bool,
) -> End {
    let serial = booting.machine.serial();
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
                        // A guest that is gone is told of below.
                        Typed::Guest(bytes) => drop(serial.send(&bytes).await),
                        Typed::Help => say(HELP),
                        Typed::Pause => tell(booting, "stop", "paused; Ctrl-A C resumes it").await,
                        Typed::Resume => tell(booting, "cont", "it runs").await,
                        Typed::End => return End::Asked,
                    }
                }
            }
            result = &mut became_ready, if !*ready => match result {
                Ok(()) => {
                    *ready = true;
                    say(&format!("{}: {}", booting.kind.state(), booting.login));
                }
                Err(error) => return broken(booting, error, &mut output),
            },
            bad = booting.machine.wait_ended(), if *ready => {
                return broken(booting, bad.into(), &mut output);
            }
            () = signals.any() => return End::Interrupted,
        }
    }
}

/// Tells QEMU to stop or go on.
async fn tell(booting: &Booting, command: &str, done: &str) {
    match booting.machine.qmp(command, Value::Null).await {
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

/// All that the guest said comes before the verdict.
fn broken(
    booting: &Booting,
    error: MachineError,
    output: &mut mpsc::UnboundedReceiver<Vec<u8>>,
) -> End {
    while let Ok(bytes) = output.try_recv() {
        show(&bytes);
    }
    match booting.machine.shutdown_reason().as_deref() {
        Some("guest-shutdown") => End::PoweredOff,
        _ => End::Broken(error),
    }
}

/// A terminal that is gone is told of by SIGHUP.
fn show(bytes: &[u8]) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(bytes).and_then(|()| stdout.flush());
}

/// Powers off; impatience (Ctrl-A X once more, or a signal) cuts the power.
async fn leave(booting: Booting, typed: &mut Keys, signals: &mut Signals) {
    let mut escape = Escape::default();
    let impatient = async {
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
        () = impatient => {}
    }
}

/// The signals by which a session is ended from outside.
pub(super) struct Signals([Signal; 3]);

impl Signals {
    pub(super) fn new() -> Result<Self, MachineError> {
        let listen = |kind| signal(kind).map_err(other);
        Ok(Self([
            listen(SignalKind::interrupt())?,
            listen(SignalKind::terminate())?,
            listen(SignalKind::hangup())?,
        ]))
    }

    /// Comes back at the first of them.
    pub(super) async fn any(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
