//! `stint-sim`: one seed, many, or as many as fit into some minutes.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use stint_sim::{Plan, Plant, Report, simulate};

/// Runs the whole engine in one thread under virtual time and faults.
#[derive(Parser)]
#[command(name = "stint-sim", version)]
struct Args {
    /// Runs this seed alone, and prints all that happens.
    #[arg(long)]
    seed: Option<u64>,
    /// How many seeds to run.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Goes on for so many minutes instead.
    #[arg(long)]
    minutes: Option<u64>,
    /// Plants a bug, which must then be found; `all` plants each in turn.
    #[arg(long)]
    plant: Option<String>,
    /// Prints nothing but what was found.
    #[arg(long)]
    quiet: bool,
    /// Stops at the first seed that fails.
    #[arg(long)]
    first: bool,
    /// Runs each seed twice; both must be the same history.
    #[arg(long)]
    twice: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let plants = match args.plant.as_deref().map(plants) {
        Some(plants) if plants.is_empty() => {
            eprintln!("no such planted bug; there are: {}", names().join(", "));
            return ExitCode::FAILURE;
        }
        plants => plants,
    };
    let went_well = match (args.seed, plants) {
        (Some(seed), plants) => one(seed, plants.and_then(|plants| plants.first().copied()), args.quiet),
        (None, None) => many(&args),
        (None, Some(plants)) => plants.into_iter().filter(|plant| !hunt(&args, *plant)).count() == 0,
    };
    if went_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn names() -> Vec<&'static str> {
    Plant::ALL.iter().map(|plant| plant.name()).collect()
}

fn plants(name: &str) -> Vec<Plant> {
    Plant::ALL.iter().copied().filter(|plant| name == "all" || plant.name() == name).collect()
}

fn one(seed: u64, plant: Option<Plant>, quiet: bool) -> bool {
    let plan = Plan::new(seed, plant);
    println!("{plan:?}");
    let report = simulate(plan, !quiet);
    tell(&report);
    report.findings.is_empty()
}

fn many(args: &Args) -> bool {
    let started = Instant::now();
    let limit = args.minutes.map(|minutes| Duration::from_secs(60 * minutes));
    let (mut ran, mut failed) = (0, Vec::new());
    let mut tally = BTreeMap::new();
    for seed in args.from.. {
        let is_over = limit.map_or(ran == args.seeds, |limit| started.elapsed() >= limit);
        if is_over || (args.first && !failed.is_empty()) {
            break;
        }
        let report = simulate(Plan::new(seed, None), false);
        ran += 1;
        let is_history = !args.twice || simulate(Plan::new(seed, None), false).hash == report.hash;
        for (what, times) in &report.tally {
            *tally.entry(*what).or_insert(0) += times;
        }
        if !is_history {
            println!("seed {seed} is not one history");
        }
        if !report.findings.is_empty() || !is_history {
            tell(&report);
            failed.push(seed);
        } else if !args.quiet && ran % 20 == 0 {
            println!("{ran} seeds, {} s", started.elapsed().as_secs());
        }
    }
    if !args.quiet {
        let been_through: Vec<String> = tally.iter().map(|(what, times)| format!("{what} {times}")).collect();
        println!("been through: {}", been_through.join(", "));
    }
    println!("{ran} seeds in {} s, {} failed: {failed:?}", started.elapsed().as_secs(), failed.len());
    failed.is_empty()
}

/// Runs seeds until the planted bug is found.
fn hunt(args: &Args, plant: Plant) -> bool {
    for seed in args.from..args.from + args.seeds {
        let report = simulate(Plan::new(seed, Some(plant)), false);
        if let Some(finding) =
            report.findings.iter().find(|finding| plant.breaks().contains(&finding.invariant))
        {
            println!("{}: found by seed {seed}: {finding}", plant.name());
            return true;
        }
    }
    println!("{}: not found by {} seeds", plant.name(), args.seeds);
    false
}

fn tell(report: &Report) {
    println!(
        "seed {}: {} jobs, {} s of virtual time, {} lines, trace {:016x}",
        report.seed,
        report.jobs,
        report.virtual_ms / 1_000,
        report.lines,
        report.hash
    );
    for finding in &report.findings {
        println!("  {finding}");
    }
    if !report.findings.is_empty() {
        println!("replay: cargo run -p stint-sim -- --seed {}", report.seed);
    }
}
