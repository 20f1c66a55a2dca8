//! The programs that let people in: getty on the screen and on every serial console, dropbear for SSH.

use std::path::Path;

use config::Config;

use super::host_keys;
use crate::respawn::Program;

/// Without these nobody can log in over SSH.
const NEEDED: [&str; 2] = [SSHD, "/bin/bash"];

const SSHD: &str = "/usr/sbin/dropbear";

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
    programs.push(sshd(config, addresses_are_random()));
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

/// Whether each program that starts gets other addresses than the last one
/// (`Documentation/admin-guide/sysctl/kernel.rst`).
fn addresses_are_random() -> bool {
    let setting = std::fs::read_to_string("/proc/sys/kernel/randomize_va_space");
    !setting.is_ok_and(|setting| setting.trim() == "0")
}

/// `-F`: in the foreground; `-w`: not root; `-G`: only that group. It tells the machine's
/// log of all who come, which has a bound: anybody can make it say more.
///
/// dropbear starts itself anew for each connection, so that each has its own addresses. Where they are
/// all the same that is only work, a third of what an emulated machine does until the server speaks; it
/// forks where it cannot open what it is called (`svr-main.c`).
fn sshd(config: &Config, addresses_are_random: bool) -> Program {
    let keys = host_keys::files();
    let mut arguments = vec!["-F", "-w", "-G", "docker", "-p", "22"];
    arguments.extend(keys.iter().flat_map(|file| ["-r", file]));
    if config.password.is_none() {
        // No password could be right: do not ask for one.
        arguments.push("-s");
    }
    let program = Program::new(SSHD, &arguments);
    match addresses_are_random {
        true => program,
        false => program.called("dropbear"),
    }
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
    fn passwords_are_asked_for_only_where_there_is_one() {
        let mut config = config::from_cmdline("").config;
        assert!(sshd(&config, true).arguments.contains(&"-s".into()));
        config.password = Some("x".into());
        assert!(!sshd(&config, true).arguments.contains(&"-s".into()));
    }

    #[test]
    fn what_strangers_can_make_longer_has_a_bound() {
        let sshd = sshd(&config::from_cmdline("").config, true);
        // To standard error, which nothing makes shorter.
        assert!(!sshd.arguments.contains(&"-E".into()));
        assert_eq!(sshd.log, None);
    }

    #[test]
    fn each_connection_has_addresses_of_its_own_where_there_are_any() {
        let config = config::from_cmdline("").config;
        assert!(Path::new(&sshd(&config, true).name).is_absolute());
        assert!(!Path::new(&sshd(&config, false).name).is_absolute());
    }
}
