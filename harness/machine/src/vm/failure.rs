//! Makes a failure snapshot of a machine.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use tokio::net::UnixListener;

use super::machine::Machine;
use crate::disk::{Drive, Format, SavedDrive};
use crate::error::MachineError;
use crate::profile::{Accel, Accelerator};
use crate::qemu::migration::{Scope, Transfer};
use crate::snapshot::failure::{ABOUT, About, STATE, TRANSFER_SECONDS, VERSION};
use crate::snapshot::stream::{over_limit, receive};
use base::clock::now;
use base::command;
use base::process::Owned;
use base::wait::{Poll, wait_until};
use host::speed;

/// Bytes per second. QEMU's own limit is meant for networks.
const BANDWIDTH: u64 = 64 << 30;

impl Machine {
    /// Writes the whole machine to a folder, in at most `limit` bytes, and ends it. Returns the number of
    /// bytes written. After an error the files in the folder are useless.
    ///
    /// # Errors
    /// QEMU has exited, or cannot save this machine; the limit; the folder cannot be written.
    pub async fn keep(&self, folder: &Path, limit: u64) -> Result<u64, MachineError> {
        self.qmp("stop", Value::Null).await?;
        let mut remaining = limit;
        let state = self.save_state(&folder.join(STATE), remaining).await?;
        remaining = remaining.saturating_sub(state);
        self.qmp("quit", Value::Null).await?;
        self.ended().await;

        let mut lengths = vec![(STATE.to_owned(), state)];
        let initial = self.vm.process().plan.drives.clone();
        let plugged = self.plugged_drives();
        for drive in initial.iter().chain(&plugged) {
            let name = file_of(drive);
            let length = self.flatten(drive, &folder.join(&name), remaining).await?;
            remaining = remaining.saturating_sub(length);
            lengths.push((name, length));
        }
        let about = self.about(&initial, &plugged, lengths);
        write_about(&folder.join(ABOUT), &about).map_err(|e| not_saved(&e))?;
        Ok(limit - remaining)
    }

    /// Writes the stream of memory and devices; returns its length in bytes.
    async fn save_state(&self, file: &Path, limit: u64) -> Result<u64, MachineError> {
        let qmp = &self.current_qmp();
        let socket = self.vm.resources.folder.socket("keep.sock");
        let listener = UnixListener::bind(&socket).map_err(|e| not_saved(&e))?;
        let timeout = speed::seconds(TRANSFER_SECONDS);
        let faster = json!({ "max-bandwidth": BANDWIDTH });
        qmp.execute("migrate-set-parameters", faster).await?;
        let uri = format!("unix:{socket}");
        let transfer = Transfer::write(qmp, Scope::All, &uri).await?;
        let written = receive(listener, file, limit, timeout);
        let (written, sent) = tokio::join!(written, transfer.end(timeout));
        // If the compressor failed, QEMU's error is only a consequence.
        let written = written.map_err(|e| not_saved(&e))?;
        sent.map(|()| written)
    }

    /// Copies a disk without its backing files; returns the length in bytes.
    async fn flatten(&self, drive: &Drive, to: &Path, limit: u64) -> Result<u64, MachineError> {
        let qemu_img = command::find("qemu-img").ok_or_else(|| {
            MachineError::Other("qemu-img not found; hint: apt install qemu-utils".into())
        })?;
        let log_file = self.vm.resources.folder.file("qemu-img.log");
        let log = File::create(&log_file).map_err(|e| not_saved(&e))?;
        let mut convert = Command::new(qemu_img);
        convert
            .args(["convert", "-q", "-c", "-W", "-f", drive.format.name()])
            .args(["-O", "qcow2", "-o", "compression_type=zstd"])
            .args([&drive.file, to])
            .stdin(Stdio::null())
            .stderr(log);
        let convert = Owned::spawn(convert).map_err(|e| not_saved(&e))?;
        let ended = convert.ended();
        let written = async || {
            let length = to.metadata().map_or(0, |m| m.len());
            match *ended.borrow() {
                _ if length > limit => Poll::Failed(over_limit().to_string()),
                Some(status) if status.success() => Poll::Ready(length),
                Some(_) => Poll::Failed(std::fs::read_to_string(&log_file).unwrap_or_default()),
                None => Poll::NotYet(format!("{length} bytes")),
            }
        };
        let what = format!("writing {}", drive.id);
        let timeout = speed::seconds(TRANSFER_SECONDS);
        Ok(wait_until(&what, timeout, written).await?)
    }

    fn about(&self, initial: &[Drive], plugged: &[Drive], lengths: Vec<(String, u64)>) -> About {
        let (spec, resolved) = (&self.vm.resources.spec, &self.vm.resources.spec.profile);
        let (identity, resets) = (
            &self.target.identity,
            self.target.resets.load(Ordering::Relaxed),
        );
        About {
            version: VERSION,
            qemu: resolved.qemu_version.clone(),
            accel: match resolved.accelerator {
                Accelerator::Kvm => Accel::Kvm,
                Accelerator::Tcg { .. } => Accel::Tcg,
            },
            profile: resolved.profile.clone(),
            memory: spec.memory_mib(),
            named_memory: self.vm.process().plan.memory_file.is_some(),
            balloon: spec.balloon,
            outside: spec.outside,
            kernel_args: spec.kernel_args.clone(),
            metadata: spec.metadata.clone(),
            first_card: spec.first_card.clone(),
            cards: spec.cards.clone(),
            slots: spec.slots,
            nonces: identity.nonces(),
            host_key: identity.pinned_after(resets),
            drives: initial.iter().map(saved_drive).collect(),
            plugged: self.plugged_in(plugged.iter().map(saved_drive).collect()),
            lengths,
            at: now(),
        }
    }
}

fn file_of(drive: &Drive) -> String {
    format!("{}.qcow2", drive.id)
}

fn saved_drive(drive: &Drive) -> SavedDrive {
    SavedDrive {
        id: drive.id.clone(),
        file: file_of(drive),
        format: Format::Qcow2,
        bus: drive.bus,
        read_only: drive.read_only,
    }
}

fn not_saved(error: &io::Error) -> MachineError {
    MachineError::Other(error.to_string())
}

fn write_about(file: &Path, about: &About) -> io::Result<()> {
    let mut file = File::create_new(file)?;
    file.write_all(&serde_json::to_vec_pretty(about)?)?;
    file.sync_all()
}
