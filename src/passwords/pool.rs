//! The threads that hash, and the bounded queue before them.

use super::hash::{Cost, Memory, PasswordHash};
use crate::{config, kernel::time, metrics as names};
use metrics::{Counter, Gauge};
use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

/// As many passwords wait as may: nothing was hashed, ask again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords wait to be hashed")]
pub struct Busy;

/// The pool. Its threads end when the last handle is gone and the queue is empty.
pub struct Passwords {
    queue: SyncSender<Job>,
    cost: Cost,
    refused: Counter,
    waiting: Gauge,
}

/// A password and what to do with it.
struct Job {
    password: Zeroizing<Vec<u8>>,
    work: Work,
}

enum Work {
    Make { cost: Cost, salt: [u8; 16], done: oneshot::Sender<PasswordHash> },
    Check { against: PasswordHash, is_known: bool, done: oneshot::Sender<bool> },
}

impl Work {
    /// Whether whoever asked has gone away: a hash that nobody reads is not made.
    fn is_forsaken(&self) -> bool {
        match self {
            Self::Make { done, .. } => done.is_closed(),
            Self::Check { done, .. } => done.is_closed(),
        }
    }
}

impl Passwords {
    pub fn start(config: &config::Passwords) -> io::Result<Arc<Self>> {
        let cost = config.cost();
        let (queue, jobs) = sync_channel(config.queue_max);
        let jobs = Arc::new(Mutex::new(jobs));
        for number in 0..config.threads {
            let (jobs, niceness) = (Arc::clone(&jobs), config.niceness);
            std::thread::Builder::new().name(format!("passwords-{number}")).spawn(move || run(&jobs, niceness))?;
        }
        Ok(Arc::new(Self {
            queue,
            cost,
            refused: metrics::counter!(names::PASSWORDS_REFUSED),
            waiting: metrics::gauge!(names::PASSWORDS_WAITING),
        }))
    }

    /// What a password costs now.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// Hashes a new password; `salt` was drawn at the door.
    pub async fn hash(&self, password: Zeroizing<Vec<u8>>, salt: [u8; 16]) -> Result<PasswordHash, Busy> {
        let (done, hash) = oneshot::channel();
        self.ask(Job { password, work: Work::Make { cost: self.cost, salt, done } })?;
        hash.await.map_err(|_| Busy)
    }

    /// Whether this is the password. Without a hash to compare with, the same work is done for nothing.
    pub async fn check(&self, password: Zeroizing<Vec<u8>>, against: Option<PasswordHash>) -> Result<bool, Busy> {
        let is_known = against.is_some();
        let against = against.unwrap_or_else(|| PasswordHash::nobodys(self.cost));
        let (done, right) = oneshot::channel();
        self.ask(Job { password, work: Work::Check { against, is_known, done } })?;
        right.await.map_err(|_| Busy)
    }

    fn ask(&self, job: Job) -> Result<(), Busy> {
        // Counted before: the thread may be quicker than this one.
        self.waiting.increment(1.0);
        self.queue.try_send(job).map_err(|_| {
            self.waiting.decrement(1.0);
            self.refused.increment(1);
            Busy
        })
    }
}

fn run(jobs: &Mutex<Receiver<Job>>, niceness: i32) {
    // Linux counts it for this thread alone: whoever syncs goes first when the cores are wanted.
    if let Err(error) = rustix::process::nice(niceness) {
        tracing::warn!(%error, "the threads that hash passwords run as urgently as the others");
    }
    let (waiting, seconds) = (metrics::gauge!(names::PASSWORDS_WAITING), metrics::histogram!(names::PASSWORD_SECONDS));
    let mut memory = Memory::default();
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        waiting.decrement(1.0);
        if job.work.is_forsaken() {
            continue;
        }
        let began = time::instant();
        job.done(&mut memory);
        seconds.record(began.elapsed().as_secs_f64());
    }
}

impl Job {
    /// The cost was checked with the configuration; a stored one was possible when it was made. So nothing fails here,
    /// and whoever asks hears `Busy` if something does.
    fn done(self, memory: &mut Memory) {
        match self.work {
            Work::Make { cost, salt, done } => match PasswordHash::make(memory, cost, salt, &self.password) {
                Ok(hash) => drop(done.send(hash)),
                Err(error) => tracing::error!(%error, "a password cannot be hashed"),
            },
            Work::Check { against, is_known, done } => match against.is_of(memory, &self.password) {
                Ok(right) => drop(done.send(right && is_known)),
                Err(error) => tracing::error!(%error, "a password cannot be compared"),
            },
        }
    }
}
