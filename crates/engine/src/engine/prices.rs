//! What usage costs: shown, and changed for all partitions.

use stint_api::{DEFAULT_NAMESPACE, PricesReply, PricesRequest, Problem, check_namespace};
use stint_core::Command;
use stint_core::command::{Outcome, SetPrices};
use stint_core::model::PriceTable;

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
        let changes = self.0.waiters.copied();
        let table = self.0.price_table(&namespace, Some(table)).await?;
        let version = table.version;
        let is_new = move |partition: &stint_core::Partition| partition.prices(&namespace).version >= version;
        let missing = self.0.until_copied(changes, is_new).await;
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
