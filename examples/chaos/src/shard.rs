//! Which shard a witness belongs to, computed afresh from the design: FNV-1a (64 bits) over kind,
//! a zero byte and key, modulo the number of shards.

/// The number of shards that all scenarios run with, the default.
pub const SHARDS: u32 = 8192;

/// The shard of the witness with this key. Hash tags (`{...}`) are not known here; no key of ours
/// has one.
#[must_use]
pub fn shard_of(key: &str) -> u32 {
    let bytes = b"chaos.witness\0".iter().chain(key.as_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    u32::try_from(hash % u64::from(SHARDS)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The product must place actors where the design says, or probes would ask the wrong node.
    #[tokio::test]
    async fn shards_are_where_the_product_puts_them() {
        use greenroom::{Address, Node};
        let node = Node::embedded().start().await.unwrap();
        for key in ["a", "key-17", "probe-8191"] {
            let witness: crate::witness::WitnessRef = node.actor(key).unwrap();
            assert_eq!(witness.actor().shard().0, shard_of(key), "{key}");
        }
        node.stop().await;
    }
}
