//! Charges and holds as requests say them, and as replies show them.

use stint_api::{
    Amounts, BudgetDrift, BudgetStray, ChargeReply, DriftOf, ExtendReply, HoldReply, Instant, OverCap, Price,
    PricesReply, PricesRequest, Unpriced, Usage,
};
use stint_core::command::{self, Booked, Charged, Drift, ExtendAnswer, HoldView, Spent};
use stint_core::model;

use super::budget::{amounts, kept_amounts, shortfall};

use crate::scanner::strays::Stray;

/// What was spent. A request has one of the two; nothing at all is nothing spent.
pub(crate) fn spent(amounts: Option<&Amounts>, usage: Option<Usage>) -> Spent {
    match usage {
        Some(usage) => Spent::Usage(model::Usage {
            model: usage.model,
            input_tokens: usage.input_tokens,
            cached_input_tokens: usage.cached_input_tokens,
            cache_write_tokens: usage.cache_write_tokens,
            output_tokens: usage.output_tokens,
            calls: usage.calls.unwrap_or(model::DEFAULT_CALLS),
        }),
        None => Spent::Amounts(amounts.map(kept_amounts).unwrap_or_default()),
    }
}

/// A charge under a lease, with what its trees have answered: `all` of them, or only some.
pub(crate) fn charged(charged: Charged, booked: &[Booked], all: bool) -> ChargeReply {
    let over = booked.iter().any(|booked| booked.over.is_some() || booked.breached);
    ChargeReply {
        recorded: true,
        amounts: amounts(&charged.amounts),
        prices: charged.prices,
        late: charged.late,
        over_limit: (over || all).then_some(over),
        shortfall: booked.iter().find_map(|booked| booked.over.as_ref()).map(shortfall),
        over_cap: charged.over_cap.map(|(path, dimension)| OverCap { path, dimension }),
        quarantined: charged.quarantined || booked.iter().any(|booked| booked.quarantined),
        duplicate: charged.existed || booked.iter().any(|booked| booked.elsewhere),
    }
}

/// A charge on a path or a hold.
pub(crate) fn booked(booked: Booked) -> ChargeReply {
    ChargeReply {
        recorded: true,
        amounts: amounts(&booked.amounts),
        prices: booked.prices,
        late: booked.late,
        over_limit: Some(booked.over.is_some() || booked.breached),
        shortfall: booked.over.as_ref().map(shortfall),
        over_cap: None,
        quarantined: booked.quarantined,
        duplicate: booked.existed,
    }
}

/// The answer to an extend.
pub(crate) fn extended(answer: &ExtendAnswer) -> ExtendReply {
    ExtendReply {
        granted: answer.granted,
        shortfall: answer.shortfall.as_ref().map(shortfall),
        capped: answer.capped,
    }
}

/// A hold as it stands.
pub(crate) fn hold(view: &HoldView) -> HoldReply {
    HoldReply {
        hold: view.id.to_string(),
        held: amounts(&view.held),
        expires_at: view.until.map(Instant::from_millis),
        in_doubt: view.in_doubt,
        ended: view.ended,
    }
}

/// What differed.
pub(crate) fn drift(drift: Drift) -> BudgetDrift {
    let (of, top_up) = match drift.of {
        command::DriftOf::Used => (DriftOf::Used, None),
        command::DriftOf::Owed => (DriftOf::Owed, None),
        command::DriftOf::Topped => (DriftOf::Topped, None),
        command::DriftOf::Left { top_up } => (DriftOf::Left, Some(top_up)),
    };
    BudgetDrift {
        path: drift.path,
        window: drift.window,
        period: Instant::from_millis(drift.period),
        of,
        top_up,
        counted: amounts(&drift.counted),
        ledger: amounts(&drift.ledger),
    }
}

/// What is kept for an execution that does not want it.
pub(crate) fn stray(stray: Stray) -> BudgetStray {
    let Stray { key, path, held, dropped } = stray;
    BudgetStray { path, execution: key.execution.to_string(), held: amounts(&held), dropped }
}

/// A price table as core keeps it.
pub(crate) fn kept_prices(request: PricesRequest) -> model::PriceTable {
    let kept = |price: Price| {
        let Price { input, cached_input, cache_write, output, call } = price;
        model::Price { input, cached_input, cache_write, output, call }
    };
    model::PriceTable {
        version: 0,
        unpriced: match request.unpriced {
            Unpriced::Refuse => model::Unpriced::Refuse,
            Unpriced::Quarantine => model::Unpriced::Quarantine,
        },
        models: request.models.into_iter().map(|(name, price)| (name, kept(price))).collect(),
    }
}

/// A price table.
pub(crate) fn prices(table: model::PriceTable, missing_partitions: Vec<u32>) -> PricesReply {
    let shown = |price: model::Price| {
        let model::Price { input, cached_input, cache_write, output, call } = price;
        Price { input, cached_input, cache_write, output, call }
    };
    PricesReply {
        version: table.version,
        unpriced: match table.unpriced {
            model::Unpriced::Refuse => Unpriced::Refuse,
            model::Unpriced::Quarantine => Unpriced::Quarantine,
        },
        models: table.models.into_iter().map(|(name, price)| (name, shown(price))).collect(),
        missing_partitions,
    }
}
