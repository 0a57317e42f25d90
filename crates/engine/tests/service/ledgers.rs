//! Reports over ledgers that are rolled up and trimmed, beside the slow way: every entry there ever was.

use std::collections::BTreeMap;

use stint_api::{
    BudgetChargeRequest, BudgetSettings, BudgetUse, ChargeRequest, Code, Instant, LedgerRequest,
    NamespaceSettings, PricesRequest, ReconcileRequest, RefundRequest, ReportBy, ReportEvery, ReportReply,
    ReportRequest, SubmitRequest, Usage,
};
use stint_core::command::budget_home;
use stint_core::key;
use stint_core::model::{Entry, EntryKind, is_under};

use crate::backup::{restored, taken};
use crate::bed::{Bed, START_MS, claim, json, pass};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// A tree, every entry its ledger ever had, and the tags its executions were submitted with.
struct Tree {
    bed: Bed,
    entries: BTreeMap<u64, Entry>,
    teams: BTreeMap<String, String>,
    now: i64,
    count: u64,
    dice: u64,
}

impl Tree {
    async fn new(seed: u64) -> Self {
        let bed = Bed::new().await;
        for path in ["acme", "acme/a"] {
            let settings: BudgetSettings = stint_api::decode(
                br#"{"windows":[{"name":"all","kind":"total","limits":{"usd_micros":{"hard":100000000}}},
                {"name":"day","kind":"day","tz":"Asia/Kolkata","limits":{"usd_micros":{"hard":100000000}}}]}"#,
            )
            .unwrap();
            bed.engine.set_budget(path, settings).await.unwrap();
        }
        let prices: PricesRequest =
            stint_api::decode(br#"{"models":{"m*":{"input":1000000,"output":0,"call":7}}}"#).unwrap();
        bed.engine.set_prices(prices).await.unwrap();
        Self {
            bed,
            entries: BTreeMap::new(),
            teams: BTreeMap::new(),
            now: START_MS,
            count: 0,
            dice: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
        }
    }

    fn below(&mut self, most: u64) -> u64 {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 33) % most
    }

    async fn pass(&mut self, ms: i64) {
        pass(ms as u64).await;
        self.now += ms;
        self.look();
    }

    /// Notes the entries that have come.
    fn look(&mut self) {
        let home = budget_home("default", "acme");
        let prefix = key::ledger("default", "acme").bytes;
        for (at, value) in &self.bed.store.dump(stint_store::PartitionId(home.0)).ordered {
            if at.starts_with(&prefix) {
                let entry = minicbor::decode(value).unwrap();
                self.entries.insert(key::read_entry(at).unwrap(), entry);
            }
        }
    }

    /// Some charges: by path, and of an execution.
    async fn spend(&mut self) {
        self.count += 1;
        let n = self.count;
        let path = if self.below(2) == 0 { "acme" } else { "acme/a" };
        let usage = Usage {
            model: format!("m{}", self.below(2)),
            input_tokens: 1 + self.below(50),
            ..Usage::default()
        };
        let charge =
            BudgetChargeRequest { charge_id: format!("c{n}"), usage: Some(usage), ..Default::default() };
        self.bed.engine.charge_budget(path, charge).await.unwrap();
        if self.below(3) == 0 {
            let of = format!("c{}", 1 + self.below(n));
            let amounts = stint_api::Amounts::of([("usd_micros", 1)]);
            let refund = RefundRequest { id: format!("r{n}"), charge_id: of, amounts, namespace: None };
            let refunded = self.bed.engine.refund("acme", refund).await;
            // One that took everything already, or is gone.
            assert!(refunded.is_ok() || refunded.is_err_and(|e| e.code != Code::Internal));
        }
        if self.below(3) > 0 {
            let team = format!("team-{}", self.below(2));
            let request = SubmitRequest {
                tags: [("team".to_owned(), team.clone())].into(),
                budgets: vec![BudgetUse::new(path, Some(stint_api::Amounts::of([("usd_micros", 50)])))],
                ..SubmitRequest::new(format!("kind-{}", self.below(2)), json("{}"))
            };
            let id = self.bed.submit(request).await.id;
            self.teams.insert(id, team);
            let request = stint_api::LeaseRequest { wait_ms: 10_000, ..claim(1) };
            let lease = self.bed.engine.lease(request, None).await.unwrap().leases.pop().unwrap();
            for part in 0..2 {
                let amounts = stint_api::Amounts::of([("usd_micros", 1 + self.below(20)), ("calls", 1)]);
                let charge = ChargeRequest::new(format!("x{n}.{part}"), amounts);
                self.bed.engine.charge(&lease.lease, charge).await.unwrap();
            }
            self.bed.complete(&lease, "1").await.unwrap();
        }
        pass(50).await;
        self.now += 50;
        self.look();
    }

    async fn report(&self, path: &str, request: &ReportRequest) -> ReportReply {
        self.bed.engine.report("default", path, request.clone()).await.unwrap()
    }

    /// The rows and the sum of a report, the slow way.
    fn slow(&self, path: &str, request: &ReportRequest) -> (Vec<(Option<i64>, String, Sum)>, Sum) {
        let since = request.since.map_or(i64::MIN, |since| since.millis());
        let until = request.until.map_or(i64::MAX, |until| until.millis());
        let mut rows: BTreeMap<(Option<i64>, String), Sum> = BTreeMap::new();
        let mut total = Sum::default();
        for entry in self.entries.values().filter(|entry| is_under(&entry.path, path)) {
            if entry.at < since || entry.at >= until {
                continue;
            }
            let sign = match entry.kind {
                EntryKind::Charge => 1,
                EntryKind::Refund => -1,
                _ => continue,
            };
            let at = request.every.map(|every| match every {
                ReportEvery::Hour => entry.at - entry.at.rem_euclid(HOUR),
                ReportEvery::Day => entry.at - entry.at.rem_euclid(DAY),
            });
            let execution = entry.execution.map(|id| id.to_string());
            let key = match request.by.as_ref().unwrap() {
                ReportBy::Path => Some(entry.path.clone()),
                ReportBy::Kind => entry.execution_kind.clone(),
                ReportBy::Execution => execution,
                ReportBy::Model => entry.model.clone(),
                ReportBy::Tag(_) => execution.and_then(|id| self.teams.get(&id).cloned()),
            };
            let row = rows.entry((at, key.unwrap_or_default())).or_default();
            for sum in [row, &mut total] {
                sum.1 += u64::from(sign == 1);
                for (dimension, amount) in entry.amounts.iter() {
                    *sum.0.entry(dimension.to_owned()).or_default() += sign * amount as i64;
                }
            }
        }
        let shown = |sum: Sum| (sum.0.into_iter().filter(|(_, n)| *n != 0).collect(), sum.1);
        let rows = rows.into_iter().map(|((at, key), sum)| (at, key, shown(sum)));
        (rows.collect(), shown(total))
    }

    async fn agree(&mut self, path: &str, request: ReportRequest) {
        let report = self.report(path, &request).await;
        let sum = |amounts: &stint_api::Amounts| -> BTreeMap<String, i64> {
            amounts.0.iter().map(|(dimension, n)| (dimension.clone(), *n as i64)).collect()
        };
        let net = |amounts: &stint_api::Amounts, less: &stint_api::Amounts| -> BTreeMap<String, i64> {
            let taken = sum(less).into_iter().map(|(dimension, n)| (dimension, -n));
            sum(amounts).into_iter().chain(taken).collect()
        };
        let rows = report.rows.iter().map(|row| {
            let spent = net(&row.amounts, &row.less);
            (row.at.map(|at| at.millis()), row.key.clone(), (spent, row.charges))
        });
        let (expected, total) = self.slow(path, &request);
        assert_eq!(rows.collect::<Vec<_>>(), expected, "{request:?} at {}", self.now);
        assert_eq!(net(&report.total, &report.less), total.0, "{request:?}");
        let since = |ms: i64| ReportRequest {
            since: Some(Instant::from_millis(self.now - ms + 1)),
            by: Some(ReportBy::Path),
            ..Default::default()
        };
        let burnt = |ms: i64| self.slow(path, &since(ms)).1.0.into_iter().filter(|(_, n)| *n > 0);
        assert_eq!(sum(&report.burn_per_hour), burnt(HOUR).collect());
        let per_hour = burnt(DAY).map(|(dimension, n)| (dimension, (n as u64).div_ceil(24) as i64));
        assert_eq!(sum(&report.burn_per_hour_of_day), per_hour.collect());
    }

    fn any(&mut self) -> ReportRequest {
        let by = match self.below(5) {
            0 => ReportBy::Path,
            1 => ReportBy::Kind,
            2 => ReportBy::Execution,
            3 => ReportBy::Model,
            _ => ReportBy::Tag("team".to_owned()),
        };
        let every = match self.below(3) {
            0 => Some(ReportEvery::Hour),
            1 => Some(ReportEvery::Day),
            _ => None,
        };
        let lived = (self.now - START_MS + HOUR) as u64;
        let at = |n: u64| Some(Instant::from_millis(START_MS + n as i64));
        let since = if self.below(2) == 0 { None } else { at(self.below(lived)) };
        let until = if self.below(2) == 0 { None } else { at(self.below(lived)) };
        ReportRequest { by: Some(by), since, until, every }
    }

    /// Records of this kind in the tree's ordered table.
    fn records(&self, kind: u8) -> usize {
        let home = budget_home("default", "acme");
        let dump = self.bed.store.dump(stint_store::PartitionId(home.0));
        dump.ordered.keys().filter(|key| key[0] == kind).count()
    }

    /// What the tree's partition has of it, but for single entries.
    fn books(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let dump = self.bed.store.dump(stint_store::PartitionId(budget_home("default", "acme").0));
        let live = dump.live.iter().filter(|(key, _)| b"ctu".contains(&key[0]));
        let ordered = dump.ordered.iter().filter(|(key, _)| b"dhk".contains(&key[0]));
        live.chain(ordered).map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
    }

    async fn reconcile(&self) -> Vec<stint_api::BudgetDrift> {
        self.bed.engine.reconcile("acme", ReconcileRequest::default()).await.unwrap().drifts
    }
}

/// By dimension, and how many charges.
type Sum = (BTreeMap<String, i64>, u64);

#[tokio::test(start_paused = true)]
async fn a_report_is_what_every_entry_says() {
    for seed in 1..=3 {
        let mut tree = Tree::new(seed).await;
        for _ in 0..60 {
            tree.spend().await;
            let ms = match tree.below(4) {
                0 => 2 * HOUR as u64,
                1 => HOUR as u64 / 2,
                _ => 1_000,
            };
            let ms = tree.below(ms) as i64;
            tree.pass(ms).await;
            let (any, path) = (tree.any(), if tree.below(2) == 0 { "acme" } else { "acme/a" });
            tree.agree(path, any).await;
        }
        assert!(tree.records(b'h') > 0, "nothing was rolled up");
        assert!(tree.reconcile().await.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn past_the_retention_entries_go_and_their_sums_stay() {
    let mut tree = Tree::new(9).await;
    let settings = NamespaceSettings { ledger_retention_ms: Some(DAY as u64), ..Default::default() };
    let set = tree.bed.engine.set_namespace("default", settings).await.unwrap();
    assert_eq!(set.namespace.ledger_retention_ms, DAY as u64);
    for round in 0..16 {
        tree.spend().await;
        tree.pass(6 * HOUR + 100_000).await;
        if round == 8 {
            // Whoever serves it next goes on where it was.
            let bed = std::mem::replace(&mut tree.bed, Bed::new().await).restart().await;
            tree.bed = bed;
        }
        for by in [ReportBy::Path, ReportBy::Kind, ReportBy::Model] {
            for every in [None, Some(ReportEvery::Day)] {
                tree.agree("acme", ReportRequest { by: Some(by.clone()), every, ..Default::default() }).await;
            }
        }
        // What is not so old is known as ever.
        let since = Some(Instant::from_millis(tree.now - DAY + 12_345));
        let request = ReportRequest { since, ..tree.any() };
        tree.agree("acme/a", ReportRequest { until: None, ..request }).await;
    }
    let kept = tree.bed.engine.ledger("default", "acme", LedgerRequest::default()).await.unwrap();
    let since = kept.kept_since.unwrap().millis();
    assert!(kept.entries.iter().all(|entry| entry.at.millis() >= since) && since > tree.now - 3 * DAY);
    assert!(tree.entries.len() > kept.entries.len());
    let report = tree.report("acme", &ReportRequest::default()).await;
    assert_eq!(report.detailed_since, kept.kept_since);
    let amounts = stint_api::Amounts::of([("usd_micros", 1)]);
    let refund = RefundRequest { id: "late".into(), charge_id: "c1".into(), amounts, namespace: None };
    assert_eq!(tree.bed.engine.refund("acme", refund).await.unwrap_err().code, Code::ChargeNotKept);
    assert!(tree.reconcile().await.is_empty());
    let total: u64 = report.total.get("usd_micros");
    assert_eq!(
        tree.bed.engine.budget("default", "acme").await.unwrap().windows[0].used.get("usd_micros"),
        total
    );
    // Long after the last of it.
    tree.pass(3 * DAY).await;
    assert_eq!((tree.records(b'j'), tree.records(b'h')), (0, 0));
    assert!(tree.records(b'd') > 0);
    assert_eq!(tree.report("acme", &ReportRequest::default()).await.total.get("usd_micros"), total);
    assert!(tree.reconcile().await.is_empty());
    let books = tree.books();
    tree.pass(2 * DAY).await;
    assert!(tree.books() == books, "nothing is left to do");
}

#[tokio::test(start_paused = true)]
async fn a_backup_has_what_a_ledger_comes_to_and_how_far_it_was_dealt_with() {
    let mut tree = Tree::new(11).await;
    let settings = NamespaceSettings { ledger_retention_ms: Some(DAY as u64), ..Default::default() };
    tree.bed.engine.set_namespace("default", settings).await.unwrap();
    for _ in 0..16 {
        tree.spend().await;
        tree.pass(6 * HOUR).await;
    }
    let books = tree.books();
    for kind in b"uhdk" {
        assert!(books.iter().any(|(key, _)| key[0] == *kind), "there is no {}", char::from(*kind));
    }
    let report = tree.report("acme", &ReportRequest::default()).await;
    let bytes = taken(tree.bed.engine.backup().unwrap()).await;
    tree.bed = Bed::on(restored(&bytes).await).await;
    assert!(tree.books() == books, "the records are those of before");
    let again = tree.report("acme", &ReportRequest::default()).await;
    assert_eq!((again.rows, again.total), (report.rows, report.total));
    assert_eq!(again.detailed_since, report.detailed_since);
    assert!(tree.reconcile().await.is_empty());
}
