//! The arguments of the commit script, and its answer.

use redis::Value;

use super::layout::{PartitionKeys, committer_field, committer_value, decode_head, encode_head, log_entry};
use super::script::{Call, Scripts};
use crate::contract::{Batch, Committed, Head, StoreError, Table, Write};

use super::link::{CallError, Link};

/// What the script did.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Done {
    /// Applied by this call.
    Applied,
    /// Anything else that is settled.
    Settled(Committed),
}

/// Sends the batch once. The same arguments may be sent any number of times.
pub(super) async fn commit(
    link: &Link,
    scripts: &Scripts,
    keys: &PartitionKeys,
    expected: Head,
    batch: &Batch,
) -> Result<Done, StoreError> {
    let (expected, next) = (encode_head(expected), encode_head(batch.next));
    let field = committer_field(batch.next.committer);
    let value = committer_value(batch.incarnation, batch.next.nonce);
    let entry = log_entry(&next, &batch.writes);
    let sorted = Sorted::new(batch);
    let counts = sorted.counts();
    let mut args: Vec<&[u8]> = Vec::with_capacity(6 + batch.absent.len() + 4 * batch.writes.len());
    args.extend([&expected[..], &next, &field, &value, &entry, &counts]);
    sorted.push(&mut args);
    let call = Call {
        code: &scripts.commit,
        keys: &[&keys.head, &keys.live, &keys.cold, &keys.index, &keys.values, &keys.log],
        args: &args,
    };
    let reply = call.send(link).await.map_err(failure)?;
    let odd = |what: &str| StoreError::Fatal(format!("the commit script answered {what}"));
    match reply {
        Value::Int(1) => Ok(Done::Applied),
        Value::Int(2) => Ok(Done::Settled(Committed::Yes(batch.next))),
        Value::BulkString(head) => {
            let head = decode_head(&head).ok_or_else(|| odd("what is no head"))?;
            Ok(Done::Settled(Committed::Conflict(head)))
        }
        Value::Array(present) => {
            let position = |value: &Value| match value {
                Value::Int(at) => sorted.absent.get(usize::try_from(*at).ok()?).map(|key| (*key).clone()),
                _ => None,
            };
            let present =
                present.iter().map(|value| position(value).ok_or_else(|| odd("what is no position")));
            Ok(Done::Settled(Committed::Present(present.collect::<Result<_, _>>()?)))
        }
        _ => Err(odd("neither a number, a head nor positions")),
    }
}

/// What may be concluded about a commit from a call that failed.
fn failure(error: CallError) -> StoreError {
    let message = error.message().to_owned();
    match error {
        CallError::NotSent(_) => StoreError::Unavailable(message),
        CallError::Lost(_) => StoreError::Unknown(message),
        CallError::Refused { code, again, .. } => match code.as_str() {
            // From the script's first write, after it has looked at the head: no earlier copy was applied either.
            "OOM" => StoreError::Full(message),
            // Said before the script runs or at its first write, so this copy is not applied.
            "LOADING" | "BUSY" | "MASTERDOWN" | "READONLY" | "NOREPLICAS" | "MISCONF" | "CLUSTERDOWN"
            | "TRYAGAIN" | "MOVED" | "ASK" | "NOAUTH" | "NOSCRIPT" => {
                if again {
                    StoreError::Unknown(message)
                } else {
                    StoreError::Unavailable(message)
                }
            }
            // A script that failed in the middle, such as on a key of another type: its partition can't be trusted.
            _ => StoreError::Fatal(message),
        },
    }
}

/// A batch in the order that the script takes it.
struct Sorted<'a> {
    absent: Vec<&'a (Table, bytes::Bytes)>,
    absent_counts: [usize; 3],
    deletes: [Vec<&'a [u8]>; 3],
    puts: [Vec<(&'a [u8], &'a [u8])>; 3],
    /// Ordered records put without a value: a value they had must go.
    emptied: Vec<&'a [u8]>,
}

const LIVE: usize = 0;
const COLD: usize = 1;
const ORDERED: usize = 2;

fn place(table: Table) -> usize {
    match table {
        Table::Live => LIVE,
        Table::Cold => COLD,
        Table::Ordered => ORDERED,
    }
}

impl<'a> Sorted<'a> {
    fn new(batch: &'a Batch) -> Self {
        let mut absent: Vec<_> = batch.absent.iter().collect();
        absent.sort_by_key(|(table, _)| place(*table));
        let mut absent_counts = [0; 3];
        for (table, _) in &absent {
            absent_counts[place(*table)] += 1;
        }
        let mut sorted = Self {
            absent,
            absent_counts,
            deletes: Default::default(),
            puts: Default::default(),
            emptied: Vec::new(),
        };
        for Write { table, key, value } in &batch.writes {
            let at = place(*table);
            match value {
                None => sorted.deletes[at].push(key),
                Some(value) => {
                    sorted.puts[at].push((key, value));
                    if at == ORDERED && value.is_empty() {
                        sorted.emptied.push(key);
                    }
                }
            }
        }
        sorted
    }

    fn counts(&self) -> Vec<u8> {
        let [del_live, del_cold, del_ordered] = [LIVE, COLD, ORDERED].map(|at| self.deletes[at].len());
        let [put_live, put_cold, put_ordered] = [LIVE, COLD, ORDERED].map(|at| self.puts[at].len());
        let [no_live, no_cold, no_ordered] = self.absent_counts;
        let counts = [
            no_live,
            no_cold,
            no_ordered,
            del_ordered,
            del_ordered + self.emptied.len(),
            del_live,
            del_cold,
            2 * put_live,
            2 * put_cold,
            2 * (put_ordered - self.emptied.len()),
            2 * put_ordered,
        ];
        counts.iter().flat_map(|&count| u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes()).collect()
    }

    fn push(&self, args: &mut Vec<&'a [u8]>) {
        args.extend(self.absent.iter().map(|(_, key)| &key[..]));
        args.extend(&self.deletes[ORDERED]);
        args.extend(&self.emptied);
        args.extend(&self.deletes[LIVE]);
        args.extend(&self.deletes[COLD]);
        for (key, value) in self.puts[LIVE].iter().chain(&self.puts[COLD]) {
            args.extend([*key, *value]);
        }
        for (key, value) in self.puts[ORDERED].iter().filter(|(_, value)| !value.is_empty()) {
            args.extend([*key, *value]);
        }
        for (key, _) in &self.puts[ORDERED] {
            args.extend([&b"0"[..], *key]);
        }
    }
}
