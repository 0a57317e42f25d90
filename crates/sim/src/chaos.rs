//! Faults that are not those of a single call: crashes, outages, jumping clocks, lost commits.

use std::sync::Arc;
use std::time::Duration;

use stint_store::memory::{Outage, OutageKind};
use stint_store::{META, PARTITIONS, PartitionId, Room};

use crate::dice::Dice;
use crate::world::World;

/// No lease lasts longer.
const LEASE: Duration = Duration::from_secs(30);

/// Lets things go wrong until the storm is over.
pub(crate) async fn rage(world: Arc<World>) {
    let dice = Dice::new(world.plan.seed, "chaos");
    let acts = acts(&world);
    let rage = async {
        loop {
            tokio::time::sleep(Duration::from_millis(dice.below(12_000))).await;
            if let Some(act) = dice.pick(&acts) {
                act(&world, &dice);
            }
        }
    };
    let _the_storm_is_over = tokio::time::timeout(world.plan.storm, rage).await;
}

type Act = fn(&Arc<World>, &Dice);

fn acts(world: &World) -> Vec<Act> {
    let plan = &world.plan;
    let all: [(bool, &[Act]); 7] = [
        (plan.crashes, &[kill, light_fuse, light_fuse]),
        (plan.outages, &[outage]),
        (plan.bad_workers, &[crash_worker, still_worker]),
        (plan.clock_jumps, &[jump_clock]),
        (plan.rollbacks, &[lose]),
        (plan.low_room, &[low_room]),
        (plan.levels, &[silence]),
    ];
    all.iter().filter(|(on, _)| *on).flat_map(|(_, acts)| acts.iter().copied()).collect()
}

fn kill(world: &Arc<World>, dice: &Dice) {
    let node = dice.below(World::NODES as u64) as usize;
    let both = dice.chance(150);
    for node in (0..World::NODES).filter(|other| both || *other == node) {
        if let Some(life) = world.life(node) {
            world.say(format_args!("n{node} is killed"));
            world.trace().count("node killed");
            life.kill();
        }
    }
}

fn light_fuse(world: &Arc<World>, dice: &Dice) {
    let node = dice.below(World::NODES as u64) as usize;
    if let Some(life) = world.life(node) {
        life.light_fuse(dice.between(1, 60));
    }
}

fn outage(world: &Arc<World>, dice: &Dice) {
    let most = if dice.chance(600) { 3_000 } else { 45_000 };
    let outage = Outage {
        handle: dice.chance(500).then(|| dice.below(World::NODES as u64)),
        partition: dice.chance(500).then(|| PartitionId(dice.below(u64::from(PARTITIONS)) as u8)),
        lasting: Duration::from_millis(dice.below(most)),
        kind: if dice.chance(500) { OutageKind::Hang } else { OutageKind::Refuse },
    };
    world.say(format_args!("{outage:?}"));
    let is_long = outage.lasting > LEASE && outage.kind == OutageKind::Hang;
    world.trace().count(if is_long { "store stood still longer than any lease" } else { "outage" });
    world.store.outage(outage);
}

fn crash_worker(world: &Arc<World>, dice: &Dice) {
    if let Some(worker) = dice.pick(&world.workers) {
        worker.crash();
        world.trace().count("worker crashed");
    }
}

fn still_worker(world: &Arc<World>, dice: &Dice) {
    let number = dice.below(world.workers.len() as u64) as usize;
    let lasting = Duration::from_millis(dice.below(70_000));
    let world = Arc::clone(world);
    tokio::spawn(async move {
        let Some(worker) = world.workers.get(number) else { return };
        world.say(format_args!("worker {number} stands still for {} ms", lasting.as_millis()));
        let is_long = lasting > LEASE;
        world.trace().count(if is_long {
            "worker stood still longer than any lease"
        } else {
            "worker stood still"
        });
        worker.stand_still(&world);
        tokio::time::sleep(lasting).await;
        worker.go_on(&world);
    });
}

fn jump_clock(world: &Arc<World>, dice: &Dice) {
    let most = if dice.chance(700) { 9_000 } else { 300_000 };
    let distance = dice.below(most) as i64;
    let ms = if dice.chance(500) { distance } else { -distance };
    world.say(format_args!("the store's clock jumps by {ms} ms"));
    world.trace().count("clock jumped");
    world.store.jump_clock(ms);
}

/// A fail-over: the last commits of some partitions are gone, of each another number.
fn lose(world: &Arc<World>, dice: &Dice) {
    let store_says = dice.chance(300);
    let mut lost = Vec::new();
    for _ in 0..dice.between(1, 12) {
        let partition = PartitionId(dice.below(u64::from(PARTITIONS)) as u8);
        let n = world.check().lose(partition, dice.between(1, 6) as usize, store_says);
        if n > 0 {
            world.trace().count("rolled back");
        }
        lost.push((partition.0, n));
    }
    world.say(format_args!(
        "the store loses commits (partition, how many): {lost:?}, and says so: {store_says}"
    ));
    if store_says {
        world.store.set_identity(&format!("after {}", dice.draw()));
        for life in (0..World::NODES).filter_map(|node| world.life(node)) {
            life.kill();
        }
    }
}

/// The older node is not heard for so long that the newer one believes itself alone, and raises what it writes.
fn silence(world: &Arc<World>, dice: &Dice) {
    let lasting = Duration::from_millis(dice.between(8_000, 30_000));
    world.say(format_args!("the older node is not heard for {} ms", lasting.as_millis()));
    world.trace().count("older node not heard");
    let (handle, partition) = (Some(World::OLDER as u64), Some(META));
    world.store.outage(Outage { handle, partition, lasting, kind: OutageKind::Refuse });
}

fn low_room(world: &Arc<World>, dice: &Dice) {
    let lasting = Duration::from_millis(dice.below(15_000));
    let world = Arc::clone(world);
    tokio::spawn(async move {
        world.say(format_args!("room is low for {} ms", lasting.as_millis()));
        world.store.set_room(Room::Low);
        tokio::time::sleep(lasting).await;
        world.store.set_room(Room::Enough);
    });
}
