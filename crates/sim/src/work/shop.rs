//! A service that only wants the budgets: sets money aside without an execution, spends it or not, gives some back, and
//! tops up what is short.

use std::sync::Arc;
use std::time::Duration;

use stint::{Amounts, Charge, Client, HoldHandle};
use stint_api::{RefundRequest, TopUpRequest};

use super::client_of;
use crate::dice::Dice;
use crate::world::World;

/// Where it buys. What stands in the ledger of one of them is given back at times.
const PATHS: [&str; 2] = ["acme/a", "team"];

struct Shop {
    world: Arc<World>,
    client: Client,
    dice: Dice,
    number: u64,
    /// Charges that were acknowledged, with path and amount.
    paid: Vec<(&'static str, String, u64)>,
}

/// Buys until the storm is over.
pub(crate) async fn run(world: Arc<World>) {
    let Ok(client) = client_of(&world, "shop", Duration::from_secs(30)) else { return };
    let dice = Dice::new(world.plan.seed, "shop");
    let mut shop = Shop { world, client, dice, number: 0, paid: Vec::new() };
    while !shop.world.is_calm() {
        tokio::time::sleep(Duration::from_millis(shop.dice.below(20_000))).await;
        shop.number += 1;
        match shop.dice.below(10) {
            0 => shop.top_up().await,
            1 | 2 => shop.refund().await,
            _ => shop.buy().await,
        }
    }
}

impl Shop {
    /// Holds, asks for more, and then: pays bit by bit and gives the rest back, pays at the till, or forgets all about it.
    async fn buy(&mut self) {
        let (number, dice) = (self.number, &self.dice);
        let path = dice.pick(&PATHS).copied().unwrap_or("team");
        let ttl = Duration::from_millis(dice.between(5_000, 40_000));
        let (held, more) = (dice.between(1, 30), dice.between(1, 20));
        let asked = self.client.budget(path).hold(format!("cart-{number}"), usd(held), ttl).await;
        let Ok(hold) = asked else { return };
        let extended = hold.extend(format!("more-{number}"), usd(more)).await;
        let has = held + if extended.is_ok_and(|reply| reply.granted) { more } else { 0 };
        match self.dice.below(4) {
            0 => {
                let _sure = hold.release().await;
            }
            1 => self.settle(path, &hold, has).await,
            2 => {}
            _ => {
                let first = self.dice.below(has);
                for (part, amount) in
                    [first, has - first].into_iter().enumerate().filter(|(_, part)| *part > 0)
                {
                    tokio::time::sleep(Duration::from_millis(self.dice.below(8_000))).await;
                    self.charge(path, &hold, part, amount).await;
                }
                if self.dice.chance(700) {
                    let _sure = hold.release().await;
                }
            }
        }
    }

    fn billed(&self, part: usize, amount: u64) -> String {
        let id = format!("shop-{}/{part}", self.number);
        self.world.check().billed(&id, amount);
        id
    }

    fn heard(&mut self, path: &'static str, id: String, amount: u64) {
        self.world.check().charge_heard(path, &id);
        self.paid.push((path, id, amount));
    }

    async fn charge(&mut self, path: &'static str, hold: &HoldHandle, part: usize, amount: u64) {
        let id = self.billed(part, amount);
        let charge = Charge::from(usd(amount)).id(&id);
        if hold.charge(charge).await.is_ok_and(|reply| reply.recorded) {
            self.heard(path, id, amount);
        }
    }

    async fn settle(&mut self, path: &'static str, hold: &HoldHandle, amount: u64) {
        let id = self.billed(0, amount);
        if hold.settle([Charge::from(usd(amount)).id(&id)]).await.is_ok_and(|reply| reply.settled) {
            self.heard(path, id, amount);
        }
    }

    async fn refund(&mut self) {
        let Some((path, charge_id, amount)) = self.paid.pop() else { return };
        let back = self.dice.between(1, amount);
        let id = format!("back-{}", self.number);
        self.world.check().billed(&id, back);
        let request = RefundRequest { id, charge_id, amounts: usd(back), namespace: None };
        let _sure = self.client.budget(path).refund(request).await;
    }

    /// Only there where nothing is refunded: so all that was ever given counts.
    async fn top_up(&self) {
        let (id, window) = (format!("gift-{}", self.number), "all".to_owned());
        let amounts = usd(self.dice.between(1, 40));
        let request = TopUpRequest { id, window, amounts, ..TopUpRequest::default() };
        let _sure = self.client.budget("loose").top_up(request).await;
    }
}

fn usd(amount: u64) -> Amounts {
    Amounts::of([("usd", amount)])
}
