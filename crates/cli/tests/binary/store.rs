//! `stint store` and `stint doctor`: copies made while a server runs, killed half way, and put back.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use stint_test_support::{Flavour, Process, Server};
use tempfile::{TempDir, tempdir};

use crate::{PATIENCE, serve, stint, store};

/// Runs a command to its end; its exit code, what it printed, and what it complained of.
fn run(dir: &TempDir, args: &[&str]) -> (i32, String, String) {
    let errors = dir.path().join("errors");
    let process = Process::builder("sh")
        .args(["-c", r#"exec "$0" "$@" 2>"$ERRORS""#, env!("CARGO_BIN_EXE_stint")])
        .args(args)
        .env("ERRORS", &errors)
        .spawn()
        .unwrap();
    while !process.has_ended() {
        let _ = process.wait_for_line(PATIENCE, |_| false);
    }
    let said = process.lines().join("\n");
    (process.wait(PATIENCE).unwrap(), said, fs::read_to_string(errors).unwrap())
}

/// Runs a command that must succeed and prints one JSON document.
fn json_of(dir: &TempDir, args: &[&str]) -> Value {
    let (code, said, errors) = run(dir, args);
    assert_eq!(code, 0, "{args:?}: {said}{errors}");
    serde_json::from_str(&said).unwrap()
}

async fn post(address: &str, path: &str, body: Value) -> Value {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let reply = http.post(format!("{address}/v1/{path}")).json(&body).send().await.unwrap();
    assert!(reply.status().is_success(), "{path}: {}", reply.text().await.unwrap());
    reply.json().await.unwrap()
}

/// Submits work in batches, the same each time; the ids.
async fn submit(address: &str, batches: usize, bytes: usize) -> Vec<String> {
    submit_as("batch", address, batches, bytes).await
}

/// The same under keys of its own.
async fn submit_as(name: &str, address: &str, batches: usize, bytes: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for batch in 0..batches {
        let submission = |n: usize| json!({"kind": "work", "input": "x".repeat(bytes), "idempotency_key": format!("{name}-{batch}.{n}")});
        let body = json!({"executions": (0..500).map(submission).collect::<Vec<_>>()});
        let reply = post(address, "executions/batch", body).await;
        let results = reply["results"].as_array().unwrap();
        ids.extend(results.iter().map(|result| result["id"].as_str().unwrap().to_owned()));
    }
    ids
}

/// Ends some of it, so that there are records of all kinds.
async fn work(address: &str, count: usize) {
    let ask = json!({"worker": {"name": "w"}, "lanes": ["default"], "max": count, "wait_ms": 5_000});
    let leased = post(address, "leases", ask).await;
    for lease in leased["leases"].as_array().unwrap() {
        let lease = lease["lease"].as_str().unwrap();
        post(address, &format!("leases/{lease}/steps"), json!({"key": "one"})).await;
        post(address, &format!("leases/{lease}/complete"), json!({"output": "y".repeat(2_000)})).await;
    }
}

fn embedded(path: &Path) -> String {
    format!("embedded:{}", path.display())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Bytes on disk below a path.
fn on_disk(path: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else { return fs::metadata(path).map_or(0, |data| data.len()) };
    let of = |entry: fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => on_disk(&entry.path()),
        Ok(data) => data.blocks() * 512,
        // Gone meanwhile.
        Err(_) => 0,
    };
    entries.flatten().map(of).sum()
}

/// Kills a process as soon as so many bytes are at a path; false if it ended before.
fn kill_at(process: Process, path: &Path, bytes: u64) -> bool {
    while on_disk(path) < bytes {
        if process.has_ended() {
            process.wait(PATIENCE).unwrap();
            return false;
        }
        std::thread::yield_now();
    }
    process.kill();
    true
}

/// What a store holds, by kind, without what is the store's own.
fn records(dir: &TempDir, url: &str) -> BTreeMap<String, (u64, u64)> {
    let report = json_of(dir, &["store", "inspect", "--store", url, "--json"]);
    let own =
        ["identity", "heartbeat of a node", "event log", "chain to a partition", "chain from a partition"];
    let counted = report["records"].as_array().unwrap().iter();
    counted
        .map(|one| {
            (
                one["kind"].as_str().unwrap().to_owned(),
                (one["count"].as_u64().unwrap(), one["bytes"].as_u64().unwrap()),
            )
        })
        .filter(|(kind, _)| !own.contains(&kind.as_str()))
        .collect()
}

#[tokio::test]
async fn a_copy_made_under_load_is_restored_and_goes_on() {
    let dir = tempdir().unwrap();
    let (server, address) = serve(&dir, "127.0.0.1:0");
    let ids = submit(&address, 2, 1_500).await;
    work(&address, 100).await;
    let file = dir.path().join("copy");
    let backup =
        stint().args(["store", "backup", text(&file), "--server", &address, "--json"]).spawn().unwrap();
    let mut round = 0;
    while !backup.has_ended() {
        round += 1;
        submit_as(&format!("load-{round}"), &address, 1, 100).await;
    }
    assert_eq!(backup.lines().len(), 1);
    let said: Value = serde_json::from_str(&backup.lines()[0]).unwrap();
    assert_eq!(backup.wait(PATIENCE).unwrap(), 0);
    assert_eq!(said["bytes"].as_u64(), Some(fs::metadata(&file).unwrap().len()));
    assert!(!dir.path().join("copy.part").exists());

    // A file that is there is not overwritten, a directory that holds a store is not restored into.
    let again = run(&dir, &["store", "backup", text(&file), "--server", &address]);
    assert_eq!(again.0, 2, "{}", again.2);
    let (code, _, errors) = run(&dir, &["store", "restore", text(&file), "--store", &store(&dir)]);
    assert!(
        code == 5 && errors.contains("store_locked") && errors.contains(&server.id().to_string()),
        "{errors}"
    );
    server.terminate().unwrap();
    assert_eq!(server.wait(PATIENCE).unwrap(), 0);
    let (code, _, errors) = run(&dir, &["store", "restore", text(&file), "--store", &store(&dir)]);
    assert!(code == 5 && errors.contains("store_not_empty"), "{errors}");

    let copy = tempdir().unwrap();
    json_of(&dir, &["store", "restore", text(&file), "--store", &store(&copy), "--json"]);
    let log = copy.path().join("log");
    let logged = Process::builder("sh")
        .args(["-c", r#"log=$1; shift; exec "$@" 2>"$log""#, "sh", text(&log), env!("CARGO_BIN_EXE_stint")])
        .args(["serve", "--store", &store(&copy), "--listen", "127.0.0.1:0"])
        .spawn()
        .unwrap();
    let line = logged.wait_for_line(PATIENCE, |_| true).unwrap();
    let address = line.strip_prefix("stint listening on ").unwrap().to_owned();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut states: BTreeMap<String, u32> = BTreeMap::new();
    for id in ids.iter().step_by(7) {
        let shown: Value =
            http.get(format!("{address}/v1/executions/{id}")).send().await.unwrap().json().await.unwrap();
        *states.entry(shown["state"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(states.keys().collect::<Vec<_>>(), ["completed", "ready"], "{states:?}");
    let existing = submit(&address, 1, 1_500).await;
    assert_eq!(existing, ids[..500], "the keys still stand for the same executions");
    work(&address, 50).await;
    let log = fs::read_to_string(&log).unwrap();
    assert!(log.contains("first start after a restore") && !log.contains("ERROR"), "{log}");
}

#[tokio::test]
async fn a_backup_that_is_killed_leaves_no_file_and_no_harm() {
    let dir = tempdir().unwrap();
    let (server, address) = serve(&dir, "127.0.0.1:0");
    submit(&address, 8, 2_500).await;
    let (file, part) = (dir.path().join("copy"), dir.path().join("copy.part"));
    for bytes in [1, 100_000, 2_000_000] {
        let backup = stint().args(["store", "backup", text(&file), "--server", &address]).spawn().unwrap();
        assert!(kill_at(backup, &part, bytes), "it ended before {bytes} bytes");
        assert!(!file.exists());
        work(&address, 10).await;
    }
    // The server goes in the middle: said, and nothing that looks like a backup is left.
    let errors = dir.path().join("errors");
    let backup = Process::builder("sh")
        .args(["-c", r#"exec "$0" "$@" 2>"$ERRORS""#, env!("CARGO_BIN_EXE_stint")])
        .args(["store", "backup", text(&file), "--server", &address])
        .env("ERRORS", &errors)
        .spawn()
        .unwrap();
    assert!(kill_at(server, &part, 100_000));
    assert_ne!(backup.wait(PATIENCE).unwrap(), 0);
    assert!(!file.exists() && !part.exists(), "{}", fs::read_to_string(errors).unwrap());
    // And what it left can be copied without a server.
    let said = json_of(&dir, &["store", "backup", text(&file), "--store", &store(&dir), "--json"]);
    assert_eq!(said["writes_meanwhile"], 0);
    assert!(said["records"].as_u64().unwrap() >= 4_000, "{said}");
}

#[tokio::test]
async fn a_restore_that_is_killed_is_not_served_and_goes_on() {
    let dir = tempdir().unwrap();
    let (server, address) = serve(&dir, "127.0.0.1:0");
    submit(&address, 8, 2_500).await;
    work(&address, 200).await;
    server.kill();
    let file = dir.path().join("copy");
    json_of(&dir, &["store", "backup", text(&file), "--store", &store(&dir), "--json"]);
    let wanted = records(&dir, &store(&dir));
    assert!(wanted.contains_key("open execution") && wanted.contains_key("large output"), "{wanted:?}");

    let mut killed = 0;
    for percent in [10_u64, 40, 80] {
        let copy = tempdir().unwrap();
        let url = store(&copy);
        let restore = stint().args(["store", "restore", text(&file), "--store", &url]).spawn().unwrap();
        let bytes = fs::metadata(&file).unwrap().len() * percent / 100;
        if !kill_at(restore, &copy.path().join("store"), bytes) {
            continue;
        }
        let report = json_of(&dir, &["store", "inspect", "--store", &url, "--quick", "--json"]);
        if report["restoring"] == false {
            // It was faster than the kill.
            assert_eq!(records(&dir, &url), wanted);
            continue;
        }
        killed += 1;
        let (code, _, errors) = run(&dir, &["serve", "--store", &url, "--listen", "127.0.0.1:0"]);
        assert!(code == 5 && errors.contains("store_restore_unfinished"), "{errors}");
        let doctor = run(&dir, &["doctor", "--store", &url]);
        assert!(doctor.0 == 1 && doctor.1.contains("problem  restore"), "{}", doctor.1);
        let said = json_of(&dir, &["store", "restore", text(&file), "--store", &url, "--json"]);
        assert_eq!(said["resumed"], true);
        assert_eq!(records(&dir, &url), wanted, "killed at {percent} %");
        let (server, _) = serve(&copy, "127.0.0.1:0");
        server.kill();
    }
    assert!(killed > 0, "every restore was faster than its kill");
}

#[tokio::test]
async fn from_one_kind_of_store_to_the_other_and_back() {
    let dir = tempdir().unwrap();
    let (server, address) = serve(&dir, "127.0.0.1:0");
    submit(&address, 1, 1_500).await;
    work(&address, 100).await;
    server.terminate().unwrap();
    server.wait(PATIENCE).unwrap();
    let wanted = records(&dir, &store(&dir));
    let (first, second): (PathBuf, PathBuf) = (dir.path().join("first"), dir.path().join("second"));
    for flavour in [Flavour::Valkey, Flavour::Redis] {
        let valkey = Server::start(flavour).unwrap();
        let url = valkey.url();
        let nothing = run(&dir, &["store", "inspect", "--store", &url]);
        assert!(nothing.0 == 5 && nothing.2.contains("no store here"), "{}", nothing.2);
        assert_eq!(valkey.info("keyspace", "db0").ok(), None, "looking wrote something");
        json_of(&dir, &["store", "backup", text(&first), "--force", "--store", &store(&dir), "--json"]);
        json_of(&dir, &["store", "restore", text(&first), "--store", &url, "--json"]);
        assert_eq!(records(&dir, &url), wanted);
        json_of(&dir, &["store", "backup", text(&second), "--force", "--store", &url, "--json"]);
        let back = dir.path().join(format!("back {flavour:?}"));
        json_of(&dir, &["store", "restore", text(&second), "--store", &embedded(&back), "--json"]);
        assert_eq!(records(&dir, &embedded(&back)), wanted);
        // On either side work goes on.
        for url in [&url, &embedded(&back)] {
            let server = stint().args(["serve", "--store", url, "--listen", "127.0.0.1:0"]).spawn().unwrap();
            let line = server.wait_for_line(PATIENCE, |_| true).unwrap();
            work(line.strip_prefix("stint listening on ").unwrap(), 50).await;
            // A running server is asked instead of its store.
            let address = line.strip_prefix("stint listening on ").unwrap();
            let report = json_of(&dir, &["store", "inspect", "--server", address, "--json"]);
            assert_eq!(report["partitions"].as_array().unwrap().len(), 65);
            assert_eq!(report["open"]["ready"], 350);
            let doctor = json_of(&dir, &["doctor", "--server", address, "--json"]);
            assert_eq!(doctor["level"], "warning", "a restore is a loss of what came after it: {doctor}");
            server.terminate().unwrap();
            assert_eq!(server.wait(PATIENCE).unwrap(), 0);
        }
        let doctor = run(&dir, &["doctor", "--store", &url]);
        assert!(doctor.0 == 0 && doctor.1.contains("ok       maxmemory-policy"), "{}", doctor.1);
    }
}

#[tokio::test]
async fn a_store_is_looked_at_and_nothing_changes() {
    let dir = tempdir().unwrap();
    let url = store(&dir);
    for command in [&["store", "inspect"][..], &["store", "backup", text(&dir.path().join("f"))]] {
        let (code, _, errors) = run(&dir, &[command, &["--store", &url]].concat());
        assert!(code == 5 && errors.contains("no store here"), "{errors}");
        assert!(!dir.path().join("store").exists(), "looking made something");
    }
    let (server, address) = serve(&dir, "127.0.0.1:0");
    let ids = submit(&address, 1, 20).await;
    let (code, _, errors) = run(&dir, &["store", "inspect", "--store", &url]);
    assert!(
        code == 5 && errors.contains("store_locked") && errors.contains(&server.id().to_string()),
        "{errors}"
    );
    let doctor = run(&dir, &["doctor", "--store", &url]);
    assert!(
        doctor.0 <= 1 && doctor.1.contains(&format!("process {} has the store", server.id())),
        "{}",
        doctor.1
    );
    server.kill();
    let before = records(&dir, &url);
    assert_eq!(before["open execution"].0, 500);
    let partition = json_of(&dir, &["store", "inspect", "--store", &url, "--partition", "3", "--json"]);
    assert_eq!(partition["partitions"].as_array().unwrap().len(), 1);
    let (code, said, _) = run(&dir, &["store", "inspect", "--store", &url, "--execution", &ids[0]]);
    assert!(
        code == 0 && said.contains("open execution (live") && said.contains("submission (cold"),
        "{said}"
    );
    assert_eq!(run(&dir, &["store", "inspect", "--store", &url, "--execution", "nonsense"]).0, 2);
    assert_eq!(run(&dir, &["store", "inspect", "--store", &url, "--partition", "65"]).0, 2);
    assert_eq!(records(&dir, &url), before);
    assert_eq!(run(&dir, &["doctor", "--store", &url]).0, 0);
    let nobody = format!("http://127.0.0.1:{}", stint_test_support::free_port().unwrap());
    assert_eq!(run(&dir, &["doctor", "--server", &nobody]).0, 4);
    // No backup at all, a damaged one, and one that is cut off.
    let file = dir.path().join("copy");
    json_of(&dir, &["store", "backup", text(&file), "--store", &url, "--json"]);
    let whole = fs::read(&file).unwrap();
    let broken = [
        (b"nothing of the kind, but long enough to be looked at as a header".to_vec(), "backup_format"),
        (whole[..whole.len() / 2].to_vec(), "backup_truncated"),
        ([&whole[..5_000], b"?", &whole[5_001..]].concat(), "backup_damaged"),
    ];
    for (bytes, wanted) in broken {
        fs::write(&file, bytes).unwrap();
        let new = embedded(&dir.path().join("new"));
        let (code, _, errors) = run(&dir, &["store", "restore", text(&file), "--store", &new]);
        assert!(code == 5 && errors.contains(wanted) && errors.contains("byte "), "{wanted}: {errors}");
        assert!(!dir.path().join("new").exists(), "nothing is begun with a broken backup");
    }
}
