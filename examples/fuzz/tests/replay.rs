//! What `make fuzz` begins with and what it once found, through the same functions without its engine;
//! and a little random damage, so that a reader that breaks is noticed without a long run.

use std::panic::{RefUnwindSafe, catch_unwind};

use greenroom_fuzz::{ALL, Target};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

/// Random inputs for each target.
const RANDOM: u32 = 300;

/// Judges each target, also after one that finds something.
fn each(judge: impl Fn(&'static Target) + RefUnwindSafe) {
    let finds = |target: &&'static Target| {
        let judged = catch_unwind(|| {
            // What is made once must not count as memory that an input takes.
            (target.seeds)().iter().for_each(|seed| (target.check)(seed));
            judge(target);
        });
        judged.is_err()
    };
    let finding: Vec<&str> = ALL.iter().filter(finds).map(|target| target.name).collect();
    assert!(finding.is_empty(), "see above for what was found by {finding:?}");
}

#[test]
fn every_reader_takes_what_our_own_writers_write() {
    each(|target| {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{} begins with nothing", target.name);
        seeds.iter().for_each(|seed| target.run(seed));
    });
}

#[test]
fn what_was_found_once_is_found_no_more() {
    each(|target| {
        let Ok(files) = std::fs::read_dir(target.regressions()) else { return };
        for file in files {
            let path = file.expect("the folder can be read").path();
            println!("{}", path.display());
            target.run(&std::fs::read(&path).expect("the file can be read"));
        }
    });
}

/// A piece of one input may stand in the middle of another.
#[derive(Clone, Debug)]
enum Damage {
    Byte(Index, u8),
    Cut(Index),
    Gone(Index, Index),
    Twice(Index, Index),
    From(Index, Index, Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<Index>;
    prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
        1 => at().prop_map(Damage::Cut),
        1 => (at(), at()).prop_map(|(from, to)| Damage::Gone(from, to)),
        1 => (at(), at()).prop_map(|(from, to)| Damage::Twice(from, to)),
        1 => (at(), at(), at()).prop_map(|(seed, from, at)| Damage::From(seed, from, at)),
    ]
}

fn damaged(seeds: &[Vec<u8>], seed: Index, damages: &[Damage]) -> Vec<u8> {
    let mut input = seed.get(seeds).clone();
    for damage in damages {
        let len = input.len();
        let at = |index: &Index| index.index(len + 1);
        let span = |from: &Index, to: &Index| at(from).min(at(to))..at(from).max(at(to));
        match damage {
            Damage::Byte(index, byte) if len > 0 => input[index.index(len)] = *byte,
            Damage::Byte(_, byte) => input.push(*byte),
            Damage::Cut(index) => input.truncate(at(index)),
            Damage::Gone(from, to) => drop(input.drain(span(from, to))),
            Damage::Twice(from, to) => {
                let piece = input[span(from, to)].to_vec();
                input.extend(piece);
            }
            Damage::From(seed, from, index) => {
                let other = seed.get(seeds);
                let piece = &other[from.index(other.len() + 1)..];
                let at = at(index);
                input.splice(at..at, piece.iter().copied());
            }
        }
    }
    input
}

#[test]
fn random_damage_is_refused_or_read() {
    each(|target| {
        let seeds = (target.seeds)();
        let input = (any::<Index>(), vec(damage(), 1..6));
        let config = Config { cases: RANDOM, failure_persistence: None, ..Config::default() };
        let run = TestRunner::new(config).run(&input, |(seed, damages)| {
            target.run(&damaged(&seeds, seed, &damages));
            Ok(())
        });
        if let Err(error) = run {
            panic!("{}: {error}", target.name);
        }
    });
}
