//! The price table of a namespace: changed at its home, copied to every partition by messages.

use super::context::Context;
use super::outbox::send;
use super::{Outcome, Refusal};
use crate::event::EventKind;
use crate::ids::PartitionId;
use crate::key;
use crate::model::{Message, PriceTable, Record};

/// Read or change a namespace's price table; sent to its home.
#[derive(Clone, Debug)]
pub struct SetPrices {
    /// The namespace.
    pub namespace: String,
    /// The table to be; its version is not looked at. None only reads.
    pub table: Option<PriceTable>,
}

impl SetPrices {
    /// The partition that keeps a namespace's table.
    pub fn home(namespace: &str) -> PartitionId {
        PartitionId::of(&key::name_hash(namespace, "prices"))
    }

    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let home = key::prices_home(&self.namespace);
        let before = match context.partition.other(&home) {
            Some(Record::Prices(table)) => PriceTable::clone(table),
            _ => PriceTable::default(),
        };
        let Some(table) = &self.table else { return Ok(Outcome::Prices(Box::new(before))) };
        let table = PriceTable { version: before.version, ..table.clone() };
        if table == before {
            return Ok(Outcome::Prices(Box::new(before)));
        }
        let table = PriceTable { version: before.version + 1, ..table };
        context.put_record(home, Some(Record::Prices(Box::new(table.clone()))));
        copy(context, &self.namespace, &table);
        let (here, id) = (context.partition.id(), context.fresh());
        for peer in PartitionId::all().filter(|peer| *peer != here) {
            let message = Message::Prices { namespace: self.namespace.clone(), table: table.clone() };
            send(context, peer, message, id);
        }
        Ok(Outcome::Prices(Box::new(table)))
    }
}

/// Follows the home's table.
pub(super) fn copy(context: &mut Context<'_>, namespace: &str, table: &PriceTable) {
    if context.partition.prices(namespace) == table {
        return;
    }
    context.put_record(key::prices(namespace), Some(Record::Prices(Box::new(table.clone()))));
    context.event_of_partition(EventKind::PricesChanged);
}

/// Forgets tables that are at home in `home`, but for those of `namespaces`.
pub(super) fn keep_only(context: &mut Context<'_>, home: PartitionId, namespaces: &[String]) {
    let copies = context.partition.price_copies().map(str::to_owned);
    let stale: Vec<String> =
        copies.filter(|name| SetPrices::home(name) == home && !namespaces.contains(name)).collect();
    for namespace in stale {
        context.put_record(key::prices(&namespace), None);
        context.event_of_partition(EventKind::PricesChanged);
    }
}
