//! Programs that end come back, and those that are wanted no more are ended. A test with a `main` of its
//! own: the signal that tells of an end goes to the process, and the threads of the usual test runner
//! would take it.

use std::io::Read as _;
use std::os::fd::AsFd as _;

use init::respawn::{Program, keep_wanted};
use nix::poll::PollFlags;
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitStatus, wait};

/// Starts that are enough to know that it goes on.
const ENOUGH: usize = 4;

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let fifo = folder.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
    // Open for both, so that it neither waits for somebody nor comes to an end.
    let mut told = std::fs::File::options()
        .read(true)
        .write(true)
        .open(&fifo)
        .expect("the fifo");
    let changes = told.try_clone().expect("the fifo once more");
    let say = |script: &str| {
        let script = script.replace("FIFO", &fifo.display().to_string());
        Program::new("/bin/sh", &["-c", &script])
    };
    // It leaves an orphan behind each time; the keeper must reap that too.
    let first = say("echo 1 > FIFO; (sleep 0.01 &); exit 3");
    let last = say("echo 2 > FIFO; exec sleep 600");
    let (mut starts, mut begun) = (0, false);
    keep_wanted(&[(changes.as_fd(), PollFlags::POLLIN)], || {
        // At first nobody has said anything.
        if std::mem::replace(&mut begun, true) {
            let mut line = [0; 2];
            told.read_exact(&mut line).expect("a line");
            match &line {
                b"1\n" => starts += 1,
                _ => raise(Signal::SIGTERM).expect("a signal to this process"),
            }
        }
        let first = (starts < ENOUGH).then(|| first.clone());
        vec![first.unwrap_or_else(|| last.clone())]
    })
    .expect("signals can be received");
    assert_eq!(
        starts, ENOUGH,
        "it is started again and again, until it is wanted no more"
    );
    // One that ended by itself would have slept through it all.
    let ends: Vec<_> = std::iter::from_fn(|| wait().ok()).collect();
    let by_signal = |end: &WaitStatus| matches!(end, WaitStatus::Signaled(_, Signal::SIGTERM, _));
    let by_itself = |end: &WaitStatus| matches!(end, WaitStatus::Exited(_, 0));
    assert!(
        ends.iter().any(by_signal) && !ends.iter().any(by_itself),
        "the last one is told to end: {ends:?}"
    );
    println!("test programs_come_back ... ok");
}
