//! Formatting a blank disk as the state disk. A disk with data is never formatted: blkid must recognize
//! nothing on it, and its bytes must be zero.

use std::time::Duration;

use sys::{Content, Extent, Result, blkid};

use crate::boot::Boot;

const MKE2FS: &str = "/usr/sbin/mke2fs";

/// The timeout of mke2fs, which writes in many places of the disk, whose size may be terabytes.
const TIMEOUT: Duration = Duration::from_secs(600);

/// The label of a state disk if `state.dev` does not name one.
const LABEL: &str = "RANCHER_STATE";

/// The first disk of `state.autoformat` that is blank or marked for formatting.
pub(super) fn first_blank(boot: &mut Boot<'_>, state: &config::State) -> Result<Option<String>> {
    for device in &state.autoformat {
        match rejection(boot, state, device)? {
            None => return Ok(Some(device.clone())),
            Some(reason) => boot
                .report
                .print(&format!("rancher: not formatting {device}: {reason}")),
        }
    }
    Ok(None)
}

/// The reason not to format a disk, if there is one.
fn rejection(boot: &mut Boot<'_>, state: &config::State, device: &str) -> Result<Option<String>> {
    let extent = if state.formatzero {
        Extent::Beginning
    } else {
        Extent::Whole
    };
    let content = match boot.sys.content(device, extent) {
        Ok(content) => content,
        // The disk may be missing: the list may have the disks of several kinds of machines.
        Err(error) => return Ok(Some(error)),
    };
    Ok(match content {
        Content::Marked | Content::Zero if blkid::is_unrecognized(boot.sys, device)? => None,
        Content::Marked | Content::Zero => Some("it has data".into()),
        Content::Data { near } => Some(format!("it has data, near byte {near}")),
        Content::TooLarge => Some(
            "it could not be read completely in 30 s; hint: with `state.formatzero: true` only its first MiB is read"
                .into(),
        ),
    })
}

/// Formats a disk as the state disk.
pub(super) fn format(boot: &mut Boot<'_>, state: &config::State, device: &str) -> Result<()> {
    let name = name(&state.dev, device)?;
    boot.report
        .print(&format!("rancher: formatting {device} as the state disk"));
    let arguments = [&["-q", "-t", "ext4"], name.as_slice(), &[device]].concat();
    let output = boot.sys.run_with_timeout(MKE2FS, &arguments, TIMEOUT)?;
    output.success(MKE2FS, &arguments).map(drop)
}

/// The options of mke2fs for the label or UUID by which the next boot finds the file system.
fn name<'a>(dev: &'a str, device: &str) -> Result<[&'a str; 2]> {
    match dev.split_once('=') {
        Some(("LABEL", label)) => Ok(["-L", label]),
        Some(("UUID", uuid)) => Ok(["-U", uuid]),
        None if dev == device => Ok(["-L", LABEL]),
        _ => Err(format!(
            "not formatting {device}: the next boot would not find it as {dev}; \
             hint: set `state.dev` to LABEL={LABEL}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_is_the_label_or_uuid_that_the_next_boot_looks_for() {
        assert_eq!(name("LABEL=mine", "/dev/vda"), Ok(["-L", "mine"]));
        assert_eq!(name("UUID=1-2", "/dev/vda"), Ok(["-U", "1-2"]));
        assert_eq!(name("/dev/vda", "/dev/vda"), Ok(["-L", LABEL]));
        assert!(name("/dev/vdb", "/dev/vda").unwrap_err().contains("LABEL="));
        assert!(name("PARTLABEL=x", "/dev/vda").is_err());
    }
}
