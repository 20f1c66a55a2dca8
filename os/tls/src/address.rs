//! Waiting for the machine's first address, which the kernel reports on a netlink socket (rtnetlink(7)).

use std::time::{Duration, Instant};

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::libc;
use nix::net::if_::InterfaceFlags;
use sys::netlink::{Family, Netlink};

/// The multicast group of IPv4 addresses, the kind that DHCP assigns.
const ADDRESSES: u32 = libc::RTMGRP_IPV4_IFADDR as u32;

/// Waits until the machine has an address that other computers can reach, or until the timeout expires.
/// Returns at once if the machine has no network interface, or if changes cannot be watched.
pub(crate) fn wait(timeout: Duration) {
    // Opened before the addresses are listed, so that no change is missed.
    if let Ok(changes) = Netlink::open(Family::Route, ADDRESSES) {
        let wait_for_change = |left| changes.wait(left).map(|()| changes.drain());
        wait_until(timeout, wait_for_change, || match getifaddrs() {
            Ok(interfaces) => is_enough(&interfaces.collect::<Vec<_>>()),
            Err(_) => true,
        });
    }
}

/// Checks a condition at the start and after each change; returns whether it became true in time.
fn wait_until(
    timeout: Duration,
    wait_for_change: impl Fn(Duration) -> nix::Result<()>,
    condition: impl Fn() -> bool,
) -> bool {
    let until = Instant::now() + timeout;
    loop {
        if condition() {
            return true;
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || wait_for_change(left).is_err() {
            return false;
        }
    }
}

/// Whether an interface has an address, or there is no interface that could get one.
fn is_enough(interfaces: &[InterfaceAddress]) -> bool {
    let mut outward = interfaces
        .iter()
        .filter(|it| !it.flags.contains(InterfaceFlags::IFF_LOOPBACK))
        .peekable();
    outward.peek().is_none() || outward.any(has_address)
}

/// Whether an interface has an IPv4 address other than a link-local one, which it assigned to itself
/// (RFC 3927).
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
    fn is_enough_is_false_while_an_interface_may_get_an_address() {
        let (lo, up) = (InterfaceFlags::IFF_LOOPBACK, InterfaceFlags::IFF_UP);
        let own = interface("lo", lo, Some("127.0.0.1"));
        assert!(
            is_enough(std::slice::from_ref(&own)),
            "no interface can get one"
        );
        let bare = interface("eth0", up, None);
        assert!(!is_enough(&[own.clone(), bare.clone()]));
        let alone = interface("eth0", up, Some("169.254.7.7"));
        assert!(!is_enough(&[own.clone(), bare.clone(), alone]));
        let leased = interface("eth0", up, Some("10.0.2.15"));
        assert!(is_enough(&[own, bare, leased]));
    }

    #[test]
    fn wait_until_returns_when_the_timeout_expires_or_the_condition_holds() {
        let changes = Netlink::open(Family::Route, 0).unwrap();
        let no_change = |left| changes.wait(left);
        assert!(!wait_until(Duration::from_millis(30), no_change, || false));
        let checks = Cell::new(0);
        let second = || {
            checks.set(checks.get() + 1);
            checks.get() == 2
        };
        assert!(wait_until(Duration::from_secs(20), |_| Ok(()), second));
    }
}
