//! Validation of host names, and truncation of names that are too long.

use std::borrow::Cow;

/// The longest label of a domain name, in bytes (RFC 1035, 2.3.4).
const MAX_LABEL: usize = 63;

/// The longest host name that Linux stores, in bytes (`__NEW_UTS_LEN`).
const MAX_NAME: usize = 64;

/// Whether a name is a valid host name: labels of letters, digits and hyphens, joined by dots
/// (RFC 1123, 2.1).
pub fn is_valid(name: &str) -> bool {
    name.len() <= MAX_NAME
        && name
            .split('.')
            .all(|label| is_label(label) && label.len() <= MAX_LABEL)
}

/// The host name that the machine gets for a configured name: the name itself, or, if it is too long,
/// its first label cut to 63 characters. Returns `None` if the name is not a host name.
pub(crate) fn truncated(name: &str) -> Option<Cow<'_, str>> {
    if is_valid(name) {
        return Some(name.into());
    }
    // An absolute domain name ends with a dot.
    let relative = name.strip_suffix('.').unwrap_or(name);
    if is_valid(relative) {
        return Some(relative.to_owned().into());
    }
    if !relative.split('.').all(is_label) {
        return None;
    }
    let first = relative.split('.').next().unwrap_or_default();
    let cut = first[..first.len().min(MAX_LABEL)].trim_end_matches('-');
    is_valid(cut).then(|| cut.to_owned().into())
}

fn is_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let is_inner = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    is_end(bytes.first()) && is_end(bytes.last()) && bytes.iter().all(is_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_name_is_cut_at_the_first_dot_or_to_63_characters_when_it_is_too_long() {
        let long = "a".repeat(70);
        for (name, wanted) in [
            ("box".to_owned(), "box".to_owned()),
            ("box.example.org".into(), "box.example.org".into()),
            ("box.".into(), "box".into()),
            (format!("box.{}.org", "b".repeat(62)), "box".into()),
            (long.clone(), "a".repeat(63)),
            ("a".repeat(64), "a".repeat(63)),
            (format!("{long}.org"), "a".repeat(63)),
            (format!("{}-{long}", "a".repeat(62)), "a".repeat(62)),
        ] {
            assert_eq!(truncated(&name).as_deref(), Some(wanted.as_str()), "{name}");
            assert_eq!(is_valid(&name), name == wanted, "{name}");
        }
    }

    #[test]
    fn truncation_rejects_a_text_that_is_not_a_host_name() {
        let long = format!("a_{}", "b".repeat(70));
        for name in [
            "", ".", "my box", "my_box", "-a", "a-", "a..b", ".a", "ü", "a\n", &long,
        ] {
            assert_eq!(truncated(name), None, "{name}");
        }
    }
}
