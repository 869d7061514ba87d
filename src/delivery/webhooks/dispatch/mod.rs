//! The dispatcher: one thread of its own that follows the feed of every organisation with an active webhook and sends.
//!
//! Bounded everywhere: deliveries that are open, connections, attempts at once, the log. It holds up nobody: whoever
//! changes a webhook tells it, and if that is lost it looks by itself.

mod book;
mod extra;
mod follower;
mod health;
mod registry;
mod send;
mod window;

pub use health::Schedule;

use super::{
    reach::Reach,
    rows::{DeliveryRow, EventKey, SealedPlain, WebhookRow},
    state::Why,
};
use crate::{
    engine::Engine,
    kernel::{Address, Codec, OrgId, UnixMillis, VaultField},
    metrics as names,
    store::StoreError,
};
use book::Book;
use metrics::{Counter, Gauge, Histogram};
use send::{Attempt, Sender};
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    io,
    rc::Rc,
    thread::JoinHandle,
    time::Duration,
};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot, watch};

/// Limits of the dispatcher. `config/castellan.toml` says what each is for.
#[derive(Debug, Clone)]
pub struct DispatchConfig {
    pub reach: Reach,
    pub timeout: Duration,
    pub concurrency: usize,
    pub concurrency_per_endpoint: usize,
    pub open_per_endpoint: usize,
    pub open_total: usize,
    pub log_entries: u64,
    pub schedule: Schedule,
}

/// What is to be sent at once because somebody asked for it.
#[derive(Debug, Clone)]
pub struct Now {
    pub webhook: Address,
    /// The revision at which it was asked for.
    pub asked: u64,
    /// `None` for a test.
    pub event: Option<EventKey>,
    pub id: String,
    pub r#type: Box<str>,
    pub happened: UnixMillis,
    pub body: Vec<u8>,
}

enum Order {
    Changed(Address),
    Now(Box<Now>, oneshot::Sender<DeliveryRow>),
}

/// Orders that may wait for the dispatcher.
const ORDERS_MAX: usize = 256;

/// How the door speaks to the dispatcher. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle(mpsc::Sender<Order>);

impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Order")
    }
}

impl Handle {
    /// A webhook is not what it was. If this is lost in a rush, the next look at all of them finds it.
    pub fn changed(&self, webhook: Address) {
        let _ = self.0.try_send(Order::Changed(webhook));
    }

    /// Sends once and says what came of it; `None` if there is no room or no dispatcher.
    pub async fn send_now(&self, what: Now) -> Option<DeliveryRow> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(Order::Now(Box::new(what), answer)).ok()?;
        answered.await.ok()
    }
}

/// The dispatcher's thread.
pub struct Dispatcher {
    handle: Handle,
    stop: watch::Sender<Option<Duration>>,
    thread: JoinHandle<()>,
}

impl Dispatcher {
    pub fn start(engine: Engine, config: DispatchConfig) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            // Only names are resolved there.
            .max_blocking_threads(16)
            .thread_name("webhook-names")
            .build()?;
        let sender = Sender::new(config.reach.clone(), config.timeout, config.concurrency_per_endpoint)
            .map_err(io::Error::other)?;
        let (orders, received) = mpsc::channel(ORDERS_MAX);
        let (stop, stopped) = watch::channel(None);
        let thread = std::thread::Builder::new().name("webhooks".to_owned()).spawn(move || {
            let dispatch = Rc::new(Dispatch::new(engine, config, sender));
            tokio::task::LocalSet::new().block_on(&runtime, registry::run(dispatch, received, stopped));
            // A name that does not resolve must not hold up the end.
            runtime.shutdown_background();
        })?;
        Ok(Self { handle: Handle(orders), stop, thread })
    }

    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Sends nothing more, gives what is on its way so long, and remembers how far it came.
    pub async fn stop(self, within: Duration) {
        self.stop.send_replace(Some(within));
        let thread = self.thread;
        let _ = tokio::task::spawn_blocking(move || thread.join()).await;
    }
}

/// What all followers share.
struct Dispatch {
    engine: Engine,
    config: DispatchConfig,
    sender: Rc<Sender>,
    /// Attempts under way.
    sending: Semaphore,
    /// Deliveries read and not done, of all webhooks.
    open: Cell<usize>,
    books: RefCell<HashMap<Address, Rc<RefCell<Book>>>>,
    news: RefCell<HashMap<OrgId, Rc<Notify>>>,
    metrics: Metrics,
}

impl Dispatch {
    fn new(engine: Engine, config: DispatchConfig, sender: Sender) -> Self {
        Self {
            engine,
            sender: Rc::new(sender),
            sending: Semaphore::new(config.concurrency),
            open: Cell::new(0),
            books: RefCell::default(),
            news: RefCell::default(),
            metrics: Metrics::new(),
            config,
        }
    }

    fn now(&self) -> UnixMillis {
        self.engine.clock().now()
    }

    fn has_room(&self) -> bool {
        self.open.get() < self.config.open_total
    }

    fn take_room(&self, deliveries: usize) {
        self.open.set(self.open.get() + deliveries);
    }

    fn release(&self, deliveries: usize) {
        self.open.set(self.open.get().saturating_sub(deliveries));
    }

    /// Told when something of this organisation became durable.
    fn news_of(&self, org: OrgId) -> Rc<Notify> {
        Rc::clone(self.news.borrow_mut().entry(org).or_default())
    }

    fn sealed(&self, webhook: Address) -> Result<Option<SealedPlain>, StoreError> {
        let plain = self.engine.keys().read(self.engine.db(), webhook, VaultField::WebhookSecret)?;
        let read = |plain: zeroize::Zeroizing<Vec<u8>>| SealedPlain::decode_from(&plain);
        plain.map(read).transpose().map_err(|why| StoreError::Corrupt { what: "webhook's secret", why })
    }

    fn book(&self, webhook: Address, row: &WebhookRow) -> Result<Rc<RefCell<Book>>, StoreError> {
        if let Some(known) = self.books.borrow().get(&webhook) {
            return Ok(Rc::clone(known));
        }
        let book = Rc::new(RefCell::new(Book::open(self, webhook, row)?));
        self.books.borrow_mut().insert(webhook, Rc::clone(&book));
        Ok(book)
    }

    /// Writes what a book has, if it is time or must be.
    async fn keep(&self, book: &RefCell<Book>, must: bool) {
        if self.engine.is_read_only() {
            return book.borrow_mut().postpone(self.now());
        }
        let org = book.borrow().address.org;
        let Some(rows) = book.borrow_mut().take_due(self.now(), must) else { return };
        if !self.engine.keep_rows(org, &rows).await {
            book.borrow_mut().not_kept();
        }
    }
}

/// Metric handles, looked up once.
struct Metrics {
    delivered: Counter,
    attempt_seconds: Histogram,
    lag: Gauge,
    active: Gauge,
    paused: Gauge,
}

impl Metrics {
    fn new() -> Self {
        Self {
            delivered: metrics::counter!(names::WEBHOOK_DELIVERED),
            attempt_seconds: metrics::histogram!(names::WEBHOOK_ATTEMPT_SECONDS),
            lag: metrics::gauge!(names::WEBHOOK_LAG_SECONDS),
            active: metrics::gauge!(names::WEBHOOKS, "state" => "active"),
            paused: metrics::gauge!(names::WEBHOOKS, "state" => "paused"),
        }
    }

    fn count(&self, attempt: &Attempt) {
        self.attempt_seconds.record(f64::from(attempt.took_ms) / 1000.0);
        match attempt.error {
            None => self.delivered.increment(1),
            Some(error) => metrics::counter!(names::WEBHOOK_FAILED, "reason" => error.name()).increment(1),
        }
    }

    fn paused(&self, why: Why) {
        metrics::counter!(names::WEBHOOK_PAUSED, "reason" => why.name()).increment(1);
    }
}
