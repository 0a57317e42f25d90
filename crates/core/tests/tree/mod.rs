//! A tree of budgets in a partition of its own, and one-line forms of what is done to it.

// Each test binary uses another part of it.
#![allow(dead_code, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use stint_core::command::*;
use stint_core::model::*;
use stint_core::*;

use crate::bed::Bed;
use crate::world::{budget, usd};

pub struct Tree {
    pub bed: Bed,
    count: u64,
}

impl Tree {
    pub fn new() -> Self {
        Self { bed: Bed::at(budget_home("default", "acme")), count: 0 }
    }

    pub fn with(path: &str, budget: Budget) -> Self {
        let mut tree = Self::new();
        tree.put(path, budget);
        tree
    }

    pub fn change(&mut self, path: &str, change: BudgetChange) -> Result<Outcome, Refusal> {
        let set = SetBudget { namespace: "default".into(), path: path.into(), change };
        self.bed.run(Command::SetBudget(set))
    }

    pub fn put(&mut self, path: &str, budget: Budget) {
        self.change(path, BudgetChange::Put(Box::new(budget))).unwrap();
    }

    pub fn top_up(&mut self, id: &str, amount: u64, expires_in: Option<Millis>) {
        let expires_at = expires_in.map(|ms| self.bed.now + ms);
        let window = "total".into();
        self.change("acme", BudgetChange::TopUp { id: id.into(), window, amounts: usd(amount), expires_at })
            .unwrap();
    }

    pub fn charge_as(&mut self, path: &str, id: &str, spent: Spent) -> Result<Booked, Refusal> {
        self.bed.read_first.insert(key::charge("default", tree(path), id));
        let charge = ChargeBudget { namespace: "default".into(), path: path.into(), id: id.into(), spent };
        match self.bed.run(Command::ChargeBudget(charge))? {
            Outcome::Booked(booked) => Ok(booked),
            other => panic!("{other:?}"),
        }
    }

    pub fn charge(&mut self, path: &str, amount: u64) -> Booked {
        self.count += 1;
        let id = format!("c{}", self.count);
        self.charge_as(path, &id, Spent::Amounts(usd(amount))).unwrap()
    }

    pub fn hold(&mut self, id: u8, amount: u64) -> Result<HoldView, Refusal> {
        let id = HoldId::derived(self.bed.partition.id(), &[id]);
        let hold = HoldBudget {
            id,
            namespace: "default".into(),
            path: "acme".into(),
            amounts: usd(amount),
            ttl_ms: 1_000,
        };
        match self.bed.run(Command::HoldBudget(hold))? {
            Outcome::Held(held) => Ok(held),
            other => panic!("{other:?}"),
        }
    }

    pub fn view(&mut self, path: &str) -> BudgetView {
        let show = ShowBudget { namespace: "default".into(), path: path.into() };
        match self.bed.run(Command::ShowBudget(show)) {
            Ok(Outcome::Budget(view)) => *view,
            other => panic!("{other:?}"),
        }
    }

    pub fn used(&mut self, path: &str) -> u64 {
        self.view(path).windows[0].used.get("usd")
    }

    pub fn ledger(&self) -> Vec<(u64, Entry)> {
        let prefix = key::ledger("default", "acme");
        let own = |key: &Key| key.table == prefix.table && key.bytes.starts_with(&prefix.bytes);
        let entries = self.bed.store.iter().filter(|(key, _)| own(key));
        entries
            .map(|(key, value)| (key::read_entry(&key.bytes).unwrap(), minicbor::decode(value).unwrap()))
            .collect()
    }

    pub fn reconcile(&mut self, full: bool, dry_run: bool) -> (usize, Vec<Drift>) {
        self.recount(full, dry_run).unwrap()
    }

    pub fn recount(&mut self, full: bool, dry_run: bool) -> Result<(usize, Vec<Drift>), Refusal> {
        let unverified =
            Unverified { namespace: "default".into(), tree: "acme".into(), full, ..Unverified::default() };
        let Ok(Outcome::Unverified(mut recount)) = self.bed.run(Command::Unverified(unverified)) else {
            panic!()
        };
        let from = recount.from;
        for (seq, entry) in self.ledger().into_iter().filter(|(seq, _)| *seq > from) {
            recount.add(seq, &entry);
        }
        let counted = recount.len();
        match self.bed.run(Command::Verify(Verify { recount: *recount, dry_run }))? {
            Outcome::Reconciled(drifts) => Ok((counted, drifts)),
            other => panic!("{other:?}"),
        }
    }

    /// What only a test does: a counter that is not the ledger's.
    pub fn drift(&mut self, path: &str, used: u64) {
        let at = key::counters("default", path);
        let mut counters = self.bed.partition.counters("default", path).unwrap().clone();
        counters.windows[0].periods[0].used = usd(used);
        let record = Record::Counters(Box::new(counters));
        self.bed.store.insert(at.clone(), record.encode().into());
        self.bed.partition.put(&at, Some(record));
    }

    pub fn said(&self, kind: EventKind) -> usize {
        self.bed.events.iter().filter(|event| event.kind == kind).count()
    }
}

pub fn windowed(kind: WindowKind, hard: u64) -> Budget {
    let mut budget = budget(hard);
    budget.windows[0].kind = kind;
    budget
}
