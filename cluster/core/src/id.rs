//! Names: actors, shards, nodes, and the hash that ties an actor to its shard.

use std::cmp::Ordering;
use std::fmt;
use std::hash::Hasher;
use std::sync::Arc;

use fnv::FnvHasher;

use crate::groups::GroupIndex;

/// Shards of a cluster unless its birth says otherwise.
pub const SHARD_COUNT_DEFAULT: u32 = 8192;
/// The most shards that a cluster may have.
pub const SHARD_COUNT_MAX: u32 = 65_536;
/// Longest key of an actor, in bytes.
pub const KEY_LEN_MAX: usize = 512;
/// Longest kind of an actor, in bytes.
pub const KIND_LEN_MAX: usize = 64;
/// Longest node id, in bytes.
pub const NODE_ID_LEN_MAX: usize = 64;

/// One of the fixed parts of the key space.
///
/// The first group of shards is `0..shard_count`, the second one follows it, and so on (see
/// [`Groups`](crate::Groups)); most clusters have one group only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u32);

impl ShardId {
    /// The shard of the actor `(kind, key)` in a cluster of `shard_count` shards: FNV-1a-64 over
    /// `kind`, a zero byte and `key`, modulo the count.
    ///
    /// A key with a hash tag, such as `cart/{user42}`, is hashed by the bytes between its first
    /// `{` and the next `}` alone, without the kind, so that actors of several kinds that talk a
    /// lot share a shard. An empty tag (`{}`) is no tag.
    ///
    /// Any language can compute it; these hold for 8192 shards:
    ///
    /// ```
    /// use greenroom_core::ShardId;
    /// let shard = |kind, key| ShardId::of(kind, key, 8192).0;
    /// assert_eq!(shard("bank.account", "alice"), 5066);
    /// assert_eq!(shard("bank.account", "bob"), 1525);
    /// assert_eq!(shard("flight.airport", "SFO"), 1220);
    /// assert_eq!(shard("cart", "cart/{user42}"), shard("session", "{user42}"));
    /// assert_eq!(shard("cart", "cart/{user42}"), 1216);
    /// ```
    ///
    /// # Panics
    /// When `shard_count` is 0.
    pub fn of(kind: &str, key: &str, shard_count: u32) -> Self {
        let hash = hash_of(kind, key);
        let shard = hash % u64::from(shard_count);
        // The remainder is below a u32.
        Self(shard as u32)
    }

    /// The shard of the same number in another group, for a shard of the first one.
    #[must_use]
    pub fn in_group(self, group: GroupIndex, shard_count: u32) -> Self {
        Self(group as u32 * shard_count + self.0)
    }

    /// Which group it belongs to, and which number it has there.
    ///
    /// # Panics
    /// When `shard_count` is 0.
    pub fn group_and_number(self, shard_count: u32) -> (GroupIndex, u32) {
        ((self.0 / shard_count) as usize, self.0 % shard_count)
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The 64-bit FNV-1a hash by which an actor is placed, before the modulo.
pub fn hash_of(kind: &str, key: &str) -> u64 {
    let mut hasher = FnvHasher::default();
    match hash_tag(key) {
        Some(tag) => hasher.write(tag.as_bytes()),
        None => {
            hasher.write(kind.as_bytes());
            hasher.write(&[0]);
            hasher.write(key.as_bytes());
        }
    }
    hasher.finish()
}

/// The part of `key` between its first `{` and the next `}`, unless that is empty.
pub fn hash_tag(key: &str) -> Option<&str> {
    let (_, rest) = key.split_once('{')?;
    let (tag, _) = rest.split_once('}')?;
    (!tag.is_empty()).then_some(tag)
}

/// The name of an actor, which always exists: kind and key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActorId {
    kind: Arc<str>,
    key: Arc<str>,
}

impl ActorId {
    /// Names an actor.
    ///
    /// # Errors
    /// When the kind is not 1 to [`KIND_LEN_MAX`] bytes of `a-z 0-9 . _ -` that start with a
    /// letter, or the key is not 1 to [`KEY_LEN_MAX`] bytes without control characters.
    pub fn new(kind: impl Into<Arc<str>>, key: impl Into<Arc<str>>) -> Result<Self, BadName> {
        let (kind, key) = (kind.into(), key.into());
        Self::check(&kind, &key)?;
        Ok(Self { kind, key })
    }

    /// Whether kind and key can name an actor.
    ///
    /// # Errors
    /// As [`ActorId::new`].
    pub fn check(kind: &str, key: &str) -> Result<(), BadName> {
        check_kind(kind)?;
        check_key(key)
    }

    /// The written name of the actor's interface.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Which of its kind.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The key, shared.
    pub fn shared_key(&self) -> Arc<str> {
        Arc::clone(&self.key)
    }

    /// The shard that the actor belongs to.
    pub fn shard(&self, shard_count: u32) -> ShardId {
        ShardId::of(&self.kind, &self.key, shard_count)
    }
}

impl fmt::Display for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.key)
    }
}

/// A name that breaks its rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadName {
    /// Which name: `kind`, `key` or `node id`.
    pub field: &'static str,
    /// What it must look like.
    pub rule: String,
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} must be {}", self.field, self.rule)
    }
}

impl std::error::Error for BadName {}

pub(crate) fn check_kind(kind: &str) -> Result<(), BadName> {
    let mut bytes = kind.bytes();
    let starts_well = bytes.next().is_some_and(|b| b.is_ascii_lowercase());
    let goes_on_well =
        bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b));
    if starts_well && goes_on_well && kind.len() <= KIND_LEN_MAX {
        return Ok(());
    }
    Err(BadName {
        field: "kind",
        rule: format!("1 to {KIND_LEN_MAX} of a-z 0-9 . _ - and start with a letter"),
    })
}

fn check_key(key: &str) -> Result<(), BadName> {
    if !key.is_empty() && key.len() <= KEY_LEN_MAX && !key.chars().any(char::is_control) {
        return Ok(());
    }
    Err(BadName {
        field: "key",
        rule: format!("1 to {KEY_LEN_MAX} bytes without control characters"),
    })
}

/// The name of a node, unique in its cluster. A restarted process may bear the same name; its
/// [`Incarnation`] tells it from the former one.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct NodeId(Arc<str>);

impl Ord for NodeId {
    /// By name. Most of the names that are compared are clones of one another.
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) { Ordering::Equal } else { self.0.cmp(&other.0) }
    }
}

impl PartialOrd for NodeId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl NodeId {
    /// Names a node.
    ///
    /// # Errors
    /// When the name is not 1 to [`NODE_ID_LEN_MAX`] bytes of `a-z A-Z 0-9 . _ -`.
    pub fn new(name: impl Into<Arc<str>>) -> Result<Self, BadName> {
        let name = name.into();
        let well = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if !name.is_empty() && name.len() <= NODE_ID_LEN_MAX && well {
            return Ok(Self(name));
        }
        Err(BadName {
            field: "node id",
            rule: format!("1 to {NODE_ID_LEN_MAX} of a-z A-Z 0-9 . _ -"),
        })
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// One life of a node: the store's revision at which its heartbeat key was created. The store
/// gives each revision once, so no two lives share a number, and a later life has a greater one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One life of one node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Life {
    /// Whose.
    pub node: NodeId,
    /// Which.
    pub incarnation: Incarnation,
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.node, self.incarnation)
    }
}

/// The fencing token of a shard: grows by one each time the shard gets an owner, and never
/// otherwise. (The store's `ModRevision` also grows when the leader writes a target, so it guards
/// writes but is no epoch.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch of the next owner.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What grows by one with each new leader; orders of an older term are void.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term(pub u64);

impl Term {
    /// The term of the next leader.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the vectors that the authors of FNV publish for its 64-bit variant 1a.
    #[test]
    fn the_hash_is_fnv_1a_with_64_bits() {
        assert_eq!(hash_of("any", "{a}"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(hash_of("any", "{foobar}"), 0x8594_4171_f739_67e8);
        assert_eq!(hash_of("any", "{chongo was here!\n}"), 0x4681_0940_eff5_f915);
        assert_eq!(hash_of("foo", "bar"), hash_of("any", "{foo\0bar}"));
    }

    #[test]
    fn a_tag_is_what_stands_in_the_first_braces() {
        for (key, tag) in [
            ("cart/{user42}", Some("user42")),
            ("{a}{b}", Some("a")),
            ("{a{b}", Some("a{b")),
            ("}{a}", Some("a")),
            ("{}{a}", None),
            ("{a", None),
            ("a}", None),
            ("}{", None),
        ] {
            assert_eq!(hash_tag(key), tag, "{key}");
        }
    }

    #[test]
    fn shards_are_counted_through_the_groups() {
        assert_eq!(ShardId::of("bank.account", "alice", 8192), ShardId(5066));
        assert_eq!(ActorId::new("bank.account", "alice").unwrap().shard(8192), ShardId(5066));
        assert_eq!(ShardId(5).in_group(2, 10), ShardId(25));
        assert_eq!(ShardId(25).group_and_number(10), (2, 5));
        assert_eq!(ShardId(9).group_and_number(10), (0, 9));
    }

    #[test]
    fn names_follow_their_rules() {
        let long = "k".repeat(KIND_LEN_MAX);
        for kind in ["k", "bank.account", "a-b_c.9", &long] {
            assert_eq!(check_kind(kind), Ok(()), "{kind}");
        }
        for kind in ["", "9a", ".a", "Bank", "a b", "a/b", "é", &format!("{long}k")] {
            assert_eq!(check_kind(kind).unwrap_err().field, "kind", "{kind}");
        }
        let long = "ü".repeat(KEY_LEN_MAX / 2);
        for key in ["k", "any thing/é", &long] {
            assert_eq!(ActorId::check("k", key), Ok(()), "{key}");
        }
        for key in ["", "a\nb", "\u{7f}", &format!("{long}k")] {
            assert_eq!(ActorId::check("k", key).unwrap_err().field, "key", "{key:?}");
            assert!(ActorId::new("k", key).is_err());
        }
        assert!(ActorId::check("K", "k").is_err());
        let long = "N".repeat(NODE_ID_LEN_MAX);
        for node in ["n", "Node-1.a_b", &long] {
            assert_eq!(NodeId::new(node).unwrap().as_str(), node);
        }
        for node in ["", "a b", "é", "a/b", &format!("{long}k")] {
            assert_eq!(NodeId::new(node).unwrap_err().field, "node id", "{node}");
        }
        let error = check_kind("").unwrap_err().to_string();
        assert!(error.starts_with("the kind must be 1 to "), "{error}");
    }

    #[test]
    fn what_has_a_number_is_written_as_that() {
        let actor = ActorId::new("k", "x").unwrap();
        assert_eq!((actor.kind(), actor.key(), &*actor.shared_key()), ("k", "x", "x"));
        let life = Life { node: NodeId::new("n").unwrap(), incarnation: Incarnation(3) };
        assert_eq!(format!("{actor} {life} {:?} {}", life.node, ShardId(4)), "k/x n@3 \"n\" 4");
        assert_eq!(format!("{} {}", Epoch(1).next(), Term(2).next()), "2 3");
    }

    #[test]
    fn nodes_are_ordered_by_name_whoever_holds_it() {
        let named = |name: &str| NodeId::new(name).unwrap();
        assert!(named("a") < named("b"));
        assert_eq!(named("a").cmp(&named("a")), Ordering::Equal);
        let clone = named("a");
        assert_eq!(clone.cmp(&clone.clone()), Ordering::Equal);
    }
}
