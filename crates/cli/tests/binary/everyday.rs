//! What people do all day: dev, run, list, why, lanes, profiles; and what they are told when something is wrong.

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::json;
use stint_test_support::free_port;

use crate::PATIENCE;
use crate::runs::Bed;

#[test]
fn a_server_for_trying_things_keeps_nothing_unless_told_where() {
    let bed = Bed::at(String::new());
    let temporary = bed.path("temporary");
    std::fs::create_dir(&temporary).unwrap();
    let start = |args: &[&str]| {
        let dev =
            bed.background(&[&["dev", "--listen", "127.0.0.1:0"], args].concat()).env("TMPDIR", &temporary);
        let dev = dev.spawn().unwrap();
        let line = dev.wait_for_line(PATIENCE, |_| true).unwrap();
        (dev, Bed::at(line.strip_prefix("stint listening on ").unwrap().to_owned()))
    };
    let left = || std::fs::read_dir(&temporary).unwrap().count();
    let (dev, user) = start(&[]);
    user.submit(&["hello"]);
    assert_eq!(left(), 1);
    dev.terminate().unwrap();
    assert_eq!((dev.wait(PATIENCE).unwrap(), left()), (0, 0));

    let (dev, user) = start(&["data"]);
    let id = user.submit(&["hello"]);
    dev.terminate().unwrap();
    assert_eq!(dev.wait(PATIENCE).unwrap(), 0);
    let (_dev, user) = start(&["data"]);
    assert_eq!(user.json(&["show", &id])[0]["state"], "ready");
}

#[test]
fn an_outcome_is_an_exit_code() {
    let bed = Bed::new();
    let said = bed.run(&["run", "nobody", "--wait-ms", "10"]);
    assert!(said.code == 8 && said.err.contains("is ready"), "{said:?}");
    let id = said.err.lines().next().unwrap();
    assert_eq!(bed.run(&["result", id]).code, 8);
    bed.ok(&["cancel", id]);
    assert_eq!(bed.run(&["result", id]).code, 6);
    assert_eq!(bed.run(&["cancel", id]).code, 0, "twice is fine");
    let said = bed.run(&["run", "nobody", "--deadline-ms", "1"]);
    assert!(said.code == 7 && said.err.contains("deadline_exceeded"), "{said:?}");
    let mut running = bed.start(&["run", "nobody"]);
    // It listens for signals before it submits, so whoever sees the execution may interrupt.
    while bed.json(&["list", "--state", "ready", "--count"])[0]["count"] == 0 {}
    running.interrupt();
    running.hang_up();
    let said = running.end();
    assert!(said.code == 130 && said.err.contains("stint cancel ex_"), "{said:?}");
}

#[test]
fn executions_are_found_explained_and_acted_on() {
    let bed = Bed::new();
    let first = bed.submit(&["a", "1", "--tag", "team=red", "--lane", "slow"]);
    let second = bed.submit(&["a", "2", "--tag", "team=blue", "--priority", "-5"]);
    let ids = |args: &[&str]| -> Vec<String> {
        let found = bed.json(&[&["list"], args].concat());
        found.iter().map(|found| found["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&[]), [second.clone(), first.clone()]);
    assert_eq!(ids(&["--tag", "team=red", "--kind", "a"]), [first.as_str()]);
    assert_eq!(ids(&["--lane", "slow", "--since", "1h"]), [first.as_str()]);
    assert_eq!(ids(&["--limit", "1"]).len(), 1);
    assert_eq!(bed.ok(&["list", "--count"]), "2");
    let table = bed.ok(&["list"]);
    assert!(table.contains("STATE") && table.contains(&first) && table.contains("slow"), "{table}");

    bed.ok(&["pause", &first]);
    assert_eq!(bed.json(&["why", &first])[0]["state"], "blocked");
    assert!(bed.ok(&["why", &first]).contains("paused"));
    bed.ok(&["resume", &first]);
    bed.ok(&["priority", "-7", &first, &second]);
    assert_eq!(bed.json(&["show", &second])[0]["priority"], -7);
    bed.ok(&["cancel", &first, "--reason", "because"]);
    assert!(bed.ok(&["show", &first]).contains("cancelled (because)"));
    bed.ok(&["replay", &first]);
    assert_eq!(bed.json(&["show", &first])[0]["state"], "ready");
    let events: Vec<String> = {
        bed.ok(&["cancel", &first]);
        let said = bed.run(&["watch", &first, "--json"]);
        assert_eq!(said.code, 6, "{}", said.err);
        let event = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["event"].clone();
        said.out.lines().map(|line| event(line).as_str().unwrap().to_owned()).collect()
    };
    // A replay goes on behind the end before it.
    let ended: Vec<&str> = events.iter().map(String::as_str).filter(|event| *event == "cancelled").collect();
    assert_eq!(
        (events[0].as_str(), events.last().unwrap().as_str(), ended.len()),
        ("submitted", "cancelled", 2)
    );
    // Of several, those that can be are done, and the others are told.
    let said = bed.run(&["cancel", "ex_00000000000000000000000000", &second]);
    assert!(said.code == 3 && said.out.contains(&second) && said.err.contains("1 of 2"), "{said:?}");
}

#[test]
fn many_are_counted_first_and_then_acted_on_in_one_job() {
    let bed = Bed::new();
    let lines: String = (0..300).map(|n| format!("{n}\n")).collect();
    assert_eq!(bed.run_with(&["submit", "a", "--file", "-", "--lane", "many"], lines).code, 0);
    bed.submit(&["a"]);
    assert_eq!(bed.ok(&["cancel", "--lane", "many", "--dry-run"]), "300");
    let said = bed.run(&["cancel", "--lane", "many"]);
    assert!(said.code == 2 && said.err.contains("cancel 300 executions; say --yes"), "{said:?}");
    for wrong in [&["cancel"][..], &["cancel", "--lane", "many", "ex_00000000000000000000000000"]] {
        assert_eq!(bed.run(wrong).code, 2, "{wrong:?}");
    }
    bed.ok(&["tag", "batch=7", "--lane", "many", "--yes"]);
    let job = &bed.json(&["cancel", "--tag", "batch=7", "--yes", "--reason", "wrong input"])[0];
    assert_eq!((&job["state"], &job["changed"]), (&json!("done"), &json!(300)), "{job}");
    assert_eq!(bed.ok(&["list", "--state", "cancelled", "--count"]), "300");
    assert_eq!(bed.ok(&["list", "--state", "ready", "--count"]), "1");
    let jobs = bed.json(&["bulk", "list"]);
    assert_eq!((jobs.len(), &jobs[0]["job"]), (2, &job["job"]));
    assert_eq!(bed.run(&["bulk", "stop", "bk_nonsense"]).code, 3);
}

#[test]
fn lanes_and_workers_are_shown_and_changed() {
    let bed = Bed::new();
    bed.submit(&["a", "--lane", "slow"]);
    bed.ok(&["lane", "set", "slow", "--weight", "paying=3", "--max-length", "10"]);
    bed.ok(&["lane", "set", "slow", "--weight", "free=1"]);
    let lane = &bed.json(&["lane", "show", "slow"])[0];
    assert_eq!((&lane["weights"], &lane["max_length"]), (&json!({"paying": 3, "free": 1}), &json!(10)));
    bed.ok(&["lane", "set", "slow", "--weight", "free=0", "--max-length", "0"]);
    bed.ok(&["lane", "pause", "slow"]);
    let lane = &bed.json(&["lane", "list"])[0];
    assert_eq!((&lane["weights"], &lane["paused"]), (&json!({"paying": 3}), &json!(true)));
    bed.ok(&["lane", "resume", "slow"]);
    bed.ok(&["lane", "drain", "slow"]);
    let said = bed.run(&["submit", "a", "--lane", "slow"]);
    assert!(said.code == 3 && said.err.contains("lane_draining"), "{said:?}");

    let worker = bed.work(&["a", "--name", "w1", "--", "cat"]);
    while bed.json(&["worker", "list"]).is_empty() {}
    let id = bed.json(&["worker", "list"])[0]["id"].as_str().unwrap().to_owned();
    let top = bed.ok(&["top", "--once"]);
    assert!(top.contains("slow") && top.contains("w1"), "{top}");
    assert_eq!(bed.json(&["top"])[0]["workers"][0]["name"], "w1");
    bed.ok(&["worker", "drain", &id]);
    assert_eq!(worker.wait(PATIENCE).unwrap(), 0);
}

#[test]
fn profiles_name_servers_and_wrong_ones_are_refused_with_their_file() {
    let server = Bed::new();
    let nobody = format!("http://127.0.0.1:{}", free_port().unwrap());
    let bed = Bed::at(String::new());
    std::fs::create_dir_all(bed.path(".config/stint")).unwrap();
    let config = bed.file(
        ".config/stint/config.toml",
        format!(
            "default = \"here\"\n[profiles.here]\nservers = [\"{nobody}\", \"{}\"]\nnamespace = \"mine\"\n\
             [profiles.away]\nservers = [\"{nobody}\"]\npatience_ms = 200\n",
            server.address
        ),
    );
    let id = bed.submit(&["a"]);
    assert_eq!(bed.json(&["show", &id])[0]["namespace"], "mine");
    assert_eq!(bed.run(&["show", &id, "--namespace", "other"]).code, 3);
    assert_eq!(bed.run(&["show", &id, "--profile", "away"]).code, 4);
    assert_eq!(
        bed.run(&["show", &id, "--profile", "away", "--server", &server.address, "--namespace", "mine"]).code,
        0
    );
    let said = bed.run(&["show", &id, "--profile", "nowhere"]);
    assert!(said.code == 2 && said.err.contains(&config) && said.err.contains("away, here"), "{said:?}");
    bed.file(".config/stint/config.toml", "[profiles.here]\nsever = 1\n");
    let said = bed.run(&["show", &id]);
    assert!(said.code == 2 && said.err.contains(&config) && said.err.contains("sever"), "{said:?}");
}

#[test]
fn no_server_another_version_and_no_stint_at_all_are_told_apart() {
    let nobody = Bed::at(format!("http://127.0.0.1:{}", free_port().unwrap()));
    let said = nobody.run(&["list", "--patience-ms", "200"]);
    assert!(said.code == 4 && said.err.contains("no server answers at http://127.0.0.1"), "{said:?}");
    assert!(said.err.contains("stint dev"), "{said:?}");

    let ready = json!({"status": "ready", "node": "n", "partitions": 64, "version": "9.9.9"}).to_string();
    let older = Bed::at(fake(
        move |path| if path == "/readyz" { (200, ready.clone()) } else { (200, "[]".to_owned()) },
    ));
    let said = older.run(&["list"]);
    assert!(said.code == 4 && said.err.contains("is version 9.9.9, this is"), "{said:?}");
    let newer = json!({"status": "ready", "node": "n", "partitions": 64, "version": "9.9.9"}).to_string();
    let missing = json!({"code": "not_found", "status": 404, "detail": "no such endpoint"}).to_string();
    let newer = Bed::at(fake(
        move |path| if path == "/readyz" { (200, newer.clone()) } else { (404, missing.clone()) },
    ));
    for command in [&["why", "ex_00000000000000000000000000"][..], &["doctor"], &["work", "a", "--", "cat"]] {
        let said = newer.run(command);
        assert!(said.code == 4 && said.err.contains("is version 9.9.9, this is"), "{command:?}: {said:?}");
    }
    let other = Bed::at(fake(|_| (404, "<html>".to_owned())));
    let said = other.run(&["list"]);
    assert!(said.code == 4 && said.err.contains("does not speak as a Stint server"), "{said:?}");
    assert_eq!(other.run(&["list", "--server", "ftp://localhost"]).code, 2);
}

/// Something that answers HTTP as long as the test lives.
fn fake(answer: impl Fn(&str) -> (u16, String) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = vec![0; 8_192];
            let read = stream.read(&mut request).unwrap_or(0);
            let head = String::from_utf8_lossy(&request[..read]).into_owned();
            let path = head.split(' ').nth(1).unwrap_or_default().split('?').next().unwrap_or_default();
            let (status, body) = answer(path);
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
        }
    });
    address
}

#[test]
fn a_server_that_says_nothing_is_not_taken_for_none() {
    // It takes connections, and nobody ever answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let bed = Bed::at(format!("http://{}", silent.local_addr().unwrap()));
    let said = bed.run(&["submit", "a", "--patience-ms", "200"]);
    assert!(said.code == 4 && said.err.contains("is there and gives no answer"), "{said:?}");
    assert!(said.err.contains("It may have been done"), "{said:?}");
    let nobody = Bed::at(format!("http://127.0.0.1:{}", free_port().unwrap()));
    let said = nobody.run(&["submit", "a", "--patience-ms", "200"]);
    assert!(said.code == 4 && !said.err.contains("may have been done"), "{said:?}");
}

#[test]
fn wrong_arguments_are_told_before_anything_is_done() {
    let bed = Bed::new();
    let taken = bed.address.replace("http://", "");
    let wrong: [&[&str]; 10] = [
        &["serve", "--store", "embedded:data", "--listen", "0.0.0.0:0"],
        &["serve", "--store", "embedded:data", "--listen", &taken],
        &["dev", "--listen", &taken],
        &["submit", "a", "--input-file", "gone"],
        &["submit", "--file", "."],
        &["submit", "--file", ".", "--from-line", "2", "--to-line", "1"],
        &["store", "restore", "gone", "--store", "embedded:data"],
        &["store", "backup", "/nonexistent/backup"],
        &["list", "--limit", "0"],
        &["tag", "ex_00000000000000000000000000"],
    ];
    for wrong in wrong {
        let said = bed.run(wrong);
        assert!(said.code == 2 && !said.err.is_empty(), "{wrong:?}: {said:?}");
    }
    assert!(!bed.path("data").exists());
    let said = bed.run(&["dev", "--listen", &taken]);
    assert!(said.err.contains("cannot listen on"), "{said:?}");
}

#[test]
fn a_reader_that_goes_ends_a_command_quietly() {
    let bed = Bed::at(String::new());
    let mut running = bed.start(&["completions", "bash"]);
    running.line();
    running.hang_up();
    let said = running.end();
    assert_eq!((said.code, said.err.as_str()), (141, ""));
    for shell in ["bash", "zsh", "fish"] {
        assert!(bed.ok(&["completions", shell]).contains("submit"), "{shell}");
    }
}
