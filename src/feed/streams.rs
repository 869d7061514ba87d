//! Server-sent events. A stream holds nothing but its cursor: what a reader has not taken stands in the feed, so that
//! whoever is too slow, or was away, goes on from the last event that he has seen.

use super::{
    item::items,
    query::{Filter, unreadable, unrendered},
};
use crate::{
    config,
    engine::Engine,
    http::{
        Ask, Code, Problem, Reply,
        auth::{self, Caller},
        table::Format,
    },
    kernel::{FeedCursor, OrgId, time},
    metrics,
    store::{FeedError, FeedPage, StoreError},
};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, watch};

/// How many streams are open, and whether they end.
pub struct Streams {
    open: Mutex<Open>,
    ended: watch::Sender<bool>,
    total_max: usize,
    per_organisation_max: usize,
    heartbeat: Duration,
    slow: Duration,
}

#[derive(Default)]
struct Open {
    total: usize,
    by_organisation: HashMap<OrgId, usize>,
}

/// One open stream's place.
pub struct Slot {
    streams: Arc<Streams>,
    org: OrgId,
}

impl Streams {
    pub fn new(config: &config::Feed) -> Self {
        Self {
            open: Mutex::default(),
            ended: watch::Sender::new(false),
            total_max: config.streams_max,
            per_organisation_max: config.streams_per_organisation_max,
            heartbeat: Duration::from_secs(config.heartbeat_s),
            slow: Duration::from_secs(config.slow_reader_s),
        }
    }

    /// The server stops: every stream ends, readers go on elsewhere or later.
    pub fn end(&self) {
        self.ended.send_replace(true);
    }

    /// How long a piece may wait to be taken.
    pub fn slow(&self) -> Duration {
        self.slow
    }

    pub fn enter(self: &Arc<Self>, org: OrgId) -> Result<Slot, Problem> {
        let mut open = self.open.lock();
        if *self.ended.borrow() {
            return Err(Problem::from(Code::Stopping).retry_after_s(5));
        }
        if open.by_organisation.get(&org).is_some_and(|known| *known >= self.per_organisation_max) {
            return Err(Problem::from(Code::TooManyStreams).retry_after_s(30));
        }
        if open.total >= self.total_max {
            return Err(Problem::detailed(Code::Busy, "as many streams are open as may be").retry_after_s(30));
        }
        open.total += 1;
        *open.by_organisation.entry(org).or_default() += 1;
        ::metrics::gauge!(metrics::FEED_STREAMS).set(open.total as f64);
        Ok(Slot { streams: Arc::clone(self), org })
    }
}

impl Slot {
    pub fn is_ended(&self) -> bool {
        *self.streams.ended.borrow()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.streams.open.lock();
        open.total = open.total.saturating_sub(1);
        if let Some(known) = open.by_organisation.get_mut(&self.org) {
            *known -= 1;
            if *known == 0 {
                open.by_organisation.remove(&self.org);
            }
        }
        ::metrics::gauge!(metrics::FEED_STREAMS).set(open.total as f64);
    }
}

/// Pieces that wait for a reader.
const PIECES: usize = 2;
/// A piece is sent when it has so many bytes, or when there is no more.
const PIECE_BYTES: usize = 32 << 10;
/// Records of one look.
const RECORDS: usize = 100;
/// News come with every batch; a stream looks at most so often.
const PACE: Duration = Duration::from_millis(50);
/// How often a stream looks whether its token still holds.
const CHECK: Duration = Duration::from_secs(1);
/// When a reader that was cut off should come again; jittered, so that not all come at once.
const RETRY_MS: u64 = 1_000;

pub(super) async fn follow(ask: Ask, filter: Filter, after: Option<FeedCursor>) -> Result<Reply, Problem> {
    let slot = ask.streams().enter(filter.org)?;
    let end = ask.engine.feed_end(filter.org);
    // A cursor that leads nowhere is told before the stream begins.
    let start = ask.engine.feed_where(filter.query(0), after).await.map_err(|error| unreadable(error, end))?;
    let (pieces, taken) = mpsc::channel(PIECES);
    let hello = format!("retry: {}\n: connected\n\n", RETRY_MS + ask.engine.chance().below(2 * RETRY_MS));
    let _ = pieces.try_send(hello.into_bytes());
    let follower = Follower {
        engine: ask.engine.clone(),
        caller: ask.caller,
        ended: slot.streams.ended.subscribe(),
        slot,
        filter,
        // Without a cursor the first look finds the earliest place itself, also when it is moving.
        after: after.map(|_| start.reached),
        pieces,
        is_live: false,
    };
    tokio::task::spawn_local(follower.run());
    Ok(Reply::stream(Format::EventStream.media_type(), taken))
}

struct Follower {
    engine: Engine,
    caller: Caller,
    slot: Slot,
    ended: watch::Receiver<bool>,
    filter: Filter,
    after: Option<FeedCursor>,
    pieces: mpsc::Sender<Vec<u8>>,
    /// It has once seen all there was.
    is_live: bool,
}

/// Why a stream ends; the label of its metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    ReaderGone,
    Slow,
    TokenInvalid,
    Stopping,
    Trimmed,
    Failed,
}

impl End {
    fn name(self) -> &'static str {
        match self {
            Self::ReaderGone => "reader_gone",
            Self::Slow => "slow",
            Self::TokenInvalid => "token_invalid",
            Self::Stopping => "stopping",
            Self::Trimmed => "trimmed",
            Self::Failed => "failed",
        }
    }
}

impl Follower {
    async fn run(mut self) {
        let Err(end) = self.go_on().await;
        ::metrics::counter!(metrics::FEED_STREAM_ENDS, "why" => end.name()).increment(1);
    }

    async fn go_on(&mut self) -> Result<std::convert::Infallible, End> {
        let mut news = self.engine.feed_news(self.engine.db().partition_of(self.filter.org));
        let mut checked = time::instant();
        let mut beaten = time::instant();
        loop {
            news.borrow_and_update();
            if self.send_all().await? {
                beaten = time::instant();
            }
            loop {
                let heartbeat_due = beaten + self.slot.streams.heartbeat;
                match self.wait(&mut news, heartbeat_due.min(checked + CHECK)).await? {
                    Waited::News => break,
                    Waited::Long => {}
                }
                checked = time::instant();
                self.check().await?;
                if checked >= heartbeat_due {
                    self.beat().await?;
                    beaten = checked;
                }
            }
            tokio::time::sleep(PACE).await;
        }
    }

    async fn wait(&mut self, news: &mut watch::Receiver<FeedCursor>, until: Instant) -> Result<Waited, End> {
        tokio::select! {
            biased;
            _ = self.ended.wait_for(|ended| *ended) => Err(End::Stopping),
            () = self.pieces.closed() => Err(End::ReaderGone),
            () = tokio::time::sleep_until(until.into()) => Ok(Waited::Long),
            told = news.changed() => told.map(|()| Waited::News).map_err(|_| End::Stopping),
        }
    }

    /// Sends what there is behind the cursor; whether that was anything.
    async fn send_all(&mut self) -> Result<bool, End> {
        let mut piece = Vec::new();
        let mut sent = false;
        loop {
            let page = self.look().await?;
            let now = self.engine.clock().now();
            for record in &page.records {
                let shown = items(record).map_err(unrendered).map_err(|_| End::Failed)?;
                for item in shown.iter().filter(|item| self.filter.wants(item)) {
                    let json = serde_json::to_string(item).map_err(|_| End::Failed)?;
                    piece.extend_from_slice(format!("id: {}\ndata: {json}\n\n", item.cursor).as_bytes());
                    if self.is_live {
                        ::metrics::histogram!(metrics::FEED_LAG).record(now.since(item.at).as_secs_f64());
                    }
                }
                if piece.len() >= PIECE_BYTES {
                    self.send(std::mem::take(&mut piece)).await?;
                    sent = true;
                }
            }
            self.after = Some(page.reached);
            if page.at_end {
                self.is_live = true;
                if !piece.is_empty() {
                    self.send(piece).await?;
                    sent = true;
                }
                return Ok(sent);
            }
            // Catching up must not starve whoever else lives on this worker.
            tokio::task::yield_now().await;
        }
    }

    async fn look(&mut self) -> Result<FeedPage, End> {
        loop {
            if *self.ended.borrow() {
                return Err(End::Stopping);
            }
            ::metrics::counter!(metrics::FEED_READS, "by" => "stream").increment(1);
            let end = self.engine.feed_end(self.filter.org);
            match self.engine.feed_where(self.filter.query(RECORDS), self.after).await {
                Ok(page) => return Ok(page),
                Err(FeedError::Store(StoreError::Busy)) => tokio::time::sleep(4 * PACE).await,
                Err(FeedError::Trimmed { .. } | FeedError::Unknown) => {
                    let code = Code::CursorTrimmed.as_str();
                    let told = format!("event: trimmed\ndata: {{\"code\":\"{code}\",\"snapshot\":\"{end}\"}}\n\n");
                    self.send(told.into_bytes()).await?;
                    return Err(End::Trimmed);
                }
                Err(FeedError::Store(error)) => {
                    tracing::error!(%error, "a stream cannot read on");
                    return Err(End::Failed);
                }
            }
        }
    }

    /// Says that the stream lives, and moves the reader's cursor on without an event.
    async fn beat(&mut self) -> Result<(), End> {
        let cursor = self.after.map(|after| format!("id: {after}\n")).unwrap_or_default();
        self.send(format!(": alive\n{cursor}\n").into_bytes()).await
    }

    async fn check(&self) -> Result<(), End> {
        if auth::still_holds(&self.engine, &self.caller).await { Ok(()) } else { Err(End::TokenInvalid) }
    }

    async fn send(&mut self, piece: Vec<u8>) -> Result<(), End> {
        tokio::select! {
            biased;
            _ = self.ended.wait_for(|ended| *ended) => Err(End::Stopping),
            sent = self.pieces.send_timeout(piece, self.slot.streams.slow) => sent.map_err(|error| match error {
                mpsc::error::SendTimeoutError::Timeout(_) => End::Slow,
                mpsc::error::SendTimeoutError::Closed(_) => End::ReaderGone,
            }),
        }
    }
}

enum Waited {
    News,
    /// It is time to look whether all is well.
    Long,
}
