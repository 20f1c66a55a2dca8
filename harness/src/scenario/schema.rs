//! The JSON schema that editors read; committed as `scenarios/schema.json`.

use super::file::ScenarioFile;
use super::step::StepFile;

/// The schema of a scenario file, as the committed file has it.
pub fn schema() -> String {
    let schema = schemars::schema_for!(ScenarioFile<StepFile>);
    let text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    format!("{text}\n")
}
