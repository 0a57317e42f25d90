//! Where commands go, and the ids they make: once, at the edge, from the caller's key if there is one.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use stint_api::RequestKey;
use stint_core::{ExecutionId, PARTITIONS, PartitionId, RequestId};
use tokio::time::Instant;

/// Submissions under way per open partition: few clients fill few partitions, so that batches stay large.
const UNDER_WAY_PER_PARTITION: usize = 32;

/// How long the same partitions are open.
const ROTATION: Duration = Duration::from_secs(10);

/// A number coprime to 64, so that its multiples visit all partitions.
const STRIDE: u64 = 27;

/// The partitions that submissions without a key go to.
#[derive(Debug)]
pub(crate) struct OpenPartitions {
    seed: u64,
    born: Instant,
    under_way: AtomicUsize,
    turn: AtomicU64,
}

/// Submissions under way, until it is dropped.
#[derive(Debug)]
pub(crate) struct UnderWay<'a> {
    open: &'a OpenPartitions,
    count: usize,
}

impl OpenPartitions {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, born: Instant::now(), under_way: AtomicUsize::new(0), turn: AtomicU64::new(0) }
    }

    /// Counts submissions that begin.
    pub(crate) fn enter(&self, count: usize) -> UnderWay<'_> {
        self.under_way.fetch_add(count, Relaxed);
        UnderWay { open: self, count }
    }

    /// The next one to use.
    pub(crate) fn next(&self) -> PartitionId {
        let open = (self.under_way.load(Relaxed) / UNDER_WAY_PER_PARTITION).clamp(1, usize::from(PARTITIONS));
        let turn = self.turn.fetch_add(1, Relaxed) % open as u64;
        let rotation = self.born.elapsed().as_secs() / ROTATION.as_secs();
        let place =
            self.seed.wrapping_add(rotation.wrapping_mul(u64::from(PARTITIONS) / 2 + 1)).wrapping_add(turn);
        PartitionId((place.wrapping_mul(STRIDE) % u64::from(PARTITIONS)) as u8)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.open.under_way.fetch_sub(self.count, Relaxed);
    }
}

/// The partition that a request key names: its session's, or that of its hash.
pub(crate) fn partition_of(key: &RequestKey) -> PartitionId {
    match key {
        RequestKey::Session { session, .. } => PartitionId::of(session.as_bytes()),
        RequestKey::Text(text) => PartitionId::of(text.as_bytes()),
    }
}

/// The id of the `index`-th execution that a request under this key makes.
pub(crate) fn derived_id(key: &RequestKey, namespace: &str, index: usize) -> ExecutionId {
    ExecutionId::derived(partition_of(key), format!("{namespace}\0{key}.{index}").as_bytes())
}

/// What a request under this key is known by, where its effect makes nothing that could carry a derived id.
pub(crate) fn request_id(key: &RequestKey) -> RequestId {
    RequestId::derived(key.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn spread(open: &OpenPartitions) -> BTreeSet<PartitionId> {
        (0..1_000).map(|_| open.next()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn partitions_open_with_what_is_under_way() {
        let open = OpenPartitions::new(7);
        assert_eq!(spread(&open).len(), 1);
        let few = open.enter(96);
        assert_eq!(spread(&open).len(), 3);
        let many = open.enter(100_000);
        assert_eq!(spread(&open).len(), 64);
        drop((few, many));
        assert_eq!(spread(&open).len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_open_partition_changes_every_ten_seconds_and_all_have_their_turn() {
        let open = OpenPartitions::new(0);
        let mut seen = BTreeSet::new();
        for _ in 0..64 {
            let partition = open.next();
            assert_eq!(open.next(), partition);
            seen.insert(partition);
            tokio::time::advance(ROTATION).await;
        }
        assert_eq!(seen.len(), 64);
    }

    #[test]
    fn a_key_names_one_id_per_place_and_namespace() {
        let key = RequestKey::parse("session.7").unwrap();
        let id = derived_id(&key, "default", 0);
        assert_eq!(id, derived_id(&key, "default", 0));
        assert_eq!(id.partition(), PartitionId::of(b"session"));
        for other in [derived_id(&key, "default", 1), derived_id(&key, "other", 0)] {
            assert_ne!(id, other);
            assert_eq!(other.partition(), id.partition());
        }
    }
}
