//! The answers for people. Columns are as wide as their widest cell; an empty cell is a `-`.

use std::borrow::Cow;

use greenroom_inspector::{ClusterView, Node, Placement, Shard, Share};

use crate::rfc3339::rfc3339;

/// Who leads, the nodes, and the totals.
pub(crate) fn status(view: &ClusterView) -> String {
    let leader = text(view.leader.as_ref());
    let head = lines([
        ("cluster", view.cluster.clone()),
        ("answered by", view.answered_by.clone()),
        ("revision", view.revision.to_string()),
        ("leader", leader),
        ("term", view.term.to_string()),
    ]);
    let titles =
        ["NODE", "INCARNATION", "STATE", "WEIGHT", "ADDRESS", "KINDS", "OWNED", "TARGETED"];
    let shares = view.shares();
    let row = |(id, share): (&&str, &Share)| node_row(id, view.nodes.get(*id), share);
    let nodes = columns(titles, shares.iter().map(row));
    let totals = view.totals();
    let tail = lines([
        ("shards", totals.shards.to_string()),
        ("owned", totals.owned.to_string()),
        ("in motion", totals.in_motion.to_string()),
        ("without owner", totals.without_owner.to_string()),
        ("orphans", totals.orphans.to_string()),
    ]);
    format!("{head}\n{nodes}\n{tail}")
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

/// One line a shard. The reason comes last, as it is the only cell that contains spaces.
pub(crate) fn shards(shards: &[&Shard]) -> String {
    let titles = ["SHARD", "TARGET", "OWNER", "EPOCH", "SINCE", "REASON"];
    let row = |shard: &&Shard| {
        [
            shard.number.to_string(),
            text(shard.target.as_ref()),
            text(shard.owner.as_ref()),
            shard.epoch.to_string(),
            text(shard.since_ms.map(rfc3339)),
            shard.reason.clone(),
        ]
    };
    columns(titles, shards.iter().map(row))
}

/// A node of which the view knows only that shards are meant for it is `unknown`.
fn node_row(id: &str, node: Option<&Node>, share: &Share) -> [String; 8] {
    [
        id.to_owned(),
        text(node.map(|node| node.life.incarnation)),
        node.map_or("unknown", |node| node.state.as_str()).to_owned(),
        text(node.map(|node| node.weight)),
        text(node.map(|node| &node.peer_address)),
        text(node.map(|node| node.kinds.len())),
        share.owned.to_string(),
        share.targeted.to_string(),
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
