//! Budgets and holds, from the client's side.

use std::time::Duration;

use stint_api::{
    AdjustRequest, Amounts, Budget, BudgetChargeRequest, BudgetSettings, BudgetsReply, ChargeReply,
    ExtendReply, ExtendRequest, HoldReply, HoldRequest, LedgerEntry, LedgerReply, LedgerRequest, PricesReply,
    PricesRequest, RaiseRequest, ReconcileReply, ReconcileRequest, RefundRequest, ReleaseHoldReply,
    ReleaseHoldRequest, ReportReply, ReportRequest, SettleCharge, SettleReply, SettleRequest, TopUpRequest,
};

use super::{Client, Items, ms};
use crate::charge::Spent;
use crate::transport::money::Money;
use crate::transport::{FromReply, Page, Request, Target};
use crate::{Charge, Error};

/// One budget. See [`Client::budget`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), stint::Error> {
/// # let stint = stint::Embedded::in_memory().await?;
/// # let client = stint.client();
/// use std::time::Duration;
/// use stint::api::{BudgetSettings, LedgerRequest, RefundRequest, ReportRequest, TopUpRequest};
/// use stint::{Amounts, BudgetHandle, Charge, HoldHandle};
///
/// let usd = |amount: u64| Amounts::of([("usd_micros", amount)]);
/// let settings = r#"{"windows": [{"name": "day", "kind": "day", "limits": {"usd_micros": {"hard": 500000}}}]}"#;
/// let settings: BudgetSettings = serde_json::from_str(settings).unwrap();
///
/// let search: BudgetHandle = client.budget("acme/search");
/// client.budget("acme").set(settings.clone()).await?;
/// search.set(settings).await?;
/// assert_eq!(search.path(), "acme/search");
///
/// // Money set aside without an execution, spent and given back.
/// let hold: HoldHandle = search.hold("request-1", usd(20_000), Duration::from_secs(60)).await?;
/// assert!(hold.extend("more", usd(5_000)).await?.granted);
/// hold.charge(Charge::from(usd(7_000)).id("call-1")).await?;
/// println!("settling {}, opened as {:?}", hold.id(), hold.reply());
/// hold.settle([Charge::from(usd(2_000)).id("call-2")]).await?;
/// let unused = search.hold("request-2", usd(1_000), Duration::from_secs(60)).await?;
/// client.hold(unused.id()).release().await?;
///
/// // Without a hold; and some of it given back.
/// search.charge(Charge::from(usd(300)).id("call-3")).await?;
/// let refund = RefundRequest { id: "back-1".into(), charge_id: "call-3".into(), amounts: usd(100), namespace: None };
/// search.refund(refund).await?;
/// assert_eq!(client.budget("acme").get().await?.windows[0].used, usd(9_200));
///
/// let raised = search.raise("day", usd(600_000)).await?;
/// search.raise_if(raised.generation, "day", usd(700_000)).await?;
/// let more = TopUpRequest { id: "may".into(), window: "day".into(), amounts: usd(50_000), ..Default::default() };
/// search.top_up(more).await?;
///
/// for entry in search.ledger(LedgerRequest::default()).all().await? {
///     println!("{} {:?} {:?}", entry.seq, entry.kind, entry.amounts);
/// }
/// let page = search.ledger_page(LedgerRequest { limit: Some(2), ..Default::default() }).await?;
/// assert_eq!(page.entries.len(), 2);
/// if let Ok(report) = search.report(ReportRequest::default()).await {
///     println!("{:?}", report.total);
/// }
/// assert!(search.reconcile(true).await?.drifts.is_empty());
/// assert_eq!(client.budget("acme").tree().all().await?.len(), 2);
/// assert_eq!(client.budgets().all().await?.len(), 2);
/// search.delete(false).await?;
/// # stint.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct BudgetHandle {
    client: Client,
    path: String,
}

/// Money set aside without a lease. See [`BudgetHandle::hold`].
#[derive(Clone, Debug)]
pub struct HoldHandle {
    client: Client,
    id: String,
    reply: Option<HoldReply>,
}

impl Client {
    /// A budget, by its path.
    pub fn budget(&self, path: impl Into<String>) -> BudgetHandle {
        BudgetHandle { client: self.clone(), path: path.into() }
    }

    /// All budgets, by path.
    pub fn budgets(&self) -> Items<Budget> {
        self.budgets_under(None)
    }

    /// A hold, by the id that [`HoldHandle::id`] has said.
    pub fn hold(&self, id: impl Into<String>) -> HoldHandle {
        HoldHandle { client: self.clone(), id: id.into(), reply: None }
    }

    /// What usage costs.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), stint::Error> {
    /// # let stint = stint::Embedded::in_memory().await?;
    /// # let client = stint.client();
    /// use stint::api::{Price, PricesRequest};
    ///
    /// // In millionths of a dollar, for a million tokens.
    /// let price = Price { input: 5_000_000, output: 25_000_000, ..Price::default() };
    /// let table = PricesRequest { models: [("stand-in-1".to_owned(), price)].into(), ..Default::default() };
    /// let set = client.set_prices(table).await?;
    /// assert_eq!(client.prices().await?.version, set.version);
    /// # stint.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn prices(&self) -> Result<PricesReply, Error> {
        let reply: Box<PricesReply> =
            self.ask(Money::Prices { namespace: self.namespace.to_string() }).await?;
        Ok(*reply)
    }

    /// Replaces the price table. Answered when all partitions know it, or with those that don't yet.
    pub async fn set_prices(&self, mut table: PricesRequest) -> Result<PricesReply, Error> {
        self.own(&mut table.namespace);
        let reply: Box<PricesReply> = self.tell(Money::SetPrices(table)).await?;
        Ok(*reply)
    }

    fn budgets_under(&self, under: Option<String>) -> Items<Budget> {
        let client = self.clone();
        Items::paged(move |cursor| {
            let (client, under) = (client.clone(), under.clone());
            async move {
                let (namespace, page) = (client.namespace.to_string(), Page { limit: None, cursor });
                let reply: BudgetsReply = client.ask(Money::Budgets { namespace, under, page }).await?;
                Ok((reply.budgets, reply.next_cursor))
            }
        })
    }

    async fn ask<R: FromReply>(&self, money: Money) -> Result<R, Error> {
        self.get(Request::Money(Box::new(money))).await
    }

    async fn tell<R: FromReply>(&self, money: Money) -> Result<R, Error> {
        self.post(Request::Money(Box::new(money))).await
    }
}

impl BudgetHandle {
    /// Its path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Makes it, or replaces what it is set to. What it has used stays.
    pub async fn set(&self, mut settings: BudgetSettings) -> Result<Budget, Error> {
        self.client.own(&mut settings.namespace);
        self.changed(Money::SetBudget(self.path.clone(), settings)).await
    }

    /// It, as it stands.
    pub async fn get(&self) -> Result<Budget, Error> {
        let budget: Box<Budget> = self.client.ask(Money::Budget(self.target())).await?;
        Ok(*budget)
    }

    /// It and all below it.
    pub fn tree(&self) -> Items<Budget> {
        self.client.budgets_under(Some(self.path.clone()))
    }

    /// Deletes it. What is held under it is in the way, unless `force` is given: then who waits is answered, and what is
    /// charged late counts above it.
    pub async fn delete(&self, force: bool) -> Result<(), Error> {
        self.client.tell(Money::DeleteBudget { of: self.target(), force }).await
    }

    /// Gives a window other hard limits, higher or lower.
    pub async fn raise(&self, window: impl Into<String>, limits: Amounts) -> Result<Budget, Error> {
        self.raised(window.into(), limits, None).await
    }

    /// The same, only if its `generation` is still this: what comes late, or again, undoes nothing newer.
    pub async fn raise_if(
        &self,
        generation: u64,
        window: impl Into<String>,
        limits: Amounts,
    ) -> Result<Budget, Error> {
        self.raised(window.into(), limits, Some(generation)).await
    }

    /// Raises a window's limits for once. It is used up first.
    pub async fn top_up(&self, mut request: TopUpRequest) -> Result<Budget, Error> {
        self.client.own(&mut request.namespace);
        self.changed(Money::TopUp(self.path.clone(), request)).await
    }

    /// Sets money aside, for a service that has no execution. Under the same id it is the same hold; if that one has ended or
    /// is in doubt, nothing is set aside, and this fails with [`Error::HoldOver`]. It goes into doubt unless it ends
    /// within `ttl`.
    pub async fn hold(
        &self,
        id: impl Into<String>,
        amounts: Amounts,
        ttl: Duration,
    ) -> Result<HoldHandle, Error> {
        let request = HoldRequest { id: id.into(), amounts, ttl_ms: ms(ttl), namespace: self.client.named() };
        let held: HoldReply = self.client.tell(Money::Hold(self.path.clone(), request)).await?;
        match held.ended || held.in_doubt {
            true => Err(Error::HoldOver(held)),
            false => Ok(HoldHandle { client: self.client.clone(), id: held.hold.clone(), reply: Some(held) }),
        }
    }

    /// Records what was spent, above every limit if need be. A charge without an id gets one of its own.
    pub async fn charge(&self, charge: impl Into<Charge>) -> Result<ChargeReply, Error> {
        let request = self.client.spent(charge.into())?;
        self.client.tell(Money::Charge(self.path.clone(), request)).await
    }

    /// Gives back some of what a charge took, in that charge's period.
    pub async fn refund(&self, mut request: RefundRequest) -> Result<ChargeReply, Error> {
        self.client.own(&mut request.namespace);
        self.client.tell(Money::Refund(self.path.clone(), request)).await
    }

    /// Sets right what it has used, by an entry of its own in the present period.
    ///
    /// ```
    /// # use stint::api::AdjustRequest;
    /// # use stint::{Amounts, Client};
    /// # async fn example(client: Client) -> Result<(), stint::Error> {
    /// let less = Amounts::of([("usd_micros", 1_200)]);
    /// let bill = AdjustRequest { id: "bill-11".into(), less, ..AdjustRequest::default() };
    /// client.budget("acme/search").adjust(bill).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn adjust(&self, mut request: AdjustRequest) -> Result<ChargeReply, Error> {
        self.client.own(&mut request.namespace);
        self.client.tell(Money::Adjust(self.path.clone(), request)).await
    }

    /// Entries of its ledger and of all below it. Pages are fetched as they are needed.
    pub fn ledger(&self, request: LedgerRequest) -> Items<LedgerEntry> {
        let budget = self.clone();
        Items::paged(move |cursor| {
            let (budget, request) = (budget.clone(), LedgerRequest { cursor, ..request.clone() });
            async move {
                let page = budget.ledger_page(request).await?;
                Ok((page.entries, page.next_cursor))
            }
        })
    }

    /// One page of its ledger. It may be short, even empty, and still not be the last.
    pub async fn ledger_page(&self, request: LedgerRequest) -> Result<LedgerReply, Error> {
        self.client.ask(Money::Ledger(self.target(), request)).await
    }

    /// What was spent, by what, and how long the rest lasts.
    pub async fn report(&self, request: ReportRequest) -> Result<ReportReply, Error> {
        let report: Box<ReportReply> = self.client.ask(Money::Report(self.target(), request)).await?;
        Ok(*report)
    }

    /// Counts again what its ledger says, and corrects what differs, or with `dry_run` only tells it.
    pub async fn reconcile(&self, dry_run: bool) -> Result<ReconcileReply, Error> {
        let request = ReconcileRequest { dry_run, namespace: self.client.named() };
        self.client.tell(Money::Reconcile(self.path.clone(), request)).await
    }

    async fn raised(
        &self,
        window: String,
        limits: Amounts,
        generation: Option<u64>,
    ) -> Result<Budget, Error> {
        let request = RaiseRequest { window, limits, generation, namespace: self.client.named() };
        self.changed(Money::Raise(self.path.clone(), request)).await
    }

    async fn changed(&self, money: Money) -> Result<Budget, Error> {
        let budget: Box<Budget> = self.client.tell(money).await?;
        Ok(*budget)
    }

    fn target(&self) -> Target {
        self.client.target(&self.path)
    }
}

impl HoldHandle {
    /// Its id, for [`Client::hold`].
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What was held and until when, as [`BudgetHandle::hold`] heard it; `None` if the handle was made of an id.
    pub fn reply(&self) -> Option<&HoldReply> {
        self.reply.as_ref()
    }

    /// Asks for more before more is spent. Answered at once; under the same id, the same.
    pub async fn extend(&self, id: impl Into<String>, amounts: Amounts) -> Result<ExtendReply, Error> {
        let request = ExtendRequest { id: id.into(), amounts, at_least: false };
        self.client.tell(Money::ExtendHold(self.id.clone(), request)).await
    }

    /// Records what was spent under it.
    pub async fn charge(&self, charge: impl Into<Charge>) -> Result<ChargeReply, Error> {
        let request = self.client.spent(charge.into())?;
        self.client.tell(Money::ChargeHold(self.id.clone(), request)).await
    }

    /// Ends it with what was spent and not charged before.
    pub async fn settle(&self, charges: impl IntoIterator<Item = Charge>) -> Result<SettleReply, Error> {
        let last = |charge| {
            let BudgetChargeRequest { charge_id, amounts, usage, .. } = self.client.spent(charge)?;
            Ok(SettleCharge { charge_id, amounts, usage })
        };
        let charges = charges.into_iter().map(last).collect::<Result<_, Error>>()?;
        self.client.tell(Money::SettleHold(self.id.clone(), SettleRequest { charges })).await
    }

    /// Ends it: what is left of it is free.
    pub async fn release(&self) -> Result<(), Error> {
        let released: ReleaseHoldReply =
            self.client.tell(Money::ReleaseHold(self.id.clone(), ReleaseHoldRequest {})).await?;
        debug_assert!(released.released);
        Ok(())
    }
}

impl Client {
    fn spent(&self, charge: Charge) -> Result<BudgetChargeRequest, Error> {
        let (amounts, usage) = match charge.spent {
            Some(Spent::Amounts(amounts)) => (Some(amounts), None),
            Some(Spent::Usage(usage)) => (None, Some(usage)),
            None => {
                let reason = "it does not say which model it was or what it used".to_owned();
                return Err(Error::Payload { what: "a provider's answer", reason });
            }
        };
        let charge_id = charge.id.unwrap_or_else(|| self.randomness.session());
        Ok(BudgetChargeRequest { charge_id, amounts, usage, namespace: self.named() })
    }
}
