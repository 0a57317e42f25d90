//! Several partitions and the messages between them: the first has the executions, each of the others a tree of budgets.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use stint_core::command::*;
use stint_core::model::*;
use stint_core::*;

use crate::bed::Bed;

pub struct World {
    pub beds: Vec<Bed>,
    pub executions: Vec<ExecutionId>,
    pub leases: Vec<LeaseRef>,
    trees: Vec<String>,
    snapshots: Vec<BTreeMap<Key, Bytes>>,
    /// What was charged under a lease of an execution, by tree and charge id.
    pub charged: BTreeMap<(usize, String), u64>,
    /// Whether each step is looked at: see [`World::watch`]. Not where writes are lost, which excuses much.
    pub strict: bool,
    /// Holds that an attempt was started with, and their lease.
    leased: BTreeMap<HoldKey, LeaseRef>,
    /// Leases whose workers have said that they are over, and spend nothing more.
    pub spoken: BTreeSet<LeaseRef>,
    count: u64,
}

/// A hold, as a step finds and leaves it.
struct Seen {
    held: u64,
    /// Of one in doubt, when that ends.
    until: Option<Millis>,
}

pub fn usd(amount: u64) -> Amounts {
    Amounts::of([("usd", amount)])
}

/// A budget with one window and one limit.
pub fn budget(hard: u64) -> Budget {
    let limits = BTreeMap::from([("usd".to_owned(), Limit { hard: Some(hard), soft: None })]);
    let window = Window { name: "total".into(), kind: WindowKind::Total, limits };
    Budget { windows: vec![window], ..Budget::default() }
}

impl World {
    /// Trees of these names, each in a partition of its own.
    pub fn new(trees: &[&str]) -> Self {
        let homes: Vec<PartitionId> = trees.iter().map(|tree| budget_home("default", tree)).collect();
        let own = PartitionId::all().find(|partition| !homes.contains(partition)).unwrap();
        assert_eq!(homes.iter().collect::<BTreeSet<_>>().len(), homes.len(), "two trees in one partition");
        let beds: Vec<Bed> = [own].into_iter().chain(homes).map(Bed::at).collect();
        Self {
            snapshots: beds.iter().map(|bed| bed.store.clone()).collect(),
            beds,
            executions: Vec::new(),
            leases: Vec::new(),
            trees: trees.iter().map(|tree| (*tree).to_owned()).collect(),
            charged: BTreeMap::new(),
            strict: false,
            leased: BTreeMap::new(),
            spoken: BTreeSet::new(),
            count: 0,
        }
    }

    pub fn e(&mut self) -> &mut Bed {
        &mut self.beds[0]
    }

    pub fn bed(&mut self, n: usize) -> &mut Bed {
        &mut self.beds[n]
    }

    fn at(&mut self, path: &str) -> &mut Bed {
        let n = self.place(path);
        &mut self.beds[n]
    }

    fn place(&self, path: &str) -> usize {
        1 + self.trees.iter().position(|other| other == tree(path)).unwrap()
    }

    pub fn execution(&self, n: usize) -> Option<ExecutionId> {
        (!self.executions.is_empty()).then(|| self.executions[n % self.executions.len()])
    }

    pub fn set(&mut self, path: &str, change: BudgetChange) -> Result<Outcome, Refusal> {
        let set = SetBudget { namespace: "default".into(), path: path.into(), change };
        self.at(path).run(Command::SetBudget(set))
    }

    pub fn budget(&mut self, path: &str, hard: u64) {
        let place = self.place(path);
        let change = BudgetChange::Put(Box::new(budget(hard)));
        self.watch(place, false, |world| world.set(path, change)).unwrap();
    }

    pub fn delete(&mut self, path: &str) {
        let delete = DeleteBudget { namespace: "default".into(), path: path.into(), force: true };
        // It may be deleted already.
        _ = self.at(path).run(Command::DeleteBudget(delete));
    }

    pub fn view(&mut self, path: &str) -> BudgetView {
        let show = ShowBudget { namespace: "default".into(), path: path.into() };
        match self.at(path).run(Command::ShowBudget(show)) {
            Ok(Outcome::Budget(view)) => *view,
            other => panic!("{other:?}"),
        }
    }

    pub fn used(&mut self, path: &str) -> u64 {
        self.view(path).windows[0].used.get("usd")
    }

    pub fn held(&mut self, path: &str) -> u64 {
        self.view(path).held.get("usd")
    }

    pub fn submit(&mut self, uses: &[(&str, u64)], change: impl FnOnce(&mut Submission)) -> ExecutionId {
        let budgets = uses.iter().map(|(path, hold)| BudgetUse {
            path: (*path).to_owned(),
            hold: Some(usd(*hold)),
            cap: None,
            attempt_cap: None,
        });
        let budgets: Vec<BudgetUse> = budgets.collect();
        let id = self.e().submit(|s| {
            s.policy = crate::bed::policy(|policy| policy.budgets = budgets);
            change(s);
        });
        self.executions.push(id);
        id
    }

    pub fn claim(&mut self, max: usize) -> Vec<LeaseRef> {
        let leases: Vec<LeaseRef> = self.e().claim(max).into_iter().map(|grant| grant.lease).collect();
        self.leases.extend(&leases);
        for lease in &leases {
            let asked = self.e().run(Command::LeaseBudgets(LeaseBudgets { lease: *lease }));
            let Ok(Outcome::Permits(permits)) = asked else { panic!("{asked:?}") };
            self.leased.extend(permits.into_iter().map(|permit| (permit.hold, *lease)));
        }
        leases
    }

    pub fn charge(&mut self, lease: LeaseRef, id: &str, amount: u64) {
        let spent = Spent::Amounts(usd(amount));
        let charge = ChargeLease { lease, id: id.into(), spent, step: None };
        // As an engine that has read what may be there.
        let at = key::lease_charge(lease.execution, id);
        self.e().read_first.insert(at);
        if let Ok(Outcome::Charged(charged)) = self.e().run(Command::ChargeLease(charge)) {
            for (_, sent) in charged.sent {
                let place = self.place(&sent.path);
                self.beds[place].read_first.insert(key::charge("default", tree(&sent.path), id));
                self.charged.insert((place, id.to_owned()), amount);
            }
        }
    }

    pub fn extend(&mut self, lease: LeaseRef, amount: u64) {
        let Ok(Outcome::Permits(permits)) = self.e().run(Command::LeaseBudgets(LeaseBudgets { lease }))
        else {
            return;
        };
        self.count += 1;
        for permit in permits {
            let (id, amounts) = (self.count.to_string(), usd(amount));
            let extend = ExtendHold { hold: permit.hold, id, amounts, at_least: false };
            let place = self.place(&permit.path);
            // Its hold may be gone.
            _ = self.watch(place, false, |world| world.beds[place].run(Command::ExtendHold(extend)));
        }
    }

    /// A worker's last word, which may come late.
    pub fn says(&mut self, lease: LeaseRef, word: Command) {
        if self.e().run(word).is_ok() {
            self.spoken.insert(lease);
        }
    }

    /// A tree asks whether what it holds is still wanted, as it does again and again.
    pub fn ask_after(&mut self, n: usize) {
        let tree = self.trees[n].clone();
        let ask = Reconcile { namespace: "default".into(), tree, asks: true, unfit: Vec::new() };
        self.bed(n + 1).run(Command::Reconcile(ask)).unwrap();
    }

    pub fn complete(&mut self, lease: LeaseRef) {
        self.e().complete(lease, "1").unwrap();
    }

    /// Lets time pass everywhere.
    pub fn pass(&mut self, ms: Millis) {
        for n in 0..self.beds.len() {
            self.watch(n, false, |world| world.beds[n].pass(ms));
        }
    }

    /// Takes what one partition has for another, and acknowledges it if the answer is heard.
    pub fn send(&mut self, from: usize, to: usize, heard: bool) {
        let (from, to) = (from % self.beds.len(), to % self.beds.len());
        let (sender, receiver) = (self.beds[from].partition.id(), self.beds[to].partition.id());
        let links = self.beds[from].partition.outgoing().filter(|(peer, _)| *peer == receiver);
        let links: Vec<Link> = links.map(|(_, link)| link.clone()).take(100).collect();
        if from == to || links.is_empty() {
            return;
        }
        self.deliver(from, to, sender, receiver, links, heard);
    }

    fn deliver(
        &mut self,
        from: usize,
        to: usize,
        sender: PartitionId,
        receiver: PartitionId,
        links: Vec<Link>,
        heard: bool,
    ) {
        let is_charge = |link: &Link| matches!(link.message, Message::Charge(_));
        let mut answer = None;
        let mut parts: Vec<&[Link]> = links.chunk_by(|a, b| is_charge(a) == is_charge(b)).collect();
        if parts.is_empty() {
            parts.push(&[]);
        }
        for part in parts {
            let charges = part.first().is_some_and(is_charge);
            let deliver = Command::Deliver(Deliver { from: sender, links: part.to_vec() });
            let delivered = self.watch(to, charges, |world| world.beds[to].run(deliver));
            let Ok(Outcome::Delivered(said)) = delivered else { panic!("{delivered:?}") };
            answer = Some(said);
        }
        if let Some(answer) = answer.filter(|_| heard) {
            self.count += 1;
            let id = self.count.wrapping_mul(0xC2B2_AE3D_27D4_EB4F);
            let acknowledge = Acknowledge { peer: receiver, answer, id };
            let outcome = self.beds[from].run(Command::Acknowledge(acknowledge)).unwrap();
            if from == 0 && outcome == Outcome::Restarted(receiver) {
                self.recharge(receiver);
            }
        }
    }

    /// As an engine does: a tree that may have lost charges is told them again.
    fn recharge(&mut self, peer: PartitionId) {
        for id in self.executions.clone() {
            let prefix = key::lease_charges(id);
            let is_charge = |key: &Key| key.table == prefix.table && key.bytes.starts_with(&prefix.bytes);
            let charges = self.beds[0].store.iter().filter(|(key, _)| is_charge(key));
            let charges: Vec<LeaseChargeRecord> =
                charges.map(|(_, value)| minicbor::decode(value).unwrap()).collect();
            let recharge = Recharge { peers: vec![peer], execution: id, charges };
            self.e().run(Command::Recharge(recharge)).unwrap();
        }
    }

    /// Every pair looks whether it knows the same of each other, as after lost writes.
    pub fn compare_all(&mut self) {
        for from in 0..self.beds.len() {
            for to in (0..self.beds.len()).filter(|to| *to != from) {
                let (sender, receiver) = (self.beds[from].partition.id(), self.beds[to].partition.id());
                let links = self.beds[from].partition.outgoing().filter(|(peer, _)| *peer == receiver);
                let links: Vec<Link> = links.map(|(_, link)| link.clone()).take(100).collect();
                self.deliver(from, to, sender, receiver, links, true);
            }
        }
    }

    /// Delivers everything until nobody has anything to say.
    pub fn settle(&mut self) {
        for _ in 0..200 {
            let mut quiet = true;
            for from in 0..self.beds.len() {
                for to in 0..self.beds.len() {
                    let receiver = self.beds[to].partition.id();
                    quiet &= !self.beds[from].partition.outgoing().any(|(peer, _)| peer == receiver);
                    self.send(from, to, true);
                }
            }
            if quiet {
                return;
            }
        }
        panic!("they do not agree");
    }

    pub fn snapshot(&mut self, which: usize) {
        let which = which % self.beds.len();
        self.snapshots[which] = self.beds[which].store.clone();
    }

    /// The store lost what this partition has written since its snapshot.
    pub fn roll_back(&mut self, which: usize) {
        let which = which % self.beds.len();
        let before = &self.beds[which];
        let mut back = Bed::at(before.partition.id());
        back.store = self.snapshots[which].clone();
        back.now = before.now + 1;
        back.read_first = before.read_first.clone();
        back.skip_ids(1_000_000 * (self.count + 1));
        back.partition = back.rebuilt();
        self.count += 1;
        self.beds[which] = back;
        self.leases.retain(|_| which != 0);
        for peer in (0..self.beds.len()).filter(|peer| *peer != which) {
            for (from, to) in [(which, peer), (peer, which)] {
                let (sender, receiver) = (self.beds[from].partition.id(), self.beds[to].partition.id());
                let links = self.beds[from].partition.outgoing().filter(|(peer, _)| *peer == receiver);
                let links: Vec<Link> = links.map(|(_, link)| link.clone()).take(100).collect();
                self.deliver(from, to, sender, receiver, links, true);
            }
        }
    }

    /// SPEC 18.1, at each step: nothing is newly held unless it and all that is used and held is within the limit by then,
    /// whatever was charged before; and what an attempt was started with stays until its worker has spoken, it is spent, or it
    /// has been in doubt for its time.
    fn watch<T>(&mut self, n: usize, charges: bool, step: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.seen(n);
        let done = step(self);
        if !self.strict || n == 0 {
            return done;
        }
        let (after, now, path) = (self.seen(n), self.beds[n].now, self.trees[n - 1].clone());
        let more = after.iter().any(|(at, seen)| before.get(at).is_none_or(|was| was.held < seen.held));
        if more {
            let view = self.view(&path);
            let limit = view.budget.windows[0].limits["usd"].hard.unwrap();
            let (used, held) = (view.windows[0].used.get("usd"), view.held.get("usd"));
            assert!(used + held <= limit, "{path}: {used} used and {held} held of {limit}");
        }
        for (at, was) in &before {
            let Some(lease) = self.leased.get(at) else { continue };
            let left = after.get(at).map_or(0, |seen| seen.held);
            let may_go =
                charges || self.spoken.contains(lease) || was.until.is_some_and(|until| until <= now);
            assert!(may_go || left >= was.held, "{path}: of {} held for a call, {left} are left", was.held);
        }
        done
    }

    fn seen(&self, n: usize) -> BTreeMap<HoldKey, Seen> {
        let holds = self.beds[n].partition.holds();
        let seen =
            |hold: &Hold| Seen { held: hold.held.get("usd"), until: hold.until.filter(|_| hold.in_doubt()) };
        holds.map(|(at, hold)| (at, seen(hold))).collect()
    }

    /// SPEC 18.2: the counters are what was charged, each charge once, and what the ledger says.
    pub fn check_books(&mut self) {
        for n in 1..self.beds.len() {
            let path = self.trees[n - 1].clone();
            let charged: u64 =
                self.charged.iter().filter(|((at, _), _)| *at == n).map(|(_, amount)| amount).sum();
            assert_eq!(self.used(&path), charged, "{path}");
            let prefix = key::ledger("default", &path);
            let entries = self.beds[n].store.iter();
            let entries =
                entries.filter(|(key, _)| key.table == prefix.table && key.bytes.starts_with(&prefix.bytes));
            let sum: u64 =
                entries.map(|(_, value)| minicbor::decode::<Entry>(value).unwrap().amounts.get("usd")).sum();
            assert_eq!(sum, charged, "{path}");
        }
    }
}
