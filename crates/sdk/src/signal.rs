//! When the process is asked to end.

use tracing::warn;

/// Resolves when the process is asked to end: by SIGTERM, or by Ctrl-C. From the first call on, these no longer end the
/// process by themselves.
///
/// ```no_run
/// # async fn example(worker: stint::Worker) -> Result<(), stint::Error> {
/// // Takes nothing new once the process is asked to end, lets handlers finish, and returns.
/// worker.run(stint::shutdown_signal()).await
/// # }
/// ```
pub async fn shutdown_signal() {
    #[cfg(unix)]
    let terminated = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => terminate.recv().await,
            Err(error) => {
                warn!(%error, "SIGTERM can't be heard");
                std::future::pending().await
            }
        };
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    let interrupted = async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            warn!(%error, "Ctrl-C can't be heard");
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        biased;
        () = terminated => {}
        () = interrupted => {}
    }
}
