//! Reads the entries of `write_files`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use config::verbatim;
use serde_yaml::{Mapping, Value};

use super::decode;
use super::lines::line_at;
use super::unsupported;
use crate::Problem;

/// The default mode of a file.
const MODE: u32 = 0o644;

/// A file to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    /// The absolute path.
    pub(crate) path: String,
    /// The content.
    pub(crate) content: Content,
    /// The mode.
    pub(crate) mode: u32,
    /// The owner.
    pub(crate) owner: Owner,
    /// Whether the content is appended to the existing file, unless the file contains it already.
    pub(crate) append: bool,
    /// The line in the user-data, if known.
    pub(crate) line: Option<usize>,
}

/// The content of a file. `Debug` does not print it, because it may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Content(pub(crate) Vec<u8>);

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// `USER`, `USER:GROUP` or `:GROUP`, each a name or an ID; `None` is root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The user.
    pub(crate) user: Option<String>,
    /// The group.
    pub(crate) group: Option<String>,
}

/// The valid entries, and the problems of all entries.
pub(super) fn read(text: &str, key: &str, value: &Value) -> (Vec<File>, Vec<Problem>) {
    let Value::Sequence(entries) = value else {
        let message = "ignored: `write_files` must be a list";
        return (vec![], vec![Problem::at(line_at(text, key, None), message)]);
    };
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    for (number, entry) in entries.iter().enumerate() {
        let path = entry
            .get("path")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let line = line_with(text, path).or_else(|| line_at(text, key, Some(number)));
        let name = match path {
            "" => format!("entry {} of `write_files`", number + 1),
            path => format!("`write_files`: {path}"),
        };
        match read_entry(entry) {
            Ok((file, warnings)) => {
                let warnings = warnings.into_iter().chain(file_warning(&file));
                problems.extend(
                    warnings.map(|warning| Problem::at(line, format!("{name}: {warning}"))),
                );
                files.push(File { line, ..file });
            }
            Err(error) => {
                problems.push(Problem::at(line, format!("{name}: not written: {error}")));
            }
        }
    }
    (files, problems)
}

/// The first line that contains a path.
fn line_with(text: &str, path: &str) -> Option<usize> {
    let names = |line: &str| line.contains("path") && line.contains(path);
    let found = text.lines().position(names).map(|index| index + 1);
    found.filter(|_| !path.is_empty())
}

/// A warning about a file that is written but has no effect or has errors.
fn file_warning(file: &File) -> Option<String> {
    if let Some(hint) = unsupported::file_replacement(&file.path) {
        return Some(format!(
            "written, but no program of this system reads it; hint: {hint}"
        ));
    }
    if !config::DAEMON_JSON.contains(&file.path.as_str()) {
        return None;
    }
    let text = String::from_utf8_lossy(&file.content.0);
    let problems = config::engine::check_daemon_json(&text);
    (!problems.is_empty()).then(|| problems.join("; "))
}

/// Reads an entry; returns the file and warnings about it.
fn read_entry(entry: &Value) -> Result<(File, Vec<String>), String> {
    let Value::Mapping(entry) = entry else {
        return Err("the entry must be a mapping with `path`, `content` and so on".into());
    };
    let mut file = File {
        path: path(entry)?,
        content: Content(Vec::new()),
        mode: MODE,
        owner: Owner::default(),
        append: false,
        line: None,
    };
    let mut encoding = "";
    let mut warnings = Vec::new();
    for (key, value) in entry {
        match key.as_str().unwrap_or_default() {
            "path" => (),
            "content" => file.content = Content(raw(value)?),
            "encoding" => encoding = value.as_str().ok_or("`encoding` must be text")?,
            "permissions" => file.mode = mode(value)?,
            "owner" => file.owner = owner(value)?,
            "append" => {
                file.append = value
                    .as_bool()
                    .ok_or("`append` must be `true` or `false`")?
            }
            // Files are written after accounts and folders exist.
            "defer" => (),
            "source" if entry.contains_key("content") => {
                warnings.push("`source` is not supported; `content` is written".into());
            }
            "source" => {
                return Err(
                    "`source` is not supported; hint: write `content`, or fetch it with `runcmd`"
                        .into(),
                );
            }
            other => warnings.push(format!("ignored: unknown key `{other}`")),
        }
    }
    file.content = Content(decoded(file.content.0, encoding)?);
    Ok((file, warnings))
}

fn path(entry: &Mapping) -> Result<String, String> {
    let path = entry.get("path").and_then(Value::as_str);
    let path = path.ok_or("`path` is missing")?;
    let up = path.split('/').any(|part| part == "..");
    if !path.starts_with('/') || path.ends_with('/') || up || path.contains('\0') {
        return Err("`path` must be the absolute path of a file".into());
    }
    Ok(path.into())
}

/// The content before decoding.
fn raw(value: &Value) -> Result<Vec<u8>, String> {
    match value {
        Value::Null => Ok(Vec::new()),
        value => match verbatim::text(value) {
            Some(text) => Ok(text.into_bytes()),
            None => Err("`content` must be text".into()),
        },
    }
}

/// Decodes content according to `encoding`, e.g. `gz+b64`.
fn decoded(bytes: Vec<u8>, encoding: &str) -> Result<Vec<u8>, String> {
    match encoding {
        "" | "text/plain" => Ok(bytes),
        "b64" | "base64" => base64(&bytes),
        // YAML represents bytes only as base64, with or without the tag `!!binary`.
        "gz" | "gzip" | "gz+b64" | "gz+base64" | "gzip+b64" | "gzip+base64" => {
            decode::gunzip(&base64(&bytes)?).map_err(|error| format!("invalid gzip: {error}"))
        }
        other => Err(format!(
            "unknown encoding `{other}`; hint: use one of b64, base64, gz, gzip, gz+b64, gz+base64, \
             gzip+b64, gzip+base64"
        )),
    }
}

fn base64(text: &[u8]) -> Result<Vec<u8>, String> {
    // YAML breaks base64 into lines.
    let text: Vec<u8> = text
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    STANDARD
        .decode(text)
        .map_err(|error| format!("invalid base64: {error}"))
}

/// An octal mode, quoted or not.
fn mode(value: &Value) -> Result<u32, String> {
    verbatim::text(value)
        .and_then(|digits| u32::from_str_radix(digits.trim_start_matches("0o"), 8).ok())
        .filter(|mode| *mode <= 0o7777)
        .ok_or_else(|| "`permissions` must be an octal mode such as `0644`".to_owned())
}

fn owner(value: &Value) -> Result<Owner, String> {
    let text = verbatim::text(value).ok_or("`owner` must be `USER:GROUP`")?;
    let (user, group) = text.split_once(':').unwrap_or((&text, ""));
    Ok(Owner {
        user: not_empty(user),
        group: not_empty(group),
    })
}

fn not_empty(name: &str) -> Option<String> {
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::decode::tests::gzip;
    use super::*;

    fn files(list: &str) -> (Vec<File>, Vec<Problem>) {
        let text = format!("#cloud-config\nwrite_files:\n{list}");
        let value = verbatim::parse(&text).unwrap();
        read(&text, "write_files", &value["write_files"])
    }

    #[test]
    fn permissions_are_octal_in_every_notation() {
        for written in ["0755", "755", "'0755'", "\"755\"", "0o755"] {
            let (files, problems) = files(&format!("- {{path: /a, permissions: {written}}}\n"));
            assert_eq!((problems, files[0].mode), (vec![], 0o755), "{written}");
        }
        assert_eq!(files("- {path: /a, permissions: 0o644}\n").0[0].mode, 0o644);
        assert_eq!(files("- {path: /a, permissions: 0420}\n").0[0].mode, 0o420);
        assert_eq!(files("- {path: /a, permissions: 4755}\n").0[0].mode, 0o4755);
        assert_eq!(files("- {path: /a}\n").0[0].mode, 0o644);
        for written in ["0855", "77777", "rwx", "[7]", "-1"] {
            let (files, problems) = files(&format!("- {{path: /a, permissions: {written}}}\n"));
            assert_eq!((files.len(), problems.len()), (0, 1), "{written}");
        }
    }

    #[test]
    fn content_is_decoded_for_every_encoding() {
        let plain = "hello, world";
        let packed = STANDARD.encode(gzip(plain.as_bytes()));
        let b64 = STANDARD.encode(plain);
        for (encoding, content) in [
            ("text/plain", plain.to_owned()),
            ("b64", b64.clone()),
            ("base64", format!("|\n    {}\n    {}", &b64[..4], &b64[4..])),
            ("gz", format!("!!binary {packed}")),
            ("gzip", format!("!!binary {packed}")),
            ("gz+b64", packed.clone()),
            ("gz+base64", packed.clone()),
            ("gzip+b64", packed.clone()),
            ("gzip+base64", packed.clone()),
        ] {
            let (files, problems) = files(&format!(
                "- path: /a\n  encoding: {encoding}\n  content: {content}\n"
            ));
            assert_eq!(problems, [], "{encoding}");
            assert_eq!(files[0].content.0, plain.as_bytes(), "{encoding}");
        }
        for (encoding, content) in [
            ("b64", "x?"),
            ("gz", plain),
            ("gz+b64", &b64),
            ("rot13", plain),
        ] {
            let (files, problems) = files(&format!(
                "- path: /a\n  encoding: {encoding}\n  content: {content}\n"
            ));
            assert_eq!((files.len(), problems.len()), (0, 1), "{encoding}");
        }
    }

    #[test]
    fn invalid_entries_are_reported_with_their_lines() {
        let (files, problems) = files(
            "- {path: /good, owner: 'rancher:docker'}\n- {path: relative}\n- {content: x}\n- /x\n\
             - path: /odd\n  apend: true\n\
             - {path: /etc/sysctl.d/a, source: {uri: x}, content: y, defer: true}\n\
             - {path: /x, source: {uri: x}}\n- {path: /y, append: true}\n",
        );
        let paths: Vec<_> = files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["/good", "/odd", "/etc/sysctl.d/a", "/y"]);
        assert!(files[3].append && !files[2].append);
        let owner = &files[0].owner;
        assert_eq!(
            (owner.user.as_deref(), owner.group.as_deref()),
            (Some("rancher"), Some("docker"))
        );
        let lines: Vec<_> = problems.iter().map(|problem| problem.line).collect();
        let wanted = [4, 5, 6, 7, 9, 9, 10].map(Some);
        assert_eq!(lines, wanted, "{problems:?}");
        assert!(
            problems[5].message.contains("hint: set `rancher: { sysctl"),
            "{}",
            problems[5]
        );
        for path in ["/", "/a/", "/a/../b", "a"] {
            assert_eq!(super::tests::files(&format!("- {{path: {path}}}\n")).0, []);
        }
    }

    #[test]
    fn debug_output_does_not_contain_the_content() {
        assert_eq!(format!("{:?}", Content(b"geheim".to_vec())), "6 bytes");
    }
}
