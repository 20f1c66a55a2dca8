//! Output of guests, made safe for terminals, browsers and parsers.

use std::fmt::Write as _;

/// Text without characters that act on a terminal, a page or an XML parser. Control sequences that set
/// colours or move the cursor (ECMA-48 CSI) and carriage returns are removed. Other control characters,
/// bidirectional controls, characters without a width and noncharacters are escaped.
pub fn printable(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        if let Some(length) = control_sequence(rest) {
            rest = &rest[length..];
            continue;
        }
        rest = &rest[letter.len_utf8()..];
        let _ = match letter {
            '\n' | '\t' => clean.write_char(letter),
            '\r' => Ok(()),
            letter if letter.is_ascii_control() => write!(clean, "\\x{:02x}", letter as u32),
            letter if is_hidden(letter) => write!(clean, "\\u{{{:x}}}", letter as u32),
            letter => clean.write_char(letter),
        };
    }
    clean
}

/// The length of the control sequence at the start of a text (ECMA-48, 5.4).
fn control_sequence(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\x1b[")?.bytes();
    let length = parameters
        .take_while(|byte| (0x20..=0x3f).contains(byte))
        .count();
    let end = "\x1b[".len() + length;
    let last = text.as_bytes().get(end)?;
    (0x40..=0x7e).contains(last).then_some(end + 1)
}

/// Whether a character is invisible, changes the order of others, or is a noncharacter (Unicode 16, 23.7).
fn is_hidden(letter: char) -> bool {
    let number = letter as u32;
    let hidden = matches!(
        letter,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fdd0}'..='\u{fdef}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    );
    letter.is_control() || hidden || number & 0xfffe == 0xfffe
}

/// The limit in bytes of a text in a verdict; a longer text is shortened to its start and end.
pub const MOST: usize = 32 << 10;
/// The limit in bytes of a sentence in a verdict.
pub const MOST_OF_SENTENCE: usize = 4 << 10;

/// Shortens a text to about `most` bytes: a quarter of them from its start, the others from its end.
/// `rest` says in the gap where the whole text is.
pub fn bounded(text: &str, most: usize, rest: &str) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let head = &text[..floor_boundary(text, most / 4)];
    let tail = &text[ceil_boundary(text, text.len() - most / 4 * 3)..];
    let left_out = text.len() - head.len() - tail.len();
    format!("{head}\n[{left_out} bytes are left out here{rest}]\n{tail}")
}

/// The last character boundary up to `at`; `str::floor_char_boundary` of Rust 1.91.
pub fn floor_boundary(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    let mut places = (0..=at).rev();
    places
        .find(|&place| text.is_char_boundary(place))
        .unwrap_or(0)
}

/// The first character boundary from `at`.
pub fn ceil_boundary(text: &str, at: usize) -> usize {
    let mut places = at..text.len();
    places
        .find(|&place| text.is_char_boundary(place))
        .unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printable_removes_or_escapes_control_characters() {
        for (output, shown) in [
            ("\x1b[1;31mred\x1b[0m\r\n", "red\n"),
            ("\x1b]52;c;cm0gLXJmIH4=\x07", r"\x1b]52;c;cm0gLXJmIH4=\x07"),
            ("\x1bP+q\x1b\\", r"\x1bP+q\x1b\"),
            ("\x1b[12", r"\x1b[12"),
            ("\x1b[\u{e9}", "\\x1b[\u{e9}"),
            ("a\0b\u{8}\u{7f}\u{9b}31m", r"a\x00b\x08\x7f\u{9b}31m"),
            ("\u{202e}cod.exe\u{2066}", r"\u{202e}cod.exe\u{2066}"),
            ("\u{fffe}\u{ffff}\u{1ffff}", r"\u{fffe}\u{ffff}\u{1ffff}"),
            ("\u{feff}\u{200b}\u{2028}", r"\u{feff}\u{200b}\u{2028}"),
            ("tab\there\u{e9}\u{fffd}", "tab\there\u{e9}\u{fffd}"),
        ] {
            assert_eq!(printable(output), shown);
            assert_eq!(printable(shown), shown, "printable text does not change");
        }
    }

    #[test]
    fn bounded_keeps_start_and_end_of_a_long_text() {
        assert_eq!(bounded("short", 16, ""), "short");
        let text = format!("begin{}end", "\u{e9}".repeat(1000));
        let shown = bounded(&text, 40, "; see x");
        assert!(shown.starts_with("begin\u{e9}") && shown.ends_with("\u{e9}end"));
        assert!(shown.contains("bytes are left out here; see x]"), "{shown}");
        assert!(shown.len() < 100);
    }
}
