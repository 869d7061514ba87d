//! The audit as people take it away: everything that a filter finds, written while it is read.

use super::{
    audit::{Entry, Search},
    streams::Slot,
};
use crate::{
    engine::Engine,
    http::{
        Ask, Problem, Reply,
        table::{Format, Rows},
    },
    kernel::FeedCursor,
};
use std::time::Duration;
use tokio::sync::mpsc;

/// Pieces that wait for a reader.
const PIECES: usize = 2;

const COLUMNS: [&str; 10] = ["at", "type", "outcome", "entity", "kind", "revision", "by", "person", "from", "data"];

/// Writes all of a search, newest first, at most `limit` entries.
pub(super) fn all(
    ask: &Ask,
    search: Search,
    before: Option<FeedCursor>,
    limit: usize,
    format: Format,
) -> Result<Reply, Problem> {
    let slot = ask.streams().enter(search.filter.org)?;
    let (pieces, taken) = mpsc::channel(PIECES);
    let slow = ask.streams().slow();
    tokio::task::spawn_local(write(ask.engine.clone(), search, before, limit, format, Out { pieces, slow, slot }));
    Ok(Reply::stream(format.content_type(), taken))
}

struct Out {
    pieces: mpsc::Sender<Vec<u8>>,
    slow: Duration,
    slot: Slot,
}

async fn write(
    engine: Engine,
    search: Search,
    mut before: Option<FeedCursor>,
    mut limit: usize,
    format: Format,
    out: Out,
) {
    let mut rows = Rows::default();
    if format == Format::Csv {
        rows.row(COLUMNS);
    }
    loop {
        // The head of the answer is out: all that can be done is to break off.
        let Ok(page) = search.look(&engine, before).await else { return };
        let mut piece = rows.take();
        for entry in page.entries.iter().take(limit) {
            match format {
                Format::Csv => csv(entry, &mut rows),
                _ => {
                    piece.extend(serde_json::to_vec(entry).unwrap_or_default());
                    piece.push(b'\n');
                }
            }
        }
        piece.extend(rows.take());
        if !piece.is_empty() && out.pieces.send_timeout(piece, out.slow).await.is_err() {
            return;
        }
        limit = limit.saturating_sub(page.entries.len());
        before = Some(page.reached);
        if page.at_end || limit == 0 || out.slot.is_ended() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

fn csv(entry: &Entry, rows: &mut Rows) {
    let item = &entry.item;
    let (at, revision, data) = (item.at.to_string(), item.revision.to_string(), item.data.to_string());
    let from = item.from.map(|from| from.to_string()).unwrap_or_default();
    rows.row([
        &*at,
        item.r#type,
        item.outcome.name(),
        &item.entity,
        item.kind,
        &revision,
        &item.by,
        item.person().unwrap_or_default(),
        &from,
        &data,
    ]);
}
