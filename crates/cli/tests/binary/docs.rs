//! Every command that documentation tells users to type, typed.
//!
//! The `sh` blocks of a page run in their order, in one shell, in an empty directory, against this build and a free port
//! instead of 7400. An `output` block right behind one says what it prints: its lines in that order, `...` standing for
//! anything. What can't be run here (it builds, downloads, or is another system's) is marked `text`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use stint_test_support::{Process, free_port};

use crate::PATIENCE;

/// Where readers see it and where we run it.
const PORT: &str = "7400";

/// What comes before the first block: everything started in the background ends with the shell. The shell's own output
/// stays open as 9, because its end is how we know that all of them are gone. A worker is told twice, as its server goes
/// at the same time and would be waited for.
const PRELUDE: &str =
    "exec 9>&1\nset -euo pipefail\ntrap 'kill $(jobs -p) || true; kill -INT $(jobs -p) || true; wait' EXIT\n";

#[derive(Debug)]
struct Block {
    line: usize,
    text: String,
    output: Option<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn page(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap()
}

/// Fenced blocks: language, first line, text.
fn fences(page: &str) -> Vec<(String, usize, String)> {
    let mut fences = Vec::new();
    let mut open: Option<(String, usize, String)> = None;
    for (number, line) in page.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => open = Some((language.trim().to_owned(), number + 2, String::new())),
            (Some(_), Some(_)) => fences.extend(open.take()),
            (None, Some((_, _, text))) => writeln!(text, "{line}").unwrap(),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a fence is not closed");
    fences
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut may_say = false;
    for (language, line, text) in fences(page) {
        match language.as_str() {
            "sh" => blocks.push(Block { line, text, output: None }),
            "output" => {
                assert!(may_say, "line {line}: an output without its command");
                blocks.last_mut().unwrap().output = Some(text);
            }
            _ => {}
        }
        may_say = language == "sh";
    }
    blocks
}

/// Whether `said` has these lines in this order; `...` stands for any text, also of several lines.
fn fits(said: &str, expected: &str) -> bool {
    let mut rest = said;
    for (index, part) in expected.trim_end().split("...").enumerate() {
        match rest.find(part) {
            Some(at) if index > 0 || at == 0 || part.is_empty() => rest = &rest[at + part.len()..],
            _ => return false,
        }
    }
    expected.trim_end().ends_with("...") || rest.trim().is_empty()
}

fn check(name: &str) {
    let blocks = blocks(&page(name));
    assert!(!blocks.is_empty(), "{name} has no command");
    let dir = tempfile::tempdir().unwrap();
    let (bin, said) = (dir.path().join("bin"), dir.path().join("said"));
    for path in [&bin, &said, &dir.path().join("work")] {
        std::fs::create_dir(path).unwrap();
    }
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_stint"), bin.join("stint")).unwrap();
    let port = free_port().unwrap().to_string();
    let mut script = PRELUDE.to_owned();
    for (index, block) in blocks.iter().enumerate() {
        let out = said.join(index.to_string());
        writeln!(script, "exec >'{0}' 2>'{0}.err'\n{1}", out.display(), block.text.replace(PORT, &port))
            .unwrap();
    }
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let shell = Process::builder("bash")
        .args(["-c", &script])
        .current_dir(dir.path().join("work"))
        .env("HOME", dir.path())
        .env("XDG_CONFIG_HOME", dir.path().join("config"))
        .env("PATH", path)
        .env("STINT_LISTEN", format!("127.0.0.1:{port}"))
        .env("STINT_SERVER", format!("http://127.0.0.1:{port}"))
        .env("NO_COLOR", "1")
        .spawn()
        .unwrap();
    let code = shell.wait(PATIENCE);
    let read = |index: usize, ending: &str| {
        let text = std::fs::read_to_string(said.join(format!("{index}{ending}"))).unwrap_or_default();
        // Where a server in the background listens is said when it does, which is no part of what a command says.
        let said = text.lines().filter(|line| !line.starts_with("stint listening on ")).collect::<Vec<_>>();
        said.join("\n").replace(&port, PORT)
    };
    let last = (0..blocks.len()).rev().find(|index| said.join(index.to_string()).exists()).unwrap_or(0);
    let told = |index: usize| format!("it said:\n{}{}", read(index, ""), read(index, ".err"));
    assert!(
        code.as_ref().is_ok_and(|code| *code == 0),
        "{name}, line {}: {code:?}; {}",
        blocks[last].line,
        told(last)
    );
    for (index, block) in blocks.iter().enumerate() {
        if let Some(output) = &block.output {
            assert!(
                fits(&read(index, ""), output),
                "{name}, line {}: expected\n{output}{}",
                block.line,
                told(index)
            );
        }
    }
}

#[test]
fn commands_of_the_readme_work() {
    check("README.md");
}

#[test]
fn commands_of_getting_started_work() {
    check("docs/GETTING_STARTED.md");
}

#[test]
fn commands_of_the_command_lines_page_work() {
    check("docs/CLI.md");
}

#[test]
fn commands_of_the_budgets_page_work() {
    check("docs/BUDGETS.md");
}

#[test]
fn commands_of_the_workers_page_work() {
    check("docs/WORKERS.md");
}

/// Code that users copy is code that is compiled and tested.
#[test]
fn rust_in_getting_started_is_an_examples() {
    let mut examples = String::new();
    for entry in std::fs::read_dir(root().join("crates/sdk/examples")).unwrap() {
        examples.push_str(&std::fs::read_to_string(entry.unwrap().path()).unwrap());
    }
    for (language, line, text) in fences(&page("docs/GETTING_STARTED.md")) {
        if language == "rust" {
            for part in text.split("\n\n") {
                assert!(
                    examples.contains(part.trim_end()),
                    "line {line}: not in crates/sdk/examples:\n{part}"
                );
            }
        }
    }
}

/// Every command has its section, so that a new one is not forgotten.
#[test]
fn every_command_is_documented() {
    let help = std::process::Command::new(env!("CARGO_BIN_EXE_stint")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let list = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let page = page("docs/CLI.md");
    let commands: Vec<&str> = list
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    assert!(commands.len() > 20, "{commands:?}");
    for command in commands {
        assert!(
            page.contains(&format!("\n### stint {command}\n")),
            "docs/CLI.md has no section `stint {command}`"
        );
    }
}

#[test]
fn expectations_are_lines_with_gaps() {
    assert!(fits("a\nb\nc\n", "a\n...\nc\n"));
    assert!(fits("id ex_1 ready\n", "id ... ready\n"));
    assert!(fits("anything\nelse\n", "anything\n..."));
    assert!(!fits("a\nb\n", "a\n"));
    assert!(!fits("b\n", "a\n"));
}
