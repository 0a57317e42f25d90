//! Loading a partition: its live records at one head, whoever writes meanwhile.

use stint_core::{Partition, PartitionId};
use stint_store::{self as store, Changes, Head, Page, StoreError};

use crate::node::Shared;

/// A partition as it stands.
pub(crate) struct Loaded {
    pub(crate) projection: Partition,
    pub(crate) head: Head,
    /// It begins a new timeline: the store may not be the one that was served before.
    pub(crate) new_timeline: bool,
}

/// Why a partition can't be served.
pub(crate) enum Trouble {
    /// The engine has ended.
    Ended,
    /// A record of it can't be read, or it is of another level.
    Unusable(String),
}

/// Loads a partition for the first time; only so many at once.
pub(crate) async fn open(id: PartitionId, shared: &Shared) -> Result<Loaded, Trouble> {
    let Ok(_permit) = shared.loads.acquire().await else { return Err(Trouble::Ended) };
    let mut loaded = load(id, shared).await?;
    // An empty one as well: what it held may be what was lost.
    loaded.new_timeline = shared.replaced;
    Ok(loaded)
}

/// Loads a partition: pages, and then what changed since the first of them.
pub(crate) async fn load(id: PartitionId, shared: &Shared) -> Result<Loaded, Trouble> {
    loop {
        let (mut projection, first, last) = pages(id, shared).await?;
        check_level(first.level.max(last.level), shared.config.level).map_err(|reason| {
            shared.elsewhere.is_at(id, last.committer);
            Trouble::Unusable(reason)
        })?;
        if first == last {
            return Ok(Loaded { projection, head: first, new_timeline: false });
        }
        let of = store::PartitionId(id.0);
        let changes = until_answered(shared, || shared.store.changes(of, first)).await?;
        if let Changes::Since { rows, head } = changes {
            for (key, value) in rows {
                projection.apply(&key, value.as_deref()).map_err(unusable)?;
            }
            check_level(head.level, shared.config.level).map_err(Trouble::Unusable)?;
            return Ok(Loaded { projection, head, new_timeline: false });
        }
    }
}

/// Whether records of this level can be read and written by a build that knows another.
pub(super) fn check_level(level: u32, known: u32) -> Result<(), String> {
    if level <= known {
        return Ok(());
    }
    Err(format!("it is at level {level}, this build knows level {known}; start a newer one"))
}

/// All pages, with the heads of the first and of the last different from it.
async fn pages(id: PartitionId, shared: &Shared) -> Result<(Partition, Head, Head), Trouble> {
    let mut projection = Partition::new(id);
    let mut heads: Option<(Head, Head)> = None;
    let mut cursor = None;
    loop {
        let of = store::PartitionId(id.0);
        let page: Page = until_answered(shared, || shared.store.load(of, cursor.clone())).await?;
        for (key, value) in &page.rows {
            projection.apply(key, Some(value)).map_err(unusable)?;
        }
        let (first, other) = *heads.get_or_insert((page.head, page.head));
        heads = Some((first, if page.head == first { other } else { page.head }));
        cursor = page.cursor;
        if cursor.is_none() {
            let (first, last) = heads.unwrap_or_default();
            return Ok((projection, first, last));
        }
        tokio::task::yield_now().await;
    }
}

fn unusable(corrupt: stint_core::Corrupt) -> Trouble {
    Trouble::Unusable(corrupt.to_string())
}

/// Asks the store until it answers.
async fn until_answered<T, F>(shared: &Shared, ask: impl Fn() -> F) -> Result<T, Trouble>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut pauses = crate::backoff::pauses();
    loop {
        if shared.has_ended() {
            return Err(Trouble::Ended);
        }
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(StoreError::Fatal(reason)) => {
                shared.fail(&reason);
                return Err(Trouble::Ended);
            }
            Err(_) => pauses.wait().await,
        }
    }
}
