//! Payloads: the first bit of an input says which encoding, the rest are the bytes.
//!
//! Proves: C24

use std::collections::BTreeMap;

use bytes::Bytes;
use greenroom::fuzzing::{Arguments, Encoding, Outcome, ReplyForm};
use greenroom::{CallError, FailureCode};
use serde::{Deserialize, Serialize};

/// One field of each shape that an author may use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Everything {
    pub(crate) flag: bool,
    pub(crate) small: i8,
    pub(crate) number: u64,
    pub(crate) negative: i64,
    pub(crate) floats: Vec<Float>,
    pub(crate) letter: char,
    pub(crate) text: String,
    pub(crate) list: Vec<u16>,
    pub(crate) maybe: Option<u32>,
    pub(crate) pair: (u8, Option<String>),
    pub(crate) unit: (),
    pub(crate) map: BTreeMap<String, u32>,
    pub(crate) shape: Shape,
    pub(crate) tree: Option<Box<Tree>>,
}

/// Equal to itself, also when it is no number.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Float(f64);

impl PartialEq for Float {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) enum Shape {
    #[default]
    Nothing,
    One(i32),
    Two(u8, String),
    Named {
        side: u16,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Tree {
    Leaf(u8),
    Fork(Box<Self>, Box<Self>),
    Many(Vec<Self>),
}

pub(super) fn check(input: &[u8]) {
    let Some((first, bytes)) = input.split_first() else { return };
    let encoding = if first & 1 == 0 { Encoding::MessagePack } else { Encoding::Json };
    let bytes = Bytes::copy_from_slice(bytes);
    match (Arguments::Encoded { encoding, bytes: bytes.clone() }).open::<Everything>() {
        Ok(value) => assert_stable(encoding, &value),
        Err(failure) => {
            assert_eq!(failure.code, FailureCode::BadArguments);
            assert!(!failure.may_have_run && !failure.message.is_empty());
            assert!(failure.message.len() < 500, "{}", failure.message);
        }
    }
    match Outcome::Ok(bytes.clone()).take::<Everything, Tree>(encoding) {
        Ok(value) => assert_stable(encoding, &value),
        Err(error) => assert_unreadable(&error),
    }
    match Outcome::Err(bytes).take::<Everything, Tree>(encoding) {
        Err(CallError::Actor(tree)) => {
            let again = written(encoding, &tree);
            assert_eq!(Outcome::Ok(again).take::<Tree, ()>(encoding).ok(), Some(tree));
        }
        Err(error) => assert_unreadable(&error),
        Ok(value) => panic!("an error was read as {value:?}"),
    }
}

/// There is an answer, so the method has run.
fn assert_unreadable<E: std::fmt::Debug>(error: &CallError<E>) {
    assert_eq!(error.code(), Some(FailureCode::BadReply), "{error:?}");
    assert!(error.may_have_run(), "{error:?}");
}

/// Written and read again it is the same, and written again it is the same bytes.
fn assert_stable(encoding: Encoding, value: &Everything) {
    // JSON has no word for these; they are written as null.
    if encoding == Encoding::Json && !value.floats.iter().all(|float| float.0.is_finite()) {
        return;
    }
    let bytes = written(encoding, value);
    let again: Everything = match Outcome::Ok(bytes.clone()).take::<_, ()>(encoding) {
        Ok(again) => again,
        Err(error) => panic!("{error:?} for {value:?}"),
    };
    assert_eq!(again, *value);
    assert_eq!(written(encoding, &again), bytes);
}

fn written<T: Clone + Serialize + Send + 'static>(encoding: Encoding, value: &T) -> Bytes {
    match ReplyForm::Encoded(encoding).value(value.clone()) {
        Outcome::Ok(bytes) => bytes,
        other => panic!("{other:?} for a value that can be written"),
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (first, encoding) in [(0, Encoding::MessagePack), (1, Encoding::Json)] {
        let values = [Everything::default(), something()];
        let values = values.iter().map(|value| written(encoding, value));
        let tree = something().tree.expect("it has one");
        let all = values.chain([written(encoding, &*tree), Bytes::new()]);
        seeds.extend(all.map(|bytes| [&[first], &bytes[..]].concat()));
    }
    // A list that claims to have four thousand million numbers, and a tree that is deeper than a stack.
    seeds.push(b"\x00\x81\xa4list\xdd\xff\xff\xff\xff\x01".to_vec());
    seeds.push([b"\x00\x81\xa4tree".as_slice(), &b"\x81\xa4Many\x91".repeat(1000)].concat());
    seeds
}

/// One in which nothing is empty.
pub(super) fn something() -> Everything {
    Everything {
        flag: true,
        small: -3,
        number: u64::MAX,
        negative: i64::MIN,
        floats: [0.1, 0.1 + 0.2, 5e-324, f64::MAX, 123_456_789.123_456_79].map(Float).into(),
        letter: 'ß',
        text: "text \"quoted\"".into(),
        list: vec![1, 300, 65_535],
        maybe: Some(70_000),
        pair: (7, Some("seven".into())),
        unit: (),
        map: [("one".into(), 1), ("two".into(), 2)].into(),
        shape: Shape::Two(2, "b".into()),
        tree: Some(Box::new(Tree::Fork(
            Box::new(Tree::Many(vec![Tree::Leaf(1), Tree::Leaf(2)])),
            Box::new(Tree::Leaf(3)),
        ))),
    }
}
