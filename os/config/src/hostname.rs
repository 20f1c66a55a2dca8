//! Host names: what is one, and what is made of one that is too long.

use std::borrow::Cow;

/// The most that a label may have (RFC 1035, 2.3.4).
const LABEL: usize = 63;

/// The most that Linux holds (`__NEW_UTS_LEN`).
const MOST: usize = 64;

/// Whether a machine can be called so: labels of letters, digits and hyphens, joined by dots
/// (RFC 1123, 2.1).
pub fn is_valid(name: &str) -> bool {
    name.len() <= MOST
        && name
            .split('.')
            .all(|label| is_label(label) && label.len() <= LABEL)
}

/// The name that a machine gets that is to be called so: the same, or of one that is too long its first
/// label, of at most 63 characters. `None` is no host name at all.
pub fn fitted(name: &str) -> Option<Cow<'_, str>> {
    if is_valid(name) {
        return Some(name.into());
    }
    // The root of all names, which ends every absolute one.
    let relative = name.strip_suffix('.').unwrap_or(name);
    if is_valid(relative) {
        return Some(relative.to_owned().into());
    }
    if !relative.split('.').all(is_label) {
        return None;
    }
    let first = relative.split('.').next().unwrap_or_default();
    let cut = first[..first.len().min(LABEL)].trim_end_matches('-');
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
    fn name_is_cut_at_the_first_dot_or_to_63_characters_when_it_is_too_long() {
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
            assert_eq!(fitted(&name).as_deref(), Some(wanted.as_str()), "{name}");
            assert_eq!(is_valid(&name), name == wanted, "{name}");
        }
    }

    #[test]
    fn what_is_no_host_name_has_no_fitted_one() {
        let long = format!("a_{}", "b".repeat(70));
        for name in [
            "", ".", "my box", "my_box", "-a", "a-", "a..b", ".a", "ü", "a\n", &long,
        ] {
            assert_eq!(fitted(name), None, "{name}");
        }
    }
}
