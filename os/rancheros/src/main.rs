//! All programs of the machine in one file: what it is called by says which of them it is, as with
//! busybox. They share most of what they are made of, and the whole machine lies in memory.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let called = std::env::args_os().next().unwrap_or_default();
    match Path::new(&called)
        .file_name()
        .and_then(|name| name.to_str())
    {
        Some("init") if is_the_machines() => init::pid1::main(),
        Some("supervisor") => init::supervisor::main(),
        Some("power") => init::power::main(),
        Some("power-button") => init::power_button::main(),
        Some("console") => init::console::main(),
        Some("user-docker") => init::user_docker::main(),
        // As containerd calls it.
        Some("containerd-shim-runc-v2") => init::shim::main(),
        // As the shim of the user's containers calls it.
        Some("runc") => init::runtime::main(),
        // As people call them in the console.
        Some(name) if init::machine_programs::NAMES.contains(&name) => {
            init::machine_programs::main(name)
        }
        Some("network") => network::main(),
        // As udhcpc calls it.
        Some("dhcp-lease") => network::lease_script(),
        Some("ntp") => ntp::main(),
        Some("cloud-init") => cloud_init::main(),
        // The one that people type, also as `reboot`, `init 6` and the like.
        _ => rancherctl::main(),
    }
}

/// Whether an `init` is that of the machine, or the keeper beside it: people call one with a runlevel.
fn is_the_machines() -> bool {
    std::process::id() == 1 || std::env::args().nth(1).as_deref() == Some("keeper")
}
