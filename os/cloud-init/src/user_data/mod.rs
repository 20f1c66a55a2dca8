//! User-data: what it is, told by its first bytes, and what it says.
//!
//! Reading it never fails: what is not understood is a [`Problem`], and the rest holds.

mod directives;
mod files;

use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use serde_yaml::Mapping;

use crate::Problem;
pub(crate) use directives::line_of;
pub use files::{Content, File, Owner};

/// The first line of a cloud-config.
const CLOUD_CONFIG: &str = "#cloud-config";

/// The most bytes that compressed data may become.
const LIMIT: u64 = 16 << 20;

/// What user-data is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// There is none.
    #[default]
    Nothing,
    /// Directives.
    CloudConfig,
    /// A program for an interpreter.
    Script,
    /// It says nothing that could be understood.
    Broken,
}

/// What user-data came to.
#[derive(Debug, Default, PartialEq)]
pub struct Told {
    /// What it is.
    pub kind: Kind,
    /// A layer of the configuration.
    pub layer: Mapping,
    /// Files to write.
    pub files: Vec<File>,
    /// The script, with the line that names its interpreter.
    pub script: Option<Vec<u8>>,
    /// What was left out or is to be written otherwise, and why.
    pub problems: Vec<Problem>,
}

impl Told {
    pub(crate) fn broken(problem: Problem) -> Self {
        Self {
            kind: Kind::Broken,
            problems: vec![problem],
            ..Self::default()
        }
    }
}

/// Reads user-data, compressed by gzip or not.
pub fn parse(bytes: &[u8]) -> Told {
    match unzipped(bytes) {
        Ok(bytes) => parse_plain(&bytes),
        Err(error) => Told::broken(Problem::at(None, format!("it cannot be unpacked: {error}"))),
    }
}

fn parse_plain(bytes: &[u8]) -> Told {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    if bytes.starts_with(b"#!") {
        return Told {
            kind: Kind::Script,
            script: Some(bytes.to_vec()),
            ..Told::default()
        };
    }
    if bytes.trim_ascii().is_empty() {
        return Told::default();
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        let what = "it is neither text nor packed by gzip";
        return Told::broken(Problem::at(None, what));
    };
    if text.lines().next().map(str::trim_end) != Some(CLOUD_CONFIG) {
        let what = "the first line must be `#cloud-config`, or begin with `#!` for a script";
        return Told::broken(Problem::at(1, what));
    }
    directives::parse(text)
}

/// What was packed, or what never was.
fn unzipped(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes.to_vec());
    }
    let mut plain = Vec::new();
    let mut decoder = MultiGzDecoder::new(bytes).take(LIMIT + 1);
    decoder.read_to_end(&mut plain)?;
    if plain.len() as u64 > LIMIT {
        let why = format!("it is more than {} MiB", LIMIT >> 20);
        return Err(std::io::Error::other(why));
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_it_is_is_told_by_its_first_bytes() {
        let kind = |bytes: &[u8]| parse(bytes).kind;
        assert_eq!(kind(b"#!/bin/sh\n\xff\n"), Kind::Script);
        assert_eq!(kind(b"#cloud-config\r\n"), Kind::CloudConfig);
        assert_eq!(kind(b" \n"), Kind::Nothing);
        assert_eq!(kind(&gzip(b"#!/bin/sh\n")), Kind::Script);
        assert_eq!(
            kind(&gzip(b"#cloud-config\nhostname: x\n")),
            Kind::CloudConfig
        );
        assert_eq!(kind(b"\xff\xff"), Kind::Broken);
    }

    #[test]
    fn what_has_no_header_is_said_and_not_shown() {
        let told = parse(b"password: geheim\n");
        assert_eq!(told.kind, Kind::Broken);
        let said = told.problems[0].to_string();
        assert!(
            said.starts_with("line 1: ") && !said.contains("geheim"),
            "{said}"
        );
    }

    #[test]
    fn what_is_cut_short_or_too_large_is_broken() {
        let packed = gzip(b"#!/bin/sh\necho hello\n");
        assert_eq!(parse(&packed[..packed.len() - 4]).kind, Kind::Broken);
        let bomb = gzip(&vec![b'#'; 17 << 20]);
        assert!(parse(&bomb).problems[0].what.contains("16 MiB"));
    }
}
