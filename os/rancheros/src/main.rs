//! All programs of the machine in one binary; the name that it is called by selects the program, as in
//! busybox. The programs share most of their code, and the machine's root file system is in memory.

use std::path::Path;
use std::process::ExitCode;

use console::machine_programs;

fn main() -> ExitCode {
    let path = std::env::args_os().next().unwrap_or_default();
    match Path::new(&path).file_name().and_then(|name| name.to_str()) {
        Some("init") if is_machine_init() => init::main(),
        Some("supervisor") => supervisor::main(),
        Some("power") => power::main(),
        Some("power-button") => power::button::main(),
        Some("console") => console::main(),
        Some("user-docker") => user_docker::main(),
        // Containerd runs it.
        Some("containerd-shim-runc-v2") => shim::shared::main(),
        // The shim of the user's containers runs it.
        Some("runc") => shim::runtime::main(),
        // People run them in the console.
        Some(name) if machine_programs::NAMES.contains(&name) => machine_programs::main(name),
        Some("network") => network::main(),
        // udhcpc runs it.
        Some("dhcp-lease") => network::lease_script(),
        Some("ntp") => ntp::main(),
        Some("cloud-init") => cloud_init::main(),
        // `rancherctl`, also by the names `reboot`, `init` and the like.
        _ => rancherctl::main(),
    }
}

/// Whether this is PID 1 or the keeper; otherwise people run `init` with a runlevel.
fn is_machine_init() -> bool {
    std::process::id() == 1 || std::env::args().nth(1).as_deref() == Some("keeper")
}
