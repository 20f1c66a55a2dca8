//! Names derived from content (SHA-256).

use std::fs::File;
use std::io;
use std::path::Path;

use sha2::{Digest as _, Sha256};

/// The number of hash bytes in a name.
const BYTES: usize = 16;

/// Builds a name from texts and files.
#[derive(Default)]
pub struct Hash(Sha256);

impl Hash {
    /// Adds a text.
    pub fn text(mut self, text: &str) -> Self {
        self.0.update(text);
        self
    }

    /// Adds the content of a file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn file(mut self, file: &Path) -> io::Result<Self> {
        io::copy(&mut File::open(file)?, &mut Writer(&mut self.0))?;
        Ok(self)
    }

    /// The name.
    pub fn finish(self) -> String {
        let hash = self.0.finalize();
        hash.iter()
            .take(BYTES)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// The SHA-256 hash of a file, in hexadecimal.
///
/// # Errors
/// The file cannot be read.
pub fn sha256(file: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    io::copy(&mut File::open(file)?, &mut Writer(&mut hash))?;
    let hash = hash.finalize();
    Ok(hash.iter().map(|byte| format!("{byte:02x}")).collect())
}

struct Writer<'a>(&'a mut Sha256);

impl io::Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_depends_only_on_the_content() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "content").unwrap();
        let of_file = Hash::default().file(&file).unwrap().finish();
        assert_eq!(of_file, Hash::default().text("content").finish());
        assert_ne!(of_file, Hash::default().text("other").finish());
        assert_eq!(of_file.len(), 2 * BYTES);
        assert!(Hash::default().file(folder.path()).is_err());
    }
}
