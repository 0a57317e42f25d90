//! Servers and processes start, answer, restart, and are gone with their handle.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use stint_test_support::{Cluster, Flavour, Process, Server};

const SOON: Duration = Duration::from_secs(20);

fn alive(pid: u32) -> bool {
    PathBuf::from(format!("/proc/{pid}")).exists()
}

#[test]
fn a_server_restarts_on_its_port_and_ends_with_its_handle() {
    for flavour in [Flavour::Valkey, Flavour::Redis] {
        let mut server = Server::start(flavour).unwrap();
        let first = server.pid().unwrap();
        assert_eq!(server.call("SET a b").unwrap(), "OK");
        server.kill();
        assert!(!alive(first));
        assert!(server.call("PING").is_err());
        server.restart().unwrap();
        assert_eq!(server.call("DBSIZE").unwrap(), "0");
        let second = server.pid().unwrap();
        drop(server);
        assert!(!alive(second));
    }
}

#[test]
fn a_cluster_serves_all_slots() {
    for nodes in [1, 3] {
        let cluster = Cluster::start(Flavour::Valkey, nodes).unwrap();
        assert_eq!(cluster.nodes().len(), nodes);
        assert_eq!(cluster.url().matches("127.0.0.1").count(), nodes);
    }
}

#[test]
fn a_panicking_test_takes_its_server_along() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let server = Server::start(Flavour::Valkey).unwrap();
        sender.send(server.pid().unwrap()).unwrap();
        panic!("on purpose");
    });
    let pid = receiver.recv().unwrap();
    assert!(thread.join().is_err());
    assert!(!alive(pid));
}

#[test]
fn lines_exit_codes_and_kills() {
    let process = Process::builder("sh").args(["-c", "echo one; echo two; exit 7"]).spawn().unwrap();
    assert_eq!(process.wait_for_line(SOON, |line| line.starts_with("tw")).unwrap(), "two");
    assert!(process.wait_for_line(SOON, |line| line == "three").is_err());
    assert_eq!(process.lines(), ["one", "two"]);
    assert_eq!(process.wait(SOON).unwrap(), 7);

    let process = Process::builder("sleep").arg("1000").spawn().unwrap();
    process.terminate().unwrap();
    assert_eq!(process.wait(SOON).unwrap(), 128 + 15);

    let process = Process::builder("sleep").arg("1000").spawn().unwrap();
    let pid = process.id();
    process.kill();
    assert!(!alive(pid));
}

/// Not a test of its own: what the next one kills. Without the variable it does nothing.
#[test]
fn holds_a_server_until_killed() {
    if std::env::var_os("STINT_HOLD_SERVER").is_none() {
        return;
    }
    let server = Server::start(Flavour::Valkey).unwrap();
    let pid = server.pid().unwrap();
    println!("\npid {pid} {}", std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap().display());
    loop {
        std::thread::park();
    }
}

#[test]
fn a_killed_test_process_takes_its_servers_along() {
    let outer = Process::builder(std::env::current_exe().unwrap())
        .args(["--exact", "holds_a_server_until_killed", "--nocapture"])
        .env("STINT_HOLD_SERVER", "1")
        .spawn()
        .unwrap();
    let line = outer.wait_for_line(SOON, |line| line.starts_with("pid ")).unwrap();
    let (pid, dir) = line.trim_start_matches("pid ").split_once(' ').unwrap();
    let (pid, dir) = (pid.parse().unwrap(), PathBuf::from(dir));
    assert!(alive(pid) && dir.is_dir());
    outer.kill();
    let deadline = Instant::now() + SOON;
    while alive(pid) || dir.exists() {
        assert!(Instant::now() < deadline, "the server or its directory outlived its test");
        std::thread::yield_now();
    }
}

#[test]
fn a_program_that_is_not_there_ends_with_127() {
    let process = Process::builder("/nonexistent/program").spawn().unwrap();
    assert_eq!(process.wait(SOON).unwrap(), 127);
}
