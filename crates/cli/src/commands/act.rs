//! One thing done to each of several executions.

use std::future::Future;

use anyhow::Result;
use stint::api::ActionReply;
use stint::{Client, Error};

use super::connection::Connection;
use crate::exit::Failed;
use crate::output;

/// Does it to each id, prints what each is then, and goes on after one that is refused.
pub(super) fn on_each<Acting>(
    ids: &[String],
    connection: &Connection,
    act: impl Fn(Client, String) -> Acting,
) -> Result<()>
where
    Acting: Future<Output = Result<ActionReply, Error>>,
{
    connection.run(|client| async move {
        let mut refused = 0;
        for id in ids {
            match act(client.clone(), id.clone()).await {
                Ok(reply) if connection.json => output::json(&reply)?,
                Ok(reply) => output::line(format_args!("{} {}", reply.id, reply.state))?,
                // Of one alone the error is the command's.
                Err(Error::Refused(problem)) if ids.len() > 1 => {
                    refused += 1;
                    eprintln!("stint: {id}: {problem}");
                }
                Err(error) => return Err(error.into()),
            }
        }
        match refused {
            0 => Ok(()),
            refused => Err(Failed::Refused(format!("{refused} of {} were refused", ids.len())).into()),
        }
    })
}
