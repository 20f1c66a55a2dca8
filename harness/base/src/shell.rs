//! Words for a POSIX shell.

/// The word, quoted when it must be.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=:,+".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn words_are_quoted_when_they_must() {
        assert_eq!(super::quote("/a/b-c.d"), "/a/b-c.d");
        assert_eq!(super::quote(""), "''");
        assert_eq!(super::quote("it's $HOME"), r"'it'\''s $HOME'");
    }
}
