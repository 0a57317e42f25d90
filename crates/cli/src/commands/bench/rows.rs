//! The rows.

mod charges;
mod claims;
mod crash;
mod expiry;
mod find;
mod idle;
mod latency;
mod lifecycle;
mod memory;
mod queue;
mod reconciler;
mod scarce;
mod start;
mod submissions;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value};

use super::Args;

/// What a row measured.
pub(super) type Figures = anyhow::Result<Map<String, Value>>;

/// A row of the table in docs/PERFORMANCE.md.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) goal: &'static str,
    pub(super) run: fn(Args) -> BoxFuture<'static, Figures>,
}

/// All of them, in the table's order.
pub(super) const ROWS: &[Row] = &[
    Row {
        name: "inprocess-embedded",
        goal: "20,000 tasks/s (aim 30,000), 256 in flight, 100-byte input, fsync; half of the raw store's rate",
        run: |args| lifecycle::in_process_embedded(args).boxed(),
    },
    Row {
        name: "inprocess-valkey",
        goal: "15,000 tasks/s (aim 20,000); Valkey CPU 30 us a task; 450 bytes a queued 64-byte task",
        run: |args| lifecycle::in_process_valkey(args).boxed(),
    },
    Row {
        name: "http-workers",
        goal: "10,000 tasks/s (aim 15,000), submissions in batches, fsync",
        run: |args| lifecycle::http_workers(args).boxed(),
    },
    Row {
        name: "http-batch-submit",
        goal: "60,000 submissions/s in batches of 1,000, fsync",
        run: |args| submissions::batches(args).boxed(),
    },
    Row {
        name: "http-steps",
        goal: "3,000 executions/s of three journaled steps, 64 in flight, fsync",
        run: |args| lifecycle::http_steps(args).boxed(),
    },
    Row {
        name: "crash-recovery",
        goal: "first work done 1 s after the restart of a server killed with 100,000 live",
        run: |args| crash::recovery(args).boxed(),
    },
    Row {
        name: "http-single-submit",
        goal: "12,000 submissions/s from 16 clients, each waiting for its answer",
        run: |args| submissions::single(args).boxed(),
    },
    Row {
        name: "http-latency",
        goal: "submit to handler start p50 1.5 ms, p99 5 ms at 50/s and at 500/s, 16 parked workers, fsync",
        run: |args| latency::submit_to_start(args).boxed(),
    },
    Row {
        name: "claim-latency",
        goal: "1,000 ready, 1,000,000 ready and 100,000 unservable within 1.3x of each other",
        run: |args| claims::latency(args).boxed(),
    },
    Row {
        name: "memory-queued",
        goal: "400 bytes a queued execution beyond its payload",
        run: |args| memory::queued(args).boxed(),
    },
    Row {
        name: "start-large",
        goal: "5 s to start with 1,000,000 live after 10,000,000 finished",
        run: |args| start::large(args).boxed(),
    },
    Row {
        name: "find",
        goal: "over 1,000,000 live and as many archived, with 5,000 tasks/s: a page by state, lane, kind or one tag 20 ms p99, others and counts 100 ms",
        run: |args| find::find(args).boxed(),
    },
    Row {
        name: "idle",
        goal: "no commits and under 0.5 % of a core; on Valkey under 3 commands/s",
        run: |args| idle::idle(args).boxed(),
    },
    Row {
        name: "expiry-storm",
        goal: "1,000 leases that expire at one moment are leased again within 1 s",
        run: |args| expiry::storm(args).boxed(),
    },
    Row {
        name: "charges",
        goal: "30,000 charges/s by path on three-level trees with two windows each (8 trees), in process, fsync, 256 in flight",
        run: |args| charges::by_path(args).boxed(),
    },
    Row {
        name: "lease-charges",
        goal: "8,000 charges/s on 256 leases, the same trees, in process, fsync",
        run: |args| charges::on_leases(args).boxed(),
    },
    Row {
        name: "budget-tasks",
        goal: "5,000 tasks/s, each with a hold and a charge on one of 8 trees, in process, fsync; 40 % of the raw store's rate",
        run: |args| lifecycle::with_budgets(args).boxed(),
    },
    Row {
        name: "permit-latency",
        goal: "submit to start with one budget permit, over HTTP: p50 3 ms",
        run: |args| latency::with_permit(args).boxed(),
    },
    Row {
        name: "budget-race",
        goal: "200 racing for the last of one budget: none over, no hold left, answers p99 20 ms",
        run: |args| scarce::race(args).boxed(),
    },
    Row {
        name: "budget-queue",
        goal: "100,000 queued on an exhausted budget, then raised: the first starts within 50 ms",
        run: |args| scarce::queue(args).boxed(),
    },
    Row {
        name: "reconciler",
        goal: "a pass over 100,000 budgets and 1,000,000 entries, 1 % changed: no command waits 10 ms for it; idle 0.5 % of a core",
        run: |args| reconciler::pass(args).boxed(),
    },
];
