//! Ledgers that are rolled up and trimmed, beside such that are kept for ever: every sum is the same.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod bed;
mod world;

use std::collections::BTreeMap;

use bed::Bed;
use proptest::prelude::*;
use stint_core::command::*;
use stint_core::model::*;
use stint_core::*;
use world::usd;

const PATHS: [&str; 4] = ["acme", "acme/a", "acme/a/b", "acme/c"];
const RETENTION: Millis = 3 * DAY_MS;

/// A tree in a partition of its own.
struct Tree {
    bed: Bed,
}

/// Sums of spent and refunded by what reports tell apart, executions not among it.
type Sums = BTreeMap<(String, Option<String>, Option<String>), (u128, u128, u64)>;

impl Tree {
    fn new(retention_ms: Option<Millis>) -> Self {
        let mut bed = Bed::at(budget_home("default", "acme"));
        if let Some(ledger_retention_ms) = retention_ms {
            let settings = NamespaceSettings {
                generation: 1,
                retention_ms: None,
                ledger_retention_ms: Some(ledger_retention_ms),
            };
            let at = key::namespace("default");
            let record = Record::Namespace(settings);
            bed.store.insert(at.clone(), record.encode().into());
            bed.partition.put(&at, Some(record));
        }
        let mut tree = Self { bed };
        for path in ["acme", "acme/a", "acme/c"] {
            let kinds = [
                ("total", WindowKind::Total),
                ("day", WindowKind::Day { zone: "Asia/Kolkata".into() }),
                ("rolling", WindowKind::Rolling { every_ms: 5 * HOUR_MS }),
            ];
            tree.put(path, kinds.map(|(name, kind)| window(name, kind)).into());
        }
        tree
    }

    fn put(&mut self, path: &str, windows: Vec<Window>) {
        let budget = Budget { windows, ..Budget::default() };
        self.change(path, BudgetChange::Put(Box::new(budget))).unwrap();
    }

    fn change(&mut self, path: &str, change: BudgetChange) -> Result<Outcome, Refusal> {
        let set = SetBudget { namespace: "default".into(), path: path.into(), change };
        self.bed.run(Command::SetBudget(set))
    }

    fn charge(&mut self, path: &str, id: u64, amount: u64, kind: u8) -> Booked {
        self.charge_of(id % 5, path, id, amount, kind)
    }

    fn charge_of(&mut self, execution: u64, path: &str, id: u64, amount: u64, kind: u8) -> Booked {
        let execution = ExecutionId::fresh(bed::START, PartitionId(1), u128::from(execution));
        let charge = Charge {
            kind: (kind > 0).then(|| format!("kind-{kind}")),
            model: (kind > 1).then(|| "model".to_owned()),
            ..Charge::new(&format!("c{id}"), usd(amount))
        };
        let key = PermitKey { execution, ask: 1, n: 0 };
        let (namespace, path) = ("default".to_owned(), path.to_owned());
        self.bed.read_first = [key::charge("default", "acme", &charge.id)].into();
        let book = BookCharge { charge: PermitCharge { key, namespace, path, charge, late: false } };
        match self.bed.run(Command::BookCharge(book)) {
            Ok(Outcome::Booked(booked)) => booked,
            other => panic!("{other:?}"),
        }
    }

    fn refund(&mut self, id: u64, charge: u64, amount: u64) -> Result<Outcome, Refusal> {
        let refund = Refund {
            namespace: "default".into(),
            path: "acme".into(),
            id: format!("r{id}"),
            charge_id: format!("c{charge}"),
            amounts: usd(amount),
        };
        self.bed.run(Command::Refund(refund))
    }

    /// What counts in each window.
    fn used(&mut self) -> Vec<(String, String, Amounts)> {
        let mut used = Vec::new();
        for path in ["acme", "acme/a", "acme/c"] {
            let show = ShowBudget { namespace: "default".into(), path: path.into() };
            let Ok(Outcome::Budget(view)) = self.bed.run(Command::ShowBudget(show)) else { panic!() };
            used.extend(view.windows.into_iter().map(|window| (path.to_owned(), window.name, window.used)));
        }
        used
    }

    /// What top-ups have paid in each window, and what is left of them.
    fn topped(&mut self) -> Vec<(Amounts, Vec<TopUp>)> {
        let mut topped = Vec::new();
        for path in ["acme", "acme/a", "acme/c"] {
            let show = ShowBudget { namespace: "default".into(), path: path.into() };
            let Ok(Outcome::Budget(view)) = self.bed.run(Command::ShowBudget(show)) else { panic!() };
            topped.extend(view.windows.into_iter().map(|window| (window.topped, window.top_ups)));
        }
        topped
    }

    /// What only a test does: something more is left of a top-up than the ledger says. Says of which, and what was left.
    fn drift_of_top_up(&mut self, nth: usize) -> Option<(String, Amounts)> {
        let now = self.bed.now;
        let (mut known, mut n) = (None, 0);
        for path in ["acme", "acme/a", "acme/c"] {
            let at = key::counters("default", path);
            let mut counters = self.bed.partition.counters("default", path).unwrap().clone();
            let all = counters.windows.iter_mut().flat_map(|window| window.top_ups.iter_mut().flatten());
            for top_up in all.filter(|top_up| top_up.expires_at.is_none_or(|at| at > now)) {
                if n == nth {
                    known = Some((top_up.id.clone(), top_up.left.clone()));
                    top_up.left.add(&usd(7)).unwrap();
                }
                n += 1;
            }
            let record = Record::Counters(Box::new(counters));
            self.bed.store.insert(at.clone(), record.encode().into());
            self.bed.partition.put(&at, Some(record));
        }
        known
    }

    fn rows<T: for<'b> minicbor::Decode<'b, ()>>(&self, prefix: &Key) -> Vec<(Key, T)> {
        let own = |key: &Key| key.table == prefix.table && key.bytes.starts_with(&prefix.bytes);
        let rows = self.bed.store.iter().filter(|(key, _)| own(key));
        rows.map(|(key, value)| (key.clone(), minicbor::decode(value).unwrap())).collect()
    }

    fn entries(&self) -> Vec<(u64, Entry)> {
        let entries = self.rows(&key::ledger("default", "acme"));
        entries.into_iter().map(|(key, entry)| (key::read_entry(&key.bytes).unwrap(), entry)).collect()
    }

    fn roll_ups(&self, kind: u8) -> Vec<(Key, RollUp)> {
        let any = key::hour_roll_ups("default", "acme", 0).bytes[1..17].to_vec();
        self.rows(&Key { table: Table::Ordered, bytes: [&[kind][..], &any].concat().into() })
    }

    fn mark(&self) -> LedgerMark {
        self.bed.partition.ledger_mark("default", "acme")
    }

    fn ledger(&mut self, command: Command) -> (u64, bool) {
        match self.bed.run(command) {
            Ok(Outcome::LedgerDone { processed, more }) => (processed, more),
            other => panic!("{other:?}"),
        }
    }

    /// The keys a scanner would read, and whether those are all.
    fn page(&self, from: &Key, to: Millis, limit: usize) -> (Vec<Key>, bool) {
        let to = key::hour_roll_ups("default", "acme", to);
        let rows: Vec<Key> = self.bed.store.range(from.clone()..to).map(|(key, _)| key.clone()).collect();
        (rows.iter().take(limit).cloned().collect(), rows.len() <= limit)
    }

    /// One command of each kind that there is something to do for; `limit` roll-ups at once. Whether anything was done.
    fn maintain(&mut self, limit: usize) -> bool {
        let Some(work) = self.bed.partition.work_of("default", "acme", self.bed.now) else { return false };
        let (namespace, tree) = ("default".to_owned(), "acme".to_owned());
        let before = (self.mark(), self.bed.store.len());
        if work.rolls {
            let (namespace, tree) = (namespace.clone(), tree.clone());
            self.ledger(Command::RollUpLedger(RollUpLedger { namespace, tree }));
        }
        if let Some((from, to)) = work.folds {
            let (rows, end) = self.page(&from, to, limit);
            let (namespace, tree) = (namespace.clone(), tree.clone());
            self.ledger(Command::FoldLedger(FoldLedger { namespace, tree, rows, to, end }));
        }
        if let Some(to) = work.sweeps {
            let from = key::hour_roll_ups("default", "acme", 0);
            let (rows, end) = self.page(&from, to, limit);
            let (namespace, tree) = (namespace.clone(), tree.clone());
            self.ledger(Command::SweepLedger(SweepLedger { namespace, tree, rows, to, end }));
        }
        if work.trims {
            self.ledger(Command::TrimLedger(TrimLedger { namespace, tree }));
        }
        (self.mark(), self.bed.store.len()) != before
    }

    fn maintain_all(&mut self) {
        while self.maintain(7) {}
    }

    fn reconcile(&mut self, full: bool, dry_run: bool) -> Vec<Drift> {
        let unverified =
            Unverified { namespace: "default".into(), tree: "acme".into(), full, ..Unverified::default() };
        let Ok(Outcome::Unverified(mut recount)) = self.bed.run(Command::Unverified(unverified)) else {
            panic!()
        };
        if recount.carries {
            for (key, carried) in self.rows(&key::all_carried("default", "acme")) {
                recount.carry(key::read_carried(&key.bytes).unwrap(), &carried);
            }
        }
        let from = recount.from;
        for (seq, entry) in self.entries().into_iter().filter(|(seq, _)| *seq > from) {
            recount.add(seq, &entry);
        }
        match self.bed.run(Command::Verify(Verify { recount: *recount, dry_run })) {
            Ok(Outcome::Reconciled(drifts)) => drifts,
            other => panic!("{other:?}"),
        }
    }

    /// What only a test does: a counter that is not the ledger's. False if there is no period to change.
    fn drift(&mut self, path: &str, window: usize, more: u64) -> bool {
        let at = key::counters("default", path);
        let mut counters = self.bed.partition.counters("default", path).unwrap().clone();
        let now = self.bed.now;
        let mut periods = counters.windows.get_mut(window).unwrap().periods.iter_mut();
        let Some(period) = periods.rfind(|period| period.end > now) else { return false };
        period.used.add(&usd(more)).unwrap();
        let record = Record::Counters(Box::new(counters));
        self.bed.store.insert(at.clone(), record.encode().into());
        self.bed.partition.put(&at, Some(record));
        true
    }

    /// What a report adds up: days that are folded, hours that are rolled up, entries that are neither.
    fn sums(&self) -> Sums {
        let mark = self.mark();
        let mut sums = Sums::new();
        let mut add = |row: &RollUp| {
            let of = (row.of.path.clone(), row.of.kind.clone(), row.of.model.clone());
            let usd = |wide: &Wide| wide.iter().map(|(_, sum)| sum).sum::<u128>();
            let sum = sums.entry(of).or_default();
            sum.0 += usd(&row.spent);
            sum.1 += usd(&row.refunded);
            sum.2 += row.charges;
        };
        let at = |key: &Key| key::read_roll_up(&key.bytes).unwrap();
        let days = self.roll_ups(b'd');
        days.iter().filter(|(key, _)| at(key) < mark.folded).for_each(|(_, row)| add(row));
        let hours = self.roll_ups(b'h');
        let is_read = |key: &Key| at(key) >= mark.folded && at(key) < mark.until;
        hours.iter().filter(|(key, _)| is_read(key)).for_each(|(_, row)| add(row));
        let rest = self.entries().into_iter().filter(|(seq, _)| *seq > mark.until_seq);
        rest.filter_map(|(seq, entry)| RollUp::of(seq, &entry)).for_each(|row| add(&row));
        sums
    }
}

fn window(name: &str, kind: WindowKind) -> Window {
    let limits = BTreeMap::from([("usd".to_owned(), Limit { hard: Some(1_000_000), soft: None })]);
    Window { name: name.into(), kind, limits }
}

#[derive(Clone, Debug)]
enum Step {
    Charge {
        path: usize,
        amount: u64,
        kind: u8,
    },
    Again {
        back: u64,
    },
    Refund {
        back: u64,
        amount: u64,
    },
    TopUp {
        path: usize,
        window: usize,
        amount: u64,
        expires_in: Option<Millis>,
    },
    TopUpDrift {
        nth: usize,
        full: bool,
    },
    /// Every limit is another.
    Limit {
        hard: u64,
    },
    Adjust {
        more: u64,
        less: u64,
    },
    /// The `total` window of a level begins anew.
    Anew {
        path: usize,
    },
    Pass {
        ms: Millis,
    },
    Maintain {
        limit: usize,
    },
    Drift {
        path: usize,
        window: usize,
        more: u64,
    },
    Recount {
        full: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let pass = prop_oneof![1..HOUR_MS, HOUR_MS..DAY_MS, DAY_MS..3 * DAY_MS];
    prop_oneof![
        12 => (0..4_usize, 0..100_u64, 0..3_u8).prop_map(|(path, amount, kind)| Step::Charge { path, amount, kind }),
        1 => (1..4_u64).prop_map(|back| Step::Again { back }),
        3 => (1..30_u64, 1..40_u64).prop_map(|(back, amount)| Step::Refund { back, amount }),
        3 => (0..3_usize, 0..3_usize, 1..150_u64, proptest::option::of(1..4 * DAY_MS)).prop_map(
            |(path, window, amount, expires_in)| Step::TopUp { path, window, amount, expires_in }
        ),
        1 => (0..9_usize, any::<bool>()).prop_map(|(nth, full)| Step::TopUpDrift { nth, full }),
        1 => prop_oneof![0..200_u64, Just(1_000_000)].prop_map(|hard| Step::Limit { hard }),
        1 => (0..20_u64, 0..20_u64).prop_map(|(more, less)| Step::Adjust { more, less }),
        1 => (0..3_usize).prop_map(|path| Step::Anew { path }),
        6 => pass.prop_map(|ms| Step::Pass { ms }),
        6 => (1..6_usize).prop_map(|limit| Step::Maintain { limit }),
        1 => (0..3_usize, 0..3_usize, 1..9_u64).prop_map(|(path, window, more)| Step::Drift { path, window, more }),
        2 => any::<bool>().prop_map(|full| Step::Recount { full }),
    ]
}

/// One ledger that is trimmed, and one that never is.
struct Pair {
    trimmed: Tree,
    kept: Tree,
    count: u64,
}

impl Pair {
    fn new() -> Self {
        let trimmed = Tree::new(Some(RETENTION));
        let mut pair = Self { trimmed, kept: Tree::new(Some(Millis::MAX)), count: 0 };
        pair.both(|tree| {
            let budget = tree.bed.partition.budget("default", "acme/c").unwrap().clone();
            let budget = Budget { carry_over: Some(true), ..budget };
            tree.change("acme/c", BudgetChange::Put(Box::new(budget))).unwrap();
        });
        pair
    }

    fn both(&mut self, mut act: impl FnMut(&mut Tree)) {
        act(&mut self.trimmed);
        act(&mut self.kept);
    }

    fn take(&mut self, step: &Step) {
        let count = self.count;
        match *step {
            Step::Charge { path, amount, kind } => {
                self.count += 1;
                self.both(|tree| _ = tree.charge(PATHS[path], count + 1, amount, kind));
            }
            Step::Again { back } if count > back => {
                let id = key::charge("default", "acme", &format!("c{}", count - back));
                let Some(known) = self.kept.bed.store.get(&id) else { return };
                let known: ChargeRecord = minicbor::decode(known).unwrap();
                let is_kept = self.trimmed.bed.store.contains_key(&id);
                let entry = self.kept.entries().into_iter().find(|(seq, _)| *seq == known.seq).unwrap().1;
                let kind = u8::from(entry.execution_kind.is_some()) + u8::from(entry.model.is_some());
                let said = (entry.path.clone(), entry.amounts.get("usd"));
                if is_kept {
                    self.both(|tree| assert!(tree.charge(&said.0, count - back, said.1, kind).existed));
                }
            }
            Step::Refund { back, amount } if count > back => {
                self.count += 1;
                match self.trimmed.refund(count, count - back, amount) {
                    Err(Refusal::ChargeNotKept { .. }) => {}
                    other => {
                        let same = self.kept.refund(count, count - back, amount);
                        assert_eq!(other.is_ok(), same.is_ok(), "{other:?} {same:?}");
                    }
                }
            }
            Step::Again { .. } | Step::Refund { .. } => {}
            Step::TopUp { path, window, amount, expires_in } => {
                self.count += 1;
                let change = BudgetChange::TopUp {
                    id: format!("t{count}"),
                    window: ["total", "day", "rolling"][window].into(),
                    amounts: usd(amount),
                    expires_at: expires_in.map(|ms| self.kept.bed.now + ms),
                };
                self.both(|tree| _ = tree.change(["acme", "acme/a", "acme/c"][path], change.clone()));
            }
            Step::Anew { path } => {
                let path = ["acme", "acme/a", "acme/c"][path];
                let (namespace, path) = ("default", path.to_owned());
                self.both(|tree| {
                    let windows = tree.bed.partition.budget(namespace, &path).unwrap().windows.clone();
                    tree.put(&path, windows[1..].to_vec());
                    tree.put(&path, windows);
                });
            }
            Step::Pass { ms } => self.both(|tree| tree.bed.pass(ms)),
            Step::Maintain { limit } => _ = self.trimmed.maintain(limit),
            Step::Drift { path, window, more } => {
                let path = ["acme", "acme/a", "acme/c"][path];
                if self.trimmed.drift(path, window, more) {
                    let drifts = self.trimmed.reconcile(true, false);
                    let [drift] = &drifts[..] else { panic!("{drifts:?}") };
                    let excess = drift.counted.get("usd") - drift.ledger.get("usd");
                    assert_eq!((drift.path.as_str(), &drift.of, excess), (path, &DriftOf::Used, more));
                }
            }
            Step::TopUpDrift { nth, full } => {
                if let Some((id, before)) = self.trimmed.drift_of_top_up(nth) {
                    let drifts = self.trimmed.reconcile(full, false);
                    let [drift] = &drifts[..] else { panic!("{drifts:?}") };
                    assert_eq!((&drift.of, &drift.ledger), (&DriftOf::Left { top_up: id }, &before));
                }
            }
            Step::Limit { hard } => {
                for path in ["acme", "acme/a", "acme/c"] {
                    self.both(|tree| {
                        let mut budget = tree.bed.partition.budget("default", path).unwrap().clone();
                        let limits = budget.windows.iter_mut().flat_map(|window| window.limits.values_mut());
                        limits.for_each(|limit| limit.hard = Some(hard));
                        tree.change(path, BudgetChange::Put(Box::new(budget))).unwrap();
                    });
                }
            }
            Step::Adjust { more, less } => {
                self.count += 1;
                let adjust = Adjust {
                    namespace: "default".into(),
                    path: "acme/a".into(),
                    id: format!("a{count}"),
                    more: usd(more),
                    less: usd(less),
                    reason: None,
                };
                self.both(|tree| _ = tree.bed.run(Command::Adjust(adjust.clone())).unwrap());
            }
            Step::Recount { full } => {
                assert_eq!(self.trimmed.reconcile(full, false), []);
                assert_eq!(self.kept.reconcile(full, false), []);
            }
        }
        assert_eq!(self.trimmed.used(), self.kept.used());
        assert_eq!(self.trimmed.topped(), self.kept.topped());
        assert_eq!(self.trimmed.sums(), self.kept.sums());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_rolled_up_and_trimmed_counts_as_before(steps in proptest::collection::vec(step(), 1..150)) {
        let mut pair = Pair::new();
        steps.iter().for_each(|step| pair.take(step));
        pair.both(|tree| tree.bed.pass(10 * DAY_MS));
        pair.trimmed.maintain_all();
        assert_eq!(pair.trimmed.used(), pair.kept.used());
        assert_eq!(pair.trimmed.sums(), pair.kept.sums());
        assert_eq!(pair.trimmed.reconcile(true, true), []);
        // All is past its retention: what is left are days.
        let entries = pair.trimmed.entries().into_iter();
        assert_eq!(entries.filter(|(_, entry)| entry.kind != EntryKind::CarryOver).count(), 0);
        assert_eq!(pair.trimmed.roll_ups(b'h'), []);
        let ids = pair.trimmed.bed.store.keys().filter(|key| key.table == Table::Cold && key.bytes[0] == b'c');
        assert_eq!(ids.count(), 0);
    }
}

#[test]
fn a_refund_of_a_trimmed_charge_says_that_it_is_gone_and_one_that_never_was_is_not_found() {
    let mut tree = Tree::new(Some(RETENTION));
    tree.charge("acme/a", 1, 50, 1);
    assert_eq!(tree.refund(2, 9, 1), Err(Refusal::ChargeNotFound { charge: "c9".into() }));
    tree.bed.pass(RETENTION + DAY_MS);
    tree.maintain_all();
    assert_eq!(tree.entries(), []);
    assert_eq!(tree.refund(2, 1, 1), Err(Refusal::ChargeNotKept { charge: "c1".into() }));
    assert!(!tree.charge("acme/a", 1, 50, 1).existed, "ids are known as long as the ledger is kept");
    let totals: Vec<_> = tree.used().into_iter().filter(|(_, name, _)| name == "total").collect();
    assert_eq!(totals.iter().map(|(_, _, used)| used.get("usd")).collect::<Vec<_>>(), [100, 100, 0]);
}

#[test]
fn what_was_kept_aside_for_its_id_goes_with_its_entry() {
    let mut tree = Tree::new(Some(RETENTION));
    tree.charge_of(1, "acme/a", 1, 50, 1);
    assert!(tree.charge_of(2, "acme/a", 1, 60, 1).quarantined);
    tree.bed.pass(RETENTION + DAY_MS);
    tree.maintain_all();
    let ids = tree.bed.store.keys().filter(|key| key.table == Table::Cold && key.bytes[0] == b'c');
    assert_eq!((ids.count(), tree.entries().len()), (0, 0));
}

#[test]
fn many_entries_are_dealt_with_in_bounded_steps_and_twice_is_once() {
    let mut tree = Tree::new(Some(RETENTION));
    for n in 0..1_000 {
        tree.charge("acme/a", n, 1, (n % 3) as u8);
        if n % 100 == 0 {
            tree.bed.pass(HOUR_MS / 3);
        }
    }
    tree.bed.pass(HOUR_MS);
    let roll = || RollUpLedger { namespace: "default".into(), tree: "acme".into() };
    for n in 1..=5 {
        let (processed, more) = tree.ledger(Command::RollUpLedger(roll()));
        assert_eq!((processed, more), (200, n < 5));
        let sums: u128 = tree.sums().values().map(|(spent, ..)| spent).sum();
        assert_eq!(sums, 1_000, "after {n} steps");
    }
    assert_eq!(tree.ledger(Command::RollUpLedger(roll())), (0, false));
    tree.bed.pass(RETENTION + 2 * DAY_MS);
    let (from, to) = tree.bed.partition.work_of("default", "acme", tree.bed.now).unwrap().folds.unwrap();
    let (rows, end) = tree.page(&from, to, 5);
    let fold = FoldLedger { namespace: "default".into(), tree: "acme".into(), rows, to, end };
    tree.ledger(Command::FoldLedger(fold.clone()));
    let half = tree.bed.store.clone();
    assert_eq!(tree.ledger(Command::FoldLedger(fold)), (0, false), "the same rows again");
    assert_eq!(tree.bed.store, half);
    tree.maintain_all();
    assert_eq!(
        tree.sums()
            .values()
            .map(|(spent, _, charges)| (spent, charges))
            .fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1)),
        (1_000, 1_000)
    );
    assert_eq!(tree.entries(), []);
    assert_eq!(tree.bed.partition.work_of("default", "acme", tree.bed.now), None);
}

#[test]
fn what_counts_in_an_open_period_is_kept_whatever_the_retention() {
    let mut tree = Tree::new(Some(RETENTION));
    tree.put("acme/c", vec![window("year", WindowKind::Rolling { every_ms: ROLLING_MAX_MS })]);
    tree.charge("acme/a", 1, 5, 0);
    tree.charge("acme/c", 2, 7, 0);
    tree.charge("acme/a", 3, 5, 0);
    tree.bed.pass(30 * DAY_MS);
    tree.maintain_all();
    assert_eq!(tree.entries().iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(tree.reconcile(true, true), []);
    tree.bed.pass(ROLLING_MAX_MS);
    tree.maintain_all();
    assert_eq!(tree.entries(), []);
    assert_eq!(tree.reconcile(true, true), []);
}

#[test]
fn ledgers_are_kept_for_400_days_unless_their_namespace_says_otherwise() {
    let mut tree = Tree::new(None);
    tree.charge("acme/a", 1, 5, 0);
    tree.bed.pass(399 * DAY_MS);
    tree.maintain_all();
    assert_eq!(tree.entries().len(), 1);
    tree.bed.pass(2 * DAY_MS);
    tree.maintain_all();
    assert_eq!(tree.entries(), []);
}

#[test]
fn a_charge_kept_aside_and_booked_later_goes_with_its_later_entry() {
    let mut tree = Tree::new(Some(RETENTION));
    let (namespace, path, id) = ("default".to_owned(), "acme/a".to_owned(), "c1".to_owned());
    let aside = Charge { unpriced: Some(true), ..Charge::new(&id, usd(3)) };
    let key = PermitKey { execution: ExecutionId::fresh(bed::START, PartitionId(1), 1), ask: 1, n: 0 };
    let charge = PermitCharge { key, namespace, path, charge: aside, late: false };
    tree.bed.run(Command::BookCharge(BookCharge { charge })).unwrap();
    tree.bed.pass(2 * DAY_MS);
    assert!(!tree.charge("acme/a", 1, 3, 0).existed);
    tree.bed.pass(2 * DAY_MS);
    tree.maintain_all();
    assert_eq!(tree.entries().iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [2]);
    assert!(tree.charge("acme/a", 1, 3, 0).existed, "its entry is still there");
    tree.bed.pass(2 * DAY_MS);
    tree.maintain_all();
    assert!(tree.entries().is_empty() && !tree.charge("acme/a", 1, 3, 0).existed);
}
