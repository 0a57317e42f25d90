//! What is not as it should be in a running engine.

use std::time::Duration;

use futures_util::future::join_all;
use stint_api::{Check, DoctorReply};
use stint_core::PartitionId;
use stint_store::Room;

use super::Engine;

/// A partition that has not answered a look after this long is stuck.
const STUCK: Duration = Duration::from_secs(3);

impl Engine {
    /// Looks at everything that can be wrong with a running engine.
    pub async fn doctor(&self) -> DoctorReply {
        let checks = vec![
            self.check_store().await,
            self.check_partitions().await,
            self.check_timelines(),
            self.check_quarantine(),
            self.check_clock(),
            self.check_room(),
        ];
        checks.into()
    }

    async fn check_store(&self) -> Check {
        const STORE: &str = "store";
        if let Some(reason) = self.0.node.failure() {
            return Check::problem(
                STORE,
                format!("it must not be used any more: {reason}"),
                "Start the server again; it finds out what is on disk. If it fails again, look at the disk.",
            );
        }
        let store = &self.0.node.shared().store;
        let said = match tokio::time::timeout(STUCK, store.clock()).await {
            Ok(Ok(_)) => return Check::ok(STORE, "it answers"),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("nothing within {} s", STUCK.as_secs()),
        };
        Check::problem(
            STORE,
            format!("it does not answer: {said}"),
            "Look at the store's server and at the network. Nothing is lost: all goes on when it is back.",
        )
    }

    async fn check_partitions(&self) -> Check {
        let looks = PartitionId::all().map(async |partition| {
            let look = self.0.node.look(partition, |_| ());
            let answered = matches!(tokio::time::timeout(STUCK, look).await, Ok(Ok(())));
            (!answered).then(|| partition.0.to_string())
        });
        let stuck: Vec<String> = join_all(looks).await.into_iter().flatten().collect();
        if stuck.is_empty() {
            return Check::ok("partitions", "all of them answer");
        }
        let seconds = STUCK.as_secs();
        let which = if stuck.len() == PartitionId::all().count() {
            format!("none of them answered within {seconds} s")
        } else {
            format!("{} did not answer within {seconds} s: {}", stuck.len(), stuck.join(", "))
        };
        Check::problem(
            "partitions",
            which,
            "They are being loaded, are not served here, or wait for the store: look into the log, and at the store.",
        )
    }

    fn check_timelines(&self) -> Check {
        match self.stats().timelines_begun {
            0 => Check::ok("lost writes", "none were found since the start"),
            count => Check::warning(
                "lost writes",
                format!(
                    "{count} new timelines began since the start: acknowledged writes were lost, or a backup was restored"
                ),
                "Compare what clients believe to have done with what is here. Find out why the store lost writes: a \
                 fail-over, a restart without persistence, a restored copy.",
            ),
        }
    }

    fn check_quarantine(&self) -> Check {
        let stats = self.stats();
        if stats.quarantined == 0 && stats.messages_quarantined == 0 {
            return Check::ok("quarantine", "nothing failed for good");
        }
        Check::problem(
            "quarantine",
            format!(
                "{} timers and the messages of {} pairs of partitions failed three times and are left alone until the next start",
                stats.quarantined, stats.messages_quarantined
            ),
            "This is a defect of ours. Keep the log, start the server again, and report it.",
        )
    }

    fn check_clock(&self) -> Check {
        if self.0.node.shared().clock.in_doubt() {
            return Check::problem(
                "clock",
                "the store's clock is more than 10 s ahead of what was known; it is not followed yet, and nothing is trimmed",
                "Set the clock of the store's machine right. One that stays ahead for 60 s is followed.",
            );
        }
        Check::ok("clock", "the store's clock is near")
    }

    fn check_room(&self) -> Check {
        match self.0.node.shared().store.room() {
            Room::Enough => Check::ok("room", "the store has room"),
            Room::Low => Check::problem(
                "room",
                "the store is below its low-water mark: only what ends work is accepted",
                "Free disk space or memory, or shorten retention.",
            ),
        }
    }
}
