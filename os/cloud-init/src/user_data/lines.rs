//! Finds the lines of keys in user-data.

/// The first line that contains a key, found without a YAML parser.
pub(crate) fn line_of(text: &str, key: &str) -> Option<usize> {
    let has_key = |line: &str| {
        let line = line.trim_start().trim_start_matches("- ").trim_start();
        let rest = line.trim_start_matches(['"', '\'']).strip_prefix(key);
        rest.is_some_and(|rest| {
            rest.trim_start_matches(['"', '\''])
                .trim_start()
                .starts_with(':')
        })
    };
    text.lines().position(has_key).map(|index| index + 1)
}

/// The line of a top-level key, or of an item of its list.
pub(super) fn line_at(text: &str, key: &str, item: Option<usize>) -> Option<usize> {
    let number = item.map(|item| item.to_string());
    let path: Vec<_> = [Some(key.to_owned()), number]
        .into_iter()
        .flatten()
        .collect();
    config::line(text, &path).or_else(|| line_of(text, key))
}
