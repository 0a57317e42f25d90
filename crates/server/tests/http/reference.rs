//! The examples of docs/API.md, run from its first line to its last against one server.

use std::process::Stdio;

use tokio::process::Command;

use crate::served::Served;

/// A reply that refuses ends the run; a stream is read for a moment.
const STRICT: &str = r#"
set -euo pipefail
shopt -s inherit_errexit
curl() {
  case "$*" in
    *-sN*) command curl --max-time 2 "$@" || [ $? = 28 ] ;;
    *) command curl --fail-with-body --max-time 60 "$@" ;;
  esac
}
"#;

#[tokio::test]
async fn every_example_works() {
    let served = Served::start().await;
    served.engine.opened().await;
    let reference = include_str!("../../../../docs/API.md");
    let examples: Vec<&str> =
        reference.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() > 30, "the examples are not found");
    let script = format!("{STRICT}set -x\n{}", examples.join("echo\n"));
    let there = format!("S=http://{}/v1", served.address);
    let script = script.replacen("S=http://127.0.0.1:7400/v1", &there, 1);
    let run = Command::new("bash").arg("-c").arg(script).stdin(Stdio::null()).output().await.unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    let trace = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{trace}\n{said}");
    for reply in
        [r#""state":"completed""#, r#""run":true"#, r#""accepted":2"#, r#""status":"ready""#, "# EOF"]
    {
        assert!(said.contains(reply), "no {reply}\n{trace}\n{said}");
    }
    assert!(!said.contains(r#""error":{"type":"urn:"#), "an example was refused\n{trace}\n{said}");
}
