//! Budgets: set, shown, raised, topped up and deleted, each in the partition of its tree.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::{join_all, try_join_all};
use stint_api::{
    Budget, BudgetSettings, BudgetUse, BudgetsReply, Code, DEFAULT_NAMESPACE, Problem, RaiseRequest,
    TopUpRequest, check_namespace, check_path,
};
use stint_core::command::{
    BudgetChange, CheckUses, DeleteBudget, ListBudgets, Outcome, SetBudget, ShowBudget, budget_home,
};
use stint_core::{Command, PartitionId};

use super::{Engine, Inner};
use crate::edge::problem::unexpected;
use crate::edge::{budget as edge, page};

impl Engine {
    /// Makes a budget, or replaces what it is set to.
    pub async fn set_budget(&self, path: &str, settings: BudgetSettings) -> Result<Budget, Problem> {
        settings.validate()?;
        let namespace = settings.namespace.clone();
        let generation = settings.generation;
        let budget = edge::kept_budget(settings)?;
        self.0.change_budget(namespace, path, only(generation, BudgetChange::Put(Box::new(budget)))).await
    }

    /// Gives a window other hard limits.
    pub async fn raise_budget(&self, path: &str, request: RaiseRequest) -> Result<Budget, Problem> {
        request.validate()?;
        let change = BudgetChange::Raise { window: request.window, limits: request.limits.0 };
        self.0.change_budget(request.namespace, path, only(request.generation, change)).await
    }

    /// Raises a window's limits for once, once per id.
    pub async fn top_up_budget(&self, path: &str, request: TopUpRequest) -> Result<Budget, Problem> {
        request.validate()?;
        let change = BudgetChange::TopUp {
            id: request.id,
            window: request.window,
            amounts: edge::kept_amounts(&request.amounts),
            expires_at: request.expires_at.map(|at| at.millis()),
        };
        self.0.change_budget(request.namespace, path, change).await
    }

    /// Deletes a budget. Money that is held under it is in the way, unless `force` is given.
    pub async fn delete_budget(&self, namespace: &str, path: &str, force: bool) -> Result<(), Problem> {
        check_budget(namespace, path)?;
        let command = DeleteBudget { namespace: namespace.to_owned(), path: path.to_owned(), force };
        self.0.call(budget_home(namespace, path), Command::DeleteBudget(command)).await.map(drop)
    }

    /// Shows a budget as it stands.
    pub async fn budget(&self, namespace: &str, path: &str) -> Result<Budget, Problem> {
        check_budget(namespace, path)?;
        let command = ShowBudget { namespace: namespace.to_owned(), path: path.to_owned() };
        match self.0.call(budget_home(namespace, path), Command::ShowBudget(command)).await? {
            Outcome::Budget(view) => Ok(edge::budget(namespace, *view)),
            _ => Err(unexpected()),
        }
    }

    /// A namespace's budgets by path, from behind a cursor on; only `under` and those below it, if it is given. It is not found if
    /// there is none of these.
    pub async fn budgets(
        &self,
        namespace: &str,
        under: Option<&str>,
        limit: Option<u32>,
        cursor: Option<&str>,
    ) -> Result<BudgetsReply, Problem> {
        check_namespace(namespace)?;
        under.map_or(Ok(()), |under| check_path("under", under))?;
        let limit = page::limit(limit)?;
        cursor.map_or(Ok(()), |cursor| check_path("cursor", cursor)).map_err(|_| page::bad_cursor())?;
        let homes: BTreeSet<PartitionId> = match under {
            // A tree is in one partition.
            Some(under) => [budget_home(namespace, under)].into(),
            None => PartitionId::all().collect(),
        };
        let parts = homes.into_iter().map(|home| async move {
            let list = ListBudgets {
                namespace: namespace.to_owned(),
                under: under.map(str::to_owned),
                after: cursor.map(str::to_owned),
                // One more than asked for tells whether there is another page.
                limit: limit + 1,
            };
            match self.0.call(home, Command::ListBudgets(list)).await? {
                Outcome::Budgets(views) => Ok(views),
                _ => Err(unexpected()),
            }
        });
        let mut views: Vec<_> = try_join_all(parts).await?.into_iter().flatten().collect();
        if let (Some(under), None, true) = (under, cursor, views.is_empty()) {
            // Misspelt, most likely: an empty list would look as if all were well.
            let show = ShowBudget { namespace: namespace.to_owned(), path: under.to_owned() };
            self.0.call(budget_home(namespace, under), Command::ShowBudget(show)).await?;
        }
        views.sort_by(|one, other| one.path.cmp(&other.path));
        let more = views.len() > limit;
        views.truncate(limit);
        let next_cursor = views.last().filter(|_| more).map(|view| view.path.clone());
        let budgets = views.into_iter().map(|view| edge::budget(namespace, view)).collect();
        Ok(BudgetsReply { budgets, next_cursor })
    }
}

impl Inner {
    async fn change_budget(
        &self,
        namespace: Option<String>,
        path: &str,
        change: BudgetChange,
    ) -> Result<Budget, Problem> {
        let namespace = namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
        check_budget(&namespace, path)?;
        let home = budget_home(&namespace, path);
        let command = SetBudget { namespace: namespace.clone(), path: path.to_owned(), change };
        match self.call(home, Command::SetBudget(command)).await? {
            Outcome::Budget(view) => Ok(edge::budget(&namespace, *view)),
            _ => Err(unexpected()),
        }
    }

    /// Asks each tree whether work that names budgets can ever start: one answer per submission, in order. What several name
    /// is asked once.
    pub(super) async fn check_uses(&self, named: &[(&str, &[BudgetUse])]) -> Vec<Result<(), Problem>> {
        let mut asked: BTreeMap<(&str, &str, Option<String>), (&str, &BudgetUse)> = BTreeMap::new();
        for (namespace, uses) in named {
            for used in *uses {
                asked.entry(key(namespace, used)).or_insert((namespace, used));
            }
        }
        let asks = asked.into_iter().map(|(key, (namespace, used))| async move {
            let hold = used.hold.as_ref().map(edge::kept_amounts);
            let uses = vec![(used.path.clone(), hold)];
            let check = CheckUses { namespace: namespace.to_owned(), uses };
            let home = budget_home(namespace, &used.path);
            (key, self.call(home, Command::CheckUses(check)).await.map(drop))
        });
        let answers: BTreeMap<_, _> = join_all(asks).await.into_iter().collect();
        let of = |(namespace, uses): &(&str, &[BudgetUse])| {
            let found = uses.iter().enumerate().find_map(|(index, used)| {
                let problem = answers.get(&key(namespace, used))?.clone().err()?;
                Some(match problem.code {
                    Code::BudgetNotFound => problem.at(format!("budgets[{index}].path")),
                    Code::HoldTooLarge => problem.at(format!("budgets[{index}].hold")),
                    _ => problem,
                })
            });
            found.map_or(Ok(()), Err)
        };
        named.iter().map(of).collect()
    }
}

/// A change, of one generation of a budget if it says which.
fn only(generation: Option<u64>, change: BudgetChange) -> BudgetChange {
    match generation {
        Some(generation) => BudgetChange::Only { generation, change: Box::new(change) },
        None => change,
    }
}

/// What tells one question to a tree from another.
fn key<'a>(namespace: &'a str, used: &'a BudgetUse) -> (&'a str, &'a str, Option<String>) {
    (namespace, &used.path, used.hold.as_ref().map(|hold| format!("{:?}", hold.0)))
}

/// Checks the names of a budget that come from outside of a body.
pub(super) fn check_budget(namespace: &str, path: &str) -> Result<(), Problem> {
    check_namespace(namespace)?;
    check_path("path", path)
}
