//! A file of accounts: lines with fields separated by colons (passwd(5), shadow(5), group(5)).

use std::ops::Range;
use std::path::PathBuf;

use crate::accounts::{SYSTEM_IDS, check_name};
use crate::files;

/// The lines of a file of accounts.
pub(crate) struct Table {
    path: PathBuf,
    mode: u32,
    lines: Vec<String>,
}

/// A field of a line; the first is 0.
pub(crate) fn field(line: &str, index: usize) -> &str {
    line.split(':').nth(index).unwrap_or_default()
}

impl Table {
    pub(crate) fn read(path: PathBuf) -> Result<Self, String> {
        let text = std::fs::read_to_string(&path);
        let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
        let is_secret = path.file_name().is_some_and(|name| name == "shadow");
        Ok(Self {
            mode: if is_secret { 0o600 } else { 0o644 },
            lines: text.lines().map(str::to_owned).collect(),
            path,
        })
    }

    pub(crate) fn save(&self) -> Result<(), String> {
        let text: String = self.lines.iter().map(|line| format!("{line}\n")).collect();
        files::replace(&self.path, &text, self.mode)
            .map_err(|error| format!("{}: {error}", self.path.display()))
    }

    pub(crate) fn line(&self, name: &str) -> Option<&str> {
        let mut lines = self.lines.iter().map(String::as_str);
        lines.find(|line| field(line, 0) == name)
    }

    pub(crate) fn push(&mut self, fields: &[&str]) -> Result<(), String> {
        self.lines.push(joined(fields)?);
        Ok(())
    }

    /// Sets a field of a line.
    pub(crate) fn set(&mut self, name: &str, index: usize, value: &str) -> Result<(), String> {
        for line in self.lines.iter_mut().filter(|line| field(line, 0) == name) {
            let mut fields = Vec::from_iter(line.split(':'));
            if let Some(field) = fields.get_mut(index) {
                *field = value;
            }
            *line = joined(&fields)?;
        }
        Ok(())
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.lines.retain(|line| field(line, 0) != name);
    }

    pub(crate) fn has_id(&self, id: u32) -> bool {
        self.ids().any(|one| one == id)
    }

    fn ids(&self) -> impl Iterator<Item = u32> {
        let ids = self.lines.iter().map(|line| field(line, 2).parse());
        ids.filter_map(Result::ok)
    }

    /// The requested ID, or the next free one in a range. System accounts get IDs in descending order,
    /// users in ascending order.
    pub(crate) fn free_id(
        &self,
        requested: Option<u32>,
        range: &Range<u32>,
    ) -> Result<u32, String> {
        if let Some(id) = requested {
            if self.has_id(id) {
                return Err(format!("ID {id} is in use"));
            }
            return Ok(id);
        }
        let is_free = |id: &u32| !self.has_id(*id);
        let found = if *range == SYSTEM_IDS {
            range.clone().rev().find(is_free)
        } else {
            let last = self.ids().filter(|id| range.contains(id)).max();
            let next = last.map_or(range.start, |last| last + 1);
            (next..range.end).chain(range.clone()).find(is_free)
        };
        found.ok_or_else(|| "no ID is free".into())
    }

    /// Adds a group and returns its ID.
    pub(crate) fn add_group(
        &mut self,
        name: &str,
        id: Option<u32>,
        range: Range<u32>,
    ) -> Result<u32, String> {
        check_name(name)?;
        if self.line(name).is_some() {
            return Err(format!("group `{name}` already exists"));
        }
        let id = self.free_id(id, &range)?;
        self.push(&[name, "x", &id.to_string(), ""])?;
        Ok(id)
    }

    /// The ID of a group, by name or ID.
    pub(crate) fn group_id(&self, group: &str) -> Result<u32, String> {
        let named = self.line(group).map(|line| field(line, 2).parse());
        let id = match named {
            Some(id) => id.ok(),
            None => group.parse().ok().filter(|id| self.has_id(*id)),
        };
        id.ok_or_else(|| format!("group `{group}` does not exist"))
    }

    /// Adds a user to groups, by name or ID.
    pub(crate) fn add_member(&mut self, user: &str, groups: &[String]) -> Result<(), String> {
        for group in groups {
            let id = self.group_id(group)?.to_string();
            let mut lines = self.lines.iter_mut();
            if let Some(line) = lines.find(|line| field(line, 2) == id) {
                let mut members = members(line);
                if !members.contains(&user) {
                    members.push(user);
                }
                *line = with_members(line, &members)?;
            }
        }
        Ok(())
    }

    /// Removes a user from all groups.
    pub(crate) fn remove_member(&mut self, user: &str) -> Result<(), String> {
        for line in &mut self.lines {
            if members(line).contains(&user) {
                let mut left = members(line);
                left.retain(|member| *member != user);
                *line = with_members(line, &left)?;
            }
        }
        Ok(())
    }

    /// Whether a group is the primary group of a user; only for the table of users.
    pub(crate) fn is_primary_group(&self, id: &str) -> bool {
        self.lines.iter().any(|line| field(line, 3) == id)
    }
}

fn members(line: &str) -> Vec<&str> {
    let members = field(line, 3).split(',');
    members.filter(|member| !member.is_empty()).collect()
}

fn with_members(line: &str, members: &[&str]) -> Result<String, String> {
    let members = members.join(",");
    joined(&[field(line, 0), field(line, 1), field(line, 2), &members])
}

fn joined(fields: &[&str]) -> Result<String, String> {
    let is_invalid = |field: &&&str| field.contains([':', '\n']);
    match fields.iter().find(is_invalid) {
        Some(field) => Err(format!(
            "`{}` contains a colon or a line break",
            field.escape_debug()
        )),
        None => Ok(fields.join(":")),
    }
}
