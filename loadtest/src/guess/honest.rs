//! Honest phones that are provisioned already and poll, each at its time, whether or not the last answer was there.

use super::GuessArgs;
use crate::{
    chance::Chance,
    client::Target,
    course::Course,
    fleet::gather,
    phones::{
        Organisation,
        handset::{Got, Handset, How},
        line::Line,
        model::Served,
        new_handset, set_up,
        vendors::Vendor,
    },
    report::{Latencies, LoadError},
    screen::bar,
    site::Site,
};
use serde_json::json;
use std::{
    cell::{Cell, RefCell},
    net::Ipv4Addr,
    rc::Rc,
    time::Duration,
};
use tokio::time::Instant;

struct Phone {
    handset: Handset,
    line: Line,
    home: Ipv4Addr,
    chance: Chance,
}

pub struct Honest {
    phones: Vec<Phone>,
    tally: Rc<Tally>,
}

#[derive(Default)]
struct Tally {
    wrong_answers: Cell<u64>,
    words: RefCell<Vec<String>>,
}

impl Tally {
    fn wrong(&self, words: String) {
        self.wrong_answers.set(self.wrong_answers.get() + 1);
        if self.words.borrow().len() < 10 {
            self.words.borrow_mut().push(words);
        }
    }

    fn judge(&self, phone: &Phone, got: Result<Got, String>) {
        match got {
            Ok(Got::Whole(Served::Full, _) | Got::Unchanged(Served::Full)) => {}
            other => self.wrong(format!("honest {}: {other:?} instead of its configuration", phone.handset.mac)),
        }
    }
}

impl Honest {
    pub fn wrong_answers(&self) -> u64 {
        self.tally.wrong_answers.get()
    }

    pub fn words(&self) -> Vec<String> {
        self.tally.words.borrow().clone()
    }
}

/// Offices of ten phones; the administrator has put their addresses on the whitelist, and the phones have their
/// configurations.
pub async fn provision(
    site: &Site,
    organisations: &[Organisation],
    args: &GuessArgs,
    chance: &Chance,
) -> Result<Honest, LoadError> {
    let progress = bar("honest", args.honest as u64);
    let tally = Rc::new(Tally::default());
    let mut made = Vec::new();
    for (at, organisation) in organisations.iter().enumerate() {
        let mut admin = organisation.callers(&site.target, &chance.fork(40 + at as u64)).admin;
        admin.post("/phones/whitelist", &json!({ "network": format!("10.{at}.0.0/16") })).await?;
        for index in (at..args.honest).step_by(organisations.len()) {
            let mut chance = chance.fork(90_000 + index as u64);
            let handset = new_handset(Vendor::drawn(&mut chance), args.devices + index, organisation);
            set_up(&mut admin, &handset, args.devices + index, index / 10).await?;
            let home = Ipv4Addr::new(10, at as u8, 0, (index / 40) as u8);
            let mut phone = Phone { handset, line: Line::new(&site.target), home, chance };
            let got = phone.handset.configuration(&mut phone.line, home, How::Whole, &mut |_| ()).await?.0;
            tally.judge(&phone, Ok(got));
            made.push(phone);
            progress.inc(1);
        }
    }
    progress.finish_and_clear();
    Ok(Honest { phones: made, tally })
}

/// They poll for so long; how long each answer took from the moment at which it was due.
pub async fn go_on(
    honest: Honest,
    target: &Target,
    rate: f64,
    span: Duration,
    course: &Course,
    lane: &'static str,
) -> Result<(Honest, Latencies), LoadError> {
    let Honest { phones, tally } = honest;
    let every = Duration::from_secs_f64(phones.len() as f64 / rate);
    let latencies = Rc::new(RefCell::new(Latencies::new()?));
    let began = Instant::now();
    let polling = phones.into_iter().enumerate().map(|(index, mut phone)| {
        let (tally, latencies, course) = (tally.clone(), latencies.clone(), course.clone());
        // The server may have been started again.
        phone.line = Line::new(target);
        async move {
            let mut due = began + every.mul_f64(phone.chance.below(1000) as f64 / 1000.0);
            while due < began + span {
                tokio::time::sleep_until(due).await;
                if phone.chance.happens(0.5) {
                    phone.handset.forget_tags();
                }
                let got = phone.handset.configuration(&mut phone.line, phone.home, How::Whole, &mut |_| ()).await;
                let took = due.elapsed();
                latencies.borrow_mut().record(took);
                course.answered(lane, took);
                tally.judge(&phone, got.map(|(got, _)| got).map_err(|error| error.to_string()));
                due += every;
            }
            Ok(vec![(index, phone)])
        }
    });
    let phones = gather(polling).await?;
    let latencies = std::mem::replace(&mut *latencies.borrow_mut(), Latencies::new()?);
    Ok((Honest { phones, tally }, latencies))
}
