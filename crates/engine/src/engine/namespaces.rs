//! Namespaces: shown, and changed for all partitions.

use stint_api::{Namespace, NamespaceReply, NamespaceSettings, Problem, check_namespace};
use stint_core::Command;
use stint_core::command::{NamespaceChange, Outcome, SetNamespace};
use stint_core::model::{self, LEDGER_RETENTION_MS, RETENTION_MS};

use super::{Engine, Inner};
use crate::edge::lease::ms;
use crate::edge::problem::unexpected;
use crate::edge::submission::millis;

impl Engine {
    /// Shows a namespace. One that was never used or set has the defaults.
    pub async fn namespace(&self, name: &str) -> Result<Namespace, Problem> {
        let settings = self.0.set_namespace(name, NamespaceChange::Read).await?;
        Ok(view(name, &settings))
    }

    /// Replaces a namespace's settings. The answer waits until every partition goes by them, or names those that don't
    /// yet.
    pub async fn set_namespace(
        &self,
        name: &str,
        settings: NamespaceSettings,
    ) -> Result<NamespaceReply, Problem> {
        settings.validate()?;
        let changes = self.0.waiters.copied();
        let change = NamespaceChange::Settings {
            retention_ms: settings.retention_ms.map(millis),
            ledger_retention_ms: settings.ledger_retention_ms.map(millis),
        };
        let settings = self.0.set_namespace(name, change).await?;
        let (of, generation) = (name.to_owned(), settings.generation);
        let is_new = move |partition: &stint_core::Partition| {
            partition.namespace(&of).map_or(0, |copy| copy.generation) >= generation
        };
        let missing_partitions = self.0.until_copied(changes, is_new).await;
        Ok(NamespaceReply { namespace: view(name, &settings), missing_partitions })
    }
}

impl Inner {
    /// Changes or reads a namespace's settings at their home.
    async fn set_namespace(
        &self,
        name: &str,
        change: NamespaceChange,
    ) -> Result<model::NamespaceSettings, Problem> {
        check_namespace(name).map_err(|problem| problem.at("name"))?;
        let command = Command::SetNamespace(SetNamespace { namespace: name.to_owned(), change });
        match self.call(SetNamespace::home(name), command).await? {
            Outcome::Namespace(settings) => Ok(settings),
            _ => Err(unexpected()),
        }
    }
}

fn view(name: &str, settings: &model::NamespaceSettings) -> Namespace {
    Namespace {
        name: name.to_owned(),
        retention_ms: ms(settings.retention_ms.unwrap_or(RETENTION_MS)),
        ledger_retention_ms: ms(settings.ledger_retention_ms.unwrap_or(LEDGER_RETENTION_MS)),
    }
}
