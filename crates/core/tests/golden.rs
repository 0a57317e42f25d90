//! Every record that was ever released reads back: `golden/` holds one file per record, as hex, named by what it is.
//!
//! Files are never changed. A new field brings new files: `STINT_GOLDEN=write cargo test -p stint-core --test golden`
//! writes those that are missing.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod bed;
mod money;

use std::collections::BTreeMap;
use std::path::PathBuf;

use bed::{Bed, json, policy, requires};
use data_encoding::HEXLOWER;
use stint_core::command::*;
use stint_core::find::{Filter, Mark, Marked, Only, StateFilter};
use stint_core::model::*;
use stint_core::*;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Reads a record as the kind its name says, and writes it again.
fn rewritten(name: &str, bytes: &[u8]) -> Vec<u8> {
    fn again<T: for<'b> minicbor::Decode<'b, ()> + minicbor::Encode<()>>(bytes: &[u8]) -> Vec<u8> {
        minicbor::to_vec(minicbor::decode::<T>(bytes).unwrap()).unwrap()
    }
    let id = ExecutionId::fresh(0, PartitionId(7), 1);
    let live = |key: Key| Record::decode(&key.bytes, bytes).unwrap().encode();
    match name.split('-').next().unwrap() {
        "execution" => live(key::execution(id)),
        "lane" => live(key::lane("n", "l")),
        "home" => live(key::lane_home("n", "l")),
        "namespace" => live(key::namespace("n")),
        "namespace_home" => live(key::namespace_home("n")),
        "bulk" => live(key::bulk(BulkId([7; 16]))),
        "link" => live(key::outgoing(PartitionId(1), 1)),
        "to" => live(key::chain_to(PartitionId(1))),
        "from" => live(key::chain_from(PartitionId(1))),
        "archive" => ArchiveRecord::encode(&ArchiveRecord::decode(id, bytes).unwrap()),
        "spec" => again::<Spec>(bytes),
        "attempt" => again::<Attempt>(bytes),
        "key" => again::<IdempotencyRecord>(bytes),
        "step" => again::<StepRecord>(bytes),
        "log_lines" => again::<LogRecord>(bytes),
        "budget" => live(key::budget("n", "p")),
        "counters" => live(key::counters("n", "p")),
        "hold" => live(key::hold(&HoldKey::Free(HoldId([7; 16])))),
        "waiter" => live(key::waiter(&PermitKey { execution: id, ask: 1, n: 0 })),
        "estimate" => live(key::estimate("n", "p", "k")),
        "tree" => live(key::tree("n", "t")),
        "ledger_mark" => live(key::ledger_mark("n", "t")),
        "roll_up" => again::<RollUp>(bytes),
        "carried" => again::<Carried>(bytes),
        "prices" => live(key::prices("n")),
        "entry" => again::<Entry>(bytes),
        "charge" => again::<ChargeRecord>(bytes),
        "lease_charge" => again::<LeaseChargeRecord>(bytes),
        "epoch" => again::<EpochRecord>(bytes),
        "ended_hold" => again::<EndedHold>(bytes),
        "log" => event::encode_log(&event::decode_log(bytes).unwrap()),
        "mark" => {
            let wants = |filter: &Filter| Mark::wanted(filter).compare(bytes);
            assert_eq!(wants(&marked(name)), Marked::Wanted, "{name}");
            assert_eq!(
                wants(&Filter { kind: Some("other".into()), ..marked(name) }),
                Marked::Other,
                "{name}"
            );
            bytes.to_vec()
        }
        other => panic!("no record is called {other}"),
    }
}

/// What marks of this name are about. A mark is only ever compared, so this is how it is read.
fn marked(name: &str) -> Filter {
    let failed = Filter { state: Some(StateFilter::Is(State::Failed)), ..Filter::all("default") };
    match name {
        "mark-plain" => Filter { kind: Some("k".into()), lane: Some("default".into()), ..failed },
        "mark-full" => Filter {
            namespace: "theirs".into(),
            kind: Some("send".into()),
            lane: Some("mail".into()),
            error_type: Some("Broken".into()),
            ..failed
        },
        other => panic!("no mark is called {other}"),
    }
}

/// Records as this build writes them, each with as much in it as there can be.
fn samples() -> BTreeMap<String, Vec<u8>> {
    let mut samples = BTreeMap::new();
    let mut bed = Bed::at(SetLane::home("default", "mail"));
    let keep = |samples: &mut BTreeMap<_, _>, name: &str, bed: &Bed, key: Key| {
        samples.insert(name.to_owned(), bed.store.get(&key).unwrap().to_vec());
    };
    let plain = bed.submit(|s| s.input = json("[1,2]"));
    keep(&mut samples, "execution-queued", &bed, key::execution(plain));
    keep(&mut samples, "spec-plain", &bed, key::spec(plain));
    let full = bed.submit(|s| {
        (s.namespace, s.lane, s.kind) = ("default".into(), "mail".into(), "send".into());
        s.requires = requires(&["gpu", "region in (eu, us)", "mem_gb >= 16", "not spot"]);
        s.prefer = vec!["ssd".into()];
        s.policy = policy(|p| {
            (p.queue_ttl_ms, p.attempt_timeout_ms) = (Some(600_000), Some(500_000));
            (p.deadline_ms, p.lease_ttl_ms) = (Some(86_400_000), 20_000);
            (p.max_crashes, p.retention_ms) = (7, Some(3_600_000));
            p.retry = Retry {
                max_attempts: 9,
                backoff: Backoff {
                    kind: BackoffKind::Fixed,
                    delay_ms: 500,
                    factor: 1_500,
                    max_ms: 7_000,
                    jitter: 100,
                },
                non_retryable: vec!["BadInput".into()],
            };
        });
        (s.priority, s.delay_ms, s.fairness_key) = (-5, Some(1_000), Some("tenant-4".into()));
        s.tags = vec![("team".into(), "search".into())];
        s.key = Some(([7; 16], [8; 16]));
        s.input = Payload { bytes: vec![255; 2_000].into(), content_type: Some("image/png".into()) };
        s.traceparent = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into());
    });
    keep(&mut samples, "execution-scheduled", &bed, key::execution(full));
    keep(&mut samples, "spec-full", &bed, key::spec(full));
    keep(&mut samples, "key", &bed, key::idempotency([7; 16]));
    bed.pass(1_000);
    bed.act(full, Action::Pause).unwrap();
    keep(&mut samples, "execution-paused", &bed, key::execution(full));
    bed.act(full, Action::Resume).unwrap();
    let claim = |c: &mut Claim| {
        c.filter.lanes = bed::names(&["mail"]);
        c.filter.capabilities = Capabilities::parse(["gpu", "region=eu", "mem_gb=64"]);
    };
    let lease = bed.claim_as(claim)[0].lease;
    let error = ErrorInfo {
        error_type: "Timeout".into(),
        message: "no answer".into(),
        details: Some("{\"after\":3}".into()),
    };
    bed.run(Command::Fail(Fail { lease, error, retry: None, retry_after_ms: Some(0), unfinished: false }))
        .unwrap();
    keep(&mut samples, "attempt", &bed, key::attempt(full, 1));
    let lease = bed.claim_as(claim)[0].lease;
    bed.begin(lease, "fetch").unwrap();
    keep(&mut samples, "step-begun", &bed, key::step(full, "fetch"));
    bed.record(lease, "fetch", "{\"n\":5}").unwrap();
    keep(&mut samples, "step-recorded", &bed, key::step(full, "fetch"));
    bed.begin(lease, "parse").unwrap();
    bed.act(full, Action::Revoke).unwrap();
    let lease = bed.claim_as(claim)[0].lease;
    bed.begin(lease, "parse").unwrap();
    keep(&mut samples, "step-unknown", &bed, key::step(full, "parse"));
    let progress = Some(Progress { percent: Some(40), message: Some("reading".into()) });
    bed.pass(10);
    bed.run(Command::Heartbeat(Heartbeat { lease, progress })).unwrap();
    bed.cancel(full, 5_000).unwrap();
    keep(&mut samples, "execution-stopped", &bed, key::execution(full));
    bed.pass(5_000);
    keep(&mut samples, "archive-stopped", &bed, key::archive(full));
    bed.replay(full, None).unwrap();
    keep(&mut samples, "execution-replayed", &bed, key::execution(full));
    let lease = bed.claim_as(claim)[0].lease;
    bed.complete(lease, &"y".repeat(2_000)).unwrap();
    keep(&mut samples, "archive-completed", &bed, key::archive(full));
    let lease = bed.lease();
    keep(&mut samples, "execution-running", &bed, key::execution(plain));
    bed.complete(lease, "3").unwrap();
    keep(&mut samples, "archive-plain", &bed, key::archive(plain));
    let weights = BTreeMap::from([("tenant-4".to_owned(), 3)]);
    bed.now += 1;
    bed.set_lane(
        "mail",
        LaneChange::Settings { weights, age_step_ms: Some(60_000), max_length: Some(1_000) },
    );
    bed.set_lane("mail", LaneChange::Mode(LaneMode::Paused));
    let peer = PartitionId::all().find(|peer| *peer != bed.partition.id()).unwrap();
    keep(&mut samples, "lane", &bed, key::lane("default", "mail"));
    keep(&mut samples, "home", &bed, key::lane_home("default", "mail"));
    keep(&mut samples, "link-lane", &bed, key::outgoing(peer, 1));
    keep(&mut samples, "to", &bed, key::chain_to(peer));
    bed.run(Command::Acknowledge(Acknowledge::resync(peer, 99))).unwrap();
    keep(&mut samples, "link-lanes", &bed, key::outgoing(peer, 1));
    let links =
        bed.partition.outgoing().filter(|(to, _)| *to == peer).map(|(_, link)| link.clone()).collect();
    let mut other = Bed::at(peer);
    other.run(Command::Deliver(Deliver { from: bed.partition.id(), links })).unwrap();
    // What a new chain carries grows with what there is; the record is of when it began with two links.
    let at = key::chain_from(bed.partition.id());
    let mut from: ChainFrom = minicbor::decode(other.store.get(&at).unwrap()).unwrap();
    let first = bed.partition.outgoing().find(|(to, _)| *to == peer).map(|(_, link)| link.id).unwrap();
    (from.sequence, from.id) = (2, first + 1);
    samples.insert("from".into(), Record::ChainFrom(from).encode());
    let all: Vec<Event> = bed.events.iter().map(|event| Event { at: bed::START, ..event.clone() }).collect();
    samples.insert("log".into(), event::encode_log(&all));
    // Records of later fields come from a bed of their own: the ones above stay as they were.
    let mut bed = Bed::new();
    let asked = bed.submit(|_| ());
    bed.cancel(asked, 0).unwrap();
    bed.replay_as(asked, None, Some(RequestId([9; 16]))).unwrap();
    keep(&mut samples, "execution-replayed_by_request", &bed, key::execution(asked));
    bed.cancel(asked, 0).unwrap();
    let keyed = bed.submit(|s| (s.key, s.key_text) = (Some(([5; 16], [6; 16])), Some("order-17".into())));
    keep(&mut samples, "spec-key", &bed, key::spec(keyed));
    bed.cancel(keyed, 0).unwrap();
    let long = bed.submit(|s| (s.kind, s.priority) = ("long".into(), 1));
    for _ in 0..60 {
        let lease = bed.lease();
        bed.release(lease).unwrap();
    }
    let lease = bed.lease();
    bed.begin(lease, "fetch").unwrap();
    bed.log(lease, vec!["one".into(), "two".into()], Some(RequestId([4; 16]))).unwrap();
    bed.log(lease, vec!["three".into()], None).unwrap();
    keep(&mut samples, "execution-long", &bed, key::execution(long));
    keep(&mut samples, "step-attempt", &bed, key::step(long, "fetch"));
    keep(&mut samples, "log_lines", &bed, key::log_lines(long, 0));
    bed.complete(lease, "1").unwrap();
    for (name, filter) in ["mark-plain", "mark-full"].map(|name| (name, marked(name))) {
        let id = bed.submit(|s| {
            (s.namespace, s.kind) = (filter.namespace.clone(), filter.kind.clone().unwrap());
            s.lane = filter.lane.clone().unwrap();
        });
        let lease = bed.claim_as(|c| {
            (c.filter.namespace, c.filter.lanes) =
                (filter.namespace.clone(), vec![filter.lane.clone().unwrap()]);
        });
        let lease = lease[0].lease;
        let error_type = filter.error_type.as_deref().unwrap_or("Other");
        let error = ErrorInfo { error_type: error_type.into(), message: "it broke".into(), details: None };
        bed.run(Command::Fail(Fail {
            lease,
            error,
            retry: Some(false),
            retry_after_ms: None,
            unfinished: false,
        }))
        .unwrap();
        keep(&mut samples, name, &bed, key::ended(bed.now, id));
    }
    let half = bed.submit(|s| s.kind = "half".into());
    let lease = bed.claim_as(|c| c.filter.kinds = bed::names(&["half"]))[0].lease;
    let progress = Some(Progress { percent: Some(50), message: Some("half".into()) });
    bed.run(Command::Heartbeat(Heartbeat { lease, progress })).unwrap();
    bed.act(half, Action::Revoke).unwrap();
    keep(&mut samples, "attempt-progress", &bed, key::attempt(half, 1));
    bed.cancel(half, 0).unwrap();
    let placed = bed.submit(|s| (s.delay_ms, s.priority) = (Some(1_000), 2));
    bed.pass(1_000);
    keep(&mut samples, "execution-placed", &bed, key::execution(placed));
    for (name, action) in [
        ("cancel", BulkAction::Cancel { reason: Some("wrong".into()), grace_ms: Some(5) }),
        ("replay", BulkAction::Replay { from_step: Some("fetch".into()) }),
        ("priority", BulkAction::Priority(-7)),
        ("tag", BulkAction::Tag(vec![("run".into(), "5".into())])),
    ] {
        samples.insert(format!("bulk-{name}"), Record::Bulk(Box::new(bulk(action))).encode());
    }
    samples.extend(money::samples());
    let mut bed = Bed::new();
    let retried = bed.submit(|_| ());
    let lease = bed.lease();
    bed.fail(lease, "Broken").unwrap();
    keep(&mut samples, "execution-retried", &bed, key::execution(retried));
    let mut bed = Bed::at(SetNamespace::home("default"));
    let change = NamespaceChange::Settings { retention_ms: Some(3_600_000), ledger_retention_ms: None };
    bed.run(Command::SetNamespace(SetNamespace { namespace: "default".into(), change })).unwrap();
    let peer = PartitionId::all().find(|peer| *peer != bed.partition.id()).unwrap();
    keep(&mut samples, "namespace", &bed, key::namespace("default"));
    keep(&mut samples, "namespace_home", &bed, key::namespace_home("default"));
    keep(&mut samples, "link-namespace", &bed, key::outgoing(peer, 1));
    bed.run(Command::Acknowledge(Acknowledge::resync(peer, 99))).unwrap();
    let place = |(_, link): &(PartitionId, &Link)| matches!(link.message, Message::Namespaces(_));
    let (_, link) = bed.partition.outgoing().filter(|(to, _)| *to == peer).find(place).unwrap();
    let at = key::outgoing(peer, link.sequence);
    keep(&mut samples, "link-namespaces", &bed, at);
    samples
}

/// A job with as much in it as there can be.
fn bulk(action: BulkAction) -> BulkJob {
    BulkJob {
        id: BulkId([7; 16]),
        action,
        filter: Filter {
            namespace: "n".into(),
            state: Some(StateFilter::Is(State::Failed)),
            lane: Some("l".into()),
            kind: Some("k".into()),
            tags: vec![("team".into(), "a".into())],
            error_type: Some("Broken".into()),
            since: Some(1_000),
            until: Some(2_000),
            only: Some(Only::Ended),
        },
        started_at: 2_000,
        state: BulkState::Done,
        ended_at: Some(3_000),
        matched: 7,
        at_least: true,
        cursor: Some("AQ".into()),
        tally: BulkTally { changed: 4, skipped: 2, failed: 1 },
        errors: vec![BulkError { execution: [9; 16], code: "not_found".into(), detail: "gone".into() }],
    }
}

#[test]
fn every_released_record_reads_back_and_is_written_the_same() {
    let mut seen = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let bytes = HEXLOWER.decode(text.split_whitespace().collect::<String>().as_bytes()).unwrap();
        assert_eq!(rewritten(&name, &bytes), bytes, "{name}");
        seen += 1;
    }
    assert!(seen >= samples().len(), "records without a golden file: write them");
}

#[test]
fn this_build_writes_what_the_golden_files_hold() {
    let write = std::env::var("STINT_GOLDEN").is_ok_and(|value| value == "write");
    for (name, bytes) in samples() {
        let path = folder().join(format!("{name}.hex"));
        let hex = HEXLOWER.encode(&bytes);
        let lines: Vec<&str> = hex.as_bytes().chunks(96).map(|l| std::str::from_utf8(l).unwrap()).collect();
        let text = lines.join("\n") + "\n";
        if write && !path.exists() {
            std::fs::write(&path, &text).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(golden, text, "{name} is written otherwise than when it was released");
    }
}

#[test]
fn unknown_fields_of_later_builds_are_passed_over() {
    let samples = samples();
    let bytes = &samples["execution-queued"];
    // One more entry in the map: field 200 holds 5.
    let mut later = bytes.clone();
    later[0] += 1;
    later.extend_from_slice(&[0x18, 200, 5]);
    let id = ExecutionId::fresh(0, PartitionId(7), 1);
    let read = |bytes: &[u8]| Record::decode(&key::execution(id).bytes, bytes).unwrap();
    assert_eq!(read(&later), read(bytes));
}

#[test]
fn broken_records_are_an_error_and_never_a_panic() {
    let id = ExecutionId::fresh(0, PartitionId(7), 1);
    for (name, bytes) in samples() {
        for cut in 0..bytes.len().min(200) {
            let mut flipped = bytes.clone();
            flipped[cut] ^= 0x55;
            for broken in [&bytes[..cut], &flipped] {
                for key in [key::execution(id), key::lane("n", "l"), key::outgoing(PartitionId(1), 1)] {
                    let _ = Record::decode(&key.bytes, broken);
                }
                let _ = minicbor::decode::<Spec>(broken);
                let _ = minicbor::decode::<StepRecord>(broken);
                let _ = event::decode_log(broken);
            }
            assert!(Record::decode(&key::execution(id).bytes, &bytes[..cut]).is_err(), "{name} cut at {cut}");
        }
    }
}
