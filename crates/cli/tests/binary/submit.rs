//! `stint submit`: one, and many from a file.

use serde_json::{Value, json};
use stint_test_support::free_port;

use crate::runs::Bed;

fn lines(count: usize) -> String {
    (1..=count).map(|n| format!("{}\n", json!({"kind": "job", "input": {"n": n}}))).collect()
}

fn parsed(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_line_of_a_file_becomes_an_execution_and_wrong_ones_are_named() {
    let bed = Bed::new();
    let mut text: Vec<String> = lines(2_500).lines().map(str::to_owned).collect();
    text[16] = r#"{"kind": "job", "priority": 1000}"#.to_owned();
    text[999] = r#"{"kind": "job""#.to_owned();
    text[1_999] = String::new();
    let file = bed.file("jobs.jsonl", text.join("\n"));
    let said = bed.run(&["submit", "--file", &file, "--rejects", "rejects", "--batch", "500", "--json"]);
    assert_eq!(said.code, 3, "{}", said.err);
    for wanted in ["line 17: invalid_field", "line 1000: malformed_json", "2497 lines submitted", "2 of 2499"]
    {
        assert!(said.err.contains(wanted), "{wanted} in {}", said.err);
    }
    let entries = parsed(&said.out);
    let numbers: Vec<u64> = entries.iter().map(|entry| entry["line"].as_u64().unwrap()).collect();
    let expected: Vec<u64> = (1..=2_500).filter(|line| *line != 2_000).collect();
    assert_eq!(numbers, expected);
    assert_eq!(entries[16]["error"]["field"], "priority");
    // Each line is the execution it says.
    let last = entries.last().unwrap()["id"].as_str().unwrap();
    assert_eq!(bed.json(&["show", last])[0]["kind"], "job");
    assert_eq!(
        std::fs::read_to_string(bed.path("rejects")).unwrap(),
        format!("{}\n{}\n", text[16], text[999])
    );
}

#[test]
fn lines_are_inputs_of_a_kind_and_flags_stand_in_for_what_they_leave_out() {
    let bed = Bed::new();
    let said = bed.run_with(
        &["submit", "greet", "--file", "-", "--lane", "slow", "--tag", "run=7", "--json"],
        "\"Ada\"\n{\"name\": \"Bob\"}\n",
    );
    let ids: Vec<Value> = parsed(&said.out).into_iter().map(|entry| entry["id"].clone()).collect();
    assert_eq!((said.code, ids.len()), (0, 2), "{}", said.err);
    let shown = &bed.json(&["show", ids[1].as_str().unwrap()])[0];
    assert_eq!(
        (&shown["kind"], &shown["lane"], &shown["tags"]),
        (&json!("greet"), &json!("slow"), &json!({"run": "7"}))
    );
    // A line's own fields are stronger.
    let said = bed.run_with(
        &["submit", "--file", "-", "--lane", "slow", "--priority", "3", "--json"],
        r#"{"kind": "a", "lane": "fast"}"#,
    );
    let shown = &bed.json(&["show", parsed(&said.out)[0]["id"].as_str().unwrap()])[0];
    assert_eq!((&shown["lane"], &shown["priority"]), (&json!("fast"), &json!(3)));
}

#[test]
fn an_interrupt_says_where_to_go_on_and_going_on_there_submits_the_rest_once() {
    let bed = Bed::new();
    let text = lines(20);
    let mut running = bed.start(&["submit", "--file", "-", "--json"]);
    let first: Vec<&str> = text.lines().take(7).collect();
    running.say(first.join("\n") + "\n");
    let mut ids: Vec<Value> = (0..7).map(|_| serde_json::from_str(&running.line()).unwrap()).collect();
    running.interrupt();
    let said = running.end_by_itself();
    assert_eq!(said.code, 130, "{}", said.err);
    assert!(said.err.contains("7 lines were accepted") && said.err.contains("--from-line 8"), "{}", said.err);
    let said = bed.run_with(&["submit", "--file", "-", "--json", "--from-line", "8"], &text);
    ids.extend(parsed(&said.out));
    let numbers: Vec<u64> = ids.iter().map(|entry| entry["line"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=20).collect::<Vec<u64>>());
    assert_eq!(bed.json(&["list", "--kind", "job", "--count"])[0]["count"], 20);
}

#[test]
fn keys_by_line_make_it_safe_to_submit_a_file_twice() {
    let bed = Bed::new();
    let file = bed.file("jobs", lines(30));
    let args = ["submit", "--file", &file, "--key-prefix", "import-1"];
    assert!(bed.run(&args).err.contains("30 lines submitted in"));
    assert!(bed.run(&args).err.contains("30 lines submitted (30 were there before)"));
    assert_eq!(bed.json(&["list", "--count"])[0]["count"], 30);
}

#[test]
fn a_full_lane_is_waited_for_and_the_rest_is_told_when_that_is_interrupted() {
    let bed = Bed::new();
    bed.ok(&["lane", "set", "default", "--max-length", "4"]);
    // A batch is told of when all of it has come to an end, and lines that wait may overtake each other.
    let args = ["submit", "--file", "-", "--json", "--batch", "1", "--in-flight", "1"];
    let mut running = bed.start(&args);
    running.say(lines(6));
    for line in 1..=4 {
        let entry: Value = serde_json::from_str(&running.line()).unwrap();
        assert_eq!(entry["line"], line);
    }
    // Room for one more.
    let listed = bed.json(&["list"]);
    bed.ok(&["cancel", listed[0]["id"].as_str().unwrap()]);
    let entry: Value = serde_json::from_str(&running.line()).unwrap();
    assert_eq!(entry["line"], 5);
    running.interrupt();
    let said = running.end_by_itself();
    assert_eq!(said.code, 130);
    assert!(said.err.contains("lane_full") && said.err.contains("--from-line 6"), "{}", said.err);
}

#[test]
fn without_a_server_nothing_is_claimed() {
    let bed = Bed::at(format!("http://127.0.0.1:{}", free_port().unwrap()));
    let file = bed.file("jobs", lines(3));
    let said = bed.run(&["submit", "--file", &file, "--patience-ms", "300"]);
    assert_eq!(said.code, 4);
    assert!(said.err.contains("Lines 1 to 3 have no answer"), "{}", said.err);
    let said = bed.run(&["submit", "--file", "missing.jsonl"]);
    assert!(said.code == 2 && said.err.contains("missing.jsonl"), "{said:?}");
}

#[test]
fn a_reader_that_goes_ends_it_and_what_was_done_is_told() {
    let bed = Bed::new();
    let file = bed.file("jobs", lines(5_000));
    let mut running = bed.start(&["submit", "--file", &file, "--json", "--batch", "100"]);
    assert!(running.line().contains("\"line\":1"));
    running.hang_up();
    let said = running.end();
    assert_eq!(said.code, 141, "{}", said.err);
    assert!(said.err.contains("Go on with the same command and --from-line"), "{}", said.err);
}
