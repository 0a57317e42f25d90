//! The time of day, for people: ages in tables, and bounds such as "since an hour ago".

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use stint::api::Instant;

/// Now.
pub(crate) fn now() -> Instant {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Instant::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// How long ago something was, in its largest unit: `12s`, `3m`, `5h`, `2d`.
pub(crate) fn ago(at: Instant) -> String {
    let ms = now().millis().saturating_sub(at.millis());
    in_largest_unit(Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
}

/// How long until something: `in 12s`, or `now` if that is over.
pub(crate) fn until(at: Instant) -> String {
    let ms = at.millis().saturating_sub(now().millis());
    match u64::try_from(ms) {
        Ok(ms) if ms > 0 => format!("in {}", in_largest_unit(Duration::from_millis(ms))),
        _ => "now".to_owned(),
    }
}

fn in_largest_unit(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Reads an instant of what was: RFC 3339, or how long ago (`90s`, `15m`, `2h`, `7d`).
pub(crate) fn instant(text: &str) -> Result<Instant, String> {
    from_now(text, -1, "how long ago")
}

/// Reads an instant of what is to be: RFC 3339, or in how long (`90s`, `15m`, `2h`, `7d`).
pub(crate) fn ahead(text: &str) -> Result<Instant, String> {
    from_now(text, 1, "in how long")
}

fn from_now(text: &str, direction: i64, which: &str) -> Result<Instant, String> {
    if let Some(span) = span(text) {
        return Ok(Instant::from_millis(now().millis().saturating_add(direction * span)));
    }
    text.parse::<Instant>().map_err(|_| {
        format!("`{text}` is no instant: expected 2026-11-23T10:00:00Z, or {which}: 90s, 15m, 2h, 7d")
    })
}

/// Milliseconds of `90s`, `15m`, `2h` or `7d`.
fn span(text: &str) -> Option<i64> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    digits.parse::<u32>().ok().map(|count| i64::from(count) * seconds * 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_instants_or_ages() {
        assert_eq!(span("90s"), Some(90_000));
        assert_eq!(span("7d"), Some(604_800_000));
        for wrong in ["", "s", "7", "7w", "-1h", "1.5h", "\u{e9}"] {
            assert_eq!(span(wrong), None, "{wrong}");
        }
        let at = instant("2026-11-23T10:00:00Z").map(Instant::millis);
        assert_eq!(at, Ok(1_795_428_000_000));
        assert!(instant("yesterday").is_err_and(|error| error.contains("15m")));
        assert!(instant("1h").is_ok_and(|at| at < now()) && ahead("1h").is_ok_and(|at| at > now()));
    }

    #[test]
    fn ages_have_one_unit() {
        let spans = [(0, "0s"), (59, "59s"), (61, "1m"), (7_200, "2h"), (200_000, "2d")];
        for (seconds, text) in spans {
            assert_eq!(in_largest_unit(Duration::from_secs(seconds)), text);
        }
    }
}
