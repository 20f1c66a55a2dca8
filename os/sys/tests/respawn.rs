//! Programs that exit are restarted, and those that are no longer wanted are terminated. The test has its
//! own `main`: SIGCHLD goes to the process, and the threads of the standard test runner would receive
//! it.

use std::io::Read as _;
use std::os::fd::AsFd as _;

use nix::poll::PollFlags;
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitStatus, wait};
use sys::respawn::{Program, keep_running_with};

/// After this number of starts the test knows that the program is restarted each time.
const ENOUGH: usize = 4;

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let fifo = folder.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
    // Open for both, so that opening does not block and reading never reaches an end.
    let mut reader = std::fs::File::options()
        .read(true)
        .write(true)
        .open(&fifo)
        .expect("the fifo");
    let changes = reader.try_clone().expect("the fifo once more");
    let shell = |script: &str| {
        let script = script.replace("FIFO", &fifo.display().to_string());
        Program::new("/bin/sh", &["-c", &script])
    };
    // It leaves an orphan behind each time, which must be reaped, too.
    let first = shell("echo 1 > FIFO; (sleep 0.01 &); exit 3");
    let last = shell("echo 2 > FIFO; exec sleep 600");
    let (mut starts, mut begun) = (0, false);
    keep_running_with(&[(changes.as_fd(), PollFlags::POLLIN)], || {
        // The first call is not caused by a change.
        if std::mem::replace(&mut begun, true) {
            let mut line = [0; 2];
            reader.read_exact(&mut line).expect("a line");
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
        "the program is restarted until it is no longer wanted"
    );
    // A program that exits by itself would have slept to its end.
    let ends: Vec<_> = std::iter::from_fn(|| wait().ok()).collect();
    let by_signal = |end: &WaitStatus| matches!(end, WaitStatus::Signaled(_, Signal::SIGTERM, _));
    let by_itself = |end: &WaitStatus| matches!(end, WaitStatus::Exited(_, 0));
    assert!(
        ends.iter().any(by_signal) && !ends.iter().any(by_itself),
        "the last program gets SIGTERM: {ends:?}"
    );
    println!("test programs_are_restarted_when_they_exit ... ok");
}
