//! `GET /v1/store`: what is in the store, for whoever operates it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Instant;

/// The highest number of a partition: that of the one for facts of the whole store.
pub const PARTITION_MAX: u8 = 64;

/// What a store is and holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StoreReport {
    /// Version of its format.
    pub format: u32,
    /// How many partitions it is made of.
    pub partition_count: u32,
    /// A text that changes when its content may have been replaced.
    pub identity: String,
    /// Whether a restore into it was begun and not completed: then it is not served.
    pub restoring: bool,
    /// Nodes that serve it or have served it, where several can.
    pub members: Vec<StoreMember>,
    /// Its partitions, or the one asked for.
    pub partitions: Vec<PartitionReport>,
    /// Open executions by state.
    pub open: BTreeMap<String, u64>,
    /// When the oldest ready execution was submitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_ready_at: Option<Instant>,
    /// Records by what they are, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<Vec<RecordCount>>,
    /// Records that can't be read, if records were asked for: damage, or a newer build's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<u64>,
}

/// A node, by its last heartbeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StoreMember {
    /// Its name.
    pub node: String,
    /// When it last said that it lives, by the store's clock.
    pub heartbeat_at: Instant,
    /// The level of records and rules that it knows.
    pub level: u32,
}

/// Where a partition stands, and what is open in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PartitionReport {
    /// Its number; the last one holds facts of the whole store.
    pub partition: u8,
    /// Grows when acknowledged writes were found lost, or came from a backup.
    pub timeline: u64,
    /// Batches committed.
    pub version: u64,
    /// Version of its records and rules.
    pub level: u32,
    /// When its last batch was committed, by its own clock; absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_commit_at: Option<Instant>,
    /// Open executions.
    pub open: u64,
    /// Messages to other partitions that are under way.
    pub messages: u64,
}

/// How much there is of one kind of record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecordCount {
    /// `live`, `cold` or `ordered`.
    pub table: String,
    /// What they are.
    pub kind: String,
    /// How many.
    pub count: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
}

/// A record as it is stored, decoded for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StoredRecord {
    /// `live`, `cold` or `ordered`.
    pub table: String,
    /// What it is.
    pub kind: String,
    /// Its key in hexadecimal digits.
    pub key: String,
    /// Bytes of its value.
    pub bytes: u64,
    /// What it says; lease tokens are left out.
    pub text: String,
}
