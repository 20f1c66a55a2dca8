//! Waiting until an engine has read its settings file again.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use bollard::Docker;
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt;

/// Calls `hang_up`, which sends SIGHUP to engines, and returns when `engine` has applied its settings;
/// `None` if it stops sending events.
pub async fn reload(engine: &Docker, hang_up: impl Fn()) -> Option<()> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let since = since.unwrap_or_default();
    hang_up();
    let filters = HashMap::from([("type", vec!["daemon"]), ("event", vec!["reload"])]);
    let options = EventsOptionsBuilder::new()
        .since(&format!("{}.{:09}", since.as_secs(), since.subsec_nanos()))
        .filters(&filters)
        .build();
    let mut reloads = engine.events(Some(options));
    reloads.next().await?.ok()?;
    // An engine sends the event just before it applies the settings, and reloads are serialized (moby
    // 26.1, `Daemon.Reload` in `daemon/reload.go`): the second event means that the first reload is
    // complete.
    hang_up();
    reloads.next().await?.ok().map(drop)
}
