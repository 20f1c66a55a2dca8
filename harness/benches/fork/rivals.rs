//! virtme-ng and vmtest.
use crate::common::Result;
use crate::common::figure::Figure;
use crate::parent::{Bench, Parent};
use harness::artifacts::Artifacts;

pub async fn measure(
    _bench: &Bench,
    _parent: &Parent,
    _artifacts: &Artifacts,
    _rounds: u16,
) -> Result<Vec<Figure>> {
    Ok(vec![])
}
