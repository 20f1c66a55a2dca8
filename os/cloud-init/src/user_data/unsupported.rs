//! What other systems understand and this one does not: keys of a cloud-config and files that
//! programs of other systems read. Each is told with what to use instead.

use std::path::Path;

use serde_yaml::Value;

/// Keys of cloud-init's modules, and what to use instead.
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
        "write `rancher: { services: … }` for units and `hostname`, `write_files` for the rest",
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
        "log in as `rancher` and use sudo; root has no login here",
    ),
    ("disable_root_opts", NONE),
    ("disk_setup", DISKS),
    ("drivers", "set `rancher: { modules: […] }`"),
    ("fan", RUNCMD),
    ("final_message", "print it with `runcmd`"),
    ("fs_setup", DISKS),
    ("growpart", "the state disk grows by itself"),
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
    ("resize_rootfs", "the state disk grows by itself"),
    ("salt_minion", RUNCMD),
    ("snap", PACKAGES),
    ("ssh", "see `rancher: { ssh: … }`"),
    (
        "ssh_deletekeys",
        "host keys are made once, and kept where there is a state disk",
    ),
    (
        "ssh_genkeytypes",
        "host keys are made once, and kept where there is a state disk",
    ),
    ("ssh_import_id", "write the keys into `ssh_authorized_keys`"),
    (
        "ssh_keys",
        "set `rancher: { ssh: { keys: { TYPE: …, TYPE-pub: … } } }`",
    ),
    ("swap", "name a disk for it in `mounts`"),
    ("vendor_data", NONE),
    ("yum_repos", PACKAGES),
];

const PACKAGES: &str = "run the program as a container; the console has no package manager unless an \
                        addon brings one";
const RUNCMD: &str = "run the program as a container, from `runcmd`";
const CERTIFICATES: &str =
    "write a registry's certificate to /etc/docker/certs.d/HOST:PORT/ca.crt with `write_files`";
const DISKS: &str = "the state disk is made by `rancher.state.autoformat` on the kernel command line; \
                     name others in `mounts`";
const NONE: &str = "there is nothing of the kind here; leave it out";

/// What to use instead of a key.
pub(super) fn key(name: &str) -> Option<&'static str> {
    let found = KEYS.iter().find(|(known, _)| *known == name);
    found.map(|(_, instead)| *instead)
}

/// Whether a key says what is so anyway.
pub(super) fn asks_for_nothing(name: &str, value: &Value) -> bool {
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

/// Files, or folders with all that is in them (`/` at the end), that nothing here reads.
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
    ("/etc/logrotate.d/", "logs are rotated without it"),
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
        "set `ssh_authorized_keys` and `rancher: { ssh: … }`; the server is not OpenSSH",
    ),
    (
        "/etc/sudoers.d/",
        "members of group `sudo` may use sudo without a password",
    ),
    ("/etc/sysctl.conf", SYSCTL),
    ("/etc/sysctl.d/", SYSCTL),
    ("/etc/sysconfig/", NETWORK),
    ("/etc/systemd/", SYSTEMD),
    ("/etc/timezone", "set `rancher: { environment: { TZ: … } }`"),
    (
        "/etc/udev/",
        "set `rancher: { modules: […] }`; devices are named by mdev",
    ),
    ("/etc/ufw/", "load rules with `bootcmd`: iptables"),
    ("/lib/systemd/", SYSTEMD),
    (
        "/root/.ssh/",
        "set `ssh_authorized_keys`; root has no login here",
    ),
    ("/usr/lib/systemd/", SYSTEMD),
    ("/var/lib/cloud/", "use `runcmd` or `bootcmd`"),
    (
        "/var/lib/rancher/conf/cloud-config.d/",
        "write it into this cloud-config",
    ),
    ("/var/spool/cron/", CRON),
];

const CRON: &str = "there is no cron; run a container that has one";
const DOCKER: &str =
    "set `rancher: { userdocker: { args: […] } }`, or write /etc/docker/daemon.json";
const KERNEL: &str = "put `MODULE.OPTION=VALUE` on the kernel command line";
const MODULES: &str = "set `rancher: { modules: […] }`";
const NETWORK: &str = "set `rancher: { network: { interfaces: … } }`";
const NTP: &str = "set `rancher: { ntp: { servers: […] } }`";
const RC: &str = "use `bootcmd`, or write /opt/rancher/bin/start.sh";
const SYSCTL: &str = "set `rancher: { sysctl: … }`";
const SYSLOG: &str = "set `rancher: { services: { syslog: … } }`";
const SYSTEMD: &str = "there is no systemd; run a container with `--restart always`, or set `rancher: { services: … }`";

/// What to use instead of a file.
pub(super) fn file(path: &str) -> Option<&'static str> {
    let is = |known: &str| match known.strip_suffix('/') {
        Some(folder) => Path::new(path).starts_with(folder),
        None => path == known,
    };
    let found = FILES.iter().find(|(known, _)| is(known));
    found.map(|(_, instead)| *instead)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_nobody_reads_are_known_by_their_folder() {
        for path in [
            "/etc/ssh/sshd_config",
            "/etc/ssh/sshd_config.d/a.conf",
            "/etc/sysctl.conf",
            "/etc/sysctl.d/99-a.conf",
            "/etc/modules-load.d/tun.conf",
            "/etc/systemd/system/a.service",
        ] {
            assert!(file(path).is_some(), "{path}");
        }
        for path in [
            "/etc/docker/daemon.json",
            "/etc/profile.d/a.sh",
            "/etc/hosts",
            "/etc/modules-x",
            "/home/rancher/etc/ssh/x",
        ] {
            assert_eq!(file(path), None, "{path}");
        }
    }

    #[test]
    fn what_is_so_anyway_is_no_request() {
        assert!(asks_for_nothing("package_update", &false.into()));
        assert!(asks_for_nothing("manage_etc_hosts", &"localhost".into()));
        assert!(!asks_for_nothing("package_update", &true.into()));
        assert!(!asks_for_nothing("packages", &false.into()));
    }
}
