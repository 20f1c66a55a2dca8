//! What is done on a machine while its power is cut, and how it is seen that it was done.

use std::sync::atomic::{AtomicU64, Ordering};

use harness::machine::MachineError;

use crate::guest::Line;

/// Work that is done again and again, with a number that grows.
#[derive(Debug, Clone, Copy)]
pub enum Chore {
    /// A value of the configuration is set.
    Configuration,
    /// A container of the user's is started, in the place of the one before the last.
    Container,
}

impl Chore {
    pub const ALL: [Self; 2] = [Self::Configuration, Self::Container];

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
            Self::Configuration => format!("sudo rancherctl config set environment.COUNT {n}"),
            Self::Container => {
                let old = n.saturating_sub(2);
                format!(
                    "docker run -d --network none --name c{n} busybox /bin/busybox sleep 3600 && \
                     {{ docker rm -f c{old} || true; }}"
                )
            }
        }
    }

    /// A command that prints the number of the last time that is seen.
    fn question(self) -> &'static str {
        match self {
            Self::Configuration => "sudo rancherctl config get environment.COUNT",
            Self::Container => {
                "docker ps -a --format '{{.Names}}' | sed -n 's/^c//p' | sort -n | tail -n 1"
            }
        }
    }

    /// Sees whether what was acknowledged is there. The one after that may be, or not. Gives the
    /// last that is.
    pub async fn check(self, line: &Line, acknowledged: u64) -> Result<u64, MachineError> {
        let seen = line.ask(self.question()).await?;
        let seen = match seen.trim() {
            "" => Ok(0),
            number => number.parse::<u64>(),
        };
        match seen {
            Ok(seen) if (acknowledged..=acknowledged + 1).contains(&seen) => Ok(seen),
            _ => Err(MachineError::Other(format!(
                "{self:?}: {acknowledged} was acknowledged, and now it is {seen:?}"
            ))),
        }
    }
}
