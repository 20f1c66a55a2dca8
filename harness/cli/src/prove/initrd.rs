//! Adds a file to an initrd by appending a cpio archive. The kernel
//! unpacks the archives in order, so the file replaces an existing one.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use scenario::InitrdFile;

/// The alignment of archives in bytes (buffer-format.rst in the kernel's documentation).
const ALIGNMENT: u64 = 4;
/// cpio modes: the file type bits of stat(2) and the permissions.
const FOLDER: u32 = 0o040_755;
const PLAIN: u32 = 0o100_644;
const PROGRAM: u32 = 0o100_755;

/// Writes a copy of `initrd` with `file` added to the new file `to`.
///
/// # Errors
/// `initrd` cannot be read, or `to` cannot be written.
pub(super) fn with_file(initrd: &Path, file: &InitrdFile, to: &Path) -> io::Result<()> {
    let mut out = File::create_new(to)?;
    let length = io::copy(&mut File::open(initrd)?, &mut out)?;
    let padding = length.next_multiple_of(ALIGNMENT) - length;
    io::copy(&mut io::Read::take(io::repeat(0), padding), &mut out)?;
    write_archive(file, io::BufWriter::new(out))
}

/// Writes the parent folders and then the file, because the kernel creates only folders that are listed.
fn write_archive(file: &InitrdFile, mut to: impl Write) -> io::Result<()> {
    let path = file.path.trim_start_matches('/');
    let folders = path.match_indices('/').map(|(end, _)| &path[..end]);
    for (number, folder) in (1..).zip(folders) {
        entry(folder, number, FOLDER, b"", &mut to)?;
    }
    let mode = if file.executable { PROGRAM } else { PLAIN };
    entry(path, 0, mode, file.content.as_bytes(), &mut to)?;
    cpio::newc::trailer(to)?.flush()
}

fn entry(
    path: &str,
    number: u32,
    mode: u32,
    content: &[u8],
    to: &mut impl Write,
) -> io::Result<()> {
    let size = u32::try_from(content.len()).map_err(io::Error::other)?;
    let entry = cpio::newc::Builder::new(path).ino(number).mode(mode);
    let mut writer = entry.write(to, size);
    writer.write_all(content)?;
    writer.finish().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_file_appends_the_file_after_its_parent_folders() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        std::fs::write(&old, "seven..").unwrap();
        let file = InitrdFile {
            path: "/root.d/bin/tea".into(),
            content: "#!/bin/sh\n".into(),
            executable: true,
        };
        with_file(&old, &file, &new).unwrap();
        let bytes = std::fs::read(&new).unwrap();
        assert!(bytes.starts_with(b"seven..\x00070701"));

        let mut archive = &bytes[8..];
        let mut seen = Vec::new();
        loop {
            let mut reader = cpio::newc::Reader::new(archive).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            let mut content = String::new();
            io::Read::read_to_string(&mut reader, &mut content).unwrap();
            let (name, mode) = (reader.entry().name().to_owned(), reader.entry().mode());
            seen.push(format!("{mode:o} {name} {content:?}"));
            archive = reader.finish().unwrap();
        }
        let wanted = [
            r#"40755 root.d """#,
            r#"40755 root.d/bin """#,
            r##"100755 root.d/bin/tea "#!/bin/sh\n""##,
        ];
        assert_eq!(seen, wanted);
    }
}
