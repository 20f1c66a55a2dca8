//! Programs that end come back. A test with a `main` of its own: the signal that tells of an end goes
//! to the process, and the threads of the usual test runner would take it.

use init::respawn::{Program, keep};
use nix::sys::signal::{Signal, raise};

/// Starts that are enough to know that it goes on.
const ENOUGH: usize = 4;

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    // It leaves an orphan behind each time; the keeper must reap that too.
    let script = "echo run; (sleep 0.01 &) ; exit 3";
    let program = Program {
        log: Some(log.clone()),
        ..Program::new("/bin/sh", &["-c", script])
    };
    let runs = || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        text.lines().count()
    };
    keep(&[program], || {
        if runs() >= ENOUGH {
            raise(Signal::SIGTERM).expect("a signal to this process");
        }
    })
    .expect("signals can be received");
    assert!(runs() >= ENOUGH, "it was started {} times", runs());
    println!("test programs_come_back ... ok");
}
