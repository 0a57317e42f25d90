//! A worker has spent: recorded here first, with the caps, and sent on to each budget's tree.

use super::super::context::Context;
use super::super::{Outcome, Refusal};
use super::{cap::cap_spent, stop_one, tell, tree_of};
use crate::event::EventKind;
use crate::ids::{ExecutionId, LeaseRef, PartitionId};
use crate::key::{self, Key};
use crate::model::{
    Amounts, ArchiveRecord, Charge, EpochRecord, Execution, Hash, HoldKey, LeaseChargeRecord, Message,
    OnHard, PermitCharge, PermitKey, PriceError, STOP_GRACE_MS, State, StepRecord, USD_MICROS, Unpriced,
    Usage,
};
use crate::partition::Partition;

/// What was spent, as the worker says it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Spent {
    /// Amounts.
    Amounts(Amounts),
    /// A model's usage, to be priced here.
    Usage(Usage),
}

impl Spent {
    /// Hash of what is said: a charge of it has the same [body](Charge::body).
    pub(in super::super) fn said(&self) -> Hash {
        match self {
            Self::Amounts(amounts) => Charge::new("", amounts.clone()).body(),
            Self::Usage(usage) => usage.hash(),
        }
    }
}

/// Record what was spent under a lease. A fact: valid after the lease is lost, and answered the same when said again.
#[derive(Clone, Debug)]
pub struct ChargeLease {
    /// The lease.
    pub lease: LeaseRef,
    /// The charge's id, within the execution and within each budget's tree.
    pub id: String,
    /// How much.
    pub spent: Spent,
    /// The journaled step it belongs to.
    pub step: Option<String>,
}

/// A recorded charge.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Charged {
    /// What was charged.
    pub amounts: Amounts,
    /// The version of the price table that priced it.
    pub prices: Option<u64>,
    /// The lease was over.
    pub late: bool,
    /// It was recorded before, under the same id.
    pub existed: bool,
    /// A cap of the execution is exceeded: path and dimension.
    pub over_cap: Option<(String, String)>,
    /// It has no price yet, and is kept aside.
    pub quarantined: bool,
    /// What was sent to the trees; booking it there directly tells how they stand.
    pub sent: Vec<(PartitionId, PermitCharge)>,
}

/// Tell the partitions of trees again what one execution was charged lately: they may have lost it, and know by the charges' ids
/// what they have not.
#[derive(Clone, Debug)]
pub struct Recharge {
    /// The trees' partitions.
    pub peers: Vec<PartitionId>,
    /// The execution.
    pub execution: ExecutionId,
    /// Its charges, read beforehand.
    pub charges: Vec<LeaseChargeRecord>,
}

impl Recharge {
    pub(in super::super) fn cold_keys(&self, partition: &Partition) -> Vec<Key> {
        if partition.execution(self.execution).is_some() {
            Vec::new()
        } else {
            vec![key::archive(self.execution)]
        }
    }

    pub(in super::super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let execution = match context.partition.execution(self.execution) {
            Some(open) => open.clone(),
            None => match context.archived(None, self.execution) {
                Err(Refusal::NotFound(_)) => return Ok(Outcome::Done),
                other => other?,
            },
        };
        for record in &self.charges {
            // Under an earlier lease its hold is of no account any more.
            let asks = if record.epoch == execution.epoch { asks(&execution) } else { Vec::new() };
            let sent = sent(&execution, &asks, &record.charge, record.late == Some(true));
            for (tree, charge) in sent.into_iter().filter(|(tree, _)| self.peers.contains(tree)) {
                tell(context, tree, Message::Charge(charge));
            }
        }
        Ok(Outcome::Done)
    }
}

/// Ask what a lease holds: to extend it.
#[derive(Clone, Debug)]
pub struct LeaseBudgets {
    /// The lease.
    pub lease: LeaseRef,
}

/// A permit of a lease.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeasePermit {
    /// The path.
    pub path: String,
    /// The tree's partition.
    pub tree: PartitionId,
    /// The hold.
    pub hold: HoldKey,
}

impl LeaseBudgets {
    pub(in super::super) fn run(&self, context: &Context<'_>) -> Result<Outcome, Refusal> {
        let execution = context.leased(&self.lease)?;
        let permits = permits(&execution, execution.id, &asks(&execution));
        let of = |(n, key): (usize, PermitKey)| {
            let path = execution.policy.budgets.get(n)?.path.clone();
            Some(LeasePermit { path, tree: tree_of(&execution, n)?, hold: HoldKey::Permit(key) })
        };
        Ok(Outcome::Permits(permits.into_iter().filter_map(of).collect()))
    }
}

fn asks(execution: &Execution) -> Vec<u32> {
    let permits = execution.spending.iter().flat_map(|spending| &spending.permits);
    permits.map(|permit| permit.as_ref().map_or(0, |permit| permit.ask)).collect()
}

fn permits(execution: &Execution, id: ExecutionId, asks: &[u32]) -> Vec<(usize, PermitKey)> {
    let places = 0..execution.policy.budgets.len();
    places
        .map(|n| (n, PermitKey { execution: id, ask: asks.get(n).copied().unwrap_or(0), n: n as u8 }))
        .collect()
}

/// The lease that a charge came under.
struct Under {
    execution: Execution,
    asks: Vec<u32>,
    attempt: u32,
    late: bool,
    archived: bool,
}

impl ChargeLease {
    pub(in super::super) fn cold_keys(&self, partition: &Partition) -> Vec<Key> {
        let id = self.lease.execution;
        let mut keys = Vec::new();
        let held = partition.execution(id).is_some_and(|e| e.leased_as(&self.lease).is_some());
        if !held {
            keys.extend([key::lease_charge(id, &self.id), key::epoch(id, self.lease.epoch)]);
            if partition.execution(id).is_none() {
                keys.push(key::archive(id));
            }
        }
        keys.extend(self.step.as_deref().map(|step| key::step(id, step)));
        keys
    }

    pub(in super::super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let id = self.lease.execution;
        let at = key::lease_charge(id, &self.id);
        let Under { mut execution, asks, attempt, late, archived } = self.under(context)?;
        let known = if context.present_or_assert_absent(&at) {
            context.decode::<LeaseChargeRecord>(&at)?
        } else {
            None
        };
        let price = priced(context, &execution.group.namespace, &self.id, &self.spent);
        if let Some(record) = known {
            let aside = record.charge.unpriced == Some(true);
            // What has no price may be said again by amounts.
            let by_amounts = aside && matches!(self.spent, Spent::Amounts(_));
            if record.body != self.spent.said() && !by_amounts {
                return Err(Refusal::ChargeConflict { charge: self.id.clone() });
            }
            let priced_now = aside && price.as_ref().is_ok_and(|charge| charge.unpriced.is_none());
            if !priced_now {
                let sent = sent(&execution, &asks, &record.charge, record.late == Some(true));
                return Ok(Outcome::Charged(Box::new(Charged {
                    amounts: record.charge.amounts.clone(),
                    prices: record.charge.prices,
                    late: record.late == Some(true),
                    existed: true,
                    over_cap: cap_spent(&execution),
                    quarantined: aside,
                    sent,
                })));
            }
        }
        let mut charge = match price {
            Ok(charge) => Charge { step: self.step.clone(), ..charge },
            Err(refusal) => {
                // What was recorded before stays so, whatever becomes of the prices: whether it was has to be known here.
                context.read(&at)?;
                return Err(refusal);
            }
        };
        let prices = charge.prices;
        charge.attempt = Some(attempt);
        charge.kind = Some(execution.group.kind.to_string());
        charge.repeats = self.repeats(context)?.then_some(true);
        let record = LeaseChargeRecord {
            body: charge.body(),
            epoch: self.lease.epoch,
            at: context.now(),
            charge: charge.clone(),
            late: late.then_some(true),
        };
        context.put_cold(at, record.encode());
        let quarantined = charge.unpriced == Some(true);
        if !quarantined {
            let overflow =
                |o: crate::model::AmountOverflow| Refusal::AmountOverflow { dimension: o.dimension };
            let spending = execution.spending.get_or_insert_default();
            spending.spent.add(&charge.amounts).map_err(overflow)?;
            // What was given back is counted as no attempt, and goes on as the same.
            let goes_on = u32::from(spending.given_back == Some(true));
            if attempt == execution.attempt + goes_on {
                spending.attempt_spent.add(&charge.amounts).map_err(overflow)?;
            }
        }
        let over_cap = cap_spent(&execution);
        let sent = sent(&execution, &asks, &charge, late);
        context.event(&execution, EventKind::Charged);
        if archived {
            context.put_cold(key::archive(id), ArchiveRecord::encode(&execution));
        } else if let Some((path, dimension)) =
            over_cap.as_ref().filter(|_| execution.state() == State::Running)
        {
            let message = format!("cap on {dimension} of budget {path} is exceeded");
            stop_one(context, execution, OnHard::Fail, STOP_GRACE_MS, &message);
        } else {
            context.put_silently(execution);
        }
        let here = context.partition.id();
        for (tree, charge) in &sent {
            if *tree == here {
                super::super::budget::charge_delivered(context, charge)?;
            } else {
                tell(context, *tree, Message::Charge(charge.clone()));
            }
        }
        let amounts = charge.amounts;
        let existed = false;
        Ok(Outcome::Charged(Box::new(Charged {
            amounts,
            prices,
            late,
            existed,
            over_cap,
            quarantined,
            sent,
        })))
    }

    /// The execution, if the lease is or was one of it.
    fn under(&self, context: &Context<'_>) -> Result<Under, Refusal> {
        let LeaseRef { execution: id, epoch, token } = self.lease;
        if let Some(open) = context.partition.execution(id)
            && open.leased_as(&self.lease).is_some()
        {
            let (asks, attempt) = (asks(open), open.attempt);
            return Ok(Under { execution: open.clone(), asks, attempt, late: false, archived: false });
        }
        let (execution, archived) = match context.partition.execution(id) {
            Some(open) => (open.clone(), false),
            None => match context.archived(None, id) {
                Err(Refusal::NotFound(_)) => return Err(Refusal::LeaseLost),
                other => (other?, true),
            },
        };
        let record = context.decode::<EpochRecord>(&key::epoch(id, epoch))?;
        if let Some(record) = record.filter(|record| record.token.matches(&token)) {
            let EpochRecord { asks, attempt, .. } = record;
            return Ok(Under { execution, asks, attempt, late: true, archived });
        }
        // An execution without budgets keeps no record of its leases; its last one stands in its own.
        let last = execution.lease.as_deref().filter(|_| execution.epoch == epoch);
        if last.is_some_and(|lease| lease.token.matches(&token)) {
            let attempt = execution.attempt;
            return Ok(Under { execution, asks: Vec::new(), attempt, late: true, archived });
        }
        Err(Refusal::LeaseLost)
    }

    /// Whether its step began under an earlier lease, and had no result then.
    fn repeats(&self, context: &Context<'_>) -> Result<bool, Refusal> {
        let Some(step) = &self.step else { return Ok(false) };
        let record = context.decode::<StepRecord>(&key::step(self.lease.execution, step))?;
        Ok(record.is_some_and(|record| record.unknown == Some(true)))
    }
}

/// A charge of so much, or of what usage costs by the price table as this partition knows it.
pub(in super::super) fn priced(
    context: &Context<'_>,
    namespace: &str,
    id: &str,
    spent: &Spent,
) -> Result<Charge, Refusal> {
    let usage = match spent {
        Spent::Amounts(amounts) => return Ok(Charge::new(id, amounts.clone())),
        Spent::Usage(usage) => usage,
    };
    let table = context.partition.prices(namespace);
    let of = |amounts| Charge {
        model: Some(usage.model.clone()),
        usage: Some(usage.hash()),
        ..Charge::new(id, amounts)
    };
    match table.amounts(usage) {
        Ok(amounts) => Ok(Charge { prices: Some(table.version), ..of(amounts) }),
        Err(PriceError::Unknown { model: name }) if table.unpriced == Unpriced::Refuse => {
            Err(Refusal::PriceUnknown { model: name })
        }
        Err(PriceError::Unknown { .. }) => {
            let tokens = [
                ("input_tokens", usage.input_tokens),
                ("output_tokens", usage.output_tokens),
                ("calls", usage.calls),
            ];
            Ok(Charge { unpriced: Some(true), ..of(Amounts::of(tokens)) })
        }
        Err(PriceError::Overflow) => Err(Refusal::AmountOverflow { dimension: USD_MICROS.to_owned() }),
        Err(error @ PriceError::Inconsistent) => Err(Refusal::UsageWrong { reason: error.to_string() }),
    }
}

fn sent(
    execution: &Execution,
    asks: &[u32],
    charge: &Charge,
    late: bool,
) -> Vec<(PartitionId, PermitCharge)> {
    let keys = permits(execution, execution.id, asks);
    let of = |(n, key): (usize, PermitKey)| {
        let path = execution.policy.budgets.get(n)?.path.clone();
        let namespace = execution.group.namespace.to_string();
        Some((tree_of(execution, n)?, PermitCharge { key, namespace, path, charge: charge.clone(), late }))
    };
    keys.into_iter().filter_map(of).collect()
}
