//! Claims of the hub: reservations are filled in the batch that makes their work ready, and what a lease carries is read
//! beside the commit.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use stint_core::command::{Grant, Outcome, Release, Submit};
use stint_core::model::{Spec, StepRecord};
use stint_core::{Command, ExecutionId, Key, LeaseRef, Millis, key};
use stint_store as store;

use super::batch::InFlight;
use super::job::{Job, Message, Ran, To};
use super::{Actor, Errand, table};
use crate::hub::{Change, ClaimId, GrantedLease, Hub, Reservation};

/// Bytes of journaled results that a lease carries; a worker asks for the rest step by step.
const JOURNAL_BYTES_MAX: usize = 256 << 10;

/// A slot waits so long for the permits of the work that it is meant for.
const ANSWERS: Duration = Duration::from_millis(100);

/// Leases of one batch, read for.
pub(super) struct Carried {
    batch: u64,
    leases: Vec<(ClaimId, Vec<GrantedLease>)>,
    /// Leases that find no room in their claim's answer: nothing was read for them.
    beyond: Vec<(ClaimId, LeaseRef)>,
    /// Leases whose submission can't be found.
    broken: Vec<Grant>,
}

impl Actor {
    /// Runs a claim for slots that the hub reserved, when there is room.
    pub(super) fn fill(&mut self, reservation: Reservation) {
        // What a claim was given before is in no store's way.
        if self.rest.is_some() && reservation.until > Millis::MIN {
            return self.unfilled.push((reservation.claim, reservation.max));
        }
        if !self.open.has_room() {
            return self.inbox.push(Message::Serve(reservation));
        }
        self.asked_groups.extend(reservation.groups.iter().cloned());
        let to = To::Claim(reservation.claim, reservation.max);
        self.accept(Job::run(reservation.command(), to));
    }

    /// Tells the hub all that is ready: what it knew of this partition is void.
    pub(super) fn restate(&mut self) {
        let ready = if self.rest.is_none() { self.projection.ready().collect() } else { Vec::new() };
        for reservation in self.shared.hub.restate(self.id, ready) {
            self.fill(reservation);
        }
    }

    /// Notes what new work prefers: its record is cold, so this is the moment to know it.
    pub(super) fn note_preferences(&mut self, submit: &Submit) {
        for item in submit.items.iter().filter(|item| !item.prefer.is_empty()) {
            if let Some(execution) = self.projection.execution(item.id) {
                self.preferred.push((execution.group.clone(), item.prefer.clone()));
            }
        }
    }

    /// Tells the hub how groups stand after commands ran, and runs what it reserves, until nothing more changes.
    pub(super) fn serve_ready(&mut self) {
        if self.rest.is_some() {
            return self.offer_nothing();
        }
        loop {
            self.free_asking();
            let mut groups = self.open.txn.take_ready();
            if !self.asked_groups.is_empty() {
                groups.append(&mut self.asked_groups);
                groups.sort();
                groups.dedup();
            }
            let changes: Vec<Change> = groups
                .into_iter()
                .map(|group| {
                    // What no claim starts is not offered: it would be offered again at once, without end.
                    let ready = self.projection.startable_in(&group, self.now);
                    let prefer = self.preferred.iter().rfind(|(of, _)| *of == group);
                    let prefer = prefer.map(|(_, prefer)| prefer.clone()).unwrap_or_default();
                    Change { group, ready, prefer }
                })
                .collect();
            self.preferred.clear();
            let reservations = self.shared.hub.offer(self.id, &changes);
            for claim in self.answered.drain(..) {
                self.shared.hub.answered(claim, 1);
            }
            for (claim, slots) in self.unfilled.drain(..) {
                self.shared.hub.unused(claim, slots);
            }
            if reservations.is_empty() && self.asked_groups.is_empty() {
                return;
            }
            reservations.into_iter().for_each(|reservation| self.fill(reservation));
        }
    }

    /// Slots whose executions have their answers are free: what was admitted has been offered by then.
    fn free_asking(&mut self) {
        let (projection, answered) = (&self.projection, &mut self.answered);
        self.asking.retain(|(id, claim)| {
            let execution = projection.execution(*id);
            let asks = execution.is_some_and(stint_core::model::Execution::asks);
            if !asks {
                answered.push(*claim);
            }
            asks
        });
    }

    /// Notes whose permits a claim has asked for: its slots wait for the answers, for a moment.
    pub(super) fn note_asking(&mut self, claim: ClaimId, asked: &[ExecutionId]) {
        if asked.is_empty() {
            return;
        }
        self.shared.hub.asks(claim, asked.len());
        self.asking.extend(asked.iter().map(|id| (*id, claim)));
        let asked = asked.to_vec();
        self.errands.push(Box::pin(async move {
            tokio::time::sleep(ANSWERS).await;
            Errand::Unasked(claim, asked)
        }));
    }

    /// The answers take too long: the slots are for other work.
    pub(super) fn unasked(&mut self, claim: ClaimId, asked: &[ExecutionId]) {
        let (asking, answered) = (&mut self.asking, &mut self.answered);
        asking.retain(|(id, of)| {
            let late = *of == claim && asked.contains(id);
            if late {
                answered.push(claim);
            }
            !late
        });
    }

    /// Collects what the leases of the batch in flight carry; what isn't at hand is read beside the commit.
    pub(super) fn begin_to_carry(&mut self) {
        let Some(flight) = &self.in_flight else { return };
        let mut at_hand = Vec::new();
        let mut to_read = Vec::new();
        // A journal may have been written by this very batch, so it is read after it.
        let mut journaled = Vec::new();
        for Ran { job, answer } in &flight.open.ran {
            let (Job::Run { to: To::Claim(claim, _), .. }, Some(Ok(Outcome::Leased(grants, _)))) =
                (job, answer)
            else {
                continue;
            };
            let mut ready = Vec::with_capacity(grants.len());
            let mut rest = Vec::new();
            let mut with_journal = Vec::new();
            for grant in grants {
                match self.at_hand(flight, grant) {
                    Some(lease) => ready.push(lease),
                    None if grant.journal => with_journal.push(grant.clone()),
                    None => rest.push(grant.clone()),
                }
            }
            for (leases, into) in [(rest, &mut to_read), (with_journal, &mut journaled)] {
                if !leases.is_empty() {
                    into.push((*claim, leases));
                }
            }
            if !ready.is_empty() {
                at_hand.push((*claim, ready));
            }
        }
        let batch = flight.number;
        let carrying = !to_read.is_empty();
        if let Some(flight) = &mut self.in_flight {
            flight.carried = at_hand;
            flight.carrying = carrying;
            flight.journaled = journaled;
        }
        if carrying {
            self.read_for(batch, to_read);
        }
    }

    fn read_for(&mut self, batch: u64, claims: Vec<(ClaimId, Vec<Grant>)>) {
        let of = store::PartitionId(self.id.0);
        let (store, hub) = (self.shared.store.clone(), self.shared.hub.clone());
        self.errands.push(carry(store, hub, of, batch, claims));
    }

    /// A lease of which everything was written lately, and that has no journal.
    fn at_hand(&self, flight: &InFlight, grant: &Grant) -> Option<GrantedLease> {
        if grant.journal {
            return None;
        }
        let id = grant.lease.execution;
        let find = |key: &Key| flight.open.txn.cold(key).or_else(|| self.recent.get(key)).cloned().flatten();
        let spec: Spec = minicbor::decode::<Spec>(&find(&key::spec(id))?).ok()?;
        let input = match (&spec.input.inline, spec.input.apart) {
            (_, Some(_)) => find(&key::input(id))?,
            (inline, None) => inline.clone().unwrap_or_default(),
        };
        Some(GrantedLease { grant: grant.clone(), spec, input, steps: Vec::new() })
    }

    /// The batch is committed: what its claims got is theirs.
    pub(super) fn carry_on(&mut self, flight: &mut InFlight) {
        if flight.carrying {
            self.awaiting.insert(flight.number);
        }
        let journaled = std::mem::take(&mut flight.journaled);
        if !journaled.is_empty() {
            self.batches += 1;
            self.awaiting.insert(self.batches);
            self.read_for(self.batches, journaled);
        }
        let carried = std::mem::take(&mut flight.carried);
        carried.into_iter().for_each(|(claim, leases)| self.fulfil(claim, leases));
        self.give_back(std::mem::take(&mut flight.beyond));
    }

    /// What was read for leases; they are theirs as soon as the batch is committed, and nobody's if it was undone.
    pub(super) fn carried(&mut self, carried: Carried) {
        if let Some(flight) = &mut self.in_flight
            && flight.number == carried.batch
        {
            flight.carrying = false;
            flight.carried.extend(carried.leases);
            flight.beyond.extend(carried.beyond);
        } else if self.awaiting.remove(&carried.batch) {
            carried.leases.into_iter().for_each(|(claim, leases)| self.fulfil(claim, leases));
            self.give_back(carried.beyond);
        } else {
            return;
        }
        for grant in carried.broken {
            tracing::error!(execution = %grant.lease.execution, "what was submitted can't be read");
            let error = stint_core::model::ErrorInfo::own("spec_lost", "what was submitted can't be read");
            let fail = stint_core::command::Fail {
                lease: grant.lease,
                error,
                retry: Some(false),
                retry_after_ms: None,
                unfinished: false,
            };
            self.accept(Job::run(Command::Fail(fail), To::Nobody));
        }
    }

    /// Leases that their claims' answers have no room for; the slots first, so that the claims are answered.
    fn give_back(&mut self, beyond: Vec<(ClaimId, LeaseRef)>) {
        for (claim, lease) in beyond {
            self.unfilled.push((claim, 1));
            self.accept(Job::run(Command::Release(Release { lease, unfinished: false }), To::Nobody));
        }
    }

    fn fulfil(&mut self, claim: ClaimId, leases: Vec<GrantedLease>) {
        for lease in self.shared.hub.fulfil(claim, leases) {
            self.accept(Job::run(Command::Release(Release { lease, unfinished: false }), To::Nobody));
        }
    }
}

/// Reads what leases carry, as much as their claims' answers hold.
fn carry(
    store: Arc<dyn store::Store>,
    hub: Arc<Hub>,
    partition: store::PartitionId,
    batch: u64,
    claims: Vec<(ClaimId, Vec<Grant>)>,
) -> BoxFuture<'static, Errand> {
    Box::pin(async move {
        let mut carried = Carried { batch, leases: Vec::new(), beyond: Vec::new(), broken: Vec::new() };
        for (claim, grants) in claims {
            let mut fitting = Vec::with_capacity(grants.len());
            let mut apart = Vec::new();
            let specs = grants.iter().map(|grant| key::spec(grant.lease.execution)).collect();
            let specs = read(&*store, partition, specs).await;
            for (grant, spec) in grants.into_iter().zip(specs) {
                let Some(spec) = spec.and_then(|bytes| minicbor::decode::<Spec>(&bytes).ok()) else {
                    carried.broken.push(grant);
                    continue;
                };
                let input = match spec.input.apart {
                    Some(length) => usize::try_from(length).unwrap_or(usize::MAX),
                    None => spec.input.inline.as_ref().map_or(0, Bytes::len),
                };
                let journal = if grant.journal { JOURNAL_BYTES_MAX } else { 0 };
                if !hub.has_room(claim, input.saturating_add(journal)) {
                    carried.beyond.push((claim, grant.lease));
                    continue;
                }
                apart.extend(spec.input.apart.map(|_| key::input(grant.lease.execution)));
                fitting.push((grant, spec));
            }
            let mut inputs = read(&*store, partition, apart).await.into_iter();
            let mut leases = Vec::with_capacity(fitting.len());
            for (grant, spec) in fitting {
                let input = match spec.input.apart {
                    Some(_) => inputs.next().flatten(),
                    None => Some(spec.input.inline.clone().unwrap_or_default()),
                };
                let Some(input) = input else {
                    carried.broken.push(grant);
                    continue;
                };
                let steps =
                    if grant.journal { journal(&*store, partition, &grant).await } else { Vec::new() };
                leases.push(GrantedLease { grant, spec, input, steps });
            }
            carried.leases.push((claim, leases));
        }
        Errand::Carried(carried)
    })
}

/// Values by key; tried until the store answers.
async fn read(store: &dyn store::Store, partition: store::PartitionId, keys: Vec<Key>) -> Vec<Option<Bytes>> {
    if keys.is_empty() {
        return Vec::new();
    }
    let keys: Vec<_> = keys.into_iter().map(|key| (table(key.table), key.bytes)).collect();
    let mut pauses = crate::backoff::pauses();
    loop {
        match store.get(partition, keys.clone()).await {
            Ok(values) => return values.values,
            Err(_) => pauses.wait().await,
        }
    }
}

/// The journal, up to its bound.
async fn journal(
    store: &dyn store::Store,
    partition: store::PartitionId,
    grant: &Grant,
) -> Vec<(String, StepRecord)> {
    /// Steps of one read.
    const ROWS: usize = 256;
    let prefix = key::steps(grant.lease.execution).bytes;
    let whole = store::Range::prefix(&prefix, ROWS);
    let mut range = whole.clone();
    let mut steps = Vec::new();
    let mut bytes = 0;
    let mut pauses = crate::backoff::pauses();
    loop {
        let page = match store.range(partition, range.clone()).await {
            Ok(page) => page,
            Err(_) => {
                pauses.wait().await;
                continue;
            }
        };
        for (row, value) in page.rows {
            bytes += value.len();
            let step = row.get(prefix.len()..).map(|step| String::from_utf8_lossy(step).into_owned());
            if let (Some(step), Ok(record)) = (step, minicbor::decode::<StepRecord>(&value)) {
                steps.push((step, record));
            }
            if bytes >= JOURNAL_BYTES_MAX {
                return steps;
            }
        }
        match page.cursor {
            Some(cursor) => range.from = cursor,
            None => return steps,
        }
    }
}
