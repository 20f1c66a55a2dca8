//! The machine's SSH identity: kept in the configuration as PEM, and given to dropbear in its own form.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io::{Error, Result};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use config::{Store, edit, path};

/// Where dropbear finds its keys; in memory, made anew at each start of the console.
const FOLDER: &str = "/run/sshd";

/// The kinds that dropbear has.
const KINDS: [&str; 3] = ["ecdsa", "ed25519", "rsa"];

/// The kind that is made where none is configured.
const MADE: &str = "ed25519";

/// Lays out the configured keys, or makes one and keeps it in the configuration.
pub fn lay_out(keys: &BTreeMap<String, String>) -> Result<()> {
    std::fs::create_dir_all(FOLDER)?;
    std::fs::set_permissions(FOLDER, Permissions::from_mode(0o700))?;
    let private = keys.iter().filter(|(kind, _)| !kind.ends_with("-pub"));
    let failed: Vec<_> = private
        .filter_map(|(kind, key)| Some(format!("ssh.keys.{kind}: {}", convert(kind, key).err()?)))
        .collect();
    // Nobody could log in without one.
    let made = if files().is_empty() {
        make(keys.contains_key(MADE))
    } else {
        Ok(())
    };
    match (made, failed.is_empty()) {
        (made, true) => made,
        (Ok(()), false) => Err(Error::other(failed.join("; "))),
        (Err(error), false) => Err(Error::other(format!("{}; {error}", failed.join("; ")))),
    }
}

/// The files of the keys that are laid out.
pub fn files() -> Vec<String> {
    let files = KINDS.iter().map(|kind| format!("{FOLDER}/{kind}"));
    files.filter(|file| Path::new(file).exists()).collect()
}

fn convert(kind: &str, key: &str) -> Result<()> {
    if !KINDS.contains(&kind) {
        return Err(Error::other(format!(
            "there are keys of kind {}",
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

/// Makes a key; where one of its kind is configured and cannot be read, it is only for this boot.
fn make(configured: bool) -> Result<()> {
    let (file, pem) = (format!("{FOLDER}/{MADE}"), format!("{FOLDER}/{MADE}.pem"));
    let said = run("/usr/bin/dropbearkey", &["-t", MADE, "-f", &file])?;
    if configured {
        return Ok(());
    }
    run(
        "/usr/bin/dropbearconvert",
        &["dropbear", "openssh", &file, &pem],
    )?;
    let private = std::fs::read_to_string(&pem)?;
    std::fs::remove_file(&pem)?;
    let public = said
        .lines()
        .find(|line| line.starts_with("ssh-"))
        .unwrap_or_default();
    keep(&private, public)
}

fn keep(private: &str, public: &str) -> Result<()> {
    let key = |name: &str| path::parse(&format!("ssh.keys.{name}")).map_err(Error::other);
    let (private_key, public_key) = (key(MADE)?, key(&format!("{MADE}-pub"))?);
    Store::machine().change(|text| {
        let text =
            edit::set(text, &private_key, &private.trim_end().into()).map_err(Error::other)?;
        edit::set(&text, &public_key, &public.trim().into()).map_err(Error::other)
    })
}

/// Runs a program, and returns what it said; what it says when it fails may hold a part of the key.
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
        "{name} cannot read it ({})",
        output.status
    )))
}
