//! DHCP (RFC 2131): what the server answers.
//!
//! Messages are read by hand: `dhcproto` brings more than forty crates, and its `Message::chaddr` panics when
//! a guest states a hardware address of more than 16 bytes.

use std::net::Ipv4Addr;

use crate::subnet::Subnet;

/// UDP ports of DHCP (RFC 2131, 4.1).
pub(crate) const SERVER_PORT: u16 = 67;
pub(crate) const CLIENT_PORT: u16 = 68;
/// Length of the fixed part of a message (RFC 2131, 2), and the value that follows it (RFC 2132, 2).
pub(crate) const FIXED: usize = 236;
pub(crate) const MAGIC: [u8; 4] = [99, 130, 83, 99];
/// Offsets in the fixed part: flags, the client's present address, its new one.
pub(crate) const FLAGS: usize = 10;
const CIADDR: usize = 12;
pub(crate) const YIADDR: usize = 16;
pub(crate) const CHADDR: std::ops::Range<usize> = 28..34;

/// Options (RFC 2132).
const SUBNET_MASK: u8 = 1;
const REQUESTED_ADDRESS: u8 = 50;
const LEASE_TIME: u8 = 51;
const MESSAGE_TYPE: u8 = 53;
const SERVER: u8 = 54;
pub(crate) const END: u8 = 255;

/// Message types (RFC 2132, 9.6).
pub(crate) const DISCOVER: u8 = 1;
pub(crate) const OFFER: u8 = 2;
pub(crate) const REQUEST: u8 = 3;
pub(crate) const ACK: u8 = 5;
pub(crate) const NAK: u8 = 6;
const INFORM: u8 = 8;

/// A lease lasts longer than any trial.
const LEASE_SECONDS: u32 = 24 * 3600;

/// An answer to a client.
pub(crate) struct Answer {
    /// Whether the client cannot take a packet to its address yet.
    pub(crate) is_broadcast: bool,
    pub(crate) message: Vec<u8>,
}

/// The answer to a message of the client with this address, if it asks this server.
pub(crate) fn answer(message: &[u8], address: Ipv4Addr, subnet: &Subnet) -> Option<Answer> {
    let (kind, requested, server) = read(message)?;
    if server.is_some_and(|server| server != subnet.server()) {
        // Another server is asked.
        return None;
    }
    let present = ip(&message[CIADDR..CIADDR + 4])?;
    let present = Some(present).filter(|present| !present.is_unspecified());
    let wanted = requested.or(present).unwrap_or(address);
    let kind = match kind {
        DISCOVER => OFFER,
        REQUEST if wanted == address => ACK,
        REQUEST => NAK,
        INFORM => ACK,
        _ => return None,
    };
    Some(Answer {
        // A client without an address gets a broadcast, unless it can take a unicast (RFC 2131, 4.1).
        is_broadcast: kind == NAK || message[FLAGS] & 0x80 != 0,
        message: reply(message, kind, address, subnet),
    })
}

fn reply(asked: &[u8], kind: u8, address: Ipv4Addr, subnet: &Subnet) -> Vec<u8> {
    let server = subnet.server().octets();
    let mut reply = vec![0; FIXED];
    // BOOTREPLY, Ethernet, 6 bytes; the transaction, the flags and the client stay.
    reply[..4].copy_from_slice(&[2, 1, 6, 0]);
    reply[4..8].copy_from_slice(&asked[4..8]);
    reply[FLAGS..FLAGS + 2].copy_from_slice(&asked[FLAGS..FLAGS + 2]);
    reply[CHADDR].copy_from_slice(&asked[CHADDR]);
    if kind != NAK {
        reply[YIADDR..YIADDR + 4].copy_from_slice(&address.octets());
    }
    reply.extend(MAGIC);
    let mut option = |code: u8, value: &[u8]| {
        let length = u8::try_from(value.len()).unwrap_or_default();
        reply.extend([code, length]);
        reply.extend(value);
    };
    option(MESSAGE_TYPE, &[kind]);
    option(SERVER, &server);
    if kind != NAK {
        option(LEASE_TIME, &LEASE_SECONDS.to_be_bytes());
        option(SUBNET_MASK, &subnet.mask().octets());
    }
    reply.push(END);
    reply
}

/// The type of a request, the address that it asks for, and the server that it names.
fn read(message: &[u8]) -> Option<(u8, Option<Ipv4Addr>, Option<Ipv4Addr>)> {
    let magic = message.get(FIXED..FIXED + MAGIC.len())?;
    // BOOTREQUEST.
    if message[0] != 1 || magic != MAGIC {
        return None;
    }
    let (mut kind, mut requested, mut server) = (None, None, None);
    let mut rest = &message[FIXED + MAGIC.len()..];
    while let Some((&code, after)) = rest.split_first() {
        match code {
            0 => rest = after,
            END => break,
            _ => {
                let (&length, after) = after.split_first()?;
                let (value, after) = after.split_at_checked(length.into())?;
                match code {
                    MESSAGE_TYPE => kind = value.first().copied(),
                    REQUESTED_ADDRESS => requested = ip(value),
                    SERVER => server = ip(value),
                    _ => {}
                }
                rest = after;
            }
        }
    }
    Some((kind?, requested, server))
}

pub(crate) fn ip(bytes: &[u8]) -> Option<Ipv4Addr> {
    let bytes: [u8; 4] = bytes.try_into().ok()?;
    Some(bytes.into())
}
