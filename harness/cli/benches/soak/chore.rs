//! What is done on a machine while its power is cut, and how it is seen that it was done.

use std::sync::atomic::{AtomicU64, Ordering};

use machine::MachineError;

use crate::guest::Line;

/// Work that is done again and again, with a number that grows.
#[derive(Debug, Clone, Copy)]
pub enum Chore {
    /// A value of the configuration is set: one that no service depends on, or switching addons at
    /// once would start the console anew.
    Configuration,
    /// A container of the user's is started, in the place of the one before the last.
    Container,
    /// One of two addons is switched on or off: neither, `p`, both, `q`, and again.
    Addons,
}

/// What has to be there before.
pub const BEFORE: [&str; 2] = [
    "sudo rancherctl config set addons.p '{services: {p: {image: \"rancher/os-base:${VERSION}\", \
     command: [/bin/sh, -c, sleep 100000], volumes: [/usr:/usr:ro]}}}'",
    "sudo rancherctl config set addons.q '{services: {q: {image: \"rancher/os-base:${VERSION}\", \
     command: [/bin/sh, -c, sleep 100000], volumes: [/usr:/usr:ro]}}}'",
];

impl Chore {
    pub const ALL: [Self; 3] = [Self::Configuration, Self::Container, Self::Addons];

    /// Does it until the power is cut, and writes down how often it was acknowledged.
    pub async fn repeat(self, line: Line, done: &AtomicU64) -> Result<(), MachineError> {
        loop {
            let next = done.load(Ordering::Relaxed) + 1;
            line.ask(&self.command(next)).await?;
            done.store(next, Ordering::Relaxed);
        }
    }

    /// The command that does it for the `n`th time.
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

    /// A command that prints the number of the last time that is seen, or its rest by [`Self::cycle`].
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

    /// After how many times all is as it was.
    fn cycle(self) -> Option<u64> {
        matches!(self, Self::Addons).then_some(4)
    }

    /// Sees whether what was acknowledged is there. The one after that may be, or not. Gives the
    /// last that is.
    pub async fn check(self, line: &Line, acknowledged: u64) -> Result<u64, MachineError> {
        let seen = line.ask(self.question()).await?;
        let seen = match seen.trim() {
            "" => Ok(0),
            number => number.parse::<u64>(),
        };
        let rest = |n: u64| self.cycle().map_or(n, |cycle| n % cycle);
        let mut may_be = acknowledged..=acknowledged + 1;
        let last = may_be.find(|&n| seen.as_ref().is_ok_and(|&seen| seen == rest(n)));
        last.ok_or_else(|| {
            let why = format!("{self:?}: {acknowledged} was acknowledged, and now it is {seen:?}");
            MachineError::Other(why)
        })
    }
}
