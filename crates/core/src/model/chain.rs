//! Messages between partitions: numbered links, each naming the one before, so that a loss shows.

use minicbor::{Decode, Encode};

use super::lane::LaneSettings;

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
