//! `qemu.sh` of the evidence folder: starts the same machine from a shell.
//!
//! The script creates the disks that were deleted with the machine again, as they were at its start.

use std::path::Path;

use crate::disk::Drive;
use crate::disk::Origin;
use crate::disk::image;
use crate::profile::ResolvedFirmware;
use crate::qemu::args::{Connections, arguments};
use crate::qemu::plan::Plan;
use crate::services::metadata;
use base::shell;

/// The SSH port in the script: the machine's own port may be in use by then.
const PORT: u16 = 2222;
/// The text of the script. `private` is the machine's own folder, which no longer exists when the script
/// runs.
pub(crate) fn text(qemu: &Path, plan: &Plan, private: &Path) -> String {
    let mut plan = plan.clone();
    plan.ssh_port = PORT;
    // The script always starts at power-on, even if the trial started from a checkpoint.
    (plan.memory_file, plan.incoming) = (None, None);
    let mut lines = vec![
        "#!/bin/sh".to_owned(),
        "# Starts the machine of this trial. Serial line: this terminal (Ctrl-A X exits). SSH: port 2222."
            .into(),
        "set -eu".into(),
        "here=$(cd \"$(dirname \"$0\")\" && pwd)".into(),
        "work=$(mktemp -d)".into(),
        "trap 'rm -rf \"$work\"' EXIT".into(),
    ];
    let quoted = |word: &str| quote(word, private);
    for drive in &plan.drives {
        lines.extend(recreate(drive, &quoted));
    }
    if let (ResolvedFirmware::Flash { vars, .. }, Some(copy)) = (&plan.firmware, &plan.uefi_vars) {
        lines.push(format!(
            "cp {} {}",
            quoted(&vars.to_string_lossy()),
            quoted(&copy.to_string_lossy())
        ));
    }
    if let Some(pages) = &plan.metadata {
        let folder = quoted(&pages.to_string_lossy());
        lines.push(format!("cp -r \"$here\"/{} {folder}", metadata::FOLDER));
    }
    lines.push(command(qemu, &plan, &quoted));
    lines.join("\n") + "\n"
}

/// One option per line.
fn command(qemu: &Path, plan: &Plan, quoted: &impl Fn(&str) -> String) -> String {
    let mut text = quoted(&qemu.to_string_lossy());
    for arg in arguments(plan, Connections::Terminal) {
        text += if arg.starts_with('-') { " \\\n  " } else { " " };
        text += &quoted(&arg);
    }
    text
}

fn recreate(drive: &Drive, quoted: &impl Fn(&str) -> String) -> Vec<String> {
    let file = quoted(&drive.file.to_string_lossy());
    match &drive.origin {
        Origin::Persistent => vec![],
        Origin::Volume => {
            let name = drive.file.file_name().unwrap_or_default();
            vec![format!("cp \"$here\"/{} {file}", name.to_string_lossy())]
        }
        Origin::Overlay { base, format } => {
            let base = quoted(&base.to_string_lossy());
            vec![
                base_check(&drive.id, &base),
                format!(
                    "qemu-img create -q -f qcow2 -F {} -b {base} {file}",
                    format.name()
                ),
            ]
        }
        Origin::Blank(blank) => {
            let created = format!("truncate -s {}M {file}", blank.mib);
            let table = image::partition_table(blank);
            let partition = table.map(|table| {
                let table = quoted(&table);
                format!("printf %s {table} | sfdisk --quiet {file}")
            });
            let format = blank.label.as_ref().map(|label| {
                let options = image::ext4_options(label, blank).map(quoted).join(" ");
                let size = image::ext4_size(blank).unwrap_or_default();
                format!("mke2fs {options} {file} {size}").trim_end().into()
            });
            [Some(created), partition, format]
                .into_iter()
                .flatten()
                .collect()
        }
    }
}

/// Old checkpoints are evicted; the script then explains how to run the trial again.
fn base_check(disk: &str, base: &str) -> String {
    let explain = "printf '%s\\n' \"$0: the base file of $disk was evicted with its checkpoint: $base; \
            hint: run the trial again: cargo harness replay $here\" >&2";
    format!("disk={disk} base={base}; [ -f \"$base\" ] || {{ {explain}; exit 1; }}")
}

/// Quotes one word for a POSIX shell and replaces the private folder by `$work`.
fn quote(word: &str, private: &Path) -> String {
    let private = private.to_string_lossy();
    if !word.contains(&*private) {
        return shell::quote(word);
    }
    let quoted = |part: &str| {
        if part.is_empty() {
            String::new()
        } else {
            shell::quote(part)
        }
    };
    let parts: Vec<_> = word.split(&*private).map(quoted).collect();
    parts.join("\"$work\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Format;
    use crate::profile::Bus;

    /// Runs the lines for a disk on top of this file, with a stub for qemu-img that only prints its
    /// arguments.
    fn run_lines_for(base: &Path) -> std::process::Output {
        let drive = Drive {
            id: "disk0".into(),
            file: "/private/disk0.qcow2".into(),
            format: Format::Qcow2,
            bus: Bus::Virtio,
            read_only: false,
            origin: Origin::Overlay {
                base: base.into(),
                format: Format::Raw,
            },
            socket: None,
        };
        let lines = recreate(&drive, &|word| shell::quote(word)).join("\n");
        let lines = format!("set -eu\nhere=/evidence\nqemu-img() {{ echo \"$@\"; }}\n{lines}");
        let shell = std::process::Command::new("bash")
            .args(["-c", &lines, "qemu.sh"])
            .output();
        shell.unwrap()
    }

    #[test]
    fn evicted_checkpoint_is_reported_in_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("it's a disk.img");
        let missing = run_lines_for(&base);
        let message = String::from_utf8(missing.stderr).unwrap();
        assert_eq!(
            (missing.status.code(), message.lines().count()),
            (Some(1), 1),
            "{message}"
        );
        let wanted = format!("was evicted with its checkpoint: {}; ", base.display());
        assert!(
            message.contains(&wanted) && message.contains("harness replay /evidence"),
            "{message}"
        );
        assert!(missing.stdout.is_empty());

        std::fs::write(&base, "").unwrap();
        let present = run_lines_for(&base);
        let created = String::from_utf8(present.stdout).unwrap();
        assert!(
            present.status.success() && created.starts_with("create -q"),
            "{created}"
        );
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        let private = Path::new("/tmp/h/machine-1");
        for (word, expected) in [
            ("-nodefaults", "-nodefaults"),
            ("", "''"),
            ("console=ttyS0 quiet", "'console=ttyS0 quiet'"),
            ("/tmp/h/machine-1/disk0.img", "\"$work\"/disk0.img"),
            (
                "{\"file\":\"/tmp/h/machine-1/a\"}",
                "'{\"file\":\"'\"$work\"'/a\"}'",
            ),
        ] {
            assert_eq!(quote(word, private), expected);
        }
    }
}
