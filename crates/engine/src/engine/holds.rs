//! Holds without a lease, for services that only want the budget.

use stint_api::{
    BudgetChargeRequest, ChargeReply, Code, DEFAULT_NAMESPACE, ExtendReply, ExtendRequest, HoldReply,
    HoldRequest, Problem, ReleaseHoldReply, SettleReply, SettleRequest,
};
use stint_core::command::{
    ChargeHold, ExtendHold, HoldBudget, Outcome, ReleaseHold, SettleHold, Settled, budget_home,
};
use stint_core::model::HoldKey;
use stint_core::{Command, HoldId};

use super::Engine;
use super::budgets::check_budget;
use super::charges::booked;
use crate::edge::problem::unexpected;
use crate::edge::submission::millis;
use crate::edge::{budget, charge as edge};

impl Engine {
    /// Sets money aside, once per id. It does not wait: what is not free is refused.
    pub async fn hold_budget(&self, path: &str, request: HoldRequest) -> Result<HoldReply, Problem> {
        request.validate()?;
        let namespace = request.namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
        check_budget(&namespace, path)?;
        let home = budget_home(&namespace, path);
        let source = format!("{namespace}\0{path}\0{}", request.id);
        let hold = HoldBudget {
            id: HoldId::derived(home, source.as_bytes()),
            namespace,
            path: path.to_owned(),
            amounts: budget::kept_amounts(&request.amounts),
            ttl_ms: millis(request.ttl_ms),
        };
        match self.0.call(home, Command::HoldBudget(hold)).await? {
            Outcome::Held(view) => Ok(edge::hold(&view)),
            _ => Err(unexpected()),
        }
    }

    /// Asks for more under a hold. It is answered at once.
    pub async fn extend_hold(&self, hold: &str, request: ExtendRequest) -> Result<ExtendReply, Problem> {
        request.validate()?;
        let hold = hold_id(hold)?;
        let amounts = budget::kept_amounts(&request.amounts);
        let ExtendRequest { id, at_least, .. } = request;
        let extend = ExtendHold { hold: HoldKey::Free(hold), id, amounts, at_least };
        match self.0.call(hold.partition(), Command::ExtendHold(extend)).await? {
            Outcome::Extended(answer) => Ok(edge::extended(&answer)),
            _ => Err(unexpected()),
        }
    }

    /// Books what was spent under a hold.
    pub async fn charge_hold(
        &self,
        hold: &str,
        request: BudgetChargeRequest,
    ) -> Result<ChargeReply, Problem> {
        request.validate()?;
        let hold = hold_id(hold)?;
        let spent = edge::spent(request.amounts.as_ref(), request.usage);
        let charge = ChargeHold { hold, id: request.charge_id, spent };
        booked(self.0.call(hold.partition(), Command::ChargeHold(charge)).await?)
    }

    /// Ends a hold with what was spent under it.
    pub async fn settle_hold(&self, hold: &str, request: SettleRequest) -> Result<SettleReply, Problem> {
        request.validate()?;
        let hold = hold_id(hold)?;
        let charges = request
            .charges
            .into_iter()
            .map(|charge| (charge.charge_id, edge::spent(charge.amounts.as_ref(), charge.usage)));
        let settle = SettleHold { hold, charges: charges.collect() };
        match self.0.call(hold.partition(), Command::SettleHold(settle)).await? {
            Outcome::Settled(Settled { over, duplicates, quarantined }) => {
                Ok(SettleReply { settled: true, over_limit: over, duplicates, quarantined })
            }
            _ => Err(unexpected()),
        }
    }

    /// Ends a hold: what is left is free. One that is over is none.
    pub async fn release_hold(&self, hold: &str) -> Result<ReleaseHoldReply, Problem> {
        let hold = hold_id(hold)?;
        self.0.call(hold.partition(), Command::ReleaseHold(ReleaseHold { hold })).await?;
        Ok(ReleaseHoldReply { released: true })
    }
}

fn hold_id(text: &str) -> Result<HoldId, Problem> {
    text.parse().map_err(|malformed: stint_core::ids::Malformed| {
        Problem::new(Code::MalformedId, format!("expected {}", malformed.expected)).at("id")
    })
}
