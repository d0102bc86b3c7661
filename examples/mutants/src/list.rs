//! The mutants.

use crate::layers::Layer;

/// One deliberate breakage.
pub(crate) struct Mutant {
    /// Its name, for the command line and the page.
    pub(crate) name: &'static str,
    /// The class of failures that it is about; the table is in `cluster/core/tests/failures/main.rs`.
    pub(crate) class: &'static str,
    /// What is broken.
    pub(crate) what: &'static str,
    /// Which file, from the root of the workspace.
    pub(crate) file: &'static str,
    /// What stands there, exactly once.
    pub(crate) old: &'static str,
    /// What is put there instead.
    pub(crate) new: &'static str,
    /// Who may notice, asked in this order.
    pub(crate) layers: &'static [Layer],
}

impl Mutant {
    /// Lists of layers, of each of which one must notice.
    pub(crate) fn demands(&self) -> impl Iterator<Item = &'static [Layer]> {
        let is_for_the_wire = ON_THE_WIRE.contains(&self.name);
        [self.layers].into_iter().chain(is_for_the_wire.then_some(&[Layer::Wire][..]))
    }
}

/// Those that must be noticed on the wire too, whoever else does.
const ON_THE_WIRE: &[&str] = &[
    "no_margin",
    "claim_without_record_guard",
    "release_without_drain",
    "right_by_flag",
    "right_from_answer",
    "resume_at_the_compacted_revision",
];

/// The layers of the protocol.
const PROTOCOL: &[Layer] = &[Layer::Agent, Layer::Failures, Layer::Simulation, Layer::Core];

/// All mutants.
pub(crate) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "no_margin",
        class: "C3",
        what: "the right to run lasts as long as others wait",
        file: "cluster/core/src/time.rs",
        old: "sent.after(self.window - self.margin)",
        new: "sent.after(self.window)",
        layers: PROTOCOL,
    },
    Mutant {
        name: "half_a_window",
        class: "C1",
        what: "a life is buried after half its window",
        file: "cluster/core/src/agent/death.rs",
        old: "if silent_for >= window && !self",
        new: "if silent_for >= window / 2 && !self",
        layers: PROTOCOL,
    },
    Mutant {
        name: "own_window_only",
        class: "C1",
        what: "the window that the other counts on is not heeded",
        file: "cluster/core/src/agent/death.rs",
        old: "self.config.timing.window.max(Duration::from_millis(theirs))",
        new: "self.config.timing.window.min(Duration::from_millis(theirs.max(1) * 1000))",
        layers: PROTOCOL,
    },
    Mutant {
        name: "the_blind_bury",
        class: "C22",
        what: "who has seen nothing for a while takes others for silent",
        file: "cluster/core/src/agent/death.rs",
        old: "silent_for >= window && !self.saw_nothing_lately(now)",
        new: "silent_for >= window",
        layers: PROTOCOL,
    },
    Mutant {
        name: "burial_without_silence_guard",
        class: "C10",
        what: "a burial does not compare the heartbeat's revision",
        file: "cluster/core/src/agent/death.rs",
        old: "vec![silence, Guard::ModRevision(Key::Leader, revision), Guard::alive(&me)];",
        new: "vec![Guard::ModRevision(Key::Leader, revision), Guard::alive(&me)];",
        layers: PROTOCOL,
    },
    Mutant {
        name: "burial_without_read",
        class: "C10",
        what: "a burial without the linearizable read before it",
        file: "cluster/core/src/agent/death.rs",
        old: "            self.confirm_silence(life.clone(), mod_revision, evidence, effects);",
        new: "            let now = Now { moment: now, wall_ms: 0 };\n            self.confirmed_silent(now, life, mod_revision, evidence, effects);",
        layers: PROTOCOL,
    },
    Mutant {
        name: "crash_without_overdue_beat",
        class: "C6",
        what: "a refused port is evidence though the heartbeat is not overdue",
        file: "cluster/core/src/agent/death.rs",
        old: "if refused && self.is_overdue(life, now)",
        new: "if refused && now >= Moment::default()",
        layers: PROTOCOL,
    },
    Mutant {
        name: "lease_as_proof_of_death",
        class: "C10",
        what: "a heartbeat is a lease of the store, which may end early, and whose end is a death",
        file: "cluster/core/tests/simulation/world/store.rs",
        old: "        self.revision += 1;\n        for write in &transaction.writes {\n            match write {\n",
        new: r"
        if self.revision % 100 == 99 {
            let leased = self.held.keys().find(|key| matches!(key, Key::Heartbeat(_))).cloned();
            self.revision += 1;
            leased.iter().for_each(|key| drop(self.held.remove(key)));
            leased.iter().for_each(|key| self.note(key));
        }
        self.revision += 1;
        for write in &transaction.writes {
            match write {
",
        layers: &[Layer::Simulation],
    },
    Mutant {
        name: "claim_from_the_living",
        class: "C19",
        what: "a claim does not ask whether the owner lives",
        file: "cluster/core/src/agent/shards.rs",
        old: "Local::Closed if wanted && self.view.live_owner(shard).is_none() =>",
        new: "Local::Closed if wanted =>",
        layers: PROTOCOL,
    },
    Mutant {
        name: "claim_without_death_guard",
        class: "C10",
        what: "a claim does not compare that the former owner's life is over, nor asks",
        file: "cluster/core/src/agent/shards.rs",
        old: "    if !guards.contains(&guard) {",
        new: "    if guards.is_empty() {",
        layers: PROTOCOL,
    },
    Mutant {
        name: "claim_without_record_guard",
        class: "C19",
        what: "claims and releases do not compare the record's revision",
        file: "cluster/core/src/agent/shards.rs",
        old: "        transaction.guards.push(Guard::ModRevision(Key::Shard(shard), slot.mod_revision));\n",
        new: "",
        layers: PROTOCOL,
    },
    Mutant {
        name: "claim_without_own_life",
        class: "C20",
        what: "claims and releases do not compare that the writer's life goes on",
        file: "cluster/core/src/agent/shards.rs",
        old: "let begin = || Transaction { guards: vec![Guard::alive(life)], writes: Vec::new() };",
        new: "let begin = || Transaction { guards: Vec::new(), writes: Vec::new() };",
        layers: PROTOCOL,
    },
    Mutant {
        name: "any_incarnation",
        class: "C20",
        what: "guards of a writer's own life compare that a node is alive, and not that it is this life",
        file: "cluster/core/src/record.rs",
        old: "Self::CreateRevision(Key::Heartbeat(life.node.clone()), life.incarnation.0)",
        new: "Self::CreateRevisionNot(Key::Heartbeat(life.node.clone()), 0)",
        layers: PROTOCOL,
    },
    Mutant {
        name: "epoch_kept",
        class: "C21",
        what: "a new owner keeps the epoch",
        file: "cluster/core/src/agent/shards.rs",
        old: "            record.epoch = record.epoch.next();\n",
        new: "",
        layers: PROTOCOL,
    },
    Mutant {
        name: "no_fence",
        class: "C2",
        what: "the store of durable states takes what comes under an older epoch",
        file: "cluster/core/tests/simulation/world/state.rs",
        old: "        if fence < state.fence {\n            return false;",
        new: "        if fence < Fence::default() {\n            return false;",
        layers: &[Layer::Simulation],
    },
    Mutant {
        name: "reopen_on_old_record",
        class: "C13",
        what: "a gate opens again though a release of its record may still be applied",
        file: "cluster/core/src/agent/shards.rs",
        old: "if mine && wanted && self.view.shard(shard).mod_revision > sent_at =>",
        new: "if mine && wanted && sent_at < u64::MAX =>",
        layers: PROTOCOL,
    },
    Mutant {
        name: "release_without_drain",
        class: "C16",
        what: "a shard is released while its gate is open",
        file: "cluster/core/src/agent/shards.rs",
        old: "unwanted().then_some(Step::Drain(epoch))",
        new: "unwanted().then_some(Step::Release).filter(|_| epoch.0 > 0)",
        layers: PROTOCOL,
    },
    Mutant {
        name: "target_without_leader_guard",
        class: "C14",
        what: "targets are written by who does not lead any more",
        file: "cluster/core/src/agent/planning.rs",
        old: "vec![Guard::ModRevision(Key::Leader, leader_revision), Guard::alive(life)];",
        new: "vec![Guard::alive(life)].into_iter().filter(|_| leader_revision > 0).collect::<Vec<_>>();",
        layers: PROTOCOL,
    },
    Mutant {
        name: "target_without_record_guard",
        class: "C19",
        what: "targets are written over what the leader has not seen",
        file: "cluster/core/src/agent/planning.rs",
        old: "                guards.push(Guard::ModRevision(Key::Shard(*shard), slot.mod_revision));\n",
        new: "",
        layers: PROTOCOL,
    },
    Mutant {
        name: "election_without_leader_guard",
        class: "C14",
        what: "an election does not compare the leader key",
        file: "cluster/core/src/agent/leader.rs",
        old: "vec![Guard::ModRevision(Key::Leader, revision), Guard::alive(life)];",
        new: "vec![Guard::alive(life)].into_iter().filter(|_| revision < u64::MAX).collect::<Vec<_>>();",
        layers: PROTOCOL,
    },
    Mutant {
        name: "term_kept",
        class: "C14",
        what: "a new leader keeps the term",
        file: "cluster/core/src/agent/leader.rs",
        old: ".map_or(Term(0), |leader| leader.term).next();",
        new: ".map_or(Term(1), |leader| leader.term);",
        layers: PROTOCOL,
    },
    Mutant {
        name: "resignation_without_leader_guard",
        class: "C14",
        what: "a late resignation deposes the next leader",
        file: "cluster/core/src/agent/lifecycle.rs",
        old: "guards: vec![Guard::ModRevision(Key::Leader, revision), Guard::alive(&life)],",
        new: "guards: vec![Guard::alive(&life)].into_iter().filter(|_| revision > 0).collect(),",
        layers: PROTOCOL,
    },
    Mutant {
        name: "the_drained_go_on_leading",
        class: "C14",
        what: "a node that drains keeps the lead",
        file: "cluster/core/src/agent/lifecycle.rs",
        old: "                self.resign();\n                if !self",
        new: "                if !self",
        layers: PROTOCOL,
    },
    Mutant {
        name: "old_news_undo_newer",
        class: "C12",
        what: "what the watch tells late undoes what is known",
        file: "cluster/core/src/view.rs",
        old: "        if mod_revision <= slot.mod_revision {",
        new: "        if mod_revision == slot.mod_revision {",
        layers: PROTOCOL,
    },
    Mutant {
        name: "list_without_deletions",
        class: "C11",
        what: "a list after a compaction does not tell what is gone",
        file: "cluster/core/src/view.rs",
        old: "        for key in gone {",
        new: "        for key in gone.into_iter().skip(usize::MAX) {",
        layers: PROTOCOL,
    },
    Mutant {
        name: "lost_reply_forgotten",
        class: "C13",
        what: "a lost reply is taken for a failure",
        file: "cluster/core/src/agent/answers.rs",
        old: "                self.unresolved.push(request);\n",
        new: "                self.finish(request);\n",
        layers: PROTOCOL,
    },
    Mutant {
        name: "busy_shards_decided_again",
        class: "C19",
        what: "a shard is decided on while a write of it is under way",
        file: "cluster/core/src/agent/shards.rs",
        old: "self.requests.is_busy(&Key::Shard(shard)) || self.shards",
        new: "self.shards",
        layers: PROTOCOL,
    },
    Mutant {
        name: "fence_keeps_gates",
        class: "C5",
        what: "a life that is over keeps its gates",
        file: "cluster/core/src/agent/lifecycle.rs",
        old: "        effects.push(Effect::Fence(life.clone()));\n",
        new: "",
        layers: PROTOCOL,
    },
    Mutant {
        name: "stuck_targets_not_avoided",
        class: "C15",
        what: "a target that does not claim is given the shard again",
        file: "cluster/core/src/agent/motion.rs",
        old: "                self.avoid.insert(*shard, (target.clone(), now));\n",
        new: "                let _ = (shard, target);\n",
        layers: PROTOCOL,
    },
    Mutant {
        name: "no_caps",
        class: "C18",
        what: "moves of all groups together are not bounded",
        file: "cluster/core/src/agent/caps.rs",
        old: "            let fits = flying.all < all_max\n",
        new: "            let fits = flying.all < usize::MAX || flying.all < all_max\n",
        layers: &[Layer::Simulation, Layer::Planner],
    },
    Mutant {
        name: "pins_rebalanced",
        class: "C15",
        what: "pinned shards are moved for balance",
        file: "cluster/core/src/planner/surplus.rs",
        old: "            && placement.pin.is_none()\n",
        new: "",
        layers: &[Layer::Simulation, Layer::Planner],
    },
    Mutant {
        name: "right_by_flag",
        class: "C1",
        what: "the right to run is a flag that something must take away",
        file: "cluster/src/right.rs",
        old: "        self.clock.moment().0 < self.until.load(Ordering::Acquire)\n",
        new: "        0 < self.until.load(Ordering::Acquire)\n",
        layers: &[Layer::Cluster],
    },
    Mutant {
        name: "right_from_a_former_life",
        class: "C20",
        what: "the answer to a former life's heartbeat extends the right",
        file: "cluster/src/right.rs",
        old: "        if *life == Some(incarnation) {\n            self.until.fetch_max",
        new: "        if life.is_some() || *life == Some(incarnation) {\n            self.until.fetch_max",
        layers: &[Layer::Cluster],
    },
    Mutant {
        name: "right_from_answer",
        class: "C7",
        what: "the right counts from the answer to a heartbeat, not from its sending",
        file: "cluster/src/heart.rs",
        old: "self.timing.right_until(sent));",
        new: "self.timing.right_until(self.clock.moment()));",
        layers: &[Layer::Cluster],
    },
    Mutant {
        name: "right_from_answer_in_the_simulation",
        class: "C7",
        what: "the right counts from the answer to a heartbeat, not from its sending",
        file: "cluster/core/tests/simulation/world/heart.rs",
        old: "right_until.max(timing.right_until(sent));",
        new: "right_until.max(timing.right_until(now.after(Duration::from_nanos(sent.0.min(0)))));",
        layers: &[Layer::Simulation],
    },
    Mutant {
        name: "beats_without_hearing",
        class: "C7",
        what: "a node that gets no answers goes on beating, and looks alive to the others",
        file: "cluster/src/heart.rs",
        old: "was_answered || self.is_heard(store, &life).await",
        new: "was_answered || true",
        layers: &[Layer::Cluster],
    },
    Mutant {
        name: "beats_for_a_driver_that_hangs",
        class: "C17",
        what: "a heart goes on for a driver that does nothing any more",
        file: "cluster/src/heart.rs",
        old: "if !self.driver_is_alive() {",
        new: "if !self.driver_is_alive() && sequence == 0 {",
        layers: &[Layer::Cluster],
    },
    Mutant {
        name: "refusal_ends_no_right",
        class: "C10",
        what: "a node whose life others ended goes on for as long as its last heartbeat allows",
        file: "cluster/src/heart.rs",
        old: "                    self.right.end_of(life.incarnation);\n",
        new: "",
        layers: &[Layer::Cluster],
    },
    Mutant {
        name: "refusal_ends_another_life",
        class: "C20",
        what: "a heartbeat's refusal for a former life that comes late ends the new life's right",
        file: "cluster/src/heart.rs",
        old: "self.right.end_of(life.incarnation);",
        new: "self.right.end();",
        layers: &[Layer::Wire],
    },
    Mutant {
        name: "resume_at_the_compacted_revision",
        class: "C11",
        what: "a watch that was lost goes on from the present revision, without a list of what is there",
        file: "cluster/src/watcher.rs",
        old: "        while !self.events.is_closed() {\n            let Err(error) = self.follow().await else { return };\n",
        new: r#"
        let mut resumes = false;
        while !self.events.is_closed() {
            let followed = if std::mem::replace(&mut resumes, true) {
                async {
                    let present = self.store.list(self.codec.prefix()).await?.revision;
                    let mut watch = self.store.watch(self.codec.prefix(), present).await?;
                    self.forward(&mut *watch, Instant::now() + REREAD_INTERVAL).await.map(|_| ())
                }
                .await
            } else {
                self.follow().await
            };
            let Err(error) = followed else { return };
"#,
        layers: &[Layer::Cluster],
    },
    Mutant {
        name: "watch_trusted_for_ever",
        class: "C12",
        what: "nothing is read again while a watch is open, however long it is silent",
        file: "cluster/src/watcher.rs",
        old: "const REREAD_INTERVAL: Duration = Duration::from_secs(30);",
        new: "const REREAD_INTERVAL: Duration = Duration::from_secs(1_000_000);",
        layers: &[Layer::Cluster],
    },
    Mutant {
        name: "gate_takes_any_epoch",
        class: "C21",
        what: "an open gate lets calls of another epoch in",
        file: "shardlock/src/gate.rs",
        old: "                && asked != current\n",
        new: "                && asked != current && asked == u64::MAX\n",
        layers: &[Layer::Gate],
    },
    Mutant {
        name: "gate_admits_waiters_of_any_epoch",
        class: "C21",
        what: "who waited for another epoch is let in",
        file: "shardlock/src/desk.rs",
        old: "Some(asked) if asked != epoch => Err",
        new: "Some(asked) if asked != epoch && asked == u64::MAX => Err",
        layers: &[Layer::Gate],
    },
    Mutant {
        name: "gate_counts_waiters_of_any_epoch",
        class: "C25",
        what: "a permit is counted for who waited for another epoch and is refused",
        file: "shardlock/src/desk.rs",
        old: "asked.is_none_or(|asked| asked == epoch);",
        new: "asked.is_none_or(|asked| asked == epoch || asked > 0);",
        layers: &[Layer::Gate],
    },
    Mutant {
        name: "gate_opens_with_older_epoch",
        class: "C21",
        what: "a gate opens with an older epoch",
        file: "shardlock/src/desk.rs",
        old: "        if epoch < last {",
        new: "        if epoch < last && last == 0 {",
        layers: &[Layer::Gate],
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::copy::Copy;

    /// A piece that was rewritten since would only be found by a run of all mutants, which takes long.
    #[test]
    fn each_piece_that_is_changed_is_there_exactly_once() {
        let sources = Copy::none();
        let missing: Vec<String> =
            MUTANTS.iter().filter_map(|mutant| sources.check(mutant).err()).collect();
        assert_eq!(missing, Vec::<String>::new());
    }

    #[test]
    fn each_name_is_there_once() {
        let names: BTreeSet<&str> = MUTANTS.iter().map(|mutant| mutant.name).collect();
        assert_eq!(names.len(), MUTANTS.len());
        assert!(ON_THE_WIRE.iter().all(|name| names.contains(name)));
    }
}
