//! The sockets of the machines, and the frames that are on their way: read, delayed, sent.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, watch};

use crate::forward::{Delivery, Forwarding};

/// Maximum length of a frame: virtio-net's largest packet with its header.
const MAX_FRAME: usize = 65_550;
/// Frames that are read from one machine before others have their turn.
const BATCH: usize = 64;
/// Maximum number of frames that are delayed at one time.
const MAX_DELAYED: usize = 20_000;

#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    /// A delayed frame is due earlier than all others.
    earlier: Notify,
    /// The number of captured frames.
    pub(crate) captured: watch::Sender<u64>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) forwarding: Forwarding,
    pub(crate) sockets: BTreeMap<Arc<str>, UnixDatagram>,
    delayed: BinaryHeap<Delayed>,
    /// Keeps frames that are due at the same instant in order.
    sequence: u64,
}

#[derive(Debug)]
struct Delayed {
    delivery: Delivery,
    sequence: u64,
}

impl Shared {
    pub(crate) fn new(forwarding: Forwarding) -> Self {
        let state = State {
            forwarding,
            sockets: BTreeMap::new(),
            delayed: BinaryHeap::new(),
            sequence: 0,
        };
        Self {
            state: Mutex::new(state),
            earlier: Notify::new(),
            captured: watch::Sender::new(0),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a frame of a machine.
    fn take(&self, from: &Arc<str>, frame: &[u8]) {
        let mut state = self.state();
        let now = Instant::now();
        let mut earlier = false;
        for delivery in state.forwarding.frame(from, frame.into(), now) {
            if delivery.due <= now {
                state.send(&delivery);
            } else {
                earlier |= state.delay(delivery);
            }
        }
        let received = state.forwarding.totals.received;
        drop(state);
        self.captured.send_replace(received);
        if earlier {
            self.earlier.notify_one();
        }
    }
}

impl State {
    /// Sends a frame, or drops it if the machine takes none: a paused guest does not read.
    pub(crate) fn send(&mut self, delivery: &Delivery) {
        let Some(socket) = self.sockets.get(&delivery.to) else {
            return;
        };
        let totals = &mut self.forwarding.totals;
        match socket.send(&delivery.frame) {
            Ok(_) => totals.delivered += 1,
            Err(_) => totals.overrun += 1,
        }
    }

    /// Returns whether this frame is due before all others.
    fn delay(&mut self, delivery: Delivery) -> bool {
        if self.delayed.len() >= MAX_DELAYED {
            self.forwarding.totals.overrun += 1;
            return false;
        }
        let earlier = self.next_due().is_none_or(|due| delivery.due < due);
        self.sequence += 1;
        let sequence = self.sequence;
        self.delayed.push(Delayed { delivery, sequence });
        earlier
    }

    fn next_due(&self) -> Option<Instant> {
        self.delayed.peek().map(|next| next.delivery.due)
    }

    /// Sends what is due, and returns when the next frame is.
    fn send_due(&mut self) -> Option<Instant> {
        let now = Instant::now();
        while self.next_due().is_some_and(|due| due <= now) {
            if let Some(next) = self.delayed.pop() {
                self.send(&next.delivery);
            }
        }
        self.next_due()
    }
}

/// Reads the frames of a machine.
pub(crate) async fn read(socket: tokio::net::UnixDatagram, machine: Arc<str>, shared: Arc<Shared>) {
    let mut buffer = vec![0; MAX_FRAME];
    loop {
        match socket.recv(&mut buffer).await {
            Ok(length) => shared.take(&machine, &buffer[..length]),
            // Nobody has the other end any more.
            Err(_) => return,
        }
        for _ in 0..BATCH {
            match socket.try_recv(&mut buffer) {
                Ok(length) => shared.take(&machine, &buffer[..length]),
                Err(_) => break,
            }
        }
        tokio::task::yield_now().await;
    }
}

/// Sends delayed frames when they are due.
pub(crate) async fn send_delayed(shared: Arc<Shared>) {
    loop {
        let next = shared.state().send_due();
        let earlier = shared.earlier.notified();
        match next {
            Some(due) => {
                tokio::select! {
                    () = tokio::time::sleep_until(due.into()) => {}
                    () = earlier => {}
                }
            }
            None => earlier.await,
        }
    }
}

impl Ord for Delayed {
    /// The greatest is the one that is due first.
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |one: &Self| (one.delivery.due, one.sequence);
        key(other).cmp(&key(self))
    }
}

impl PartialOrd for Delayed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Delayed {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Delayed {}
