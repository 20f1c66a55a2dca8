//! The list of kinds as a macro: the types that name each kind come from one line for each.
//!
//! A step is a mapping with one key for its kind, and optionally `name` and `timeout`. Serde reads every
//! kind as optional: an enum would need `flatten` for the two other keys, and errors in flattened
//! fields have no position. The lint checks that there is exactly one kind and turns it into an
//! `Action`.

/// Declares the kinds of steps: `KEY: VARIANT(TYPE)`. The comment documents the key.
macro_rules! step_kinds {
    ($($(#[$doc:meta])+ $key:ident: $Kind:ident($Fields:ty),)+) => {
        /// One step.
        #[derive(Debug, Clone, Default, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        #[schemars(rename = "Step", transform = one_kind)]
        pub struct StepFile {
            /// The name in reports; the default describes the kind.
            pub name: Option<String>,
            /// The timeout on the reference host.
            pub timeout: Option<$crate::Span>,
            $($(#[$doc])+ pub $key: Option<$Fields>,)+
        }

        /// What a step does, after the lint found exactly one kind.
        #[derive(Debug, Clone)]
        #[allow(clippy::large_enum_variant, reason = "a scenario has few steps")]
        pub enum Action {
            $($(#[$doc])+ $Kind($Fields),)+
        }

        impl StepFile {
            /// Each key with the action that it asks for.
            fn kinds(self) -> Vec<(&'static str, Option<Action>)> {
                vec![$((stringify!($key), self.$key.map(Action::$Kind)),)+]
            }
        }

        impl Action {
            /// The kind of this step.
            pub(crate) fn kind(&self) -> &dyn StepKind {
                match self {
                    $(Self::$Kind(step) => step,)+
                }
            }

            /// The key of this kind.
            fn key(&self) -> &'static str {
                match self {
                    $(Self::$Kind(_) => stringify!($key),)+
                }
            }
        }

        /// Puts the rule of the lint into the schema for editors: one kind per step.
        fn one_kind(schema: &mut schemars::Schema) {
            let one = [$(serde_json::json!({ "required": [stringify!($key)] }),)+];
            schema.insert("oneOf".into(), one.to_vec().into());
        }
    };
}

pub(super) use step_kinds;
