//! How often a value fell where: counted without a lock, read when somebody looks.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts values by upper bound. Bounds are ascending; what is above the last is counted apart.
#[derive(Debug)]
pub struct Buckets {
    bounds: &'static [u64],
    /// One more than bounds.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// What [`Buckets`] held when they were read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Distribution {
    /// Upper bounds, inclusive, each with how many values fell between it and the one before.
    pub counts: Vec<(u64, u64)>,
    /// How many were above the last bound.
    pub above: u64,
    /// The sum of all values.
    pub sum: u64,
}

impl Buckets {
    /// Empty ones.
    pub fn new(bounds: &'static [u64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum: AtomicU64::new(0) }
    }

    /// Counts a value.
    pub fn record(&self, value: u64) {
        let at = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get(at) {
            count.fetch_add(1, Relaxed);
        }
        self.sum.fetch_add(value, Relaxed);
    }

    /// What is in them now.
    pub fn read(&self) -> Distribution {
        let counts = self.bounds.iter().zip(&self.counts).map(|(bound, count)| (*bound, count.load(Relaxed)));
        Distribution {
            counts: counts.collect(),
            above: self.counts.last().map_or(0, |count| count.load(Relaxed)),
            sum: self.sum.load(Relaxed),
        }
    }
}

impl Distribution {
    /// How many values there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum::<u64>() + self.above
    }
}

#[cfg(test)]
mod tests {
    use super::{Buckets, Distribution};

    #[test]
    fn values_fall_below_their_bound() {
        let buckets = Buckets::new(&[10, 100]);
        for value in [0, 10, 11, 100, 101, 5_000] {
            buckets.record(value);
        }
        let read = buckets.read();
        assert_eq!(read, Distribution { counts: vec![(10, 2), (100, 2)], above: 2, sum: 5_222 });
        assert_eq!(read.count(), 6);
    }
}
