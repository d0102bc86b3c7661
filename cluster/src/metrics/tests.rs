//! What the numbers promise, read as Prometheus would read them.

use std::time::Duration;

use greenroom_core::{
    Evidence, Incarnation, Life, NodeId, Notice, Outcome, Purpose, ShardId, Stage, Term,
};
use greenroom_shardlock::{Gates, Options};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use tokio::time::Instant;

use super::beats::{Beats, Unacknowledged};
use super::gates::on_wait;
use super::ledger::Ledger;
use super::survey::{Survey, imbalance, publish};
use super::table::{ALL, BUCKETS_S, Metric, MetricType, describe};

/// What a scrape shows after `what` was done by a node named `n`.
fn scraped(what: impl FnOnce(&mut Ledger)) -> String {
    let prefix = Matcher::Prefix("greenroom_".into());
    let builder = PrometheusBuilder::new().set_buckets_for_metric(prefix, &BUCKETS_S).unwrap();
    let recorder = builder.build_recorder();
    metrics::with_local_recorder(&recorder, || {
        describe();
        what(&mut Ledger::new(&node(), Duration::from_secs(30)));
    });
    recorder.handle().render()
}

fn node() -> NodeId {
    NodeId::new("n").unwrap()
}

#[track_caller]
fn expect(scrape: &str, lines: &[&str]) {
    for line in lines {
        assert!(scrape.lines().any(|other| other == *line), "no line {line}\nin\n{scrape}");
    }
}

/// A line of `METRICS.md`.
fn row(metric: &Metric) -> String {
    let Metric { name, kind, labels, unit, help } = metric;
    let labels = labels.iter().map(|(label, values)| format!("`{label}`: {values}"));
    let labels = labels.collect::<Vec<_>>().join("; ");
    let labels = if labels.is_empty() { "–" } else { &labels };
    format!("| `{name}` | {} | {labels} | {} | {help} |", kind.as_str(), unit.as_str())
}

#[test]
fn the_page_lists_every_metric_as_the_code_has_it() {
    let page = include_str!("../../METRICS.md");
    let told: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    let rows: Vec<String> = ALL.iter().map(row).collect();
    assert_eq!(told, rows, "METRICS.md should have these rows:\n{}", rows.join("\n"));
}

#[test]
fn names_tell_the_type_and_the_unit() {
    for metric in ALL {
        let Metric { name, kind, labels, unit, help } = metric;
        assert!(name.starts_with("greenroom_"), "{name}");
        assert_eq!(name.ends_with("_total"), *kind == MetricType::Counter, "{name}");
        let seconds = name.ends_with("_seconds");
        assert_eq!(seconds, *unit == metrics::Unit::Seconds, "{name}: {unit:?}");
        assert!(help.ends_with('.') && !help.contains('|'), "{name}: {help}");
        assert!(labels.iter().all(|(label, _)| *label != "node" && *label != "key"), "{name}");
        assert_eq!(ALL.iter().filter(|other| other.name == *name).count(), 1, "{name}");
    }
}

#[test]
fn every_shard_is_counted_once_in_the_histogram_of_its_stage() {
    let spans = [Duration::from_millis(3), Duration::from_secs(90)];
    let scrape = scraped(|ledger| {
        ledger.took(Stage::Claim, &spans);
        ledger.took(Stage::Migration, &spans[..1]);
    });
    expect(
        &scrape,
        &[
            r#"greenroom_claim_duration_seconds_bucket{node="n",le="0.002"} 0"#,
            r#"greenroom_claim_duration_seconds_bucket{node="n",le="0.005"} 1"#,
            r#"greenroom_claim_duration_seconds_bucket{node="n",le="60"} 1"#,
            r#"greenroom_claim_duration_seconds_bucket{node="n",le="+Inf"} 2"#,
            r#"greenroom_claim_duration_seconds_count{node="n"} 2"#,
            r#"greenroom_migration_duration_seconds_count{node="n"} 1"#,
        ],
    );
    assert!(!scrape.contains("greenroom_release_duration_seconds_count"), "{scrape}");
}

#[test]
fn every_write_is_counted_by_its_purpose_and_by_what_became_of_it() {
    let scrape = scraped(|ledger| {
        for outcome in [
            Outcome::Applied { revision: 7 },
            Outcome::Applied { revision: 8 },
            Outcome::Refused { current: Vec::new() },
            Outcome::Transient,
            Outcome::Ambiguous,
            Outcome::Permanent,
        ] {
            ledger.write(Purpose::Claim)(&outcome);
        }
        ledger.write(Purpose::Assign)(&Outcome::Applied { revision: 9 });
    });
    let line = |purpose, outcome, count| {
        format!(
            "greenroom_store_writes_total{{node=\"n\",purpose=\"{purpose}\",outcome=\"{outcome}\"}} {count}"
        )
    };
    let expected = [
        line("claim", "applied", 2),
        line("claim", "conflict", 1),
        line("claim", "transient", 1),
        line("claim", "ambiguous", 1),
        line("claim", "permanent", 1),
        line("assign", "applied", 1),
    ];
    expect(&scrape, &expected.each_ref().map(String::as_str));
}

#[test]
fn notices_are_counted_by_their_reasons() {
    let life = Life { node: node(), incarnation: Incarnation(1) };
    let buried = |evidence| Notice::Burying { life: life.clone(), evidence };
    let idle = Notice::Idle { group: "gpu".into(), name: "balanced", reason: "all is even".into() };
    let planned = Notice::Planned { orphans: 3, recalls: 0, drains: 0, rebalanced: 5, other: 0 };
    let scrape = scraped(|ledger| {
        for notice in [planned.clone(), planned, idle, Notice::Fenced(life.clone())] {
            ledger.notice(&notice);
        }
        ledger.notice(&buried(Evidence::Crash));
        ledger.watch_lost();
    });
    expect(
        &scrape,
        &[
            r#"greenroom_rebalance_plans_total{node="n",reason="orphan"} 2"#,
            r#"greenroom_rebalance_planned_moves_total{node="n",reason="orphan"} 6"#,
            r#"greenroom_rebalance_planned_moves_total{node="n",reason="rebalance"} 10"#,
            r#"greenroom_rebalance_skips_total{node="n",group="gpu",reason="balanced"} 1"#,
            r#"greenroom_fences_total{node="n"} 1"#,
            r#"greenroom_deaths_declared_total{node="n",evidence="crash"} 1"#,
            r#"greenroom_deaths_declared_total{node="n",evidence="silence"} 0"#,
            r#"greenroom_watch_losses_total{node="n"} 1"#,
            r#"greenroom_migrations_stuck_total{node="n"} 0"#,
        ],
    );
    assert!(!scrape.contains(r#"reason="recall""#), "a reason without a move: {scrape}");
}

#[test]
fn a_leader_change_is_a_term_that_grew_after_the_first_one_seen() {
    let scrape = scraped(|ledger| {
        for term in [None, Some(Term(4)), Some(Term(4)), None, Some(Term(6))] {
            ledger.see_term(term);
        }
    });
    expect(
        &scrape,
        &[r#"greenroom_leader_changes_total{node="n"} 2"#, r#"greenroom_term{node="n"} 6"#],
    );
}

#[test]
fn heartbeats_are_counted_with_the_reason_why_they_were_not_acknowledged() {
    let scrape = scraped(|_| {
        let beats = Beats::of(&node());
        beats.acknowledged(Duration::from_millis(4));
        beats.unacknowledged(Unacknowledged::Unanswered);
        beats.unacknowledged(Unacknowledged::Unanswered);
        beats.unacknowledged(Unacknowledged::Withheld);
    });
    expect(
        &scrape,
        &[
            r#"greenroom_heartbeat_round_trip_seconds_count{node="n"} 1"#,
            r#"greenroom_heartbeats_unacknowledged_total{node="n",reason="unanswered"} 2"#,
            r#"greenroom_heartbeats_unacknowledged_total{node="n",reason="withheld"} 1"#,
            r#"greenroom_heartbeats_unacknowledged_total{node="n",reason="refused"} 0"#,
        ],
    );
}

#[test]
fn what_happens_at_the_gates_is_told_as_it_grows() {
    let scrape = scraped(|ledger| {
        let options = Options { on_wait: Some(on_wait(&node())), ..Options::default() };
        let gates = Gates::with_options(2, options);
        gates.open(1, 1).unwrap();
        ledger.see_gates(gates.counts());
        let _permit = gates.enter(1).unwrap();
        assert!(gates.enter(0).is_err());
        ledger.see_gates(gates.counts());
        assert!(gates.enter(0).is_err());
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let deadline = Instant::now() + Duration::from_millis(1500);
            assert!(gates.write(1, "test", deadline).await.is_err());
        });
        ledger.see_gates(gates.counts());
    });
    expect(
        &scrape,
        &[
            r#"greenroom_gate_attempts_total{node="n",side="read"} 3"#,
            r#"greenroom_gate_refusals_total{node="n",side="read"} 2"#,
            r#"greenroom_gate_attempts_total{node="n",side="write"} 1"#,
            r#"greenroom_gate_refusals_total{node="n",side="write"} 1"#,
            r#"greenroom_gate_permits{node="n"} 1"#,
            r#"greenroom_gate_guards{node="n"} 0"#,
            r#"greenroom_gate_waiters{node="n",side="write"} 0"#,
            r#"greenroom_gate_holds_revoked_total{node="n"} 0"#,
            r#"greenroom_gate_permits_revoked_total{node="n"} 0"#,
            r#"greenroom_gate_wait_seconds_bucket{node="n",side="write",le="1"} 0"#,
            r#"greenroom_gate_wait_seconds_bucket{node="n",side="write",le="2"} 1"#,
        ],
    );
}

#[test]
fn shards_that_are_no_longer_among_the_fullest_go_to_0() {
    let top = |shards: &[(u32, u32)]| Survey {
        top: shards.iter().map(|(shard, len)| (ShardId(*shard), *len)).collect(),
        ..Survey::default()
    };
    let scrape = scraped(|ledger| {
        publish(ledger, &top(&[(7, 50), (9, 40)]));
        publish(ledger, &top(&[(9, 60), (11, 8)]));
    });
    expect(
        &scrape,
        &[
            r#"greenroom_shard_activations{node="n",shard="7"} 0"#,
            r#"greenroom_shard_activations{node="n",shard="9"} 60"#,
            r#"greenroom_shard_activations{node="n",shard="11"} 8"#,
        ],
    );
}

#[test]
fn a_node_that_leads_no_more_tells_nothing_of_the_cluster() {
    let survey = Survey {
        groups: [("default".to_owned(), (60, [2, 1, 1]))].into(),
        node_shards: (40, 20),
        pinned: 3,
        oldest: [Duration::from_secs(2), Duration::ZERO, Duration::ZERO],
        members: (2, 0, 1),
        ..Survey::default()
    };
    let led = scraped(|ledger| publish(ledger, &survey));
    expect(
        &led,
        &[
            r#"greenroom_shards{node="n",group="default",state="owned"} 60"#,
            r#"greenroom_shards{node="n",group="default",state="releasing"} 2"#,
            r#"greenroom_node_shards_min{node="n"} 20"#,
            r#"greenroom_pinned_shards{node="n"} 3"#,
            r#"greenroom_members{node="n",state="dead"} 1"#,
            r#"greenroom_migration_oldest_seconds{node="n",phase="releasing"} 2"#,
        ],
    );
    let over = scraped(|ledger| {
        publish(ledger, &survey);
        publish(ledger, &Survey::default());
    });
    for line in over.lines().filter(|line| line.contains("{node=\"n\"")) {
        assert!(line.ends_with(" 0"), "{line}");
    }
}

#[test]
fn imbalance_is_the_greatest_share_by_weight_in_terms_of_the_mean() {
    let of = |shares: &[(f64, f64)]| imbalance(shares.iter().copied());
    assert_eq!(of(&[(10.0, 100.0), (20.0, 200.0)]), 1.0);
    assert_eq!(of(&[(30.0, 100.0), (10.0, 100.0)]), 1.5);
    assert_eq!(of(&[(0.0, 100.0)]), 0.0);
    assert_eq!(of(&[]), 0.0);
}
