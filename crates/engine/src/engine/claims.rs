//! Claims under a request key: sent again they are answered with the leases they were given.
//!
//! A lease's token follows from the key, and a partition answers a claim whose token already holds leases with these.
//! So nothing is stored for it; what is remembered here is only which partitions to ask, and that two of the same key
//! don't run at once. After a start all partitions are asked, for as long as a caller may still be sending again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use stint_api::RequestKey;
use stint_core::{LeaseToken, PartitionId};
use tokio::sync::Mutex as Turn;
use tokio::time::Instant;

use super::Inner;
use crate::hub::{GrantedLease, Wanted};

/// A claim is remembered this long, and for this long after a start one may have been made before it.
const REMEMBERED: Duration = Duration::from_secs(120);

/// What a claim of this key was given, by token.
#[derive(Default, Debug)]
struct Given {
    /// This process gave leases for it.
    any: bool,
    asked: Vec<(PartitionId, LeaseToken)>,
}

/// A key's claims, one at a time, and when the last began.
#[derive(Debug)]
struct Entry {
    given: Arc<Turn<Given>>,
    at: Instant,
}

#[derive(Debug)]
pub(super) struct KeyedClaims {
    started: Instant,
    entries: Mutex<BTreeMap<LeaseToken, Entry>>,
}

impl KeyedClaims {
    pub(super) fn new() -> Self {
        Self { started: Instant::now(), entries: Mutex::default() }
    }

    /// The claims of a token, and whether this is the first that this process sees.
    fn of(&self, token: LeaseToken) -> (Arc<Turn<Given>>, bool) {
        let now = Instant::now();
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        // Amortised: the map is looked through when it has doubled.
        if entries.len().is_power_of_two() {
            entries.retain(|_, entry| now.duration_since(entry.at) < REMEMBERED);
        }
        let first = !entries.contains_key(&token);
        let entry = entries.entry(token).or_insert_with(|| Entry { given: Arc::default(), at: now });
        entry.at = now;
        (entry.given.clone(), first)
    }

    /// Whether a claim may have been made before this process started, and be sent again now.
    fn may_be_older(&self) -> bool {
        self.started.elapsed() < REMEMBERED
    }
}

impl Inner {
    /// Leases work under a request key.
    pub(super) async fn lease_once(
        &self,
        key: &RequestKey,
        mut wanted: Wanted,
        until: Instant,
    ) -> Vec<GrantedLease> {
        wanted.token = token(key, &wanted.filter.namespace);
        let (given, first) = self.claims.of(wanted.token);
        let mut given = given.lock().await;
        if first && self.claims.may_be_older() {
            given.asked = PartitionId::all().map(|partition| (partition, wanted.token)).collect();
        }
        if !given.asked.is_empty() {
            let leases = self.hub.recall(wanted.clone(), &given.asked).settle().await;
            given.any |= !leases.is_empty();
            // Those that have ended since are not made up for: the caller asked once.
            if given.any {
                return leases;
            }
        }
        let leases = self.claim(wanted, until).await;
        given.any = !leases.is_empty();
        let asked = leases.iter().map(|granted| granted.grant.lease);
        given.asked = asked.map(|lease| (lease.execution.partition(), lease.token)).collect();
        given.asked.sort_unstable();
        given.asked.dedup();
        leases
    }
}

/// The proof of a keyed claim's leases.
fn token(key: &RequestKey, namespace: &str) -> LeaseToken {
    let digest = Sha256::new()
        .chain_update(b"claim\0")
        .chain_update(namespace)
        .chain_update(b"\0")
        .chain_update(key.to_string())
        .finalize();
    let mut token = [0; 16];
    for (to, from) in token.iter_mut().zip(digest.as_slice()) {
        *to = *from;
    }
    LeaseToken(token)
}
