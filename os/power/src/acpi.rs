//! ACPI events of the kernel, on a generic netlink socket (`acpi_event`, see `drivers/acpi/event.c`).
//!
//! Input devices report the power button, too, but need one more driver, and can appear and disappear.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use sys::netlink::{Family, Netlink, Received};

/// The generic netlink family of ACPI events, and its multicast group.
const FAMILY: &str = "acpi_event";
const GROUP: &str = "acpi_mc_group";

/// The device class of both kinds of power buttons (control method and fixed hardware).
const POWER_BUTTON: &[u8] = b"button/power";

/// The timeout for the answer of the kernel to a request, which it sends at once.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

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
/// The bits of an attribute's type that are not flags (`NLA_TYPE_MASK`).
const TYPE: u16 = 0x3fff;

/// A socket that receives ACPI events.
pub(crate) struct Acpi(Netlink);

impl Acpi {
    /// Joins the kernel's group of ACPI events.
    ///
    /// # Errors
    /// The kernel has no such group, or the socket cannot be opened.
    pub(crate) fn open() -> Result<Self, String> {
        let group = find_group()?;
        let mask = match group {
            1..=32 => 1 << (group - 1),
            _ => return Err(format!("netlink: group {group} is out of range")),
        };
        open(mask).map(Self)
    }

    /// Reads the events in the queue; returns whether the power button was pressed.
    ///
    /// # Errors
    /// The socket cannot be read.
    pub(crate) fn is_pressed(&self) -> Result<bool, String> {
        let mut pressed = false;
        loop {
            match self.0.receive().map_err(netlink)? {
                Received::Message(message) => pressed |= is_press(&message),
                Received::Overflow => (),
                Received::Empty => return Ok(pressed),
            }
        }
    }
}

impl AsFd for Acpi {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn netlink(error: nix::errno::Errno) -> String {
    format!("netlink: {error}")
}

fn open(groups: u32) -> Result<Netlink, String> {
    Netlink::open(Family::Generic, groups).map_err(netlink)
}

/// Asks the kernel for the number of the group.
fn find_group() -> Result<u32, String> {
    let socket = open(0)?;
    socket.send(&request()).map_err(netlink)?;
    socket.wait(ANSWER_TIMEOUT).map_err(netlink)?;
    let group = match socket.receive().map_err(netlink)? {
        Received::Message(answer) => group_in(&answer),
        Received::Overflow | Received::Empty => None,
    };
    group.ok_or_else(|| format!("this kernel has no {FAMILY}"))
}

/// The request for the family's description: `CTRL_CMD_GETFAMILY`.
fn request() -> Vec<u8> {
    let name = [FAMILY.as_bytes(), &[0]].concat();
    let attribute = u16::try_from(4 + name.len()).unwrap_or_default();
    let padded = name.len().next_multiple_of(4);
    let whole = u32::try_from(HEADER + GENERIC_HEADER + 4 + padded).unwrap_or_default();
    let mut message = Vec::new();
    message.extend(whole.to_ne_bytes());
    message.extend(CONTROLLER.to_ne_bytes());
    message.extend(REQUEST.to_ne_bytes());
    // The sequence number and the port, which are not needed for a single request.
    message.extend([0; 8]);
    message.extend([GET_FAMILY, 1, 0, 0]);
    message.extend(attribute.to_ne_bytes());
    message.extend(FAMILY_NAME.to_ne_bytes());
    message.extend(&name);
    message.resize(HEADER + GENERIC_HEADER + 4 + padded, 0);
    message
}

/// The number of the group in the answer.
fn group_in(answer: &[u8]) -> Option<u32> {
    let body = answer.get(HEADER + GENERIC_HEADER..)?;
    let groups = find(body, GROUPS)?;
    let name = [GROUP.as_bytes(), &[0]].concat();
    let wanted = |group: &&[u8]| find(group, GROUP_NAME) == Some(&name);
    let group = attributes(groups).map(|(_, group)| group).find(wanted)?;
    Some(u32::from_ne_bytes(find(group, GROUP_ID)?.try_into().ok()?))
}

fn is_press(message: &[u8]) -> bool {
    let body = message.get(HEADER + GENERIC_HEADER..).unwrap_or_default();
    // An event begins with the class of the device.
    find(body, EVENT).is_some_and(|event| event.starts_with(POWER_BUTTON))
}

fn find(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut all = attributes(bytes);
    all.find_map(|(kind, value)| (kind == wanted).then_some(value))
}

/// The attributes in a message: the length (including these 4 bytes), the type and the value, padded to a
/// multiple of 4 bytes.
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
    fn group_is_found_by_name_when_the_family_has_several() {
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
        assert_eq!(group_in(&answer), Some(5));
        assert_eq!(group_in(&message(&[])), None);
    }

    #[test]
    fn press_is_an_event_of_the_power_button() {
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
    fn attributes_end_when_a_value_is_cut_short() {
        let mut bytes = attribute(1, b"whole");
        bytes.extend([200, 0, 2, 0, 1]);
        assert_eq!(attributes(&bytes).collect::<Vec<_>>(), [(1, &b"whole"[..])]);
    }
}
