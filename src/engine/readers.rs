//! A few threads for everything that may touch the disk: cold entities, lists, history, the vault. Bounded.

use super::{Engine, load};
use crate::{
    kernel::{Address, Machine},
    store::StoreError,
};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::{sync::Arc, thread};

type Job = Box<dyn FnOnce() + Send>;

pub(super) struct Readers {
    jobs: SyncSender<Job>,
}

/// How many reads may wait; more are answered with 503.
const WAITING_MAX: usize = 65_536;

impl Readers {
    pub fn start(threads: usize) -> std::io::Result<Self> {
        let (jobs, queue) = sync_channel::<Job>(WAITING_MAX);
        let queue = Arc::new(parking_lot::Mutex::new(queue));
        for number in 0..threads {
            let queue = Arc::clone(&queue);
            thread::Builder::new().name(format!("reader-{number}")).spawn(move || work(&queue))?;
        }
        Ok(Self { jobs })
    }

    /// Runs `job` on a reader; false when too many wait.
    pub fn submit(&self, job: impl FnOnce() + Send + 'static) -> bool {
        self.jobs.try_send(Box::new(job)).is_ok()
    }

    /// Runs `read` on a reader and waits for what it found.
    pub async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, found) = tokio::sync::oneshot::channel();
        let submitted = self.submit(move || {
            let _ = answer.send(read());
        });
        if !submitted {
            return Err(StoreError::Busy);
        }
        found.await.unwrap_or(Err(StoreError::Busy))
    }
}

impl Engine {
    /// Looks at the stored states of entities without waking them, one after the other on a reader.
    pub async fn peek<M: Machine, T: Send + 'static>(
        &self,
        entities: Vec<Address>,
        mut look: impl FnMut(Address, M) -> T + Send + 'static,
    ) -> Result<Vec<T>, StoreError> {
        self.with_db(move |db, _| {
            let state = |of: Address| load::load::<M>(db, of).map(|loaded| look(of, loaded.state));
            entities.into_iter().map(state).collect()
        })
        .await
    }
}

fn work(queue: &parking_lot::Mutex<Receiver<Job>>) {
    loop {
        let job = queue.lock().recv();
        match job {
            Ok(job) => job(),
            Err(_) => return,
        }
    }
}
