//! The simulation in the test suite: some dozens of seeds, that a seed is a history, and that planted bugs are found.
//! `cargo run --release -p stint-sim -- --seeds 1000` (or `--minutes 30`) is the long form.

use stint_sim::{Plan, Plant, Report, simulate};

/// Seeds of the short run.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=36;

/// Seeds in which a planted bug must show.
const HUNT: std::ops::RangeInclusive<u64> = 1..=20;

fn check(report: &Report) {
    if report.findings.is_empty() {
        return;
    }
    let found: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    panic!(
        "seed {}: {}\nreplay: cargo run -p stint-sim -- --seed {}\n",
        report.seed,
        found.join("\n"),
        report.seed
    );
}

fn run(part: u64) {
    for seed in SEEDS.filter(|seed| seed % 3 == part) {
        check(&simulate(Plan::new(seed, None), false));
    }
}

#[test]
fn a_third_of_the_seeds_holds() {
    run(0);
}

#[test]
fn the_second_third_holds() {
    run(1);
}

#[test]
fn the_last_third_holds() {
    run(2);
}

#[test]
fn a_seed_is_a_history() {
    for seed in [3, 5, 8] {
        let runs = [0, 1].map(|_| simulate(Plan::new(seed, None), false));
        assert_eq!((runs[0].hash, runs[0].lines), (runs[1].hash, runs[1].lines), "seed {seed}");
    }
    assert_ne!(simulate(Plan::new(3, None), false).hash, simulate(Plan::new(8, None), false).hash);
}

fn hunt(plants: impl Iterator<Item = &'static Plant>) {
    for plant in plants {
        let found = HUNT.clone().any(|seed| {
            let report = simulate(Plan::new(seed, Some(*plant)), false);
            report.findings.iter().any(|finding| plant.breaks().contains(&finding.invariant))
        });
        assert!(found, "the planted bug `{}` is not found", plant.name());
    }
}

#[test]
fn planted_bugs_are_found() {
    hunt(Plant::ALL.iter().step_by(2));
}

#[test]
fn the_other_planted_bugs_are_found() {
    hunt(Plant::ALL.iter().skip(1).step_by(2));
}

#[test]
fn every_invariant_has_a_planted_bug() {
    for invariant in stint_sim::Invariant::ALL {
        assert!(Plant::ALL.iter().any(|plant| plant.breaks().contains(invariant)), "{invariant:?}");
    }
}
