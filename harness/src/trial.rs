//! A trial: one scenario on one profile, from start to verdict.
// OWNER: scenario branch.
