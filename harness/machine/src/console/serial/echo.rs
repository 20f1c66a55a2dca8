//! Recognizes the echo of typed lines: the terminal echoes them, and a shell's line editor echoes them
//! again.
//!
//! An echo is the whole line that was sent, at the start of a line or after a prompt, up to the end of
//! the line. It may be wrapped at the width of the terminal, coloured, or interrupted by a kernel
//! message.

use std::ops::Range;

/// Number of recent lines that are remembered.
const MAX_LINES: usize = 16;

/// Lines that were sent, each with the length of the text at that time.
#[derive(Debug, Default)]
pub(super) struct Sent(Vec<(usize, String)>);

impl Sent {
    /// Records a line.
    pub(super) fn add(&mut self, at: usize, line: &str) {
        let line = line.trim_end_matches(['\r', '\n']);
        if line.is_empty() {
            return;
        }
        if self.0.len() == MAX_LINES {
            self.0.remove(0);
        }
        self.0.push((at, line.to_owned()));
    }

    /// Forgets all lines.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Adjusts the offsets after bytes at the start of the text were dropped.
    pub(super) fn forget(&mut self, dropped: usize) {
        for (at, _) in &mut self.0 {
            *at = at.saturating_sub(dropped);
        }
    }

    /// The parts of `text` from `from` on that are no echo, in order.
    pub(super) fn without_echo(&self, text: &str, from: usize) -> Vec<Range<usize>> {
        let mut parts = Vec::new();
        let mut begin = from;
        for echo in self.echoes(text, from) {
            if echo.start > begin {
                parts.push(begin..echo.start);
            }
            begin = begin.max(echo.end);
        }
        parts.push(begin..text.len());
        parts
    }

    fn echoes(&self, text: &str, from: usize) -> Vec<Range<usize>> {
        let mut all = Vec::new();
        for (at, line) in &self.0 {
            let mut begin = (*at).max(from);
            while let Some(echo) = next(text, begin, line) {
                begin = echo.end;
                all.push(echo);
            }
        }
        all.sort_by_key(|echo| echo.start);
        all
    }
}

/// The first echo of a line that begins at `from` or later. An incomplete echo extends to the end of
/// the text.
fn next(text: &str, from: usize, line: &str) -> Option<Range<usize>> {
    let first = line.chars().next()?;
    let begins = text.get(from..)?.match_indices(first);
    let mut begins = begins.map(|(at, _)| from + at);
    begins.find_map(|begin| {
        let end = echoed(&text[begin..], line)?;
        is_begin(&text[..begin]).then_some(begin..begin + end)
    })
}

/// Whether a line can be typed after this text: its last visible character is not part of a word.
fn is_begin(before: &str) -> bool {
    let visible = without_sequence(before);
    !visible.ends_with(|c: char| c.is_alphanumeric())
}

/// Removes control sequences (`ESC [ ... letter`) from the end of the text.
fn without_sequence(text: &str) -> &str {
    let cut = text.rfind("\x1b[").filter(|at| {
        let rest = &text[at + 2..];
        rest.ends_with(|c: char| c.is_ascii_alphabetic())
            && rest.matches(|c: char| c.is_ascii_alphabetic()).count() == 1
    });
    cut.map_or(text, |at| without_sequence(&text[..at]))
}

/// The length of the echo of `line` at the start of `text`, if there is one.
fn echoed(text: &str, line: &str) -> Option<usize> {
    let line: Vec<char> = line.chars().collect();
    let (mut at, mut typed) = (0, 0);
    loop {
        let rest = &text[at..];
        let Some(letter) = rest.chars().next() else {
            // More may follow.
            return Some(at);
        };
        if typed == line.len() && matches!(letter, '\r' | '\n') {
            return Some(at);
        }
        if line.get(typed) == Some(&letter) {
            typed += 1;
            at += letter.len_utf8();
        } else if letter == '\u{8}' {
            typed = typed.saturating_sub(1);
            at += 1;
        } else {
            at += noise(rest)?;
        }
    }
}

/// The length of a sequence that may interrupt an echo.
fn noise(text: &str) -> Option<usize> {
    let mut letters = text.chars();
    let (first, second) = (letters.next()?, letters.next());
    match (first, second) {
        ('\r' | '\n', _) => Some(1),
        ('\x1b', Some('[')) => {
            let end = text.find(|c: char| c.is_ascii_alphabetic());
            Some(end.map_or(text.len(), |end| end + 1))
        }
        // A character that the line editor writes again at the end of a terminal line.
        (_, Some('\r' | '\u{8}')) => Some(first.len_utf8() + 1),
        ('[', _) => kernel_message(text),
        _ => None,
    }
}

/// The length of a kernel message (`[   12.345678] something`), which may be incomplete.
fn kernel_message(text: &str) -> Option<usize> {
    let inside = text[1..].split(']').next().unwrap_or_default();
    let is_time = inside
        .chars()
        .all(|c| c.is_ascii_digit() || " .".contains(c));
    is_time.then(|| text.find('\n').map_or(text.len(), |end| end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "sleep 20; false && echo DONE";

    /// The parts of `text` that are no echo of a line that was sent at the start.
    fn without_echo(line: &str, text: &str) -> String {
        let mut sent = Sent::default();
        sent.add(0, line);
        let parts = sent.without_echo(text, 0);
        let parts: Vec<_> = parts.into_iter().map(|part| &text[part]).collect();
        parts.concat()
    }

    #[test]
    fn echo_is_removed_in_any_form() {
        for echo in [
            LINE.to_owned(),
            format!("$ {LINE}"),
            format!("\x1b[?2004h\x1b[32m{LINE}"),
            // Typed before the shell reads: the terminal's echo, then the shell's.
            format!("{LINE}\r\nhost$ {LINE}"),
            LINE.replace("&& ", "&& \r\n"),
            LINE.replace("&& ", "&&  \r"),
            LINE.replace("&& ", "&& e\u{8}"),
            LINE.replace("echo", "ec[   12.345678] eth0: up\r\nho"),
        ] {
            let without_echo = without_echo(LINE, &format!("{echo}\r\nand so on\r\n"));
            assert!(
                !without_echo.contains("DONE"),
                "{echo:?} leaves {without_echo:?}"
            );
            assert!(
                without_echo.ends_with("\r\nand so on\r\n"),
                "{echo:?}: {without_echo:?}"
            );
        }
    }

    #[test]
    fn incomplete_echo_is_removed() {
        for length in 1..LINE.len() {
            assert_eq!(without_echo(LINE, &format!("$ {}", &LINE[..length])), "$ ");
        }
    }

    #[test]
    fn output_of_a_command_is_kept() {
        assert_eq!(
            without_echo("id", "id\r\nuid=0(root)\r\nliquid\r\n"),
            "\r\nuid=0(root)\r\nliquid\r\n"
        );
        assert_eq!(
            without_echo("echo DONE", "$ echo DONE\r\nDONE\r\n$ "),
            "$ \r\nDONE\r\n$ "
        );
        assert_eq!(without_echo("", "login: "), "login: ");
        assert_eq!(without_echo("ls", "$ ls\r\ntools\r\n"), "$ \r\ntools\r\n");
    }

    #[test]
    fn text_before_the_line_was_sent_is_no_echo() {
        let text = "id\r\n$ id\r\n";
        let mut sent = Sent::default();
        sent.add(4, "id\r");
        assert_eq!(sent.without_echo(text, 0), [0..6, 8..10]);
        assert_eq!(sent.without_echo(text, 8).first(), Some(&(8..10)));
    }
}
