//! Waiting for the machine's first address.
//!
//! The kernel tells of each that comes (rtnetlink(7)), so the wait is over when there is one.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::libc;
use nix::net::if_::InterfaceFlags;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};

/// The listeners to addresses of version 4, which is what DHCP gives.
const ADDRESSES: u32 = libc::RTMGRP_IPV4_IFADDR as u32;

/// Waits until the machine has an address that others may know it by, at most for so long; not at all
/// where it has no interface to get one on, or cannot be told of one.
pub fn wait(limit: Duration) {
    // Before the first look, so that none is missed.
    if let Ok(changes) = listen() {
        wait_until(limit, &changes, || match getifaddrs() {
            Ok(interfaces) => is_enough(&interfaces.collect::<Vec<_>>()),
            Err(_) => true,
        });
    }
}

fn listen() -> nix::Result<OwnedFd> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        SockProtocol::NetlinkRoute,
    )?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, ADDRESSES))?;
    Ok(socket)
}

/// Looks whenever something has changed; whether it saw what it waits for.
fn wait_until(limit: Duration, changes: &OwnedFd, seen: impl Fn() -> bool) -> bool {
    let until = Instant::now() + limit;
    loop {
        if seen() {
            return true;
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        // Rounded up, so that the time is over when nothing has changed.
        let timeout = PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX);
        match poll(
            &mut [PollFd::new(changes.as_fd(), PollFlags::POLLIN)],
            timeout,
        ) {
            Ok(_) => empty(changes),
            Err(Errno::EINTR) => (),
            Err(_) => return false,
        }
    }
}

/// Takes all that was told so far: what it is about is looked up.
fn empty(changes: &OwnedFd) {
    let mut buffer = [0; 8192];
    loop {
        match recv(changes.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Ok(_) | Err(Errno::EINTR | Errno::ENOBUFS) => (),
            Err(_) => return,
        }
    }
}

/// Whether there is an address, or nothing that could get one.
fn is_enough(interfaces: &[InterfaceAddress]) -> bool {
    let mut outward = interfaces
        .iter()
        .filter(|it| !it.flags.contains(InterfaceFlags::IFF_LOOPBACK))
        .peekable();
    outward.peek().is_none() || outward.any(has_address)
}

/// Not one that it gave itself as nobody else did (RFC 3927).
fn has_address(interface: &InterfaceAddress) -> bool {
    let address = interface.address.as_ref();
    let v4 = address.and_then(|address| address.as_sockaddr_in());
    v4.is_some_and(|v4| !v4.ip().is_link_local())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::net::SocketAddrV4;

    use nix::sys::socket::SockaddrStorage;

    use super::*;

    fn interface(name: &str, flags: InterfaceFlags, address: Option<&str>) -> InterfaceAddress {
        let address = address.map(|text| {
            let address: SocketAddrV4 = format!("{text}:0").parse().unwrap();
            SockaddrStorage::from(address)
        });
        InterfaceAddress {
            interface_name: name.into(),
            flags,
            address,
            netmask: None,
            broadcast: None,
            destination: None,
        }
    }

    #[test]
    fn an_address_is_waited_for_where_one_may_come() {
        let (lo, up) = (InterfaceFlags::IFF_LOOPBACK, InterfaceFlags::IFF_UP);
        let own = interface("lo", lo, Some("127.0.0.1"));
        assert!(is_enough(std::slice::from_ref(&own)), "nothing can get one");
        let bare = interface("eth0", up, None);
        assert!(!is_enough(&[own.clone(), bare.clone()]));
        let alone = interface("eth0", up, Some("169.254.7.7"));
        assert!(!is_enough(&[own.clone(), bare.clone(), alone]));
        let leased = interface("eth0", up, Some("10.0.2.15"));
        assert!(is_enough(&[own, bare, leased]));
    }

    #[test]
    fn the_wait_is_over_in_time_or_with_the_change() {
        let changes = listen().unwrap();
        assert!(!wait_until(Duration::from_millis(30), &changes, || false));
        let (told, tell) = std::io::pipe().unwrap();
        drop(tell);
        let looks = Cell::new(0);
        let second = || {
            looks.set(looks.get() + 1);
            looks.get() == 2
        };
        assert!(wait_until(Duration::from_secs(20), &told.into(), second));
    }
}
