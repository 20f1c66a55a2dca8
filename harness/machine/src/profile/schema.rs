//! The JSON schema of profiles, for editors. Committed as `qemu-profiles/schema.json`.

use super::Profile;

/// The schema, as the content of the file.
pub fn text() -> String {
    let schema = schemars::schema_for!(Profile);
    format!("{:#}\n", schema.to_value())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// `UPDATE_SCHEMAS=1 cargo test -p machine --lib schema` writes it again.
    #[test]
    fn committed_schema_matches_the_types() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../qemu-profiles/schema.json");
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            std::fs::write(&file, super::text()).unwrap();
        }
        let committed = std::fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(
            committed,
            super::text(),
            "run with UPDATE_SCHEMAS=1 to write the file again"
        );
    }
}
