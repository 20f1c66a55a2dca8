//! A run as one self-contained HTML page: it loads nothing, and works without scripts.
//!
//! maud escapes all text. In addition, the content security policy allows only the page's own style and
//! script, by their hashes.

mod boots;
mod commands;
mod document;
mod format;
mod matrix;
mod serial;
mod timeline;
mod trial;

pub use document::html;
