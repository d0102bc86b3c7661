//! The metrics of the process: one recorder for all its nodes, what `/metrics` shows of it, and the
//! numbers of actors in memory.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use greenroom_cluster::metrics::{
    ACTIVATIONS, BUCKETS_S, CALL_BUCKETS_S, CALL_DURATION, PEER_BREAKER, SHARD_ACTIVATIONS,
    describe,
};
use greenroom_core::NodeId;
use metrics::Gauge;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::time::{MissedTickBehavior, interval};

use crate::activation::Hosted;

/// How often actors are counted, and what was observed is put into its buckets.
const UPKEEP_EVERY: Duration = Duration::from_secs(1);

/// Nothing in it: the application installed a recorder of its own before the first node.
static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Makes sure that a recorder receives what nodes tell; later calls change nothing.
///
/// The facade has one recorder a process, so this hangs off no node.
pub(crate) fn install() {
    RECORDER.get_or_init(|| {
        // Histograms of the application keep what the exporter gives them.
        let ours = Matcher::Prefix("greenroom_".to_owned());
        let calls = Matcher::Full(CALL_DURATION.name.to_owned());
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(ours, &BUCKETS_S)
            .and_then(|builder| builder.set_buckets_for_metric(calls, &CALL_BUCKETS_S))
            .expect("the table has buckets")
            .build_recorder();
        let handle = recorder.handle();
        let installed = metrics::set_global_recorder(recorder).is_ok();
        if !installed {
            tracing::info!("the application has a recorder of its own: it receives the metrics");
        }
        describe();
        installed.then_some(handle)
    });
}

/// What `/metrics` shows: the whole process in Prometheus' text format. `None` if the application
/// has a recorder of its own.
pub(crate) fn scrape() -> Option<String> {
    let mut text = RECORDER.get()?.as_ref()?.render();
    // A shard that was among the fullest once, or a peer that is gone, would have a series for ever.
    let gone = |line: &str| {
        let sparse = [SHARD_ACTIVATIONS.name, PEER_BREAKER.name];
        let rest = sparse.iter().find_map(|name| line.strip_prefix(name));
        rest.is_some_and(|rest| rest.starts_with('{') && rest.ends_with("} 0"))
    };
    if text.lines().any(gone) {
        text = text.split_inclusive('\n').filter(|line| !gone(line.trim_end())).collect();
    }
    Some(text)
}

/// Counts the actors of a node for as long as it is polled.
pub(crate) async fn follow(node: NodeId, kinds: Vec<Arc<dyn Hosted>>) {
    let counted = Counted::of(&node, kinds);
    let mut every = interval(UPKEEP_EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        for (kind, gauge) in &counted.0 {
            gauge.set(kind.active_len() as f64);
        }
        // Until somebody does this, each observation of a histogram takes memory of its own.
        if let Some(Some(recorder)) = RECORDER.get() {
            recorder.run_upkeep();
        }
    }
}

/// The gauge of each kind; at 0 when this is dropped, because the node is gone then.
struct Counted(Vec<(Arc<dyn Hosted>, Gauge)>);

impl Counted {
    fn of(node: &NodeId, kinds: Vec<Arc<dyn Hosted>>) -> Self {
        let node = node.as_str().to_owned().into();
        let gauged = kinds.into_iter().map(|kind| {
            let gauge = ACTIVATIONS.gauge(&node, &[kind.spec().kind.into()]);
            (kind, gauge)
        });
        Self(gauged.collect())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        for (_, gauge) in &self.0 {
            gauge.set(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_shards_that_are_among_the_fullest_are_shown() {
        install();
        let node = "only_shards".into();
        for (shard, actors) in [("7", 0.0), ("70", 20.0)] {
            SHARD_ACTIVATIONS.gauge(&node, &[shard.into()]).set(actors);
        }
        let text = scrape().expect("nobody else installs a recorder in these tests");
        let shown = text.lines().filter(|line| line.contains("node=\"only_shards\""));
        let shown: Vec<&str> = shown.collect();
        assert_eq!(shown, [r#"greenroom_shard_activations{node="only_shards",shard="70"} 20"#]);
        assert!(text.contains("# HELP greenroom_shard_activations "), "{text}");
    }
}
