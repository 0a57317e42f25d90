//! Budgets to spend from, with books of the bench's own that the ledger has to agree with at the end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use stint::api::{
    BudgetLimit, BudgetSettings, LIST_LIMIT, LedgerKind, LedgerRequest, OnHard, WindowKind, WindowSettings,
};
use stint::{Amounts, Client};

/// What is spent.
pub(super) const DIMENSION: &str = "usd_micros";

/// Trees, each of three levels.
const TREES: usize = 8;

/// The window that every charge counts in, whenever it was made.
pub(super) const ALL: &str = "all";

/// More than any row spends.
const LIMIT: u64 = 1 << 50;

/// How long permits may take to end once their executions have.
const SETTLING: Duration = Duration::from_secs(60);

/// Trees of budgets, and what was spent from each.
pub(super) struct Forest {
    trees: Vec<Tree>,
}

struct Tree {
    leaf: String,
    charges: AtomicU64,
    spent: AtomicU64,
}

impl Forest {
    /// Eight trees of three levels with two windows each, and nothing in the way of spending.
    pub(super) async fn plant(client: &Client) -> Result<Self> {
        let mut trees = Vec::with_capacity(TREES);
        for index in 0..TREES {
            let tree = Tree {
                leaf: format!("tree-{index}/team/agent"),
                charges: AtomicU64::new(0),
                spent: AtomicU64::new(0),
            };
            for path in levels(&tree.leaf) {
                client.budget(path).set(settings(LIMIT)).await?;
            }
            trees.push(tree);
        }
        Ok(Self { trees })
    }

    /// The lowest level of the tree that is this one's turn.
    pub(super) fn leaf(&self, turn: usize) -> &str {
        self.tree(turn).map_or("", |tree| &tree.leaf)
    }

    /// Notes what was charged there.
    pub(super) fn note(&self, turn: usize, amount: u64) {
        if let Some(tree) = self.tree(turn) {
            tree.charges.fetch_add(1, Ordering::Relaxed);
            tree.spent.fetch_add(amount, Ordering::Relaxed);
        }
    }

    /// How many charges were noted.
    pub(super) fn charges(&self) -> u64 {
        self.trees.iter().map(|tree| tree.charges.load(Ordering::Relaxed)).sum()
    }

    /// Compares the ledger, entry by entry, and the counters of every level with what was noted, and looks for what is
    /// still held.
    pub(super) async fn verify(&self, client: &Client) -> Result<Value> {
        let (mut entries, mut wrong, mut held) = (0, 0, 0);
        for tree in &self.trees {
            let noted = Sum {
                charges: tree.charges.load(Ordering::Relaxed),
                spent: tree.spent.load(Ordering::Relaxed),
            };
            let found = audit(client, &tree.leaf, noted).await?;
            entries += found.entries;
            wrong += found.wrong;
            held += found.held;
        }
        Ok(json!({
            "ok": wrong == 0 && held == 0,
            "charges": self.charges(),
            "ledger_entries": entries,
            "differences": wrong,
            "holds_left": held,
        }))
    }

    fn tree(&self, turn: usize) -> Option<&Tree> {
        self.trees.get(turn % TREES)
    }
}

/// Charges, and what they come to.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Sum {
    pub(super) charges: u64,
    pub(super) spent: u64,
}

/// What an audit found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Audit {
    pub(super) entries: u64,
    /// Counters and sums that are not what they should be.
    pub(super) wrong: u64,
    /// Holds that nothing ends.
    pub(super) held: u64,
}

/// Compares a path's ledger and counters, at each of its levels, with what was charged there.
pub(super) async fn audit(client: &Client, path: &str, noted: Sum) -> Result<Audit> {
    let mut found = Audit { entries: 0, wrong: 0, held: 0 };
    for level in levels(path) {
        let budget = client.budget(level);
        let (mut stands, since) = (budget.get().await?, Instant::now());
        // An execution has ended before its permit has: that is said from partition to partition.
        while stands.holds > 0 && since.elapsed() < SETTLING {
            tokio::time::sleep(Duration::from_millis(20)).await;
            stands = budget.get().await?;
        }
        found.held += stands.holds;
        let all = stands.windows.iter().find(|window| window.name == ALL).context("a window is gone")?;
        let is_right = all.used.get(DIMENSION) == noted.spent && stands.held.get(DIMENSION) == 0;
        if !is_right {
            eprintln!("{level} has used {:?} and holds {:?}: {noted:?} was charged", all.used, stands.held);
            found.wrong += 1;
        }
    }
    let root = client.budget(levels(path).next().unwrap_or(path));
    let mut sum = Sum::default();
    let mut page = LedgerRequest { limit: Some(LIST_LIMIT), ..LedgerRequest::default() };
    loop {
        let reply = root.ledger_page(page.clone()).await?;
        for entry in reply.entries {
            found.entries += 1;
            match entry.kind {
                LedgerKind::Charge => {
                    sum.charges += 1;
                    sum.spent += entry.amounts.get(DIMENSION);
                }
                LedgerKind::TopUp => {}
                _ => found.wrong += 1,
            }
        }
        match reply.next_cursor {
            Some(cursor) => page.cursor = Some(cursor),
            None => break,
        }
    }
    if sum != noted {
        eprintln!("the ledger of {path} sums up to {sum:?}: {noted:?} was charged");
        found.wrong += 1;
    }
    // Its own count covers every window, the day's as well.
    found.wrong += root.reconcile(true).await?.drifts.len() as u64;
    Ok(found)
}

/// Makes an audit part of a row's checks.
pub(super) fn add_books(checks: &mut Value, books: Value) {
    let Some(checks) = checks.as_object_mut() else { return };
    let is_ok = [checks.get("ok"), books.get("ok")].iter().all(|ok| *ok == Some(&Value::Bool(true)));
    checks.insert("ok".to_owned(), is_ok.into());
    checks.insert("books".to_owned(), books);
}

/// So much.
pub(super) fn amount(amount: u64) -> Amounts {
    Amounts::of([(DIMENSION, amount)])
}

/// Two windows with the same limit.
pub(super) fn settings(limit: u64) -> BudgetSettings {
    let window = |name: &str, kind| WindowSettings {
        name: name.to_owned(),
        kind,
        every_ms: None,
        tz: None,
        limits: [(DIMENSION.to_owned(), BudgetLimit { hard: Some(limit), soft: Vec::new() })].into(),
    };
    BudgetSettings {
        windows: vec![window(ALL, WindowKind::Total), window("day", WindowKind::Day)],
        on_hard: Some(OnHard::Block),
        ..BudgetSettings::default()
    }
}

/// A path's levels, from the root down.
fn levels(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    ends.filter_map(|end| path.get(..end))
}
