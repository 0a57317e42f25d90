//! Windows of a budget: the periods that what is used belongs to.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use jiff::{Span, Timestamp};
use minicbor::{Decode, Encode};

use crate::Millis;

/// Shortest rolling window: a bucket of it is a second.
pub const ROLLING_MIN_MS: Millis = 60_000;

/// Longest rolling window: a leap year.
pub const ROLLING_MAX_MS: Millis = 366 * 24 * 3_600 * 1_000;

/// Buckets that a rolling window is counted in.
pub const ROLLING_BUCKETS: Millis = 60;

/// What a window of a budget counts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode)]
pub enum WindowKind {
    /// Everything, for ever.
    #[n(0)]
    Total,
    /// The last so many ms, in [`ROLLING_BUCKETS`] buckets of which the oldest counts in full.
    #[n(1)]
    Rolling {
        /// Its length.
        #[n(0)]
        every_ms: Millis,
    },
    /// A calendar day.
    #[n(2)]
    Day {
        /// IANA name of the zone whose calendar it is.
        #[n(0)]
        zone: String,
    },
    /// A calendar week, from Monday.
    #[n(3)]
    Week {
        /// IANA name of the zone whose calendar it is.
        #[n(0)]
        zone: String,
    },
    /// A calendar month.
    #[n(4)]
    Month {
        /// IANA name of the zone whose calendar it is.
        #[n(0)]
        zone: String,
    },
}

/// The time from `start` until just before `end`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Period {
    /// Its first instant.
    #[n(0)]
    pub start: Millis,
    /// The first instant of the next one.
    #[n(1)]
    pub end: Millis,
}

/// Why a window can't be accepted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WindowError {
    /// No zone is called that.
    #[error("`{zone}` is no time zone; use an IANA name such as `Europe/Berlin` or `UTC`")]
    UnknownZone {
        /// What was given.
        zone: String,
    },
    /// Too short or too long.
    #[error("a rolling window of {every_ms} ms is not between {ROLLING_MIN_MS} and {ROLLING_MAX_MS} ms")]
    Length {
        /// What was given.
        every_ms: Millis,
    },
}

/// The calendar periods.
#[derive(Clone, Copy)]
enum Unit {
    Day,
    Week,
    Month,
}

impl WindowKind {
    /// Fails if its zone or length can't be used, naming it.
    pub fn check(&self) -> Result<(), WindowError> {
        match self {
            Self::Total => Ok(()),
            Self::Rolling { every_ms } if (ROLLING_MIN_MS..=ROLLING_MAX_MS).contains(every_ms) => Ok(()),
            Self::Rolling { every_ms } => Err(WindowError::Length { every_ms: *every_ms }),
            Self::Day { zone } | Self::Week { zone } | Self::Month { zone } => match lookup(zone) {
                Some(_) => Ok(()),
                None => Err(WindowError::UnknownZone { zone: zone.clone() }),
            },
        }
    }

    /// The period (of a rolling window: the bucket) that an instant lies in. Neighbours have neither gap nor overlap.
    ///
    /// Days begin at the first instant at which their calendar shows midnight or later: where midnight is skipped,
    /// after it; where it comes twice, at the first. What a clock put back shows again belongs to the day it had
    /// already reached. A zone that this build does not know is read as UTC.
    pub fn period(&self, at: Millis) -> Period {
        match self {
            Self::Total => Period { start: 0, end: Millis::MAX },
            Self::Rolling { every_ms } => {
                let bucket = bucket(*every_ms);
                let start = at.saturating_sub(at.rem_euclid(bucket));
                Period { start, end: start.saturating_add(bucket) }
            }
            Self::Day { zone } => calendar(zone, Unit::Day, at),
            Self::Week { zone } => calendar(zone, Unit::Week, at),
            Self::Month { zone } => calendar(zone, Unit::Month, at),
        }
    }

    /// The start of the first period that still counts at `now`.
    pub fn counts_from(&self, now: Millis) -> Millis {
        match self {
            Self::Rolling { every_ms } => self.period(now.saturating_sub(every_ms - 1)).start,
            _ => self.period(now).start,
        }
    }

    /// The first instant at which what belongs to `period` no longer counts.
    pub fn counts_until(&self, period: Period) -> Millis {
        match self {
            Self::Rolling { every_ms } => period.end.saturating_add(every_ms - 1),
            _ => period.end,
        }
    }
}

impl Period {
    /// Whether an instant lies in it.
    pub fn contains(&self, at: Millis) -> bool {
        (self.start..self.end).contains(&at)
    }
}

impl Unit {
    /// The first day of the one that `date` is in.
    fn first(self, date: Date) -> Option<Date> {
        match self {
            Self::Day => Some(date),
            Self::Week => {
                date.checked_sub(Span::new().days(i64::from(date.weekday().to_monday_zero_offset()))).ok()
            }
            Self::Month => Some(date.first_of_month()),
        }
    }

    /// The first day of the next one, given that of this one.
    fn next(self, first: Date) -> Option<Date> {
        let span = match self {
            Self::Day => Span::new().days(1),
            Self::Week => Span::new().weeks(1),
            Self::Month => Span::new().months(1),
        };
        first.checked_add(span).ok()
    }
}

/// Length of a bucket.
fn bucket(every_ms: Millis) -> Millis {
    every_ms.max(1).unsigned_abs().div_ceil(ROLLING_BUCKETS.unsigned_abs()) as Millis
}

/// The zone of that name in the database built into the binary. `Etc/Unknown` is the database's word for none.
fn lookup(zone: &str) -> Option<TimeZone> {
    TimeZoneDatabase::bundled().get(zone).ok().filter(|zone| !zone.is_unknown())
}

/// The calendar has the years -9999 to 9999: instants beyond are taken for its first and last, whose periods reach on
/// for ever.
fn calendar(zone: &str, unit: Unit, at: Millis) -> Period {
    let zone = lookup(zone).unwrap_or(TimeZone::UTC);
    let at = at.clamp(Timestamp::MIN.as_millisecond(), Timestamp::MAX.as_millisecond());
    let edge = if at < 0 { Timestamp::MIN } else { Timestamp::MAX };
    let date = zone.to_datetime(Timestamp::from_millisecond(at).unwrap_or(edge)).date();
    let Some(mut first) = unit.first(date) else {
        return Period {
            start: Millis::MIN,
            end: unit.next(date).and_then(|next| start(&zone, next)).unwrap_or(Millis::MAX),
        };
    };
    let mut from = start(&zone, first).unwrap_or(Millis::MIN);
    loop {
        let next = unit.next(first);
        let until = next.and_then(|next| start(&zone, next)).unwrap_or(Millis::MAX);
        // The next has begun although the clock shows this one: it was put back over midnight, or skipped a day.
        match next {
            Some(next) if until <= at => (first, from) = (next, until),
            _ => return Period { start: from, end: until },
        }
    }
}

/// The first instant at which the zone's calendar shows `date` or later.
fn start(zone: &TimeZone, date: Date) -> Option<Millis> {
    let midnight = DateTime::from_parts(date, Time::midnight());
    let instant = match zone.to_ambiguous_timestamp(midnight).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(midnight).ok()?,
        AmbiguousOffset::Fold { before, .. } => before.to_timestamp(midnight).ok()?,
        // Midnight by the old offset is just after the clock was put forward, at most by the length of the gap.
        AmbiguousOffset::Gap { before, .. } => {
            let after = before.to_timestamp(midnight).ok()?;
            zone.preceding(after.checked_add(Span::new().nanoseconds(1)).ok()?).next()?.timestamp()
        }
    };
    Some(instant.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Millis {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    /// Checks the period from `start` to `end` at both its ends.
    fn check(kind: &WindowKind, start: &str, end: &str) {
        let period = Period { start: at(start), end: at(end) };
        for (instant, same) in
            [(period.start - 1, false), (period.start, true), (period.end - 1, true), (period.end, false)]
        {
            assert_eq!(
                kind.period(instant) == period,
                same,
                "{kind:?} at {instant}: {:?}",
                kind.period(instant)
            );
        }
        assert_eq!(kind.counts_from(period.end - 1), period.start);
        assert_eq!(kind.counts_until(period), period.end);
    }

    #[test]
    fn days_have_the_hours_that_their_calendar_gives_them() {
        let day = |zone: &str| WindowKind::Day { zone: zone.to_owned() };
        check(&day("UTC"), "2026-11-23T00:00:00Z", "2026-11-24T00:00:00Z");
        // 23 and 25 hours.
        check(&day("Europe/Berlin"), "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00");
        check(&day("Europe/Berlin"), "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00");
        // Midnight does not exist.
        check(&day("America/Sao_Paulo"), "2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00");
        // Put forward from 23:30 to 00:30.
        check(&day("America/Toronto"), "1919-03-31T00:30:00-04:00", "1919-04-01T00:00:00-04:00");
        // Midnight comes twice: put back from 00:01 to 23:01.
        check(&day("America/St_Johns"), "2010-11-07T00:00:00-02:30", "2010-11-08T00:00:00-03:30");
        // A day that does not exist is in no period: the 29th ends where the 31st begins.
        check(&day("Pacific/Apia"), "2011-12-29T00:00:00-10:00", "2011-12-31T00:00:00+14:00");
    }

    #[test]
    fn weeks_begin_on_monday_and_months_on_their_first() {
        let zone = || "Europe/Berlin".to_owned();
        check(&WindowKind::Week { zone: zone() }, "2026-03-23T00:00:00+01:00", "2026-03-30T00:00:00+02:00");
        check(&WindowKind::Month { zone: zone() }, "2026-03-01T00:00:00+01:00", "2026-04-01T00:00:00+02:00");
        check(&WindowKind::Month { zone: zone() }, "2028-02-01T00:00:00+01:00", "2028-03-01T00:00:00+01:00");
    }

    #[test]
    fn a_rolling_window_never_counts_less_than_its_length() {
        for every_ms in [60_000, 60_001, 3_600_000, 86_399_999, ROLLING_MAX_MS] {
            let kind = WindowKind::Rolling { every_ms };
            for used in [0, 1, 59_999, 1_700_000_000_123] {
                let bucket = kind.period(used);
                assert!(bucket.contains(used));
                assert!(bucket.end - bucket.start <= every_ms / ROLLING_BUCKETS + 1);
                let until = kind.counts_until(bucket);
                assert!(until >= used + every_ms, "{every_ms}: {used} is forgotten at {until}");
                assert!(kind.counts_from(until - 1) <= bucket.start);
                assert!(kind.counts_from(until) > bucket.start);
            }
        }
    }

    #[test]
    fn what_can_not_be_a_window_is_named() {
        for zone in ["", "Mars/Olympus", "Etc/Unknown", "+02:00", "../UTC"] {
            let zone = zone.to_owned();
            assert_eq!(
                WindowKind::Day { zone: zone.clone() }.check(),
                Err(WindowError::UnknownZone { zone })
            );
        }
        for every_ms in [Millis::MIN, 0, ROLLING_MIN_MS - 1, ROLLING_MAX_MS + 1, Millis::MAX] {
            assert_eq!(WindowKind::Rolling { every_ms }.check(), Err(WindowError::Length { every_ms }));
        }
        assert_eq!(WindowKind::Rolling { every_ms: ROLLING_MIN_MS }.check(), Ok(()));
        assert_eq!(WindowKind::Week { zone: "Asia/Kathmandu".to_owned() }.check(), Ok(()));
    }

    #[test]
    fn no_instant_is_out_of_reach() {
        for kind in [
            WindowKind::Total,
            WindowKind::Rolling { every_ms: 60_000 },
            WindowKind::Day { zone: "Asia/Tokyo".to_owned() },
            WindowKind::Week { zone: "America/Adak".to_owned() },
            WindowKind::Month { zone: "no such zone".to_owned() },
        ] {
            for at in [Millis::MIN, -1, 0, 253_402_207_200_999, 253_402_300_799_999, Millis::MAX] {
                let period = kind.period(at);
                assert!(period.start < period.end, "{kind:?} at {at}: {period:?}");
                let is_in = period.contains(at) || at == Millis::MAX || kind == WindowKind::Total;
                assert!(is_in, "{kind:?} at {at}: {period:?}");
                assert!(kind.counts_from(at) <= period.start);
            }
        }
    }
}
