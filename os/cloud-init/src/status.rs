//! What became of it in this boot, for `rancherctl cloud-init status`.

use serde::{Deserialize, Serialize};

use crate::{Kind, Problem};

/// Where it is told: for all to read, so no secret is in it.
const PATH: &str = "/run/cloud-init/status.yml";

/// How far it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Turn {
    /// Nobody was asked yet.
    #[default]
    NotBegun,
    /// What is reached over the network is asked.
    Asking,
    /// A datasource said something.
    Answered,
    /// No datasource says anything.
    NoAnswer,
}

/// What became of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// How far it is.
    pub turn: Turn,
    /// The datasource that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datasource: Option<String>,
    /// What its user-data is.
    #[serde(default)]
    pub user_data: Kind,
    /// How many keys it names.
    #[serde(default)]
    pub keys: usize,
    /// The files that were written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// What became of the script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// What became of `bootcmd`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootcmd: Option<String>,
    /// What became of `runcmd`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runcmd: Option<String>,
    /// What is wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
}

impl Status {
    /// This boot's.
    pub fn read() -> Self {
        let text = std::fs::read_to_string(PATH).unwrap_or_default();
        serde_yaml::from_str(&text).unwrap_or_default()
    }

    /// Tells it. Whether it can be told changes nothing else.
    pub(crate) fn write(&self) {
        if let Ok(text) = serde_yaml::to_string(self) {
            let _ = crate::files::replace(PATH.as_ref(), text.as_bytes(), 0o644, (0, 0));
        }
    }

    /// Tells what cannot be read of a datasource, here and on the console.
    pub(crate) fn trouble(&mut self, datasource: &str, why: &str) {
        let what = format!("datasource `{datasource}`: {why}");
        let problem = Problem::at(None, &what);
        // It may be asked more than once.
        if !self.problems.contains(&problem) {
            crate::say(&what);
            self.problems.push(problem);
        }
    }

    /// Tells a problem of user-data in the same way.
    pub(crate) fn problem(&mut self, problem: Problem) {
        let from = self.datasource.as_deref().unwrap_or("the datasources");
        crate::say(&format!("user-data of {from}: {problem}"));
        self.problems.push(problem);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_asked_again_is_complained_of_once() {
        let mut status = Status::default();
        status.trouble("nocloud", "it cannot be mounted");
        status.trouble("nocloud", "it cannot be mounted");
        status.trouble("configdrive", "it cannot be mounted");
        assert_eq!(status.problems.len(), 2);
    }
}
