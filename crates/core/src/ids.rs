//! Identifiers: of executions, of partitions, of leases; and their text forms.

use std::fmt;
use std::str::FromStr;

use data_encoding::{Encoding, Specification};
use minicbor::{Decode, Encode};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::PARTITIONS;

/// A partition's number, `0..64`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PartitionId(pub u8);

impl PartitionId {
    /// The home of a name, a key or a session: the same bytes always live in the same partition.
    pub fn of(bytes: &[u8]) -> Self {
        Self((xxh3_64(bytes) % u64::from(PARTITIONS)) as u8)
    }

    /// All of them, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..PARTITIONS).map(Self)
    }
}

/// 128 bits: 48 of time (or of a hash, for derived ids), 8 of partition, 72 of randomness (or hash). Nothing orders by it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct ExecutionId(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

impl ExecutionId {
    /// A fresh id; `time_ms` is cut to 48 bits and `random` to 72.
    pub fn fresh(time_ms: i64, partition: PartitionId, random: u128) -> Self {
        let time = (time_ms as u128 & 0xFFFF_FFFF_FFFF) << 80;
        Self((time | u128::from(partition.0) << 72 | random & ((1 << 72) - 1)).to_be_bytes())
    }

    /// The id that follows from a text alone, so that a repeated request names the same execution.
    pub fn derived(partition: PartitionId, source: &[u8]) -> Self {
        let mut bytes = xxh3_128(source).to_be_bytes();
        bytes[6] = partition.0;
        Self(bytes)
    }

    /// Where it lives.
    pub fn partition(self) -> PartitionId {
        PartitionId(self.0[6])
    }
}

impl fmt::Display for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ex_{}", base32().encode(&self.0))
    }
}

impl fmt::Debug for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not an id or lease of ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not {expected}")]
pub struct Malformed {
    /// What a right one looks like.
    pub expected: &'static str,
}

impl FromStr for ExecutionId {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let malformed = Malformed { expected: "an execution id: `ex_` and 26 characters of 0-9 and a-z" };
        let id = decode(text, "ex_").and_then(|b| b.try_into().ok()).map(Self).ok_or(malformed)?;
        if id.partition().0 < PARTITIONS { Ok(id) } else { Err(malformed) }
    }
}

/// 128 random bits that prove a lease; never shown in logs, lists or errors.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct LeaseToken(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

impl LeaseToken {
    /// Compares in a time that does not depend on where the difference is.
    pub fn matches(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).fold(0, |acc, (a, b)| acc | (a ^ b)) == 0
    }
}

impl fmt::Debug for LeaseToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LeaseToken(..)")
    }
}

/// Which request this is, where the same one may come again: made at the edge from the caller's key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RequestId(pub [u8; 16]);

impl RequestId {
    /// The id that follows from a text alone.
    pub fn derived(source: &[u8]) -> Self {
        Self(xxh3_128(source).to_be_bytes())
    }
}

/// An action on many executions: 128 bits, of which the seventh byte is its partition.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BulkId(pub [u8; 16]);

impl BulkId {
    /// The id that follows from a text alone, so that a repeated request names the same job.
    pub fn derived(source: &[u8]) -> Self {
        let mut bytes = xxh3_128(source).to_be_bytes();
        bytes[6] %= PARTITIONS;
        Self(bytes)
    }

    /// Where it lives.
    pub fn partition(self) -> PartitionId {
        PartitionId(self.0[6])
    }
}

impl fmt::Display for BulkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bk_{}", base32().encode(&self.0))
    }
}

impl fmt::Debug for BulkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for BulkId {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let malformed =
            Malformed { expected: "the id of a bulk job: `bk_` and 26 characters of 0-9 and a-z" };
        let id = decode(text, "bk_").and_then(|b| b.try_into().ok()).map(Self).ok_or(malformed)?;
        if id.partition().0 < PARTITIONS { Ok(id) } else { Err(malformed) }
    }
}

/// Money set aside without a lease: 128 bits, of which the seventh byte is the partition of its budget's tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct HoldId(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

impl HoldId {
    /// The id that follows from a text alone, so that a repeated request names the same hold.
    pub fn derived(partition: PartitionId, source: &[u8]) -> Self {
        let mut bytes = xxh3_128(source).to_be_bytes();
        bytes[6] = partition.0;
        Self(bytes)
    }

    /// Where it lives.
    pub fn partition(self) -> PartitionId {
        PartitionId(self.0[6])
    }
}

impl fmt::Display for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hd_{}", base32().encode(&self.0))
    }
}

impl fmt::Debug for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for HoldId {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let malformed = Malformed { expected: "the id of a hold: `hd_` and 26 characters of 0-9 and a-z" };
        let id = decode(text, "hd_").and_then(|b| b.try_into().ok()).map(Self).ok_or(malformed)?;
        if id.partition().0 < PARTITIONS { Ok(id) } else { Err(malformed) }
    }
}

/// What a worker holds: which execution, which of its leases, and the proof. Its text form is opaque to clients.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct LeaseRef {
    /// The execution.
    pub execution: ExecutionId,
    /// The execution's leases counted, from 1.
    pub epoch: u32,
    /// The proof.
    pub token: LeaseToken,
}

impl fmt::Display for LeaseRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; 36];
        bytes[..16].copy_from_slice(&self.execution.0);
        bytes[16..20].copy_from_slice(&self.epoch.to_be_bytes());
        bytes[20..].copy_from_slice(&self.token.0);
        write!(f, "ls_{}", base32().encode(&bytes))
    }
}

impl FromStr for LeaseRef {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let malformed =
            Malformed { expected: "a lease as this server gave it: `ls_` and 58 characters of 0-9 and a-z" };
        let bytes = decode(text, "ls_").filter(|b| b.len() == 36).ok_or(malformed)?;
        let part = |from: usize, to: usize| bytes.get(from..to).unwrap_or_default();
        let execution = ExecutionId(part(0, 16).try_into().map_err(|_| malformed)?);
        let epoch = u32::from_be_bytes(part(16, 20).try_into().map_err(|_| malformed)?);
        let token = LeaseToken(part(20, 36).try_into().map_err(|_| malformed)?);
        if execution.partition().0 < PARTITIONS {
            Ok(Self { execution, epoch, token })
        } else {
            Err(malformed)
        }
    }
}

fn decode(text: &str, prefix: &str) -> Option<Vec<u8>> {
    base32().decode(text.strip_prefix(prefix)?.as_bytes()).ok()
}

/// Crockford's alphabet in lower case: no letter that reads like a digit.
fn base32() -> &'static Encoding {
    static BASE32: std::sync::OnceLock<Encoding> = std::sync::OnceLock::new();
    BASE32.get_or_init(|| {
        let mut spec = Specification::new();
        spec.symbols.push_str("0123456789abcdefghjkmnpqrstvwxyz");
        // The specification is constant and valid; a wrong one would fail every test of this file.
        spec.encoding().unwrap_or(data_encoding::BASE32_NOPAD)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_round_trip_and_wrong_ones_are_refused() {
        let id = ExecutionId::fresh(1_763_895_600_123, PartitionId(63), u128::MAX);
        assert_eq!(id.to_string().len(), 29);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.partition(), PartitionId(63));
        let lease = LeaseRef { execution: id, epoch: 7, token: LeaseToken([9; 16]) };
        assert_eq!(lease.to_string().parse(), Ok(lease));
        for wrong in [
            "",
            "ex_",
            "ls_0",
            "ex_zzzzzzzzzzzzzzzzzzzzzzzzzz",
            &id.to_string()[1..],
            "ex_I1111111111111111111111111",
        ] {
            assert!(wrong.parse::<ExecutionId>().is_err(), "{wrong}");
            assert!(wrong.parse::<LeaseRef>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_job_is_at_home_in_a_partition() {
        for n in 0..200_u8 {
            let id = BulkId::derived(&[n]);
            assert_eq!(id.to_string().parse(), Ok(id));
            assert!(id.partition().0 < PARTITIONS);
        }
        assert!("bk_zzzzzzzzzzzzzzzzzzzzzzzzzz".parse::<BulkId>().is_err());
    }

    #[test]
    fn a_derived_id_follows_from_its_source() {
        let id = ExecutionId::derived(PartitionId(5), b"session.1.0");
        assert_eq!(id, ExecutionId::derived(PartitionId(5), b"session.1.0"));
        assert_ne!(id, ExecutionId::derived(PartitionId(5), b"session.1.1"));
        assert_eq!(id.partition(), PartitionId(5));
    }
}
