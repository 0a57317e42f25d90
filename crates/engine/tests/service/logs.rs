//! What attempts log: by call and by exchange, paged, bounded, kept by replays and gone with the execution.

use stint_api::{Answer, Code, ExchangeLease, ExchangeLog, LogRequest, LogsReply, ReplayRequest, RequestKey};

use crate::bed::{Bed, Worker, json, pass, work};

fn lines(lines: &[&str]) -> LogRequest {
    LogRequest { lines: lines.iter().map(|line| (*line).to_owned()).collect(), namespace: None }
}

async fn page(bed: &Bed, id: &str, attempt: Option<u32>, limit: u32, cursor: Option<&str>) -> LogsReply {
    bed.engine.logs("default", id, attempt, Some(limit), cursor).await.unwrap()
}

fn texts(page: &LogsReply) -> Vec<(u32, &str)> {
    page.lines.iter().map(|line| (line.attempt, line.line.as_str())).collect()
}

/// All pages of so many lines.
async fn all(bed: &Bed, id: &str, attempt: Option<u32>, limit: u32) -> Vec<String> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = page(bed, id, attempt, limit, cursor.as_deref()).await;
        assert!(page.lines.len() <= limit as usize);
        all.extend(page.lines.into_iter().map(|line| line.line));
        cursor = page.next_cursor;
        if cursor.is_none() {
            return all;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn lines_are_read_in_order_by_attempt_and_by_page() {
    let bed = Bed::new().await;
    let id = bed.submit_work().await;
    assert_eq!(page(&bed, &id, None, 10, None).await.lines, []);
    let lease = bed.lease_one().await;
    let reply = bed.engine.log(&lease.lease, lines(&["a", "b", "c"]), None).await.unwrap();
    assert_eq!(reply.accepted, 3);
    bed.engine.log(&lease.lease, lines(&["d"]), None).await.unwrap();
    bed.fail(&lease).await.unwrap();
    pass(2_000).await;
    let lease = bed.lease_one().await;
    bed.engine.log(&lease.lease, lines(&["e", "", "f\tg"]), None).await.unwrap();
    bed.complete(&lease, "1").await.unwrap();
    let gone = bed.engine.log(&lease.lease, lines(&["late"]), None).await.unwrap_err();
    assert_eq!(gone.code, Code::LeaseLost);

    let expected = [(1, "a"), (1, "b"), (1, "c"), (1, "d"), (2, "e"), (2, ""), (2, "f\tg")];
    assert_eq!(texts(&page(&bed, &id, None, 10, None).await), expected);
    for limit in 1..=8 {
        assert_eq!(all(&bed, &id, None, limit).await, expected.map(|(_, line)| line.to_owned()), "{limit}");
        assert_eq!(all(&bed, &id, Some(2), limit).await, ["e", "", "f\tg"], "{limit}");
        assert_eq!(all(&bed, &id, Some(1), limit).await, ["a", "b", "c", "d"], "{limit}");
    }
    assert!(all(&bed, &id, Some(3), 5).await.is_empty());

    bed.engine.replay("default", &id, ReplayRequest::default(), None).await.unwrap();
    let lease = bed.lease_one().await;
    bed.engine.log(&lease.lease, lines(&["h"]), None).await.unwrap();
    assert_eq!(all(&bed, &id, None, 100).await.len(), 8, "a replay keeps what was there");
    assert_eq!(all(&bed, &id, Some(3), 100).await, ["h"]);
}

#[tokio::test(start_paused = true)]
async fn the_same_call_writes_once_also_across_a_restart() {
    let mut bed = Bed::new().await;
    let id = bed.submit_work().await;
    let lease = bed.lease_one().await;
    let key = || Some(RequestKey::parse("log-1").unwrap());
    for _ in 0..2 {
        for _ in 0..2 {
            bed.engine.log(&lease.lease, lines(&["once"]), key()).await.unwrap();
        }
        bed = bed.restart().await;
    }
    assert_eq!(all(&bed, &id, None, 10).await, ["once"]);
}

#[tokio::test(start_paused = true)]
async fn a_full_log_refuses_with_what_is_left_and_keeps_the_rest() {
    let bed = Bed::new().await;
    let id = bed.submit_work().await;
    let lease = bed.lease_one().await;
    let long = "x".repeat(stint_api::LOG_LINE_BYTES);
    let too_long = bed.engine.log(&lease.lease, lines(&["a", &format!("{long}x")]), None).await.unwrap_err();
    assert_eq!((too_long.code, too_long.field.as_deref()), (Code::InvalidField, Some("lines[1]")));
    let none = bed.engine.log(&lease.lease, lines(&[]), None).await.unwrap_err();
    assert_eq!((none.code, none.field.as_deref()), (Code::InvalidField, Some("lines")));
    for _ in 0..16 {
        bed.engine.log(&lease.lease, lines(&[&long]), None).await.unwrap();
    }
    let full = bed.engine.log(&lease.lease, lines(&["x"]), None).await.unwrap_err();
    assert_eq!((full.code, full.field.as_deref()), (Code::LogFull, Some("lines")));
    assert!(full.detail.contains("9984 more lines and 0 more bytes"), "{full}");
    assert_eq!(all(&bed, &id, None, 1_000).await.len(), 16);
    bed.complete(&lease, "1").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_exchange_brings_lines_before_ends_and_is_told_what_became_of_them() {
    let mut bed = Bed::new().await;
    let mut worker = Worker::new(&bed, "w1");
    let id = bed.submit_work().await;
    let lease = worker.exchange(|_| ()).await.unwrap().leases.remove(0).lease;
    let log = |texts: &[&str]| ExchangeLog { lease: lease.clone(), lines: lines(texts).lines };
    let listed = ExchangeLease { lease: lease.clone(), progress: None };
    let said = worker.next(|request| {
        request.leases.push(listed);
        request.logs = vec![log(&["a", "b"]), log(&["c"])];
        request.wait_ms = 60_000;
    });
    // It is answered at once, because the lines are; again the same, and after a restart once more.
    for restarts in [false, true, false] {
        if restarts {
            bed = bed.restart().await;
        }
        let reply = bed.engine.exchange(said.clone()).await.unwrap();
        let answers: Vec<_> = reply.answers.iter().map(|a| (a.logs, &a.key, &a.answer)).collect();
        let logged = |accepted| Answer::Logged(stint_api::LogReply { accepted });
        assert_eq!(answers, [(true, &None, &logged(2)), (true, &None, &logged(1))]);
    }
    let mut worker = Worker { engine: bed.engine.clone(), ..worker };
    let long = "x".repeat(60_000);
    let reply = worker
        .exchange(|request| {
            request.seen = said.n;
            request.logs = vec![log(&["d"]), log(&vec![long.as_str(); 20])];
            request.results = vec![
                serde_json::from_value(serde_json::json!({ "lease": lease, "complete": { "output": 3 } }))
                    .unwrap(),
            ];
        })
        .await
        .unwrap();
    let refused =
        |answer: &Answer| matches!(answer, Answer::Refused(problem) if problem.code == Code::LogFull);
    assert!(matches!(reply.answers[0].answer, Answer::Logged(_)) && reply.answers[0].logs, "{reply:?}");
    assert!(refused(&reply.answers[1].answer) && reply.answers[1].logs);
    assert!(matches!(reply.answers[2].answer, Answer::Done(_)) && !reply.answers[2].logs);
    assert_eq!(bed.result(&id).await.output, Some(json("3")));
    assert_eq!(all(&bed, &id, None, 100).await, ["a", "b", "c", "d"]);
}

#[tokio::test(start_paused = true)]
async fn pages_are_bounded_and_cursors_are_checked() {
    let bed = Bed::new().await;
    let id = bed.submit_work().await;
    let theirs = bed.submit(stint_api::SubmitRequest { namespace: Some("theirs".into()), ..work() }).await.id;
    for (id, limit, cursor, field) in [
        (id.as_str(), Some(0), None, Some("limit")),
        (id.as_str(), Some(1_001), None, Some("limit")),
        (id.as_str(), None, Some("nonsense"), Some("cursor")),
        (id.as_str(), None, Some("1-"), Some("cursor")),
        (theirs.as_str(), None, None, None),
    ] {
        let problem = bed.engine.logs("default", id, None, limit, cursor).await.unwrap_err();
        assert_eq!(problem.field.as_deref(), field, "{limit:?} {cursor:?}");
    }
    let beyond = bed.engine.logs("default", &id, None, None, Some("7-9")).await.unwrap();
    assert_eq!((beyond.lines.len(), beyond.next_cursor), (0, None));
}
