//! What people say to budgets, and what they are told.

use serde_json::json;

use crate::runs::Bed;

#[test]
fn dots_in_a_path_reach_no_other_budget() {
    let bed = Bed::new();
    bed.ok(&["budget", "set", "victim", "--window", "total:usd=1"]);
    for path in ["victim/..", "..", "victim/.", "a/../victim", "victim\n"] {
        for verb in ["delete", "show", "explain"] {
            let said = bed.run(&["budget", verb, path]);
            assert!(said.code == 3 && said.err.contains("malformed_id"), "{verb} {path}: {said:?}");
        }
        let said = bed.run(&["submit", "agent", "--budget", path]);
        assert!(said.code == 3 && said.err.contains("invalid_field"), "{path}: {said:?}");
    }
    let said = bed.run(&["lane", "pause", ".."]);
    assert!(said.code == 3 && said.err.contains("malformed_id"), "{said:?}");
    assert_eq!(bed.json(&["budget", "tree"])[0]["path"], "victim");
}

#[test]
fn a_dimension_given_twice_is_refused_by_every_verb() {
    let bed = Bed::new();
    bed.ok(&["budget", "set", "acme", "--window", "total:usd=10"]);
    let both = ["usd=1", "usd_micros=5"];
    for words in [
        &["budget", "charge", "acme", "--id", "c"][..],
        &["budget", "adjust", "acme", "--id", "a"],
        &["budget", "topup", "acme", "--id", "t"],
        &["budget", "raise", "acme"],
        &["budget", "hold", "acme", "--id", "h"],
        &["hold", "extend", "hd_x", "--id", "e"],
        &["hold", "charge", "hd_x", "--id", "c"],
        &["budget", "set", "acme", "--default-hold", "usd=1", "--default-hold", "usd_micros=5", "--window"],
        &["submit", "agent", "--budget", "acme", "--cap", "usd=1", "--cap", "usd_micros=5", "--budget"],
        &[
            "run",
            "agent",
            "--budget",
            "acme",
            "--attempt-cap",
            "calls=1",
            "--attempt-cap",
            "calls=2",
            "--budget",
        ],
    ] {
        let said = match words.last() {
            Some(&"--window") => bed.run(&[words, &["total:calls=1"]].concat()),
            Some(&"--budget") => bed.run(&[words, &["acme/x"]].concat()),
            _ => bed.run(&[words, &both].concat()),
        };
        assert!(said.code == 2 && said.err.contains("given twice"), "{words:?}: {said:?}");
    }
    let said = bed.run(&["budget", "adjust", "acme", "--id", "a", "usd=0.05", "usd=-0.01"]);
    assert!(said.code == 2 && said.err.contains("given twice"), "{said:?}");
    let said = bed.run(&["submit", "agent", "--budget", "acme:usd_micros=5,usd=7"]);
    assert!(said.code == 2 && said.err.contains("given twice"), "{said:?}");
    for tokens in ["--input-tokens", "--output-tokens", "--cached-input-tokens", "--cache-write-tokens"] {
        let said = bed.run(&["budget", "charge", "acme", "--id", "c", "usd=1", tokens, "10"]);
        assert!(said.code == 2 && said.err.contains("--model"), "{said:?}");
    }
    assert_eq!(bed.json(&["budget", "show", "acme"])[0]["windows"][0]["used"], json!({}));
}

#[test]
fn a_hold_that_is_over_is_no_hold() {
    let bed = Bed::new();
    bed.ok(&["budget", "set", "acme", "--window", "total:usd=1"]);
    let hold = ["budget", "hold", "acme", "usd=0.5", "--id", "job-1"];
    let id = bed.ok(&hold);
    assert_eq!(bed.ok(&hold), id, "said again it is the same");
    let shown = bed.json(&hold);
    assert_eq!((&shown[0]["held"], &shown[0]["ended"]), (&json!({"usd_micros": 500_000}), &json!(false)));
    bed.ok(&["hold", "settle", &id, "usd=0.1", "--id", "c-1"]);
    let said = bed.run(&hold);
    assert!(said.code == 3 && said.out.is_empty() && said.err.contains("has ended"), "{said:?}");
    let said = bed.run(&[&hold[..], &["--json"]].concat());
    assert!(said.code == 3 && said.out.contains("\"ended\":true"), "{said:?}");

    let brief = ["budget", "hold", "acme", "usd=0.5", "--id", "job-2", "--ttl-ms", "1"];
    let said = bed.run(&brief);
    assert_eq!(said.code, 0, "{said:?}");
    while bed.run(&brief).code == 0 {}
    let said = bed.run(&brief);
    assert!(said.code == 3 && said.err.contains("is in doubt"), "{said:?}");
}

#[test]
fn each_budget_of_a_tree_is_shown_under_its_own_path() {
    let bed = Bed::new();
    for path in ["dev", "dev2/team/x", "a/b/c/d"] {
        bed.ok(&["budget", "set", path, "--window", "total:usd=1"]);
    }
    let tree = bed.ok(&["budget", "tree"]);
    let paths: Vec<&str> = tree.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(paths, ["a/b/c/d", "dev", "dev2/team/x"], "{tree}");
}

#[test]
fn the_ledger_says_what_was_taken_and_sums_up() {
    let bed = Bed::new();
    bed.ok(&["budget", "set", "u", "--window", "total:usd=10"]);
    bed.ok(&["budget", "charge", "u", "usd=0.5", "calls=2", "--id", "c1"]);
    bed.ok(&["budget", "adjust", "u", "usd=-0.2", "calls=3", "--id", "a1", "--reason", "billing fix"]);
    bed.ok(&["budget", "topup", "u", "usd=4", "--id", "t1"]);
    bed.ok(&["budget", "refund", "u", "usd=0.0001", "--charge", "c1", "--id", "r1"]);
    let table = bed.ok(&["budget", "ledger", "u"]);
    for (kind, said) in [
        ("adjustment", "3 calls -$0.20"),
        ("adjustment", "billing fix"),
        ("refund", "-$0.0001"),
        ("refund", "of c1"),
        ("top_up", "$4.00"),
    ] {
        assert!(table.lines().any(|line| line.contains(kind) && line.contains(said)), "{said}: {table}");
    }
    let shown = &bed.json(&["budget", "ledger", "u", "--kind", "refund"])[0];
    assert_eq!((&shown["refunds"], &shown["step"]), (&json!("c1"), &json!(null)));
    let used = &bed.json(&["budget", "show", "u"])[0]["windows"][0]["used"];
    assert_eq!(used, &json!({"usd_micros": 299_900, "calls": 5}));
}

#[test]
fn a_top_up_expires_later_or_not_at_all() {
    let bed = Bed::new();
    bed.ok(&["budget", "set", "acme", "--window", "total:usd=1"]);
    let top_up =
        |id: &str, at: &str| bed.run(&["budget", "topup", "acme", "usd=1", "--id", id, "--expires-at", at]);
    let past = top_up("past", "2020-01-01T00:00:00Z");
    assert!(past.code == 3 && past.err.contains("expires_at"), "{past:?}");
    assert_eq!(top_up("soon", "1h").code, 0);
    assert!(bed.ok(&["budget", "show", "acme"]).contains("$1.00 left of $1.00"));
    let other = top_up("soon", "7d");
    assert!(other.code == 3 && other.err.contains("idempotency_conflict"), "{other:?}");
}
