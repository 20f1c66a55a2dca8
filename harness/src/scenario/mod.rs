//! Scenario files: types, strict parsing, lint, schema.
// OWNER: scenario branch.
