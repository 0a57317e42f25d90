//! Amounts, as people write and read them: `usd_micros=500000`, or `usd=0.50`.

use stint::Amounts;

use crate::exit::Failed;

/// What a dollar has of its millionths.
const USD_MICROS: u64 = 1_000_000;

/// Millionths of a dollar have this many digits.
const USD_DIGITS: usize = 6;

/// A dimension and an amount: `calls=5`, `usd_micros=500000`, or `usd=0.50` for the same.
pub(crate) fn amount(text: &str) -> Result<(String, u64), String> {
    let (dimension, amount) =
        text.split_once('=').filter(|(dimension, _)| !dimension.is_empty()).ok_or_else(|| {
            format!("`{text}` is not DIMENSION=AMOUNT, such as usd_micros=500000, usd=0.50 or calls=100")
        })?;
    if dimension == "usd" {
        let micros =
            usd(amount).ok_or_else(|| format!("`{amount}` is not an amount of dollars, such as 0.50"))?;
        return Ok(("usd_micros".to_owned(), micros));
    }
    let amount = amount.parse().map_err(|_| format!("`{amount}` is not a whole number"))?;
    Ok((dimension.to_owned(), amount))
}

/// Amounts as they were given one by one. Two of a dimension are no amount: which of them is meant?
pub(crate) fn distinct(given: impl IntoIterator<Item = (String, u64)>) -> Result<Amounts, Failed> {
    let mut amounts = Amounts::default();
    for (dimension, amount) in given {
        if amounts.0.contains_key(&dimension) {
            let also = if dimension == "usd_micros" { " (usd is the same)" } else { "" };
            return Err(Failed::Usage(format!("{dimension} is given twice{also}")));
        }
        amounts.0.insert(dimension, amount);
    }
    Ok(amounts)
}

/// How much more or less.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) dimension: String,
    pub(crate) amount: u64,
    pub(crate) less: bool,
}

/// A difference: `usd=0.05`, or less: `usd=-0.05`.
pub(crate) fn difference(text: &str) -> Result<Difference, String> {
    let positive = text.replacen("=-", "=", 1);
    let (dimension, amount) = amount(&positive)?;
    Ok(Difference { dimension, amount, less: positive != text })
}

/// A budget that an execution may spend from: `PATH`, or with what each attempt holds: `PATH:usd=0.02`,
/// `PATH:usd_micros=20000,calls=3`.
pub(crate) fn budget(text: &str) -> Result<(String, Option<Amounts>), String> {
    let Some((path, held)) = text.split_once(':') else { return Ok((text.to_owned(), None)) };
    let held = held.split(',').map(amount).collect::<Result<Vec<_>, _>>()?;
    Ok((path.to_owned(), Some(distinct(held).map_err(|error| error.to_string())?)))
}

/// Amounts in a line: money in dollars, everything else as it is.
pub(crate) fn shown(amounts: &Amounts) -> String {
    let all: Vec<String> = amounts.0.iter().map(|(dimension, amount)| one(dimension, *amount)).collect();
    all.join(" ")
}

/// Amounts of which some were taken off: those with a minus sign.
pub(crate) fn difference_shown(amounts: &Amounts, less: &Amounts) -> String {
    let taken = less.0.iter().map(|(dimension, amount)| format!("-{}", one(dimension, *amount)));
    let added = amounts.0.iter().map(|(dimension, amount)| one(dimension, *amount));
    added.chain(taken).collect::<Vec<_>>().join(" ")
}

/// One amount, with its dimension.
pub(crate) fn one(dimension: &str, amount: u64) -> String {
    match dimension {
        "usd_micros" => dollars(amount),
        _ => format!("{amount} {dimension}"),
    }
}

/// One amount, with its dimension, and with a minus sign if it is one that was taken.
pub(crate) fn signed(dimension: &str, amount: i64) -> String {
    let sign = if amount < 0 { "-" } else { "" };
    format!("{sign}{}", one(dimension, amount.unsigned_abs()))
}

/// Millionths of a dollar in dollars, exactly: at least two digits behind the point, and more where there are more.
fn dollars(micros: u64) -> String {
    let (whole, rest) = (micros / USD_MICROS, micros % USD_MICROS);
    let digits = format!("{rest:06}");
    let short = digits.trim_end_matches('0');
    format!("${whole}.{short:0<2}")
}

fn usd(text: &str) -> Option<u64> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    if rest.len() > USD_DIGITS || !rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let micros: u64 = format!("{rest:0<6}").parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(USD_MICROS)?.checked_add(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_read_and_shown_to_the_millionth() {
        for (text, micros, back) in [
            ("usd=0.50", 500_000, "$0.50"),
            ("usd=12", 12_000_000, "$12.00"),
            ("usd=0.000001", 1, "$0.000001"),
            ("usd_micros=1234500", 1_234_500, "$1.2345"),
        ] {
            assert_eq!(amount(text), Ok(("usd_micros".to_owned(), micros)), "{text}");
            assert_eq!(one("usd_micros", micros), back);
        }
        for wrong in ["usd=0.0000001", "usd=-1", "usd=x", "usd=1.2.3", "calls=1.5", "calls", "=5"] {
            assert!(amount(wrong).is_err(), "{wrong}");
        }
        assert_eq!(shown(&Amounts::of([("calls", 3), ("usd_micros", 20_000)])), "3 calls $0.02");
    }

    #[test]
    fn a_dimension_is_given_once() {
        let given = |words: &[&str]| distinct(words.iter().map(|word| amount(word).unwrap()));
        assert_eq!(
            given(&["usd=1", "calls=2"]).unwrap(),
            Amounts::of([("usd_micros", 1_000_000), ("calls", 2)])
        );
        assert!(given(&["usd=1", "calls=2", "usd_micros=5"]).is_err());
        assert!(given(&["calls=2", "calls=2"]).is_err());
    }

    #[test]
    fn a_difference_is_more_or_less() {
        let of = |amount, less| Difference { dimension: "usd_micros".to_owned(), amount, less };
        assert_eq!(difference("usd=0.05"), Ok(of(50_000, false)));
        assert_eq!(difference("usd=-0.05"), Ok(of(50_000, true)));
        assert!(difference("usd=--1").is_err());
    }

    #[test]
    fn a_budget_comes_with_or_without_a_hold() {
        assert_eq!(budget("acme/search"), Ok(("acme/search".to_owned(), None)));
        let held = Amounts::of([("calls", 3), ("usd_micros", 20_000)]);
        assert_eq!(budget("acme:usd=0.02,calls=3"), Ok(("acme".to_owned(), Some(held))));
        assert!(budget("acme:much").is_err());
        assert!(budget("acme:usd=1,usd_micros=5").is_err_and(|error| error.contains("given twice")));
    }
}
