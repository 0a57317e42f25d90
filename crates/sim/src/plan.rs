//! What a seed means: which faults strike how often, and how much work there is.

use std::time::Duration;

use stint_store::memory::Rates;

use crate::dice::Dice;
use crate::plant::Plant;

/// One run, as drawn from its seed. Each kind of fault is on in some runs only: what hides one bug lets another
/// show.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// How long faults go on.
    pub(crate) storm: Duration,
    /// Faults of the store's calls.
    pub(crate) store: Rates,
    /// Faults of requests and replies, in thousandths.
    pub(crate) wire: Wire,
    /// Rows of a page when a partition is loaded.
    pub(crate) load_rows: usize,
    /// Nodes crash.
    pub(crate) crashes: bool,
    /// The store stands still for a while.
    pub(crate) outages: bool,
    /// Workers crash and stand still.
    pub(crate) bad_workers: bool,
    /// The store's clock jumps.
    pub(crate) clock_jumps: bool,
    /// The store loses confirmed commits of some partitions.
    pub(crate) rollbacks: bool,
    /// One node is too old for some partitions.
    pub(crate) levels: bool,
    /// The store runs out of room at times.
    pub(crate) low_room: bool,
    /// Rest for so long that the oldest commit under way has come, late as it is.
    pub(crate) long_rest: bool,
    /// Clients that submit and act.
    pub(crate) clients: u64,
    /// What each of them does.
    pub(crate) deeds: u64,
    /// Workers that follow the protocol.
    pub(crate) workers: u64,
    /// Workers that don't.
    pub(crate) liars: u64,
    /// The bug to be found.
    pub(crate) plant: Option<Plant>,
}

/// How often messages between clients, workers and nodes go wrong, in thousandths.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wire {
    pub(crate) lost_request: u64,
    pub(crate) lost_reply: u64,
    pub(crate) late_request: u64,
    pub(crate) late_reply: u64,
    pub(crate) repeated: u64,
    pub(crate) hung_up: u64,
}

impl Plan {
    /// The run of a seed.
    pub fn new(seed: u64, plant: Option<Plant>) -> Self {
        let dice = Dice::new(seed, "plan");
        let on = |thousandths| dice.chance(thousandths);
        let some = |most: u64| if dice.chance(500) { dice.below(most) } else { 0 };
        let store = Rates {
            unavailable: some(30) as u16,
            full: some(5) as u16,
            lost_request: some(20) as u16,
            lost_reply: some(20) as u16,
            late: some(20) as u16,
            repeat: some(20) as u16,
            rival: some(20) as u16,
            too_old: some(300) as u16,
            slow: some(50) as u16,
            slow_ms_max: dice.between(10, 3_000),
            always_us_max: dice.between(100, 20_000),
        };
        let wire = Wire {
            lost_request: some(40),
            lost_reply: some(40),
            late_request: some(40),
            late_reply: some(40),
            repeated: some(60),
            hung_up: some(100),
        };
        let mut plan = Self {
            seed,
            storm: Duration::from_secs(dice.between(40, 240)),
            store,
            wire,
            load_rows: dice.between(1, 20) as usize,
            crashes: on(500),
            outages: on(400),
            bad_workers: on(600),
            clock_jumps: on(150),
            rollbacks: on(200),
            levels: on(150),
            low_room: on(150),
            clients: dice.between(1, 4),
            deeds: dice.between(10, 40),
            workers: dice.between(1, 4),
            liars: dice.below(3),
            plant,
            long_rest: false,
        };
        // Drawn last: what was drawn before means the same as ever.
        plan.long_rest = plan.plant.is_none() && dice.chance(100);
        plan.make_room_for_plant();
        plan
    }

    /// A planted bug can only show where what it breaks is used, and where no other fault excuses it.
    fn make_room_for_plant(&mut self) {
        let Some(plant) = self.plant else { return };
        self.clock_jumps = false;
        self.rollbacks = plant == Plant::SilentLoss;
        self.levels = matches!(plant, Plant::HideLevel | Plant::KeepLevel);
        match plant {
            Plant::LongLease => {
                self.wire.lost_reply = 100;
                (self.crashes, self.outages) = (true, true);
            }
            Plant::StaleLease => self.liars = 2,
            Plant::SilentLoss => (self.store.late, self.store.repeat) = (0, 0),
            Plant::FreshKeys => self.wire.repeated = 200,
            _ => {}
        }
    }
}
