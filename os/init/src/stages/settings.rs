//! The configuration, and the settings that it makes before system-docker starts.

use settings::{Missing, apply_sysctls, load_modules, set_hostname, set_timezone};
use sys::Result;

use crate::boot::Boot;

/// Reads the configuration, and reports what is left out.
pub(crate) fn configuration(boot: &mut Boot<'_>) -> Result<()> {
    let cmdline = boot.sys.read("/proc/cmdline")?;
    let loaded = config::load(config::FOLDER.as_ref(), &cmdline);
    boot.config = loaded.config;
    boot.layers = loaded.layers;
    for warning in boot.config.placed_warnings(&boot.layers) {
        boot.report.print(&format!("rancher: {warning}"));
    }
    let store = config::Store::machine();
    if let Err(error) = store.remove_unfinished() {
        boot.report
            .print(&format!("rancher: {}: {error}", config::FOLDER));
    }
    // This boot does not need the copy of the last valid document.
    if let Err(error) = store.save_last_good() {
        boot.report
            .print(&format!("rancher: {}: {error}", config::GOOD_LAYER));
    }
    let problems: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems.join("; "))
    }
}

/// Sets the host name, and writes `/etc/resolv.conf`.
pub(crate) fn hostname(boot: &mut Boot<'_>) -> Result<()> {
    // Containers mount the file, so it must exist.
    let servers = boot.config.dns.resolv_conf().unwrap_or_default();
    boot.sys.write("/etc/resolv.conf", &servers)?;
    set_hostname(boot.sys, &boot.config.hostname)
}

/// Sets the time zone.
pub(crate) fn timezone(boot: &mut Boot<'_>) -> Result<()> {
    set_timezone(boot.sys, boot.config.timezone.name())
}

/// Writes the settings file of the engines, which has the registries.
pub(crate) fn registries(boot: &mut Boot<'_>) -> Result<()> {
    let settings = boot.config.engine_settings();
    boot.sys.write(config::ENGINE_SETTINGS, &settings)
}

/// Lets the engine check the arguments that the user adds for system-docker, before it is PID 1: if PID 1
/// exits, the kernel panics. Without such arguments there is nothing to check.
///
/// # Errors
/// The engine rejects them; system-docker starts without them.
pub(crate) fn system_docker_args(boot: &mut Boot<'_>) -> Result<()> {
    let words = boot.config.system_docker_arguments().words;
    let mut own = boot.config.clone();
    own.system_docker_args.clear();
    if words == own.system_docker_arguments().words {
        return Ok(());
    }
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let Err(why) = engines::validate(boot.sys, &words) else {
        return Ok(());
    };
    boot.config = own;
    Err(format!(
        "system_docker_args: the engine rejects them: {why}; system-docker runs without them"
    ))
}

/// The seconds until a kernel that panicked reboots: PID 1 is Docker, and if it cannot start no other
/// process can handle that.
const REBOOT_AFTER_PANIC: &str = "10";

/// Sets the machine's own kernel settings and the configured ones, and loads the configured modules.
pub(crate) fn kernel_settings(boot: &mut Boot<'_>) -> Result<()> {
    boot.sys
        .write("/proc/sys/kernel/panic", REBOOT_AFTER_PANIC)?;
    // Starting a container changes dozens of mounts and namespaces, each of which waits for an RCU grace
    // period. Expedited grace periods do not wait for the next tick; other container systems use them, too.
    boot.sys.write("/sys/kernel/rcu_expedited", "1")?;
    // The user's containers reach the network through this machine.
    boot.sys.write("/proc/sys/net/ipv4/ip_forward", "1")?;
    // Removing the primary address of an interface must not remove its secondary addresses.
    let promote = "/proc/sys/net/ipv4/conf/all/promote_secondaries";
    boot.sys.write(promote, "1")?;
    let loaded = load_modules(boot.sys, &boot.config.modules);
    // A setting that does not exist yet may appear with a driver or an engine: the supervisor sets it
    // later.
    let wanted = &boot.config.sysctl;
    let failed = apply_sysctls(boot.sys, wanted, Missing::Skip);
    let failed = failed.iter().map(|one| one.placed(&boot.layers));
    let errors: Vec<_> = loaded.err().into_iter().chain(failed).collect();
    if errors.is_empty() {
        Ok(())
    } else {
        Err(errors.join("; "))
    }
}
