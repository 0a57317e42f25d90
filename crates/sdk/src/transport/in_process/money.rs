//! What is said about money, to an engine in the same process.

use stint_engine::Engine;

use super::boxed;
use crate::transport::money::Money;
use crate::transport::{Reply, SendError};

pub(super) async fn call(engine: &Engine, money: &Money) -> Result<Reply, SendError> {
    Ok(match money.clone() {
        Money::SetBudget(path, body) => Reply::Budget(Box::new(boxed(engine.set_budget(&path, body)).await?)),
        Money::Budget(of) => Reply::Budget(Box::new(boxed(engine.budget(&of.namespace, &of.name)).await?)),
        Money::DeleteBudget { of, force } => {
            Reply::Deleted(boxed(engine.delete_budget(&of.namespace, &of.name, force)).await?)
        }
        Money::Budgets { namespace, under, page } => {
            let (limit, cursor) = (page.limit, page.cursor.as_deref());
            Reply::Budgets(boxed(engine.budgets(&namespace, under.as_deref(), limit, cursor)).await?)
        }
        Money::Raise(path, body) => Reply::Budget(Box::new(boxed(engine.raise_budget(&path, body)).await?)),
        Money::TopUp(path, body) => Reply::Budget(Box::new(boxed(engine.top_up_budget(&path, body)).await?)),
        Money::Hold(path, body) => Reply::Held(boxed(engine.hold_budget(&path, body)).await?),
        Money::Charge(path, body) => Reply::Charged(boxed(engine.charge_budget(&path, body)).await?),
        Money::Adjust(path, body) => Reply::Charged(boxed(engine.adjust(&path, body)).await?),
        Money::Refund(path, body) => Reply::Charged(boxed(engine.refund(&path, body)).await?),
        Money::Reconcile(path, body) => Reply::Reconciled(boxed(engine.reconcile(&path, body)).await?),
        Money::Ledger(of, request) => {
            Reply::Ledger(boxed(engine.ledger(&of.namespace, &of.name, request)).await?)
        }
        Money::Report(of, request) => {
            Reply::Report(Box::new(boxed(engine.report(&of.namespace, &of.name, request)).await?))
        }
        Money::ExtendHold(id, body) => Reply::Extended(boxed(engine.extend_hold(&id, body)).await?),
        Money::ChargeHold(id, body) => Reply::Charged(boxed(engine.charge_hold(&id, body)).await?),
        Money::SettleHold(id, body) => Reply::Settled(boxed(engine.settle_hold(&id, body)).await?),
        Money::ReleaseHold(id, _) => Reply::HoldReleased(boxed(engine.release_hold(&id)).await?),
        Money::Prices { namespace } => Reply::Prices(Box::new(boxed(engine.prices(&namespace)).await?)),
        Money::SetPrices(body) => Reply::Prices(Box::new(boxed(engine.set_prices(body)).await?)),
        Money::ChargeLease(lease, body) => Reply::Charged(boxed(engine.charge(&lease, body)).await?),
        Money::ExtendLease(lease, body) => Reply::Extended(boxed(engine.extend(&lease, body)).await?),
        Money::Suspended(lease, body) => Reply::Ended(boxed(engine.suspended(&lease, body)).await?),
    })
}
