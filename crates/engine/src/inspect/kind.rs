//! What a record is, by its table and the first byte of its key; see `stint_core::key`.

use stint_store::Table;

/// A table's name.
pub(super) fn table_name(table: Table) -> &'static str {
    match table {
        Table::Live => "live",
        Table::Cold => "cold",
        Table::Ordered => "ordered",
    }
}

/// What a record of an execution's partition is; `None` for what this build does not know.
pub(super) fn kind_name(table: Table, key: &[u8]) -> Option<&'static str> {
    Some(match (table, key.first()?) {
        (Table::Live, b'x') => "open execution",
        (Table::Live, b'l') => "lane settings",
        (Table::Live, b'h') => "lane settings at home",
        (Table::Live, b'b') => "bulk job",
        (Table::Live, b'o') => "message under way",
        (Table::Live, b's') => "chain to a partition",
        (Table::Live, b'r') => "chain from a partition",
        (Table::Live, b'd') => "budget",
        (Table::Live, b'c') => "counters of a budget",
        (Table::Live, b'k') => "hold",
        (Table::Live, b'w') => "wait for a budget",
        (Table::Live, b'e') => "estimate",
        (Table::Live, b't') => "ledger",
        (Table::Live, b'u') => "progress of a ledger",
        (Table::Live, b'p') => "price table",
        (Table::Live, b'q') => "price table at home",
        (Table::Live, b'n') => "namespace settings",
        (Table::Live, b'm') => "namespace settings at home",
        (Table::Cold, b's') => "submission",
        (Table::Cold, b'i') => "large input",
        (Table::Cold, b'u') => "large output",
        (Table::Cold, b'a') => "ended execution",
        (Table::Cold, b't') => "earlier attempt",
        (Table::Cold, b'k') => "idempotency key",
        (Table::Cold, b'c') => "charge",
        (Table::Cold, b'e') => "earlier lease",
        (Table::Cold, b'h') => "ended hold",
        (Table::Ordered, b'c') => "charge under a lease",
        (Table::Ordered, b'j') => "ledger entry",
        (Table::Ordered, b'h') => "roll-up of an hour",
        (Table::Ordered, b'd') => "roll-up of a day",
        (Table::Ordered, b'k') => "sums of trimmed entries",
        (Table::Ordered, b'p') => "step",
        (Table::Ordered, b'l') => "log lines",
        (Table::Ordered, b'e') => "index of ended executions",
        (Table::Ordered, b'f') => "index of trim times",
        (Table::Ordered, b'y') => "index of old keys, ids and holds",
        (Table::Ordered, b't') => "index of tags",
        (Table::Ordered, b'g') => "event log",
        _ => return None,
    })
}

/// What a record of the meta partition is.
pub(super) fn meta_kind_name(table: Table, key: &[u8]) -> Option<&'static str> {
    Some(match (table, key.first()?) {
        (Table::Live, b'n') => "heartbeat of a node",
        (Table::Live, b'i') => "identity",
        (Table::Live, b'r') => "restore under way",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use stint_core::model::{HoldKey, PermitKey};
    use stint_core::{ExecutionId, Key, PartitionId, key};

    use super::*;

    #[test]
    fn every_key_of_core_has_a_name() {
        let id = ExecutionId([7; 16]);
        let permit = PermitKey { execution: id, ask: 1, n: 0 };
        let hold = HoldKey::Permit(permit);
        let keys: [Key; 37] = [
            key::execution(id),
            key::lane("a", "b"),
            key::lane_home("a", "b"),
            key::outgoing(PartitionId(1), 1),
            key::chain_to(PartitionId(1)),
            key::chain_from(PartitionId(1)),
            key::budget("a", "b"),
            key::counters("a", "b"),
            key::hold(&hold),
            key::waiter(&permit),
            key::estimate("a", "b", "c"),
            key::tree("a", "b"),
            key::ledger_mark("a", "b"),
            key::prices("a"),
            key::prices_home("a"),
            key::namespace("a"),
            key::namespace_home("a"),
            key::charge("a", "b", "c"),
            key::epoch(id, 1),
            key::ended_hold(stint_core::HoldId([7; 16])),
            key::lease_charge(id, "c"),
            key::entry("a", "b", 1),
            key::hour_roll_up("a", "b", 1, &[1; 16]),
            key::day_roll_up("a", "b", 1, &[1; 16]),
            key::carried("a", "b", "b/c"),
            key::spec(id),
            key::input(id),
            key::output(id),
            key::archive(id),
            key::attempt(id, 1),
            key::idempotency([1; 16]),
            key::step(id, "s"),
            key::ended(1, id),
            key::trim(1, id),
            key::key_trim(1, [1; 16]),
            key::tag([1; 16], 1, id),
            key::log(1),
        ];
        let mut names = std::collections::BTreeSet::new();
        for key in keys {
            let name = kind_name(crate::partition::table(key.table), &key.bytes).unwrap();
            assert!(names.insert(name), "{name} stands for two kinds");
        }
    }
}
