//! Running the binary as a user does, in a directory and with settings of its own.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use stint_test_support::{Process, ProcessBuilder};
use tempfile::TempDir;

use crate::{PATIENCE, serve};

/// A server, a directory, and commands that find both.
pub(crate) struct Bed {
    pub(crate) dir: TempDir,
    pub(crate) address: String,
    _server: Option<Process>,
}

/// What a command said until its end.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A command under way, killed when this is dropped.
pub(crate) struct Running(Option<Child>);

impl Bed {
    /// With a server of its own.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (server, address) = serve(&dir, "127.0.0.1:0");
        Self { dir, address, _server: Some(server) }
    }

    /// With a server that somebody else runs, or nobody.
    pub(crate) fn at(address: String) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), address, _server: None }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file and returns its path.
    pub(crate) fn file(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Writes a program of the shell and returns its path.
    pub(crate) fn script(&self, name: &str, text: &str) -> String {
        use std::os::unix::fs::PermissionsExt;
        let path = self.file(name, format!("#!/bin/sh\nset -eu\n{text}\n"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stint"));
        command
            .args(args)
            .current_dir(self.dir.path())
            .env("HOME", self.dir.path())
            .env("STINT_SERVER", &self.address)
            .env_remove("XDG_CONFIG_HOME")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Starts a command.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        Running(Some(self.command(args).spawn().unwrap()))
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Said {
        self.start(args).end()
    }

    /// Runs a command with this on standard input.
    pub(crate) fn run_with(&self, args: &[&str], input: impl AsRef<[u8]>) -> Said {
        let mut running = self.start(args);
        running.say(input);
        running.end()
    }

    /// Runs a command that must succeed; its output without the last line's end.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let said = self.run(args);
        assert_eq!(said.code, 0, "{args:?}: {said:?}");
        said.out.trim_end().to_owned()
    }

    /// Runs a command that must succeed with --json; each line.
    pub(crate) fn json(&self, args: &[&str]) -> Vec<Value> {
        let out = self.ok(&[args, &["--json"]].concat());
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Submits and returns the id.
    pub(crate) fn submit(&self, args: &[&str]) -> String {
        let submitted = self.json(&[&["submit"], args].concat());
        submitted[0]["id"].as_str().unwrap().to_owned()
    }

    /// A worker, in the background; it lives as long as the handle.
    pub(crate) fn work(&self, args: &[&str]) -> Process {
        self.background(&[&["work"], args].concat()).spawn().unwrap()
    }

    /// A command that a guard ends when the test is over.
    pub(crate) fn background(&self, args: &[&str]) -> ProcessBuilder {
        Process::builder(env!("CARGO_BIN_EXE_stint"))
            .args(args)
            .current_dir(self.dir.path())
            .env("HOME", self.dir.path())
            .env("STINT_SERVER", &self.address)
    }
}

impl Running {
    /// Writes to its standard input.
    pub(crate) fn say(&mut self, input: impl AsRef<[u8]>) {
        let stdin = self.0.as_mut().unwrap().stdin.as_mut().unwrap();
        stdin.write_all(input.as_ref()).unwrap();
        stdin.flush().unwrap();
    }

    /// The next line of its output.
    pub(crate) fn line(&mut self) -> String {
        use std::io::Read;
        // Read byte by byte: whatever comes behind the line is for `end`.
        let stdout = self.0.as_mut().unwrap().stdout.as_mut().unwrap();
        let mut line = Vec::new();
        let mut byte = [0];
        while stdout.read(&mut byte).unwrap() == 1 && byte != *b"\n" {
            line.push(byte[0]);
        }
        String::from_utf8(line).unwrap()
    }

    /// Sends SIGINT, as Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        let pid = rustix::process::Pid::from_child(self.0.as_ref().unwrap());
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    }

    /// Closes our end of its output.
    pub(crate) fn hang_up(&mut self) {
        self.0.as_mut().unwrap().stdout.take();
    }

    /// Closes its standard input and waits for its end.
    pub(crate) fn end(mut self) -> Said {
        let output = self.0.take().unwrap().wait_with_output().unwrap();
        Said {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Waits for its end while its standard input stays open.
    pub(crate) fn end_by_itself(mut self) -> Said {
        let stdin = self.0.as_mut().unwrap().stdin.take();
        let said = self.end();
        drop(stdin);
        said
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits until a file is there, and reads it.
pub(crate) fn appears(path: &Path) -> String {
    let began = std::time::Instant::now();
    loop {
        match std::fs::read_to_string(path) {
            Ok(text) if !text.is_empty() => return text,
            _ => assert!(began.elapsed() < PATIENCE, "{} did not appear", path.display()),
        }
        std::thread::yield_now();
    }
}
