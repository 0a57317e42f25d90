//! The scripts, and how they are called.

use redis::{Cmd, Script, Value};

use super::link::{CallError, Link};

/// A script and its digest.
pub(super) struct Code {
    text: &'static str,
    sha: String,
}

/// Every script that a store uses.
pub(super) struct Scripts {
    pub(super) commit: Code,
    pub(super) get: Code,
    pub(super) load: Code,
    pub(super) range: Code,
    pub(super) scan: Code,
    pub(super) changes: Code,
    pub(super) open: Code,
    pub(super) clock: Code,
}

/// One call of a script: its keys, then its arguments.
pub(super) struct Call<'a> {
    pub(super) code: &'a Code,
    pub(super) keys: &'a [&'a [u8]],
    pub(super) args: &'a [&'a [u8]],
}

impl Scripts {
    pub(super) fn new() -> Self {
        let code = |text| Code { text, sha: Script::new(text).get_hash().to_owned() };
        Self {
            commit: code(include_str!("commit.lua")),
            get: code(include_str!("get.lua")),
            load: code(include_str!("load.lua")),
            range: code(include_str!("range.lua")),
            scan: code(include_str!("scan.lua")),
            changes: code(include_str!("changes.lua")),
            open: code(include_str!("open.lua")),
            clock: code(include_str!("clock.lua")),
        }
    }
}

impl Call<'_> {
    /// Calls the script by its digest. A server that doesn't know it (restarted, flushed, new in the cluster) gets
    /// its text with the same call: no second server has to be asked, nothing can come between.
    pub(super) async fn send(&self, link: &Link) -> Result<Value, CallError> {
        match link.call(&self.command("EVALSHA", &self.code.sha)).await {
            Err(error) if error.is_no_script() => link.call(&self.command("EVAL", self.code.text)).await,
            answer => answer,
        }
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let bytes: usize = self.keys.iter().chain(self.args).map(|arg| arg.len()).sum();
        let arguments = self.keys.len() + self.args.len() + 3;
        let mut command = Cmd::with_capacity(arguments, bytes + script.len() + 32);
        command.arg(name).arg(script).arg(self.keys.len());
        for arg in self.keys.iter().chain(self.args) {
            command.arg(*arg);
        }
        command
    }
}
