//! Waiting for the machine's first address.
//!
//! The kernel tells of each that comes (rtnetlink(7)), so the wait is over when there is one.

use std::time::{Duration, Instant};

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::libc;
use nix::net::if_::InterfaceFlags;
use sys::netlink::{Family, Netlink};

/// The listeners to addresses of version 4, which is what DHCP gives.
const ADDRESSES: u32 = libc::RTMGRP_IPV4_IFADDR as u32;

/// Waits until the machine has an address that others may know it by, at most for so long; not at all
/// where it has no interface to get one on, or cannot be told of one.
pub(crate) fn wait(limit: Duration) {
    // Before the first look, so that none is missed.
    if let Ok(changes) = Netlink::open(Family::Route, ADDRESSES) {
        let change = |left| changes.wait(left).map(|()| changes.drain());
        wait_until(limit, change, || match getifaddrs() {
            Ok(interfaces) => is_enough(&interfaces.collect::<Vec<_>>()),
            Err(_) => true,
        });
    }
}

/// Looks whenever something has changed; whether it saw what it waits for.
fn wait_until(
    limit: Duration,
    change: impl Fn(Duration) -> nix::Result<()>,
    seen: impl Fn() -> bool,
) -> bool {
    let until = Instant::now() + limit;
    loop {
        if seen() {
            return true;
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        if change(left).is_err() {
            return false;
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
        let changes = Netlink::open(Family::Route, 0).unwrap();
        let nothing = |left| changes.wait(left);
        assert!(!wait_until(Duration::from_millis(30), nothing, || false));
        let looks = Cell::new(0);
        let second = || {
            looks.set(looks.get() + 1);
            looks.get() == 2
        };
        assert!(wait_until(Duration::from_secs(20), |_| Ok(()), second));
    }
}
