//! What all desks share: the server, the organisations, and the tally of answers and of what was wrong with them.

use super::{line::Answer, vendors::Kind};
use crate::{
    client::Target,
    course::Course,
    figures::Latencies,
    report::{LoadError, Report},
};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

/// An organisation with its ways in.
#[derive(Clone, Debug)]
pub struct Organisation {
    pub token: String,
    /// Of its telephone system.
    pub pbx_token: String,
    /// Paths, without a slash at their end.
    pub provisioning: String,
    pub page: String,
}

/// Words about what is wrong that are kept; there may be thousands.
const WORDS: usize = 50;

pub struct Tally {
    pub answers: Cell<u64>,
    pub deferred: Cell<u64>,
    pub errors: Cell<u64>,
    pub wrong_answers: Cell<u64>,
    pub wrong_states: Cell<u64>,
    /// Comparisons with the model that were made over the API.
    pub compared: Cell<u64>,
    pub words: RefCell<Vec<String>>,
    pub counts: RefCell<BTreeMap<String, u64>>,
    latencies: RefCell<Latencies>,
}

impl Tally {
    pub fn new() -> Result<Self, LoadError> {
        Ok(Self {
            answers: Cell::default(),
            deferred: Cell::default(),
            errors: Cell::default(),
            wrong_answers: Cell::default(),
            wrong_states: Cell::default(),
            compared: Cell::default(),
            words: RefCell::default(),
            counts: RefCell::default(),
            latencies: RefCell::new(Latencies::new()?),
        })
    }

    pub fn count(&self, what: &str) {
        let mut counts = self.counts.borrow_mut();
        match counts.get_mut(what) {
            Some(count) => *count += 1,
            None => {
                counts.insert(what.to_owned(), 1);
            }
        }
    }

    /// What was seen since the last time.
    pub fn take_latencies(&self) -> Result<Latencies, LoadError> {
        Ok(self.latencies.replace(Latencies::new()?))
    }

    fn say(&self, words: String) {
        let mut all = self.words.borrow_mut();
        if all.len() < WORDS {
            all.push(words);
        }
    }

    pub fn wrong_answer(&self, words: String) {
        self.wrong_answers.set(self.wrong_answers.get() + 1);
        self.say(format!("answer: {words}"));
    }

    pub fn wrong_state(&self, words: String) {
        self.wrong_states.set(self.wrong_states.get() + 1);
        self.say(format!("state: {words}"));
    }

    pub fn error(&self, words: String) {
        self.errors.set(self.errors.get() + 1);
        self.say(format!("error: {words}"));
    }

    pub fn conclude(&self, report: &mut Report) {
        report.errors = Some(self.errors.get());
        report.wrong_states = Some(self.wrong_states.get());
        report.wrong_answers = Some(self.wrong_answers.get());
        report.broken.extend(self.words.borrow().iter().cloned());
        report.must_be_zero("errors", self.errors.get());
        report.must_be_zero("wrong_states", self.wrong_states.get());
        report.must_be_zero("wrong_answers", self.wrong_answers.get());
        report.detail("answers", self.answers.get());
        report.detail("answers_put_off", self.deferred.get());
        report.detail("states_compared", self.compared.get());
        report.detail("counts", serde_json::json!(*self.counts.borrow()));
    }
}

pub struct World {
    pub target: Target,
    pub organisations: Vec<Organisation>,
    pub course: Course,
    pub tally: Tally,
    /// Which lock in a row is for good.
    pub rounds_max: Cell<u32>,
}

pub fn lane(kind: Kind) -> &'static str {
    match kind {
        Kind::Common => "boot file",
        Kind::Device => "configuration",
        Kind::Absent => "missing file",
        Kind::Log => "log",
    }
}

impl World {
    /// Every answer on the way is told.
    pub fn saw(self: &Rc<Self>, lane: &'static str) -> impl FnMut(&Answer) + use<> {
        let world = self.clone();
        move |answer| {
            let tally = &world.tally;
            tally.answers.set(tally.answers.get() + 1);
            tally.deferred.set(tally.deferred.get() + answer.deferred);
            if answer.status == 503 || answer.status == 429 {
                world.course.failed(lane);
            } else {
                // The page takes its time on purpose.
                if !lane.contains("page") {
                    tally.latencies.borrow_mut().record(answer.took);
                }
                world.course.answered(lane, answer.took);
            }
        }
    }
}
