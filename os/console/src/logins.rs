//! The login programs: getty on the screen and on every serial console, and the SSH listener.

use std::path::Path;

use config::Config;
use sys::respawn::Program;

use crate::{host_keys, sshd};

/// The programs that a login over SSH needs.
const NEEDED: [&str; 2] = [sshd::DROPBEAR, "/bin/bash"];

/// A file that this image needs to be a console, but does not have.
pub(crate) fn missing() -> Option<&'static str> {
    NEEDED.into_iter().find(|file| !Path::new(file).exists())
}

/// All programs that are kept running in the console.
pub(crate) fn programs(config: &Config) -> Vec<Program> {
    // The kernel's consoles, such as `tty0 ttyS0`; the screen's first terminal takes the place of tty0.
    let active = std::fs::read_to_string("/sys/class/tty/console/active").unwrap_or_default();
    let serial = active.split_whitespace().filter(|name| !is_screen(name));
    let mut programs = vec![getty("tty1", "linux")];
    programs.extend(serial.map(|name| getty(name, "vt100")));
    programs.push(sshd(config));
    programs
}

fn is_screen(name: &str) -> bool {
    name.strip_prefix("tty")
        .is_some_and(|number| number.parse::<u8>().is_ok())
}

/// `-L`: no modem control; 0 keeps the line speed.
fn getty(tty: &str, terminal: &str) -> Program {
    Program::new("/usr/bin/getty", &["-L", "0", tty, terminal])
}

/// The SSH listener with dropbear's arguments. `-w`: no logins as root. Without `-E` it logs to the
/// machine's log, which has a bounded size, because any client can cause messages.
fn sshd(config: &Config) -> Program {
    let keys = host_keys::files();
    let mut arguments = vec!["-w"];
    arguments.extend(keys.iter().flat_map(|file| ["-r", file]));
    if !config.accepts_passwords() {
        arguments.push("-s");
    }
    sshd::program(config, &arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_screen_is_false_when_the_console_is_serial() {
        assert!(is_screen("tty0") && is_screen("tty1"));
        assert!(!is_screen("ttyS0") && !is_screen("hvc0"));
    }

    #[test]
    fn sshd_accepts_passwords_when_a_password_is_set() {
        let accepts = |cmdline: &str| {
            let config = config::from_cmdline(cmdline).config;
            !sshd(&config).arguments.contains(&"-s".into())
        };
        assert!(!accepts(""));
        assert!(accepts("rancher.password=x"));
        assert!(!accepts("rancher.password=x rancher.ssh.passwords=false"));
        assert!(accepts("rancher.ssh.passwords=true"));
    }

    #[test]
    fn sshd_logs_to_the_machines_log() {
        let sshd = sshd(&config::from_cmdline("").config);
        // `-E` is standard error, which nothing rotates.
        assert!(!sshd.arguments.contains(&"-E".into()));
        assert_eq!(sshd.log, None);
    }

    #[test]
    fn sshd_has_the_configured_port_and_networks() {
        let cmdline = "rancher.ssh.port=2022 rancher.ssh.allow=[10.0.0.0/8,fd00::1]";
        let arguments = sshd(&config::from_cmdline(cmdline).config).arguments;
        assert_eq!(arguments[..3], ["sshd", "2022", "10.0.0.0/8,fd00::1/128"]);
    }
}
