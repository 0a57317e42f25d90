//! Spend set right afterwards: refunds are taken off where the charge was, and adjustments are entries of their own.

use stint_api::{
    AdjustRequest, ChargeRequest, Code, LedgerKind, LedgerRequest, PricesRequest, ReconcileRequest,
    RefundRequest, ReportBy, ReportRequest, Usage,
};

use crate::bed::{Bed, pass};
use crate::budgets::{spending, usd};

impl Bed {
    /// What was spent of `acme` by something: keys with money.
    async fn spent_by(&self, by: ReportBy) -> Vec<(String, i64)> {
        let report =
            self.engine.report("default", "acme", ReportRequest { by: Some(by), ..ReportRequest::default() });
        let rows = report.await.unwrap().rows.into_iter();
        let money = |row: stint_api::ReportRow| {
            let amounts = serde_json::to_value(&row.amounts).unwrap();
            (row.key, amounts["usd_micros"].as_i64().unwrap_or_default())
        };
        rows.map(money).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_refund_is_taken_off_what_its_charge_is_reported_under() {
    let bed = Bed::new().await;
    let prices = br#"{"models": {"m": {"input": 1000000, "output": 1000000}}}"#;
    let prices: PricesRequest = stint_api::decode(prices).unwrap();
    bed.engine.set_prices(prices).await.unwrap();
    bed.budget_of("acme", 10_000).await;
    bed.submit(spending("acme", 1_000)).await;
    let lease = bed.funded().await;
    let usage = Usage { model: "m".into(), input_tokens: 900, ..Usage::default() };
    let charge = ChargeRequest { charge_id: "c1".into(), usage: Some(usage), ..ChargeRequest::default() };
    bed.engine.charge(&lease.lease, charge).await.unwrap();
    bed.complete(&lease, "1").await.unwrap();
    pass(1_000).await;
    let refund =
        RefundRequest { id: "r1".into(), charge_id: "c1".into(), amounts: usd(400), namespace: None };
    bed.engine.refund("acme", refund).await.unwrap();
    for (by, key) in [
        (ReportBy::Model, "m"),
        (ReportBy::Kind, "work"),
        (ReportBy::Execution, &*lease.execution.id),
        (ReportBy::Path, "acme"),
    ] {
        assert_eq!(bed.spent_by(by).await, [(key.to_owned(), 500)]);
    }
    let of = LedgerRequest { execution: Some(lease.execution.id.clone()), ..LedgerRequest::default() };
    let ledger = bed.engine.ledger("default", "acme", of).await.unwrap();
    let kinds: Vec<_> = ledger.entries.iter().map(|entry| (entry.kind, entry.attempt)).collect();
    assert_eq!(kinds, [(LedgerKind::Charge, Some(1)), (LedgerKind::Refund, Some(1))]);
}

#[tokio::test(start_paused = true)]
async fn an_adjustment_counts_at_every_level_once_and_the_ledger_says_so() {
    let bed = Bed::new().await;
    bed.budget_of("acme", 100).await;
    bed.budget_of("acme/a", 1_000).await;
    bed.spend("acme/a", "c1", 90).await;
    let adjust = |id: &str, more, less| AdjustRequest {
        id: id.into(),
        amounts: usd(more),
        less: usd(less),
        reason: Some("the bill of November".into()),
        namespace: None,
    };
    bed.engine.adjust("acme/a", adjust("a1", 30, 0)).await.unwrap();
    assert!(bed.engine.adjust("acme/a", adjust("a1", 30, 0)).await.unwrap().duplicate);
    assert_eq!((bed.stands("acme").await, bed.stands("acme/a").await), ((120, 0), (120, 0)));
    assert!(bed.engine.budget("default", "acme").await.unwrap().breached);
    bed.engine.adjust("acme/a", adjust("a2", 0, 50)).await.unwrap();
    assert_eq!((bed.stands("acme").await, bed.stands("acme/a").await), ((70, 0), (70, 0)));
    assert!(!bed.engine.budget("default", "acme").await.unwrap().breached, "it ends a breach");
    assert_eq!(bed.spent_by(ReportBy::Path).await, [("acme/a".to_owned(), 70)]);
    let counted = bed.engine.reconcile("acme", ReconcileRequest::default()).await.unwrap();
    assert_eq!((counted.counted, counted.drifts), (2, vec![]));
    let kinds = vec![LedgerKind::Adjustment];
    let ledger = bed.engine.ledger("default", "acme", LedgerRequest { kinds, ..LedgerRequest::default() });
    let entries = ledger.await.unwrap().entries;
    assert_eq!(entries.len(), 2);
    assert_eq!(
        (&entries[1].less, &entries[1].reason),
        (&Some(usd(50)), &Some("the bill of November".into()))
    );
    for (path, request, code) in [
        ("acme/a", adjust("a1", 31, 0), Code::ChargeConflict),
        ("acme/a", adjust("a3", 0, 0), Code::InvalidField),
        ("acme/none", adjust("a3", 1, 0), Code::BudgetNotFound),
    ] {
        assert_eq!(bed.engine.adjust(path, request).await.unwrap_err().code, code);
    }
}
