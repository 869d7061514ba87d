//! Rows that the server itself writes anew, each only if nobody has touched it since it was read: the commit thread is
//! the only writer of its partition, so between two batches it can tell. Their entities need not wake.

use super::{
    Engine, Shared,
    committer::{CommitQueue, Item},
    inbox::{Deliver, NO_WORKER, Parcel},
    work::{Delivered, Done},
};
use crate::store::{Ops, StoreError};
use parking_lot::Mutex;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
    mpsc,
};
use tokio::sync::oneshot;

/// A row that becomes `value` if it is still `expected`.
#[derive(Debug, Clone)]
pub struct Guarded {
    pub key: Vec<u8>,
    pub expected: Vec<u8>,
    pub value: Vec<u8>,
}

struct Waiting {
    writes: Vec<Guarded>,
    written: oneshot::Sender<usize>,
}

#[derive(Default)]
pub(super) struct GuardedQueue {
    waiting: Mutex<Vec<Waiting>>,
    any: AtomicBool,
}

impl GuardedQueue {
    /// Writes what waits, as batches of their own between two others.
    pub fn write(&self, shared: &Shared, mut append: impl FnMut(Ops) -> bool) {
        if !self.any.load(Ordering::Relaxed) || !self.any.swap(false, Ordering::AcqRel) {
            return;
        }
        let waiting = std::mem::take(&mut *self.waiting.lock());
        for Waiting { writes, written } in waiting {
            let mut ops = Ops::default();
            let mut count = 0;
            for Guarded { key, expected, value } in &writes {
                if matches!(shared.db.get(key), Ok(Some(found)) if found == *expected) {
                    ops.put(key, value);
                    count += 1;
                }
            }
            // Who waits for an answer that does not come knows nothing, and looks again.
            if count == 0 || append(ops) {
                let _ = written.send(count);
            }
        }
    }
}

impl CommitQueue {
    fn submit_guarded(&self, writes: Vec<Guarded>, written: oneshot::Sender<usize>) {
        self.guarded.waiting.lock().push(Waiting { writes, written });
        self.guarded.any.store(true, Ordering::Release);
        self.wake();
    }
}

impl Engine {
    /// Writes those rows of a partition that are still as expected: how many. Durable when it returns. Not for workers:
    /// it waits.
    pub fn write_guarded(&self, partition: u8, writes: Vec<Guarded>) -> Result<usize, StoreError> {
        let (written, count) = oneshot::channel();
        self.shared.queues[usize::from(partition)].submit_guarded(writes, written);
        count.blocking_recv().map_err(|_| StoreError::Stopped)
    }

    /// Returns when every turn that had begun before is over and what came of it is durable. Not for workers: it waits.
    pub fn fence(&self) -> Result<(), StoreError> {
        struct Ping(mpsc::Sender<()>);
        impl Deliver for Ping {
            fn deliver(self: Box<Self>, _: &Arc<Shared>) {
                let _ = self.0.send(());
            }
        }
        let (ping, pong) = mpsc::channel();
        for inbox in &self.shared.inboxes {
            inbox.push(Parcel::Deliver(Box::new(Ping(ping.clone()))));
        }
        for _ in &self.shared.inboxes {
            self.wait_for(&pong)?;
        }
        for queue in &self.shared.queues {
            let (done, durable) = oneshot::channel();
            let finish: Box<dyn super::inbox::Finish> = Box::new(Done { delivered: Delivered::Done, done });
            queue.submit(Item { finish: Some(finish), origin: NO_WORKER, ..Item::default() });
            if durable.blocking_recv() != Ok(Delivered::Done) {
                return Err(StoreError::Stopped);
            }
        }
        Ok(())
    }

    /// A worker that has ended answers no more.
    fn wait_for(&self, pong: &mpsc::Receiver<()>) -> Result<(), StoreError> {
        loop {
            match pong.recv_timeout(std::time::Duration::from_millis(50)) {
                Ok(()) => return Ok(()),
                Err(_) if self.shared.stopping.load(Ordering::Acquire) => return Err(StoreError::Stopped),
                Err(_) => {}
            }
        }
    }
}
