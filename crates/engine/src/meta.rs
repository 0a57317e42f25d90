//! What the store as a whole knows: who serves it, and which store it is.
//!
//! | table | key of the meta partition | value |
//! |---|---|---|
//! | live | `n` node | [`Member`]: the node's last heartbeat |
//! | live | `i` | the store's own identity when it was last served |
//! | live | `r` | a restore that is not complete, see `backup/marker.rs` |

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use minicbor::{Decode, Encode};
use stint_core::{Millis, PARTITIONS, PartitionId};
use stint_store::{Batch, Committed, Head, META, NodeId, Store, StoreError, Table, Write};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::OpenError;
use crate::backoff::pauses;
use crate::node::Shared;
use crate::random::Randomness;

/// A heartbeat this often.
const EVERY: Duration = Duration::from_secs(2);

/// Heartbeats read the store's clock anew after this time.
const READ_CLOCK: Duration = Duration::from_secs(9);

/// A heartbeat younger than this is a live node's.
const FRESH_MS: Millis = 6_000;

/// A heartbeat that comes second to another node's is sent again at once, so often: two nodes that beat at the same
/// moments would else never both be heard.
const BEATS_MAX: u32 = 5;

/// A member that may be gone is looked at again after this time.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

pub(crate) const IDENTITY: &[u8] = b"i";

/// A node that serves the store.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Member {
    /// Its name.
    #[n(0)]
    pub(crate) name: String,
    /// Its process's start.
    #[n(1)]
    pub(crate) incarnation: u64,
    /// When it last said that it lives, by the store's clock.
    #[n(2)]
    pub(crate) at: Millis,
    /// The level it knows.
    #[n(3)]
    pub(crate) level: u32,
}

/// What was found at the start.
pub(crate) struct Found {
    /// The store says that it is another one than when it was last served: who it is now. It is kept only when every
    /// partition has begun its new timeline, since whoever comes next must know if this node does not get so far.
    pub(crate) replaced: Option<String>,
    /// The newest level that every live node knows.
    pub(crate) level: u32,
}

/// This node, as the store knows it.
#[derive(Clone, Debug)]
pub(crate) struct Myself {
    pub(crate) node: NodeId,
    pub(crate) name: String,
    pub(crate) incarnation: u64,
    pub(crate) level: u32,
    /// Whether others may serve the store too.
    pub(crate) share: bool,
}

/// The newest level that every live node was found to know. What was once agreed on stays: an older node that comes
/// later finds partitions that it is too old for.
#[derive(Debug)]
pub(crate) struct CommonLevel(AtomicU32);

impl CommonLevel {
    pub(crate) fn new(level: u32) -> Self {
        Self(AtomicU32::new(level))
    }

    pub(crate) fn get(&self) -> u32 {
        self.0.load(Relaxed)
    }

    fn agree_on(&self, level: u32) {
        let before = self.0.fetch_max(level, Relaxed);
        if before < level {
            tracing::info!(level, before, "every live node knows a newer level; partitions are raised to it");
        }
    }
}

/// Partitions that have begun a new timeline since the start, a bit for each.
#[derive(Default, Debug)]
pub(crate) struct Renewed {
    partitions: AtomicU64,
    more: Notify,
}

impl Renewed {
    pub(crate) fn add(&self, partition: PartitionId) {
        self.partitions.fetch_or(1 << partition.0, Relaxed);
        self.more.notify_one();
    }

    /// Resolves when every partition has; one task waits.
    async fn all(&self) {
        while self.partitions.load(Relaxed).count_ones() < u32::from(PARTITIONS) {
            self.more.notified().await;
        }
    }
}

/// Refuses if another node serves the store; else announces this one, and keeps the store's identity.
pub(crate) async fn enter(
    store: &Arc<dyn Store>,
    myself: &Myself,
    random: &Randomness,
    store_ms: Millis,
) -> Result<Found, OpenError> {
    let identity = store.identity().await?;
    let mut before = None;
    loop {
        let (rows, head) = rows(&**store).await?;
        if crate::backup::marker::find(&rows).is_some() {
            return Err(OpenError::Unfinished);
        }
        let store_ms = store.clock().await?.max(store_ms);
        if !store.exclusive()
            && !myself.share
            && let Some(member) = fresh_member(&rows, store_ms)?
        {
            // A node of our own name is most likely this one, killed a moment ago: it is gone unless it speaks again.
            let spoke = before.is_some_and(|before| before != (member.incarnation, member.at));
            if member.name != myself.name || spoke {
                let age_ms = (store_ms - member.at).max(0);
                return Err(OpenError::InUse { node: member.name, age_ms });
            }
            before = Some((member.incarnation, member.at));
            tokio::time::sleep(LOOK_AGAIN).await;
            continue;
        }
        let known = rows.iter().find(|(key, _)| **key == *IDENTITY).map(|(_, value)| value);
        let replaced = known.is_some_and(|known| **known != *identity.as_bytes()).then(|| identity.clone());
        let found = Found { replaced, level: common_level(&rows, myself, store_ms) };
        let mut writes = Vec::new();
        if known.is_none() {
            writes.push(identified(&identity));
        }
        if !store.exclusive() {
            writes.push(heartbeat(myself, store_ms));
        }
        if found.replaced.is_some() {
            match known.and_then(|known| crate::backup::marker::restored_from(known)) {
                Some(backup) => tracing::info!(backup, "first start after a restore: new timelines begin"),
                None => tracing::error!(
                    identity,
                    "the store is not the one that was served before; new timelines begin"
                ),
            }
        }
        if writes.is_empty() {
            return Ok(found);
        }
        match commit(&**store, myself, random, head, store_ms, writes).await? {
            Committed::Yes(_) => return Ok(found),
            // Somebody else entered at the same moment: look again.
            Committed::Conflict(_) | Committed::Present(_) => {}
        }
    }
}

/// Notes which store this is, once every partition has begun its new timeline.
pub(crate) async fn keep_identity(shared: Arc<Shared>, identity: String) {
    let keep = async {
        shared.renewed.all().await;
        let (store, myself) = (&*shared.store, &shared.myself);
        let mut pauses = pauses();
        loop {
            let kept = async {
                let head = store.get(META, Vec::new()).await?.head;
                let writes = vec![identified(&identity)];
                commit(store, myself, &shared.random, head, head.now_ms, writes).await
            };
            match kept.await {
                Ok(Committed::Yes(_)) | Err(StoreError::Fatal(_)) => return,
                Ok(_) | Err(_) => pauses.wait().await,
            }
        }
    };
    tokio::select! {
        biased;
        () = shared.end() => {}
        () = keep => {}
    }
}

fn identified(identity: &str) -> Write {
    let (key, value) = (Bytes::from_static(IDENTITY), Bytes::from(identity.to_owned()));
    Write { table: Table::Live, key, value: Some(value) }
}

/// Says every two seconds that this node lives, where others could serve the store as well.
pub(crate) async fn keep_alive(shared: Arc<Shared>) {
    let mut head = None;
    let mut read: Option<(Millis, Instant)> = None;
    loop {
        tokio::select! {
            biased;
            () = shared.end() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        match beat(&shared, &mut head, &mut read).await {
            Ok(()) => shared.beaten(),
            Err(error) => {
                tracing::warn!(%error, "no heartbeat: the store does not answer");
                (head, read) = (None, None);
            }
        }
    }
}

/// One heartbeat: a single commit, with the store's clock as it was read lately and has gone on since.
async fn beat(
    shared: &Shared,
    head: &mut Option<Head>,
    read: &mut Option<(Millis, Instant)>,
) -> Result<(), StoreError> {
    let myself = &shared.myself;
    let store_ms = match *read {
        Some((ms, at)) if at.elapsed() < READ_CLOCK => ms.saturating_add(at.elapsed().as_millis() as Millis),
        _ => {
            let ms = shared.store.clock().await?;
            shared.clock.follow(ms);
            *read = Some((ms, Instant::now()));
            ms
        }
    };
    let mut expected = match *head {
        // An older node was alive when this one last looked.
        _ if shared.level.get() < myself.level => {
            let (rows, head) = rows(&*shared.store).await?;
            shared.level.agree_on(common_level(&rows, myself, store_ms));
            head
        }
        Some(head) => head,
        None => shared.store.get(META, Vec::new()).await?.head,
    };
    for _ in 0..BEATS_MAX {
        let writes = vec![heartbeat(myself, store_ms)];
        match commit(&*shared.store, myself, &shared.random, expected, store_ms, writes).await? {
            Committed::Yes(committed) => {
                *head = Some(committed);
                return Ok(());
            }
            Committed::Conflict(other) => expected = other,
            Committed::Present(_) => break,
        }
    }
    *head = None;
    Ok(())
}

/// Takes this node's heartbeat away, so that the next one need not wait.
pub(crate) async fn leave(shared: &Shared) -> Result<(), StoreError> {
    let (store, myself) = (&*shared.store, &shared.myself);
    if store.exclusive() {
        return Ok(());
    }
    for _ in 0..3 {
        let head = store.get(META, Vec::new()).await?.head;
        let writes = vec![Write { table: Table::Live, key: member_key(myself.node), value: None }];
        if let Committed::Yes(_) = commit(store, myself, &shared.random, head, head.now_ms, writes).await? {
            return Ok(());
        }
    }
    Ok(())
}

/// A member whose last heartbeat is young.
fn fresh_member(rows: &[(Bytes, Bytes)], store_ms: Millis) -> Result<Option<Member>, OpenError> {
    for (_, value) in rows.iter().filter(|(key, _)| key.first() == Some(&b'n')) {
        let member: Member = minicbor::decode(value).map_err(|e| OpenError::Corrupt(e.to_string()))?;
        if store_ms - member.at < FRESH_MS {
            return Ok(Some(member));
        }
    }
    Ok(None)
}

/// The newest level that every live node knows, this one included. Who can't be understood agrees to nothing newer.
fn common_level(rows: &[(Bytes, Bytes)], myself: &Myself, store_ms: Millis) -> u32 {
    let myself_at = member_key(myself.node);
    let others = rows.iter().filter(|(key, _)| key.first() == Some(&b'n') && *key != myself_at);
    let levels = others.filter_map(|(_, value)| match minicbor::decode::<Member>(value) {
        Ok(member) => (store_ms.saturating_sub(member.at) < FRESH_MS).then_some(member.level),
        Err(_) => Some(0),
    });
    levels.fold(myself.level, u32::min)
}

fn heartbeat(myself: &Myself, at: Millis) -> Write {
    let member =
        Member { name: myself.name.clone(), incarnation: myself.incarnation, at, level: myself.level };
    let mut value = Vec::with_capacity(64);
    // Writing to a Vec can't fail.
    _ = minicbor::encode(&member, &mut value);
    Write { table: Table::Live, key: member_key(myself.node), value: Some(value.into()) }
}

fn member_key(node: NodeId) -> Bytes {
    let mut key = vec![b'n'];
    key.extend_from_slice(&node.0.to_be_bytes());
    key.into()
}

/// Every node that has left a heartbeat.
pub(crate) async fn members(store: &dyn Store) -> Result<Vec<Member>, StoreError> {
    let (rows, _) = rows(store).await?;
    let heartbeats = rows.iter().filter(|(key, _)| key.first() == Some(&b'n'));
    // One that can't be read is a newer build's.
    Ok(heartbeats.filter_map(|(_, value)| minicbor::decode(value).ok()).collect())
}

/// All rows of the meta partition, which is small, at one head.
async fn rows(store: &dyn Store) -> Result<(Vec<(Bytes, Bytes)>, Head), StoreError> {
    'again: loop {
        let mut rows = Vec::new();
        let mut head = None;
        let mut cursor = None;
        loop {
            let page = store.load(META, cursor).await?;
            if *head.get_or_insert(page.head) != page.head {
                continue 'again;
            }
            rows.extend(page.rows);
            cursor = page.cursor;
            if cursor.is_none() {
                return Ok((rows, head.unwrap_or_default()));
            }
        }
    }
}

/// Commits to the meta partition, as often as it takes to know how it ended.
async fn commit(
    store: &dyn Store,
    myself: &Myself,
    random: &Randomness,
    expected: Head,
    now: Millis,
    writes: Vec<Write>,
) -> Result<Committed, StoreError> {
    let next = Head {
        timeline: expected.timeline,
        version: expected.version + 1,
        nonce: random.number(),
        committer: myself.node,
        now_ms: now.max(expected.now_ms),
        level: expected.level.max(1),
    };
    let batch = Arc::new(Batch { next, incarnation: myself.incarnation, writes, absent: Vec::new() });
    let mut pauses = pauses();
    loop {
        match store.commit(META, expected, batch.clone()).await {
            Err(StoreError::Unknown(_)) => pauses.wait().await,
            settled => return settled,
        }
    }
}
