//! A store around another: its commits are its own affair, everything else is passed on.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::contract::{
    Batch, Changes, Committed, Counters, Head, Page, PartitionId, Range, Room, Store, StoreError, Table,
    Values,
};

/// What stands around another store and watches or bends its commits. It is a [`Store`] itself.
pub trait Around: Send + Sync + fmt::Debug + 'static {
    /// The other store.
    fn inner(&self) -> &dyn Store;

    /// See [`Store::commit`].
    fn commit(
        &self,
        partition: PartitionId,
        expected: Head,
        batch: Arc<Batch>,
    ) -> BoxFuture<'_, Result<Committed, StoreError>>;
}

impl<A: Around> Store for A {
    fn commit(
        &self,
        partition: PartitionId,
        expected: Head,
        batch: Arc<Batch>,
    ) -> BoxFuture<'_, Result<Committed, StoreError>> {
        Around::commit(self, partition, expected, batch)
    }

    fn get(
        &self,
        partition: PartitionId,
        keys: Vec<(Table, Bytes)>,
    ) -> BoxFuture<'_, Result<Values, StoreError>> {
        self.inner().get(partition, keys)
    }

    fn load(&self, partition: PartitionId, cursor: Option<Bytes>) -> BoxFuture<'_, Result<Page, StoreError>> {
        self.inner().load(partition, cursor)
    }

    fn range(&self, partition: PartitionId, range: Range) -> BoxFuture<'_, Result<Page, StoreError>> {
        self.inner().range(partition, range)
    }

    fn scan(&self, partition: PartitionId, cursor: Option<Bytes>) -> BoxFuture<'_, Result<Page, StoreError>> {
        self.inner().scan(partition, cursor)
    }

    fn changes(&self, partition: PartitionId, since: Head) -> BoxFuture<'_, Result<Changes, StoreError>> {
        self.inner().changes(partition, since)
    }

    fn clock(&self) -> BoxFuture<'_, Result<i64, StoreError>> {
        self.inner().clock()
    }

    fn identity(&self) -> BoxFuture<'_, Result<String, StoreError>> {
        self.inner().identity()
    }

    fn exclusive(&self) -> bool {
        self.inner().exclusive()
    }

    fn room(&self) -> Room {
        self.inner().room()
    }

    fn counters(&self) -> Counters {
        self.inner().counters()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.inner().close()
    }
}
