//! The subnet that the addon `flannel` leases for the containers of this machine.
//!
//! The engine applies a subnet only when it starts, and only if no container runs then: with live restore and
//! a running container it ignores other values of `--bip` and `--mtu` (measured with moby 26.1). So the
//! engine waits for flannel, for a limited time, before it starts. When the subnet changes later, or changed
//! while containers ran without their engine, the engine is restarted with its containers.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bollard::models::NetworkInspect;
use config::Config;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::sync::Notify;

use crate::report::warn;

/// The service, and the addon that defines it.
const SERVICE: &str = "flannel";

/// The folder with the files that flannel writes in this boot.
const FOLDER: &str = "/run/flannel";
const CURRENT: &str = "/run/flannel/subnet.env";

/// What flannel waits for, if it does.
const WAITS: &str = "/run/flannel/waits";

/// The subnet of the last boot. flannel leases it again, if it can.
const LAST: &str = "/var/lib/rancher/conf/flannel/subnet.env";

/// The timeout for flannel to lease a subnet. It needs a network and etcd.
const TIMEOUT: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// A subnet with the settings that belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subnet {
    /// The address of the bridge and the length of the prefix.
    pub(crate) address: String,
    /// The MTU in bytes: that of the machine's interface without the header of the backend.
    mtu: u16,
    /// Whether flannel translates the addresses of packets that leave the network.
    masquerades: bool,
}

impl Subnet {
    /// Parses a file of flannel.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let value = |name: &str| {
            let mut lines = text.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
        };
        let address = value("FLANNEL_SUBNET")?;
        let (ip, length) = address.split_once('/')?;
        ip.parse::<Ipv4Addr>().ok()?;
        length.parse::<u8>().ok().filter(|length| *length <= 32)?;
        Some(Self {
            address: address.into(),
            mtu: value("FLANNEL_MTU")?.parse().ok()?,
            masquerades: value("FLANNEL_IPMASQ") == Some("true"),
        })
    }

    fn read(path: &str) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(path).ok()?)
    }

    /// The settings of a network of the engine.
    pub(crate) fn of_network(network: &NetworkInspect) -> Option<Self> {
        let ranges = network.ipam.as_ref()?.config.as_ref()?;
        let address = ranges.iter().find_map(|range| {
            let gateway = range.gateway.as_deref()?.parse::<Ipv4Addr>().ok()?;
            let (_, length) = range.subnet.as_deref()?.split_once('/')?;
            Some(format!("{gateway}/{length}"))
        })?;
        let options = network.options.as_ref()?;
        let translates = options.get("com.docker.network.bridge.enable_ip_masquerade");
        Some(Self {
            address,
            mtu: options.get("com.docker.network.driver.mtu")?.parse().ok()?,
            masquerades: translates.is_some_and(|value| value == "false"),
        })
    }

    /// The arguments of the engine. Two programs that translate addresses would hide those of containers from
    /// other machines.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![
            format!("--bip={}", self.address),
            format!("--mtu={}", self.mtu),
        ];
        if self.masquerades {
            arguments.push("--ip-masq=false".into());
        }
        arguments
    }
}

/// Adds the arguments for a subnet to those of the machine. `userdocker.args` and `daemon.json` override them.
pub(crate) fn apply(subnet: Option<&Subnet>, config: &mut Config) {
    if let (Some(subnet), Some(engine)) = (subnet, config.services.get_mut("userdocker")) {
        engine.command.extend(subnet.arguments());
    }
}

/// Waits for the subnet, if the addon is enabled. Without one in time, the result is that of the last boot, and
/// the reason.
pub(crate) fn wait(config: &Config) -> (Option<Subnet>, Option<String>) {
    if !is_enabled(config) {
        return (None, None);
    }
    let until = Instant::now() + TIMEOUT;
    while Instant::now() < until {
        if let Some(subnet) = Subnet::read(CURRENT) {
            return (Some(subnet), None);
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    let last = Subnet::read(LAST);
    let waits = std::fs::read_to_string(WAITS).ok();
    let message = timeout_message(waits.as_deref(), last.as_ref());
    (last, Some(message))
}

fn timeout_message(waits: Option<&str>, last: Option<&Subnet>) -> String {
    let reason = match waits {
        Some(waits) => waits.trim(),
        None => "the service `flannel` does not run; hint: see `sudo rancherctl service ps`",
    };
    let uses = match last {
        Some(subnet) => format!("the last subnet, {}", subnet.address),
        None => "Docker's own network".into(),
    };
    let seconds = TIMEOUT.as_secs();
    format!(
        "timed out after {seconds} s waiting for flannel: {reason}; containers use {uses} until flannel has a subnet"
    )
}

/// The subnet that flannel has leased in this boot, if the addon is enabled.
pub(crate) fn current() -> Option<Subnet> {
    let subnet = Subnet::read(CURRENT)?;
    is_enabled(&config::load_machine().config).then_some(subnet)
}

fn is_enabled(config: &Config) -> bool {
    let services = config.effective_services();
    services.get(SERVICE).is_some_and(|one| !one.disabled)
}

/// Notifies of each file that flannel writes. The thread blocks until then, so it costs nothing without the
/// addon.
pub(crate) fn watch() -> Arc<Notify> {
    let written = Arc::new(Notify::new());
    if let Err(error) = watch_folder(Arc::clone(&written)) {
        warn(&format!(
            "{FOLDER}: {error}; a later change of the subnet is not noticed"
        ));
    }
    written
}

fn watch_folder(written: Arc<Notify>) -> std::io::Result<()> {
    std::fs::create_dir_all(FOLDER)?;
    let files = Inotify::init(InitFlags::IN_CLOEXEC)?;
    // flannel renames a complete file.
    files.add_watch(FOLDER, AddWatchFlags::IN_MOVED_TO)?;
    std::thread::spawn(move || {
        while files.read_events().is_ok() {
            written.notify_one();
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str =
        "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.7.1/24\nFLANNEL_MTU=1450\n";

    #[test]
    fn arguments_disable_the_engines_masquerading_when_flannel_masquerades() {
        let with = |more: &str| Subnet::parse(&format!("{FILE}{more}")).unwrap().arguments();
        let plain = ["--bip=10.244.7.1/24", "--mtu=1450"];
        assert_eq!(with("FLANNEL_IPMASQ=false\n"), plain);
        assert_eq!(with("FLANNEL_IPMASQ=true\n")[..2], plain);
        assert_eq!(with("FLANNEL_IPMASQ=true\n")[2], "--ip-masq=false");
    }

    #[test]
    fn parse_returns_none_when_a_value_is_missing_or_invalid() {
        for text in [
            "",
            "FLANNEL_MTU=1450\n",
            "FLANNEL_SUBNET=10.244.7.1/24\n",
            "FLANNEL_SUBNET=10.244.7.1/33\nFLANNEL_MTU=1450\n",
            "FLANNEL_SUBNET=x/24\nFLANNEL_MTU=1450\n",
            "FLANNEL_SUBNET=10.244.7.1/24\nFLANNEL_MTU=-1\n",
        ] {
            assert_eq!(Subnet::parse(text), None, "{text}");
        }
    }

    #[test]
    fn apply_keeps_the_users_arguments() {
        let mut config = config::from_cmdline("rancher.userdocker.args=[--mtu=1400]").config;
        apply(Subnet::parse(FILE).as_ref(), &mut config);
        let words = config.user_docker_arguments().words;
        assert!(words.contains(&"--bip=10.244.7.1/24".into()), "{words:?}");
        assert!(words.contains(&"--mtu=1400".into()), "{words:?}");
        assert!(!words.contains(&"--mtu=1450".into()), "{words:?}");
    }

    #[test]
    fn is_enabled_is_false_when_the_service_is_disabled() {
        let of = |cmdline: &str| is_enabled(&config::from_cmdline(cmdline).config);
        let enabled = "rancher.enabledAddons=[flannel]";
        assert!(of(enabled));
        assert!(!of(""));
    }

    #[test]
    fn timeout_message_names_what_flannel_waits_for_and_what_is_used() {
        let message = timeout_message(Some("etcd does not answer\n"), Subnet::parse(FILE).as_ref());
        assert_eq!(
            message,
            "timed out after 20 s waiting for flannel: etcd does not answer; containers use the last subnet, \
             10.244.7.1/24 until flannel has a subnet"
        );
        let message = timeout_message(None, None);
        assert!(message.contains("`flannel` does not run"), "{message}");
        assert!(message.contains("Docker's own network"), "{message}");
    }
}
