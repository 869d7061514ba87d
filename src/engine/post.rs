//! What leaves the server: mails. The outbox itself is the queue, with a lane per recipient, each in order; memory holds
//! only the lanes that are being served and those that rest after a failure, both bounded. A thread of its own, so that
//! a mail server that is slow or dead never holds up messages between entities.

use super::{
    Shared,
    background::{forget, is_over},
    work::Delivered,
};
use crate::{
    kernel::{Address, Incoming, MailCopy, MailTrouble, OrgId, UnixMillis, time},
    store::{
        Db, Family, Keyring,
        keys::{self, KeyKind},
        record::MailItem,
    },
};
use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    fmt::Debug,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_local,
};

/// Carries mails to people. What it may read for that is in the post it is given.
pub trait Courier: Debug + Send + Sync {
    /// Tries once, and comes back in bounded time.
    fn carry<'a>(&'a self, post: Post<'a>) -> Pin<Box<dyn Future<Output = Carried> + 'a>>;

    /// What the entity that asked is told when the mail was taken, if it wants to hear of it.
    fn accepted(&self, _mail: &MailCopy) -> Option<Vec<u8>> {
        None
    }

    /// What the organisation is told of a mail that died.
    fn died(&self, mail: &MailCopy, trouble: MailTrouble, code: Option<u16>) -> Vec<u8>;

    fn limits(&self) -> PostLimits;
}

/// One mail, and where to read what it is about.
#[derive(Clone, Copy)]
pub struct Post<'a> {
    pub db: &'a Db,
    pub keys: &'a Keyring,
    pub item: &'a MailItem,
}

/// What became of one try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carried {
    Sent,
    /// Nobody wants such mails (any more).
    Unwanted,
    Failed {
        trouble: MailTrouble,
        /// As the mail server said it.
        code: Option<u16>,
    },
}

#[derive(Debug, Clone, Copy)]
pub struct PostLimits {
    /// Mails under way at once.
    pub at_once: usize,
    /// The span of the first pause; each further one may be twice as long.
    pub retry_first: Duration,
    pub retry_longest: Duration,
}

/// Lanes that rest after a failure and are remembered; beyond it the one that would rest longest is forgotten, which
/// only means that it is tried sooner.
const RESTING_MAX: usize = 10_000;
/// A mail server that is down is asked again at the latest after this.
const SERVER_REST_MAX: Duration = Duration::from_secs(30);
/// Mails of one lane sent in one go, before others have their turn.
const LANE_TURN: usize = 32;
/// Lanes looked at before other tasks of this thread have their turn.
const LOOKS: usize = 128;
/// How often the lanes are looked at when nothing new has come.
const ROUND_PACE: Duration = Duration::from_millis(500);
/// How long mails under way may take when the server stops. What is not done then is sent again after the start.
const LAST_POST: Duration = Duration::from_secs(3);

type Lane = Vec<u8>;

/// Who has failed and is left alone for a while.
#[derive(Debug, Clone, Copy)]
struct Rest {
    failures: u32,
    until: Instant,
    trouble: MailTrouble,
    code: Option<u16>,
}

struct Office {
    shared: Arc<Shared>,
    courier: Arc<dyn Courier>,
    limits: PostLimits,
    room: Arc<Semaphore>,
    busy: RefCell<HashSet<Lane>>,
    resting: RefCell<HashMap<Lane, Rest>>,
    /// Of the mail server as a whole.
    server: RefCell<Option<Rest>>,
}

pub(super) fn start(shared: Arc<Shared>, courier: Arc<dyn Courier>) -> std::io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("post".to_owned()).spawn(move || {
        let limits = courier.limits();
        let office = Rc::new(Office {
            room: Arc::new(Semaphore::new(limits.at_once.max(1))),
            busy: RefCell::default(),
            resting: RefCell::default(),
            server: RefCell::default(),
            shared,
            courier,
            limits,
        });
        tokio::task::LocalSet::new().block_on(&runtime, serve(office));
    })
}

async fn serve(office: Rc<Office>) {
    let shared = &office.shared;
    let (lanes_gauge, age_gauge) = (
        metrics::gauge!("castellan_outbox_lanes", "outbox" => "mails", "partition" => "all"),
        metrics::gauge!("castellan_mail_outbox_age_seconds"),
    );
    while !is_over(shared) {
        let started = time::instant();
        let seen = round(&office).await;
        lanes_gauge.set(seen.lanes as f64);
        let age = seen.oldest.map_or(Duration::ZERO, |oldest| shared.clock.now().since(oldest));
        age_gauge.set(age.as_secs_f64());
        // Looking at very many lanes must not become all that this thread does.
        tokio::time::sleep((started.elapsed() * 2).min(ROUND_PACE)).await;
        let _ = tokio::time::timeout(office.next_pause(), shared.post_news.notified()).await;
    }
    let until = time::instant() + LAST_POST;
    while !office.busy.borrow().is_empty() && time::instant() < until {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What a look at all lanes saw.
#[derive(Default)]
struct Seen {
    lanes: usize,
    oldest: Option<UnixMillis>,
}

/// Looks at the first mail of every lane, and puts the lanes to work that are due.
async fn round(office: &Rc<Office>) -> Seen {
    let shared = &office.shared;
    let mut seen = Seen::default();
    for partition in shared.db.partitions().all() {
        let prefix = keys::prefix(partition, KeyKind::Post);
        let mut from = prefix.clone();
        while !is_over(shared) {
            let (key, value) = match shared.db.first_from(Family::Default, &prefix, &from) {
                Ok(Some(row)) => row,
                Ok(None) => break,
                Err(error) => {
                    tracing::error!(%error, "the mails in the outbox cannot be read");
                    break;
                }
            };
            let lane = key[..keys::POST_LANE.min(key.len())].to_vec();
            // Behind everything of this lane.
            from = [lane.as_slice(), &[u8::MAX; 13]].concat();
            seen.lanes += 1;
            if seen.lanes.is_multiple_of(LOOKS) {
                tokio::task::yield_now().await;
            }
            let Ok(item) = minicbor::decode::<MailItem>(&value) else {
                tracing::error!(partition, "a mail in the outbox cannot be read: its lane stands still");
                continue;
            };
            seen.oldest = Some(seen.oldest.map_or(item.since, |oldest| oldest.min(item.since)));
            if !office.is_due(&lane, &item) {
                continue;
            }
            let Some(permit) = office.permit().await else { return seen };
            // The mail server may have failed while this lane waited for its turn.
            if office.is_due(&lane, &item) {
                office.busy.borrow_mut().insert(lane.clone());
                spawn_local(run_lane(Rc::clone(office), lane, permit));
            }
        }
    }
    seen
}

async fn run_lane(office: Rc<Office>, lane: Lane, permit: OwnedSemaphorePermit) {
    for _ in 0..LANE_TURN {
        if is_over(&office.shared) {
            break;
        }
        let front = office.shared.db.first_from(Family::Default, &lane, &lane);
        let Ok(Some((key, value))) = front else { break };
        let Ok(item) = minicbor::decode::<MailItem>(&value) else { break };
        if !office.serve_one(&lane, key, &item).await {
            break;
        }
    }
    office.busy.borrow_mut().remove(&lane);
    drop(permit);
    // There may be more in this lane, or a lane that was left alone while a dead mail server was tried.
    office.shared.post_news.notify_one();
}

impl Office {
    /// Room for one more lane; `None` when the server is over before there is any.
    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        while !is_over(&self.shared) {
            let room = Arc::clone(&self.room).acquire_owned();
            if let Ok(permit) = tokio::time::timeout(ROUND_PACE, room).await {
                return permit.ok();
            }
        }
        None
    }

    fn is_due(&self, lane: &Lane, item: &MailItem) -> bool {
        // An organisation that is being erased sends nothing any more: its rows go with it.
        if self.busy.borrow().contains(lane) || self.shared.closed_orgs.has(org_of(item)) {
            return false;
        }
        if item.deadline <= self.shared.clock.now() {
            return true;
        }
        let now = time::instant();
        // A mail server that has failed is tried with one mail.
        let server = self.server.borrow().is_some_and(|rest| rest.until > now || !self.busy.borrow().is_empty());
        !server && self.resting.borrow().get(lane).is_none_or(|rest| rest.until <= now)
    }

    /// Until somebody's rest is over, but not for long.
    fn next_pause(&self) -> Duration {
        let (now, resting) = (time::instant(), self.resting.borrow());
        let rests = resting.values().chain(self.server.borrow().iter()).map(|rest| rest.until).min();
        let pause = rests.map_or(ROUND_PACE, |until| until.saturating_duration_since(now));
        pause.clamp(Duration::from_millis(5), ROUND_PACE)
    }

    /// Tries the first mail of a lane once. Whether the lane may go on.
    async fn serve_one(&self, lane: &Lane, key: Vec<u8>, item: &MailItem) -> bool {
        let shared = &self.shared;
        if item.deadline <= shared.clock.now() {
            let last = self.resting.borrow().get(lane).copied().or(*self.server.borrow());
            let (trouble, code) = last.map_or((MailTrouble::TooLate, None), |rest| (rest.trouble, rest.code));
            return self.bury(lane, key, item, trouble, code).await;
        }
        let started = time::instant();
        let carried = self.courier.carry(Post { db: &shared.db, keys: &shared.keys, item }).await;
        metrics::histogram!("castellan_mail_try_seconds").record(started.elapsed().as_secs_f64());
        match carried {
            Carried::Sent | Carried::Unwanted => {
                let outcome = if carried == Carried::Sent { "sent" } else { "unwanted" };
                metrics::counter!("castellan_mails_total", "outcome" => outcome).increment(1);
                self.resting.borrow_mut().remove(lane);
                self.server.borrow_mut().take();
                match self.courier.accepted(&item.mail).filter(|_| carried == Carried::Sent) {
                    Some(body) => {
                        let told = self.told(item.mail.name.from, item, &body, &key).await;
                        if !told {
                            // It will be sent once more: not at once.
                            self.let_rest(lane, MailTrouble::Deferred, None);
                        }
                        told
                    }
                    None => forget(shared, org_of(item), Some(key)).await,
                }
            }
            Carried::Failed { trouble, code } if trouble.is_final() => self.bury(lane, key, item, trouble, code).await,
            Carried::Failed { trouble, code } => {
                metrics::counter!("castellan_mail_retries_total", "reason" => trouble.name()).increment(1);
                tracing::warn!(reason = trouble.name(), code, template = %item.mail.template, "a mail waits");
                if trouble.is_of_the_server() {
                    let mut server = self.server.borrow_mut();
                    let longest = self.limits.retry_longest.min(SERVER_REST_MAX);
                    *server = Some(self.rest(server.map_or(0, |rest| rest.failures), longest, trouble, code));
                } else {
                    self.server.borrow_mut().take();
                    self.let_rest(lane, trouble, code);
                }
                false
            }
        }
    }

    /// Exponential back-off with full jitter.
    fn rest(&self, failures: u32, longest: Duration, trouble: MailTrouble, code: Option<u16>) -> Rest {
        let first = self.limits.retry_first;
        let span = first.saturating_mul(1 << failures.min(20)).min(longest);
        let span_ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1);
        let pause = Duration::from_millis(self.shared.chance.below(span_ms)).max(first / 8);
        Rest { failures: failures.saturating_add(1), until: time::instant() + pause, trouble, code }
    }

    fn let_rest(&self, lane: &Lane, trouble: MailTrouble, code: Option<u16>) {
        let mut resting = self.resting.borrow_mut();
        let failures = resting.get(lane).map_or(0, |rest| rest.failures);
        if failures == 0 && resting.len() >= RESTING_MAX {
            let longest = resting.iter().max_by_key(|(_, rest)| rest.until).map(|(lane, _)| lane.clone());
            longest.map(|lane| resting.remove(&lane));
        }
        resting.insert(lane.clone(), self.rest(failures, self.limits.retry_longest, trouble, code));
    }

    /// Tells the organisation that a mail died; the row goes with its record. Whether it is done.
    async fn bury(&self, lane: &Lane, key: Vec<u8>, item: &MailItem, trouble: MailTrouble, code: Option<u16>) -> bool {
        let org = org_of(item);
        let body = self.courier.died(&item.mail, trouble, code);
        if self.told(org.at(org), item, &body, &key).await {
            tracing::warn!(reason = trouble.name(), code, template = %item.mail.template, "a mail died");
            metrics::counter!("castellan_mails_total", "outcome" => "dead").increment(1);
            metrics::counter!("castellan_mails_dead_total", "reason" => trouble.name()).increment(1);
            self.resting.borrow_mut().remove(lane);
            return true;
        }
        self.let_rest(lane, trouble, code);
        false
    }

    /// Tells an entity what became of a mail; the row goes with its record. Whether it is done.
    async fn told(&self, to: Address, item: &MailItem, body: &[u8], key: &[u8]) -> bool {
        let shared = &self.shared;
        let from = item.mail.name.from;
        let incoming =
            Incoming { to, from, body, secret: None, unclaimed: false, keys: &*shared.keys, chance: &shared.chance };
        let told = match shared.kinds.get(&to.entity.kind) {
            Some(kind) => kind.own_work().notice(shared, incoming, key),
            None => Err("no such kind of entity".to_owned()),
        };
        match told {
            Ok(told) => told.await == Ok(Delivered::Done),
            Err(why) => {
                tracing::error!(%why, "nobody can be told what became of a mail");
                false
            }
        }
    }
}

fn org_of(item: &MailItem) -> OrgId {
    item.mail.name.from.org
}
