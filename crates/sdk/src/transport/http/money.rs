//! What is said about money, as HTTP has it.

use reqwest::Method;

use super::answer::read;
use super::call::Call;
use crate::transport::money::Money;
use crate::transport::{Page, Reply, SendError, Target};

impl<'a> Call<'a> {
    pub(super) fn of_money(money: &'a Money) -> Self {
        match money {
            Money::SetBudget(path, body) => Self { method: Method::PUT, ..Self::post(budget(path), body) },
            Money::Budget(of) => Self::get(budget(&of.name), &of.namespace),
            Money::DeleteBudget { of, force } => {
                let mut call = Self { method: Method::DELETE, ..Self::get(budget(&of.name), &of.namespace) };
                call.ask("force", force.then_some(true));
                call
            }
            Money::Budgets { namespace, under, page } => {
                let mut call = Self::get(vec!["v1", "budgets"], namespace);
                call.ask("under", under.as_deref());
                call.page(page)
            }
            Money::Raise(path, body) => Self::post(budget(path), body).verb("raise"),
            Money::TopUp(path, body) => Self::post(budget(path), body).verb("topup"),
            Money::Hold(path, body) => Self::post(budget(path), body).verb("hold"),
            Money::Charge(path, body) => Self::post(budget(path), body).verb("charge"),
            Money::Adjust(path, body) => Self::post(budget(path), body).verb("adjust"),
            Money::Refund(path, body) => Self::post(budget(path), body).verb("refund"),
            Money::Reconcile(path, body) => Self::post(budget(path), body).verb("reconcile"),
            Money::Ledger(Target { namespace, name }, request) => {
                let mut call = Self::get(budget(name), namespace).verb("ledger");
                call.query.extend(request.query().into_iter().map(|(name, value)| (name.into(), value)));
                call.page(&Page { limit: request.limit, cursor: request.cursor.clone() })
            }
            Money::Report(Target { namespace, name }, request) => {
                let mut call = Self::get(budget(name), namespace).verb("report");
                call.query.extend(request.query().into_iter().map(|(name, value)| (name.into(), value)));
                call
            }
            Money::ExtendHold(id, body) => Self::post(vec!["v1", "holds", id, "extend"], body),
            Money::ChargeHold(id, body) => Self::post(vec!["v1", "holds", id, "charge"], body),
            Money::SettleHold(id, body) => Self::post(vec!["v1", "holds", id, "settle"], body),
            Money::ReleaseHold(id, body) => Self::post(vec!["v1", "holds", id, "release"], body),
            Money::Prices { namespace } => Self::get(vec!["v1", "prices"], namespace),
            Money::SetPrices(body) => Self { method: Method::PUT, ..Self::post(vec!["v1", "prices"], body) },
            Money::ChargeLease(lease, body) => Self::post(vec!["v1", "leases", lease, "charge"], body),
            Money::ExtendLease(lease, body) => Self::post(vec!["v1", "leases", lease, "hold"], body),
            Money::Suspended(lease, body) => Self::post(vec!["v1", "leases", lease, "suspended"], body),
        }
    }
}

fn budget(path: &str) -> Vec<&str> {
    ["v1", "budgets"].into_iter().chain(path.split('/')).collect()
}

/// What was answered.
pub(super) fn reply(money: &Money, body: &[u8]) -> Result<Reply, SendError> {
    Ok(match money {
        Money::SetBudget(..) | Money::Budget(_) | Money::Raise(..) | Money::TopUp(..) => {
            Reply::Budget(read(body)?)
        }
        Money::DeleteBudget { .. } => Reply::Deleted(()),
        Money::Budgets { .. } => Reply::Budgets(read(body)?),
        Money::Hold(..) => Reply::Held(read(body)?),
        Money::Charge(..)
        | Money::Refund(..)
        | Money::Adjust(..)
        | Money::ChargeHold(..)
        | Money::ChargeLease(..) => Reply::Charged(read(body)?),
        Money::Reconcile(..) => Reply::Reconciled(read(body)?),
        Money::Ledger(..) => Reply::Ledger(read(body)?),
        Money::Report(..) => Reply::Report(read(body)?),
        Money::ExtendHold(..) | Money::ExtendLease(..) => Reply::Extended(read(body)?),
        Money::SettleHold(..) => Reply::Settled(read(body)?),
        Money::ReleaseHold(..) => Reply::HoldReleased(read(body)?),
        Money::Prices { .. } | Money::SetPrices(_) => Reply::Prices(read(body)?),
        Money::Suspended(..) => Reply::Ended(read(body)?),
    })
}
