//! Chores: work on a machine while its power is cut, and checks of the acknowledged work.

use std::sync::atomic::{AtomicU64, Ordering};

use machine::MachineError;

use crate::guest::Line;

/// Repeated work with an increasing number.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Chore {
    /// Sets a value of the configuration that no service depends on: otherwise switching addons
    /// would restart the console.
    Configuration,
    /// Starts a container of the user and removes the one before the last.
    Container,
    /// Enables or disables one of two addons: none, `p`, both, `q`, and so on.
    Addons,
}

/// The preparation commands.
pub(crate) const BEFORE: [&str; 2] = [
    "sudo rancherctl config set addons.p '{services: {p: {image: \"rancher/os-base:${VERSION}\", \
     command: [/bin/sh, -c, sleep 100000], volumes: [/usr:/usr:ro]}}}'",
    "sudo rancherctl config set addons.q '{services: {q: {image: \"rancher/os-base:${VERSION}\", \
     command: [/bin/sh, -c, sleep 100000], volumes: [/usr:/usr:ro]}}}'",
];

impl Chore {
    pub(crate) const ALL: [Self; 3] = [Self::Configuration, Self::Container, Self::Addons];

    /// Repeats the work until the power is cut, and records the number of acknowledged repetitions.
    pub(crate) async fn repeat(self, line: Line, done: &AtomicU64) -> Result<(), MachineError> {
        loop {
            let next = done.load(Ordering::Relaxed) + 1;
            line.ask(&self.command(next)).await?;
            done.store(next, Ordering::Relaxed);
        }
    }

    /// The command of the `n`th repetition.
    fn command(self, n: u64) -> String {
        match self {
            Self::Configuration => format!("sudo rancherctl config set hostname n{n}"),
            Self::Container => {
                let old = n.saturating_sub(2);
                format!(
                    "docker run -d --network none --name c{n} busybox /bin/busybox sleep 3600 && \
                     {{ docker rm -f c{old} || true; }}"
                )
            }
            Self::Addons => {
                let (switch, addon) = match n % 4 {
                    0 => ("disable", "q"),
                    1 => ("enable", "p"),
                    2 => ("enable", "q"),
                    _ => ("disable", "p"),
                };
                format!("sudo rancherctl addon {switch} --now {addon}")
            }
        }
    }

    /// A command that prints the number of the last visible repetition, or its remainder by [`Self::cycle`].
    fn question(self) -> &'static str {
        match self {
            Self::Configuration => "sudo rancherctl config get hostname | sed -n 's/^n//p'",
            Self::Container => {
                "docker ps -a --format '{{.Names}}' | sed -n 's/^c//p' | sort -n | tail -n 1"
            }
            Self::Addons => {
                "sudo rancherctl addon list | awk '$2 == \"enabled\" { on[$1] = 1 } \
                 END { print on[\"p\"] ? 1 + on[\"q\"] : 3 * on[\"q\"] }'"
            }
        }
    }

    /// The number of repetitions after which the state recurs.
    fn cycle(self) -> Option<u64> {
        matches!(self, Self::Addons).then_some(4)
    }

    /// Checks that the acknowledged work is visible; the next repetition may or may not be. Returns the
    /// last visible one.
    pub(crate) async fn check(self, line: &Line, acknowledged: u64) -> Result<u64, MachineError> {
        let seen = line.ask(self.question()).await?;
        let seen = match seen.trim() {
            "" => Ok(0),
            number => number.parse::<u64>(),
        };
        let rest = |n: u64| self.cycle().map_or(n, |cycle| n % cycle);
        let mut may_be = acknowledged..=acknowledged + 1;
        let last = may_be.find(|&n| seen.as_ref().is_ok_and(|&seen| seen == rest(n)));
        last.ok_or_else(|| {
            let why =
                format!("{self:?}: {acknowledged} was acknowledged, but the machine has {seen:?}");
            MachineError::Other(why)
        })
    }
}
