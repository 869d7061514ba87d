//! One webhook at work: reads its organisation's feed, sends, tries again, remembers.

use super::{
    Dispatch,
    book::{Book, Known},
    health::{Health, Pause, Verdict},
    send::{Attempt, Parcel},
    window::{Job, Window},
};
use crate::{
    delivery::webhooks::{
        message::{self, Told},
        rows::{SealedPlain, WebhookRow},
        state::{Command, Webhook, Why},
    },
    engine::Call,
    kernel::{Address, EntityId, FeedCursor, UnixMillis},
    store::{FeedError, FeedQuery, StoreError},
};
use reqwest::Url;
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    task::spawn_local,
};

/// Records read in one go.
const PAGE: usize = 128;
/// How many records may lie between the oldest delivery that is open and the newest that was read, for each that may
/// be open: behind a lane that fails the others go on for so long.
const SPAN: usize = 20;
/// If nobody says that there is news, it looks all the same.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long everybody waits at most when an endpoint is back.
const SPREAD_MS: u64 = 2000;
/// How long to wait when the store or an entity did not answer.
const TROUBLE: Duration = Duration::from_secs(2);

/// What the registry sees of a follower.
#[derive(Default)]
pub(super) struct Signs {
    /// When the oldest event happened that is not delivered.
    pub oldest: Cell<Option<UnixMillis>>,
}

/// How a follower is told to end: within this time.
pub(super) type Stop = watch::Receiver<Option<Duration>>;

pub(super) struct Follower {
    dispatch: Rc<Dispatch>,
    address: Address,
    row: WebhookRow,
    sealed: Rc<SealedPlain>,
    target: Option<Url>,
    book: Rc<RefCell<Book>>,
    signs: Rc<Signs>,
    window: Window,
    health: Health,
    known: Known,
    /// Whether what was tried before counts: not after a change by an administrator.
    fresh: bool,
    read_to: FeedCursor,
    /// There may be more to read than was read.
    more: bool,
    looked_at: UnixMillis,
    done: mpsc::UnboundedReceiver<Done>,
    tell: mpsc::UnboundedSender<Done>,
}

struct Done {
    lane: EntityId,
    job: Job,
    attempt: Attempt,
    at: UnixMillis,
}

/// Why a follower ends by itself.
enum End {
    Told,
    GivesUp(Why),
}

impl Follower {
    /// Everything that is needed to begin; a webhook that vanished meanwhile has no follower.
    pub fn new(
        dispatch: Rc<Dispatch>,
        address: Address,
        row: WebhookRow,
        signs: Rc<Signs>,
    ) -> Result<Option<Self>, StoreError> {
        let Some(sealed) = dispatch.sealed(address)? else { return Ok(None) };
        let book = dispatch.book(address, &row)?;
        let fresh = book.borrow().head.changed == row.changed;
        book.borrow_mut().follow(&row);
        let known = book.borrow().retrying(&dispatch)?;
        let health = Health::failing(book.borrow().head.failing_since);
        let (tell, done) = mpsc::unbounded_channel();
        let read_to = book
            .borrow()
            .cursor()
            .ok_or_else(|| StoreError::Corrupt { what: "webhook's cursor", why: "it cannot be read".to_owned() })?;
        Ok(Some(Self {
            target: dispatch.sender.target(&sealed),
            sealed: Rc::new(sealed),
            window: Window::default(),
            more: true,
            looked_at: UnixMillis(0),
            dispatch,
            address,
            row,
            book,
            signs,
            health,
            known,
            fresh,
            read_to,
            done,
            tell,
        }))
    }

    pub async fn run(mut self, mut stop: Stop) {
        let mut end = self.follow(&mut stop).await;
        self.dispatch.release(self.window.open());
        if let End::GivesUp(why) = end {
            self.keep(true).await;
            end = tokio::select! {
                () = self.give_up(why) => End::Told,
                _ = stop.wait_for(Option::is_some) => End::Told,
            };
        }
        let End::Told = end else { return };
        // What is on its way may still arrive: it need not be sent again then.
        let grace = (*stop.borrow()).unwrap_or_default();
        let last = async {
            while self.window.sending() > 0
                && let Some(done) = self.done.recv().await
            {
                let _ = self.conclude(done);
            }
        };
        let _ = tokio::time::timeout(grace, last).await;
        self.keep(true).await;
        self.signs.oldest.set(None);
    }

    async fn follow(&mut self, stop: &mut Stop) -> End {
        let news = self.dispatch.news_of(self.address.org);
        loop {
            let heard = news.notified();
            if let Err(why) = self.read().await {
                return End::GivesUp(why);
            }
            let wake = self.pump();
            self.keep(false).await;
            let now = self.dispatch.now();
            let look = self.looked_at.plus(LOOK_EVERY);
            let wake = [wake, self.book.borrow().due(), Some(look)].into_iter().flatten().min().unwrap_or(look);
            let pause = wake.since(now).max(Duration::from_millis(1));
            tokio::select! {
                _ = stop.wait_for(Option::is_some) => return End::Told,
                done = self.done.recv() => {
                    let mut next = done;
                    while let Some(done) = next {
                        if let Some(why) = self.conclude(done) {
                            return End::GivesUp(why);
                        }
                        next = self.done.try_recv().ok();
                    }
                }
                () = heard => self.more = true,
                () = tokio::time::sleep(pause) => {
                    let now = self.dispatch.now();
                    if now >= look {
                        (self.more, self.looked_at) = (true, now);
                    }
                }
            }
        }
    }

    fn is_full(&self) -> bool {
        let most = self.dispatch.config.open_per_endpoint;
        self.window.open() >= most
            || self.window.span() >= most * SPAN
            || (self.window.open() > 0 && !self.dispatch.has_room())
    }

    /// Fills the window.
    async fn read(&mut self) -> Result<(), Why> {
        while self.more && !self.is_full() {
            let engine = &self.dispatch.engine;
            let upto = engine.feed_end(self.address.org).position.saturating_sub(1);
            self.looked_at = self.dispatch.now();
            let page = match engine.db().feed(FeedQuery::of(self.address.org, PAGE), Some(self.read_to), upto) {
                Ok(page) => page,
                Err(FeedError::Trimmed { .. } | FeedError::Unknown) => return Err(Why::FeedTrimmed),
                Err(FeedError::Store(error)) => {
                    tracing::error!(%error, "the feed of a webhook cannot be read");
                    return Ok(());
                }
            };
            for found in &page.records {
                let told = message::told(&found.record);
                let jobs: Vec<_> = told.into_iter().filter_map(|told| self.job(told, found.record.at)).collect();
                self.dispatch.take_room(jobs.len());
                self.window.push(found.after, found.record.of.entity, jobs);
            }
            self.window.push(page.reached, self.address.entity, Vec::new());
            self.read_to = page.reached;
            self.more = !page.at_end;
            tokio::task::yield_now().await;
        }
        self.advance();
        Ok(())
    }

    fn job(&mut self, told: Told, happened: UnixMillis) -> Option<Job> {
        if !message::wants(&self.row.types, told.r#type) {
            return None;
        }
        let known = self.known.remove(&told.event);
        let before = known.as_ref().filter(|_| self.fresh);
        Some(Job {
            event: told.event,
            r#type: told.r#type.into(),
            happened,
            body: told.body.into(),
            number: known.as_ref().map(|row| row.number),
            attempts: before.map_or(0, |row| row.attempts),
            first_at: before.map(|row| row.first_at),
        })
    }

    /// Sends what is due. Says when to come again.
    fn pump(&mut self) -> Option<UnixMillis> {
        let now = self.dispatch.now();
        match self.health.pause() {
            Pause::None => {
                while self.window.sending() < self.dispatch.config.concurrency_per_endpoint
                    && let Some((lane, job)) = self.window.take(now)
                {
                    self.send(lane, job);
                }
            }
            Pause::Until(until) => {
                if self.window.sending() == 0
                    && until <= now
                    && let Some((lane, job)) = self.window.take_early()
                {
                    self.send(lane, job);
                }
            }
        }
        let may_send = self.window.sending() < self.dispatch.config.concurrency_per_endpoint;
        self.window.next_due(self.health.pause()).filter(|due| may_send && *due > now)
    }

    fn send(&self, lane: EntityId, job: Job) {
        let (dispatch, tell) = (Rc::clone(&self.dispatch), self.tell.clone());
        let (target, sealed) = (self.target.clone(), Rc::clone(&self.sealed));
        spawn_local(async move {
            let Ok(_permit) = dispatch.sending.acquire().await else { return };
            let at = dispatch.now();
            let id = message::id_of(job.event);
            let parcel = Parcel { id: &id, body: &job.body };
            let attempt = Rc::clone(&dispatch.sender).send(target, sealed, parcel, at).await;
            let _ = tell.send(Done { lane, job, attempt, at });
        });
    }

    /// Books an attempt. Says so when the webhook must pause.
    fn conclude(&mut self, done: Done) -> Option<Why> {
        let Done { lane, mut job, attempt, at } = done;
        let (now, config) = (self.dispatch.now(), &self.dispatch.config);
        job.attempts = job.attempts.saturating_add(1);
        let first_at = *job.first_at.get_or_insert(at);
        let number = *job.number.get_or_insert_with(|| self.book.borrow_mut().number());
        self.dispatch.metrics.count(&attempt);
        let Some(_) = attempt.error else {
            let mut book = self.book.borrow_mut();
            book.head.delivered_at = Some(at);
            book.tried(&job, number, &attempt, at, None);
            book.failing(None);
            drop(book);
            self.dispatch.release(1);
            self.window.delivered(lane);
            if self.health.succeeded() {
                let chance = self.dispatch.engine.chance();
                self.window.hurry(|| UnixMillis(now.0 + chance.below(SPREAD_MS)));
            }
            self.advance();
            return None;
        };
        let tries = (job.attempts, first_at);
        let chance = self.dispatch.engine.chance();
        let verdict = self.health.failed(lane, tries, attempt.retry_after, now, &config.schedule, chance);
        let (next_at, why) = match verdict {
            _ if attempt.is_gone() => (None, Some(Why::Gone)),
            Verdict::Dead => (None, Some(Why::Dead)),
            Verdict::Again(due) => (Some(due), None),
        };
        let mut book = self.book.borrow_mut();
        book.tried(&job, number, &attempt, at, next_at);
        book.failing(self.health.failing_since);
        drop(book);
        self.window.failed(lane, job, next_at.unwrap_or(now));
        why
    }

    fn advance(&mut self) {
        if let Some(cursor) = self.window.advance() {
            self.book.borrow_mut().advance(cursor);
        }
    }

    async fn keep(&mut self, must: bool) {
        self.signs.oldest.set(self.window.oldest());
        self.dispatch.keep(&self.book, must).await;
    }

    /// Pauses this webhook, as often as it takes.
    async fn give_up(&self, why: Why) {
        loop {
            let command = Command::GiveUp { base: self.row.changed, why };
            let call = Call::own(self.dispatch.now());
            match self.dispatch.engine.ask::<Webhook>(self.address, command, call).await {
                Ok(_) => break,
                Err(failure) => {
                    tracing::warn!(webhook = %self.address.entity, ?failure, "a webhook cannot be paused yet");
                    tokio::time::sleep(TROUBLE).await;
                }
            }
        }
        tracing::info!(webhook = %self.address.entity, why = why.name(), "webhook paused");
        self.dispatch.metrics.paused(why);
    }
}
