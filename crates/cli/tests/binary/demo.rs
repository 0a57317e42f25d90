//! `stint demo` on folders that are not nice.

use std::path::Path;

use serde_json::{Value, json};
use stint_test_support::Process;
use tempfile::{TempDir, tempdir};

use crate::{PATIENCE, stint};

/// Runs the demo on a folder; its exit code, its report, and the demo's own temporary folder.
fn demo(folder: &Path) -> (i32, Value, TempDir) {
    let temporary = tempdir().unwrap();
    let process: Process =
        stint().args(["demo", "--json"]).arg(folder).env("TMPDIR", temporary.path()).spawn().unwrap();
    let report = process.wait_for_line(PATIENCE, |line| line.starts_with('{')).unwrap();
    (process.wait(PATIENCE).unwrap(), serde_json::from_str(&report).unwrap(), temporary)
}

fn is_empty(dir: &TempDir) -> bool {
    std::fs::read_dir(dir.path()).unwrap().next().is_none()
}

#[test]
fn odd_files_are_counted_and_shown() {
    let folder = tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    for number in 0..40 {
        write(&format!("text-{number}.txt"), format!("file {number}\nhas two lines").as_bytes());
    }
    write("empty", b"");
    write("binary", &[0xff, 0xfe, 0, 1]);
    write("name with spaces \u{fc}.md", "\u{fc}ber\n".as_bytes());
    write(".gitignore", b"*.log\n");
    write("ignored.log", b"not me");
    std::fs::create_dir(folder.path().join("target")).unwrap();
    write("target/built", b"nor me");
    // Huge without taking room.
    std::fs::File::create(folder.path().join("huge")).unwrap().set_len(1 << 30).unwrap();

    let (code, report, temporary) = demo(folder.path());
    assert_eq!((code, &report["differences"]), (0, &json!([])), "{report}");
    assert_eq!(report["files"], json!(45));
    let total =
        |row: &str| (report["totals"][row]["stint"].as_u64(), report["totals"][row]["direct"].as_u64());
    assert_eq!(total("text files"), (Some(42), Some(42)));
    assert_eq!(total("empty"), (Some(1), Some(1)));
    assert_eq!(total("not UTF-8"), (Some(1), Some(1)));
    assert_eq!(total("too large"), (Some(1), Some(1)));
    assert_eq!(total("lines"), (Some(82), Some(82)));
    assert!(report["killed"]["worker"].is_u64() && report["killed"]["server"].is_u64());
    assert!(is_empty(&temporary), "data were left behind");
}

#[test]
fn one_file_and_no_file_are_fine() {
    let folder = tempdir().unwrap();
    let (code, report, _) = demo(folder.path());
    assert_eq!((code, &report["files"]), (0, &json!(0)), "{report}");

    std::fs::write(folder.path().join("only.txt"), "one two three").unwrap();
    let (code, report, _) = demo(folder.path());
    assert_eq!((code, &report["files"], &report["totals"]["words"]["stint"]), (0, &json!(1), &json!(3)));
    assert!(report["killed"]["worker"].is_u64() && report["killed"]["server"].is_u64());
}

#[test]
fn a_folder_that_is_none_is_said() {
    let process = stint().args(["demo", "/no/such/folder"]).spawn().unwrap();
    assert_eq!(process.wait(PATIENCE).unwrap(), 1);
}

#[test]
fn the_provider_runs_on_its_own() {
    let folder = tempdir().unwrap();
    let bill = folder.path().join("bill");
    let process =
        stint().args(["demo", "provider", "--listen", "127.0.0.1:0", "--bill"]).arg(&bill).spawn().unwrap();
    process
        .wait_for_line(PATIENCE, |line| line.starts_with("provider listening on http://127.0.0.1:"))
        .unwrap();
    process.terminate().unwrap();
    assert_eq!(process.wait(PATIENCE).unwrap(), 0);
    assert!(bill.exists());
}

/// Process ids whose command line has this text.
fn processes_with(text: &str) -> Vec<String> {
    let has_text = |entry: &std::fs::DirEntry| {
        std::fs::read(entry.path().join("cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).contains(text))
    };
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()))
        .filter(has_text)
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn an_interrupted_demo_leaves_no_process_behind() {
    let folder = tempdir().unwrap();
    for number in 0..3_000 {
        std::fs::write(folder.path().join(format!("{number}.txt")), "some words\n".repeat(200)).unwrap();
    }
    let marker = folder.path().canonicalize().unwrap().to_str().unwrap().to_owned();
    for is_kill in [false, true] {
        let temporary = tempdir().unwrap();
        let process = stint().arg("demo").arg(folder.path()).env("TMPDIR", temporary.path()).spawn().unwrap();
        let data = temporary.path().canonicalize().unwrap().to_str().unwrap().to_owned();
        let children = || processes_with(&marker).len() + processes_with(&data).len();
        // Four workers name the folder, the server names the data; the demo itself and its guard name the folder.
        wait_until(|| processes_with("demo-worker").len() >= 4 && children() >= 6);
        if is_kill {
            process.kill();
        } else {
            process.terminate().unwrap();
            assert_eq!(process.wait(PATIENCE).unwrap(), 130);
        }
        wait_until(|| children() == 0);
    }
}

fn wait_until(condition: impl Fn() -> bool) {
    let since = std::time::Instant::now();
    while !condition() {
        assert!(since.elapsed() < PATIENCE, "waited in vain");
        std::thread::yield_now();
    }
}

#[test]
fn a_runaway_is_stopped_and_every_millionth_is_accounted_for() {
    let temporary = tempdir().unwrap();
    let process =
        stint().args(["demo", "runaway", "--json"]).env("TMPDIR", temporary.path()).spawn().unwrap();
    let report = process.wait_for_line(PATIENCE, |line| line.starts_with('{')).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(process.wait(PATIENCE).unwrap(), 0, "{report}");
    assert_eq!(report["ledger"], report["bill"]);
    assert!(report["bill"]["times"].as_u64().unwrap() > 40, "{report}");
    for (stop, limit) in report["stops"].as_array().unwrap().iter().zip([500_000, 800_000]) {
        let used = stop["used"].as_u64().unwrap();
        assert!(stop["limit"] == limit && used <= limit && limit - used < 12_000, "{report}");
        assert_eq!(stop["billed"], used, "{report}");
    }
    assert!(report["killed_agent"].is_u64() && report["killed_server"].is_u64());
    assert!(is_empty(&temporary), "data were left behind");
}
