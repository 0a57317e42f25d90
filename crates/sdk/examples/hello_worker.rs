//! A worker for a server, and a client that gives it something to do.
//!
//! Start a server with `stint serve --store embedded:./data --listen 127.0.0.1:7400`, then run
//! `cargo run -p stint --example hello_worker -- http://127.0.0.1:7400`. More addresses are more servers of the same
//! store: client and worker go on with the next when one fails.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use stint::{Client, Context, Failure, Submission, Worker, shutdown_signal};

/// What the handler takes.
#[derive(Serialize, Deserialize)]
struct Greet {
    name: String,
    times: usize,
}

/// What the handler gives.
#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Greeting {
    text: String,
}

async fn greet(ctx: Context, input: Greet) -> Result<Greeting, Failure> {
    if input.name.is_empty() {
        // Trying again would not help.
        return Err(Failure::new("no_name", "whom should I greet?").no_retry());
    }
    let text = vec![format!("Hello {}!", input.name); input.times].join(" ");
    println!("attempt {} of {}: {text}", ctx.attempt(), ctx.execution_id());
    Ok(Greeting { text })
}

fn worker(client: &Client) -> Result<Worker, stint::Error> {
    Worker::builder(client).name("hello").slots(4).handler("greet", greet).build()
}

async fn hello(client: &Client) -> Result<Greeting, stint::Error> {
    let input = Greet { name: "Ada".to_owned(), times: 2 };
    let submitted = client.submit(Submission::new("greet").input(&input).tag("example", "hello")).await?;
    println!("submitted {}", submitted.id);
    client.result::<Greeting>(&submitted.id).wait(Duration::from_secs(60)).await?.into_output()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut addresses: Vec<String> = std::env::args().skip(1).collect();
    if addresses.is_empty() {
        addresses.push("http://127.0.0.1:7400".to_owned());
    }
    let client = Client::builder().addresses(addresses).build()?;
    // Once the process is asked to end it takes nothing new, and lets handlers finish.
    let working = tokio::spawn(worker(&client)?.run(shutdown_signal()));
    println!("result: {}", hello(&client).await?.text);
    println!("the worker goes on; press Ctrl-C to end it");
    working.await??;
    Ok(())
}

#[cfg(test)]
mod tests {
    use stint_server::{Server, ServerConfig};
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn it_greets() {
        let stint = stint::Embedded::in_memory().await.unwrap();
        let config = ServerConfig::new("127.0.0.1:0".parse().unwrap());
        let server = Server::bind(stint.engine().clone(), config).await.unwrap();
        let client = Client::connect(format!("http://{}", server.address())).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(server.serve(async {
            let _ = stopped.await;
        }));
        let (stop_worker, worker_stopped) = oneshot::channel::<()>();
        let working = tokio::spawn(worker(&client).unwrap().run(async {
            let _ = worker_stopped.await;
        }));
        assert_eq!(hello(&client).await.unwrap().text, "Hello Ada! Hello Ada!");
        drop(stop_worker);
        working.await.unwrap().unwrap();
        drop(stop);
        serving.await.unwrap();
    }
}
