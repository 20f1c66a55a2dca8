//! Keys that other versions of RancherOS have and this one lacks, and what to use instead (RancherOS
//! v1.5, `config/types.go`).

/// Keys as they stand in a document, each with what to do instead. A key stands for those below it.
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
    ("resize_device", "the state disk grows by itself"),
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

/// What to do instead of setting a key.
pub fn instead(key: &str) -> Option<&'static str> {
    let stands_for = |known: &str| {
        key.strip_prefix(known)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let known = KEYS.iter().filter(|(known, _)| stands_for(known));
    let longest = known.max_by_key(|(known, _)| known.len());
    longest.map(|(_, instead)| *instead)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_stands_for_those_below_it_and_the_longest_one_holds() {
        assert_eq!(instead("docker.args"), Some(USER_DOCKER));
        assert_eq!(instead("docker.data_root"), Some(DATA));
        assert_eq!(instead("dockers"), None);
    }

    #[test]
    fn no_key_of_this_machine_is_among_them() {
        for (key, _) in KEYS {
            let mut document = crate::defaults();
            let path: Vec<_> = key.split('.').map(str::to_owned).collect();
            crate::path::put(&mut document, &path, serde_yaml::Value::Null);
            let misfit = crate::fit(&document).unwrap_err().to_string();
            assert!(misfit.starts_with("there is no key"), "{key}: {misfit}");
        }
    }
}
