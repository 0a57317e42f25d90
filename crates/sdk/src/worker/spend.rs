//! Money, from inside a handler: asking for it before it is spent, and saying what was.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use stint_api::{Amounts, CHARGE_ID_BYTES, ChargeReply, ExchangeCharge, ExchangeHold, ExtendReply, Problem};
use tokio::sync::oneshot;

use super::event::Event;
use super::purse::Purse;
use super::{Context, Failure};
use crate::Charge;
use crate::charge::Spent;

/// How long a refusal waits for the stop that follows it from the budget. There is none if the budget only blocks.
const STOP_WAIT: Duration = Duration::from_secs(1);

tokio::task_local! {
    /// The key of the step that this code runs in.
    static STEP: String;
}

/// Runs what belongs to a step, so that what it spends and is promised is known as the step's.
pub(super) async fn in_step<T, Run, Running>(purse: &Purse, key: &str, run: Run) -> Result<T, Failure>
where
    Run: FnOnce() -> Running,
    Running: Future<Output = Result<T, Failure>>,
{
    let step = purse.open(key);
    let ended = STEP.scope(key.to_owned(), async { run().await }).await;
    step.close(ended.is_ok());
    ended
}

impl Context {
    /// Says what was spent, and waits until that is recorded. It is said until it is answered, whether or not anybody
    /// waits, and whatever becomes of this attempt: spend is a fact, recorded above every limit and after the lease is
    /// lost. Inside of a [step](Context::step) it belongs to the step, so that an answer that was paid for and then lost is
    /// paid for once.
    ///
    /// It takes amounts, usage, what a [meter](crate::Meter) reported, or a provider's whole answer. Fails if the server
    /// refuses it for good: a model without a price, where the price table says so, or an answer that does not say
    /// what was used.
    ///
    /// ```
    /// # use stint::api::{Amounts, BudgetSettings, WindowKind, WindowSettings};
    /// use stint::{Context, Failure};
    ///
    /// async fn ask(ctx: Context, prompt: String) -> Result<String, Failure> {
    ///     let mut answers = String::new();
    ///     for turn in 0..3 {
    ///         let step = format!("turn-{turn}");
    ///         answers += &ctx
    ///             .step(&step, || async {
    ///                 // The price of a call is held before it is made; without it the attempt is parked here.
    ///                 ctx.hold(Amounts::of([("usd_micros", 2_000)])).await?;
    ///                 let answer = call(&prompt, &ctx.step_key(&step)).await?;
    ///                 let reply = ctx.charge(Amounts::of([("usd_micros", 1_500)])).await?;
    ///                 println!("recorded: {}, late: {}", reply.recorded, reply.late);
    ///                 Ok(answer)
    ///             })
    ///             .await?;
    ///     }
    ///     // A call that costs more asks for more; a no is no failure.
    ///     if ctx.extend(Amounts::of([("usd_micros", 50_000)])).await? {
    ///         answers += "and a long one";
    ///     }
    ///     Ok(answers)
    /// }
    ///
    /// async fn call(prompt: &str, _key: &str) -> Result<String, Failure> {
    ///     Ok(format!("what to say of {prompt}. "))
    /// }
    /// # let _ = ask;
    /// ```
    pub fn charge(
        &self,
        charge: impl Into<Charge>,
    ) -> impl Future<Output = Result<ChargeReply, Failure>> + Send + 'static {
        let charge = charge.into();
        let said = self.say(charge);
        let (attempt, step) = (Arc::clone(&self.attempt), present_step());
        async move {
            match said?.await {
                Ok(Ok(reply)) => {
                    if let Some(step) = step {
                        attempt.purse.spent(&step, &reply.amounts);
                    }
                    Ok(reply)
                }
                Ok(Err(problem)) => Err(refused("a charge", &problem)),
                // Nobody is left who could answer: this handler is about to be dropped.
                Err(_) => std::future::pending().await,
            }
        }
    }

    /// Makes sure that so much is held for what comes next, and asks only for what is missing: the price of the next call.
    /// Without it the attempt ends here: its budget stops it, it is parked without having failed, and goes on from its
    /// journal when there is so much. Where the budget only blocks, or a cap of the execution is in the way, this fails as
    /// `budget_exhausted` or `cap_exceeded`.
    ///
    /// Inside of a [step](Context::step) it is the step's until the step ends or has spent it: steps that run side by side
    /// each have their own. Outside of steps it is not known which call it is for.
    pub async fn hold(&self, amounts: Amounts) -> Result<(), Failure> {
        self.hold_of(None, amounts).await
    }

    /// As [`hold`](Self::hold), where the execution has several budgets.
    ///
    /// ```
    /// # use stint::{Context, Failure, api::Amounts};
    /// async fn handler(ctx: Context, pages: u64) -> Result<(), Failure> {
    ///     ctx.hold_at("acme/search", Amounts::of([("calls", pages)])).await?;
    ///     let more = ctx.extend_at("acme/models", Amounts::of([("usd_micros", 900)])).await?;
    ///     println!("for the long version: {more}");
    ///     Ok(())
    /// }
    /// # let _ = handler;
    /// ```
    pub async fn hold_at(&self, path: &str, amounts: Amounts) -> Result<(), Failure> {
        self.hold_of(Some(path), amounts).await
    }

    /// Asks for so much more than is held, before it is spent, and is answered at once: `false` is not to be spent. A
    /// refusal lets the budget stop this attempt, as its `on_hard` says.
    pub async fn extend(&self, amounts: Amounts) -> Result<bool, Failure> {
        self.more_of(None, amounts).await
    }

    /// As [`extend`](Self::extend), where the execution has several budgets.
    pub async fn extend_at(&self, path: &str, amounts: Amounts) -> Result<bool, Failure> {
        self.more_of(Some(path), amounts).await
    }

    async fn more_of(&self, path: Option<&str>, amounts: Amounts) -> Result<bool, Failure> {
        let granted = self.ask(path, amounts.clone(), More::Added).await?.granted;
        if let Some(step) = present_step().filter(|_| granted) {
            self.attempt.purse.extended(&step, path, &amounts);
        }
        Ok(granted)
    }

    async fn hold_of(&self, path: Option<&str>, amounts: Amounts) -> Result<(), Failure> {
        let (purse, step) = (&self.attempt.purse, present_step());
        let needed = purse.promise(step.as_deref(), path, &amounts);
        let asked = self.ask(path, needed, More::AtLeast).await;
        if asked.as_ref().is_ok_and(|reply| reply.granted) {
            return Ok(());
        }
        purse.refused(step.as_deref(), path);
        let ExtendReply { capped, shortfall, .. } = asked?;
        if capped {
            return Err(Failure::new("cap_exceeded", "a cap of the execution is in the way").no_retry());
        }
        // The budget's own stop is on its way: it decides what becomes of the execution.
        _ = tokio::time::timeout(STOP_WAIT, self.cancelled()).await;
        self.go_on()?;
        let message = shortfall.map_or_else(
            || "the budget has not so much".to_owned(),
            |short| {
                format!(
                    "{} lacks {} {} in window {}",
                    short.path, short.missing, short.dimension, short.window
                )
            },
        );
        Err(Failure::new("budget_exhausted", message))
    }

    async fn ask(&self, path: Option<&str>, amounts: Amounts, more: More) -> Result<ExtendReply, Failure> {
        self.go_on()?;
        let hold = ExchangeHold {
            lease: self.attempt.lease.to_string(),
            id: self.attempt.purse.next_ask(),
            path: path.map(str::to_owned),
            amounts,
            at_least: more == More::AtLeast,
        };
        let (answer, answered) = oneshot::channel();
        self.tell(Event::Asked { hold, answer });
        match answered.await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(problem)) => Err(refused("an ask for more", &problem)),
            // Nobody is left who could answer: this handler is about to be dropped.
            Err(_) => std::future::pending().await,
        }
    }

    /// Hands a charge to the loop, which says it until it is answered.
    fn say(&self, charge: Charge) -> Result<oneshot::Receiver<Result<ChargeReply, Problem>>, Failure> {
        let Charge { id, spent, step } = charge;
        let (amounts, usage) = match spent {
            Some(Spent::Amounts(amounts)) => (Some(amounts), None),
            Some(Spent::Usage(usage)) => (None, Some(usage)),
            None => {
                let message =
                    "the answer does not say which model it was or what it used: charge it by amounts";
                return Err(Failure::new("usage_unknown", message));
            }
        };
        let fits = |id: &String| (1..=CHARGE_ID_BYTES).contains(&id.len()) && !id.contains(char::is_control);
        let charge = ExchangeCharge {
            lease: self.attempt.lease.to_string(),
            charge_id: id.filter(fits).unwrap_or_else(|| self.charge_id()),
            amounts,
            usage,
            step: step.or_else(present_step),
        };
        let (answer, answered) = oneshot::channel();
        self.tell(Event::Charged { charge, answer });
        Ok(answered)
    }

    /// An id that no other charge of the execution has.
    fn charge_id(&self) -> String {
        format!("{}/{}", self.attempt.execution.id, self.attempt.purse.next_charge())
    }
}

/// The key of the step that this is said in.
fn present_step() -> Option<String> {
    STEP.try_with(String::clone).ok()
}

/// How an ask counts what is held already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum More {
    /// On top of it.
    Added,
    /// As part of it.
    AtLeast,
}

fn refused(what: &str, problem: &Problem) -> Failure {
    Failure::new(problem.code.as_str(), format!("{what}: {}. {}", problem.detail, problem.remedy_text()))
}
