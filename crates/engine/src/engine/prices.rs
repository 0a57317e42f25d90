//! What usage costs: shown, and changed for all partitions.

use std::collections::BTreeSet;

use stint_api::{DEFAULT_NAMESPACE, PricesReply, PricesRequest, Problem, check_namespace};
use stint_core::command::{Outcome, SetPrices};
use stint_core::model::PriceTable;
use stint_core::{Command, PartitionId};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout_at};

use super::lanes::COPIES;
use super::{Engine, Inner};
use crate::edge::charge::{kept_prices, prices};
use crate::edge::problem::unexpected;

impl Engine {
    /// Shows a namespace's price table.
    pub async fn prices(&self, namespace: &str) -> Result<PricesReply, Problem> {
        check_namespace(namespace)?;
        Ok(prices(self.0.price_table(namespace, None).await?, Vec::new()))
    }

    /// Replaces a namespace's price table. The answer waits until every partition goes by it, or names those that don't yet.
    pub async fn set_prices(&self, request: PricesRequest) -> Result<PricesReply, Problem> {
        request.validate()?;
        let namespace = request.namespace.clone().unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
        let table = kept_prices(request);
        table.check().map_err(|error| Problem::invalid("models", error.to_string()))?;
        let until = Instant::now() + COPIES;
        let mut changes = self.0.waiters.copied();
        let table = self.0.price_table(&namespace, Some(table)).await?;
        let mut missing: BTreeSet<PartitionId> = PartitionId::all().collect();
        let mut look_at = missing.clone();
        loop {
            let (of, version) = (namespace.clone(), table.version);
            let look = move |partition: &stint_core::Partition| partition.prices(&of).version >= version;
            let seen = self.0.look_at(&look_at, look, until).await;
            let there: BTreeSet<PartitionId> =
                seen.into_iter().filter_map(|(p, is)| is.then_some(p)).collect();
            missing.retain(|partition| !there.contains(partition));
            if missing.is_empty() {
                break;
            }
            match timeout_at(until, changes.recv()).await {
                Ok(Ok(partition)) => look_at = missing.intersection(&[partition].into()).copied().collect(),
                // Too many changes at once to follow each: look at all.
                Ok(Err(RecvError::Lagged(_))) => look_at = missing.clone(),
                Ok(Err(RecvError::Closed)) | Err(_) => break,
            }
        }
        let missing = missing.into_iter().map(|partition| u32::from(partition.0)).collect();
        Ok(prices(table, missing))
    }
}

impl Inner {
    async fn price_table(&self, namespace: &str, table: Option<PriceTable>) -> Result<PriceTable, Problem> {
        let home = SetPrices::home(namespace);
        let command = SetPrices { namespace: namespace.to_owned(), table };
        match self.call(home, Command::SetPrices(command)).await? {
            Outcome::Prices(table) => Ok(*table),
            _ => Err(unexpected()),
        }
    }
}
