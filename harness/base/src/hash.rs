//! Names made of content (SHA-256).

use std::fs::File;
use std::io;
use std::path::Path;

use sha2::{Digest as _, Sha256};

/// Bytes of a hash that make a name.
const BYTES: usize = 16;

/// A name in the making.
#[derive(Default)]
pub struct Hash(Sha256);

impl Hash {
    /// Takes in a text.
    pub fn text(mut self, text: &str) -> Self {
        self.0.update(text);
        self
    }

    /// Takes in what a file holds.
    ///
    /// # Errors
    /// It cannot be read.
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

/// What a file holds, as the hash that others know it by.
///
/// # Errors
/// It cannot be read.
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
    fn content_makes_the_name() {
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
