//! How a client is set up.

use std::sync::Arc;
use std::time::Duration;

use super::{Client, DEFAULT_NAMESPACE};
use crate::transport::{HttpTransport, Transport};
use crate::{Error, Randomness};

/// How long a call goes on trying, unless the builder says otherwise.
const DEADLINE: Duration = Duration::from_secs(30);

/// Settings of a [`Client`].
///
/// ```
/// use std::time::Duration;
/// use stint::Client;
///
/// # fn main() -> Result<(), stint::Error> {
/// // Two servers of the same store: the client stays with one while that works, and goes on with the other when
/// // it does not, under the same keys, so that nothing is done twice.
/// let builder: stint::ClientBuilder = Client::builder();
/// let client = builder
///     .address("http://127.0.0.1:7400")
///     .addresses(["http://127.0.0.1:7401"])
///     .namespace("billing")
///     .deadline(Duration::from_secs(10))
///     .build()?;
/// assert_eq!(client.namespace(), "billing");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ClientBuilder {
    addresses: Vec<String>,
    transport: Option<Arc<dyn Transport>>,
    pub(super) randomness: Option<Randomness>,
    pub(super) namespace: String,
    pub(super) deadline: Duration,
    pub(super) is_gathering: bool,
}

impl ClientBuilder {
    pub(super) fn new() -> Self {
        Self {
            addresses: Vec::new(),
            transport: None,
            randomness: None,
            namespace: DEFAULT_NAMESPACE.to_owned(),
            deadline: DEADLINE,
            is_gathering: true,
        }
    }

    /// Adds a server's address. Several are several servers of the same store: each client begins with another one,
    /// stays with it while it works, and goes on with the next when it does not.
    #[must_use]
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.addresses.push(address.into());
        self
    }

    /// Adds several servers' addresses.
    #[must_use]
    pub fn addresses<T: Into<String>>(mut self, addresses: impl IntoIterator<Item = T>) -> Self {
        self.addresses.extend(addresses.into_iter().map(Into::into));
        self
    }

    /// Uses this transport instead of HTTP.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use stint::Client;
    /// use stint::transport::HttpTransport;
    ///
    /// # fn main() -> Result<(), stint::Error> {
    /// let http = HttpTransport::new(&["http://127.0.0.1:7400".to_owned()])?;
    /// let client = Client::builder().transport(Arc::new(http)).build()?;
    /// # let _ = client;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn transport(mut self, transport: Arc<dyn Transport>) -> Self {
        self.transport = Some(transport);
        self
    }

    /// Where sessions and jitter come from: a seed makes them repeatable.
    ///
    /// ```
    /// # use stint::{Client, Randomness};
    /// let repeatable = Client::builder().randomness(Randomness::from_seed(7));
    /// let fresh = Client::builder().randomness(Randomness::from_os());
    /// # let _ = (repeatable, fresh);
    /// ```
    #[must_use]
    pub fn randomness(mut self, randomness: Randomness) -> Self {
        self.randomness = Some(randomness);
        self
    }

    /// The namespace of everything the client names; `default` unless given.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// How long a call goes on trying before it gives up; 30 s unless given.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sends every submission in a request of its own. Without this, submissions that are made at once travel
    /// together.
    ///
    /// ```
    /// # use stint::Client;
    /// let builder = Client::builder().address("http://127.0.0.1:7400").each_alone();
    /// # let _ = builder;
    /// ```
    #[must_use]
    pub fn each_alone(mut self) -> Self {
        self.is_gathering = false;
        self
    }

    /// The client. Fails if an address is not one, or if there is none.
    pub fn build(mut self) -> Result<Client, Error> {
        stint_api::check_namespace(&self.namespace)?;
        let randomness = self.randomness.get_or_insert_with(Randomness::from_os);
        let transport = match self.transport.take() {
            Some(transport) => transport,
            None => Arc::new(HttpTransport::new(&self.addresses)?.starting_at(randomness.next())),
        };
        Ok(Client::over(transport, self))
    }
}
