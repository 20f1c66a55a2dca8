//! Quoting for POSIX shells.

/// Quotes a word if necessary.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=:,+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn quote_adds_quotes_only_when_necessary() {
        assert_eq!(super::quote("/a/b-c.d"), "/a/b-c.d");
        assert_eq!(super::quote(""), "''");
        assert_eq!(super::quote("it's $HOME"), r"'it'\''s $HOME'");
    }
}
