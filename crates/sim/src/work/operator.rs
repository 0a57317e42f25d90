//! An operator: pauses, resumes, drains and sets lanes, and says how long what has ended is kept.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use stint_api::{LaneSettings, NamespaceSettings};

use super::{LANES, client_of};
use crate::dice::Dice;
use crate::world::World;

/// Acts on lanes and on the namespace until the storm is over.
pub(crate) async fn run(world: Arc<World>) {
    let Ok(client) = client_of(&world, "op", Duration::from_secs(30)) else { return };
    let dice = Dice::new(world.plan.seed, "operator");
    while !world.is_calm() {
        tokio::time::sleep(Duration::from_millis(dice.below(30_000))).await;
        let name = dice.pick(&LANES).copied().unwrap_or("default");
        let lane = client.lane(name);
        match dice.below(7) {
            0..=2 => {
                if let Ok(reply) = lane.pause().await
                    && reply.missing_partitions.is_empty()
                {
                    world.say(format_args!("lane {name} is paused everywhere"));
                    world.check().lane_paused("default", name);
                }
                tokio::time::sleep(Duration::from_millis(dice.below(20_000))).await;
                world.check().lane_resumes("default", name);
                let _the_end_resumes_them_all = lane.resume().await;
            }
            3 => {
                let _sure = lane.drain().await;
                tokio::time::sleep(Duration::from_millis(dice.below(5_000))).await;
                let _the_end_resumes_them_all = lane.resume().await;
            }
            4 => {
                let weights = BTreeMap::from([("f0".to_owned(), dice.between(1, 5) as u32)]);
                let max_length = dice.chance(300).then(|| dice.between(1, 20));
                let settings = LaneSettings { weights, max_length, ..LaneSettings::default() };
                let _sure = lane.set(settings).await;
            }
            5 => {
                let retention_ms = dice.chance(800).then(|| dice.between(20_000, 86_400_000));
                let _sure = client
                    .settings_of("default")
                    .set(NamespaceSettings { retention_ms, ..NamespaceSettings::default() })
                    .await;
            }
            _ => {
                let _only_must_not_panic = lane.get().await;
            }
        }
    }
}
