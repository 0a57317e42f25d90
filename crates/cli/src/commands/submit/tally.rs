//! What became of the lines so far, and where to go on.

use std::fmt::{self, Write};

/// Lines, counted and located.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Lines the server has taken, now or before.
    pub(super) accepted: u64,
    /// Those of them whose key it knew already.
    pub(super) existed: u64,
    /// Lines that will never be taken as they are.
    pub(super) refused: u64,
    open: Ranges,
    unknown: Ranges,
    last_tried: u64,
}

/// What became of one line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// Taken; `existed` if the server had it before.
    Accepted {
        /// See [`Tally::existed`].
        existed: bool,
    },
    /// Refused for good.
    Refused,
    /// Not taken, and not to blame for it.
    Open,
    /// Sent, and nothing was heard.
    Unknown,
}

/// Ranges of lines in a row; blank lines in between don't count.
#[derive(Debug, Default)]
struct Ranges {
    ranges: Vec<(u64, u64)>,
    is_broken: bool,
}

impl Tally {
    /// Nothing has been done, and this line is the first.
    pub(super) fn from(line: u64) -> Self {
        Self { last_tried: line - 1, ..Self::default() }
    }

    /// Notes a line's fate. Lines come in their order.
    pub(super) fn note(&mut self, line: u64, fate: Fate) {
        self.open.note(line, fate == Fate::Open);
        self.unknown.note(line, fate == Fate::Unknown);
        self.last_tried = line;
        match fate {
            Fate::Accepted { existed } => {
                self.accepted += 1;
                self.existed += u64::from(existed);
            }
            Fate::Refused => self.refused += 1,
            Fate::Open | Fate::Unknown => {}
        }
    }

    /// Lines that have come to an end, one way or the other.
    pub(super) fn ended(&self) -> u64 {
        self.accepted + self.refused
    }

    /// For people: what is done, and how to do the rest.
    pub(super) fn how_to_go_on(&self) -> String {
        let mut said = format!("{} lines were accepted", self.accepted);
        if self.refused > 0 {
            let _ = write!(said, ", {} refused", self.refused);
        }
        let mut open = self.open.ranges.clone();
        let mut go_on = self.last_tried + 1;
        if !self.open.is_broken
            && let Some((first, _)) = open.pop()
        {
            go_on = first;
        }
        for (first, last) in &self.unknown.ranges {
            let _ = write!(
                said,
                ".\n  Lines {first} to {last} have no answer and may have been accepted; to submit them (again) use \
                 --from-line {first} --to-line {last}"
            );
        }
        for (first, last) in open {
            let _ = write!(
                said,
                ".\n  Lines {first} to {last} were not: use --from-line {first} --to-line {last}"
            );
        }
        let _ = write!(said, ".\n  Go on with the same command and --from-line {go_on}");
        said
    }
}

impl Ranges {
    fn note(&mut self, line: u64, belongs: bool) {
        match self.ranges.last_mut() {
            Some((_, last)) if belongs && !self.is_broken => *last = line,
            _ if belongs => self.ranges.push((line, line)),
            _ => {}
        }
        self.is_broken = !belongs;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} lines submitted", self.accepted)?;
        if self.existed > 0 {
            write!(f, " ({} were there before)", self.existed)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAKEN: Fate = Fate::Accepted { existed: false };

    fn tally(fates: &[(u64, Fate)]) -> String {
        let mut tally = Tally::default();
        for (line, fate) in fates {
            tally.note(*line, *fate);
        }
        tally.how_to_go_on()
    }

    #[test]
    fn after_whole_batches_the_next_line_is_the_one_to_go_on_with() {
        let said = tally(&[(1, TAKEN), (3, TAKEN), (4, Fate::Refused)]);
        assert_eq!(
            said,
            "2 lines were accepted, 1 refused.\n  Go on with the same command and --from-line 5"
        );
    }

    #[test]
    fn lines_left_at_the_end_are_gone_on_with_and_those_in_between_are_named() {
        let said = tally(&[(1, TAKEN), (2, Fate::Open), (3, TAKEN), (4, Fate::Open), (6, Fate::Open)]);
        assert!(said.contains("Lines 2 to 2 were not: use --from-line 2 --to-line 2"), "{said}");
        assert!(said.ends_with("--from-line 4"), "{said}");
    }

    #[test]
    fn lines_without_an_answer_are_never_part_of_the_rest() {
        let said = tally(&[(1, TAKEN), (2, Fate::Unknown), (3, Fate::Unknown), (4, Fate::Open)]);
        assert!(said.contains("Lines 2 to 3 have no answer"), "{said}");
        assert!(said.ends_with("--from-line 4"), "{said}");
    }
}
