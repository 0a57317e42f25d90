//! Entries of the ledger as lines of a table: one for each dimension, so that they can be summed up.

use std::io::Write;

use stint_api::LedgerEntry;

/// The names of the columns.
pub(super) const HEAD: &str = "seq,at,kind,path,dimension,amount,used,charge_id,execution,attempt,execution_kind,step,refunds,reason,model,prices,booked_at,window,late\n";

/// Writes an entry. What it took or gave back is negative, and `used` is what sums up to what was used.
pub(super) fn lines(entry: &LedgerEntry, out: &mut Vec<u8>) {
    let mut amounts: Vec<(&str, String, i64)> =
        entry.lines().map(|line| (line.dimension, line.amount.to_string(), line.used)).collect();
    if amounts.is_empty() {
        amounts.push(("", String::new(), 0));
    }
    let text = |text: &Option<String>| quoted(text.as_deref().unwrap_or_default());
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    for (dimension, amount, used) in amounts {
        // A vector takes all that is written.
        _ = writeln!(
            out,
            "{},{},{},{},{dimension},{amount},{used},{},{},{},{},{},{},{},{},{},{},{},{}",
            entry.seq,
            entry.at,
            entry.kind.as_str(),
            entry.path,
            text(&entry.charge_id),
            text(&entry.execution),
            number(entry.attempt.map(u64::from)),
            text(&entry.execution_kind),
            text(&entry.step),
            text(&entry.refunds),
            text(&entry.reason),
            text(&entry.model),
            number(entry.prices),
            entry.booked_at.map(|at| at.to_string()).unwrap_or_default(),
            text(&entry.window),
            entry.late,
        );
    }
}

/// A value that may hold anything, as one column.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_a_comma_or_a_quote_is_one_column() {
        assert_eq!(quoted("resp_1"), "resp_1");
        assert_eq!(quoted("a,b \"c\""), "\"a,b \"\"c\"\"\"");
    }
}
