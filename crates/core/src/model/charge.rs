//! Charges: what was spent, and the ledger that keeps each for ever.

use minicbor::{Decode, Encode};

use super::amounts::Amounts;
use super::payload::Hash;
use crate::Millis;
use crate::ids::ExecutionId;

/// What was spent. A fact: it is booked in full, whatever the limits say.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Charge {
    /// Its id, within the tree: the provider's response id, or what the caller chose.
    #[n(0)]
    pub id: String,
    /// How much, by dimension.
    #[n(1)]
    pub amounts: Amounts,
    /// The model, if it is priced usage.
    #[n(2)]
    pub model: Option<String>,
    /// The version of the price table that priced it.
    #[n(3)]
    pub prices: Option<u64>,
    /// The journaled step it belongs to.
    #[n(4)]
    pub step: Option<String>,
    /// Its step began under an earlier lease and had no result: it may use what that lease left in doubt.
    #[n(5)]
    pub repeats: Option<bool>,
    /// The attempt.
    #[n(6)]
    pub attempt: Option<u32>,
    /// The execution's kind.
    #[n(7)]
    pub kind: Option<String>,
    /// The model had no price: it is kept aside until it has.
    #[n(8)]
    pub unpriced: Option<bool>,
    /// Hash of the usage that was said, if it was usage: its price may be another when it is said again.
    #[cbor(n(9), with = "minicbor::bytes")]
    pub usage: Option<Hash>,
}

/// What an entry of the ledger is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum EntryKind {
    /// Spent.
    #[n(0)]
    Charge,
    /// Given back: names the charge, and counts in that charge's period.
    #[n(1)]
    Refund,
    /// A correction by an operator, or what a partition lost and another knew: adds to what is used.
    #[n(2)]
    Adjustment,
    /// A limit raised for once.
    #[n(3)]
    TopUp,
    /// What a period left for the next.
    #[n(4)]
    CarryOver,
    /// A drift that was corrected; not summed.
    #[n(5)]
    Repair,
    /// Usage without a price, or spent where no budget is: kept aside, not summed.
    #[n(6)]
    Quarantined,
}

/// An entry of a tree's ledger. Never changed; corrections are new entries.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Entry {
    /// When it was recorded.
    #[n(0)]
    pub at: Millis,
    /// What it is.
    #[n(1)]
    pub kind: EntryKind,
    /// Where; counts at each level of the path.
    #[n(2)]
    pub path: String,
    /// How much.
    #[n(3)]
    pub amounts: Amounts,
    /// The charge's id, or what the entry has instead.
    #[n(4)]
    pub charge_id: Option<String>,
    /// The execution.
    #[n(5)]
    pub execution: Option<ExecutionId>,
    /// Its attempt.
    #[n(6)]
    pub attempt: Option<u32>,
    /// Its kind.
    #[n(7)]
    pub execution_kind: Option<String>,
    /// The step; why, of an adjustment; what was wrong, of a repair, if not what was used: `owed`, `topped`,
    /// `left` or `held`.
    #[n(8)]
    pub step: Option<String>,
    /// The model.
    #[n(9)]
    pub model: Option<String>,
    /// The version of the price table.
    #[n(10)]
    pub prices: Option<u64>,
    /// In whose period it counts, if not in that of `at`: when the refunded charge was recorded.
    #[n(11)]
    pub booked_at: Option<Millis>,
    /// The window, of a top-up, carry-over or repair.
    #[n(12)]
    pub window: Option<String>,
    /// Amounts that a repair or an adjustment took away; `amounts` are those it added. Of a repair without a window: what was held
    /// for an execution that did not want it.
    #[n(13)]
    pub less: Option<Amounts>,
    /// The lease was over when it was recorded.
    #[n(14)]
    pub late: Option<bool>,
    /// Of a refund: the place in the ledger of what it gives back.
    #[n(15)]
    pub refunds: Option<u64>,
    /// Of a top-up or carry-over: when what is left of it goes.
    #[n(16)]
    pub expires_at: Option<Millis>,
    /// Of a top-up: what it paid at once, of what was used beyond the limit.
    #[n(17)]
    pub paid: Option<Amounts>,
}

impl Entry {
    /// One that says no more than it must.
    pub fn new(at: Millis, kind: EntryKind, path: &str, amounts: Amounts) -> Self {
        Self {
            at,
            kind,
            path: path.to_owned(),
            amounts,
            charge_id: None,
            execution: None,
            attempt: None,
            execution_kind: None,
            step: None,
            model: None,
            prices: None,
            booked_at: None,
            window: None,
            less: None,
            late: None,
            refunds: None,
            expires_at: None,
            paid: None,
        }
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        super::record::to_vec(self)
    }

    /// Whether it counts for a window that counts what is behind `since`; `seq` is its place. A refund does if its charge did.
    pub fn counts_since(&self, since: u64, seq: u64) -> bool {
        self.refunds.unwrap_or(seq) > since
    }

    /// When the period is that it counts in.
    pub fn counts_at(&self) -> Millis {
        self.booked_at.unwrap_or(self.at)
    }
}

/// A charge's id, as long as the ledger is kept.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct ChargeRecord {
    /// Its entry's place in the ledger.
    #[n(0)]
    pub seq: u64,
    /// When it was recorded.
    #[n(1)]
    pub at: Millis,
    /// What was said.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub body: Hash,
    /// Where it was booked.
    #[n(3)]
    pub path: String,
    /// How much of it was refunded.
    #[n(4)]
    pub refunded: Option<Amounts>,
    /// It is kept aside, and is booked when it is said again with a price.
    #[n(5)]
    pub quarantined: Option<bool>,
    /// How much was booked.
    #[n(6)]
    pub amounts: Amounts,
    /// The execution that was charged.
    #[n(7)]
    pub execution: Option<ExecutionId>,
    /// It is kept aside for want of a price: amounts said under the same id book it too.
    #[n(8)]
    pub unpriced: Option<bool>,
}

impl ChargeRecord {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        super::record::to_vec(self)
    }
}

impl LeaseChargeRecord {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        super::record::to_vec(self)
    }
}

impl Charge {
    /// One of so much.
    pub fn new(id: &str, amounts: Amounts) -> Self {
        Self {
            id: id.to_owned(),
            amounts,
            model: None,
            prices: None,
            step: None,
            repeats: None,
            attempt: None,
            kind: None,
            unpriced: None,
            usage: None,
        }
    }

    /// Hash of what tells it from another under the same id: what was said, whatever it costs. A repeated step may have another
    /// attempt.
    pub fn body(&self) -> Hash {
        if let Some(usage) = self.usage {
            return usage;
        }
        let mut text = self.model.clone().unwrap_or_default();
        for (dimension, amount) in self.amounts.iter() {
            text.push_str(&format!("\0{dimension}={amount}"));
        }
        xxhash_rust::xxh3::xxh3_128(text.as_bytes()).to_be_bytes()
    }
}

/// Where a tree's ledger stands.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
#[cbor(map)]
pub struct TreeRecord {
    /// Entries so far.
    #[n(0)]
    pub seq: u64,
}

/// A charge under a lease, as the execution's partition remembers it.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct LeaseChargeRecord {
    /// What was said.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub body: Hash,
    /// Under which lease.
    #[n(1)]
    pub epoch: u32,
    /// When.
    #[n(2)]
    pub at: Millis,
    /// The charge as it was sent on.
    #[n(3)]
    pub charge: Charge,
    /// The lease was over.
    #[n(4)]
    pub late: Option<bool>,
}
