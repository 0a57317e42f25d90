//! What an execution names of budgets.

use serde::{Deserialize, Serialize};

use crate::budget_path::{check_path, tree};
use crate::object::objects_only;
use crate::{Amounts, BUDGET_USES, Problem, check};

/// The dimension that only caps have: how long attempts run, in ms.
pub const WALL_CLOCK_MS: &str = "wall_clock_ms";

/// A budget that an execution may spend from. Each attempt starts only when its hold fits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct BudgetUse {
    /// Its path.
    pub path: String,
    /// What each attempt holds at its start; absent, it is estimated from what attempts of the kind have spent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Amounts>,
    /// The most that the execution may spend over all its attempts; `wall_clock_ms` is the time they run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap: Option<Amounts>,
    /// The most that one attempt may spend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt_cap: Option<Amounts>,
}

objects_only!(BudgetUse);

impl BudgetUse {
    /// A budget, with what each attempt is to hold.
    pub fn new(path: impl Into<String>, hold: Option<Amounts>) -> Self {
        Self { path: path.into(), hold, ..Self::default() }
    }

    fn validate(&self) -> Result<(), Problem> {
        check_path("path", &self.path)?;
        if let Some(hold) = &self.hold {
            hold.validate("hold")?;
            if hold.0.contains_key(WALL_CLOCK_MS) {
                let detail = format!("`{WALL_CLOCK_MS}` can be capped, not held");
                return Err(Problem::invalid(format!("hold.{WALL_CLOCK_MS}"), detail));
            }
        }
        for (field, amounts) in [("cap", &self.cap), ("attempt_cap", &self.attempt_cap)] {
            amounts.as_ref().map_or(Ok(()), |amounts| amounts.validate(field))?;
            // It could not even start.
            if let Some((dimension, _)) = amounts.iter().flat_map(|caps| &caps.0).find(|(_, cap)| **cap == 0)
            {
                return Err(Problem::invalid(format!("{field}.{dimension}"), "a cap is 1 at least"));
            }
        }
        Ok(())
    }
}

/// Checks the budgets of a submission: each by itself, and that no two are in one tree.
pub(crate) fn check_uses(uses: &[BudgetUse]) -> Result<(), Problem> {
    check::count("budgets", uses.len(), BUDGET_USES)?;
    check::each("budgets", uses, |_, used| used.validate())?;
    for (index, used) in uses.iter().enumerate() {
        let before = uses.iter().take(index).position(|other| tree(&other.path) == tree(&used.path));
        if let Some(before) = before {
            let tree = tree(&used.path);
            let detail = format!("budgets[{before}] and budgets[{index}] are both in the tree `{tree}`");
            return Err(Problem::invalid(format!("budgets[{index}].path"), detail)
                .remedy("Name the lower of the two: it counts for every level above it."));
        }
    }
    Ok(())
}
