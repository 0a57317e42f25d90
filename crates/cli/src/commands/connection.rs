//! How commands reach a server.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use stint::api::Code;
use stint::{Client, Error};

use crate::exit::Failed;
use crate::profile;

/// Where a server is looked for if nobody says where.
pub(crate) const USUAL_ADDRESS: &str = "http://127.0.0.1:7400";

/// How long to go on trying while no server answers, unless somebody says otherwise.
const PATIENCE_MS: u64 = 10_000;

/// After this long without an answer it is worth a look whether anybody is there at all.
const SILENCE: Duration = Duration::from_secs(1);

/// Where the server is and how to print. What is not given here is the profile's, or has its default.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Server and output")]
pub(crate) struct Connection {
    /// The server's address, or several of one store, separated by commas [default: http://127.0.0.1:7400].
    #[arg(long = "server", env = "STINT_SERVER", value_name = "URL", value_delimiter = ',')]
    servers: Vec<String>,
    /// The namespace of everything named [default: default].
    #[arg(long, env = "STINT_NAMESPACE")]
    namespace: Option<String>,
    /// The profile that says what is not given here.
    #[arg(long, env = "STINT_PROFILE")]
    profile: Option<String>,
    /// The file with profiles [default: ~/.config/stint/config.toml].
    #[arg(long, env = "STINT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// How long to go on trying while no server answers [default: 10000].
    #[arg(long, env = "STINT_PATIENCE_MS", value_name = "MS")]
    patience_ms: Option<u64>,
    /// Prints JSON for programs instead of text for people.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A connection with everything decided.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Addresses, at least one.
    pub(crate) servers: Vec<String>,
    /// The namespace.
    pub(crate) namespace: String,
    patience: Duration,
}

impl Connection {
    /// Decides everything: flags and environment, then the profile, then defaults.
    pub(crate) fn settings(&self) -> Result<Settings> {
        // A variable that is empty says as little as one that is not there.
        let said = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let profile = profile::load(self.config.as_deref(), said(&self.profile).as_deref())?;
        let mut servers = self.servers.clone();
        servers.retain(|server| !server.is_empty());
        if servers.is_empty() {
            servers = profile.servers;
        }
        if servers.is_empty() {
            servers.push(USUAL_ADDRESS.to_owned());
        }
        for server in &mut servers {
            if !server.contains("://") {
                *server = format!("http://{server}");
            }
        }
        let namespace = said(&self.namespace).or(profile.namespace);
        let patience_ms = self.patience_ms.or(profile.patience_ms).unwrap_or(PATIENCE_MS);
        Ok(Settings {
            servers,
            namespace: namespace.unwrap_or_else(|| stint::api::DEFAULT_NAMESPACE.to_owned()),
            patience: Duration::from_millis(patience_ms),
        })
    }

    /// Runs a command with a client, and explains what it may fail with.
    pub(crate) fn run<T, Running>(&self, command: impl FnOnce(Client) -> Running) -> Result<T>
    where
        Running: Future<Output = Result<T>>,
    {
        let settings = self.settings()?;
        let client = settings.client()?;
        block_on(async {
            let running = command(client.clone());
            tokio::pin!(running);
            let ended = tokio::select! {
                biased;
                ended = &mut running => ended,
                () = settings.notice_silence() => running.await,
            };
            match ended {
                Ok(done) => Ok(done),
                Err(error) => Err(settings.explain(error, &client).await),
            }
        })
    }
}

impl Settings {
    /// A client. Connects when it is first used.
    pub(crate) fn client(&self) -> Result<Client> {
        let mut builder = Client::builder().namespace(&self.namespace).deadline(self.patience);
        for server in &self.servers {
            builder = builder.address(server);
        }
        builder.build().map_err(|error| match error {
            // Nothing was sent: it is the arguments that are wrong.
            Error::Refused(problem) => Failed::Usage(format!("--namespace: {}", problem.detail)).into(),
            error => error.into(),
        })
    }

    /// Says on standard error that nobody is there, if that is so after a moment; whoever waits should know why.
    async fn notice_silence(&self) {
        tokio::time::sleep(SILENCE).await;
        if self.somebody_listens().await {
            return;
        }
        let (servers, seconds) = (self.servers.join(", "), self.patience.as_secs());
        eprintln!("stint: nobody listens at {servers} yet; trying for {seconds} s");
    }

    async fn somebody_listens(&self) -> bool {
        for server in &self.servers {
            let Some(address) = server.split_once("://").map(|(_, rest)| rest.trim_end_matches('/')) else {
                return true;
            };
            let connecting = tokio::time::timeout(SILENCE, tokio::net::TcpStream::connect(address));
            if matches!(connecting.await, Ok(Ok(_))) {
                return true;
            }
        }
        false
    }

    /// Adds to a failed call what can be found out about its cause.
    pub(crate) async fn explain(&self, error: anyhow::Error, client: &Client) -> anyhow::Error {
        let servers = self.servers.join(", ");
        match error.downcast_ref::<Error>() {
            Some(Error::NoAnswer { .. }) if self.somebody_listens().await => error.context(format!(
                "{servers} is there and gives no answer; its store may be away, or it has too much to do: look into its \
                 log, and at `stint doctor`"
            )),
            Some(Error::NoAnswer { .. }) => error.context(format!(
                "no server answers at {servers}; start one with `stint dev` or `stint serve`, or name another with \
                 --server, STINT_SERVER or a profile"
            )),
            Some(Error::Protocol(_)) => {
                let said = self.version_note(client).await.unwrap_or_else(|| {
                    format!("what answers at {servers} does not speak as a Stint server of this version does")
                });
                error.context(said)
            }
            // Another version refuses what it does not know.
            Some(Error::Refused(problem))
                if matches!(
                    problem.code,
                    Code::NotFound | Code::MethodNotAllowed | Code::UnknownField | Code::NotAvailable
                ) =>
            {
                match self.version_note(client).await {
                    Some(note) => Failed::OtherVersion(format!("{note}: {error}")).into(),
                    None => error,
                }
            }
            _ => error,
        }
    }

    /// What to say about the server's version, if it is another than this one's.
    async fn version_note(&self, client: &Client) -> Option<String> {
        let ready = client.clone().with_deadline(SILENCE).ready().await.ok()?;
        let (theirs, ours) = (ready.version.as_deref().unwrap_or("unknown"), env!("CARGO_PKG_VERSION"));
        let servers = self.servers.join(", ");
        (theirs != ours).then(|| {
            format!(
                "the server at {servers} is version {theirs}, this is {ours}: use the same version of both"
            )
        })
    }
}

/// Runs a command that needs one thread.
pub(crate) fn block_on<T>(command: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start")?;
    let ended = runtime.block_on(command);
    // A thread that still reads standard input would be waited for.
    runtime.shutdown_background();
    ended
}
