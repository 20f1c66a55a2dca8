//! Datasources: where user-data and metadata come from.

mod cloud;
mod http;
mod kind;
mod session;
mod volume;

pub(crate) use kind::{Answer, Datasource};
