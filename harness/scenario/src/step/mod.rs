//! The kinds of steps, one file for each: its keys, its checks, its title, its default timeout and its
//! traits. The runner has a file of the same name, which performs it.
//!
//! Five files are not kinds: `kind` (what each defines), `declare` (the list as a macro), `checked` (steps that
//! passed the lint), `state` (the machine after the steps so far) and `text` (parts of titles).

mod checked;
mod client;
mod clock;
mod crash;
mod declare;
mod disk;
mod docker;
mod events;
mod hotplug;
mod kill;
mod kind;
mod memory;
mod name_server;
mod network;
mod pause;
mod power_button;
mod power_cut;
mod power_off;
mod reboot;
mod reset;
mod resume;
mod serial;
mod ssh;
mod state;
mod text;
mod time_server;
mod undo;
mod wait_for;

pub use checked::Step;
pub use client::ClientStep;
pub use clock::{ClockStep, Jump};
pub use crash::{CrashCause, CrashStep};
pub use disk::{DiskError, DiskStep};
pub use docker::{
    DockerAction, DockerExec, DockerImport, DockerPs, DockerRun, DockerStep, DockerTls, Restart,
};
pub use events::EventsStep;
pub use hotplug::{HotplugStep, Plugged};
pub use kill::{KillStep, SignalName};
pub use memory::MemoryStep;
pub use name_server::NameServerStep;
pub use network::{Link, NetworkStep};
pub use pause::PauseStep;
pub use power_button::PowerButtonStep;
pub use power_cut::PowerCutStep;
pub use power_off::{Line, PowerOffStep};
pub use reboot::RebootStep;
pub use reset::ResetStep;
pub use resume::ResumeStep;
pub use serial::{SerialLogin, SerialStep};
pub use ssh::{KeyName, SshStep, Upload};
pub use time_server::TimeServerStep;
pub use undo::Undone;
pub use wait_for::{WaitAction, WaitContainer, WaitForStep, WaitSsh};

pub(crate) use kind::{Effect, StepKind};
pub(crate) use state::MachineState;

declare::step_kinds! {
    /// A command, a file or a login over SSH.
    ssh: Ssh(SshStep),
    /// Input and output of the serial console.
    serial: Serial(SerialStep),
    /// A request to a Docker engine.
    docker: Docker(DockerStep),
    /// A reboot, verified by a changed boot ID.
    reboot: Reboot(RebootStep),
    /// A power cut, then power on.
    power_cut: PowerCut(PowerCutStep),
    /// A press of the reset button.
    reset: Reset(ResetStep),
    /// Waits for a condition.
    wait_for: WaitFor(WaitForStep),
    /// The expected boot events.
    events: Events(EventsStep),
    /// Hot-plugs a disk or a network card.
    hotplug: Hotplug(HotplugStep),
    /// Starts a time server (NTP).
    time_server: TimeServer(TimeServerStep),
    /// A command on a client computer.
    client: Client(ClientStep),
    /// Starts a name server (DNS).
    name_server: NameServer(NameServerStep),
    /// A kernel panic, then a reboot.
    crash: Crash(CrashStep),
    /// Sends a signal to processes or to a container.
    kill: Kill(KillStep),
    /// Pauses the machine.
    pause: Pause(PauseStep),
    /// Resumes a paused machine.
    resume: Resume(ResumeStep),
    /// Makes a network fail, slow or lossy.
    network: Network(NetworkStep),
    /// Makes a disk fail, slow or full.
    disk: Disk(DiskStep),
    /// Sets the clock forward or back.
    clock: Clock(ClockStep),
    /// Takes memory from the machine.
    memory: Memory(MemoryStep),
    /// Presses the power button.
    power_button: PowerButton(PowerButtonStep),
    /// A command that powers the machine off.
    power_off: PowerOff(PowerOffStep),
    /// Reverts faults before the trial ends.
    undo: Undo(Undone),
}
