//! Calendar windows against a slow, obvious model, around every change of clocks that the zone database has from 1970
//! to 2050 (20,015 of them in the database of 2026).
//!
//! The model knows a zone as a list of offsets. It walks the clock minute by minute over each change and notes when it
//! first shows a new day; weeks and months begin with the first instant at which it shows their first day or later.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use stint_core::model::{Period, WindowKind};

const MINUTE: i64 = 60;
const DAY: i64 = 24 * 3_600;
/// Around a change: further than any clock was ever put forward or back.
const AROUND: i64 = 3 * DAY;
/// 1970 to the end of 2050, in days.
const DAYS: i64 = 81 * 365 + 20;

/// A zone's offsets in seconds, each with the second it holds from.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Offsets(Vec<(i64, i64)>);

impl Offsets {
    /// From a year before to a year after the time looked at.
    fn of(zone: &TimeZone) -> Self {
        let first = Timestamp::from_second(-365 * DAY).unwrap();
        let mut all = vec![(i64::MIN, i64::from(zone.to_offset(first).seconds()))];
        for change in zone.following(first) {
            let (at, offset) = (change.timestamp().as_second(), i64::from(change.offset().seconds()));
            if at > (DAYS + 365) * DAY {
                break;
            }
            if all.last().unwrap().1 != offset {
                all.push((at, offset));
            }
        }
        Self(all)
    }

    /// The changes of clocks in the time looked at.
    fn changes(&self) -> Vec<i64> {
        self.0.iter().map(|(at, _)| *at).filter(|at| (0..DAYS * DAY).contains(at)).collect()
    }

    /// The day that the clock shows, in days since 1970.
    fn day(&self, at: i64) -> i64 {
        let (_, offset) = self.0.iter().rev().find(|(from, _)| *from <= at).unwrap();
        (at + offset).div_euclid(DAY)
    }

    /// The same for many instants in order.
    fn days(&self, mut from: i64, to: i64, step: i64) -> impl Iterator<Item = (i64, i64)> {
        let mut now = self.0.iter().rposition(|(since, _)| *since <= from).unwrap();
        std::iter::from_fn(move || {
            while self.0.get(now + 1).is_some_and(|(since, _)| *since <= from) {
                now += 1;
            }
            let shown = (from, (from + self.0[now].1).div_euclid(DAY));
            from += step;
            (shown.0 <= to).then_some(shown)
        })
    }

    /// The instants at which the clock first shows a new day, by walking it.
    fn beginnings(&self, from: i64, to: i64) -> Vec<(i64, i64)> {
        let mut reached = self.day(from);
        let mut found = Vec::new();
        for (minute, day) in self.days(from + MINUTE, to, MINUTE) {
            if day > reached {
                let (second, day) =
                    self.days(minute - MINUTE + 1, minute, 1).find(|(_, day)| *day > reached).unwrap();
                found.push((second, day));
                reached = day;
            }
        }
        found
    }

    /// The first instant at which the clock shows `day` or later.
    fn first(&self, day: i64) -> i64 {
        let ends = self.0.iter().skip(1).map(|(at, _)| *at).chain([i64::MAX]);
        let shows = |((from, offset), end): (&(i64, i64), i64)| {
            let at = (day * DAY - offset).max(*from);
            (at < end).then_some(at)
        };
        self.0.iter().zip(ends).filter_map(shows).min().unwrap()
    }

    /// The period that `at` lies in, of those that begin with the given days.
    fn period(&self, days: &[i64], at: i64) -> Period {
        let next = days.partition_point(|day| self.first(*day) <= at);
        period(self.first(days[next - 1]), self.first(days[next]))
    }
}

fn period(start: i64, end: i64) -> Period {
    Period { start: start * 1_000, end: end * 1_000 }
}

/// The first days of all months, by counting through the calendar.
fn months() -> Vec<i64> {
    let mut day = -365;
    let mut first = Vec::new();
    for year in 1969..=2051_i64 {
        let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        for length in [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
            first.push(day);
            day += length;
        }
    }
    first
}

/// All Mondays: 1969-01-06 was one.
fn mondays() -> Vec<i64> {
    (-360..DAYS + 360).step_by(7).collect()
}

/// Fails unless `kind` has exactly this period, and a neighbour on either side without gap or overlap.
fn check(kind: &WindowKind, expected: Period, inside: impl IntoIterator<Item = i64>) {
    for at in [expected.start, expected.end - 1].into_iter().chain(inside) {
        if expected.contains(at) {
            assert_eq!(kind.period(at), expected, "{kind:?} at {at}");
        }
    }
    assert_eq!(kind.period(expected.start - 1).end, expected.start, "{kind:?} before {expected:?}");
    assert_eq!(kind.period(expected.end).start, expected.end, "{kind:?} after {expected:?}");
}

#[test]
fn periods_are_those_of_a_calendar_walked_by_the_minute() {
    let (months, mondays) = (months(), mondays());
    let database = TimeZoneDatabase::bundled();
    let (mut seen, mut covered, mut zones) = (BTreeSet::new(), 0, 0);
    for name in database.available() {
        let name = name.as_str();
        let offsets = Offsets::of(&database.get(name).unwrap());
        zones += 1;
        // Many names share one clock.
        if !seen.insert(offsets.clone()) {
            continue;
        }
        let [day, week, month] = [
            |zone| WindowKind::Day { zone },
            |zone| WindowKind::Week { zone },
            |zone| WindowKind::Month { zone },
        ]
        .map(|kind: fn(String) -> WindowKind| kind(name.to_owned()));
        for change in offsets.changes() {
            covered += 1;
            // Around the change: seconds, and the hours that are skipped or shown twice.
            let near = [-DAY, -7_200, -3_600, -1_800, -1, 0, 1, 1_800, 3_600, 7_200, DAY];
            let near = near.map(|seconds| (change + seconds) * 1_000);
            let beginnings = offsets.beginnings(change - AROUND, change + AROUND);
            assert!(beginnings.len() >= 4, "{name} at {change}: {beginnings:?}");
            for pair in beginnings.windows(2) {
                let [(start, date), (end, _)] = pair else { unreachable!() };
                assert_eq!(offsets.first(*date), *start, "the models differ: {name} at {change}");
                if (start - 1..=*end).contains(&change) {
                    check(&day, period(*start, *end), near);
                }
            }
            check(&week, offsets.period(&mondays, change), near);
            check(&month, offsets.period(&months, change), near);
        }
    }
    println!("{covered} changes of {} clocks with {zones} names", seen.len());
    assert!(covered > 15_000, "only {covered} changes of {} clocks", seen.len());
}
