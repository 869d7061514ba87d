//! Which webhooks there are: starts, restarts and ends their followers, and wakes them when there is news.

use super::{
    Dispatch, Order, extra,
    follower::{Follower, Signs, Stop},
};
use crate::{
    delivery::webhooks::rows::WebhookRow,
    kernel::{Address, Codec, OrgId, RowOp, RowSpace, UnixMillis, WebhookId},
    store::{StoreError, keys},
};
use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    task::{JoinHandle, spawn_local},
};

/// How often all webhooks are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// News is told at this pace.
const NEWS_PACE: Duration = Duration::from_millis(25);
/// Rows read in one go.
const PAGE: usize = 500;

struct Following {
    changed: u64,
    stop: watch::Sender<Option<Duration>>,
    signs: Rc<Signs>,
    ended: JoinHandle<()>,
}

#[derive(Default)]
struct Registry {
    following: HashMap<Address, Following>,
    /// All that were there at the last look.
    seen: HashSet<Address>,
}

pub(super) async fn run(
    dispatch: Rc<Dispatch>,
    mut orders: mpsc::Receiver<Order>,
    mut stopped: watch::Receiver<Option<Duration>>,
) {
    for partition in dispatch.engine.db().partitions().all() {
        spawn_local(tell_news(Rc::clone(&dispatch), partition));
    }
    let mut registry = Registry::default();
    sweep(&dispatch).await;
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = stopped.wait_for(Option::is_some) => break,
            _ = look.tick() => registry.look_at_all(&dispatch).await,
            order = orders.recv() => match order {
                Some(order) => registry.obey(&dispatch, order).await,
                None => break,
            }
        }
    }
    let within = (*stopped.borrow()).unwrap_or_default();
    for following in registry.following.values() {
        following.stop.send_replace(Some(within));
    }
    for (_, following) in registry.following {
        let _ = following.ended.await;
    }
}

impl Registry {
    async fn obey(&mut self, dispatch: &Rc<Dispatch>, order: Order) {
        match order {
            Order::Changed(webhook) => match row_of(dispatch, webhook) {
                Ok(Some(row)) => self.found(dispatch, webhook, &row),
                Ok(None) => self.vanished(dispatch, webhook).await,
                Err(error) => tracing::error!(%error, "a webhook cannot be read"),
            },
            Order::Now(now, answer) => {
                let dispatch = Rc::clone(dispatch);
                spawn_local(async move {
                    let told = match row_of(&dispatch, now.webhook) {
                        Ok(Some(row)) => extra::send(dispatch, *now, row).await,
                        Ok(None) => Ok(None),
                        Err(error) => Err(error),
                    };
                    match told {
                        // Whoever asked may have hung up.
                        Ok(Some(told)) => drop(answer.send(told)),
                        Ok(None) => {}
                        Err(error) => tracing::error!(%error, "a webhook cannot be read"),
                    }
                });
            }
        }
    }

    async fn look_at_all(&mut self, dispatch: &Rc<Dispatch>) {
        let mut seen = HashSet::new();
        let (mut active, mut paused) = (0u32, 0u32);
        let partitions = dispatch.engine.db().partitions().all();
        for partition in partitions {
            let prefix = keys::row_space(partition, RowSpace::Webhooks);
            let mut after: Option<Vec<u8>> = None;
            loop {
                let rows = match dispatch.engine.db().scan(&prefix, after.as_deref(), PAGE) {
                    Ok(rows) => rows,
                    Err(error) => return tracing::error!(%error, "webhooks cannot be read"),
                };
                for (key, value) in &rows {
                    let Some(webhook) = address_of(key) else { continue };
                    match WebhookRow::decode_from(value) {
                        Ok(row) => {
                            seen.insert(webhook);
                            *(if row.is_active() { &mut active } else { &mut paused }) += 1;
                            self.found(dispatch, webhook, &row);
                        }
                        Err(error) => tracing::error!(error, "a webhook's row cannot be read"),
                    }
                }
                if rows.len() < PAGE {
                    break;
                }
                after = rows.into_iter().next_back().map(|(key, _)| key);
                tokio::task::yield_now().await;
            }
        }
        let gone: Vec<_> = self.seen.difference(&seen).copied().collect();
        self.seen = seen;
        for webhook in gone {
            // It may have been made while the rows were read.
            if matches!(row_of(dispatch, webhook), Ok(None)) {
                self.vanished(dispatch, webhook).await;
            }
        }
        let now = dispatch.now();
        let oldest = self.following.values().filter_map(|following| following.signs.oldest.get()).min();
        dispatch.metrics.lag.set(oldest.map_or(0.0, |oldest: UnixMillis| now.since(oldest).as_secs_f64()));
        dispatch.metrics.active.set(f64::from(active));
        dispatch.metrics.paused.set(f64::from(paused));
    }

    /// Lets a webhook be followed as its row says.
    fn found(&mut self, dispatch: &Rc<Dispatch>, webhook: Address, row: &WebhookRow) {
        self.seen.insert(webhook);
        let known = self.following.get(&webhook);
        if known.is_some_and(|known| known.changed == row.changed) {
            return;
        }
        if known.is_none() && !row.is_active() {
            return;
        }
        let before = self.following.remove(&webhook).map(|before| {
            before.stop.send_replace(Some(dispatch.config.timeout));
            before.ended
        });
        let (stop, stopped) = watch::channel(None);
        let signs = Rc::<Signs>::default();
        let follow = follow(Rc::clone(dispatch), webhook, row.clone(), Rc::clone(&signs), stopped, before);
        let following = Following { changed: row.changed, stop, signs, ended: spawn_local(follow) };
        self.following.insert(webhook, following);
    }

    async fn vanished(&mut self, dispatch: &Rc<Dispatch>, webhook: Address) {
        self.seen.remove(&webhook);
        if let Some(following) = self.following.remove(&webhook) {
            following.stop.send_replace(Some(Duration::ZERO));
            let _ = following.ended.await;
        }
        dispatch.books.borrow_mut().remove(&webhook);
        forget(dispatch, webhook).await;
    }
}

/// The life of a follower, behind the one before it.
async fn follow(
    dispatch: Rc<Dispatch>,
    webhook: Address,
    row: WebhookRow,
    signs: Rc<Signs>,
    mut stop: Stop,
    before: Option<JoinHandle<()>>,
) {
    if let Some(before) = before {
        let _ = before.await;
    }
    if !row.is_active() {
        return;
    }
    loop {
        match Follower::new(Rc::clone(&dispatch), webhook, row.clone(), Rc::clone(&signs)) {
            Ok(Some(follower)) => return follower.run(stop).await,
            Ok(None) => return,
            Err(error) => tracing::error!(%error, webhook = %webhook.entity, "a webhook cannot be followed"),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = stop.wait_for(Option::is_some) => return,
        }
    }
}

/// Wakes the followers of every organisation that something new is durable of.
async fn tell_news(dispatch: Rc<Dispatch>, partition: u8) {
    let mut end = dispatch.engine.feed_news(partition);
    let mut told = end.borrow_and_update().position;
    while end.changed().await.is_ok() {
        let upto = end.borrow_and_update().position;
        if dispatch.news.borrow().is_empty() {
            told = upto;
            tokio::time::sleep(NEWS_PACE).await;
            continue;
        }
        match dispatch.engine.db().feed_orgs(partition, told, upto) {
            Ok((orgs, reached)) => {
                told = reached;
                let news = dispatch.news.borrow();
                orgs.iter().filter_map(|org| news.get(org)).for_each(|news| news.notify_waiters());
            }
            // Everybody looks by himself before long.
            Err(error) => tracing::error!(%error, "news of the feed cannot be read"),
        }
        tokio::time::sleep(NEWS_PACE).await;
    }
}

fn address_of(key: &[u8]) -> Option<Address> {
    let (org, webhook) = key.get(keys::ROW_PREFIX - 16..)?.split_at_checked(16)?;
    Some(WebhookId::from_bytes(webhook.get(..16)?)?.at(OrgId::from_bytes(org)?))
}

fn row_of(dispatch: &Dispatch, webhook: Address) -> Result<Option<WebhookRow>, StoreError> {
    let db = dispatch.engine.db();
    let key = webhook.entity.raw.to_be_bytes();
    let row = db.get(&keys::row(db.partition_of(webhook.org), RowSpace::Webhooks, webhook.org, &key))?;
    let read = |bytes: Vec<u8>| WebhookRow::decode_from(&bytes);
    row.map(read).transpose().map_err(|why| StoreError::Corrupt { what: "webhook's row", why })
}

/// Removes cursor and log of a webhook that is no more.
async fn forget(dispatch: &Dispatch, webhook: Address) {
    let prefix = webhook.entity.raw.to_be_bytes();
    loop {
        let space = RowSpace::WebhookDeliveries;
        let rows = match dispatch.engine.db().rows(space, webhook.org, &prefix, None, PAGE) {
            Ok(rows) => rows,
            Err(error) => return tracing::error!(%error, "a webhook's log cannot be read"),
        };
        if rows.is_empty() || dispatch.engine.is_read_only() {
            return;
        }
        let gone: Vec<_> =
            rows.into_iter().map(|(key, _)| RowOp { space, org: webhook.org, key, value: None }).collect();
        if !dispatch.engine.keep_rows(webhook.org, &gone).await {
            return;
        }
    }
}

/// Removes what is left of webhooks that were removed just before the server stopped.
async fn sweep(dispatch: &Rc<Dispatch>) {
    for partition in dispatch.engine.db().partitions().all() {
        let prefix = keys::row_space(partition, RowSpace::WebhookDeliveries);
        let mut after: Option<Vec<u8>> = None;
        while let Ok(rows) = dispatch.engine.db().scan(&prefix, after.as_deref(), 1) {
            let Some(webhook) = rows.first().and_then(|(key, _)| address_of(key)) else { break };
            if matches!(row_of(dispatch, webhook), Ok(None)) {
                forget(dispatch, webhook).await;
            }
            // Behind all of its rows.
            let raw = webhook.entity.raw.to_be_bytes();
            let last = keys::row(partition, RowSpace::WebhookDeliveries, webhook.org, &raw);
            after = Some([&last[..], &[0xff; 9]].concat());
            tokio::task::yield_now().await;
        }
    }
}
