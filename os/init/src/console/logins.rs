//! The programs that let people in: getty on the screen and on every serial console, the listener for SSH.

use std::path::Path;

use config::Config;

use super::{host_keys, sshd};
use crate::respawn::Program;

/// Without these nobody can log in over SSH.
const NEEDED: [&str; 2] = [sshd::DROPBEAR, "/bin/bash"];

/// What the image that this is lacks to be a console.
pub fn missing() -> Option<&'static str> {
    NEEDED.into_iter().find(|file| !Path::new(file).exists())
}

/// Everything that is kept running in the console.
pub fn programs(config: &Config) -> Vec<Program> {
    // The kernel's consoles, e.g. `tty0 ttyS0`; the screen's first terminal stands for tty0.
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

/// `-L`: no modem control; 0 keeps the line speed as it is.
fn getty(tty: &str, terminal: &str) -> Program {
    Program::new("/usr/bin/getty", &["-L", "0", tty, terminal])
}

/// dropbear's arguments. `-w`: not root. It logs whom it lets in to the machine's log, which has a bound:
/// anybody can make it say more.
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
    fn serial_lines_are_no_screens() {
        assert!(is_screen("tty0") && is_screen("tty1"));
        assert!(!is_screen("ttyS0") && !is_screen("hvc0"));
    }

    #[test]
    fn sshd_accepts_passwords_when_there_is_one_unless_the_configuration_says_otherwise() {
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
    fn sshd_logs_to_what_has_a_bound() {
        let sshd = sshd(&config::from_cmdline("").config);
        // To standard error, which nothing makes shorter.
        assert!(!sshd.arguments.contains(&"-E".into()));
        assert_eq!(sshd.log, None);
    }

    #[test]
    fn sshd_is_told_its_port_and_whom_it_accepts() {
        let cmdline = "rancher.ssh.port=2022 rancher.ssh.allow=[10.0.0.0/8,fd00::1]";
        let arguments = sshd(&config::from_cmdline(cmdline).config).arguments;
        assert_eq!(arguments[..3], ["sshd", "2022", "10.0.0.0/8,fd00::1/128"]);
    }
}
