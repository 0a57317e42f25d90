//! Clients and workers over HTTP, with several servers of one store that come and go.

// Tests may unwrap; the lint only knows test functions, not what they call.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use stint::api::{CheckLevel, ExecutionFilter, ExecutionState, ReplayRequest};
use stint::{Client, Context, Embedded, Failure, Randomness, Submission, Worker};
use stint_server::{Server, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::{JoinHandle, JoinSet};

const PATIENCE: Duration = Duration::from_secs(60);

/// A server of an engine in memory.
struct Stint {
    embedded: Embedded,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Stint {
    async fn start() -> Self {
        let embedded = Embedded::in_memory().await.unwrap();
        let config = ServerConfig::new("127.0.0.1:0".parse().unwrap());
        let server = Server::bind(embedded.engine().clone(), config).await.unwrap();
        let address = server.address();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(server.serve(async {
            let _ = stopped.await;
        }));
        Self { embedded, address, stop, serving }
    }

    async fn end(self) {
        drop(self.stop);
        self.serving.await.unwrap();
    }
}

/// A way to the server that can be cut, or can lose answers: to a client it is a server of its own.
struct Way {
    address: SocketAddr,
    carrying: JoinHandle<()>,
    accepted: Arc<AtomicUsize>,
    loses_answers: Arc<AtomicBool>,
}

impl Way {
    async fn to(server: SocketAddr) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), server).await
    }

    async fn at(address: SocketAddr, server: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (accepted, loses_answers) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (count, loses) = (Arc::clone(&accepted), Arc::clone(&loses_answers));
        let carrying = tokio::spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                open.spawn(carry(client, server, Arc::clone(&loses)));
            }
        });
        Self { address, carrying, accepted, loses_answers }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Nobody listens there any more, and all connections are reset.
    async fn cut(self) -> SocketAddr {
        self.carrying.abort();
        let _ = self.carrying.await;
        self.address
    }
}

async fn carry(mut client: TcpStream, server: SocketAddr, loses: Arc<AtomicBool>) {
    let mut server = TcpStream::connect(server).await.unwrap();
    if !loses.load(Ordering::Relaxed) {
        let _ = copy_bidirectional(&mut client, &mut server).await;
        return;
    }
    // The request arrives, and its answer stays away.
    let mut bytes = vec![0; 64 << 10];
    let read = client.read(&mut bytes).await.unwrap();
    server.write_all(&bytes[..read]).await.unwrap();
    let _ = server.read(&mut bytes).await;
}

/// A client that begins with the first of these.
fn client(ways: &[&Way]) -> Client {
    let urls = ways.iter().map(|way| way.url());
    let transport = stint::transport::HttpTransport::new(&urls.collect::<Vec<_>>()).unwrap();
    Client::builder().transport(Arc::new(transport)).randomness(Randomness::from_seed(1)).build().unwrap()
}

#[tokio::test]
async fn a_client_goes_on_with_the_next_server_and_stays_there() {
    let stint = Stint::start().await;
    let (first, second) = (Way::to(stint.address).await, Way::to(stint.address).await);
    let client = client(&[&first, &second]);
    client.submit(Submission::new("job")).await.unwrap();
    assert_eq!(second.accepted.load(Ordering::Relaxed), 0);
    let address = first.cut().await;
    for _ in 0..3 {
        client.submit(Submission::new("job")).await.unwrap();
    }
    let first = Way::at(address, stint.address).await;
    client.submit(Submission::new("job")).await.unwrap();
    // It does not go back for as long as the other one works.
    assert_eq!((first.accepted.load(Ordering::Relaxed), second.accepted.load(Ordering::Relaxed)), (0, 1));
    let all = stint.embedded.client().count(ExecutionFilter::default()).await.unwrap();
    assert_eq!(all.count, 5);
    stint.end().await;
}

#[tokio::test]
async fn what_is_sent_to_another_server_is_the_same_request() {
    let stint = Stint::start().await;
    let (first, second) = (Way::to(stint.address).await, Way::to(stint.address).await);
    first.loses_answers.store(true, Ordering::Relaxed);
    let submitted = client(&[&first, &second]).submit(Submission::new("job")).await.unwrap();
    // The first server has taken it, and the second says so.
    assert!(submitted.existed);
    let direct = stint.embedded.client();
    assert_eq!(direct.count(ExecutionFilter::default()).await.unwrap().count, 1);

    // The same holds for what makes nothing new: a replay is done once.
    direct.cancel(&submitted.id, Default::default()).await.unwrap();
    let replayed = client(&[&first, &second]).replay(&submitted.id, ReplayRequest::default()).await.unwrap();
    assert_eq!(replayed.state, ExecutionState::Ready);
    let events = direct.events(&submitted.id).await.unwrap();
    assert_eq!(events.iter().filter(|event| event.event == "replayed").count(), 1);
    stint.end().await;
}

#[tokio::test]
async fn without_any_server_the_error_says_that_it_is_not_known() {
    let stint = Stint::start().await;
    let way = Way::to(stint.address).await;
    let client = client(&[&way]).with_deadline(Duration::from_millis(200));
    way.cut().await;
    let error = client.submit(Submission::new("job")).await.unwrap_err();
    assert_eq!(error.code(), "no_answer");
    assert!(!error.remedy().is_empty());
    stint.end().await;
}

#[tokio::test]
async fn a_worker_goes_on_with_the_next_server_in_the_middle_of_its_work() {
    let stint = Stint::start().await;
    let (first, second) = (Way::to(stint.address).await, Way::to(stint.address).await);
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (has_begun, goes_on) = (Arc::clone(&begun), Arc::clone(&go_on));
    let worker = Worker::builder(&client(&[&first, &second]))
        .handler("job", move |ctx: Context, (): ()| {
            let (begun, go_on) = (Arc::clone(&has_begun), Arc::clone(&goes_on));
            async move {
                ctx.log("begun");
                begun.notify_one();
                go_on.notified().await;
                ctx.step("paid", || async { Ok(1) }).await?;
                Ok::<_, Failure>(ctx.attempt())
            }
        })
        .build()
        .unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let working = tokio::spawn(worker.run(async {
        let _ = stopped.await;
    }));
    let direct = stint.embedded.client();
    let id = direct.submit(Submission::new("job")).await.unwrap().id;
    begun.notified().await;
    first.cut().await;
    go_on.notify_one();
    let outcome = direct.result::<u32>(&id).wait(PATIENCE).await.unwrap();
    assert_eq!(outcome.into_output().unwrap(), 1);
    let lines = direct.logs(&id, None).all().await.unwrap();
    assert_eq!(lines.iter().map(|line| line.line.as_str()).collect::<Vec<_>>(), ["begun"]);
    drop(stop);
    working.await.unwrap().unwrap();
    stint.end().await;
}

#[tokio::test]
async fn events_go_on_where_the_connection_broke() {
    let stint = Stint::start().await;
    let (first, second) = (Way::to(stint.address).await, Way::to(stint.address).await);
    let direct = stint.embedded.client();
    let id = direct.submit(Submission::new("job")).await.unwrap().id;
    let mut events = client(&[&first, &second]).follow(&id);
    assert_eq!(events.next().await.unwrap().unwrap().event, "submitted");
    direct.set_priority(&id, 5).await.unwrap();
    assert_eq!(events.next().await.unwrap().unwrap().event, "priority_changed");
    first.cut().await;
    direct.pause(&id).await.unwrap();
    direct.resume(&id).await.unwrap();
    direct.cancel(&id, Default::default()).await.unwrap();
    let rest: Vec<String> = events.map(|event| event.unwrap().event).collect().await;
    assert_eq!(rest, ["paused", "resumed", "cancelled"]);
    stint.end().await;
}

#[tokio::test]
async fn every_list_is_read_to_its_end() {
    let stint = Stint::start().await;
    let way = Way::to(stint.address).await;
    let client = client(&[&way]);
    let submissions = (0..250).map(|n| Submission::new("job").tag("n", n.to_string()).lane(format!("l{n}")));
    for submitted in client.submit_batch(submissions).await.unwrap() {
        submitted.unwrap();
    }
    let all = client.list(ExecutionFilter::default()).all().await.unwrap();
    let ids: std::collections::BTreeSet<_> = all.iter().map(|execution| &execution.id).collect();
    assert_eq!((all.len(), ids.len()), (250, 250));
    assert_eq!(client.lanes().all().await.unwrap().len(), 250);
    let tagged = ExecutionFilter { tags: [("n".to_owned(), "17".to_owned())].into(), ..Default::default() };
    assert_eq!(client.list(tagged.clone()).all().await.unwrap().len(), 1);
    assert_eq!(client.count(tagged).await.unwrap().count, 1);
    stint.end().await;
}

#[tokio::test]
async fn a_worker_that_the_server_drains_finishes_and_ends() {
    let stint = Stint::start().await;
    let way = Way::to(stint.address).await;
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (has_begun, goes_on) = (Arc::clone(&begun), Arc::clone(&go_on));
    let worker = Worker::builder(&client(&[&way]))
        .handler("job", move |_: Context, (): ()| {
            let (begun, go_on) = (Arc::clone(&has_begun), Arc::clone(&goes_on));
            async move {
                begun.notify_one();
                go_on.notified().await;
                Ok::<_, Failure>(())
            }
        })
        .build()
        .unwrap();
    let working = tokio::spawn(worker.run(std::future::pending()));
    let direct = stint.embedded.client();
    let first = direct.submit(Submission::new("job")).await.unwrap().id;
    begun.notified().await;
    let workers = direct.workers().await.unwrap();
    assert!(direct.drain_worker(&workers[0].id).await.unwrap().draining);
    let second = direct.submit(Submission::new("job")).await.unwrap().id;
    go_on.notify_one();
    // Nobody asked it to stop but the server.
    working.await.unwrap().unwrap();
    assert_eq!(direct.execution(&first).await.unwrap().state, ExecutionState::Completed);
    assert_eq!(direct.execution(&second).await.unwrap().attempts.len(), 0);
    stint.end().await;
}

#[tokio::test]
async fn a_server_is_looked_into_and_copied() {
    let stint = Stint::start().await;
    let way = Way::to(stint.address).await;
    let client = client(&[&way]);
    client.submit(Submission::new("job")).await.unwrap();
    assert_eq!(client.doctor().await.unwrap().level, CheckLevel::Ok);
    let report = client.store_of(None, true).await.unwrap();
    assert_eq!(report.open.values().sum::<u64>(), 1);
    assert!(report.records.is_some_and(|records| !records.is_empty()));
    let none = client.store_of(Some(65), false).await.unwrap_err();
    assert_eq!(none.code(), "invalid_field");
    let pieces = client.backup().all().await.unwrap().concat();
    let contents = stint_engine::backup::verify(&pieces[..], |_| {}).unwrap();
    assert!(contents.counts.rows > 0);
    stint.end().await;
}
