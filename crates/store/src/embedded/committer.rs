//! The committer: one thread that makes one durable write out of all batches that wait.
//!
//! While it forces one group to disk the next one gathers. It alone knows the heads, decides every compare-and-set
//! in memory, and makes the views that readers see.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Instant;

use fjall::{Database, OwnedWriteBatch, Slice};
use tokio::sync::oneshot;

use super::Durability;
use super::heads_file::{self, Keeper};
use super::lock::Lock;
use super::open::Committers;
use super::records;
use super::rotator::Rotator;
use super::shared::Shared;
use super::tables::Tables;
use super::view::{Heads, View};
use crate::contract::{Batch, Committed, Head, PartitionId, StoreError, Table};

/// Writes at which a group closes; the batch that crosses it is still taken.
const GROUP_WRITES_MAX: usize = 16_384;

/// Bytes at which a group closes; the batch that crosses it is still taken.
const GROUP_BYTES_MAX: usize = 8 << 20;

/// How long closing waits for a reader that is still at it.
const CLOSE_PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// What the thread is told.
pub(super) enum Command {
    /// Commit this.
    Commit(Request),
    /// Finish, release everything, say so.
    Close(oneshot::Sender<()>),
}

/// A batch on its way, its keys and values already as they are stored.
pub(super) struct Request {
    pub(super) partition: PartitionId,
    pub(super) expected: Head,
    pub(super) batch: Arc<Batch>,
    pub(super) items: Vec<Item>,
    pub(super) bytes: usize,
    /// The keys of `absent` were seen to be absent at `expected`.
    pub(super) absent_seen: bool,
    pub(super) sent: Instant,
    pub(super) reply: oneshot::Sender<Result<Committed, StoreError>>,
}

/// One write of a request.
pub(super) struct Item {
    pub(super) table: Table,
    pub(super) key: Slice,
    pub(super) value: Option<Slice>,
}

/// See the module.
pub(super) struct Committer {
    pub(super) database: Database,
    pub(super) tables: Arc<Tables>,
    pub(super) heads: Heads,
    pub(super) committers: Committers,
    pub(super) shared: Arc<Shared>,
    pub(super) keeper: Keeper,
    pub(super) rotator: Rotator,
    pub(super) lock: Lock,
}

/// The batches of one durable write.
struct Group {
    write: OwnedWriteBatch,
    taken: Vec<Taken>,
    /// One bit per partition: a partition has one batch per group, because the next is judged by its result.
    partitions: u128,
    writes: usize,
    bytes: usize,
}

/// What is left of a request once its items are in the write.
struct Taken {
    partition: PartitionId,
    batch: Arc<Batch>,
    bytes: usize,
    sent: Instant,
    reply: oneshot::Sender<Result<Committed, StoreError>>,
}

impl Committer {
    /// Works until it is told to close, or nobody is left to tell it.
    pub(super) fn run(mut self, commands: &Receiver<Command>) {
        let mut waiting: VecDeque<Request> = VecDeque::new();
        let mut closing = None;
        loop {
            if waiting.is_empty() {
                if let Some(reply) = closing.take() {
                    return self.close(reply);
                }
                match commands.recv() {
                    Ok(Command::Commit(request)) => waiting.push_back(request),
                    Ok(Command::Close(reply)) => closing = Some(Some(reply)),
                    Err(_) => closing = Some(None),
                }
            }
            while closing.is_none()
                && let Ok(command) = commands.try_recv()
            {
                match command {
                    Command::Commit(request) => waiting.push_back(request),
                    Command::Close(reply) => closing = Some(Some(reply)),
                }
            }
            self.commit_group(&mut waiting);
        }
    }

    /// Takes what fits out of `waiting`, writes it, and answers it.
    fn commit_group(&mut self, waiting: &mut VecDeque<Request>) {
        let mode = self.shared.durability.persist_mode();
        let writes = waiting.iter().map(|request| request.items.len() + 2).sum::<usize>();
        let mut group = Group {
            write: OwnedWriteBatch::with_capacity(self.database.clone(), writes).durability(Some(mode)),
            taken: Vec::with_capacity(waiting.len()),
            partitions: 0,
            writes: 0,
            bytes: 0,
        };
        for _ in 0..waiting.len() {
            let Some(request) = waiting.pop_front() else { break };
            let bit = 1_u128 << request.partition.0;
            if group.partitions & bit != 0
                || group.writes >= GROUP_WRITES_MAX
                || group.bytes >= GROUP_BYTES_MAX
            {
                waiting.push_back(request);
                continue;
            }
            match self.judge(&request) {
                Some(answer) => answer_to(request.reply, answer),
                None => {
                    group.partitions |= bit;
                    self.take(&mut group, request);
                }
            }
        }
        if !group.taken.is_empty() {
            self.write(group);
        }
    }

    /// The answer to a batch that is not to be written, by the contract's order.
    fn judge(&self, request: &Request) -> Option<Result<Committed, StoreError>> {
        if let Err(error) = self.shared.check() {
            return Some(Err(error));
        }
        let (partition, next) = (request.partition, request.batch.next);
        let head = self.heads.get(usize::from(partition.0)).copied().unwrap_or_default();
        if head != request.expected {
            let again = (request.batch.incarnation, next.nonce);
            return Some(Ok(match self.committers.get(&(partition, next.committer)) {
                Some(last) if *last == again => Committed::Yes(next),
                _ => Committed::Conflict(head),
            }));
        }
        if !request.absent_seen {
            match self
                .shared
                .view()
                .and_then(|view| self.shared.read(view.present(partition, &request.batch.absent)))
            {
                Ok(present) if present.is_empty() => {}
                Ok(present) => return Some(Ok(Committed::Present(present))),
                Err(error) => return Some(Err(error)),
            }
        }
        if self.shared.disk.full() {
            return Some(Err(StoreError::Full("the disk has next to no room left".to_owned())));
        }
        None
    }

    fn take(&self, group: &mut Group, request: Request) {
        let (partition, next) = (request.partition, request.batch.next);
        group.writes += request.items.len();
        group.bytes += request.bytes;
        for item in request.items {
            let table = self.tables.of(item.table);
            match item.value {
                Some(value) => group.write.insert(table, item.key, value),
                None => group.write.remove(table, item.key),
            }
        }
        let heads = &self.tables.heads;
        group.write.insert(heads, [partition.0], records::encode_head(&next));
        group.write.insert(
            heads,
            records::committer_key(partition, next.committer),
            records::encode_committer(request.batch.incarnation, next.nonce),
        );
        group.taken.push(Taken {
            partition,
            batch: request.batch,
            bytes: request.bytes,
            sent: request.sent,
            reply: request.reply,
        });
    }

    /// Writes the group; only then do its heads count, do readers see it, and is it answered.
    fn write(&mut self, group: Group) {
        let taken = group.taken;
        if let Err(error) = group.write.commit() {
            let reason = format!("a write failed: {error}");
            self.shared.fail(&reason);
            for one in taken {
                answer_to(one.reply, Err(StoreError::Fatal(reason.clone())));
            }
            return;
        }
        for one in &taken {
            let next = one.batch.next;
            if let Some(head) = self.heads.get_mut(usize::from(one.partition.0)) {
                *head = next;
            }
            self.committers.insert((one.partition, next.committer), (one.batch.incarnation, next.nonce));
        }
        self.publish();
        self.keeper.confirm(heads_file::versions(&self.heads));
        let counts = &self.shared.counts;
        if self.shared.durability == Durability::Fsync {
            counts.synced();
        }
        for one in taken {
            counts.committed(one.batch.writes.len(), one.bytes, one.sent.elapsed());
            answer_to(one.reply, Ok(Committed::Yes(one.batch.next)));
        }
        self.rotator.after_write(&self.tables, &self.shared);
    }

    /// Shows readers what is committed now.
    pub(super) fn publish(&self) {
        self.shared.publish(View {
            tables: self.tables.clone(),
            snapshot: self.database.snapshot(),
            heads: self.heads,
        });
    }

    /// Releases everything in order: readers, the data on disk, the file of heads, the database, the lock.
    fn close(mut self, reply: Option<oneshot::Sender<()>>) {
        self.shared.retract();
        self.rotator.stop();
        let since = Instant::now();
        while Arc::strong_count(&self.tables) > 1 && since.elapsed() < CLOSE_PATIENCE {
            std::thread::sleep(std::time::Duration::from_micros(100));
        }
        if self.shared.check().is_ok()
            && let Err(error) = self.database.persist(fjall::PersistMode::SyncAll)
        {
            self.shared.fail(&format!("a write failed while closing: {error}"));
        }
        self.keeper.stop();
        drop(self.tables);
        drop(self.database);
        drop(self.lock);
        if let Some(reply) = reply {
            let _nobody_waits = reply.send(());
        }
    }
}

/// Whoever asked may be gone; the batch stands all the same.
fn answer_to(reply: oneshot::Sender<Result<Committed, StoreError>>, answer: Result<Committed, StoreError>) {
    let _nobody_waits = reply.send(answer);
}
