//! What the server says about itself: whether it will do, and how much room it has.

use crate::contract::Room;

const VALKEY_MIN: (u32, u32) = (7, 2);
const REDIS_MIN: (u32, u32) = (7, 0);

/// Above this share of `maxmemory`, in percent, room is low.
const LOW_ROOM_PERCENT: u64 = 90;

/// Why this server can't hold a store, if it can't. `info` is any part of its reply to `INFO`; `cluster` says whether
/// it was addressed as one.
pub(super) fn refusal(info: &str, cluster: bool) -> Option<String> {
    // Valkey gives a Redis version too, for old clients.
    let versions = [("Valkey", "valkey_version", VALKEY_MIN), ("Redis", "redis_version", REDIS_MIN)];
    for (name, version_field, least) in versions {
        let Some(version) = field(info, version_field) else { continue };
        if parse_version(version).is_none_or(|version| version < least) {
            return Some(format!("{name} {version} is too old: at least Redis 7.0 or Valkey 7.2 is needed"));
        }
        break;
    }
    if field(info, "role") == Some("slave") {
        return Some("this server is a replica; give the primary's address".to_owned());
    }
    if !cluster && field(info, "cluster_enabled") == Some("1") {
        return Some("this server belongs to a cluster; use valkey+cluster://".to_owned());
    }
    match field(info, "maxmemory_policy") {
        Some("noeviction") | None => None,
        Some(policy) => Some(format!(
            "maxmemory-policy is {policy}, under which the server deletes work when memory is short; \
             set it to noeviction"
        )),
    }
}

/// The room that `INFO memory` tells of.
pub(super) fn room(info: &str) -> Room {
    let number = |name| field(info, name).and_then(|value| value.parse::<u64>().ok()).unwrap_or(0);
    let (used, max) = (number("used_memory"), number("maxmemory"));
    if max > 0 && used / LOW_ROOM_PERCENT >= max / 100 { Room::Low } else { Room::Enough }
}

/// The replication id in `INFO replication`.
pub(super) fn replication_id(info: &str) -> Option<&str> {
    field(info, "master_replid")
}

pub(super) fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

fn parse_version(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_that_will_do_and_others() {
        let cases = [
            (
                "valkey_version:9.1.2\r\nredis_version:7.2.4\r\nmaxmemory_policy:noeviction\r\nrole:master",
                false,
                None,
            ),
            ("redis_version:7.0.15\r\ncluster_enabled:1\r\nrole:master", true, None),
            ("redis_version:6.2.14\r\n", false, Some("too old")),
            ("valkey_version:7.1.0\r\nredis_version:7.2.4\r\n", false, Some("too old")),
            ("redis_version:x\r\n", false, Some("too old")),
            ("redis_version:7.0.15\r\nrole:slave\r\n", false, Some("replica")),
            ("redis_version:7.0.15\r\ncluster_enabled:1\r\n", false, Some("valkey+cluster")),
            ("redis_version:7.0.15\r\nmaxmemory_policy:allkeys-lru\r\n", false, Some("noeviction")),
        ];
        for (info, cluster, wanted) in cases {
            let refusal = refusal(info, cluster);
            assert_eq!(refusal.is_some(), wanted.is_some(), "{info}: {refusal:?}");
            assert!(refusal.unwrap_or_default().contains(wanted.unwrap_or_default()), "{info}");
        }
    }

    #[test]
    fn room_is_low_above_nine_tenths() {
        let cases =
            [("0", "0", Room::Enough), ("899999", "1000000", Room::Enough), ("950000", "1000000", Room::Low)];
        for (used, max, wanted) in cases {
            assert_eq!(
                room(&format!("used_memory:{used}\r\nmaxmemory:{max}\r\n")),
                wanted,
                "{used} of {max}"
            );
        }
    }
}
