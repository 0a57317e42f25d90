//! Messages between partitions: numbered links, each naming the one before, so that a loss shows.

use minicbor::{Decode, Encode};

use super::amounts::Amounts;
use super::budget::OnHard;
use super::charge::Charge;
use super::hold::{Ask, Denial, PermitKey, Shortfall};
use super::lane::LaneSettings;
use super::namespace::NamespaceSettings;
use super::price::PriceTable;
use crate::Millis;

/// What one partition tells another. A delivered message can't fail.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Message {
    /// A lane's settings, to be copied.
    #[n(0)]
    Lane {
        /// Its namespace.
        #[n(0)]
        namespace: String,
        /// Its name.
        #[n(1)]
        lane: String,
        /// The settings at their home.
        #[n(2)]
        settings: LaneSettings,
    },
    /// The first of a new chain: all lanes whose settings the sender holds. Their settings follow.
    #[n(1)]
    Lanes {
        /// Namespaces and names.
        #[n(0)]
        names: Vec<(String, String)>,
    },
    /// May this execution start?
    #[n(2)]
    Ask {
        /// Which permit.
        #[n(0)]
        key: PermitKey,
        /// What is asked.
        #[n(1)]
        ask: Ask,
    },
    /// Its place in the queue is another.
    #[n(3)]
    Reorder {
        /// Which permit.
        #[n(0)]
        key: PermitKey,
        /// Its place now.
        #[n(1)]
        order: Millis,
    },
    /// So much was spent under a permit.
    #[n(4)]
    Charge(#[n(0)] PermitCharge),
    /// The permit is wanted no longer.
    #[n(5)]
    End {
        /// Which permit.
        #[n(0)]
        key: PermitKey,
        /// By its worker's word, or never used; else what is left is in doubt.
        #[n(1)]
        settled: bool,
        /// The attempt is over with it, and what it has spent is what it cost; else it goes on, or never began.
        #[n(2)]
        over: bool,
    },
    /// The first of a new chain: all permits that the sender holds or asks for there.
    #[n(6)]
    Permits {
        /// Those that it holds.
        #[n(0)]
        held: Vec<HeldPermit>,
        /// Those that it waits for; their questions follow.
        #[n(1)]
        pending: Vec<PermitKey>,
    },
    /// The hold stands.
    #[n(7)]
    Granted {
        /// Which permit.
        #[n(0)]
        key: PermitKey,
        /// How much is held.
        #[n(1)]
        held: Amounts,
    },
    /// Not now: it waits in the queue.
    #[n(8)]
    Queued {
        /// Which permit.
        #[n(0)]
        key: PermitKey,
        /// What is missing.
        #[n(1)]
        shortfall: Shortfall,
    },
    /// No.
    #[n(9)]
    Refused {
        /// Which permit.
        #[n(0)]
        key: PermitKey,
        /// Why.
        #[n(1)]
        denial: Denial,
    },
    /// It charged beyond its hold what was not free, or its extend was refused: stop it.
    #[n(10)]
    Short {
        /// Which permit.
        #[n(0)]
        key: PermitKey,
        /// What it must get before it goes on.
        #[n(1)]
        missing: Amounts,
        /// What is in the way.
        #[n(2)]
        shortfall: Shortfall,
        /// What is done.
        #[n(3)]
        on_hard: OnHard,
        /// How long running code may take to stop.
        #[n(4)]
        grace_ms: Millis,
        /// What of it it asked for on top of what it held, and will ask for again.
        #[n(5)]
        promised: Option<Amounts>,
    },
    /// A budget is breached: stop what runs under it.
    #[n(11)]
    Stop {
        /// Its namespace.
        #[n(0)]
        namespace: String,
        /// The budget.
        #[n(1)]
        path: String,
        /// What is done.
        #[n(2)]
        on_hard: OnHard,
        /// How long running code may take to stop.
        #[n(3)]
        grace_ms: Millis,
    },
    /// Are these still wanted?
    #[n(12)]
    Check(#[n(0)] Vec<PermitKey>),
    /// A price table, to be copied.
    #[n(13)]
    Prices {
        /// Its namespace.
        #[n(0)]
        namespace: String,
        /// The table at its home.
        #[n(1)]
        table: PriceTable,
    },
    /// The first of a new chain: all namespaces whose price tables the sender holds. The tables follow.
    #[n(14)]
    PricesOf(#[n(0)] Vec<String>),
    /// A namespace's settings, to be copied.
    #[n(15)]
    Namespace {
        /// Its name.
        #[n(0)]
        namespace: String,
        /// The settings at their home.
        #[n(1)]
        settings: NamespaceSettings,
    },
    /// The first of a new chain: all namespaces whose settings the sender holds. The settings follow.
    #[n(16)]
    Namespaces(#[n(0)] Vec<String>),
    /// Of those that were asked after: nobody wants these, and no end of theirs is on its way.
    #[n(17)]
    Unwanted(#[n(0)] Vec<PermitKey>),
}

impl Message {
    /// Whether it says what no record of its sender says again: a new chain has to carry it on.
    pub fn is_said_once(&self) -> bool {
        matches!(
            self,
            Self::Charge(_)
                | Self::End { .. }
                | Self::Refused { .. }
                | Self::Short { .. }
                | Self::Stop { .. }
        )
    }
}

/// What was spent under a permit, on its way to the budget's tree.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct PermitCharge {
    /// Which permit.
    #[n(0)]
    pub key: PermitKey,
    /// The namespace.
    #[n(1)]
    pub namespace: String,
    /// The path.
    #[n(2)]
    pub path: String,
    /// What was spent.
    #[n(3)]
    pub charge: Charge,
    /// The lease was over.
    #[n(4)]
    pub late: bool,
}

/// A permit that an execution's partition knows to be granted.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct HeldPermit {
    /// Which permit.
    #[n(0)]
    pub key: PermitKey,
    /// What was asked for it.
    #[n(1)]
    pub ask: Ask,
}

/// A message in its sender's outbox.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Link {
    /// Its place in the chain, from 1.
    #[n(0)]
    pub sequence: u64,
    /// Its id.
    #[n(1)]
    pub id: u64,
    /// The id of the one before, 0 for the first.
    #[n(2)]
    pub previous: u64,
    /// Which chain: grows with every resync.
    #[n(3)]
    pub chain: u64,
    /// What it says.
    #[n(4)]
    pub message: Message,
}

/// The sender's end of a chain.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
#[cbor(map)]
pub struct ChainTo {
    /// Which chain.
    #[n(0)]
    pub chain: u64,
    /// The last link made.
    #[n(1)]
    pub sequence: u64,
    /// Its id.
    #[n(2)]
    pub id: u64,
    /// The last link acknowledged, and dropped.
    #[n(3)]
    pub acknowledged: u64,
}

/// The receiver's end of a chain.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
#[cbor(map)]
pub struct ChainFrom {
    /// Which chain.
    #[n(0)]
    pub chain: u64,
    /// The last link taken.
    #[n(1)]
    pub sequence: u64,
    /// Its id.
    #[n(2)]
    pub id: u64,
}
