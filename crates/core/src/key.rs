//! Keys of every record: one byte that says what it is, then what it is about. Integers are big-endian, so that
//! byte order is number order.
//!
//! | table | key | record |
//! |---|---|---|
//! | live | `x` id | an open [`Execution`](crate::model::Execution) |
//! | live | `l` namespace 0 lane | this partition's copy of a lane's settings |
//! | live | `h` namespace 0 lane | a lane's settings at their home |
//! | live | `b` job | an action on many executions: a [`BulkJob`](crate::model::BulkJob) |
//! | live | `o` peer, sequence | a message on its way to another partition |
//! | live | `s` peer | where the chain to a peer stands |
//! | live | `r` peer | where the chain from a peer stands |
//! | live | `d` namespace 0 path | a [`Budget`](crate::model::Budget) |
//! | live | `c` namespace 0 path | what it has used: [`Counters`](crate::model::Counters) |
//! | live | `k` key | money set aside: a [`Hold`](crate::model::Hold) |
//! | live | `w` key | an [`Ask`](crate::model::Ask) that waits for money |
//! | live | `e` namespace 0 path 0 kind | what attempts of a kind have cost: an [`Estimate`](crate::model::Estimate) |
//! | live | `t` namespace 0 tree | where a tree's ledger stands |
//! | live | `u` namespace 0 tree | how far it is rolled up and trimmed: a [`LedgerMark`](crate::model::LedgerMark) |
//! | live | `p` namespace | this partition's copy of the price table |
//! | live | `q` namespace | the price table at its home |
//! | live | `n` namespace | this partition's copy of a namespace's settings |
//! | live | `m` namespace | a namespace's settings at their home |
//! | cold | `s` id | [`Spec`](crate::model::Spec): what was submitted, input up to 1 KiB included |
//! | cold | `i` id, `u` id | an input or output above 1 KiB |
//! | cold | `a` id | the archive record: an execution that has ended |
//! | cold | `t` id, attempt | an attempt that was not the last |
//! | cold | `k` hash of namespace and key | an idempotency key |
//! | cold | `c` hash of namespace, tree and charge id | a charge's id |
//! | cold | `h` id | a hold without a lease that has ended: an [`EndedHold`](crate::model::EndedHold) |
//! | cold | `e` id, epoch | an earlier lease of an execution that names budgets |
//! | ordered | `c` id, hash of charge id | a charge under one of its leases |
//! | ordered | `j` hash of namespace and tree, number | an entry of a tree's ledger |
//! | ordered | `h` hash of namespace and tree, hour, hash | what entries of an hour come to: a [`RollUp`](crate::model::RollUp) |
//! | ordered | `d` hash of namespace and tree, day, hash | the same of a day that is past the ledger's retention |
//! | ordered | `k` hash of namespace and tree, path | what a level counts of trimmed entries: [`Carried`](crate::model::Carried) |
//! | ordered | `p` id, step key | a journaled step |
//! | ordered | `l` id, number | lines of an execution's log |
//! | ordered | `e` end, id | ended executions by time, each with a [`Mark`](crate::find::Mark) |
//! | ordered | `f` trim time, id | those with a retention of their own |
//! | ordered | `y` trim time, hash or id | idempotency keys and ids that outlived their execution, and ended holds |
//! | ordered | `t` hash of namespace and tag, submission, id | executions by tag |
//! | ordered | `g` version | the log: a batch's events |

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_128;

use crate::ids::{BulkId, ExecutionId, HoldId, PartitionId};
use crate::model::{HoldKey, PermitKey};

/// Which of a store's tables a key belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Table {
    /// Open work: projected in memory.
    Live,
    /// Read by exact key only.
    Cold,
    /// Also read by range.
    Ordered,
}

/// A table and a key in it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key {
    /// The table.
    pub table: Table,
    /// The key's bytes.
    pub bytes: Bytes,
}

/// Length of an idempotency key's or a tag's hash.
pub type NameHash = [u8; 16];

/// Hash of a name within a namespace; the separator can't stand in a namespace.
pub fn name_hash(namespace: &str, name: &str) -> NameHash {
    let mut bytes = Vec::with_capacity(namespace.len() + name.len() + 1);
    bytes.extend_from_slice(namespace.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(name.as_bytes());
    xxh3_128(&bytes).to_be_bytes()
}

/// Most keys are at most this long.
const SHORT: usize = 40;

/// A key that lies in the allocation that counts its owners: keys are cloned more often than made.
struct Short {
    bytes: [u8; SHORT],
    length: usize,
}

impl AsRef<[u8]> for Short {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

fn key(table: Table, kind: u8, parts: &[&[u8]]) -> Key {
    let pieces = || std::iter::once(&kind).chain(parts.iter().copied().flatten());
    let length = 1 + parts.iter().map(|part| part.len()).sum::<usize>();
    if length > SHORT {
        return Key { table, bytes: pieces().copied().collect() };
    }
    let mut bytes = [0; SHORT];
    for (to, from) in bytes.iter_mut().zip(pieces()) {
        *to = *from;
    }
    Key { table, bytes: Bytes::from_owner(Short { bytes, length }) }
}

/// An open execution.
pub fn execution(id: ExecutionId) -> Key {
    key(Table::Live, b'x', &[&id.0])
}
/// A lane's settings as this partition knows them.
pub fn lane(namespace: &str, lane: &str) -> Key {
    key(Table::Live, b'l', &[namespace.as_bytes(), &[0], lane.as_bytes()])
}
/// A lane's settings at home.
pub fn lane_home(namespace: &str, lane: &str) -> Key {
    key(Table::Live, b'h', &[namespace.as_bytes(), &[0], lane.as_bytes()])
}
/// Namespace and lane of a key of lane settings: `kind` is the first byte of [`lane`] or [`lane_home`].
pub(crate) fn lane_name(kind: u8, key: &[u8]) -> Option<(&str, &str)> {
    let (first, name) = key.split_first()?;
    if *first == kind { std::str::from_utf8(name).ok()?.split_once('\0') } else { None }
}
/// An action on many executions.
pub fn bulk(id: BulkId) -> Key {
    key(Table::Live, b'b', &[&id.0])
}
/// A message to `peer`.
pub fn outgoing(peer: PartitionId, sequence: u64) -> Key {
    key(Table::Live, b'o', &[&[peer.0], &sequence.to_be_bytes()])
}
/// Where the chain to `peer` stands.
pub fn chain_to(peer: PartitionId) -> Key {
    key(Table::Live, b's', &[&[peer.0]])
}
/// Where the chain from `peer` stands.
pub fn chain_from(peer: PartitionId) -> Key {
    key(Table::Live, b'r', &[&[peer.0]])
}
/// A budget.
pub fn budget(namespace: &str, path: &str) -> Key {
    named(b'd', namespace, path)
}
/// What a budget has used.
pub fn counters(namespace: &str, path: &str) -> Key {
    named(b'c', namespace, path)
}
/// Where a tree's ledger stands.
pub fn tree(namespace: &str, tree: &str) -> Key {
    named(b't', namespace, tree)
}
/// How far a tree's ledger is rolled up and trimmed.
pub fn ledger_mark(namespace: &str, tree: &str) -> Key {
    named(b'u', namespace, tree)
}
/// What attempts of a kind have cost under a path.
pub fn estimate(namespace: &str, path: &str, kind: &str) -> Key {
    key(Table::Live, b'e', &[namespace.as_bytes(), &[0], path.as_bytes(), &[0], kind.as_bytes()])
}
/// The price table as this partition knows it.
pub fn prices(namespace: &str) -> Key {
    key(Table::Live, b'p', &[namespace.as_bytes()])
}
/// The price table at its home.
pub fn prices_home(namespace: &str) -> Key {
    key(Table::Live, b'q', &[namespace.as_bytes()])
}
/// A namespace's settings as this partition knows them.
pub fn namespace(namespace: &str) -> Key {
    key(Table::Live, b'n', &[namespace.as_bytes()])
}
/// A namespace's settings at their home.
pub fn namespace_home(namespace: &str) -> Key {
    key(Table::Live, b'm', &[namespace.as_bytes()])
}
fn named(kind: u8, namespace: &str, name: &str) -> Key {
    key(Table::Live, kind, &[namespace.as_bytes(), &[0], name.as_bytes()])
}
/// Namespace and path of a key of [`budget`], [`counters`], [`tree`] or [`ledger_mark`]: of the kind `kind`.
pub(crate) fn path_name(kind: u8, key: &[u8]) -> Option<(&str, &str)> {
    lane_name(kind, key)
}
/// Money set aside.
pub fn hold(at: &HoldKey) -> Key {
    match at {
        HoldKey::Permit(permit) => key(Table::Live, b'k', &[&[0], &permit_bytes(permit)]),
        HoldKey::Free(id) => key(Table::Live, b'k', &[&[1], &id.0]),
    }
}
/// Who waits for money.
pub fn waiter(permit: &PermitKey) -> Key {
    key(Table::Live, b'w', &[&permit_bytes(permit)])
}
fn permit_bytes(permit: &PermitKey) -> [u8; 21] {
    let mut bytes = [0; 21];
    bytes[..16].copy_from_slice(&permit.execution.0);
    bytes[16..20].copy_from_slice(&permit.ask.to_be_bytes());
    bytes[20] = permit.n;
    bytes
}
/// The permit of a key of [`waiter`].
pub fn read_waiter(key: &[u8]) -> Option<PermitKey> {
    read_permit(key.strip_prefix(b"w")?)
}
/// Whose hold a key of [`hold`] is about.
pub fn read_hold(key: &[u8]) -> Option<HoldKey> {
    match key.strip_prefix(b"k")?.split_first()? {
        (0, permit) => read_permit(permit).map(HoldKey::Permit),
        (1, id) => id.try_into().ok().map(|id| HoldKey::Free(HoldId(id))),
        _ => None,
    }
}
fn read_permit(bytes: &[u8]) -> Option<PermitKey> {
    let (id, rest) = bytes.split_first_chunk::<16>()?;
    let (ask, rest) = rest.split_first_chunk::<4>()?;
    let &[n] = rest else { return None };
    Some(PermitKey { execution: ExecutionId(*id), ask: u32::from_be_bytes(*ask), n })
}
/// A charge's id within a tree.
pub fn charge(namespace: &str, tree: &str, id: &str) -> Key {
    key(Table::Cold, b'c', &[&name_hash(namespace, &format!("{tree}\0{id}"))])
}
/// A charge of an execution under an id that stands for another charge of the tree.
pub fn charge_aside(namespace: &str, tree: &str, id: &str, execution: ExecutionId) -> Key {
    key(Table::Cold, b'c', &[&name_hash(namespace, &format!("{tree}\0{id}")), &execution.0])
}
/// A hold without a lease that has ended.
pub fn ended_hold(id: HoldId) -> Key {
    key(Table::Cold, b'h', &[&id.0])
}
/// An earlier lease of an execution that names budgets.
pub fn epoch(id: ExecutionId, epoch: u32) -> Key {
    key(Table::Cold, b'e', &[&id.0, &epoch.to_be_bytes()])
}
/// A charge under one of an execution's leases.
pub fn lease_charge(id: ExecutionId, charge: &str) -> Key {
    key(Table::Ordered, b'c', &[&id.0, &xxh3_128(charge.as_bytes()).to_be_bytes()])
}
/// What all charges of an execution begin with.
pub fn lease_charges(id: ExecutionId) -> Key {
    key(Table::Ordered, b'c', &[&id.0])
}
/// An entry of a tree's ledger.
pub fn entry(namespace: &str, tree: &str, seq: u64) -> Key {
    key(Table::Ordered, b'j', &[&name_hash(namespace, tree), &seq.to_be_bytes()])
}
/// What all entries of a tree's ledger begin with.
pub fn ledger(namespace: &str, tree: &str) -> Key {
    key(Table::Ordered, b'j', &[&name_hash(namespace, tree)])
}
/// The number of an entry of a key of [`entry`].
pub fn read_entry(key: &[u8]) -> Option<u64> {
    key.strip_prefix(b"j")?.get(16..)?.try_into().ok().map(u64::from_be_bytes)
}
/// What some entries of an hour come to.
pub fn hour_roll_up(namespace: &str, tree: &str, hour: i64, of: &[u8; 16]) -> Key {
    key(Table::Ordered, b'h', &[&name_hash(namespace, tree), &hour.to_be_bytes(), of])
}
/// What all roll-ups of an hour and of those after it are behind.
pub fn hour_roll_ups(namespace: &str, tree: &str, hour: i64) -> Key {
    key(Table::Ordered, b'h', &[&name_hash(namespace, tree), &hour.to_be_bytes()])
}
/// What some entries of a day come to.
pub fn day_roll_up(namespace: &str, tree: &str, day: i64, of: &[u8; 16]) -> Key {
    key(Table::Ordered, b'd', &[&name_hash(namespace, tree), &day.to_be_bytes(), of])
}
/// What all roll-ups of a day and of those after it are behind.
pub fn day_roll_ups(namespace: &str, tree: &str, day: i64) -> Key {
    key(Table::Ordered, b'd', &[&name_hash(namespace, tree), &day.to_be_bytes()])
}
/// When the hour or day of a key of [`hour_roll_up`] or [`day_roll_up`] began.
pub fn read_roll_up(key: &[u8]) -> Option<i64> {
    let (b'h' | b'd', rest) = key.split_first()? else { return None };
    Some(i64::from_be_bytes(*rest.get(16..)?.first_chunk()?))
}
/// What a level counts of trimmed entries.
pub fn carried(namespace: &str, tree: &str, path: &str) -> Key {
    key(Table::Ordered, b'k', &[&name_hash(namespace, tree), path.as_bytes()])
}
/// What all of them begin with, in a tree.
pub fn all_carried(namespace: &str, tree: &str) -> Key {
    key(Table::Ordered, b'k', &[&name_hash(namespace, tree)])
}
/// The path of a key of [`carried`].
pub fn read_carried(key: &[u8]) -> Option<&str> {
    std::str::from_utf8(key.strip_prefix(b"k")?.get(16..)?).ok()
}
/// What was submitted.
pub fn spec(id: ExecutionId) -> Key {
    key(Table::Cold, b's', &[&id.0])
}
/// An input above 1 KiB.
pub fn input(id: ExecutionId) -> Key {
    key(Table::Cold, b'i', &[&id.0])
}
/// An output above 1 KiB.
pub fn output(id: ExecutionId) -> Key {
    key(Table::Cold, b'u', &[&id.0])
}
/// An execution that has ended.
pub fn archive(id: ExecutionId) -> Key {
    key(Table::Cold, b'a', &[&id.0])
}
/// An attempt that was not the last.
pub fn attempt(id: ExecutionId, attempt: u32) -> Key {
    key(Table::Cold, b't', &[&id.0, &attempt.to_be_bytes()])
}
/// An idempotency key.
pub fn idempotency(hash: NameHash) -> Key {
    key(Table::Cold, b'k', &[&hash])
}
/// A journaled step.
pub fn step(id: ExecutionId, step: &str) -> Key {
    key(Table::Ordered, b'p', &[&id.0, step.as_bytes()])
}
/// What all steps of an execution begin with.
pub fn steps(id: ExecutionId) -> Key {
    key(Table::Ordered, b'p', &[&id.0])
}
/// The lines of one call to an execution's log.
pub fn log_lines(id: ExecutionId, record: u32) -> Key {
    key(Table::Ordered, b'l', &[&id.0, &record.to_be_bytes()])
}
/// An ended execution by time.
pub fn ended(at: i64, id: ExecutionId) -> Key {
    key(Table::Ordered, b'e', &[&at.to_be_bytes(), &id.0])
}
/// End and id of a key of [`ended`].
pub fn read_ended(key: &[u8]) -> Option<(i64, ExecutionId)> {
    place(key.strip_prefix(b"e")?)
}
/// An ended execution by its own trim time.
pub fn trim(at: i64, id: ExecutionId) -> Key {
    key(Table::Ordered, b'f', &[&at.to_be_bytes(), &id.0])
}
/// An idempotency key by the time it may be forgotten.
pub fn key_trim(at: i64, hash: NameHash) -> Key {
    key(Table::Ordered, b'y', &[&at.to_be_bytes(), &hash])
}
/// Hash of a tag and its value within a namespace.
pub fn tag_hash(namespace: &str, tag: &str, value: &str) -> NameHash {
    name_hash(namespace, &format!("{tag}\0{value}"))
}
/// An execution by tag.
pub fn tag(hash: NameHash, submitted_at: i64, id: ExecutionId) -> Key {
    key(Table::Ordered, b't', &[&hash, &submitted_at.to_be_bytes(), &id.0])
}
/// Submission and id of a key of [`tag`].
pub fn read_tag(key: &[u8]) -> Option<(i64, ExecutionId)> {
    place(key.strip_prefix(b"t")?.get(16..)?)
}

fn place(bytes: &[u8]) -> Option<(i64, ExecutionId)> {
    let (at, id) = bytes.split_first_chunk::<8>()?;
    Some((i64::from_be_bytes(*at), ExecutionId(id.try_into().ok()?)))
}

/// A batch's events.
pub fn log(version: u64) -> Key {
    key(Table::Ordered, b'g', &[&version.to_be_bytes()])
}
