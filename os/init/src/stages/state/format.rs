//! A file system for a machine that has none yet. A disk with data is never touched: it must be
//! blank, as a program that knows what disks hold sees it and by its bytes.

use std::time::Duration;

use super::{Boot, find};
use crate::sys::{Content, Extent, Result};

const MKE2FS: &str = "/usr/sbin/mke2fs";

/// How long it may take: it writes a little in many places, also of a disk of terabytes.
const LIMIT: Duration = Duration::from_secs(600);

/// What a state disk is called where `state.dev` does not say it.
const LABEL: &str = "RANCHER_STATE";

/// The first disk of `state.autoformat` that is blank, or marked to be formatted.
pub fn first_blank(boot: &mut Boot<'_>, state: &config::State) -> Result<Option<String>> {
    for device in &state.autoformat {
        match why_not(boot, state, device)? {
            None => return Ok(Some(device.clone())),
            Some(reason) => boot
                .report
                .say(&format!("rancher: {device} is not formatted: {reason}")),
        }
    }
    Ok(None)
}

/// What speaks against formatting a disk.
fn why_not(boot: &mut Boot<'_>, state: &config::State, device: &str) -> Result<Option<String>> {
    let extent = match state.formatzero {
        true => Extent::Beginning,
        false => Extent::Whole,
    };
    let content = match boot.sys.content(device, extent) {
        Ok(content) => content,
        // It need not be there: the list may name the disks of several kinds of machines.
        Err(error) => return Ok(Some(error)),
    };
    Ok(match content {
        Content::Marked | Content::Zero if find::is_unknown(boot.sys, device)? => None,
        Content::Marked | Content::Zero => Some("it has data".into()),
        Content::Data { near } => Some(format!("it has data, near byte {near}")),
        Content::TooLarge => Some(
            "it could not be read through in 30 s; `state.formatzero: true` asks for its first MiB alone"
                .into(),
        ),
    })
}

/// Makes a disk the state disk.
pub fn format(boot: &mut Boot<'_>, state: &config::State, device: &str) -> Result<()> {
    let name = name(&state.dev, device)?;
    boot.report
        .say(&format!("rancher: {device} is formatted as the state disk"));
    let arguments = [&["-q", "-t", "ext4"], name.as_slice(), &[device]].concat();
    let ended = boot.sys.ask_within(MKE2FS, &arguments, LIMIT)?;
    ended.well(MKE2FS, &arguments).map(drop)
}

/// What the next boot will find the file system by.
fn name<'a>(dev: &'a str, device: &str) -> Result<[&'a str; 2]> {
    match dev.split_once('=') {
        Some(("LABEL", label)) => Ok(["-L", label]),
        Some(("UUID", uuid)) => Ok(["-U", uuid]),
        None if dev == device => Ok(["-L", LABEL]),
        _ => Err(format!(
            "{device} is not formatted: the next boot would not know it as {dev}; \
             let state.dev be LABEL={LABEL}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_boot_finds_what_this_one_makes() {
        assert_eq!(name("LABEL=mine", "/dev/vda"), Ok(["-L", "mine"]));
        assert_eq!(name("UUID=1-2", "/dev/vda"), Ok(["-U", "1-2"]));
        assert_eq!(name("/dev/vda", "/dev/vda"), Ok(["-L", LABEL]));
        assert!(name("/dev/vdb", "/dev/vda").unwrap_err().contains("LABEL="));
        assert!(name("PARTLABEL=x", "/dev/vda").is_err());
    }
}
