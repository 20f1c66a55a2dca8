//! Decompresses user-data and converts text that was saved on Windows.

use std::borrow::Cow;
use std::io::Read as _;

use flate2::read::MultiGzDecoder;

/// The maximum size of decompressed data, in bytes.
pub(super) const LIMIT: u64 = 16 << 20;

/// Decompressed and converted user-data, to find lines in it.
pub(crate) fn plain_text(bytes: &[u8]) -> String {
    let bytes = unzipped(bytes).unwrap_or_default();
    String::from_utf8_lossy(&without_windows_encoding(&bytes)).into_owned()
}

/// Converts text that was saved on Windows: removes a byte order mark, decodes UTF-16, and replaces CR LF,
/// because the kernel would read the CR as a part of the interpreter's name.
pub(super) fn without_windows_encoding(bytes: &[u8]) -> Cow<'_, [u8]> {
    let bytes: Cow<'_, [u8]> = match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => rest.into(),
        [0xff, 0xfe, rest @ ..] if rest.len().is_multiple_of(2) && !rest.is_empty() => {
            from_utf_16(rest, u16::from_le_bytes).into()
        }
        [0xfe, 0xff, rest @ ..] if rest.len().is_multiple_of(2) && !rest.is_empty() => {
            from_utf_16(rest, u16::from_be_bytes).into()
        }
        _ => bytes.into(),
    };
    // Only the first line decides, because the rest of a script may be binary.
    let first = bytes.split(|byte| *byte == b'\n').next();
    if !first.is_some_and(|line| line.ends_with(b"\r")) {
        return bytes;
    }
    let is_line_end = |at: usize| bytes[at] == b'\r' && bytes.get(at + 1) == Some(&b'\n');
    let unix = (0..bytes.len()).filter(|&at| !is_line_end(at));
    unix.map(|at| bytes[at]).collect::<Vec<_>>().into()
}

fn from_utf_16(bytes: &[u8], read: fn([u8; 2]) -> u16) -> Vec<u8> {
    let pairs = bytes.chunks_exact(2).map(|pair| read([pair[0], pair[1]]));
    String::from_utf16_lossy(&pairs.collect::<Vec<_>>()).into_bytes()
}

/// Decompresses data if it is compressed by gzip.
pub(super) fn unzipped(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    if bytes.starts_with(&[0x1f, 0x8b]) {
        gunzip(bytes)
    } else {
        Ok(bytes.to_vec())
    }
}

/// Decompresses data up to [`LIMIT`].
pub(super) fn gunzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    let mut decoder = MultiGzDecoder::new(bytes).take(LIMIT + 1);
    decoder.read_to_end(&mut plain)?;
    if plain.len() as u64 > LIMIT {
        let message = format!("larger than {} MiB", LIMIT >> 20);
        return Err(std::io::Error::other(message));
    }
    Ok(plain)
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write as _;

    pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }
}
