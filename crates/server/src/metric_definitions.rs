//! Every metric, by name. `docs/METRICS.md` lists them; a test holds both together.

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows, from the start of the process.
    Counter,
    /// What is now.
    Gauge,
    /// How often values fell below bounds.
    Histogram,
}

/// A metric's name and meaning.
#[derive(Clone, Copy, Debug)]
pub struct MetricDefinition {
    /// As it is scraped.
    pub name: &'static str,
    /// What it is.
    pub kind: MetricKind,
    /// Its labels; each has few values.
    pub labels: &'static [&'static str],
    /// What it counts.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($constant:ident $name:literal $kind:ident [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub(crate) const $constant: MetricDefinition =
                MetricDefinition { name: $name, kind: MetricKind::$kind, labels: &[$($label),*], help: $help };
        )*

        /// Every metric there is.
        pub const METRICS: &[MetricDefinition] = &[$($constant),*];
    };
}

metrics! {
    BUILD "stint_build_info" Gauge ["version"] "1, with the version that runs.";
    UPTIME "stint_uptime_seconds" Gauge [] "Since the server was set up.";
    MEMORY "stint_memory_bytes" Gauge [] "Resident memory of the process.";
    PARTITIONS_OPEN "stint_partitions_open" Gauge [] "Partitions that are served; all are 64.";
    EXECUTIONS "stint_executions" Gauge ["namespace", "lane", "state"]
        "Open executions: ready, running or waiting. The 100 largest lanes have their own; the rest are lane `(other)`.";
    LIVE "stint_executions_live" Gauge [] "Open executions in all.";
    QUEUE_AGE "stint_queue_age_seconds" Gauge ["namespace", "lane"]
        "How long the longest-waiting of those that are next in line has been ready.";
    SUBMITTED "stint_executions_submitted_total" Counter [] "Executions accepted.";
    STARTED "stint_attempts_started_total" Counter [] "Leases given to workers.";
    ENDED "stint_executions_ended_total" Counter ["outcome"] "Executions ended: completed, failed, cancelled or expired.";
    RETRIES "stint_retries_total" Counter ["cause"]
        "Attempts that are followed by another: failed, timed_out, crashed, revoked.";
    CRASHES "stint_lease_expiries_total" Counter [] "Leases that expired without their worker's word: crashes.";
    RELEASES "stint_leases_released_total" Counter [] "Leases given back unused.";
    REPLAYS "stint_replays_total" Counter [] "Executions run again after their end.";
    TRIMMED "stint_executions_trimmed_total" Counter [] "Executions removed after their retention.";
    SUSPENDED "stint_executions_suspended_total" Counter [] "Attempts parked because a budget stopped them.";
    CHARGES "stint_charges_total" Counter [] "Charges recorded under leases.";
    BUDGETS "stint_budgets" Gauge ["state"] "Budgets that are open, exhausted, overcommitted or breached; each in the worst of its states.";
    BUDGET_EVENTS "stint_budget_events_total" Counter ["event"]
        "Changes of budgets: changed, deleted, topped_up, exhausted, opened, overcommitted, covered, breached, cleared, soft_limit, repaired, charged, and others.";
    CLAIMS_PARKED "stint_claims_parked" Gauge [] "Claims that wait for work.";
    EXCHANGES "stint_exchanges_total" Counter [] "Exchanges of workers.";
    COMMANDS "stint_commands_total" Counter [] "Commands in committed batches.";
    COMMITS "stint_commits_total" Counter [] "Batches committed.";
    COMMIT_SECONDS "stint_commit_seconds" Histogram [] "From sending a batch until it was settled.";
    BATCH_COMMANDS "stint_batch_commands" Histogram [] "Commands in a committed batch.";
    CONFLICTS "stint_commit_conflicts_total" Counter [] "Commits that another node's came before.";
    UNSETTLED "stint_commits_unsettled_total" Counter []
        "Commits whose outcome was unknown at first, or that the store refused for a while.";
    MAILBOX "stint_mailbox_depth" Gauge [] "Commands that are not answered yet.";
    QUARANTINED "stint_quarantined_total" Counter [] "Timers and messages that failed for good.";
    LOST_WRITES "stint_timelines_lost_writes_total" Counter []
        "New timelines begun because acknowledged writes were found lost.";
    SCANNER_PASSES "stint_scanner_passes_total" Counter ["scanner"] "Background passes.";
    SCANNER_PROCESSED "stint_scanner_processed_total" Counter ["scanner"] "Items that background passes dealt with.";
    SCANNER_ERRORS "stint_scanner_errors_total" Counter ["scanner"] "Items that background passes failed on; they are tried again.";
    STORE_COMMITS "stint_store_commits_total" Counter [] "Commits, as the store counts them.";
    STORE_WRITES "stint_store_writes_total" Counter [] "Puts and deletes.";
    STORE_BYTES "stint_store_bytes_total" Counter [] "Bytes of their keys and values.";
    STORE_SYNCS "stint_store_syncs_total" Counter [] "Times data were forced to disk; 0 where that is not ours to do.";
    STORE_LONGEST "stint_store_longest_commit_seconds" Gauge [] "The longest commit since the start.";
    HTTP_REQUESTS "stint_http_requests_total" Counter ["route", "method", "status"]
        "Requests answered. Route `(none)`: there is no such endpoint.";
    HTTP_SECONDS "stint_http_request_seconds" Histogram ["route"]
        "From a request's head until its reply began; long polls wait in it.";
    HTTP_OPEN "stint_http_requests_open" Gauge ["route"] "Requests not answered yet.";
    SILENT "stint_scrape_silent_partitions" Gauge [] "Partitions whose lanes this scrape lacks: they did not answer within 2 s.";
}
