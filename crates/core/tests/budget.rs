//! What a lifecycle costs the store: at most 6 puts and deletes and 800 bytes beyond its payload (ARCHITECTURE).

#![allow(clippy::unwrap_used)]

mod bed;

use bed::{Bed, json, policy};
use stint_core::model::*;
use stint_core::*;

const PUTS_MAX: usize = 6;
const BYTES_MAX: usize = 800;

/// Puts and bytes of a submission, a lease and a completion, each in a batch of its own, which is the dearest.
fn lifecycle(input: &str, output: &str) -> (usize, usize) {
    let mut bed = Bed::new();
    bed.submit(|s| s.input = json(input));
    bed.pass(1_500);
    let lease = bed.lease();
    bed.pass(250);
    bed.complete(lease, output).unwrap();
    (bed.puts, bed.bytes)
}

#[test]
fn a_lifecycle_stays_in_its_budget() {
    let input = "x".repeat(100);
    let (puts, bytes) = lifecycle(&input, "{\"lines\":12}");
    let beyond = bytes - input.len() - "{\"lines\":12}".len();
    println!("lifecycle: {puts} puts and deletes, {beyond} bytes beyond its payload");
    assert!(puts <= PUTS_MAX, "{puts} puts");
    assert!(beyond <= BYTES_MAX, "{beyond} bytes");
}

#[test]
fn all_in_one_batch_costs_less() {
    let mut bed = Bed::new();
    let mut txn = Txn::default();
    let item = bed.submission();
    let id = item.id;
    bed.run_in(&mut txn, &Command::Submit(command::Submit { items: vec![item] })).unwrap();
    let token = bed.token();
    let claim = command::Claim {
        token,
        worker: Worker::default(),
        filter: command::ClaimFilter {
            namespace: "default".into(),
            lanes: bed::names(&["default"]),
            kinds: vec![],
            capabilities: Capabilities::default(),
        },
        max: 1,
        until: Millis::MAX,
    };
    bed.run_in(&mut txn, &Command::Claim(claim)).unwrap();
    let lease = LeaseRef { execution: id, epoch: 1, token };
    let complete = command::Complete { lease, output: json("1") };
    bed.run_in(&mut txn, &Command::Complete(complete)).unwrap();
    assert_eq!(txn.writes(&bed.partition).len(), 3, "spec, archive, index: the live record came and went");
}

#[test]
fn queued_work_is_small() {
    let mut bed = Bed::new();
    let plain = bed.submit(|s| s.input = json(&"x".repeat(64)));
    let named = bed.submit(|s| {
        (s.lane, s.namespace) = ("documents".into(), "search-team".into());
        s.policy = policy(|p| p.retry.max_attempts = 5);
        s.priority = 10;
    });
    let size = |key: &Key| key.bytes.len() + bed.store.get(key).unwrap().len();
    let (live, spec) = (size(&key::execution(plain)), size(&key::spec(plain)) - 64);
    println!("queued, plain: live record {live}, spec {spec} beyond the input, keys included");
    assert!(live <= 75 && spec <= 50, "{live} and {spec}");
    let live = size(&key::execution(named));
    println!("queued, with lane, namespace, priority and a policy of its own: live record {live}");
    assert!(live <= 100, "{live}");
}
