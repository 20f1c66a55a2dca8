//! The configuration, and what of it the kernel is told.

use super::{Boot, sysctl};
use crate::engine;
use crate::sys::{Result, Sys};

pub(super) fn configuration(boot: &mut Boot<'_>) -> Result<()> {
    let cmdline = boot.sys.read("/proc/cmdline")?;
    let loaded = config::load(config::FOLDER.as_ref(), &cmdline);
    boot.config = loaded.config;
    boot.layers = loaded.layers;
    for warning in boot.config.placed_warnings(&boot.layers) {
        boot.report.say(&format!("rancher: {warning}"));
    }
    let store = config::Store::machine();
    if let Err(error) = store.remove_unfinished() {
        boot.report
            .say(&format!("rancher: {}: {error}", config::FOLDER));
    }
    // Without the copy the next mistake costs more, and this boot nothing.
    if let Err(error) = store.save_last_good() {
        boot.report
            .say(&format!("rancher: {}: {error}", config::GOOD_LAYER));
    }
    let problems: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems.join("; "))
    }
}

pub(super) fn hostname(boot: &mut Boot<'_>) -> Result<()> {
    // Containers have it mounted, so it must be there.
    let servers = boot.config.dns.resolv_conf().unwrap_or_default();
    boot.sys.write("/etc/resolv.conf", &servers)?;
    call(boot.sys, &boot.config.hostname)
}

/// Gives the machine, and the container that this is, a name.
pub(crate) fn call(sys: &mut dyn Sys, asked: &str) -> Result<()> {
    let is_name = config::hostname::is_valid(asked);
    let name = if is_name { asked } else { "rancher" };
    // Containers have these files mounted, so they must be there whatever comes of the name.
    let hosts = format!(
        "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.1.1 {name}\n"
    );
    sys.write("/etc/hosts", &hosts)?;
    sys.write("/etc/hostname", &format!("{name}\n"))?;
    sys.set_hostname(name)?;
    if name == asked {
        Ok(())
    } else {
        Err(format!("`{asked}` is not a host name"))
    }
}

/// Time zones, as files of the tz database.
const ZONES: &str = "/usr/share/zoneinfo";

/// What programs take for the machine's time zone (tzset(3)).
const LOCALTIME: &str = "/etc/localtime";

pub(super) fn timezone(boot: &mut Boot<'_>) -> Result<()> {
    set_timezone(boot.sys, boot.config.timezone.name())
}

/// Gives the machine its time zone. The file is written in its place, for containers have it mounted.
pub(crate) fn set_timezone(sys: &mut dyn Sys, name: &str) -> Result<()> {
    let known = sys.copy_file(&format!("{ZONES}/{name}"), LOCALTIME);
    if known.is_ok() {
        return Ok(());
    }
    // Whatever it is: an engine would make a folder of what is not there.
    sys.copy_file(&format!("{ZONES}/UTC"), LOCALTIME)?;
    Err(format!(
        "there is no zone `{name}`; UTC holds; hint: `ls {ZONES}` in the console lists them"
    ))
}

/// What the engines are to know of registries, for their start.
pub(super) fn registries(boot: &mut Boot<'_>) -> Result<()> {
    let settings = boot.config.engine_settings();
    boot.sys.write(config::ENGINE_SETTINGS, &settings)
}

/// What the user adds to system-docker's arguments, read by the engine before it is PID 1 and could
/// only take the machine with it: its own hold where it refuses. They alone need nobody to read
/// them.
pub(super) fn system_docker_args(boot: &mut Boot<'_>) -> Result<()> {
    let words = boot.config.system_docker_arguments().words;
    let mut own = boot.config.clone();
    own.system_docker_args.clear();
    if words == own.system_docker_arguments().words {
        return Ok(());
    }
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let Err(why) = engine::validate(boot.sys, &words) else {
        return Ok(());
    };
    boot.config = own;
    Err(format!(
        "system_docker_args: the engine refuses them: {why}; system-docker runs without"
    ))
}

/// Seconds after which a kernel that panicked reboots: PID 1 is Docker, and when it cannot start
/// there is nobody left to do anything about it.
const REBOOT_AFTER_PANIC: &str = "10";

pub(super) fn kernel_settings(boot: &mut Boot<'_>) -> Result<()> {
    boot.sys
        .write("/proc/sys/kernel/panic", REBOOT_AFTER_PANIC)?;
    // A container is dozens of mounts and namespaces, each of which waits for the kernel's readers: it
    // asks them now instead of at the next tick, as other systems made for containers have it.
    boot.sys.write("/sys/kernel/rcu_expedited", "1")?;
    // The user's containers reach the network through this machine.
    boot.sys.write("/proc/sys/net/ipv4/ip_forward", "1")?;
    // An address that is taken from an interface takes no others with it.
    let promote = "/proc/sys/net/ipv4/conf/all/promote_secondaries";
    boot.sys.write(promote, "1")?;
    let loaded = load_modules(boot.sys, &boot.config.modules);
    // What is not there yet may come with a driver, or an engine: the supervisor sets it later.
    let wanted = &boot.config.sysctl;
    let failed = sysctl::apply(boot.sys, wanted, sysctl::Missing::Later);
    let failed = failed.iter().map(|one| one.placed(&boot.layers));
    let errors: Vec<_> = loaded.err().into_iter().chain(failed).collect();
    match errors.is_empty() {
        true => Ok(()),
        false => Err(errors.join("; ")),
    }
}

/// Loads modules that the configuration names.
pub(crate) fn load_modules(sys: &mut dyn Sys, modules: &[String]) -> Result<()> {
    if modules.is_empty() {
        return Ok(());
    }
    let mut arguments = vec!["-a", "-b"];
    arguments.extend(modules.iter().map(String::as_str));
    sys.run("/usr/sbin/modprobe", &arguments).map(drop)
}
