//! The SSH host keys: stored in the configuration as PEM, and converted to dropbear's format.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io::{Error, Result};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use config::{Store, edit, path};

/// The folder of dropbear's keys, in memory; they are converted at each start of the console.
const FOLDER: &str = "/run/sshd";

/// The kinds of keys that dropbear supports.
const KINDS: [&str; 3] = ["ecdsa", "ed25519", "rsa"];

/// The kind that is generated if no key is configured.
const DEFAULT_KIND: &str = "ed25519";

/// Installs the configured keys, or generates one and stores it in the configuration.
///
/// # Errors
/// A configured key cannot be converted, or no key can be generated.
pub(crate) fn install(keys: &BTreeMap<String, String>) -> Result<()> {
    std::fs::create_dir_all(FOLDER)?;
    std::fs::set_permissions(FOLDER, Permissions::from_mode(0o700))?;
    let private = keys.iter().filter(|(kind, _)| !kind.ends_with("-pub"));
    let failed: Vec<_> = private
        .filter_map(|(kind, key)| Some(format!("ssh.keys.{kind}: {}", convert(kind, key).err()?)))
        .collect();
    // Nobody could log in without a key.
    let generated = if files().is_empty() {
        generate(keys.contains_key(DEFAULT_KIND))
    } else {
        Ok(())
    };
    match (generated, failed.is_empty()) {
        (generated, true) => generated,
        (Ok(()), false) => Err(Error::other(failed.join("; "))),
        (Err(error), false) => Err(Error::other(format!("{}; {error}", failed.join("; ")))),
    }
}

/// The files of the installed keys.
pub(crate) fn files() -> Vec<String> {
    let files = KINDS.iter().map(|kind| format!("{FOLDER}/{kind}"));
    files.filter(|file| Path::new(file).exists()).collect()
}

fn convert(kind: &str, key: &str) -> Result<()> {
    if !KINDS.contains(&kind) {
        return Err(Error::other(format!(
            "unsupported kind; hint: use {}",
            KINDS.join(", ")
        )));
    }
    let (pem, file) = (format!("{FOLDER}/{kind}.pem"), format!("{FOLDER}/{kind}"));
    config::write(pem.as_ref(), &format!("{}\n", key.trim_end()))?;
    let converted = run(
        "/usr/bin/dropbearconvert",
        &["openssh", "dropbear", &pem, &file],
    );
    std::fs::remove_file(&pem)?;
    converted.map(drop)
}

/// Generates a key. It is not stored if a key of its kind is configured, which cannot be read then.
fn generate(configured: bool) -> Result<()> {
    let (file, pem) = (
        format!("{FOLDER}/{DEFAULT_KIND}"),
        format!("{FOLDER}/{DEFAULT_KIND}.pem"),
    );
    let output = run("/usr/bin/dropbearkey", &["-t", DEFAULT_KIND, "-f", &file])?;
    if configured {
        return Ok(());
    }
    run(
        "/usr/bin/dropbearconvert",
        &["dropbear", "openssh", &file, &pem],
    )?;
    let private = std::fs::read_to_string(&pem)?;
    std::fs::remove_file(&pem)?;
    let public = output
        .lines()
        .find(|line| line.starts_with("ssh-"))
        .unwrap_or_default();
    store(&private, public)
}

fn store(private: &str, public: &str) -> Result<()> {
    let key = |name: &str| path::parse(&format!("ssh.keys.{name}")).map_err(Error::other);
    let (private_key, public_key) = (key(DEFAULT_KIND)?, key(&format!("{DEFAULT_KIND}-pub"))?);
    Store::machine().change(|text| {
        let text =
            edit::set(text, &private_key, &private.trim_end().into()).map_err(Error::other)?;
        edit::set(&text, &public_key, &public.trim().into()).map_err(Error::other)
    })
}

/// Runs a program and returns its output. The error does not have its messages, which may contain a part
/// of the key.
fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let name = program.rsplit('/').next().unwrap_or(program);
    Err(Error::other(format!(
        "{name} cannot read the key ({})",
        output.status
    )))
}
