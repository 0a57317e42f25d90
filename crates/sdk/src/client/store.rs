//! What operators ask: how the server is, what its store holds, and a copy of it.

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use stint_api::{DoctorReply, StoreReport};
use stint_engine::backup::{Arriving, Damage};

use super::{Client, Items};
use crate::Error;
use crate::transport::{ByteStream, Request, SendError};

/// A backup on its way.
struct Copying {
    client: Client,
    open: Option<ByteStream>,
    arriving: Option<Arriving>,
}

impl Client {
    /// What is not as it should be in the server.
    ///
    /// ```
    /// use stint::api::CheckLevel;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), stint::Error> {
    /// # let stint = stint::Embedded::in_memory().await?;
    /// # let client = stint.client();
    /// let doctor = client.doctor().await?;
    /// for check in doctor.checks.iter().filter(|check| check.level > CheckLevel::Ok) {
    ///     println!("{}: {}", check.name, check.detail);
    /// }
    /// # stint.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn doctor(&self) -> Result<DoctorReply, Error> {
        self.get(Request::Doctor).await
    }

    /// What is in the server's store: where its partitions stand, its nodes, and open executions.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), stint::Error> {
    /// # let stint = stint::Embedded::in_memory().await?;
    /// # let client = stint.client();
    /// println!("{} partitions", client.store().await?.partitions.len());
    /// // Of one partition, with its records counted.
    /// let first = client.store_of(Some(0), true).await?;
    /// assert_eq!((first.partitions.len(), first.records.is_some()), (1, true));
    /// # stint.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn store(&self) -> Result<StoreReport, Error> {
        self.store_of(None, false).await
    }

    /// As [`store`](Self::store), of one partition or all. With `records` all records are counted, which reads
    /// everything and may take minutes.
    pub async fn store_of(&self, partition: Option<u8>, records: bool) -> Result<StoreReport, Error> {
        let report: Box<StoreReport> = self.get(Request::Store { partition, records }).await?;
        Ok(*report)
    }

    /// Copies everything that the server's store holds, while all goes on: the pieces of a file that `stint store
    /// restore` takes. They are checked on the way: a copy is whole if they end without an error. It is not tried
    /// again; begin anew.
    ///
    /// ```
    /// use std::io::Write as _;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let stint = stint::Embedded::in_memory().await?;
    /// # let client = stint.client();
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("monday");
    /// let mut file = std::fs::File::create(path)?;
    /// let mut pieces = client.backup();
    /// while let Some(piece) = pieces.next().await {
    ///     file.write_all(&piece?)?;
    /// }
    /// file.sync_all()?;
    /// # stint.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn backup(&self) -> Items<Bytes> {
        let copying = Copying { client: self.clone(), open: None, arriving: Some(Arriving::default()) };
        Items::new(stream::unfold(copying, async |mut copying| {
            let piece = copying.next().await.transpose()?;
            if piece.is_err() {
                copying.arriving = None;
            }
            Some((piece, copying))
        }))
    }
}

impl Copying {
    /// The next piece; `None` once it is known that nothing is missing, or after an error.
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let Some(arriving) = &mut self.arriving else { return Ok(None) };
        let open = match &mut self.open {
            Some(open) => open,
            None => self.open.insert(self.client.open_backup().await?),
        };
        match open.next().await {
            Some(Ok(piece)) => {
                arriving.push(&piece).map_err(damaged)?;
                Ok(Some(piece))
            }
            Some(Err(error)) => Err(self.client.gave_up(error)),
            None => match self.arriving.take() {
                Some(arriving) => arriving.end().map(|_| None).map_err(damaged),
                None => Ok(None),
            },
        }
    }
}

impl Client {
    /// Goes on trying for as long as the client's deadline.
    async fn open_backup(&self) -> Result<ByteStream, Error> {
        use backon::Retryable as _;

        let opening = (|| self.transport.backup())
            .retry(crate::retry::backoff(&self.randomness))
            .sleep(tokio::time::sleep)
            .when(SendError::is_passing);
        match tokio::time::timeout(self.deadline, opening).await {
            Ok(opened) => opened.map_err(|error| self.gave_up(error)),
            Err(_) => Err(self.gave_up(SendError::Lost("nothing came back".to_owned()))),
        }
    }

    fn gave_up(&self, error: SendError) -> Error {
        match error {
            SendError::Refused(problem) => Error::Refused(problem),
            SendError::Garbled(what) => Error::Protocol(what),
            last => Error::NoAnswer { deadline: self.deadline, may_be_done: false, last },
        }
    }
}

fn damaged(damage: Damage) -> Error {
    Error::Backup { code: damage.code, reason: damage.to_string() }
}
