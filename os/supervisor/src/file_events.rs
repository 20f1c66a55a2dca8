//! Inotify events as a channel.

use nix::sys::inotify::{Inotify, InotifyEvent};
use tokio::sync::mpsc::{Receiver, channel};

/// Reads events in a thread, because reading our own descriptor in the runtime takes unsafe code. The thread
/// does not belong to the runtime, which would wait for its end. The channel closes after an error.
pub(crate) fn receive(inotify: Inotify) -> Receiver<nix::Result<Vec<InotifyEvent>>> {
    let (sender, receiver) = channel(1);
    std::thread::spawn(move || {
        loop {
            let events = inotify.read_events();
            let failed = events.is_err();
            if sender.blocking_send(events).is_err() || failed {
                return;
            }
        }
    });
    receiver
}
