//! `write_files`: each entry read into what can be written.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use config::written;
use flate2::read::MultiGzDecoder;
use serde_yaml::{Mapping, Value};

use super::LIMIT;
use super::directives::line_at;
use super::elsewhere;
use crate::Problem;

/// The mode of a file that names none.
const MODE: u32 = 0o644;

/// A file to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Where; an absolute path.
    pub path: String,
    /// What is in it.
    pub content: Content,
    /// Its mode.
    pub mode: u32,
    /// Whose it is.
    pub owner: Owner,
    /// Whether what is there stays, and the content is added unless it is there already.
    pub append: bool,
    /// The line in the user-data that names it, where that is known.
    pub line: Option<usize>,
}

/// What is in a file. Not shown by `Debug`: it may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Content(pub Vec<u8>);

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// `USER`, `USER:GROUP` or `:GROUP`, each a name or a number; `None` is root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owner {
    /// Whose it is.
    pub user: Option<String>,
    /// Which group's.
    pub group: Option<String>,
}

/// The entries that can be written, and what is wrong with the others.
pub(super) fn read(text: &str, key: &str, value: &Value) -> (Vec<File>, Vec<Problem>) {
    let Value::Sequence(entries) = value else {
        let what = "`write_files` is not a list; it is ignored";
        return (vec![], vec![Problem::at(line_at(text, key, None), what)]);
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
        match one(entry) {
            Ok((file, doubts)) => {
                let content = doubtful_content(&file);
                let doubts = doubts.into_iter().chain(content);
                let doubts = doubts.map(|what| Problem::at(line, format!("{name}: {what}")));
                problems.extend(doubts);
                files.push(File { line, ..file });
            }
            Err(why) => problems.push(Problem::at(
                line,
                format!("{name}: {why}; it is not written"),
            )),
        }
    }
    (files, problems)
}

/// The line that names a path.
fn line_with(text: &str, path: &str) -> Option<usize> {
    let names = |line: &str| line.contains("path") && line.contains(path);
    let found = text.lines().position(names).map(|index| index + 1);
    found.filter(|_| !path.is_empty())
}

/// What is wrong with a file that is written all the same.
fn doubtful_content(file: &File) -> Option<String> {
    if let Some(instead) = elsewhere::file(&file.path) {
        return Some(format!(
            "it is written, and nothing here reads it; hint: {instead}"
        ));
    }
    if !config::DAEMON_JSON.contains(&file.path.as_str()) {
        return None;
    }
    let text = String::from_utf8_lossy(&file.content.0);
    let problems = config::engine::check_daemon_json(&text);
    (!problems.is_empty()).then(|| problems.join("; "))
}

/// One entry, and what is wrong with it.
fn one(entry: &Value) -> Result<(File, Vec<String>), String> {
    let Value::Mapping(entry) = entry else {
        return Err("it is no mapping of `path`, `content` and so on".into());
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
    let mut doubts = Vec::new();
    for (key, value) in entry {
        match key.as_str().unwrap_or_default() {
            "path" => (),
            "content" => file.content = Content(raw(value)?),
            "encoding" => encoding = value.as_str().ok_or("`encoding` is no word")?,
            "permissions" => file.mode = mode(value)?,
            "owner" => file.owner = owner(value)?,
            "append" => {
                file.append = value
                    .as_bool()
                    .ok_or("`append` is neither true nor false")?
            }
            // Accounts and folders are there when files are written.
            "defer" => (),
            "source" if entry.contains_key("content") => {
                doubts.push("`source` is not fetched; its `content` is written".into());
            }
            "source" => {
                return Err(
                    "`source` is not fetched; hint: write `content`, or fetch it with \
                            `runcmd`"
                        .into(),
                );
            }
            other => doubts.push(format!("`{other}` is not known; it is ignored")),
        }
    }
    file.content = Content(decoded(file.content.0, encoding)?);
    Ok((file, doubts))
}

fn path(entry: &Mapping) -> Result<String, String> {
    let path = entry.get("path").and_then(Value::as_str);
    let path = path.ok_or("it has no `path`")?;
    let up = path.split('/').any(|part| part == "..");
    if !path.starts_with('/') || path.ends_with('/') || up || path.contains('\0') {
        return Err("its path does not lead to a file from `/` on".into());
    }
    Ok(path.into())
}

/// A content as YAML has it.
fn raw(value: &Value) -> Result<Vec<u8>, String> {
    match value {
        Value::Null => Ok(Vec::new()),
        value => match written::text(value) {
            Some(text) => Ok(text.into_bytes()),
            None => Err("`content` is no text".into()),
        },
    }
}

/// Takes off what `encoding` names, e.g. `gz+b64`.
fn decoded(bytes: Vec<u8>, encoding: &str) -> Result<Vec<u8>, String> {
    match encoding {
        "" | "text/plain" => Ok(bytes),
        "b64" | "base64" => base64(&bytes),
        // YAML holds no bytes but as base64, with or without its tag `!!binary`.
        "gz" | "gzip" | "gz+b64" | "gz+base64" | "gzip+b64" | "gzip+base64" => {
            gunzip(&base64(&bytes)?)
        }
        other => Err(format!(
            "encoding `{other}` is none of b64, base64, gz, gzip, gz+b64, gz+base64, gzip+b64, \
             gzip+base64"
        )),
    }
}

fn base64(text: &[u8]) -> Result<Vec<u8>, String> {
    // In YAML it is broken into lines.
    let text: Vec<u8> = text
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    STANDARD
        .decode(text)
        .map_err(|error| format!("it is not base64: {error}"))
}

fn gunzip(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut plain = Vec::new();
    let read = MultiGzDecoder::new(bytes)
        .take(LIMIT + 1)
        .read_to_end(&mut plain);
    match read {
        Err(error) => Err(format!("it is not packed by gzip: {error}")),
        Ok(_) if plain.len() as u64 > LIMIT => Err(format!("it is more than {} MiB", LIMIT >> 20)),
        Ok(_) => Ok(plain),
    }
}

/// A mode is octal, quoted or not.
fn mode(value: &Value) -> Result<u32, String> {
    let wrong = || "`permissions` is no mode as `0644`".to_owned();
    let digits = written::text(value).ok_or_else(wrong)?;
    let mode = u32::from_str_radix(digits.trim_start_matches("0o"), 8).map_err(|_| wrong())?;
    (mode <= 0o7777).then_some(mode).ok_or_else(wrong)
}

fn owner(value: &Value) -> Result<Owner, String> {
    let text = written::text(value).ok_or("`owner` is no `USER:GROUP`")?;
    let (user, group) = text.split_once(':').unwrap_or((&text, ""));
    let some = |name: &str| Some(name.trim().to_owned()).filter(|name| !name.is_empty());
    Ok(Owner {
        user: some(user),
        group: some(group),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::gzip;
    use super::*;

    fn files(list: &str) -> (Vec<File>, Vec<Problem>) {
        let text = format!("#cloud-config\nwrite_files:\n{list}");
        let value = written::read(&text).unwrap();
        read(&text, "write_files", &value["write_files"])
    }

    #[test]
    fn a_mode_is_octal_however_it_is_written() {
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
    fn every_encoding_is_taken_off() {
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
    fn an_entry_that_cannot_be_written_is_told_with_its_line() {
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
            problems[5].what.contains("hint: set `rancher: { sysctl"),
            "{}",
            problems[5]
        );
        for path in ["/", "/a/", "/a/../b", "a"] {
            assert_eq!(super::tests::files(&format!("- {{path: {path}}}\n")).0, []);
        }
    }

    #[test]
    fn what_is_in_a_file_is_not_shown() {
        assert_eq!(format!("{:?}", Content(b"geheim".to_vec())), "6 bytes");
    }
}
