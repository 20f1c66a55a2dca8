//! What the stages of the boot share.

use nix::mount::MsFlags;
use sys::report::Report;
use sys::{Mount, Result, Sys};

/// The machine, the report and the configuration, for one boot.
pub(crate) struct Boot<'a> {
    pub(crate) sys: &'a mut dyn Sys,
    pub(crate) report: &'a mut Report,
    pub(crate) config: config::Config,
    pub(crate) layers: Vec<config::Layer>,
}

impl<'a> Boot<'a> {
    /// A boot with the default configuration, until the stage `config` reads the machine's.
    pub(crate) fn new(sys: &'a mut dyn Sys, report: &'a mut Report) -> Self {
        let config = config::from_cmdline("").config;
        Self {
            sys,
            report,
            config,
            layers: Vec::new(),
        }
    }

    /// Mounts a file system; creates the mount point.
    pub(crate) fn mount(
        &mut self,
        source: &str,
        target: &str,
        kind: &str,
        flags: MsFlags,
        data: &str,
    ) -> Result<()> {
        self.sys.create_dir(target)?;
        self.sys.mount(Mount {
            source,
            target,
            kind,
            flags,
            data,
        })
    }

    /// mount(2) for bind mounts, moves and changes of propagation, which need flags only.
    pub(crate) fn remount(&mut self, source: &str, target: &str, flags: MsFlags) -> Result<()> {
        self.sys.mount(Mount {
            source,
            target,
            kind: "",
            flags,
            data: "",
        })
    }
}
