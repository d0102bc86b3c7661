//! What a permit costs in memory: nothing.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use allocation_counter::measure;
use greenroom_shardlock::Gates;
use tokio::time::Instant;

#[test]
fn nobody_allocates_who_does_not_have_to_wait() {
    let gates = Arc::new(Gates::new(8));
    gates.open(7, 1).unwrap();
    let deadline = Instant::now();
    let allocated = measure(|| {
        for _ in 0..1000 {
            drop(gates.enter(7).unwrap());
            drop(gates.enter_at(7, 1).unwrap().into_owned(&gates));
            drop(gates.enter_beside(7, None).unwrap());
            assert!(gates.enter(0).is_err());
            let read = pin!(gates.read(7, deadline));
            assert!(read.poll(&mut Context::from_waker(Waker::noop())).is_ready());
        }
    });
    assert_eq!(allocated.count_total, 0);
}

/// So that the count above is known to see what it should: a writer does allocate.
#[test]
fn a_gate_that_is_held_costs_memory_only_while_it_is_held() {
    let gates = Gates::new(8);
    gates.open(7, 1).unwrap();
    let allocated = measure(|| {
        let write = pin!(gates.write(7, "test", Instant::now()));
        let written = write.poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(written, Poll::Ready(Ok(_))));
    });
    assert!(allocated.count_total > 0);
    assert_eq!(allocated.bytes_current, 0);
}

#[test]
fn a_table_takes_64_bytes_a_shard() {
    let mut gates = None;
    let allocated = measure(|| gates = Some(Gates::new(8192)));
    let bytes = u64::try_from(allocated.bytes_current).unwrap();
    assert!((8192 * 64..8192 * 64 + 64).contains(&bytes), "{bytes} bytes");
}
