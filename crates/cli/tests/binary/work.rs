//! `stint work`, and `stint run` for what it does.

use serde_json::{Value, json};

use crate::PATIENCE;
use crate::runs::{Bed, appears};

fn result(bed: &Bed, id: &str) -> Value {
    let said = bed.run(&["result", id, "--wait-ms", "60000", "--json"]);
    serde_json::from_str(&said.out).unwrap()
}

#[test]
fn a_program_turns_an_input_into_an_output() {
    let bed = Bed::new();
    let hello =
        bed.script("hello", "read -r name\necho \"Hello $name from attempt $STINT_ATTEMPT of $STINT_KIND\"");
    let _worker = bed.work(&["greet", "--text-input", "--", &hello]);
    let said = bed.run(&["run", "greet", "\"Ada\""]);
    assert_eq!(
        (said.code, said.out.as_str()),
        (0, "\"Hello Ada from attempt 1 of greet\"\n"),
        "{}",
        said.err
    );
    assert!(said.err.starts_with("ex_"));
    assert_eq!(bed.ok(&["run", "greet", "\"Bob\"", "--raw"]), "Hello Bob from attempt 1 of greet");
}

#[test]
fn all_bytes_pass_through_a_program() {
    let bed = Bed::new();
    let bytes: Vec<u8> = (0..=255).collect();
    let input = bed.file("bytes", &bytes);
    let _worker = bed.work(&["copy", "--output", "bytes", "--content-type", "image/png", "--", "cat"]);
    let id = bed.submit(&["copy", "--input-file", &input, "--content-type", "image/gif"]);
    let reply = result(&bed, &id);
    assert_eq!(reply["output"]["content_type"], "image/png");
    let output = bed.path("output");
    let shell = format!("'{}' result {id} >'{}'", env!("CARGO_BIN_EXE_stint"), output.display());
    let status =
        std::process::Command::new("sh").args(["-c", &shell]).env("STINT_SERVER", &bed.address).status();
    assert!(status.unwrap().success());
    assert_eq!(std::fs::read(output).unwrap(), bytes);
}

#[test]
fn a_failure_has_its_type_message_and_exit_code_and_some_are_final() {
    let bed = Bed::new();
    let fails = bed.script("fails", "echo working >&2\necho 'rate_limited: try later' >&2\nexit 75");
    let broken = bed.script("broken", "exit 3");
    let _first = bed.work(&["limited", "--non-retryable", "75", "--", &fails]);
    let _second = bed.work(&["broken", "--", &broken]);
    let said = bed.run(&["run", "limited", "--json"]);
    let reply: Value = serde_json::from_str(&said.out).unwrap();
    let error = json!({"type": "rate_limited", "message": "try later", "details": {"exit_code": 75}});
    assert_eq!((said.code, &reply["state"], &reply["error"]), (1, &json!("failed"), &error));
    let id = bed.submit(&["broken", "--max-attempts", "1"]);
    let reply = result(&bed, &id);
    assert_eq!(reply["error"]["type"], "exit_3");
    let log = bed.json(&["logs", said.err.lines().next().unwrap()]);
    let lines: Vec<&str> = log.iter().map(|line| line["line"].as_str().unwrap()).collect();
    assert_eq!(lines, ["working", "rate_limited: try later"]);
}

#[test]
fn the_side_channel_takes_progress_logs_steps_and_errors() {
    let bed = Bed::new();
    // The first attempt records one step, begins another, and fails; the second finds both as they are.
    let steps = bed.script(
        "steps",
        r#"ask() { echo "$1" >&3; read -r answer <&3; echo "$answer" >>"$OUT"; }
        echo '{"progress": {"percent": 40, "message": "half"}}' >&3
        echo '{"log": "by channel"}' >&3
        ask '{"step": "fetch"}'
        case $answer in *'"run":true'*) echo '{"step": "fetch", "output": {"n": 4}}' >&3 ;; esac
        ask '{"step": "charge"}'
        ask '{"stpe": "x"}'
        if [ "$STINT_ATTEMPT" = 1 ]; then
            echo '{"error": {"type": "card_declined", "message": "no", "retry_after_ms": 1}}' >&3
            exit 1
        fi
        echo '{"step": "charge", "output": null}' >&3
        echo done"#,
    );
    let out = bed.path("answers");
    let _worker = bed.background(&["work", "pay", "--", &steps]).env("OUT", &out).spawn().unwrap();
    let id = bed.submit(&["pay"]);
    assert_eq!(result(&bed, &id), json!({"state": "completed", "output": "done"}));
    let answers: Vec<Value> = appears(&out).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers[0], json!({"step": "fetch", "run": true}));
    assert_eq!(answers[1], json!({"step": "charge", "run": true}));
    assert!(answers[2]["error"].as_str().unwrap().contains("unknown field `stpe`"));
    assert_eq!(answers[3], json!({"step": "fetch", "result": {"n": 4}}));
    assert_eq!(answers[4], json!({"step": "charge", "unknown": true}));
    let shown = &bed.json(&["show", &id])[0];
    assert_eq!(shown["attempts"][0]["error"]["type"], "card_declined");
    let steps = bed.json(&["steps", &id]);
    assert_eq!((&steps[0]["key"], &steps[0]["state"]), (&json!("charge"), &json!("recorded")));
    assert_eq!((&steps[1]["output"], &steps[1]["attempt"]), (&json!({"n": 4}), &json!(1)));
    let log = bed.ok(&["logs", &id, "--attempt", "1"]);
    assert!(log.contains("by channel"), "{log}");
}

#[test]
fn a_program_holds_charges_and_ends_when_its_budget_stops_it_and_goes_on_after_a_raise() {
    let bed = Bed::new();
    bed.ok(&["budget", "set", "acme", "--window", "total:usd=0.0025"]);
    bed.ok(&["price", "set", "m", "--input", "1000000", "--output", "1000000"]);
    let turns = bed.script(
        "turns",
        r#"ask() { echo "$1" >&3; read -r answer <&3; echo "$answer" >>"$OUT"; }
        turn() {
            ask "{\"step\": \"turn-$1\"}"
            case $answer in *'"result"'*) return ;; *'"run"'* | *'"unknown"'*) ;; *) exit 1 ;; esac
            ask '{"hold": {"amounts": {"usd_micros": 1000}}}'
            case $answer in *'"hold":true'*) ;; *) exit 1 ;; esac
            ask "{\"charge\": $2}"
            echo "{\"step\": \"turn-$1\", \"output\": $1}" >&3
        }
        turn 1 '{"id": "resp-1", "amounts": {"usd_micros": 1000}}'
        turn 2 '{"answer": {"id": "resp-2", "model": "m", "usage": {"prompt_tokens": 900, "completion_tokens": 100}}}'
        turn 3 '{"id": "resp-3", "step": "own", "usage": {"model": "m", "input_tokens": 1000}}'
        ask '{"charge": {"usage": {"model": "none", "input_tokens": 1}}}'
        ask '{"charge": {"answer": {"id": "resp-4"}}}'
        ask '{"extend": {"amounts": {"usd_micros": 500}}}'
        echo done"#,
    );
    let out = bed.path("answers");
    let _worker = bed.background(&["work", "agent", "--", &turns]).env("OUT", &out).spawn().unwrap();
    let id = bed.submit(&["agent", "--budget", "acme:usd=0.001"]);
    while bed.json(&["list", "--state", "suspended"]).is_empty() {}
    let answers = |from: usize| -> Vec<Value> {
        appears(&out).lines().skip(from).map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let before = answers(0);
    assert_eq!(before[1], json!({"hold": true}));
    assert_eq!(before[2]["charge"]["recorded"], true);
    assert_eq!(before[2]["charge"]["amounts"], json!({"usd_micros": 1000}));
    let [.., last] = before.as_slice() else { panic!("it has asked") };
    assert_eq!(last["hold"], false);
    assert!(last["stop"].as_str().unwrap().contains("acme"), "{last}");
    bed.ok(&["budget", "raise", "acme", "usd=0.004"]);
    assert_eq!(result(&bed, &id), json!({"state": "completed", "output": "done"}));
    let after = answers(before.len());
    assert_eq!(after[0], json!({"step": "turn-1", "result": 1}));
    assert_eq!(after[1], json!({"step": "turn-2", "result": 2}));
    let [.., unpriced, unknown, more] = after.as_slice() else { panic!("it has gone on") };
    assert!(unpriced["charge"]["error"].as_str().unwrap().starts_with("price_unknown"), "{unpriced}");
    assert!(unknown["charge"]["error"].as_str().unwrap().starts_with("usage_unknown"), "{unknown}");
    assert_eq!(more, &json!({"extend": true}));
    let entries = bed.json(&["budget", "ledger", "acme", "--kind", "charge"]);
    let booked = entries.iter().map(|e| (e["charge_id"].as_str().unwrap(), e["step"].as_str().unwrap()));
    assert_eq!(
        booked.collect::<Vec<_>>(),
        [("resp-1", "turn-1"), ("resp-2", "turn-2"), ("resp-3", "own")],
        "{entries:?}"
    );
    assert!(entries.iter().all(|entry| entry["amounts"]["usd_micros"] == 1000), "{entries:?}");
    let shown = &bed.json(&["show", &id])[0];
    assert_eq!(shown["attempts"][0]["error"], Value::Null, "a budget's stop is no failure: {shown}");
}

#[test]
fn a_program_that_asks_nothing_is_ended_when_its_budget_stops_it() {
    let bed = Bed::new();
    bed.ok(&["budget", "set", "acme", "--window", "total:calls=1"]);
    let deaf = bed.script(
        "deaf",
        "echo '{\"charge\": {\"amounts\": {\"calls\": 2}}}' >&3\nwhile :; do sleep 0.01; done",
    );
    let _worker = bed.work(&["agent", "--", &deaf]);
    bed.submit(&["agent", "--budget", "acme:calls=1"]);
    while bed.json(&["list", "--state", "suspended"]).is_empty() {}
    let budget = &bed.json(&["budget", "show", "acme"])[0];
    assert_eq!((&budget["state"], &budget["windows"][0]["used"]), (&json!("breached"), &json!({"calls": 2})));
}

#[test]
fn a_program_killed_in_a_step_may_still_be_spending_and_one_that_exits_is_not() {
    let bed = Bed::new();
    for (kind, end, held) in [("killed", "kill -9 $$", json!({"calls": 5})), ("exits", "exit 1", json!({}))] {
        bed.ok(&["budget", "set", kind, "--window", "total:calls=100"]);
        let text = format!("echo '{{\"step\": \"call\"}}' >&3\nread -r answer <&3\n{end}");
        let program = bed.script(kind, &text);
        let _worker = bed.work(&[kind, "--", &program]);
        let hold = format!("{kind}:calls=5");
        let id = bed.submit(&[kind, "--budget", &hold, "--max-attempts", "1"]);
        assert_eq!(result(&bed, &id)["state"], "failed");
        // What it held ends with a message of its own.
        while held == json!({}) && bed.json(&["budget", "show", kind])[0]["holds"] != 0 {}
        assert_eq!(bed.json(&["budget", "show", kind])[0]["held"], held, "{kind}");
    }
}

#[test]
fn what_spends_its_cap_is_ended_and_not_tried_again() {
    let bed = Bed::new();
    bed.ok(&["budget", "set", "acme", "--window", "total:calls=100"]);
    let spender = bed.script(
        "spender",
        "echo tried >>tries\necho '{\"charge\": {\"amounts\": {\"calls\": 2}}}' >&3\nwhile :; do sleep 0.01; done",
    );
    let _worker = bed.work(&["agent", "--", &spender]);
    for cap in ["--cap", "--attempt-cap"] {
        let id = bed.submit(&["agent", "--budget", "acme:calls=1", cap, "calls=1", "--max-attempts", "5"]);
        let ended = result(&bed, &id);
        assert_eq!((&ended["state"], &ended["error"]["type"]), (&json!("failed"), &json!("cap_exceeded")));
    }
    assert_eq!(appears(&bed.path("tries")), "tried\ntried\n");
    let acme = &bed.json(&["budget", "show", "acme"])[0];
    assert_eq!((&acme["state"], &acme["windows"][0]["used"]), (&json!("open"), &json!({"calls": 4})));
    let nothing = bed.run(&["submit", "agent", "--cap", "calls=1"]);
    assert!(nothing.code == 2 && nothing.err.contains("--budget"), "{nothing:?}");
}

#[test]
fn a_cancelled_program_is_asked_first_and_killed_with_all_it_started_after_its_grace() {
    let bed = Bed::new();
    let polite = bed.script("polite", "trap 'echo stopped >stopped; exit 9' TERM\necho $$ >polite.pid\nwhile :; do sleep 0.01 || true; done");
    let stubborn = bed.script(
        "stubborn",
        "trap '' TERM\nsleep 1000 &\necho $! >child.pid\nwhile :; do sleep 0.01 || true; done",
    );
    let _first = bed.work(&["polite", "--", &polite]);
    let _second = bed.work(&["stubborn", "--grace-ms", "100", "--", &stubborn]);
    let id = bed.submit(&["polite"]);
    appears(&bed.path("polite.pid"));
    bed.ok(&["cancel", &id, "--reason", "not needed"]);
    assert_eq!(appears(&bed.path("stopped")), "stopped\n");
    assert_eq!(bed.run(&["result", &id, "--wait-ms", "60000"]).code, 6);
    let id = bed.submit(&["stubborn"]);
    let child = appears(&bed.path("child.pid"));
    bed.ok(&["cancel", &id]);
    assert_eq!(bed.run(&["watch", &id]).code, 6);
    wait_for_end(&child);
}

#[test]
fn what_a_killed_worker_leaves_behind_is_killed_with_it() {
    let bed = Bed::new();
    let endless = bed.script(
        "endless",
        "sleep 1000 &\necho $! >child.pid\necho $$ >leader.pid\nwhile :; do sleep 0.01 || true; done",
    );
    let worker = bed.work(&["endless", "--", &endless]);
    bed.submit(&["endless"]);
    let (leader, child) = (appears(&bed.path("leader.pid")), appears(&bed.path("child.pid")));
    worker.kill();
    wait_for_end(&leader);
    wait_for_end(&child);
}

/// Waits until the process of this id has ended.
fn wait_for_end(pid: &str) {
    let began = std::time::Instant::now();
    let pid = pid.trim();
    while std::path::Path::new(&format!("/proc/{pid}/root")).exists() && !is_zombie(pid) {
        assert!(began.elapsed() < PATIENCE, "process {pid} lives on");
        std::thread::yield_now();
    }
}

fn is_zombie(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

#[test]
fn a_worker_that_is_told_to_end_lets_its_programs_finish_and_gives_back_what_does_not() {
    let bed = Bed::new();
    let slow =
        bed.script("slow", "echo go >begun\nwhile [ ! -e finish ]; do sleep 0.01; done\necho finished");
    let endless = bed.script("endless", "echo go >begun2\nwhile :; do sleep 0.01 || true; done");
    let worker = bed.work(&["slow", "--", &slow]);
    let id = bed.submit(&["slow"]);
    appears(&bed.path("begun"));
    worker.terminate().unwrap();
    bed.file("finish", "now");
    assert_eq!(worker.wait(PATIENCE).unwrap(), 0);
    assert_eq!(result(&bed, &id)["output"], "finished");

    let worker = bed.work(&["endless", "--drain-ms", "0", "--grace-ms", "100", "--", &endless]);
    let id = bed.submit(&["endless"]);
    appears(&bed.path("begun2"));
    worker.terminate().unwrap();
    assert_eq!(worker.wait(PATIENCE).unwrap(), 0);
    let shown = &bed.json(&["show", &id])[0];
    // Given back: no attempt was lost to it.
    assert_eq!((&shown["state"], &shown["crashes"]), (&json!("ready"), &json!(0)), "{shown}");
}

#[test]
fn a_program_that_is_not_there_is_refused_at_once() {
    let bed = Bed::new();
    let said = bed.run(&["work", "greet", "--", "./missing.sh"]);
    assert!(said.code == 2 && said.err.contains("./missing.sh is no program"), "{said:?}");
    assert_eq!(bed.run(&["work", "greet"]).code, 2);
    assert_eq!(bed.run(&["work", "--", "cat"]).code, 2);
}
