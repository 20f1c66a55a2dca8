//! Lines of group(5).

/// The names of a group's members.
pub(crate) fn members(line: &str) -> impl Iterator<Item = &str> {
    let members = line.split(':').nth(3).unwrap_or_default().split(',');
    members.filter(|member| !member.is_empty())
}

/// The line with these members.
pub(crate) fn with_members(line: &str, members: &[&str]) -> String {
    let fields: Vec<_> = line.split(':').take(3).collect();
    format!("{}:{}", fields.join(":"), members.join(","))
}

/// The line with the members of another line added.
pub(crate) fn with_more_members(line: &str, other: &str) -> String {
    let mut all = Vec::from_iter(members(line));
    let more = members(other).filter(|member| !members(line).any(|has| has == *member));
    all.extend(more);
    with_members(line, &all)
}
