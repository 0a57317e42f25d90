//! What is scraped: everything is read when somebody asks, into the text format of OpenMetrics.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use stint_engine::{Distribution, LaneCounts, LaneObservation, Observation};

use crate::memory::resident_bytes;
use crate::meter::Meter;
use crate::metric_definitions::*;

/// What `GET /metrics` answers with.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Lanes that have a series of their own; the rest share one.
const LANES: usize = 100;

/// All there is at one moment.
#[derive(Debug)]
pub(crate) struct Scrape {
    pub(crate) seen: Observation,
    pub(crate) meters: Arc<[Arc<Meter>]>,
    pub(crate) uptime: Duration,
}

/// The scrape as text.
pub(crate) fn write(scrape: Scrape) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(scrape));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Out(encoder);
        self.process(&mut out)?;
        self.lanes(&mut out)?;
        self.executions(&mut out)?;
        self.engine(&mut out)?;
        self.http(&mut out)
    }
}

impl Scrape {
    fn process(&self, out: &mut Out<'_>) -> fmt::Result {
        out.rows(BUILD, [([env!("CARGO_PKG_VERSION")], 1)])?;
        out.gauge(UPTIME, self.uptime.as_secs_f64())?;
        if let Some(bytes) = resident_bytes() {
            out.one(MEMORY, bytes)?;
        }
        out.one(PARTITIONS_OPEN, self.seen.stats.partitions_open.into())?;
        out.one(SILENT, self.seen.silent_partitions)
    }

    fn lanes(&self, out: &mut Out<'_>) -> fmt::Result {
        let lanes = largest(&self.seen.lanes);
        let states = lanes.iter().flat_map(|lane| {
            let counts = lane.counts;
            [("ready", counts.ready), ("running", counts.running), ("waiting", counts.waiting)]
                .map(|(state, count)| ([&*lane.namespace, &*lane.lane, state], count))
        });
        out.rows(EXECUTIONS, states)?;
        let mut encoder = out.describe(QUEUE_AGE)?;
        for lane in &lanes {
            let labels = [("namespace", &*lane.namespace), ("lane", &*lane.lane)];
            encoder.encode_family(&labels)?.encode_gauge(&(lane.waiting_ms as f64 / 1e3))?;
        }
        Ok(())
    }

    fn executions(&self, out: &mut Out<'_>) -> fmt::Result {
        let of = |name: &str| {
            self.seen.events.iter().find(|(known, _)| *known == name).map_or(0, |(_, count)| *count)
        };
        out.one(LIVE, self.seen.stats.live)?;
        out.one(SUBMITTED, of("submitted"))?;
        out.one(STARTED, of("leased"))?;
        let ends = ["completed", "failed", "cancelled", "expired"];
        out.rows(ENDED, ends.map(|end| ([end], of(end))))?;
        let causes = [
            ("failed", "attempt_failed"),
            ("timed_out", "attempt_timed_out"),
            ("crashed", "crashed"),
            ("revoked", "revoked"),
        ];
        out.rows(RETRIES, causes.map(|(cause, event)| ([cause], of(event))))?;
        out.one(CRASHES, of("crashed"))?;
        out.one(RELEASES, of("released"))?;
        out.one(REPLAYS, of("replayed"))?;
        out.one(TRIMMED, of("trimmed"))?;
        out.one(LOST_WRITES, of("writes_lost"))?;
        out.one(SUSPENDED, of("suspended"))?;
        out.one(CHARGES, of("charged"))?;
        out.rows(BUDGETS, self.seen.budgets.iter().map(|(state, count)| ([state.name()], *count)))?;
        let of_budgets = self.seen.events.iter().filter_map(|(name, count)| {
            let event = name.strip_prefix("budget_").or((*name == "charge_quarantined").then_some(*name))?;
            Some(([event], *count))
        });
        out.rows(BUDGET_EVENTS, of_budgets)
    }

    fn engine(&self, out: &mut Out<'_>) -> fmt::Result {
        let (seen, stats, store) = (&self.seen, &self.seen.stats, &self.seen.stats.store);
        out.one(CLAIMS_PARKED, seen.claims_parked)?;
        out.one(EXCHANGES, seen.exchanges)?;
        out.one(COMMANDS, stats.commands)?;
        out.one(COMMITS, stats.commits)?;
        out.one(CONFLICTS, stats.conflicts)?;
        out.one(UNSETTLED, seen.unsettled)?;
        out.one(MAILBOX, stats.in_flight)?;
        out.one(QUARANTINED, stats.quarantined + stats.messages_quarantined)?;
        histogram(out.describe(COMMIT_SECONDS)?, &seen.commit_us, 1e6)?;
        histogram(out.describe(BATCH_COMMANDS)?, &seen.batch_commands, 1.0)?;
        out.rows(SCANNER_PASSES, seen.scanners.iter().map(|scanner| ([scanner.name], scanner.passes)))?;
        out.rows(SCANNER_PROCESSED, seen.scanners.iter().map(|scanner| ([scanner.name], scanner.processed)))?;
        out.rows(SCANNER_ERRORS, seen.scanners.iter().map(|scanner| ([scanner.name], scanner.errors)))?;
        out.one(STORE_COMMITS, store.commits)?;
        out.one(STORE_WRITES, store.writes)?;
        out.one(STORE_BYTES, store.bytes)?;
        out.one(STORE_SYNCS, store.syncs)?;
        out.gauge(STORE_LONGEST, store.longest_commit_us as f64 / 1e6)
    }

    fn http(&self, out: &mut Out<'_>) -> fmt::Result {
        let mut encoder = out.describe(HTTP_REQUESTS)?;
        for meter in &*self.meters {
            for (method, status, count) in meter.answered() {
                let status = if status == 0 { "other".to_owned() } else { status.to_string() };
                let labels = [("route", &*meter.route), ("method", method), ("status", &status)];
                encoder.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
            }
        }
        let mut encoder = out.describe(HTTP_SECONDS)?;
        for meter in &*self.meters {
            let took = meter.took_us.read();
            if took.count() > 0 {
                histogram(encoder.encode_family(&[("route", &*meter.route)])?, &took, 1e6)?;
            }
        }
        let open = self.meters.iter().filter(|meter| meter.open() > 0);
        out.rows(HTTP_OPEN, open.map(|meter| ([&*meter.route], meter.open())))
    }
}

/// The largest lanes; all others as one.
fn largest(lanes: &[LaneObservation]) -> Vec<LaneObservation> {
    let size = |lane: &LaneObservation| lane.counts.ready + lane.counts.running + lane.counts.waiting;
    let mut lanes = lanes.to_vec();
    if lanes.len() > LANES {
        lanes.sort_by_key(|lane| std::cmp::Reverse(size(lane)));
        let mut counts = LaneCounts::default();
        let mut waiting_ms = 0;
        for lane in lanes.drain(LANES..) {
            counts.ready += lane.counts.ready;
            counts.running += lane.counts.running;
            counts.waiting += lane.counts.waiting;
            waiting_ms = waiting_ms.max(lane.waiting_ms);
        }
        lanes.push(LaneObservation {
            namespace: "(other)".to_owned(),
            lane: "(other)".to_owned(),
            counts,
            waiting_ms,
        });
    }
    lanes
}

/// The text under way.
struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    fn describe(&mut self, metric: MetricDefinition) -> Result<MetricEncoder<'_>, fmt::Error> {
        let kind = match metric.kind {
            MetricKind::Counter => MetricType::Counter,
            MetricKind::Gauge => MetricType::Gauge,
            MetricKind::Histogram => MetricType::Histogram,
        };
        // The format itself adds the ending of counters.
        let name = metric.name.strip_suffix("_total").unwrap_or(metric.name);
        self.0.encode_descriptor(name, metric.help, None, kind)
    }

    fn one(&mut self, metric: MetricDefinition, value: u64) -> fmt::Result {
        self.rows(metric, [([""; 0], value)])
    }

    fn gauge(&mut self, metric: MetricDefinition, value: f64) -> fmt::Result {
        self.describe(metric)?.encode_gauge(&value)
    }

    /// One value per set of labels, in the order of the definition's.
    fn rows<'l, const N: usize>(
        &mut self,
        metric: MetricDefinition,
        rows: impl IntoIterator<Item = ([&'l str; N], u64)>,
    ) -> fmt::Result {
        let mut encoder = self.describe(metric)?;
        for (labels, value) in rows {
            if N == 0 {
                number(&mut encoder, metric.kind, value)?;
                continue;
            }
            let labels: Vec<(&str, &str)> = metric.labels.iter().copied().zip(labels).collect();
            number(&mut encoder.encode_family(&labels)?, metric.kind, value)?;
        }
        Ok(())
    }
}

fn number(encoder: &mut MetricEncoder<'_>, kind: MetricKind, value: u64) -> fmt::Result {
    match kind {
        MetricKind::Counter => encoder.encode_counter::<NoLabelSet, _, u64>(&value, None),
        // 2^53 is more than there will ever be of anything.
        _ => encoder.encode_gauge(&(value as f64)),
    }
}

fn histogram(mut encoder: MetricEncoder<'_>, values: &Distribution, unit: f64) -> fmt::Result {
    let mut buckets: Vec<(f64, u64)> =
        values.counts.iter().map(|(bound, count)| (*bound as f64 / unit, *count)).collect();
    buckets.push((f64::INFINITY, values.above));
    encoder.encode_histogram::<NoLabelSet>(values.sum as f64 / unit, values.count(), &buckets, None)
}
