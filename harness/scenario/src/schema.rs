//! The JSON schema that editors read; committed as `scenarios/schema.json`
//! and `scenarios/setups/schema.json`.

use schemars::{JsonSchema, schema_for};

use super::file::ScenarioFile;
use super::setup::SetupFile;
use super::step::StepFile;

/// The schema of a scenario file, as the committed file has it.
pub fn schema() -> String {
    text::<ScenarioFile<StepFile>>()
}

/// The schema of a setup file, as the committed file has it.
pub fn of_setups() -> String {
    text::<SetupFile<StepFile>>()
}

fn text<T: JsonSchema>() -> String {
    let text = serde_json::to_string_pretty(&schema_for!(T)).unwrap_or_default();
    format!("{text}\n")
}
