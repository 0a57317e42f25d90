//! `stint price`: shows and sets what usage costs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;
use stint::api::{Price, PricesReply, PricesRequest, Unpriced};

use super::amounts::one;
use super::connection::Connection;
use crate::exit::Failed;
use crate::output;

/// What to do with prices.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows the price table.
    Show {
        #[command(flatten)]
        connection: Connection,
    },
    /// Replaces the price table by that of a file, which is JSON as `show --json` prints it.
    Import {
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        connection: Connection,
    },
    /// Sets the price of one model. The others stay.
    Set(Set),
}

#[derive(clap::Args)]
struct Set {
    /// The model's name; one that ends in * stands for all that begin with the rest.
    model: String,
    /// For 1,000,000 tokens read, in millionths of a dollar.
    #[arg(long, value_name = "USD_MICROS")]
    input: u64,
    /// For 1,000,000 tokens read out of the provider's cache, if they cost something else.
    #[arg(long, value_name = "USD_MICROS")]
    cached_input: Option<u64>,
    /// For 1,000,000 tokens written into the provider's cache, if they cost something else.
    #[arg(long, value_name = "USD_MICROS")]
    cache_write: Option<u64>,
    /// For 1,000,000 tokens written.
    #[arg(long, value_name = "USD_MICROS")]
    output: u64,
    /// For each call.
    #[arg(long, value_name = "USD_MICROS", default_value_t = 0)]
    call: u64,
    /// What becomes of usage without a price: refuse or quarantine.
    #[arg(long, value_parser = unpriced)]
    unpriced: Option<Unpriced>,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: Args) -> Result<()> {
    match args.command {
        Command::Show { connection } => {
            let prices = connection.run(|client| async move { Ok(client.prices().await?) })?;
            print(&prices, &connection)
        }
        Command::Import { file, connection } => {
            let name = file.display();
            let text = std::fs::read(&file).map_err(|error| Failed::Usage(format!("{name}: {error}")))?;
            let table: PricesRequest =
                serde_json::from_slice(&text).map_err(|error| Failed::Usage(format!("{name}: {error}")))?;
            put(table, &connection)
        }
        Command::Set(Set { model, input, cached_input, cache_write, output, call, unpriced, connection }) => {
            let price = Price { input, cached_input, cache_write, output, call };
            let now = connection.run(|client| async move { Ok(client.prices().await?) })?;
            let mut models: BTreeMap<String, Price> = now.models;
            models.insert(model, price);
            let unpriced = unpriced.unwrap_or(now.unpriced);
            put(PricesRequest { unpriced, models, ..PricesRequest::default() }, &connection)
        }
    }
}

fn put(table: PricesRequest, connection: &Connection) -> Result<()> {
    let prices = connection.run(|client| async move { Ok(client.set_prices(table).await?) })?;
    print(&prices, connection)?;
    if !prices.missing_partitions.is_empty() {
        let missing = prices.missing_partitions.len();
        eprintln!("stint: {missing} partitions have not confirmed it yet; it reaches them on its own");
    }
    Ok(())
}

fn print(prices: &PricesReply, connection: &Connection) -> Result<()> {
    if connection.json {
        return output::json(prices);
    }
    let unpriced = match prices.unpriced {
        Unpriced::Refuse => "refused",
        Unpriced::Quarantine => "kept aside",
    };
    output::line(format_args!("version {}; usage without a price is {unpriced}", prices.version))?;
    let usd = |amount| one("usd_micros", amount);
    let rows = prices.models.iter().map(|(model, price)| {
        [
            model.clone(),
            usd(price.input),
            usd(price.cached_input.unwrap_or(price.input)),
            usd(price.cache_write.unwrap_or(price.input)),
            usd(price.output),
            usd(price.call),
        ]
    });
    output::table(["model", "input", "cached", "cache write", "output", "call"], rows)
}

fn unpriced(text: &str) -> Result<Unpriced, String> {
    match text {
        "refuse" => Ok(Unpriced::Refuse),
        "quarantine" => Ok(Unpriced::Quarantine),
        _ => Err(format!("`{text}` is not refuse or quarantine")),
    }
}
