//! Who owns the budgets: makes them, raises them now and then, and in the end gives everybody what they want.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use stint::Amounts;
use stint_api::{BudgetLimit, BudgetSettings, WindowKind, WindowSettings};
use tokio::time::Instant;

use super::client_of;
use crate::dice::Dice;
use crate::world::World;

/// Budgets by path, each with its first limit. The second is a level below the first, the others other trees; what names the
/// last spends more than it holds.
pub(crate) const BUDGETS: [(&str, u64); 4] = [("acme", 250), ("acme/a", 150), ("team", 120), ("loose", 60)];

/// By how much `loose` may be exceeded: every slot of every worker spends one attempt's cost before it can be stopped.
const OVERSHOOT: u64 = 4 * 8 * 64;

/// No message is later than that.
const LATEST: Duration = Duration::from_secs(90);

/// More than all jobs can cost.
const ENOUGH: u64 = 1_000_000_000;

pub(crate) async fn run(world: Arc<World>) {
    let Ok(client) = client_of(&world, "bank", Duration::from_secs(30)) else { return };
    let dice = Dice::new(world.plan.seed, "bank");
    let mut limits: BTreeMap<&str, u64> = BUDGETS.into();
    let mut calm_since = None;
    for (path, limit) in BUDGETS {
        while client.budget(path).set(settings(path, limit)).await.is_err() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
    loop {
        let calm = world.is_calm();
        for (path, limit) in &mut limits {
            if calm {
                *limit = ENOUGH;
            } else if dice.chance(300) {
                *limit += dice.below(200);
            }
            while client.budget(*path).raise("all", Amounts::of([("usd", *limit)])).await.is_err() {
                tokio::time::sleep(Duration::from_secs(1)).await;
                // It may have been lost with the store's last writes; one that is there is only raised by this.
                let _again_if_not = client.budget(*path).set(settings(path, *limit)).await;
            }
        }
        if calm {
            // The last word counts, and one of the storm may come later than one of the calm: it is said until none can.
            if calm_since.get_or_insert_with(Instant::now).elapsed() > LATEST {
                return;
            }
        }
        tokio::time::sleep(Duration::from_millis(dice.below(20_000))).await;
    }
}

fn settings(path: &str, limit: u64) -> BudgetSettings {
    let overshoot = (path == "loose").then(|| Amounts::of([("usd", OVERSHOOT)]));
    let limit = BudgetLimit { hard: Some(limit), soft: Vec::new() };
    let (name, limits) = ("all".to_owned(), BTreeMap::from([("usd".to_owned(), limit)]));
    let window = WindowSettings { name, kind: WindowKind::Total, every_ms: None, tz: None, limits };
    BudgetSettings {
        windows: vec![window],
        overshoot,
        in_doubt_ms: Some(20_000),
        ..BudgetSettings::default()
    }
}
