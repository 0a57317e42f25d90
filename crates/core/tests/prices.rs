//! What usage costs: exact, rounded up once, by the price that is most its own, and never nothing for want of one.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use stint_core::model::*;

fn usage(model: &str, input: u64, cached: u64, output: u64, calls: u64) -> Usage {
    Usage {
        model: model.to_owned(),
        input_tokens: input,
        cached_input_tokens: cached,
        cache_write_tokens: 0,
        output_tokens: output,
        calls,
    }
}

fn table<'a>(models: impl IntoIterator<Item = (&'a str, Price)>) -> PriceTable {
    PriceTable {
        version: 1,
        unpriced: Unpriced::Refuse,
        models: models.into_iter().map(|(name, price)| (name.to_owned(), price)).collect(),
    }
}

fn call(n: u64) -> Price {
    Price { call: n, ..Price::default() }
}

#[test]
fn every_tier_counts() {
    let price = Price {
        input: 2_500_000,
        cached_input: Some(1_250_000),
        cache_write: Some(5_000_000),
        output: 10_000_000,
        call: 7,
    };
    let amounts = table([("m", price)]).amounts(&usage("m", 1_000, 400, 20, 1)).unwrap();
    // 600 * 2.5 + 400 * 1.25 + 20 * 10 + 7
    let expected = [(USD_MICROS, 2_207), (INPUT_TOKENS, 1_000), (OUTPUT_TOKENS, 20), (CALLS, 1)];
    assert_eq!(amounts, Amounts::of(expected));

    let written = Usage { cache_write_tokens: 100, ..usage("m", 1_000, 400, 20, 1) };
    // 500 * 2.5 + 400 * 1.25 + 100 * 5 + 20 * 10 + 7
    let amounts = table([("m", price)]).amounts(&written).unwrap();
    assert_eq!(
        amounts,
        Amounts::of([(USD_MICROS, 2_457), (INPUT_TOKENS, 1_000), (OUTPUT_TOKENS, 20), (CALLS, 1)])
    );

    let same = Price { cached_input: None, cache_write: None, ..price };
    assert_eq!(table([("m", same)]).amounts(&written).unwrap().get(USD_MICROS), 2_707);
    assert_eq!(table([("m", same)]).amounts(&usage("m", 1_000, 400, 20, 1)).unwrap().get(USD_MICROS), 2_707);
}

#[test]
fn fractions_are_added_before_the_one_rounding_up() {
    let price = Price { input: 1, cached_input: Some(1), cache_write: None, output: 1, call: 0 };
    let money = |input, cached, output| {
        table([("m", price)]).amounts(&usage("m", input, cached, output, 1)).unwrap().get(USD_MICROS)
    };
    assert_eq!(money(0, 0, 0), 0);
    assert_eq!(money(1, 0, 0), 1);
    assert_eq!(money(2, 1, 1), 1);
    assert_eq!(money(500_000, 250_000, 500_000), 1);
    assert_eq!(money(500_000, 250_000, 500_001), 2);
}

#[test]
fn a_model_has_its_own_price_or_that_of_the_longest_beginning() {
    let table = table([("*", call(1)), ("gpt-*", call(2)), ("gpt-5*", call(3)), ("gpt-5-mini", call(4))]);
    for (model, expected) in [
        ("claude", 1),
        ("gpt", 1),
        ("gpt-", 2),
        ("gpt-4o", 2),
        ("gpt-5", 3),
        ("gpt-5-mini", 4),
        ("gpt-5-mini-2026", 3),
        ("GPT-5", 1),
    ] {
        let money = table.amounts(&usage(model, 0, 0, 0, 1)).unwrap().get(USD_MICROS);
        assert_eq!(money, expected, "{model}");
    }
}

#[test]
fn what_has_no_price_or_can_not_be_is_an_error() {
    let table = table([
        ("known", Price { input: u64::MAX, output: u64::MAX, call: u64::MAX, ..Price::default() }),
        ("known-*", call(1)),
    ]);
    assert_eq!(
        table.amounts(&usage("other", 1, 0, 0, 1)),
        Err(PriceError::Unknown { model: "other".to_owned() })
    );
    assert_eq!(table.amounts(&usage("known-x", 1, 2, 0, 1)), Err(PriceError::Inconsistent));
    let both = Usage { cache_write_tokens: 2, ..usage("known-x", 3, 2, 0, 1) };
    assert_eq!(table.amounts(&both), Err(PriceError::Inconsistent));
    for (input, output, calls) in [(u64::MAX, 0, 0), (0, u64::MAX, 0), (0, 0, u64::MAX), (1, 1, 1)] {
        assert_eq!(
            table.amounts(&usage("known", input, 0, output, calls)),
            Err(PriceError::Overflow),
            "{input} {output} {calls}"
        );
    }
    assert_eq!(table.amounts(&usage("known", 0, 0, 0, 1)).unwrap().get(USD_MICROS), u64::MAX);
}

#[test]
fn names_that_nothing_could_match_are_refused() {
    let check = |model: &str| table([(model, call(1))]).check();
    for model in ["gpt-5", "*", "meta/llama-3:free", &"x".repeat(MODEL_BYTES_MAX)] {
        assert_eq!(check(model), Ok(()), "{model}");
    }
    for model in ["", "gpt-*-mini", "**", "a\n", &"x".repeat(MODEL_BYTES_MAX + 1)] {
        assert_eq!(check(model), Err(PriceTableError::Model { model: model.to_owned() }), "{model}");
    }
    let many: Vec<String> = (0..=MODELS_MAX).map(|n| n.to_string()).collect();
    let many = table(many.iter().map(|name| (name.as_str(), call(1))));
    assert_eq!(many.check(), Err(PriceTableError::Many { count: MODELS_MAX + 1 }));
}

/// Small and ordinary numbers, and now and then an enormous one.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![6 => 0..10_u64, 6 => 0..50_000_000_u64, 1 => any::<u64>(), 1 => Just(u64::MAX)]
}

fn price() -> impl Strategy<Value = Price> {
    let other = || proptest::option::of(number());
    (number(), other(), other(), number(), number()).prop_map(
        |(input, cached_input, cache_write, output, call)| Price {
            input,
            cached_input,
            cache_write,
            output,
            call,
        },
    )
}

/// Of what can be charged.
fn used() -> impl Strategy<Value = Usage> {
    (number(), number(), number(), number(), prop_oneof![Just(1), number()]).prop_map(
        |(input, cached, written, output, calls)| {
            let (input, cached) = (input.max(cached), input.min(cached));
            Usage {
                cache_write_tokens: written.min(input - cached),
                ..usage("m", input, cached, output, calls)
            }
        },
    )
}

/// The exact price as whole `usd_micros` and millionths of one, or `None` if no one could hold it: each product is
/// divided by itself, and what remains is put together.
fn exact(price: &Price, usage: &Usage) -> Option<(u128, u128)> {
    const MILLION: u128 = 1_000_000;
    let products = [
        (usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens, price.input),
        (usage.cache_write_tokens, price.cache_write.unwrap_or(price.input)),
        (usage.cached_input_tokens, price.cached_input.unwrap_or(price.input)),
        (usage.output_tokens, price.output),
    ]
    .map(|(tokens, price)| u128::from(tokens) * u128::from(price));
    let millionths: u128 = products.iter().map(|product| product % MILLION).sum();
    let whole: u128 = products.iter().map(|product| product / MILLION).sum();
    let whole =
        (whole + millionths / MILLION).checked_add(u128::from(usage.calls) * u128::from(price.call))?;
    Some((whole, millionths % MILLION))
}

proptest! {
    #[test]
    fn the_price_is_the_exact_one_rounded_up(price in price(), usage in used()) {
        let money = table([("m", price)]).amounts(&usage).map(|amounts| amounts.get(USD_MICROS));
        let up = exact(&price, &usage).and_then(|(whole, rest)| u64::try_from(whole + u128::from(rest > 0)).ok());
        prop_assert_eq!(money, up.ok_or(PriceError::Overflow));
    }

    #[test]
    fn two_charges_cost_what_one_does_or_one_micro_dollar_more(price in price(), a in used(), b in used()) {
        let sum = |a: u64, b: u64| a.checked_add(b);
        let both = (|| {
            Some(Usage {
                model: "m".to_owned(),
                input_tokens: sum(a.input_tokens, b.input_tokens)?,
                cached_input_tokens: sum(a.cached_input_tokens, b.cached_input_tokens)?,
                cache_write_tokens: sum(a.cache_write_tokens, b.cache_write_tokens)?,
                output_tokens: sum(a.output_tokens, b.output_tokens)?,
                calls: sum(a.calls, b.calls)?,
            })
        })();
        let table = table([("m", price)]);
        let money = |usage: &Usage| table.amounts(usage).map(|amounts| u128::from(amounts.get(USD_MICROS)));
        if let Some(both) = both
            && let (Ok(a), Ok(b), Ok(both)) = (money(&a), money(&b), money(&both))
        {
            prop_assert!(a + b == both || a + b == both + 1, "{a} + {b} against {both}");
        }
    }

    #[test]
    fn more_usage_never_costs_less(price in price(), usage in used(), more in number()) {
        let table = table([("m", price)]);
        let money = |usage: &Usage| table.amounts(usage).map(|amounts| amounts.get(USD_MICROS));
        let larger = [
            Usage { input_tokens: usage.input_tokens.saturating_add(more), ..usage.clone() },
            Usage { output_tokens: usage.output_tokens.saturating_add(more), ..usage.clone() },
            Usage { calls: usage.calls.saturating_add(more), ..usage.clone() },
        ];
        for larger in larger {
            match (money(&usage), money(&larger)) {
                (Ok(less), Ok(more)) => prop_assert!(less <= more),
                (Err(error), more) => prop_assert_eq!(more, Err(error)),
                (Ok(_), Err(error)) => prop_assert_eq!(error, PriceError::Overflow),
            }
        }
    }

    #[test]
    fn usage_with_a_price_is_counted_in_every_dimension(price in price(), usage in used()) {
        if let Ok(amounts) = table([("m", price)]).amounts(&usage) {
            prop_assert_eq!(amounts.get(INPUT_TOKENS), usage.input_tokens);
            prop_assert_eq!(amounts.get(OUTPUT_TOKENS), usage.output_tokens);
            prop_assert_eq!(amounts.get(CALLS), usage.calls);
            prop_assert_eq!(amounts.check(), Ok(()));
        }
    }

    #[test]
    fn the_longest_beginning_is_that_of_a_plain_search(
        names in proptest::collection::btree_set("[ab]{0,3}[*]?", 0..8),
        model in "[ab]{0,4}",
    ) {
        let table = table(names.iter().enumerate().map(|(n, name)| (name.as_str(), call(n as u64))));
        // From the model's own name, letter by letter down to `*`.
        let tries = std::iter::once(model.clone()).chain((0..=model.len()).rev().map(|n| format!("{}*", &model[..n])));
        let expected = tries.into_iter().find_map(|name| table.models.get(&name));
        prop_assert_eq!(table.price(&model), expected);
    }

    #[test]
    fn a_table_reads_back(
        models in proptest::collection::btree_map("[a-z*]{1,5}", price(), 0..5),
        version in any::<u64>(),
        unpriced in prop_oneof![Just(Unpriced::Refuse), Just(Unpriced::Quarantine)],
        usage in used(),
    ) {
        let table = PriceTable { version, unpriced, models };
        let bytes = minicbor::to_vec(&table).unwrap();
        prop_assert_eq!(minicbor::decode::<PriceTable>(&bytes).unwrap(), table);
        let bytes = minicbor::to_vec(&usage).unwrap();
        prop_assert_eq!(minicbor::decode::<Usage>(&bytes).unwrap(), usage);
    }
}
