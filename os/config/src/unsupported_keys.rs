//! Keys of other versions of RancherOS that this one does not support (RancherOS v1.5,
//! `config/types.go`).

/// Unsupported keys, each with a replacement as a hint. A key includes the keys below it.
const KEYS: [(&str, &str); 23] = [
    ("autologin", "log in with a key or a password"),
    ("bootstrap", "set `services`"),
    ("bootstrap_docker", "set `system_docker_args`"),
    ("console", "run `rancherctl addon enable debian-console`"),
    ("defaults", "set the key itself"),
    ("docker", USER_DOCKER),
    ("docker.data_root", DATA),
    ("docker.graph", DATA),
    ("network.http_proxy", "set `environment`"),
    ("network.https_proxy", "set `environment`"),
    ("network.no_proxy", "set `environment`"),
    (
        "recovery",
        "put `rancher.rescue` on the kernel command line",
    ),
    ("registry_auths", "set `registries.credentials`"),
    (
        "resize_device",
        "remove it, the state file system grows automatically",
    ),
    ("services_include", "set `enabledAddons`"),
    ("shutdown_timeout", "run `reboot -t SECONDS`"),
    (
        "ssh.daemon",
        "set `services.console.disabled`, or `ssh.allow`",
    ),
    ("ssh.listen_address", "set `ssh.allow`"),
    (
        "state.mdadm_scan",
        "set `state.dev` to a disk or a partition",
    ),
    ("state.lvm_scan", "set `state.dev` to a disk or a partition"),
    ("system_docker", "set `system_docker_args`"),
    ("userdocker.data_root", DATA),
    ("userdocker.tls", "set `userdocker.use_tls`"),
];

const USER_DOCKER: &str = "set `userdocker.args`, or write /etc/docker/daemon.json";
const DATA: &str = "mount a disk on /var/lib/docker with `mounts`";

/// The hint for an unsupported key: what to do instead of setting it.
pub(crate) fn replacement(key: &str) -> Option<&'static str> {
    let known = KEYS.iter().filter(|(known, _)| {
        key.strip_prefix(known)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    });
    let longest = known.max_by_key(|(known, _)| known.len());
    longest.map(|(_, replacement)| *replacement)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacement_is_that_of_the_longest_matching_key() {
        assert_eq!(replacement("docker.args"), Some(USER_DOCKER));
        assert_eq!(replacement("docker.data_root"), Some(DATA));
        assert_eq!(replacement("dockers"), None);
    }

    #[test]
    fn unsupported_keys_are_not_in_the_schema() {
        for (key, _) in KEYS {
            let mut document = crate::defaults();
            let path: Vec<_> = key.split('.').map(str::to_owned).collect();
            crate::path::put(&mut document, &path, serde_yaml::Value::Null);
            let error = crate::validate(&document).unwrap_err().to_string();
            assert!(error.starts_with("unknown key"), "{key}: {error}");
        }
    }
}
