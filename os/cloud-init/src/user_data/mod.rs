//! User-data: its kind and its contents.
//!
//! Parsing never fails: an invalid part becomes a [`Problem`](crate::Problem), and the valid parts apply.

mod commands;
mod decode;
mod directives;
mod files;
mod lines;
mod parse;
mod settings;
mod unsupported;
mod users;

pub(crate) use decode::plain_text;
pub(crate) use files::{File, Owner};
pub(crate) use lines::line_of;
pub use parse::Kind;
pub(crate) use parse::{UserData, parse};
pub(crate) use users::{Group, User};
