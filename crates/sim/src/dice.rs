//! The one source of chance: splitmix64, so that a seed means the same with every version of every dependency.

use std::sync::{Mutex, PoisonError};

/// A stream of numbers that follows from a seed. Shared freely; one thread draws from it.
#[derive(Debug)]
pub(crate) struct Dice(Mutex<u64>);

impl Dice {
    /// The stream called `name` of this seed: streams of one seed don't disturb each other.
    pub(crate) fn new(seed: u64, name: &str) -> Self {
        Self(Mutex::new(xxhash_rust::xxh3::xxh3_64_with_seed(name.as_bytes(), seed)))
    }

    pub(crate) fn draw(&self) -> u64 {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// `0..bound`, or 0 if there is nothing to choose from.
    pub(crate) fn below(&self, bound: u64) -> u64 {
        self.draw() % bound.max(1)
    }

    /// `from..=to`.
    pub(crate) fn between(&self, from: u64, to: u64) -> u64 {
        from + self.below(to.saturating_sub(from) + 1)
    }

    /// True in so many of 1,000 cases.
    pub(crate) fn chance(&self, thousandths: u64) -> bool {
        self.below(1_000) < thousandths
    }

    /// One of them.
    pub(crate) fn pick<'a, T>(&self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len() as u64) as usize)
    }
}
