//! Detects the kind of user-data by its first bytes and parses it.

use serde::{Deserialize, Serialize};
use serde_yaml::Mapping;

use super::decode::{unzipped, without_windows_encoding};
use super::{File, Group, User, directives};
use crate::Problem;

/// The first line of a cloud-config.
const CLOUD_CONFIG: &str = "#cloud-config";

/// The kind of user-data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// There is no user-data.
    #[default]
    Nothing,
    /// A cloud-config with directives.
    CloudConfig,
    /// A script with an interpreter.
    Script,
    /// The user-data cannot be parsed.
    Broken,
}

/// Parsed user-data.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct UserData {
    pub(crate) kind: Kind,
    /// A layer of the configuration.
    pub(crate) layer: Mapping,
    /// Groups to create.
    pub(crate) groups: Vec<Group>,
    /// Users to create.
    pub(crate) users: Vec<User>,
    /// Files to write.
    pub(crate) files: Vec<File>,
    /// The script, with the line that names its interpreter.
    pub(crate) script: Option<Vec<u8>>,
    /// The script of `bootcmd`.
    pub(crate) boot_commands: Option<Vec<u8>>,
    /// The script of `runcmd`.
    pub(crate) commands: Option<Vec<u8>>,
    /// The host name with its domain; it applies if there is no `hostname`.
    pub(super) full_name: Option<String>,
    /// Values that are ignored or should be written differently, with the reason.
    pub(crate) problems: Vec<Problem>,
}

impl UserData {
    /// Whether there is a script to run.
    pub(crate) fn has_commands(&self) -> bool {
        let all = [&self.script, &self.boot_commands, &self.commands];
        all.iter().any(|one| one.is_some())
    }

    /// User-data that cannot be parsed.
    pub(crate) fn broken(problem: Problem) -> Self {
        Self {
            kind: Kind::Broken,
            problems: vec![problem],
            ..Self::default()
        }
    }
}

/// Parses user-data, which may be compressed by gzip.
pub(crate) fn parse(bytes: &[u8]) -> UserData {
    match unzipped(bytes) {
        Ok(bytes) => parse_unzipped(&bytes),
        Err(error) => UserData::broken(Problem::at(None, format!("failed to decompress: {error}"))),
    }
}

fn parse_unzipped(bytes: &[u8]) -> UserData {
    let bytes = &without_windows_encoding(bytes);
    if bytes.starts_with(b"#!") {
        return UserData {
            kind: Kind::Script,
            script: Some(bytes.to_vec()),
            ..UserData::default()
        };
    }
    if bytes.trim_ascii().is_empty() {
        return UserData::default();
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        let message = "neither text nor gzip";
        return UserData::broken(Problem::at(None, message));
    };
    if text.lines().next().map(str::trim_end) != Some(CLOUD_CONFIG) {
        let message = "unknown format; hint: begin with `#cloud-config`, or with `#!` for a script";
        return UserData::broken(Problem::at(1, message));
    }
    directives::parse(text)
}

#[cfg(test)]
mod tests {
    use super::super::decode::tests::gzip;
    use super::*;

    #[test]
    fn kind_is_detected_from_the_first_bytes() {
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
    fn windows_encodings_are_converted() {
        let unix = "#!/bin/sh\necho 'ü'\n";
        let windows = unix.replace('\n', "\r\n");
        let utf_16 = |read: fn(u16) -> [u8; 2]| -> Vec<u8> {
            let all = format!("\u{feff}{windows}");
            all.encode_utf16().flat_map(read).collect()
        };
        let encodings = [
            windows.clone().into_bytes(),
            format!("\u{feff}{windows}").into_bytes(),
            utf_16(u16::to_le_bytes),
            utf_16(u16::to_be_bytes),
            gzip(windows.as_bytes()),
        ];
        for bytes in encodings {
            let user_data = parse(&bytes);
            assert_eq!(user_data.kind, Kind::Script, "{bytes:?}");
            assert_eq!(
                user_data.script.as_deref(),
                Some(unix.as_bytes()),
                "{bytes:?}"
            );
        }
        // The first line has no carriage return, so the others are not converted.
        let other = b"#!/bin/sh\nprintf 'a\r\n'\n";
        assert_eq!(parse(other).script.as_deref(), Some(other.as_slice()));
        let config =
            "#cloud-config\r\nwrite_files:\r\n- path: /a\r\n  content: |\r\n    x\r\n    y\r\n";
        for text in [config.to_owned(), format!("\u{feff}{config}")] {
            let user_data = parse(text.as_bytes());
            assert_eq!(
                (user_data.kind, &user_data.problems),
                (Kind::CloudConfig, &vec![])
            );
            assert_eq!(user_data.files[0].content.0, b"x\ny\n");
        }
    }

    #[test]
    fn user_data_without_a_header_is_broken_and_not_printed() {
        let user_data = parse(b"password: geheim\n");
        assert_eq!(user_data.kind, Kind::Broken);
        let problem = user_data.problems[0].to_string();
        assert!(
            problem.starts_with("line 1: ") && !problem.contains("geheim"),
            "{problem}"
        );
    }

    #[test]
    fn truncated_or_too_large_gzip_is_broken() {
        let packed = gzip(b"#!/bin/sh\necho hello\n");
        assert_eq!(parse(&packed[..packed.len() - 4]).kind, Kind::Broken);
        let bomb = gzip(&vec![b'#'; 17 << 20]);
        assert!(parse(&bomb).problems[0].message.contains("16 MiB"));
    }
}
