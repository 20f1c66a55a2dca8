//! Text that a guest said, made fit for terminals, browsers and parsers.

use std::fmt::Write as _;

/// Text without what would act on the terminal, page or XML that it is printed in: control sequences that
/// set colours or move the cursor (ECMA-48 CSI) and carriage returns are left out; other control
/// characters, bidirectional controls, characters without a width and noncharacters are escaped.
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

/// The length of the control sequence that a text begins with (ECMA-48, 5.4).
fn control_sequence(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\x1b[")?.bytes();
    let length = parameters
        .take_while(|byte| (0x20..=0x3f).contains(byte))
        .count();
    let end = "\x1b[".len() + length;
    let last = text.as_bytes().get(end)?;
    (0x40..=0x7e).contains(last).then_some(end + 1)
}

/// Whether a letter cannot be seen, changes the order of others, or is none (Unicode 16, 23.7).
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

/// Bytes of a text that is shown in a verdict; of a longer one its beginning and its end.
pub const MOST: usize = 32 << 10;
/// Bytes of a sentence there.
pub const MOST_OF_SENTENCE: usize = 4 << 10;

/// A text in at most about `most` bytes: where it is longer, a quarter of them from its beginning and the
/// rest from its end. `rest` says where all of it is.
pub fn bounded(text: &str, most: usize, rest: &str) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let head = &text[..floor_boundary(text, most / 4)];
    let tail = &text[ceil_boundary(text, text.len() - most / 4 * 3)..];
    let left_out = text.len() - head.len() - tail.len();
    format!("{head}\n[{left_out} bytes are left out here{rest}]\n{tail}")
}

/// The last place up to `at` where no character is cut; `str::floor_char_boundary` of Rust 1.91.
pub fn floor_boundary(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    let mut places = (0..=at).rev();
    places
        .find(|&place| text.is_char_boundary(place))
        .unwrap_or(0)
}

/// The first such place from `at` on.
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
    fn what_acts_on_a_terminal_is_left_out_or_escaped() {
        for (said, shown) in [
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
            assert_eq!(printable(said), shown);
            assert_eq!(printable(shown), shown, "what is shown is shown again");
        }
    }

    #[test]
    fn of_a_long_text_beginning_and_end_are_shown() {
        assert_eq!(bounded("short", 16, ""), "short");
        let text = format!("begin{}end", "\u{e9}".repeat(1000));
        let shown = bounded(&text, 40, "; see x");
        assert!(shown.starts_with("begin\u{e9}") && shown.ends_with("\u{e9}end"));
        assert!(shown.contains("bytes are left out here; see x]"), "{shown}");
        assert!(shown.len() < 100);
    }
}
