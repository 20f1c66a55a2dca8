//! The JSON schemas for editors, committed as `scenarios/schema.json`
//! and `scenarios/setups/schema.json`.

use schemars::{JsonSchema, schema_for};

use super::file::ScenarioFile;
use super::setup::SetupFile;
use super::step::StepFile;

/// The text of `scenarios/schema.json`.
pub fn schema() -> String {
    text::<ScenarioFile<StepFile>>()
}

/// The text of `scenarios/setups/schema.json`.
pub fn of_setups() -> String {
    text::<SetupFile<StepFile>>()
}

fn text<T: JsonSchema>() -> String {
    let text = serde_json::to_string_pretty(&schema_for!(T)).unwrap_or_default();
    format!("{text}\n")
}
