//! Records of money, each with as much in it as there can be.

#![allow(unreachable_pub, clippy::unwrap_used)]

use std::collections::BTreeMap;

use stint_core::model::*;
use stint_core::*;

const AT: Millis = 1_795_000_000_000;

fn usd(amount: u64) -> Amounts {
    Amounts::of([("calls", 1), ("usd_micros", amount)])
}

fn id() -> ExecutionId {
    ExecutionId::fresh(AT, PartitionId(7), 5)
}

fn key() -> PermitKey {
    PermitKey { execution: id(), ask: 3, n: 1 }
}

fn shortfall() -> Shortfall {
    Shortfall {
        path: "acme".into(),
        window: "day".into(),
        dimension: "usd_micros".into(),
        limit: 500_000,
        used: 400_000,
        held: 90_000,
        missing: 20_000,
        resets_at: Some(AT + 3_600_000),
    }
}

fn ask() -> Ask {
    Ask {
        namespace: "default".into(),
        path: "acme/search".into(),
        kind: "agent".into(),
        hold: Some(usd(30_000)),
        missing: Some(usd(5)),
        order: AT - 600_000,
        queue: true,
        cap: Some(vec![("usd_micros".into(), 0)]),
        before: Some(usd(700)),
        promised: Some(usd(20)),
        as_next: Some(true),
    }
}

fn charge() -> Charge {
    Charge {
        id: "resp-1".into(),
        amounts: usd(4_200),
        model: Some("model-1".into()),
        prices: Some(3),
        step: Some("call-7".into()),
        repeats: Some(true),
        attempt: Some(2),
        kind: Some("agent".into()),
        unpriced: Some(true),
        usage: Some([8; 16]),
    }
}

fn budget(kind: WindowKind) -> Budget {
    let soft = Some(vec![Soft::Percent(80), Soft::Amount(450_000)]);
    let limits = BTreeMap::from([("usd_micros".to_owned(), Limit { hard: Some(500_000), soft })]);
    Budget {
        windows: vec![Window { name: "day".into(), kind, limits }],
        on_hard: Some(OnHard::Fail),
        default_hold: Some(usd(10_000)),
        overshoot: Some(usd(1)),
        in_doubt_ms: Some(60_000),
        stop_grace_ms: Some(30_000),
        shadow: Some(true),
        carry_over: Some(true),
        generation: 9,
    }
}

fn counters() -> Counters {
    let period = Counted {
        start: AT,
        next: AT + 1,
        end: AT + 2,
        used: usd(7),
        topped: usd(2),
        owed: Some(Amounts::of([("calls", 1)])),
    };
    let top_up = TopUp { id: "t".into(), amounts: usd(9), left: usd(5), expires_at: Some(AT + 86_400_000) };
    let counted = WindowCounter {
        name: "day".into(),
        since: 12,
        periods: vec![period],
        top_ups: Some(vec![top_up]),
        told: None,
        told_in: 0,
    };
    let told = Some(vec![("usd_micros".into(), 400_000)]);
    Counters {
        windows: vec![WindowCounter { told, told_in: AT, ..counted.clone() }],
        breaches: 2,
        breached: Some(true),
        exhausted: Some(true),
        overcommitted: Some(true),
        verified: Some(Verified { seq: 40, at: AT, windows: vec![counted], full_at: AT }),
    }
}

fn hold() -> Hold {
    Hold {
        namespace: "default".into(),
        path: "acme/search".into(),
        held: usd(20_000),
        charged: usd(10_000),
        kind: Some("agent".into()),
        until: Some(AT + 60_000),
        in_doubt: Some(true),
        extends: Some(vec![Extended {
            id: "e-1".into(),
            amounts: usd(5),
            granted: false,
            shortfall: Some(shortfall()),
        }]),
        granted: usd(30_000),
        cap: Some(vec![("usd_micros".into(), 40_000)]),
        before: Some(usd(700)),
        promised: Some(usd(20)),
    }
}

fn spending() -> Spending {
    let permit = |state| Some(Permit { ask: 3, state, held: Some(usd(30_000)) });
    Spending {
        asks: 3,
        permits: vec![permit(PermitState::Granted), permit(PermitState::Queued(shortfall())), None],
        until: Some(AT + 5_000),
        spent: usd(40_000),
        attempt_spent: usd(10_000),
        missing: Some(vec![usd(1), Amounts::default()]),
        ran_ms: 5_000,
        attempt_ran_ms: 1_000,
        blocked_since: Some(AT),
        resumed: Some(true),
        rounds: Some(2),
        rests: Some(1),
        given_back: Some(true),
        promised: Some(vec![usd(20)]),
    }
}

fn entry() -> Entry {
    Entry {
        charge_id: Some("resp-1".into()),
        execution: Some(id()),
        attempt: Some(2),
        execution_kind: Some("agent".into()),
        step: Some("call-7".into()),
        model: Some("model-1".into()),
        prices: Some(3),
        booked_at: Some(AT - 1),
        window: Some("day".into()),
        less: Some(usd(1)),
        late: Some(true),
        refunds: Some(40),
        expires_at: Some(AT + 86_400_000),
        paid: Some(usd(3)),
        ..Entry::new(AT, EntryKind::Charge, "acme/search", usd(4_200))
    }
}

fn roll_up() -> RollUp {
    let charge = RollUp::of(41, &entry()).unwrap();
    let refund = Entry { kind: EntryKind::Refund, ..entry() };
    let mut sum = RollUp::of(44, &refund).unwrap();
    sum.add(&charge);
    sum
}

/// One whose sums no amount could hold.
fn wide() -> RollUp {
    let most = Entry::new(AT, EntryKind::Charge, "acme", Amounts::of([("usd_micros", u64::MAX)]));
    let mut sum = RollUp::of(1, &most).unwrap();
    sum.add(&RollUp::of(2, &most).unwrap());
    sum
}

fn ledger_mark() -> LedgerMark {
    LedgerMark {
        rolled: 90,
        until: hour(AT),
        until_seq: 88,
        folded: day(AT),
        cursor: Some(vec![b'h', 1, 2]),
        swept: day(AT) - DAY_MS,
        trimmed: 40,
        cleared: day(AT) - 2 * DAY_MS,
    }
}

fn carried() -> Carried {
    let windows =
        counters().windows.into_iter().map(|window| WindowCounter { told: None, told_in: 0, ..window });
    Carried { all: Counted { used: usd(7_000), ..Counted::default() }, windows: windows.collect() }
}

fn link(message: Message) -> Vec<u8> {
    Record::Link(Box::new(Link { sequence: 4, id: 77, previous: 76, chain: 2, message })).encode()
}

/// By name.
pub fn samples() -> Vec<(String, Vec<u8>)> {
    let price = Price {
        input: 150_000,
        cached_input: Some(75_000),
        cache_write: Some(187_500),
        output: 600_000,
        call: 3,
    };
    let table = PriceTable {
        version: 3,
        unpriced: Unpriced::Quarantine,
        models: BTreeMap::from([("model-1*".to_owned(), price)]),
    };
    let mut estimate = Estimate::default();
    (0..20).for_each(|n| estimate.record(&usd(n * 1_000)));
    let zone = || "Europe/Berlin".to_owned();
    let used = BudgetUse {
        path: "acme/search".into(),
        hold: Some(usd(30_000)),
        cap: Some(usd(100_000)),
        attempt_cap: Some(usd(50_000)),
    };
    let policy = Policy { budgets: vec![used], ..DEFAULT_POLICY };
    let group = Group {
        namespace: "default".into(),
        lane: "default".into(),
        kind: "agent".into(),
        requires: Vec::new(),
    };
    let mut execution = Execution::new(id(), group.into(), policy.into(), 0, AT, None);
    execution.spending = Some(Box::new(spending()));
    let body = [6; 16];
    let permit_charge = PermitCharge {
        key: key(),
        namespace: "default".into(),
        path: "acme".into(),
        charge: charge(),
        late: true,
    };
    let held = vec![HeldPermit { key: key(), ask: ask() }];
    let (path, namespace) = ("acme".to_owned(), "default".to_owned());
    let (on_hard, grace_ms) = (OnHard::Suspend, 30_000);
    let settings = NamespaceSettings {
        generation: 2,
        retention_ms: Some(3_600_000),
        ledger_retention_ms: Some(2 * DAY_MS),
    };
    let samples = [
        ("execution-spending", Record::Execution(Box::new(execution)).encode()),
        ("budget-day", Record::Budget(Box::new(budget(WindowKind::Day { zone: zone() }))).encode()),
        ("budget-week", Record::Budget(Box::new(budget(WindowKind::Week { zone: zone() }))).encode()),
        ("budget-month", Record::Budget(Box::new(budget(WindowKind::Month { zone: zone() }))).encode()),
        (
            "budget-rolling",
            Record::Budget(Box::new(budget(WindowKind::Rolling { every_ms: 60_000 }))).encode(),
        ),
        ("budget-total", Record::Budget(Box::new(budget(WindowKind::Total))).encode()),
        ("counters", Record::Counters(Box::new(counters())).encode()),
        ("hold", Record::Hold(Box::new(hold())).encode()),
        (
            "ended_hold",
            EndedHold {
                namespace: "default".into(),
                path: "acme/search".into(),
                granted: usd(30_000),
                at: AT,
            }
            .encode(),
        ),
        ("waiter", Record::Waiter(Box::new(ask())).encode()),
        ("estimate", Record::Estimate(Box::new(estimate)).encode()),
        ("tree", Record::Tree(TreeRecord { seq: 41 }).encode()),
        ("prices", Record::Prices(Box::new(table.clone())).encode()),
        ("entry", entry().encode()),
        ("roll_up", roll_up().encode()),
        ("roll_up-wide", wide().encode()),
        ("carried", carried().encode()),
        ("ledger_mark", Record::LedgerMark(Box::new(ledger_mark())).encode()),
        ("namespace-ledger", Record::Namespace(settings.clone()).encode()),
        ("namespace_home-ledger", Record::Namespace(settings.clone()).encode()),
        ("link-namespace-ledger", link(Message::Namespace { namespace: namespace.clone(), settings })),
        (
            "charge",
            ChargeRecord {
                seq: 41,
                at: AT,
                body,
                path: path.clone(),
                refunded: Some(usd(1)),
                quarantined: Some(true),
                amounts: usd(4_200),
                execution: Some(id()),
                unpriced: Some(true),
            }
            .encode(),
        ),
        (
            "lease_charge",
            LeaseChargeRecord { body, epoch: 2, at: AT, charge: charge(), late: Some(true) }.encode(),
        ),
        (
            "epoch",
            EpochRecord { token: LeaseToken([5; 16]), asks: vec![3, 0], attempt: 2, settled: true }.encode(),
        ),
        ("link-ask", link(Message::Ask { key: key(), ask: ask() })),
        ("link-reorder", link(Message::Reorder { key: key(), order: -5 })),
        ("link-charge", link(Message::Charge(permit_charge))),
        ("link-end", link(Message::End { key: key(), settled: true, over: true })),
        ("link-permits", link(Message::Permits { held, pending: vec![key()] })),
        ("link-granted", link(Message::Granted { key: key(), held: usd(30_000) })),
        ("link-queued", link(Message::Queued { key: key(), shortfall: shortfall() })),
        ("link-refused-not_now", link(Message::Refused { key: key(), denial: Denial::NotNow(shortfall()) })),
        (
            "link-refused-too_large",
            link(Message::Refused { key: key(), denial: Denial::TooLarge(shortfall()) }),
        ),
        ("link-refused-not_found", link(Message::Refused { key: key(), denial: Denial::NotFound })),
        (
            "link-short",
            link(Message::Short {
                key: key(),
                missing: usd(1),
                shortfall: shortfall(),
                on_hard,
                grace_ms,
                promised: Some(usd(1)),
            }),
        ),
        ("link-stop", link(Message::Stop { namespace: namespace.clone(), path, on_hard, grace_ms })),
        ("link-check", link(Message::Check(vec![key()]))),
        ("link-unwanted", link(Message::Unwanted(vec![key()]))),
        ("link-prices", link(Message::Prices { namespace, table })),
        ("link-prices_of", link(Message::PricesOf(vec!["default".into()]))),
    ];
    samples.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect()
}
