//! Directives of cloud-init and files of other systems that this one does not support, each with a hint.

use std::path::Path;

use serde_yaml::Value;

/// Directives of cloud-init's modules, each with a hint.
const KEYS: [(&str, &str); 53] = [
    ("apk_repos", PACKAGES),
    ("apt", PACKAGES),
    ("apt_pipelining", PACKAGES),
    ("apt_reboot_if_required", PACKAGES),
    ("apt_update", PACKAGES),
    ("apt_upgrade", PACKAGES),
    ("ansible", RUNCMD),
    ("bootsync", "use `bootcmd`"),
    ("byobu_by_default", PACKAGES),
    ("ca_certs", CERTIFICATES),
    ("chef", RUNCMD),
    (
        "chpasswd",
        "set `rancher: { password: … }`, or `passwd` of a user in `users`",
    ),
    ("cloud_config_modules", NONE),
    ("cloud_final_modules", NONE),
    ("cloud_init_modules", NONE),
    (
        "coreos",
        "replace units with `rancher: { services: … }`, and the rest with `hostname` and `write_files`",
    ),
    (
        "datasource",
        "set `rancher: { cloud_init: { datasources: […] } }`",
    ),
    (
        "datasource_list",
        "set `rancher: { cloud_init: { datasources: […] } }`",
    ),
    ("device_aliases", DISKS),
    ("disable_ec2_metadata", NONE),
    (
        "disable_root",
        "log in as `rancher` and use sudo; root cannot log in",
    ),
    ("disable_root_opts", NONE),
    ("disk_setup", DISKS),
    ("drivers", "set `rancher: { modules: […] }`"),
    ("fan", RUNCMD),
    ("final_message", "print it with `runcmd`"),
    ("fs_setup", DISKS),
    ("growpart", GROWS),
    ("keyboard", NONE),
    ("landscape", NONE),
    ("locale", "set `rancher: { environment: { LANG: … } }`"),
    ("lxd", NONE),
    ("merge_how", NONE),
    ("output", "read /var/log/cloud-init.log"),
    ("package_reboot_if_required", PACKAGES),
    ("package_update", PACKAGES),
    ("package_upgrade", PACKAGES),
    ("packages", PACKAGES),
    ("phone_home", "call it with `runcmd`"),
    ("power_state", "end `runcmd` with `reboot` or `poweroff`"),
    ("puppet", RUNCMD),
    ("random_seed", NONE),
    ("resize_rootfs", GROWS),
    ("salt_minion", RUNCMD),
    ("snap", PACKAGES),
    ("ssh", "see `rancher: { ssh: … }`"),
    ("ssh_deletekeys", HOST_KEYS),
    ("ssh_genkeytypes", HOST_KEYS),
    ("ssh_import_id", "write the keys into `ssh_authorized_keys`"),
    (
        "ssh_keys",
        "set `rancher: { ssh: { keys: { TYPE: …, TYPE-pub: … } } }`",
    ),
    ("swap", "add a swap disk to `mounts`"),
    ("vendor_data", NONE),
    ("yum_repos", PACKAGES),
];

const GROWS: &str = "remove it; the state file system grows automatically";
const HOST_KEYS: &str =
    "remove it; host keys are generated once and persist if there is a state disk";
const PACKAGES: &str = "run the program as a container, or enable a console addon that has a package \
                        manager";
const RUNCMD: &str = "run the program as a container, from `runcmd`";
const CERTIFICATES: &str =
    "write a registry's certificate to /etc/docker/certs.d/HOST:PORT/ca.crt with `write_files`";
const DISKS: &str = "put `rancher.state.autoformat` on the kernel command line to format the state disk; \
                     add other disks to `mounts`";
const NONE: &str = "remove it; this system has nothing like it";

/// The hint for an unsupported directive.
pub(super) fn key_replacement(name: &str) -> Option<&'static str> {
    let found = KEYS.iter().find(|(known, _)| *known == name);
    found.map(|(_, replacement)| *replacement)
}

/// Whether a directive requests what this system does anyway.
pub(super) fn is_no_op(name: &str, value: &Value) -> bool {
    let flag = match value {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) => match text.to_lowercase().as_str() {
            "true" | "yes" | "on" => Some(true),
            "false" | "no" | "off" => Some(false),
            _ => None,
        },
        _ => None,
    };
    match name {
        "disable_root" | "manage_etc_hosts" => flag == Some(true) || value == "localhost",
        "apt_reboot_if_required"
        | "apt_update"
        | "apt_upgrade"
        | "byobu_by_default"
        | "package_reboot_if_required"
        | "package_update"
        | "package_upgrade"
        | "preserve_hostname"
        | "resize_rootfs"
        | "ssh_deletekeys"
        | "manage_resolv_conf"
        | "prefer_fqdn_over_hostname"
        | "create_hostname_file" => flag == Some(false),
        _ => false,
    }
}

/// Files and folders (with a `/` at the end) that no program of this system reads, each with a hint.
const FILES: [(&str, &str); 47] = [
    ("/etc/NetworkManager/", NETWORK),
    ("/etc/apt/", PACKAGES),
    ("/etc/chrony.conf", NTP),
    ("/etc/chrony/", NTP),
    ("/etc/cron.d/", CRON),
    ("/etc/cron.daily/", CRON),
    ("/etc/cron.hourly/", CRON),
    ("/etc/cron.monthly/", CRON),
    ("/etc/cron.weekly/", CRON),
    ("/etc/crontab", CRON),
    ("/etc/default/docker", DOCKER),
    ("/etc/default/grub", KERNEL),
    (
        "/etc/environment",
        "set `rancher: { environment: … }`, or write a file in /etc/profile.d",
    ),
    ("/etc/fstab", "mount it with `bootcmd`"),
    ("/etc/group", "use `runcmd`: addgroup"),
    ("/etc/hostname", "set `hostname`"),
    ("/etc/init.d/", RC),
    ("/etc/iptables/", "load the rules with `bootcmd`"),
    (
        "/etc/logrotate.d/",
        "remove it; the system rotates its logs",
    ),
    ("/etc/modprobe.d/", KERNEL),
    ("/etc/modules", MODULES),
    ("/etc/modules-load.d/", MODULES),
    ("/etc/netplan/", NETWORK),
    ("/etc/network/", NETWORK),
    ("/etc/ntp.conf", NTP),
    ("/etc/openntpd/", NTP),
    ("/etc/passwd", "use `runcmd`: adduser"),
    ("/etc/rc.local", RC),
    ("/etc/resolv.conf", "set `rancher: { dns: … }`"),
    ("/etc/rsyslog.conf", SYSLOG),
    ("/etc/rsyslog.d/", SYSLOG),
    (
        "/etc/shadow",
        "set `rancher: { password: … }`, or `passwd` of a user in `users`",
    ),
    (
        "/etc/ssh/",
        "set `ssh_authorized_keys` and `rancher: { ssh: … }`; the SSH server is not OpenSSH",
    ),
    (
        "/etc/sudoers.d/",
        "add the user to the group `sudo`, which may use sudo without a password",
    ),
    ("/etc/sysctl.conf", SYSCTL),
    ("/etc/sysctl.d/", SYSCTL),
    ("/etc/sysconfig/", NETWORK),
    ("/etc/systemd/", SYSTEMD),
    ("/etc/timezone", "set `rancher: { environment: { TZ: … } }`"),
    (
        "/etc/udev/",
        "set `rancher: { modules: […] }`; mdev names the devices",
    ),
    ("/etc/ufw/", "load rules with `bootcmd`: iptables"),
    ("/lib/systemd/", SYSTEMD),
    (
        "/root/.ssh/",
        "set `ssh_authorized_keys`; root cannot log in",
    ),
    ("/usr/lib/systemd/", SYSTEMD),
    ("/var/lib/cloud/", "use `runcmd` or `bootcmd`"),
    (
        "/var/lib/rancher/conf/cloud-config.d/",
        "write it into this cloud-config",
    ),
    ("/var/spool/cron/", CRON),
];

const CRON: &str = "run a container with cron; this system has none";
const DOCKER: &str =
    "set `rancher: { userdocker: { args: […] } }`, or write /etc/docker/daemon.json";
const KERNEL: &str = "put `MODULE.OPTION=VALUE` on the kernel command line";
const MODULES: &str = "set `rancher: { modules: […] }`";
const NETWORK: &str = "set `rancher: { network: { interfaces: … } }`";
const NTP: &str = "set `rancher: { ntp: { servers: […] } }`";
const RC: &str = "use `bootcmd`, or write /opt/rancher/bin/start.sh";
const SYSCTL: &str = "set `rancher: { sysctl: … }`";
const SYSLOG: &str = "set `rancher: { services: { syslog: … } }`";
const SYSTEMD: &str = "run a container with `--restart always`, or set `rancher: { services: … }`; this \
                       system has no systemd";

/// The hint for a file that no program of this system reads.
pub(super) fn file_replacement(path: &str) -> Option<&'static str> {
    let matches = |known: &str| match known.strip_suffix('/') {
        Some(folder) => Path::new(path).starts_with(folder),
        None => path == known,
    };
    let found = FILES.iter().find(|(known, _)| matches(known));
    found.map(|(_, replacement)| *replacement)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_replacement_matches_files_below_a_folder() {
        for path in [
            "/etc/ssh/sshd_config",
            "/etc/ssh/sshd_config.d/a.conf",
            "/etc/sysctl.conf",
            "/etc/sysctl.d/99-a.conf",
            "/etc/modules-load.d/tun.conf",
            "/etc/systemd/system/a.service",
        ] {
            assert!(file_replacement(path).is_some(), "{path}");
        }
        for path in [
            "/etc/docker/daemon.json",
            "/etc/profile.d/a.sh",
            "/etc/hosts",
            "/etc/modules-x",
            "/home/rancher/etc/ssh/x",
        ] {
            assert_eq!(file_replacement(path), None, "{path}");
        }
    }

    #[test]
    fn directive_is_a_no_op_when_it_requests_the_default() {
        assert!(is_no_op("package_update", &false.into()));
        assert!(is_no_op("manage_etc_hosts", &"localhost".into()));
        assert!(!is_no_op("package_update", &true.into()));
        assert!(!is_no_op("packages", &false.into()));
    }
}
