//! Valkey and Redis: what the server's settings promise, and what they don't.

use stint::api::Check;
use stint_store::valkey::{ServerSettings, Settings, settings};

use crate::store::{StoreUrl, valkey_config};

/// A clock that is so far off is followed late, or makes leases expire late.
const CLOCK_PROBLEM_MS: i64 = 10_000;
const CLOCK_WARNING_MS: i64 = 1_000;

pub(super) async fn checks(url: &StoreUrl, address: &str) -> Vec<Check> {
    let settings = match settings(&valkey_config(address)).await {
        Ok(settings) => settings,
        Err(error) => {
            let remedy = "Start the server, or correct address, user and password.";
            return vec![Check::problem("server", error, remedy)];
        }
    };
    let mut checks = of_settings(&settings);
    checks.extend(super::contents(url).await);
    checks
}

fn of_settings(settings: &Settings) -> Vec<Check> {
    let mut checks = vec![promise(settings)];
    for (number, server) in settings.servers.iter().enumerate() {
        let of = |name: &str| match settings.servers.len() {
            0 | 1 => name.to_owned(),
            _ => format!("{name} of primary {}", number + 1),
        };
        checks.push(Check::ok(&of("server"), server.version.clone()));
        checks.push(policy(&of("maxmemory-policy"), server));
        checks.push(memory(&of("memory"), server));
        checks.push(persistence(&of("persistence"), server));
        checks.push(replicas(&of("replicas"), server));
        if server.role == "slave" {
            let (detail, remedy) = ("the address is a replica's", "Give the primary's address.");
            checks.push(Check::problem(&of("role"), detail, remedy));
        }
    }
    if let Some(state) = &settings.cluster_state {
        checks.push(match state.as_str() {
            "ok" => Check::ok("cluster", "all slots are served"),
            other => Check::problem(
                "cluster",
                format!("its state is {other}: partitions on missing slots are not served"),
                "Bring the missing nodes back, or give their slots to others.",
            ),
        });
    }
    checks.push(clock(settings));
    checks
}

fn promise(settings: &Settings) -> Check {
    let kept = settings
        .servers
        .iter()
        .all(|server| server.aof_enabled && server.appendfsync.as_deref() == Some("always"));
    let detail = "what is confirmed is in the primary's memory (ack=memory)";
    if kept {
        return Check::ok(
            "promise",
            format!("{detail}, and on its disk before it answers (appendfsync always)"),
        );
    }
    Check::warning(
        "promise",
        format!(
            "{detail}: a crash or fail-over of it may lose what was confirmed last; Stint notices, says so and starts a new timeline"
        ),
        "If that is too little: appendonly yes with appendfsync always, or the embedded store.",
    )
}

fn policy(name: &str, server: &ServerSettings) -> Check {
    match server.maxmemory_policy.as_deref() {
        Some("noeviction") => Check::ok(name, "noeviction: nothing is deleted when memory is short"),
        None => Check::warning(name, "the server does not tell", "See to it that it is noeviction."),
        Some(other) => Check::problem(
            name,
            format!("{other}: the server deletes work when memory is short; it is refused"),
            "CONFIG SET maxmemory-policy noeviction, and the same in its configuration.",
        ),
    }
}

fn memory(name: &str, server: &ServerSettings) -> Check {
    const REMEDY: &str = "Raise maxmemory, or shorten retention.";
    let used_mib = server.used_memory >> 20;
    if server.maxmemory == 0 {
        return Check::warning(
            name,
            format!(
                "{used_mib} MiB are used, without a limit: the system ends the server when there is no more"
            ),
            "Set maxmemory below what the machine has: then new work is refused in time.",
        );
    }
    let (percent, most_mib) =
        (server.used_memory.saturating_mul(100) / server.maxmemory, server.maxmemory >> 20);
    let said = format!("{used_mib} of {most_mib} MiB are used");
    match percent {
        0..75 => Check::ok(name, said),
        75..90 => Check::warning(name, said, REMEDY),
        _ => Check::problem(name, format!("{said}: only what ends work is accepted"), REMEDY),
    }
}

fn persistence(name: &str, server: &ServerSettings) -> Check {
    const REMEDY: &str = "appendonly yes, with appendfsync everysec or always.";
    if !server.aof_enabled {
        return Check::warning(
            name,
            "no append-only file: a restart of the server loses everything since its last snapshot, or everything",
            REMEDY,
        );
    }
    if !server.aof_fine {
        return Check::problem(
            name,
            "its last write to the append-only file failed",
            "Look at the server's disk.",
        );
    }
    match server.appendfsync.as_deref() {
        Some("always") => Check::ok(name, "appendfsync always: a restart loses nothing that was confirmed"),
        Some("everysec") => {
            Check::ok(name, "appendfsync everysec: a crash of the machine loses up to two seconds")
        }
        Some(other) => Check::warning(
            name,
            format!("appendfsync {other}: a crash of the machine loses what the system had not written yet"),
            REMEDY,
        ),
        None => Check::ok(name, "an append-only file; the server does not tell when it is forced to disk"),
    }
}

fn replicas(name: &str, server: &ServerSettings) -> Check {
    match server.replicas {
        0 => Check::ok(name, "none: if the machine is lost, so is what it holds; back up"),
        count => Check::ok(
            name,
            format!("{count}; they follow later, so a fail-over may lose what was confirmed last"),
        ),
    }
}

fn clock(settings: &Settings) -> Check {
    const NAME: &str = "clock";
    let ahead = settings.clock_ahead_ms;
    let said = format!("the server's clock is {ahead} ms ahead of this machine's");
    match ahead.saturating_abs() {
        0..CLOCK_WARNING_MS => Check::ok(NAME, said),
        CLOCK_WARNING_MS..CLOCK_PROBLEM_MS => Check::warning(NAME, said, "Let both follow one time server."),
        _ => Check::problem(NAME, said, "Set both clocks right and let them follow one time server."),
    }
}

#[cfg(test)]
mod tests {
    use stint::api::CheckLevel;

    use super::*;

    fn fine() -> ServerSettings {
        ServerSettings {
            version: "Valkey 9.1.2".to_owned(),
            role: "master".to_owned(),
            maxmemory_policy: Some("noeviction".to_owned()),
            maxmemory: 1 << 30,
            used_memory: 1 << 20,
            aof_enabled: true,
            appendfsync: Some("always".to_owned()),
            aof_fine: true,
            replicas: 1,
            cluster: false,
        }
    }

    fn levels(server: ServerSettings, change: impl FnOnce(&mut Settings)) -> Vec<(String, CheckLevel)> {
        let mut settings = Settings { servers: vec![server], ..Settings::default() };
        change(&mut settings);
        let checks = of_settings(&settings).into_iter();
        checks.filter(|check| check.level > CheckLevel::Ok).map(|check| (check.name, check.level)).collect()
    }

    #[test]
    fn settings_are_judged_by_what_they_promise() {
        use CheckLevel::{Problem, Warning};
        let named = |name: &str, level| (name.to_owned(), level);
        assert_eq!(levels(fine(), |_| {}), []);
        let bare = ServerSettings { aof_enabled: false, appendfsync: None, ..fine() };
        assert_eq!(levels(bare, |_| {}), [named("promise", Warning), named("persistence", Warning)]);
        let evicting = ServerSettings { maxmemory_policy: Some("allkeys-lru".to_owned()), ..fine() };
        assert_eq!(levels(evicting, |_| {}), [named("maxmemory-policy", Problem)]);
        let full = ServerSettings { used_memory: 1 << 30, ..fine() };
        assert_eq!(levels(full, |_| {}), [named("memory", Problem)]);
        let unlimited = ServerSettings { maxmemory: 0, ..fine() };
        assert_eq!(levels(unlimited, |_| {}), [named("memory", Warning)]);
        let failing = ServerSettings { aof_fine: false, ..fine() };
        assert_eq!(levels(failing, |_| {}), [named("persistence", Problem)]);
        let replica = ServerSettings { role: "slave".to_owned(), ..fine() };
        assert_eq!(levels(replica, |_| {}), [named("role", Problem)]);
        assert_eq!(levels(fine(), |s| s.clock_ahead_ms = -11_000), [named("clock", Problem)]);
        assert_eq!(
            levels(fine(), |s| s.cluster_state = Some("fail".to_owned())),
            [named("cluster", Problem)]
        );
    }
}
