//! What was spent: recorded where the execution lives, and booked in each budget's tree.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use stint_api::{
    AdjustRequest, BudgetChargeRequest, ChargeReply, ChargeRequest, DEFAULT_NAMESPACE, ExtendReply,
    LeaseHoldRequest, Problem, RefundRequest,
};
use stint_core::command::{
    Adjust, BookCharge, ChargeBudget, ChargeLease, ExtendHold, LeaseBudgets, LeasePermit, Outcome, Refund,
    budget_home,
};
use stint_core::model::PermitCharge;
use stint_core::{Command, LeaseRef, PartitionId};
use tokio::time::{Instant, timeout_at};

use super::budgets::check_budget;
use super::{Engine, Inner};
use crate::edge::problem::{problem, unexpected};
use crate::edge::{budget, charge as edge};

/// How long the answer to a charge waits for its trees: it is recorded already, and booked whether anybody waits or not.
const BOOKED: Duration = Duration::from_millis(50);

impl Engine {
    /// Records what was spent under a lease, whether it holds or not.
    pub async fn charge(&self, lease: &str, request: ChargeRequest) -> Result<ChargeReply, Problem> {
        request.validate()?;
        let lease = self.0.leased(lease, request.namespace.as_deref()).await?;
        let spent = edge::spent(request.amounts.as_ref(), request.usage);
        self.0.charge(ChargeLease { lease, id: request.charge_id, spent, step: request.step }).await
    }

    /// Asks for more under a lease, before more is spent.
    pub async fn extend(&self, lease: &str, request: LeaseHoldRequest) -> Result<ExtendReply, Problem> {
        request.validate()?;
        let lease = self.0.leased(lease, request.namespace.as_deref()).await?;
        let LeaseHoldRequest { id, path, amounts, at_least, .. } = request;
        self.0.extend(lease, More { id, path, amounts: budget::kept_amounts(&amounts), at_least }).await
    }

    /// Books what was spent under a path, without an execution.
    pub async fn charge_budget(
        &self,
        path: &str,
        request: BudgetChargeRequest,
    ) -> Result<ChargeReply, Problem> {
        request.validate()?;
        let namespace = request.namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
        check_budget(&namespace, path)?;
        let home = budget_home(&namespace, path);
        let spent = edge::spent(request.amounts.as_ref(), request.usage);
        let command = ChargeBudget { namespace, path: path.to_owned(), id: request.charge_id, spent };
        booked(self.0.call(home, Command::ChargeBudget(command)).await?)
    }

    /// Gives back what a charge took, once per id.
    pub async fn refund(&self, path: &str, request: RefundRequest) -> Result<ChargeReply, Problem> {
        request.validate()?;
        let namespace = request.namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
        check_budget(&namespace, path)?;
        let home = budget_home(&namespace, path);
        let refund = Refund {
            namespace,
            path: path.to_owned(),
            id: request.id,
            charge_id: request.charge_id,
            amounts: budget::kept_amounts(&request.amounts),
        };
        let reply = booked(self.0.call(home, Command::Refund(refund)).await?)?;
        Ok(ChargeReply { amounts: request.amounts, ..reply })
    }
}

impl Engine {
    /// Sets right what a budget has used, once per id.
    pub async fn adjust(&self, path: &str, request: AdjustRequest) -> Result<ChargeReply, Problem> {
        request.validate()?;
        let namespace = request.namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
        check_budget(&namespace, path)?;
        let home = budget_home(&namespace, path);
        let adjust = Adjust {
            namespace,
            path: path.to_owned(),
            id: request.id,
            more: budget::kept_amounts(&request.amounts),
            less: budget::kept_amounts(&request.less),
            reason: request.reason,
        };
        let reply = booked(self.0.call(home, Command::Adjust(adjust)).await?)?;
        Ok(ChargeReply { amounts: request.amounts, ..reply })
    }
}

/// An ask for more under a lease.
#[derive(Debug)]
pub(crate) struct More {
    pub(crate) id: String,
    pub(crate) path: Option<String>,
    pub(crate) amounts: stint_core::model::Amounts,
    /// Only what the hold lacks of it.
    pub(crate) at_least: bool,
}

impl Inner {
    /// Records a charge, and says how the budgets stand if they say so soon.
    pub(crate) async fn charge(&self, charge: ChargeLease) -> Result<ChargeReply, Problem> {
        let partition = charge.lease.execution.partition();
        let Outcome::Charged(charged) = self.call(partition, Command::ChargeLease(charge)).await? else {
            return Err(unexpected());
        };
        let until = Instant::now() + BOOKED;
        let mut books: FuturesUnordered<_> =
            charged.sent.iter().map(|(tree, charge)| self.book(*tree, charge.clone())).collect();
        let mut answers = Vec::with_capacity(charged.sent.len());
        while let Ok(Some(answer)) = timeout_at(until, books.next()).await {
            if let Ok(Outcome::Booked(answer)) = answer {
                answers.push(answer);
            }
        }
        drop(books);
        let all = answers.len() == charged.sent.len();
        Ok(edge::charged(*charged, &answers, all))
    }

    /// Asks the tree of one of a lease's budgets for more.
    pub(crate) async fn extend(&self, lease: LeaseRef, more: More) -> Result<ExtendReply, Problem> {
        let partition = lease.execution.partition();
        let Outcome::Permits(permits) =
            self.call(partition, Command::LeaseBudgets(LeaseBudgets { lease })).await?
        else {
            return Err(unexpected());
        };
        let More { id, path, amounts, at_least } = more;
        let LeasePermit { tree, hold, .. } = chosen(permits, path.as_deref())?;
        match self.call(tree, Command::ExtendHold(ExtendHold { hold, id, amounts, at_least })).await? {
            Outcome::Extended(answer) => Ok(edge::extended(&answer)),
            _ => Err(unexpected()),
        }
    }

    async fn book(&self, tree: PartitionId, charge: PermitCharge) -> Result<Outcome, Problem> {
        self.node.call(tree, Command::BookCharge(BookCharge { charge })).await.map_err(problem)
    }
}

/// What a charge on a path or a hold came to.
pub(super) fn booked(outcome: Outcome) -> Result<ChargeReply, Problem> {
    match outcome {
        Outcome::Booked(booked) => Ok(edge::booked(booked)),
        _ => Err(unexpected()),
    }
}

/// The budget that is meant; it needs no name if it is the only one.
fn chosen(permits: Vec<LeasePermit>, path: Option<&str>) -> Result<LeasePermit, Problem> {
    let names: Vec<String> = permits.iter().map(|permit| format!("`{}`", permit.path)).collect();
    let only = permits.len() == 1;
    let found = permits.into_iter().find(|permit| path.map_or(only, |path| permit.path == path));
    found.ok_or_else(|| {
        let detail = match (path, names.is_empty()) {
            (_, true) => "the execution names no budget".to_owned(),
            (Some(path), _) => format!("the execution does not name `{path}`, it names {}", names.join(", ")),
            (None, _) => format!("the execution names several budgets: {}", names.join(", ")),
        };
        Problem::invalid("path", detail)
    })
}
