//! The power button, and the signals of busybox: a press switches the machine off the way `poweroff` does.
//!
//! busybox's own `reboot`, `poweroff` and `halt`, which its shell runs without looking at `PATH`, send a
//! signal to a process called `linuxrc`, and to PID 1 if there is none (`init/halt.c`). So this process
//! has that name, and does what the commands of the machine do.
//!
//! The kernel tells of it on a generic netlink socket (`acpi_event`, see `drivers/acpi/event.c`).
//! Input devices tell of it, too, but need a driver more, and come and go.

use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::process::{Command, ExitCode};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, sendto,
    socket,
};

/// The family that tells of what the firmware saw, and its group of listeners.
const FAMILY: &str = "acpi_event";
const GROUP: &str = "acpi_mc_group";
/// What a power button is called in it, whichever of the two kinds of hardware it is.
const POWER: &[u8] = b"button/power";

/// Numbers of `linux/netlink.h`, `linux/genetlink.h` and `drivers/acpi/event.c`.
const HEADER: usize = 16;
const GENERIC_HEADER: usize = 4;
const REQUEST: u16 = 1;
const CONTROLLER: u16 = 16;
const GET_FAMILY: u8 = 3;
const FAMILY_NAME: u16 = 2;
const GROUPS: u16 = 7;
const GROUP_NAME: u16 = 1;
const GROUP_ID: u16 = 2;
const EVENT: u16 = 1;
/// The flags in the type of an attribute.
const TYPE: u16 = 0x3fff;

/// The name that busybox looks for.
const NAME: &str = "linuxrc";

/// What busybox sends for what (`init/halt.c`).
const SIGNALS: [(Signal, &str); 3] = [
    (Signal::SIGTERM, "reboot"),
    (Signal::SIGUSR1, "halt"),
    (Signal::SIGUSR2, "poweroff"),
];

/// Listens until the machine ends.
pub fn main() -> ExitCode {
    let button = find_group().and_then(open);
    if let Err(error) = &button {
        eprintln!("rancher: the power button is not heard: {error}");
    }
    if let Err(error) = listen(button.ok()) {
        eprintln!("rancher: neither the power button nor busybox is heard: {error}");
    }
    // Started again it would meet the same.
    loop {
        std::thread::park();
    }
}

fn listen(button: Option<OwnedFd>) -> Result<(), String> {
    let told = |error: Errno| error.to_string();
    let wanted = SigSet::from_iter(SIGNALS.map(|(signal, _)| signal));
    wanted.thread_block().map_err(told)?;
    let signals = SignalFd::with_flags(&wanted, SfdFlags::SFD_CLOEXEC).map_err(told)?;
    std::fs::write("/proc/self/comm", NAME).map_err(|error| error.to_string())?;
    loop {
        let both = [Some(signals.as_fd()), button.as_ref().map(AsFd::as_fd)];
        let both = both.into_iter().flatten();
        let mut both = Vec::from_iter(both.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        match poll(&mut both, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => (),
            Err(error) => return Err(told(error)),
        }
        let ready = Vec::from_iter(both.iter().map(|one| one.any() == Some(true)));
        if ready[0]
            && let Some(signal) = signals.read_signal().map_err(told)?
            && let Some(action) = asked_by(signal.ssi_signo)
        {
            println!("rancher: busybox asks for `{action}`");
            end(action);
        }
        if let (Some(button), Some(true)) = (&button, ready.get(1))
            && receive(button)?.as_deref().is_some_and(is_press)
        {
            println!("rancher: the power button was pressed");
            end("poweroff");
        }
    }
}

fn asked_by(signal: u32) -> Option<&'static str> {
    let mut known = SIGNALS.into_iter();
    known.find_map(|(known, action)| (known as u32 == signal).then_some(action))
}

fn end(action: &str) {
    let program = format!("{}/power", crate::PROGRAMS);
    if let Err(error) = Command::new(program).arg(action).status() {
        eprintln!("rancher: {action}: {error}");
    }
}

/// Asks the kernel for the number of the group.
fn find_group() -> Result<u32, String> {
    let line = open(0)?;
    let question = question();
    sendto(
        line.as_raw_fd(),
        &question,
        &NetlinkAddr::new(0, 0),
        MsgFlags::empty(),
    )
    .map_err(|error| error.to_string())?;
    let answer = receive(&line)?.unwrap_or_default();
    group_of(&answer).ok_or_else(|| format!("this kernel has no {FAMILY}"))
}

fn open(group: u32) -> Result<OwnedFd, String> {
    let open = || {
        let line = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkGeneric,
        )?;
        let mask = match group {
            0 => 0,
            1..=32 => 1 << (group - 1),
            _ => return Err(Errno::ERANGE),
        };
        bind(line.as_raw_fd(), &NetlinkAddr::new(0, mask))?;
        Ok(line)
    };
    open().map_err(|error: Errno| format!("netlink: {error}"))
}

/// One message; none where the kernel had more than the socket holds.
fn receive(line: &OwnedFd) -> Result<Option<Vec<u8>>, String> {
    let mut buffer = vec![0; 8192];
    match recv(line.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
        Ok(length) => {
            buffer.truncate(length);
            Ok(Some(buffer))
        }
        Err(Errno::EINTR | Errno::ENOBUFS) => Ok(None),
        Err(error) => Err(format!("netlink: {error}")),
    }
}

fn question() -> Vec<u8> {
    let name = [FAMILY.as_bytes(), &[0]].concat();
    let attribute = u16::try_from(4 + name.len()).unwrap_or_default();
    let padded = name.len().next_multiple_of(4);
    let whole = u32::try_from(HEADER + GENERIC_HEADER + 4 + padded).unwrap_or_default();
    let mut message = Vec::new();
    message.extend(whole.to_ne_bytes());
    message.extend(CONTROLLER.to_ne_bytes());
    message.extend(REQUEST.to_ne_bytes());
    // Sequence and port, which nobody else uses here.
    message.extend([0; 8]);
    message.extend([GET_FAMILY, 1, 0, 0]);
    message.extend(attribute.to_ne_bytes());
    message.extend(FAMILY_NAME.to_ne_bytes());
    message.extend(&name);
    message.resize(HEADER + GENERIC_HEADER + 4 + padded, 0);
    message
}

/// The group's number in the controller's answer.
fn group_of(answer: &[u8]) -> Option<u32> {
    let body = answer.get(HEADER + GENERIC_HEADER..)?;
    let groups = find(body, GROUPS)?;
    let name = [GROUP.as_bytes(), &[0]].concat();
    let wanted = |group: &&[u8]| find(group, GROUP_NAME) == Some(&name);
    let group = attributes(groups).map(|(_, group)| group).find(wanted)?;
    Some(u32::from_ne_bytes(find(group, GROUP_ID)?.try_into().ok()?))
}

fn is_press(message: &[u8]) -> bool {
    let body = message.get(HEADER + GENERIC_HEADER..).unwrap_or_default();
    // It begins with the class of the device.
    find(body, EVENT).is_some_and(|event| event.starts_with(POWER))
}

fn find(attributes_of: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut all = attributes(attributes_of);
    all.find_map(|(kind, value)| (kind == wanted).then_some(value))
}

/// Each is its length (with this head of 4 bytes), its type and its value, filled up to 4 bytes.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let number = |at: usize| Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
        let (length, kind) = (usize::from(number(0)?), number(2)? & TYPE);
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + value.len()).unwrap();
        let head = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        let mut whole = [&head, value].concat();
        whole.resize(whole.len().next_multiple_of(4), 0);
        whole
    }

    fn message(body: &[Vec<u8>]) -> Vec<u8> {
        [vec![0; HEADER + GENERIC_HEADER], body.concat()].concat()
    }

    #[test]
    fn the_group_is_found_among_others() {
        let group = |name: &[u8], id: u32| {
            let parts = [
                attribute(GROUP_NAME, name),
                attribute(GROUP_ID, &id.to_ne_bytes()),
            ];
            attribute(1 | 0x8000, &parts.concat())
        };
        let groups = [group(b"other\0", 2), group(b"acpi_mc_group\0", 5)].concat();
        let name = attribute(FAMILY_NAME, b"acpi_event\0");
        let answer = message(&[name, attribute(GROUPS | 0x8000, &groups)]);
        assert_eq!(group_of(&answer), Some(5));
        assert_eq!(group_of(&message(&[])), None);
    }

    #[test]
    fn a_press_is_told_from_what_else_the_firmware_sees() {
        let event = |class: &[u8]| {
            let mut event = class.to_vec();
            event.resize(44, 0);
            message(&[attribute(EVENT, &event)])
        };
        assert!(is_press(&event(b"button/power")));
        assert!(!is_press(&event(b"battery")));
        assert!(!is_press(&message(&[])[..7]));
    }

    #[test]
    fn signal_of_busybox_asks_for_what_its_applet_is_called() {
        assert_eq!(asked_by(15), Some("reboot"));
        assert_eq!(asked_by(10), Some("halt"));
        assert_eq!(asked_by(12), Some("poweroff"));
        assert_eq!(asked_by(1), None);
    }

    #[test]
    fn a_value_cut_short_ends_the_list() {
        let mut bytes = attribute(1, b"whole");
        bytes.extend([200, 0, 2, 0, 1]);
        assert_eq!(attributes(&bytes).collect::<Vec<_>>(), [(1, &b"whole"[..])]);
    }
}
