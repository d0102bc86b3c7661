//! The answers for people. Columns are as wide as their widest cell; an empty cell is a `-`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use greenroom_inspector::{
    ClusterView, Decision, Decisions, Difference, Forecast, ForecastMoves, Group, LogLevel, Node,
    Placement, Severity, Shard, Share, Topology, WhatIfReply,
};
use greenroom_settings::Setting;

use crate::report::Why;
use crate::rfc3339::rfc3339;

/// Who leads, the nodes, the groups, and the totals.
pub(crate) fn status(view: &ClusterView) -> String {
    let leader = text(view.leader.as_ref());
    let rebalancing = if view.rebalancing_held { "held by an operator" } else { "on" };
    let head = lines([
        ("cluster", view.cluster.clone()),
        ("answered by", view.answered_by.clone()),
        ("revision", view.revision.to_string()),
        ("leader", leader),
        ("term", view.term.to_string()),
        ("rebalancing", rebalancing.to_owned()),
    ]);
    let titles = [
        "NODE",
        "INCARNATION",
        "STATE",
        "WEIGHT",
        "ADDRESS",
        "KINDS",
        "OWNED",
        "TARGETED",
        "LABELS",
    ];
    let shares = view.shares();
    let row = |(id, share): (&&str, &Share)| node_row(id, view.nodes.get(*id), share);
    let nodes = columns(titles, shares.iter().map(row));
    let titles = ["GROUP", "KINDS", "REQUIRE", "PREFER"];
    let groups = columns(titles, view.groups.iter().map(group_row));
    let totals = view.totals();
    let tail = lines([
        ("shards", totals.shards.to_string()),
        ("owned", totals.owned.to_string()),
        ("in motion", totals.in_motion.to_string()),
        ("without owner", totals.without_owner.to_string()),
        ("orphans", totals.orphans.to_string()),
        ("pinned", totals.pinned.to_string()),
    ]);
    format!("{head}\n{nodes}\n{groups}\n{tail}")
}

/// One line a node.
pub(crate) fn nodes(view: &ClusterView) -> String {
    let titles = [
        "NODE", "STATE", "WEIGHT", "ZONE", "OWNED", "TARGETED", "ARRIVING", "LEAVING", "ADDRESS",
        "HTTP", "VERSION",
    ];
    let shares = view.shares();
    let row = |(id, share): (&&str, &Share)| {
        let node = view.nodes.get(*id);
        [
            (*id).to_owned(),
            node.map_or("unknown", |node| node.state.as_str()).to_owned(),
            text(node.map(|node| node.weight)),
            text(node.and_then(|node| node.zone.as_ref())),
            share.owned.to_string(),
            share.targeted.to_string(),
            share.arriving.to_string(),
            share.leaving.to_string(),
            text(node.map(|node| &node.peer_address)),
            text(node.and_then(|node| node.http_address.as_ref())),
            text(node.map(|node| &node.version)),
        ]
    };
    columns(titles, shares.iter().map(row))
}

/// Where an actor lives.
pub(crate) fn peek(placement: &Placement) -> String {
    lines([
        ("shard", placement.shard.to_string()),
        ("owner", text(placement.owner.as_ref())),
        ("epoch", placement.epoch.to_string()),
        ("address", text(placement.owner_address.as_ref())),
    ])
}

/// What a process logs.
pub(crate) fn log_level(level: &LogLevel) -> String {
    let unknown = || "a log of its program's own, of which the node knows nothing".to_owned();
    let directive = level.directive.clone().unwrap_or_else(unknown);
    lines([("node", level.node.clone()), ("logs", directive)])
}

/// What the planner would do as things are, and, if something was supposed, then.
pub(crate) fn plan(reply: &WhatIfReply, supposed: bool) -> String {
    let leads = if reply.leads { "which leads" } else { "which does not lead: it knows no loads" };
    let rebalancing = if reply.held { "held by an operator" } else { "on" };
    let mut text = lines([
        ("answered by", format!("{}, {leads}", reply.node)),
        ("rebalancing", rebalancing.to_owned()),
    ]);
    for (now, then) in reply.now.iter().zip(&reply.then) {
        let group = printable(&now.group);
        text.push_str(&format!("\ngroup {group}, as things are: {}\n", becomes(now)));
        text.push_str(&moves(now));
        if supposed {
            text.push_str(&format!("\ngroup {group}, what if: {}\n", becomes(then)));
            text.push_str(&moves(then));
        }
        text.push('\n');
        text.push_str(&plan_nodes(now, supposed.then_some(then)));
    }
    text
}

/// What becomes of a group, in a sentence.
fn becomes(forecast: &Forecast) -> String {
    let Forecast { rounds, pinned, pins_unserved, homeless, .. } = forecast;
    let shards: u32 = forecast.moves.iter().map(|step| step.shards).sum();
    let counted = |count: u32, what: &str| match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    };
    let mut text = match shards {
        0 => "nothing moves".to_owned(),
        _ => format!("{} would move in {}", counted(shards, "shard"), counted(*rounds, "round")),
    };
    if shards > 0 && forecast.idle == "unstable" {
        text.push_str(&format!("; rebalancing does not begin yet: {}", forecast.idle_text));
    }
    if !forecast.rests_text.is_empty() {
        text.push_str(&format!("; at rest, {}", forecast.rests_text));
    }
    for (count, what) in [
        (pinned, "kept in place by pins"),
        (pins_unserved, "pinned to a node that can't have them"),
        (homeless, "without a node that may own them"),
    ] {
        if *count > 0 {
            text.push_str(&format!("; {} {what}", counted(*count, "shard")));
        }
    }
    printable(&text).into_owned()
}

fn moves(forecast: &Forecast) -> String {
    if forecast.moves.is_empty() {
        return String::new();
    }
    let row = |step: &ForecastMoves| {
        [step.from.clone(), step.to.clone(), step.shards.to_string(), step.reason.clone()]
    };
    columns(["FROM", "TO", "SHARDS", "REASON"], forecast.moves.iter().map(row))
}

/// How many shards each node has now, will have at rest, and would have.
fn plan_nodes(now: &Forecast, then: Option<&Forecast>) -> String {
    let mut nodes: BTreeMap<&str, [Option<u32>; 3]> = BTreeMap::new();
    for node in &now.nodes {
        let shards = nodes.entry(&node.node).or_default();
        (shards[0], shards[1]) = (Some(node.before), Some(node.after));
    }
    for node in then.into_iter().flat_map(|then| &then.nodes) {
        nodes.entry(&node.node).or_default()[2] = Some(node.after);
    }
    let named = nodes.iter().map(|(node, shards)| ((*node).to_owned(), shards.map(text)));
    match then {
        None => columns(
            ["NODE", "SHARDS", "AT REST"],
            named.map(|(node, [before, rest, _])| [node, before, rest]),
        ),
        Some(_) => columns(
            ["NODE", "SHARDS", "AT REST", "WHAT IF"],
            named.map(|(node, [before, rest, then])| [node, before, rest, then]),
        ),
    }
}

/// One line a shard. The reason comes last, as it is the only cell that contains spaces.
pub(crate) fn shards(view: &ClusterView, shards: &[&Shard]) -> String {
    let titles = ["SHARD", "TARGET", "OWNER", "PIN", "EPOCH", "SINCE", "REASON"];
    let row = |shard: &&Shard| {
        [
            view.name_of(shard.number),
            text(shard.target.as_ref()),
            text(shard.owner.as_ref()),
            text(shard.pin.as_ref()),
            shard.epoch.to_string(),
            text(shard.since_ms.map(rfc3339)),
            shard.reason.clone(),
        ]
    };
    columns(titles, shards.iter().map(row))
}

/// One shard, and what the leader decided about it.
pub(crate) fn why(why: &Why<'_>) -> String {
    let Why { view, shard, decided } = why;
    let head = lines([
        ("shard", view.name_of(shard.number)),
        ("group", text(view.group_of(shard.number).map(|group| &group.name))),
        ("condition", view.condition(shard).as_str().to_owned()),
        ("owner", text(shard.owner.as_ref())),
        ("target", text(shard.target.as_ref())),
        ("pin", text(shard.pin.as_ref())),
        ("epoch", shard.epoch.to_string()),
        ("since", text(shard.since_ms.map(rfc3339))),
        ("reason", shard.reason.clone()),
        ("leader", text(view.leader.as_ref())),
    ]);
    let decided = match decided {
        Ok(decided) => {
            let told = |decision: &Decision| match decision.move_of(shard.number) {
                Some(step) => {
                    let from = step.from.as_deref().unwrap_or("nobody");
                    format!("from {from} to {}: {}", step.to, step.reason)
                }
                None => decision.text.clone(),
            };
            decision_rows(decided, told)
        }
        Err(error) => lines([("decisions", format!("unknown: {error}"))]),
    };
    format!("{head}\n{decided}")
}

/// What a leader decided.
pub(crate) fn decisions(decisions: &Decisions) -> String {
    let head = lines([("decided by", decisions.answered_by.clone())]);
    format!("{head}\n{}", decision_rows(decisions, |decision| decision.text.clone()))
}

fn decision_rows(decisions: &Decisions, told: impl Fn(&Decision) -> String) -> String {
    let titles = ["NUMBER", "TERM", "AT", "LAST", "TIMES", "KIND", "DECISION"];
    let row = |decision: &Decision| {
        [
            decision.number.to_string(),
            decision.term.to_string(),
            rfc3339(decision.at_ms),
            rfc3339(decision.last_ms),
            decision.times.to_string(),
            decision.kind.clone(),
            told(decision),
        ]
    };
    columns(titles, decisions.decisions.iter().map(row))
}

/// The variables, one line each. The meaning comes last, as it is the longest.
pub(crate) fn config(settings: &[Setting]) -> String {
    let row = |setting: &Setting| {
        let file = setting.file_name().map(|file| format!(" (or from the file in {file})"));
        let meaning = format!("{}{}", setting.meaning, file.unwrap_or_default());
        let [allowed, meaning] =
            [setting.allowed.to_string(), meaning].map(|text| text.replace('`', ""));
        [setting.name.to_owned(), setting.default.to_string(), allowed, meaning]
    };
    columns(["VARIABLE", "DEFAULT", "ALLOWED", "MEANING"], settings.iter().map(row))
}

/// That an order was carried out, and by whom.
pub(crate) fn done(what: &str, by: &str) -> String {
    format!("{} (by {})\n", printable(what), shown(by))
}

/// That the cluster was written down.
pub(crate) fn exported(topology: &Topology, file: &Path) -> String {
    let shards = topology.shards.len();
    let (revision, file) = (topology.revision, file.display().to_string());
    format!("wrote {shards} shards at revision {revision} to {}\n", printable(&file))
}

/// What was ordered for a topology, or would be.
pub(crate) fn imported(ordered: &[String], dry_run: bool) -> String {
    if ordered.is_empty() {
        return "the cluster has these pins and rules already\n".to_owned();
    }
    let what = if dry_run { "would be ordered: " } else { "" };
    ordered.iter().map(|order| format!("{what}{}\n", printable(order))).collect()
}

/// One line a difference.
pub(crate) fn differences(differences: &[Difference]) -> String {
    if differences.is_empty() {
        return "no differences\n".to_owned();
    }
    let line = |difference: &Difference| {
        let mark = if difference.severity() == Severity::Error { "ERROR: " } else { "" };
        format!("{mark}{}\n", printable(&difference.to_string()))
    };
    differences.iter().map(line).collect()
}

fn group_row(group: &Group) -> [String; 4] {
    [
        group.name.clone(),
        group.kinds.len().to_string(),
        labels(&group.require),
        labels(&group.prefer),
    ]
}

fn labels(labels: &BTreeMap<String, String>) -> String {
    let labels = labels.iter().map(|(name, value)| format!("{name}={value}"));
    labels.collect::<Vec<_>>().join(",")
}

/// A node of which the view knows only that shards are meant for it is `unknown`.
fn node_row(id: &str, node: Option<&Node>, share: &Share) -> [String; 9] {
    [
        id.to_owned(),
        text(node.map(|node| node.life.incarnation)),
        node.map_or("unknown", |node| node.state.as_str()).to_owned(),
        text(node.map(|node| node.weight)),
        text(node.map(|node| &node.peer_address)),
        text(node.map(|node| node.kinds.len())),
        share.owned.to_string(),
        share.targeted.to_string(),
        node.map(|node| labels(&node.labels)).unwrap_or_default(),
    ]
}

fn text(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn lines<const N: usize>(lines: [(&str, String); N]) -> String {
    let rows = lines.map(|(name, value)| [name.to_owned(), value]);
    align(&rows)
}

fn columns<const N: usize>(titles: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let titles = std::iter::once(titles.map(str::to_owned));
    let rows: Vec<_> = titles.chain(rows).collect();
    align(&rows)
}

fn align<const N: usize>(rows: &[[String; N]]) -> String {
    let rows: Vec<[Cow<'_, str>; N]> =
        rows.iter().map(|row| row.each_ref().map(|cell| shown(cell))).collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in &rows {
        let line = row.iter().zip(widths);
        let line: Vec<String> = line.map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn shown(cell: &str) -> Cow<'_, str> {
    match cell {
        "" => Cow::Borrowed("-"),
        cell => printable(cell),
    }
}

/// The text with its control characters written out: what comes over the wire must not command
/// the terminal.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut written = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() {
            written.extend(char.escape_default());
        } else {
            written.push(char);
        }
    }
    Cow::Owned(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_characters_and_lines_end_without_spaces() {
        let rows = [["é".to_owned(), "a b".to_owned()], ["wide".to_owned(), String::new()]];
        let table = columns(["N", "REASON"], rows.into_iter());
        assert_eq!(table, "N     REASON\né     a b\nwide  -\n");
    }

    #[test]
    fn control_characters_are_shown_and_not_sent() {
        let table = columns(["A"], [["\u{1b}[2Jx\ny".to_owned()]].into_iter());
        assert_eq!(table, "A\n\\u{1b}[2Jx\\ny\n");
    }
}
