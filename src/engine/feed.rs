//! What has become durable, in order, for whoever follows an organisation.

use super::{Engine, Shared};
use crate::{
    kernel::{FeedCursor, OrgId, UnixMillis},
    store::{FeedError, FeedPage, FeedQuery, StoreError, Tail},
};
use tokio::sync::watch;

impl Shared {
    /// Nobody is told of what lies behind this.
    pub(super) fn tell_followers(&self, partition: u8, tail: &Tail) {
        let end = FeedCursor::before(tail.epoch, tail.position + 1);
        self.feed_news[usize::from(partition)].send_replace(end);
    }
}

impl Engine {
    /// The end of the feed of an organisation's partition, which moves on with every batch that becomes durable. Others
    /// of the partition move it too, so a follower looks at it in its own pace.
    pub fn feed_news(&self, partition: u8) -> watch::Receiver<FeedCursor> {
        self.shared.feed_news[usize::from(partition)].subscribe()
    }

    /// Where the feed of an organisation ends at the moment.
    pub fn feed_end(&self, org: OrgId) -> FeedCursor {
        *self.shared.feed_news[usize::from(self.shared.db.partition_of(org))].borrow()
    }

    /// Records of an organisation behind `after`, oldest first, at most `limit`. A bounded look: it may find less, even
    /// nothing, before the end.
    pub async fn feed(&self, org: OrgId, after: Option<FeedCursor>, limit: usize) -> Result<FeedPage, FeedError> {
        self.feed_where(FeedQuery::of(org, limit), after).await
    }

    /// The same for some of its entities.
    pub async fn feed_where(&self, query: FeedQuery, after: Option<FeedCursor>) -> Result<FeedPage, FeedError> {
        let upto = self.durable(query.org);
        self.with_db(move |db, _| Ok(db.feed(query, after, upto))).await?
    }

    /// Records before a place, or before the end: newest first.
    pub async fn feed_back(&self, query: FeedQuery, before: Option<FeedCursor>) -> Result<FeedPage, FeedError> {
        let upto = self.durable(query.org);
        self.with_db(move |db, _| Ok(db.feed_back(query, before, upto))).await?
    }

    /// A place before which all records are older than `at`, roughly.
    pub async fn feed_around(&self, org: OrgId, at: UnixMillis) -> Result<FeedCursor, StoreError> {
        let upto = self.durable(org);
        self.with_db(move |db, _| db.feed_around(org, at, upto)).await
    }

    fn durable(&self, org: OrgId) -> u64 {
        self.feed_end(org).position.saturating_sub(1)
    }
}
