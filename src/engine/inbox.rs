//! One inbox per HTTP worker. Requests go to the worker that owns the entity, answers back to the worker that asked:
//! one lock and one wake for all that comes together.

use super::{Shared, committer::Outcome};
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use std::{
    cell::Cell,
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

/// Something that runs on a worker's own thread.
pub(super) enum Parcel {
    Deliver(Box<dyn Deliver>),
    Finish(Box<dyn Finish>, Outcome),
}

/// Work for the owner worker of an entity.
pub(super) trait Deliver: Send {
    fn deliver(self: Box<Self>, shared: &Arc<Shared>);
}

/// An answer on its way back to whoever asked.
pub(super) trait Finish: Send {
    fn finish(self: Box<Self>, outcome: Outcome);
}

#[derive(Default)]
pub(super) struct Inbox {
    parcels: Mutex<Vec<Parcel>>,
    waker: AtomicWaker,
    attached: AtomicBool,
}

impl Inbox {
    pub fn push(&self, parcel: Parcel) {
        let was_empty = {
            let mut parcels = self.parcels.lock();
            parcels.push(parcel);
            parcels.len() == 1
        };
        if was_empty {
            self.waker.wake();
        }
    }

    pub fn extend(&self, more: &mut Vec<Parcel>) {
        let was_empty = {
            let mut parcels = self.parcels.lock();
            let was_empty = parcels.is_empty();
            parcels.append(more);
            was_empty
        };
        if was_empty {
            self.waker.wake();
        }
    }

    pub fn is_attached(&self) -> bool {
        self.attached.load(Ordering::Acquire)
    }
}

/// The origin of callers that run on no worker: background tasks, tests.
pub(super) const NO_WORKER: u16 = u16::MAX;

thread_local! {
    /// Which engine this thread works for (by its number) and as which worker.
    static CURRENT: Cell<(u64, u16)> = const { Cell::new((0, NO_WORKER)) };
}

pub(super) fn current_worker(shared: &Arc<Shared>) -> u16 {
    let (engine, worker) = CURRENT.get();
    if engine == shared.number { worker } else { NO_WORKER }
}

/// Makes the calling thread a worker; it must run a tokio `LocalSet`. A second call on the same thread does nothing.
pub(super) fn attach(shared: &Arc<Shared>) {
    if current_worker(shared) != NO_WORKER {
        return;
    }
    // A worker that died leaves its place to the thread that replaces it.
    let free = shared.inboxes.iter().position(|inbox| !inbox.attached.swap(true, Ordering::AcqRel));
    let Some(index) = free else {
        tracing::error!("more worker threads than [http] workers: this one owns nothing");
        return;
    };
    let worker = u16::try_from(index).unwrap_or(NO_WORKER);
    CURRENT.set((shared.number, worker));
    actix_rt::spawn(drain(Arc::clone(shared), index));
    actix_rt::spawn(super::directory::sweep(Arc::clone(shared), index));
}

/// Gives the place back when the worker's runtime ends.
struct Place<'a>(&'a Inbox);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.attached.store(false, Ordering::Release);
    }
}

async fn drain(shared: Arc<Shared>, index: usize) {
    let inbox = &shared.inboxes[index];
    let _place = Place(inbox);
    let mut taken = Vec::new();
    poll_fn::<(), _>(|cx| {
        inbox.waker.register(cx.waker());
        std::mem::swap(&mut *inbox.parcels.lock(), &mut taken);
        if taken.is_empty() {
            return Poll::Pending;
        }
        for parcel in taken.drain(..) {
            match parcel {
                Parcel::Deliver(deliver) => deliver.deliver(&shared),
                Parcel::Finish(finish, outcome) => finish.finish(outcome),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
