//! `stint serve`, `submit`, `show` and `result`.

use serde_json::{Value, json};
use stint_test_support::{Process, free_port};
use tempfile::tempdir;

use crate::{PATIENCE, serve, stint, store};

/// Runs a command to its end; its exit code and what it printed.
fn output(args: &[&str]) -> (i32, String) {
    let process = stint().args(args).spawn().unwrap();
    // The output ends when the process does.
    let lines = |process: &Process| process.lines().join("\n");
    while !process.has_ended() {
        let _ = process.wait_for_line(PATIENCE, |_| false);
    }
    let said = lines(&process);
    (process.wait(PATIENCE).unwrap(), said)
}

async fn post(address: &str, path: &str, body: Value) -> (u16, Value) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let reply = http.post(format!("{address}/v1/{path}")).json(&body).send().await.unwrap();
    (reply.status().as_u16(), reply.json().await.unwrap())
}

async fn get(address: &str, path: &str) -> (u16, Value) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let reply = http.get(format!("{address}/v1/{path}")).send().await.unwrap();
    (reply.status().as_u16(), reply.json().await.unwrap())
}

#[tokio::test]
async fn one_line_names_the_address_and_the_main_path_works_by_hand() {
    let dir = tempdir().unwrap();
    let (server, address) = serve(&dir, "127.0.0.1:0");
    assert_eq!(server.lines().len(), 1);

    let (status, made) =
        post(&address, "executions", json!({"kind": "greet", "input": {"name": "Ada"}})).await;
    assert_eq!(status, 201, "{made}");
    let id = made["id"].as_str().unwrap();
    let ask = json!({"worker": {"name": "by-hand"}, "lanes": ["default"], "max": 1, "wait_ms": 5_000});
    let (_, leased) = post(&address, "leases", ask).await;
    let lease = &leased["leases"][0];
    assert_eq!(lease["execution"]["input"], json!({"name": "Ada"}));
    let token = lease["lease"].as_str().unwrap();
    let (status, _) =
        post(&address, &format!("leases/{token}/complete"), json!({"output": "Hello Ada"})).await;
    assert_eq!(status, 200);
    let (_, result) = get(&address, &format!("executions/{id}/result?wait_ms=5000")).await;
    assert_eq!((&result["state"], &result["output"]), (&json!("completed"), &json!("Hello Ada")));

    // What was confirmed is there after the next start, and SIGTERM is an orderly end.
    server.terminate().unwrap();
    assert_eq!(server.wait(PATIENCE).unwrap(), 0);
    let (_server, address) = serve(&dir, "127.0.0.1:0");
    let (_, shown) = get(&address, &format!("executions/{id}")).await;
    assert_eq!((&shown["state"], &shown["attempts"][0]["worker"]), (&json!("completed"), &json!("by-hand")));
}

#[test]
fn a_second_server_on_the_same_data_names_the_first() {
    let dir = tempdir().unwrap();
    let (first, _) = serve(&dir, "127.0.0.1:0");
    let errors = dir.path().join("errors");
    let second = stint_test_support::Process::builder("sh")
        .args(["-c", r#"exec "$0" "$@" 2>"$ERRORS""#, env!("CARGO_BIN_EXE_stint")])
        .args(["serve", "--store", &store(&dir), "--listen", "127.0.0.1:0"])
        .env("ERRORS", &errors)
        .spawn()
        .unwrap();
    assert_eq!(second.wait(PATIENCE).unwrap(), 5);
    let said = std::fs::read_to_string(errors).unwrap();
    assert!(said.contains("store_locked") && said.contains(&first.id().to_string()), "{said}");
}

#[test]
fn a_taken_port_and_a_public_address_are_refused() {
    let dir = tempdir().unwrap();
    let (_first, address) = serve(&dir, "127.0.0.1:0");
    let other = tempdir().unwrap();
    let taken = address.strip_prefix("http://").unwrap();
    let (code, said) = output(&["serve", "--store", &store(&other), "--listen", taken]);
    assert_eq!((code, said.as_str()), (2, ""));
    let (code, _) = output(&["serve", "--store", &store(&other), "--listen", "0.0.0.0:0"]);
    assert_eq!(code, 2);
}

#[test]
fn wrong_arguments_are_exit_code_2() {
    for args in [
        &["serve", "--store", "floppy:a"][..],
        &["serve", "--store", "embedded:"],
        &["serve"],
        &["fly"],
        &["submit"],
    ] {
        assert_eq!(output(args).0, 2, "{args:?}");
    }
}

#[test]
fn commands_speak_to_a_server_and_say_what_went_wrong() {
    let dir = tempdir().unwrap();
    let (_server, address) = serve(&dir, "127.0.0.1:0");
    let at = ["--server", &address, "--json"];
    let run = |args: &[&str]| output(&[args, &at[..]].concat());

    let (code, submitted) = run(&["submit", "greet", r#"{"name":"Ada"}"#, "--priority", "-5"]);
    assert_eq!(code, 0);
    let submitted: Value = serde_json::from_str(&submitted).unwrap();
    let id = submitted["id"].as_str().unwrap();
    let (code, shown) = run(&["show", id]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((code, &shown["priority"], &shown["state"]), (0, &json!(-5), &json!("ready")));
    let (code, result) = run(&["result", id]);
    let result: Value = serde_json::from_str(&result).unwrap();
    assert_eq!((code, &result["state"]), (8, &json!("ready")));
    // A request that is refused is another failure than a server that is not there.
    assert_eq!(run(&["submit", "greet", "{}", "--priority", "1000"]).0, 3);
    assert_eq!(run(&["submit", "greet", "not json"]).0, 2);
    let nobody = format!("http://127.0.0.1:{}", free_port().unwrap());
    assert_eq!(output(&["show", id, "--server", &nobody, "--patience-ms", "300"]).0, 4);
}
