//! One order from all partitions: each is read in portions, and only as far as the page needs.

use futures_util::future::try_join_all;
use stint_core::PartitionId;
use stint_core::find::Position;

use crate::CallError;

/// Rows of one partition read at once at most: few enough that whoever reads lets others go on soon.
const PORTION_MAX: usize = 1_000;

/// What a partition gives, newest first.
pub(super) trait Source: Sync {
    /// What is found at a place.
    type Row: Send;

    /// The rows below a place, of at most `most` that are looked at.
    fn read(
        &self,
        partition: PartitionId,
        before: Position,
        most: usize,
    ) -> impl Future<Output = Result<Portion<Self::Row>, CallError>> + Send;
}

/// Rows, newest first.
pub(super) struct Portion<R> {
    pub(super) rows: Vec<(Position, R)>,
    /// How many were looked at for them.
    pub(super) looked: usize,
    /// Everything from here up is looked at; `None` if there is nothing below.
    pub(super) to: Option<Position>,
}

/// The first `most` rows below a place, from as few looks as possible and no more than about `looks`.
pub(super) async fn merge<S: Source>(
    source: &S,
    before: Position,
    most: usize,
    looks: usize,
) -> Result<Portion<S::Row>, CallError> {
    let mut streams: Vec<(PartitionId, Portion<S::Row>)> = PartitionId::all()
        .map(|partition| (partition, Portion { rows: Vec::new(), looked: 0, to: Some(before) }))
        .collect();
    let mut portion = most / 32 + 8;
    let mut looked = 0;
    while looked < looks {
        let floor = floor(&streams, most);
        // Those that may hold something above what would be the page's last row.
        let behind = |to: &Option<Position>| to.is_some_and(|to| floor.is_none_or(|floor| to > floor));
        let behind: Vec<_> = streams.iter_mut().filter(|(_, stream)| behind(&stream.to)).collect();
        if behind.is_empty() {
            break;
        }
        let share = ((looks - looked) / behind.len()).clamp(1, portion);
        let reads = behind.into_iter().map(async |(partition, stream)| {
            let Some(from) = stream.to else { return Ok(0) };
            let next = source.read(*partition, from, share).await?;
            stream.rows.extend(next.rows);
            stream.to = next.to;
            Ok::<_, CallError>(next.looked)
        });
        looked += try_join_all(reads).await?.into_iter().sum::<usize>().max(1);
        portion = (portion * 4).max(most).min(PORTION_MAX);
    }
    Ok(first(streams, most, looked))
}

/// The place of the last row of a full page, as far as is known.
fn floor<R>(streams: &[(PartitionId, Portion<R>)], most: usize) -> Option<Position> {
    let mut places: Vec<Position> =
        streams.iter().flat_map(|(_, stream)| stream.rows.iter().map(|(place, _)| *place)).collect();
    let at = places.len().checked_sub(most)?;
    (most > 0 && at < places.len()).then(|| *places.select_nth_unstable(at).1)
}

/// What is certain to be first.
fn first<R>(streams: Vec<(PartitionId, Portion<R>)>, most: usize, looked: usize) -> Portion<R> {
    let frontier = streams.iter().filter_map(|(_, stream)| stream.to).max();
    let rows = streams.into_iter().flat_map(|(_, stream)| stream.rows);
    let mut rows: Vec<(Position, R)> =
        rows.filter(|(place, _)| frontier.is_none_or(|frontier| *place >= frontier)).collect();
    rows.sort_by(|(a, _), (b, _)| b.cmp(a));
    let is_more = rows.len() > most;
    rows.truncate(most);
    let to = if is_more { rows.last().map(|(place, _)| *place) } else { frontier };
    Portion { rows, looked, to }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use proptest::prelude::*;
    use stint_core::ExecutionId;

    use super::*;
    use crate::find::cursor::START;

    /// Rows by partition, newest first; odd ones are looked at and not wanted.
    struct Rows {
        rows: Vec<Vec<(Position, bool)>>,
        looked: AtomicUsize,
    }

    impl Source for Rows {
        type Row = ();

        async fn read(
            &self,
            partition: PartitionId,
            before: Position,
            most: usize,
        ) -> Result<Portion<()>, CallError> {
            let below = self.rows[usize::from(partition.0)].iter().filter(|(place, _)| *place < before);
            let looked: Vec<_> = below.clone().take(most).collect();
            self.looked.fetch_add(looked.len(), Relaxed);
            let is_more = below.count() > most;
            Ok(Portion {
                rows: looked.iter().filter(|(_, wanted)| *wanted).map(|(place, _)| (*place, ())).collect(),
                looked: looked.len(),
                to: looked.last().filter(|_| is_more).map(|(place, _)| *place),
            })
        }
    }

    fn source(places: &[(u8, i64, bool)]) -> Rows {
        let mut rows = vec![Vec::new(); 64];
        for (n, (partition, at, wanted)) in places.iter().enumerate() {
            let id = ExecutionId::fresh(0, PartitionId(*partition), n as u128);
            rows[usize::from(*partition)].push(((*at, id), *wanted));
        }
        rows.iter_mut().for_each(|rows| rows.sort_by(|a, b| b.cmp(a)));
        Rows { rows, looked: AtomicUsize::new(0) }
    }

    /// All pages, one after the other.
    fn pages(source: &Rows, most: usize, looks: usize) -> Vec<Position> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut all = Vec::new();
        let mut before = START;
        for _ in 0..10_000 {
            let page = runtime.block_on(merge(source, before, most, looks)).unwrap();
            assert!(page.rows.len() <= most);
            all.extend(page.rows.iter().map(|(place, ())| *place));
            match page.to {
                Some(to) => before = to,
                None => return all,
            }
        }
        panic!("no end");
    }

    proptest! {
        #[test]
        fn pages_are_everything_in_order(
            places in proptest::collection::vec((0..64u8, 0..50i64, any::<bool>()), 0..300),
            clustered in any::<bool>(),
            most in 1..40usize,
            looks in prop_oneof![1..100usize, Just(usize::MAX)],
        ) {
            let places: Vec<_> =
                places.iter().map(|(p, at, wanted)| (if clustered { p % 2 } else { *p }, *at, *wanted)).collect();
            let source = source(&places);
            let mut wanted: Vec<Position> =
                source.rows.iter().flatten().filter(|(_, wanted)| *wanted).map(|(place, _)| *place).collect();
            wanted.sort_by(|a, b| b.cmp(a));
            prop_assert_eq!(pages(&source, most, looks), wanted);
        }
    }

    #[test]
    fn a_page_looks_at_little_more_than_it_shows() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        // The newest thousand are all in one partition, as those of one batch are.
        let places: Vec<_> =
            (0..20_000i64).map(|n| (if n > 19_000 { 7 } else { (n % 64) as u8 }, n, true)).collect();
        let source = source(&places);
        let page = runtime.block_on(merge(&source, START, 100, usize::MAX)).unwrap();
        assert_eq!((page.rows.len(), page.to.is_some()), (100, true));
        let looked = source.looked.load(Relaxed);
        assert!(looked < 1_000, "{looked}");
    }
}
