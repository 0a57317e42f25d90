//! All randomness of an engine, from one source, so that a seed is a history.

use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

/// A source of random numbers, good enough for secrets (ChaCha12) unless it is seeded.
#[derive(Clone, Debug)]
pub(crate) struct Randomness(Arc<Mutex<StdRng>>);

impl Randomness {
    /// Seeded, or by the system.
    pub(crate) fn new(seed: Option<u64>) -> Self {
        let source = seed.map_or_else(StdRng::from_os_rng, StdRng::seed_from_u64);
        Self(Arc::new(Mutex::new(source)))
    }

    /// 128 bits.
    pub(crate) fn wide(&self) -> u128 {
        let mut source = self.source();
        u128::from(source.next_u64()) << 64 | u128::from(source.next_u64())
    }

    /// 64 bits, never 0.
    pub(crate) fn number(&self) -> u64 {
        self.source().next_u64().max(1)
    }

    fn source(&self) -> std::sync::MutexGuard<'_, StdRng> {
        // A generator is whole whenever nobody draws from it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
