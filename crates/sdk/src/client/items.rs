//! What comes one after the other: pages of a list, events as they happen.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::{BoxStream, Stream, StreamExt as _};
use futures_util::{TryStreamExt as _, stream};

use crate::Error;

/// Items one after the other, fetched as they are asked for. It is a [`Stream`]; [`next`](Self::next) needs no import.
///
/// ```
/// # use stint::{Embedded, Submission};
/// # use stint::api::ExecutionFilter;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), stint::Error> {
/// # let stint = Embedded::in_memory().await?;
/// # let client = stint.client();
/// client.submit(Submission::new("mail")).await?;
/// let mut all: stint::Items<_> = client.list(ExecutionFilter::default());
/// while let Some(execution) = all.next().await {
///     println!("{}", execution?.id);
/// }
/// # stint.close().await;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is fetched until it is asked for"]
pub struct Items<T>(BoxStream<'static, Result<T, Error>>);

impl<T: Send + 'static> Items<T> {
    pub(super) fn new(items: impl Stream<Item = Result<T, Error>> + Send + 'static) -> Self {
        Self(items.boxed())
    }

    /// The items of all pages. `fetch` gets the page behind a cursor, and the cursor of the one behind that.
    pub(super) fn paged<Fetch, Fetching>(fetch: Fetch) -> Self
    where
        Fetch: Fn(Option<String>) -> Fetching + Send + Sync + 'static,
        Fetching: Future<Output = Result<(Vec<T>, Option<String>), Error>> + Send + 'static,
    {
        let fetch = std::sync::Arc::new(fetch);
        // The first page has no cursor; behind the last there is none.
        let pages = stream::try_unfold(Some(None), move |cursor: Option<Option<String>>| {
            let fetch = std::sync::Arc::clone(&fetch);
            async move {
                let Some(cursor) = cursor else { return Ok::<_, Error>(None) };
                let (items, next) = fetch(cursor).await?;
                Ok(Some((stream::iter(items.into_iter().map(Ok)), next.map(Some))))
            }
        });
        Self::new(pages.try_flatten())
    }

    /// The next item; `None` behind the last.
    pub async fn next(&mut self) -> Option<Result<T, Error>> {
        self.0.next().await
    }

    /// All that are left.
    ///
    /// ```
    /// # use stint::{Embedded, Submission};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), stint::Error> {
    /// # let stint = Embedded::in_memory().await?;
    /// # let client = stint.client();
    /// let id = client.submit(Submission::new("mail")).await?.id;
    /// assert!(client.steps(&id).all().await?.is_empty());
    /// # stint.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn all(self) -> Result<Vec<T>, Error> {
        self.0.try_collect().await
    }
}

impl<T> Stream for Items<T> {
    type Item = Result<T, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(context)
    }
}

impl<T> fmt::Debug for Items<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Items")
    }
}
