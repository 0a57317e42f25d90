//! What was spent in a tree, for reports: roll-ups of what is over, entries of what is not rolled up yet, and entries of
//! those hours that a report looks into.

use std::collections::{BTreeMap, VecDeque};

use stint_api::{Code, Problem};
use stint_core::command::budget_home;
use stint_core::model::{Entry, LedgerMark, RollUp, day, hour, is_under, tree};
use stint_core::{Key, Millis, PartitionId, key};
use stint_store as store;

use super::Inner;
use super::ledger::Walk;
use crate::CallError;
use crate::edge::problem::problem;

/// Roll-ups of one read.
const ROWS: usize = 1_000;

/// Something that was spent: when, or when the hour or day began, and what.
pub(super) type Piece = (Millis, RollUp);

/// Where the reading is.
pub(super) struct Pieces {
    namespace: String,
    path: String,
    /// It, or a path above it: all that is below this one is read.
    top: String,
    home: PartitionId,
    mark: LedgerMark,
    /// What was spent before is not asked for.
    lowest: Millis,
    /// Hours that are asked for in part, with their first and last entry as far as they are known.
    parted: BTreeMap<Millis, Option<(u64, u64)>>,
    /// Ranges of roll-ups that are still to be read.
    ranges: VecDeque<store::Range>,
    /// Entries that are read now, and of which hour if only of one.
    walk: Option<Walk>,
    part: Option<Millis>,
    /// All that is not rolled up has been asked for.
    is_last: bool,
    /// Some of it is known by days only.
    has_days: bool,
}

impl Inner {
    /// Begins to read what was spent since `lowest` at `top`, which is a path or above it, and below. At the instants `edges`
    /// something asked for begins or ends: there it is exact, as far as the ledger is kept, and else to the day.
    pub(super) async fn pieces(
        &self,
        namespace: &str,
        path: &str,
        top: &str,
        lowest: Millis,
        edges: &[Millis],
    ) -> Result<Pieces, Problem> {
        let home = budget_home(namespace, path);
        let mark = self.mark(namespace, path).await?;
        let tree = tree(path);
        let lowest = lowest.max(0);
        let within = |edge: &Millis| *edge >= mark.folded.max(lowest) && *edge < mark.until;
        let parted = edges.iter().filter(|edge| within(edge) && hour(**edge) != **edge);
        let range =
            |from: Key, to: Key| store::Range { from: from.bytes, to: to.bytes, reverse: false, limit: ROWS };
        let days = range(
            key::day_roll_ups(namespace, tree, day(lowest)),
            key::day_roll_ups(namespace, tree, mark.folded),
        );
        let hours = range(
            key::hour_roll_ups(namespace, tree, hour(lowest).max(mark.folded)),
            key::hour_roll_ups(namespace, tree, mark.until),
        );
        Ok(Pieces {
            namespace: namespace.to_owned(),
            path: path.to_owned(),
            top: top.to_owned(),
            home,
            lowest,
            parted: parted.map(|edge| (hour(*edge), None)).collect(),
            ranges: [days, hours].into_iter().filter(|range| range.from < range.to).collect(),
            mark,
            walk: None,
            part: None,
            is_last: false,
            has_days: false,
        })
    }

    /// How far the ledger of a path's tree is rolled up and trimmed.
    pub(super) async fn mark(&self, namespace: &str, path: &str) -> Result<LedgerMark, Problem> {
        let (of, root) = (namespace.to_owned(), tree(path).to_owned());
        let mark =
            self.node.look(budget_home(namespace, path), move |partition| partition.ledger_mark(&of, &root));
        mark.await.map_err(problem)
    }
}

impl Pieces {
    /// The next pieces; none at the end.
    pub(super) async fn next(&mut self, inner: &Inner) -> Result<Option<Vec<Piece>>, Problem> {
        if let Some(range) = self.ranges.pop_front() {
            return self.roll_ups(inner, range).await.map(Some);
        }
        loop {
            if let Some(walk) = &mut self.walk {
                match inner.next(walk).await? {
                    Some(entries) => return Ok(Some(self.entries(entries))),
                    None => self.walk = None,
                }
            }
            match self.parted.pop_first() {
                Some((_, None)) => {}
                Some((hour, Some((first, last)))) => {
                    self.part = Some(hour);
                    let from = first.saturating_sub(1);
                    self.walk =
                        Some(inner.walk_between(&self.namespace, &self.path, from, Some(last), false));
                }
                None if self.is_last => return Ok(None),
                None => {
                    (self.is_last, self.part) = (true, None);
                    let from = self.mark.until_seq;
                    self.walk = Some(inner.walk_between(&self.namespace, &self.path, from, None, true));
                }
            }
        }
    }

    /// Whether what was read is of one time: else hours became days meanwhile, and all has to be read again.
    pub(super) async fn hold(&self, inner: &Inner) -> Result<bool, Problem> {
        Ok(inner.mark(&self.namespace, &self.path).await?.folded == self.mark.folded)
    }

    /// Since when more than days is known, if something older was read.
    pub(super) fn detailed_since(&self) -> Option<Millis> {
        self.has_days.then_some(self.mark.folded)
    }

    async fn roll_ups(&mut self, inner: &Inner, range: store::Range) -> Result<Vec<Piece>, Problem> {
        tokio::task::yield_now().await;
        let page = inner.node.shared().store.range(store::PartitionId(self.home.0), range.clone()).await;
        let page = page.map_err(|error| problem(CallError::Store(error.to_string())))?;
        if let Some(from) = page.cursor {
            self.ranges.push_front(store::Range { from, ..range });
        }
        let mut pieces = Vec::new();
        for (row, value) in page.rows {
            let at = key::read_roll_up(&row).unwrap_or_default();
            let rolled: RollUp = minicbor::decode(&value).map_err(|error| {
                tracing::error!(tree = tree(&self.path), %error, "a roll-up can't be read");
                Problem::new(Code::Internal, "a roll-up of the ledger can't be read")
            })?;
            if !is_under(&rolled.of.path, &self.top) {
                continue;
            }
            self.has_days |= at < self.mark.folded && is_under(&rolled.of.path, &self.path);
            match self.parted.get_mut(&at).filter(|_| at >= self.mark.folded) {
                Some(known) => {
                    let (first, last) = known.unwrap_or((rolled.first, rolled.last));
                    *known = Some((first.min(rolled.first), last.max(rolled.last)));
                }
                None => pieces.push((at, rolled)),
            }
        }
        Ok(pieces)
    }

    /// Entries as pieces. Of those that are not rolled up the newest come first, and what is older than all that is asked
    /// for need not be read.
    fn entries(&mut self, entries: Vec<(u64, Entry)>) -> Vec<Piece> {
        if self.is_last && entries.last().is_some_and(|(_, entry)| entry.at < self.lowest) {
            self.walk = None;
        }
        let is_meant = |entry: &Entry| self.part.is_none_or(|part| hour(entry.at) == part);
        let own = entries.into_iter();
        let own = own.filter(|(_, entry)| is_meant(entry) && is_under(&entry.path, &self.top));
        own.filter_map(|(seq, entry)| Some((entry.at, RollUp::of(seq, &entry)?))).collect()
    }
}
