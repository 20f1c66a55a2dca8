//! The options of Docker 26 (`dockerd --help`) and the types of their values.
//!
//! An engine exits at once when it is started with an unknown option, and later when it uses an invalid
//! value.

use std::net::IpAddr;

use crate::Address;
use crate::validate::nearest;

/// The type of a value.
#[derive(Clone, Copy)]
enum Kind {
    Flag,
    Number,
    Text,
    Ip,
    /// An address with a prefix length.
    Network,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// One of [`LOG_DRIVERS`], or the driver of a plugin.
    LogDriver,
    /// `KEY=VALUE`.
    Pair,
    /// A value of this type; the option may occur more than once.
    List(&'static Kind),
}

use Kind::{Flag, Ip, List, LogDriver, Network, Number, OneOf, Pair, Text};

const LEVELS: Kind = OneOf(&["debug", "info", "warn", "error", "fatal", "panic", "trace"]);

/// The built-in log drivers; plugins add others.
const LOG_DRIVERS: [&str; 10] = [
    "awslogs",
    "fluentd",
    "gcplogs",
    "gelf",
    "journald",
    "json-file",
    "local",
    "none",
    "splunk",
    "syslog",
];

const KNOWN: [(&str, Kind); 77] = [
    ("add-runtime", List(&Pair)),
    ("allow-nondistributable-artifacts", List(&Text)),
    ("api-cors-header", Text),
    ("authorization-plugin", List(&Text)),
    ("bip", Network),
    ("bridge", Text),
    ("cdi-spec-dir", List(&Text)),
    ("cgroup-parent", Text),
    ("config-file", Text),
    ("containerd", Text),
    ("containerd-namespace", Text),
    ("containerd-plugins-namespace", Text),
    ("cpu-rt-period", Number),
    ("cpu-rt-runtime", Number),
    ("cri-containerd", Flag),
    ("data-root", Text),
    ("debug", Flag),
    ("default-address-pool", List(&Pair)),
    ("default-cgroupns-mode", OneOf(&["host", "private"])),
    ("default-gateway", Ip),
    ("default-gateway-v6", Ip),
    ("default-ipc-mode", OneOf(&["private", "shareable"])),
    ("default-network-opt", List(&Pair)),
    ("default-runtime", Text),
    ("default-shm-size", Text),
    ("default-ulimit", List(&Pair)),
    ("dns", List(&Ip)),
    ("dns-opt", List(&Text)),
    ("dns-search", List(&Text)),
    ("exec-opt", List(&Pair)),
    ("exec-root", Text),
    ("experimental", Flag),
    ("fixed-cidr", Network),
    ("fixed-cidr-v6", Network),
    ("group", Text),
    ("host", List(&Text)),
    ("host-gateway-ip", Ip),
    ("http-proxy", Text),
    ("https-proxy", Text),
    ("icc", Flag),
    ("init", Flag),
    ("init-path", Text),
    ("insecure-registry", List(&Text)),
    ("ip", Ip),
    ("ip-forward", Flag),
    ("ip-masq", Flag),
    ("ip6tables", Flag),
    ("iptables", Flag),
    ("ipv6", Flag),
    ("label", List(&Pair)),
    ("live-restore", Flag),
    ("log-driver", LogDriver),
    ("log-format", OneOf(&["json", "text"])),
    ("log-level", LEVELS),
    ("log-opt", List(&Pair)),
    ("max-concurrent-downloads", Number),
    ("max-concurrent-uploads", Number),
    ("max-download-attempts", Number),
    ("metrics-addr", Text),
    ("mtu", Number),
    ("network-control-plane-mtu", Number),
    ("no-new-privileges", Flag),
    ("no-proxy", Text),
    ("node-generic-resource", List(&Pair)),
    ("pidfile", Text),
    ("raw-logs", Flag),
    ("registry-mirror", List(&Text)),
    ("seccomp-profile", Text),
    ("selinux-enabled", Flag),
    ("shutdown-timeout", Number),
    (
        "storage-driver",
        OneOf(&["btrfs", "fuse-overlayfs", "overlay2", "vfs", "zfs"]),
    ),
    ("storage-opt", List(&Pair)),
    ("swarm-default-advertise-addr", Text),
    ("tls", Flag),
    ("tlscacert", Text),
    ("tlsverify", Flag),
    ("userland-proxy", Flag),
];

/// The other options; their values are files and names.
const TEXTS: [&str; 4] = ["tlscert", "tlskey", "userland-proxy-path", "userns-remap"];

/// The error of an option and its value, if any. The value of a flag without a value is `true`.
pub(super) fn error(name: &str, value: &str) -> Option<String> {
    let Some((_, kind)) = KNOWN.iter().find(|(known, _)| *known == name) else {
        return (!TEXTS.contains(&name)).then(|| unknown(name));
    };
    let kind = match kind {
        List(item) => item,
        single => single,
    };
    let expected = match kind {
        Flag if boolean(value).is_none() => "`true` or `false`".into(),
        Number if value.parse::<i64>().is_err() => "a number".into(),
        Ip if value.parse::<IpAddr>().is_err() => "an address such as `10.0.0.1`".into(),
        Network if value.parse::<Address>().is_err() => "an address such as `10.0.0.1/24`".into(),
        LogDriver if !LOG_DRIVERS.contains(&value) => {
            let near = nearest(value, &LOG_DRIVERS)?;
            format!("a log driver; hint: did you mean `{near}`?")
        }
        OneOf(words) if !words.contains(&value) => format!("one of {}", words.join(", ")),
        Pair if value.split_once('=').is_none_or(|(key, _)| key.is_empty()) => "`KEY=VALUE`".into(),
        _ => return None,
    };
    Some(format!("`--{name}={value}`: the value must be {expected}"))
}

/// Whether Docker has an option of this name.
pub(super) fn is_known(name: &str) -> bool {
    TEXTS.contains(&name) || KNOWN.iter().any(|(known, _)| *known == name)
}

/// Parses the value of a flag as Go does (`strconv.ParseBool`).
pub(super) fn boolean(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Whether an option is a flag, which takes no value in the next word.
pub(super) fn is_flag(name: &str) -> bool {
    let known = KNOWN.iter().find(|(known, _)| *known == name);
    known.is_some_and(|(_, kind)| matches!(kind, Flag))
}

/// Whether an option may occur more than once.
pub(super) fn is_repeatable(name: &str) -> bool {
    let known = KNOWN.iter().find(|(known, _)| *known == name);
    known.is_some_and(|(_, kind)| matches!(kind, List(_)))
}

/// The error for an option that Docker does not have.
pub(super) fn unknown(name: &str) -> String {
    match nearest_option(name) {
        Some(near) => format!("Docker has no option `--{name}`; hint: did you mean `--{near}`?"),
        None => format!("Docker has no option `--{name}`"),
    }
}

/// The option with the most similar name.
pub(super) fn nearest_option(name: &str) -> Option<&'static str> {
    let names: Vec<_> = KNOWN.iter().map(|(name, _)| *name).chain(TEXTS).collect();
    nearest(name, &names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn option_is_rejected_when_the_engine_would_exit_because_of_it() {
        for (name, value) in [
            ("nonsense", "true"),
            ("mtu", "big"),
            ("icc", "maybe"),
            ("dns", "nine"),
            ("bip", "10.0.0.1"),
            ("log-level", "chatty"),
            ("log-driver", "jsonfile"),
            ("label", "x"),
            ("storage-driver", "devicemaper"),
        ] {
            assert!(error(name, value).is_some(), "{name}={value}");
        }
        for (name, value) in [
            ("mtu", "1400"),
            ("icc", "false"),
            ("bip", "10.0.0.1/24"),
            ("label", "a=b"),
            ("userns-remap", "default"),
            ("log-driver", "loki"),
        ] {
            assert_eq!(error(name, value), None, "{name}={value}");
        }
        let message = error("log-levle", "info").unwrap();
        assert!(
            message.ends_with("hint: did you mean `--log-level`?"),
            "{message}"
        );
    }

    #[test]
    fn option_table_is_sorted_and_has_no_duplicates() {
        assert!(KNOWN.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
