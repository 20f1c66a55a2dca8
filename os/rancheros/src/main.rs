//! All programs of the machine in one binary; the name that it is called by selects the program, as in
//! busybox. The programs share most of their code, and the machine's root file system is in memory.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let called = std::env::args_os().next().unwrap_or_default();
    match Path::new(&called)
        .file_name()
        .and_then(|name| name.to_str())
    {
        Some("init") if is_machine_init() => init::pid1::main(),
        Some("supervisor") => init::supervisor::main(),
        Some("power") => init::power::main(),
        Some("power-button") => init::power_button::main(),
        Some("console") => init::console::main(),
        Some("user-docker") => init::user_docker::main(),
        // containerd calls it.
        Some("containerd-shim-runc-v2") => init::shim::main(),
        // The shim of the user's containers calls it.
        Some("runc") => init::runtime::main(),
        // Users call them in the console.
        Some(name) if init::machine_programs::NAMES.contains(&name) => {
            init::machine_programs::main(name)
        }
        Some("network") => network::main(),
        // udhcpc calls it.
        Some("dhcp-lease") => network::lease_script(),
        Some("ntp") => ntp::main(),
        Some("cloud-init") => cloud_init::main(),
        // Users call it, also as `reboot`, `init 6` and the like.
        _ => rancherctl::main(),
    }
}

/// Whether `init` is PID 1 or the keeper that PID 1 starts. Users call `init` with a runlevel.
fn is_machine_init() -> bool {
    std::process::id() == 1 || std::env::args().nth(1).as_deref() == Some("keeper")
}
