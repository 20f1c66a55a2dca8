//! User-data: what it is, told by its first bytes, and what it says.
//!
//! Reading it never fails: what is not understood is a [`Problem`], and the rest holds.

mod commands;
mod directives;
mod elsewhere;
mod files;
mod users;

use std::borrow::Cow;
use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use serde_yaml::Mapping;

use crate::Problem;
pub(crate) use directives::line_of;
pub use files::{Content, File, Owner};
pub use users::{Group, User};

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
    /// Groups to make known.
    pub groups: Vec<Group>,
    /// Users to make known.
    pub users: Vec<User>,
    /// Files to write.
    pub files: Vec<File>,
    /// The script, with the line that names its interpreter.
    pub script: Option<Vec<u8>>,
    /// The script of `bootcmd`.
    pub boot_commands: Option<Vec<u8>>,
    /// The script of `runcmd`.
    pub commands: Option<Vec<u8>>,
    /// The name of the machine with its domain; holds where it has no other.
    full_name: Option<String>,
    /// What was left out or is to be written otherwise, and why.
    pub problems: Vec<Problem>,
}

impl Told {
    /// Whether there is something to run.
    pub(crate) fn has_commands(&self) -> bool {
        let all = [&self.script, &self.boot_commands, &self.commands];
        all.iter().any(|one| one.is_some())
    }

    pub(crate) fn broken(problem: Problem) -> Self {
        Self {
            kind: Kind::Broken,
            problems: vec![problem],
            ..Self::default()
        }
    }
}

/// User-data as it is read, to find lines in it.
pub(crate) fn plain(bytes: &[u8]) -> String {
    let bytes = unzipped(bytes).unwrap_or_default();
    String::from_utf8_lossy(&without_windows(&bytes)).into_owned()
}

/// Reads user-data, compressed by gzip or not.
pub fn parse(bytes: &[u8]) -> Told {
    match unzipped(bytes) {
        Ok(bytes) => parse_plain(&bytes),
        Err(error) => Told::broken(Problem::at(None, format!("it cannot be unpacked: {error}"))),
    }
}

fn parse_plain(bytes: &[u8]) -> Told {
    let bytes = &without_windows(bytes);
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

/// A text that an editor of Windows has saved, as one without its marks: byte order marks, UTF-16,
/// and CR LF, which the kernel takes for a part of the interpreter's name.
fn without_windows(bytes: &[u8]) -> Cow<'_, [u8]> {
    let utf_16 = |rest: &[u8], read: fn([u8; 2]) -> u16| {
        let pairs = rest.chunks_exact(2).map(|pair| read([pair[0], pair[1]]));
        String::from_utf16_lossy(&pairs.collect::<Vec<_>>()).into_bytes()
    };
    let bytes: Cow<'_, [u8]> = match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => rest.into(),
        [0xff, 0xfe, rest @ ..] if rest.len().is_multiple_of(2) && !rest.is_empty() => {
            utf_16(rest, u16::from_le_bytes).into()
        }
        [0xfe, 0xff, rest @ ..] if rest.len().is_multiple_of(2) && !rest.is_empty() => {
            utf_16(rest, u16::from_be_bytes).into()
        }
        _ => bytes.into(),
    };
    // What follows the first line may be no text: it tells.
    let first = bytes.split(|byte| *byte == b'\n').next();
    if !first.is_some_and(|line| line.ends_with(b"\r")) {
        return bytes;
    }
    let ends_line = |at: usize| bytes[at] == b'\r' && bytes.get(at + 1) == Some(&b'\n');
    let kept = (0..bytes.len()).filter(|&at| !ends_line(at));
    kept.map(|at| bytes[at]).collect::<Vec<_>>().into()
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
    fn text_saved_on_windows_is_what_it_would_be_elsewhere() {
        let unix = "#!/bin/sh\necho 'ü'\n";
        let windows = unix.replace('\n', "\r\n");
        let utf_16 = |read: fn(u16) -> [u8; 2]| -> Vec<u8> {
            let all = format!("\u{feff}{windows}");
            all.encode_utf16().flat_map(read).collect()
        };
        let ways = [
            windows.clone().into_bytes(),
            format!("\u{feff}{windows}").into_bytes(),
            utf_16(u16::to_le_bytes),
            utf_16(u16::to_be_bytes),
            gzip(windows.as_bytes()),
        ];
        for bytes in ways {
            let told = parse(&bytes);
            assert_eq!(told.kind, Kind::Script, "{bytes:?}");
            assert_eq!(told.script.as_deref(), Some(unix.as_bytes()), "{bytes:?}");
        }
        // Its first line says that it is none of Windows'.
        let other = b"#!/bin/sh\nprintf 'a\r\n'\n";
        assert_eq!(parse(other).script.as_deref(), Some(other.as_slice()));
        let config =
            "#cloud-config\r\nwrite_files:\r\n- path: /a\r\n  content: |\r\n    x\r\n    y\r\n";
        for text in [config.to_owned(), format!("\u{feff}{config}")] {
            let told = parse(text.as_bytes());
            assert_eq!((told.kind, &told.problems), (Kind::CloudConfig, &vec![]));
            assert_eq!(told.files[0].content.0, b"x\ny\n");
        }
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
