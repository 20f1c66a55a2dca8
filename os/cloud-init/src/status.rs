//! The result of this boot, for `rancherctl cloud-init status`.

use serde::{Deserialize, Serialize};

use crate::{Kind, Problem, console};

/// The status file. All users can read it, so it contains no secrets.
const PATH: &str = "/run/cloud-init/status.yml";

/// How far the query of the datasources is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// No datasource was queried yet.
    #[default]
    #[serde(rename = "not-begun")]
    NotStarted,
    /// The datasources on the network are being queried.
    #[serde(rename = "asking")]
    Querying,
    /// A datasource answered.
    Answered,
    /// No datasource has data.
    NoAnswer,
}

/// The result of this boot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// How far the query of the datasources is.
    #[serde(rename = "turn")]
    pub progress: Progress,
    /// The datasource that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datasource: Option<String>,
    /// The kind of its user-data.
    #[serde(default)]
    pub user_data: Kind,
    /// The number of SSH keys in it.
    #[serde(default)]
    pub keys: usize,
    /// The files that were written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// The result of the script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// The result of `bootcmd`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootcmd: Option<String>,
    /// The result of `runcmd`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runcmd: Option<String>,
    /// Errors in the data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
}

impl Status {
    /// Reads the status of this boot.
    pub fn read() -> Self {
        let text = std::fs::read_to_string(PATH).unwrap_or_default();
        serde_yaml::from_str(&text).unwrap_or_default()
    }

    /// Writes the status. A failure has no effect on anything else.
    pub(crate) fn write(&self) {
        if let Ok(text) = serde_yaml::to_string(self) {
            let _ = crate::files::replace(PATH.as_ref(), text.as_bytes(), 0o644, (0, 0));
        }
    }

    /// Records and prints an error of a datasource.
    pub(crate) fn datasource_error(&mut self, datasource: &str, error: &str) {
        let message = format!("datasource `{datasource}`: {error}");
        let problem = Problem::at(None, &message);
        // A datasource may be queried more than once.
        if !self.problems.contains(&problem) {
            console::report(&message);
            self.problems.push(problem);
        }
    }

    /// Records and prints an error in user-data.
    pub(crate) fn problem(&mut self, problem: Problem) {
        let source = self.datasource.as_deref().unwrap_or("the datasources");
        console::report(&format!("user-data of {source}: {problem}"));
        self.problems.push(problem);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datasource_error_is_recorded_once_when_the_query_repeats() {
        let mut status = Status::default();
        status.datasource_error("nocloud", "it cannot be mounted");
        status.datasource_error("nocloud", "it cannot be mounted");
        status.datasource_error("configdrive", "it cannot be mounted");
        assert_eq!(status.problems.len(), 2);
    }
}
