//! `stint tag`.

use std::collections::BTreeMap;

use anyhow::Result;
use stint::api::{BulkAction, BulkRequest, ExecutionFilter};

use super::act::{self, Many, Targets};
use super::connection::Connection;
use super::submission::pair;
use crate::exit::Failed;

/// What to add, and to which executions.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Tags to add, or to give new values, and executions' ids. Without any id, the filter says which.
    #[arg(required = true, value_name = "ID|KEY=VALUE", value_parser = word)]
    words: Vec<Word>,
    #[command(flatten)]
    many: Many,
    #[command(flatten)]
    connection: Connection,
}

/// No id has a `=` in it.
#[derive(Clone, Debug)]
enum Word {
    Id(String),
    Tag(String, String),
}

pub(crate) fn run(args: Args) -> Result<()> {
    let (mut ids, mut tags) = (Vec::new(), BTreeMap::new());
    for word in args.words {
        match word {
            Word::Id(id) => ids.push(id),
            Word::Tag(key, value) => _ = tags.insert(key, value),
        }
    }
    if tags.is_empty() {
        return Err(Failed::Usage("which tags? Name them as KEY=VALUE".to_owned()).into());
    }
    let targets = Targets { ids, many: args.many };
    let many =
        BulkRequest { tags: tags.clone(), ..BulkRequest::new(BulkAction::Tag, ExecutionFilter::default()) };
    act::on(&targets, &args.connection, many, |client, id| {
        let tags = tags.clone();
        async move { client.tag(&id, tags).await }
    })
}

fn word(text: &str) -> Result<Word, String> {
    if text.contains('=') {
        return pair(text).map(|(key, value)| Word::Tag(key, value));
    }
    Ok(Word::Id(text.to_owned()))
}
