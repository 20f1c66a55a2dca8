//! A file of accounts: a line each, fields between colons (passwd(5), shadow(5), group(5)).

use std::ops::Range;
use std::path::PathBuf;

use crate::{check_name, files};

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

    pub(crate) fn has_number(&self, number: u32) -> bool {
        self.numbers().any(|one| one == number)
    }

    fn numbers(&self) -> impl Iterator<Item = u32> {
        let numbers = self.lines.iter().map(|line| field(line, 2).parse());
        numbers.filter_map(Result::ok)
    }

    /// The number that is asked for, or the next one of a range: programs have theirs from above, people
    /// from below.
    pub(crate) fn free_number(
        &self,
        asked: Option<u32>,
        range: &Range<u32>,
    ) -> Result<u32, String> {
        if let Some(asked) = asked {
            return match self.has_number(asked) {
                true => Err(format!("number {asked} is taken")),
                false => Ok(asked),
            };
        }
        let free = |number: &u32| !self.has_number(*number);
        let found = if *range == crate::SYSTEM {
            range.clone().rev().find(free)
        } else {
            let last = self.numbers().filter(|number| range.contains(number)).max();
            let next = last.map_or(range.start, |last| last + 1);
            (next..range.end).chain(range.clone()).find(free)
        };
        found.ok_or_else(|| "no number is free".into())
    }

    /// Adds a group, and returns its number.
    pub(crate) fn add_group(
        &mut self,
        name: &str,
        number: Option<u32>,
        range: Range<u32>,
    ) -> Result<u32, String> {
        check_name(name)?;
        if self.line(name).is_some() {
            return Err(format!("group `{name}` already exists"));
        }
        let number = self.free_number(number, &range)?;
        self.push(&[name, "x", &number.to_string(), ""])?;
        Ok(number)
    }

    /// The number of a group, by name or number.
    pub(crate) fn group_number(&self, group: &str) -> Result<u32, String> {
        let named = self.line(group).map(|line| field(line, 2).parse());
        let number = match named {
            Some(number) => number.ok(),
            None => group.parse().ok().filter(|number| self.has_number(*number)),
        };
        number.ok_or_else(|| format!("group `{group}` does not exist"))
    }

    /// Makes somebody a member of groups, by name or number.
    pub(crate) fn join(&mut self, user: &str, groups: &[String]) -> Result<(), String> {
        for group in groups {
            let number = self.group_number(group)?.to_string();
            let mut lines = self.lines.iter_mut();
            if let Some(line) = lines.find(|line| field(line, 2) == number) {
                let mut members = members(line);
                if !members.contains(&user) {
                    members.push(user);
                }
                *line = with_members(line, &members)?;
            }
        }
        Ok(())
    }

    /// Makes somebody a member of no group.
    pub(crate) fn leave_all(&mut self, user: &str) -> Result<(), String> {
        for line in &mut self.lines {
            if members(line).contains(&user) {
                let mut left = members(line);
                left.retain(|member| *member != user);
                *line = with_members(line, &left)?;
            }
        }
        Ok(())
    }

    /// Whether it is the main group of somebody, in a table of users.
    pub(crate) fn is_main_group(&self, number: &str) -> bool {
        self.lines.iter().any(|line| field(line, 3) == number)
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
    let bad = |field: &&&str| field.contains([':', '\n']);
    match fields.iter().find(bad) {
        Some(field) => Err(format!(
            "`{}` has a colon or a line break",
            field.escape_debug()
        )),
        None => Ok(fields.join(":")),
    }
}
