//! `recovery`: owners of many installations lose their passwords and get back in, while others guess passwords, codes and
//! links. Mails and texts end in sinks of this program; an independent model says who may have reset what.

mod attack;
mod call;
mod model;
mod owner;
mod sinks;

use crate::{
    api::{Api, ApiError, text},
    chance::Chance,
    course::Course,
    fleet::gather,
    phones::serve_with,
    process::raise_open_files,
    report::{LoadError, Report},
    screen::bar,
    site::{Common, Site},
};
use attack::{Attacker, Loot, one_is_right, together};
use call::Caller;
use model::{JUDGED_MAX, Ledger, Seen};
use owner::{Done, Owned, Owner};
use serde_json::json;
use sinks::Sinks;
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    time::{Duration, Instant},
};

/// Owners who do something at the same time.
const OWNERS: usize = 12;
/// One in so many has no telephone.
const WITHOUT_TELEPHONE: usize = 4;
/// Of one in so many a thief reads the mailbox.
const STOLEN: usize = 5;
const ORGANISATIONS: usize = 4;
/// How often a contact is validated anew that a kill has come between.
const VALIDATIONS: usize = 5;
const PASSWORD: &str = "tre gatti sul tetto";

#[derive(clap::Args, Clone, Debug)]
pub struct RecoveryArgs {
    /// How many installations there are.
    #[arg(long, default_value_t = 200)]
    pub installations: usize,
    /// How often twenty codes are sent at the same moment, of which one is right.
    #[arg(long, default_value_t = 500)]
    pub rounds: usize,
    /// How many attackers go on while owners recover.
    #[arg(long, default_value_t = 16)]
    pub attackers: usize,
    /// How long the attack goes on at least.
    #[arg(long, default_value_t = 20)]
    pub seconds: u64,
    /// How often the server is killed with -9 in between.
    #[arg(long, default_value_t = 0)]
    pub kill: usize,
}

/// Hashing is made cheap: what is asked here is who is let in, not how long it takes. Owners who lost an answer to a kill
/// ask for another mail at once.
const SECTIONS: &str = "[passwords]\nmemory_kib = 1024\niterations = 1\n\n[recovery]\n\
                        requests_per_minute_per_source = 100000000\nreset_mail_pause_s = 2\nreset_mails_a_day = 100000\n";

/// What all parts of the run share.
#[derive(Clone)]
struct Stage {
    site: crate::client::Target,
    sinks: Sinks,
    ledger: Rc<Ledger>,
    course: Course,
    chance: Chance,
    failures: Rc<RefCell<Vec<String>>>,
}

impl Stage {
    fn owner(&self, number: u64) -> Owner {
        let caller = Caller::new(&self.site, self.chance.fork(number));
        Owner { caller, sinks: self.sinks.clone(), ledger: Rc::clone(&self.ledger) }
    }

    /// Something honest did not work.
    fn fails(&self, owned: &Owned, why: String) {
        self.failures.borrow_mut().push(format!("{}: {why}", owned.id));
    }
}

pub async fn run(args: &RecoveryArgs, common: &Common, seed: u64) -> Result<Report, LoadError> {
    let mut report = Report::new("recovery", seed);
    let chance = Chance::seeded(seed);
    raise_open_files(2000);
    if args.installations == 0 {
        return Err(LoadError::Unfit("at least one installation".into()));
    }
    let mut site = Site::open(common).await?;
    let sinks = Sinks::open().await.map_err(LoadError::Io)?;
    serve_with(&mut site, &format!("{SECTIONS}\n{}", sinks.sections())).await?;
    let (mut admins, owned) = set_up(&site, args.installations, &chance).await?;
    let course = site.observe();
    let stage = Stage {
        site: site.target.clone(),
        sinks: sinks.clone(),
        ledger: Rc::default(),
        course: course.clone(),
        chance: chance.fork(5),
        failures: Rc::default(),
    };

    course.mark("contacts, and twenty codes at a time");
    let early = args.kill / 2;
    let (validated, killed) =
        tokio::join!(validate_all(&stage, owned, args.rounds), kill_again_and_again(&stage, &mut site, early));
    let (owned, guessed) = validated?;
    killed?;
    course.mark("owners and attackers");
    let (owned, loot) = recover_all(args, &stage, &mut site, owned).await?;
    course.end(&mut report).await;

    let mut unauthorised = loot.let_in.get();
    let mut over_limit = loot.over_limit.get() + guessed.over_limit;
    let seen = read_events(&mut admins).await?;
    for owned in &owned {
        let seen = seen.get(&owned.id).cloned().unwrap_or_default();
        let (least, most) = stage.ledger.own_resets(owned.index);
        if seen.resets > most {
            unauthorised += seen.resets - most;
            report.breaks(format!("{}: {} resets, the owner has sent {most}", owned.id, seen.resets));
        }
        if seen.resets < least {
            stage.fails(owned, format!("{} resets, the owner has seen {least}", seen.resets));
        }
        let over = seen.over_limit();
        if over > 0 {
            over_limit += over;
            report.breaks(format!("{}: {seen:?}", owned.id));
        }
    }
    let failures = stage.failures.take();
    report.unauthorised_resets = Some(unauthorised);
    report.judged_over_limit = Some(over_limit);
    report.honest_failures = Some(failures.len() as u64);
    report.must_be_zero("unauthorised_resets", unauthorised);
    report.must_be_zero("judged_over_limit", over_limit);
    report.must_be_zero("honest_failures", failures.len() as u64);
    report.broken.extend(failures);
    report.broken.extend(loot.words.take());
    let sum = |count: fn(&Seen) -> u64| seen.values().map(count).sum::<u64>();
    report.detail("installations", args.installations);
    report.detail("resets", sum(|seen| seen.resets));
    report.detail("codes_judged_wrong", sum(|seen| seen.codes_wrong));
    report.detail("most_judged_of_one_validation_mail", seen.values().map(|seen| seen.most_of_validation).max());
    report.detail("rounds_of_twenty", json!({ "rounds": guessed.rounds, "right_one_in_time": guessed.right }));
    report.detail("attack", loot.told());
    report.detail("kills", args.kill);
    let (mails, texts) = sinks.counts();
    report.detail("mails", mails);
    report.detail("texts", texts);
    report.server_rss_kib = site.rss_kib();
    let own = site.own()?;
    own.stop().await?;
    if let Err(words) = own.verify().await? {
        report.breaks(format!("verify after the end: {words}"));
    }
    Ok(report)
}

/// Organisations, each with its caller, and installations without a contact.
async fn set_up(site: &Site, count: usize, chance: &Chance) -> Result<(Vec<Api>, Vec<Owned>), LoadError> {
    let mut operator = site.operator(chance);
    let mut admins = Vec::new();
    for index in 0..ORGANISATIONS.min(count) {
        let run = chance.fork(index as u64 + 99).number() % 1_000_000;
        let body = json!({
            "name": format!("Studies {index} {run:06}"), "plan": "business_pro", "language": "en",
            "zone": "Europe/Rome", "owner": {"name": "Owner", "email": format!("owner@studies{index}.example")},
        });
        let answer = operator.post("/organisations", &body).await?;
        let token = text(&answer, "token", "POST /organisations")?;
        admins.push(operator.with_token(&*token, chance.fork(1000 + index as u64)));
    }
    let progress = bar("set up", count as u64);
    let mut all = Vec::new();
    for index in 0..count {
        let organisation = index % admins.len();
        let body = json!({
            "label": format!("Studio {index}"), "product": "Mexal", "environment": "live",
            "administrator": {"name": "Anna", "password": PASSWORD},
        });
        let call = "/installations";
        let made = admins[organisation].post(call, &body).await?;
        let telephone = (index % WITHOUT_TELEPHONE != 0).then(|| format!("+39347{index:07}"));
        all.push(Owned {
            index,
            id: text(&made, "installation", call)?,
            path: text(&made, "path", call)?,
            email: format!("anna{index}@rossi.example"),
            stolen: telephone.is_some() && index % STOLEN == 1,
            telephone,
            name: "Anna".to_owned(),
            password: PASSWORD.to_owned(),
        });
        progress.inc(1);
    }
    progress.finish_and_clear();
    Ok((admins, all))
}

/// What twenty codes at a time came to.
#[derive(Clone, Copy, Debug, Default)]
struct Guessed {
    rounds: usize,
    /// The right one was among the first five.
    right: usize,
    over_limit: u64,
}

/// Every owner sets the contact and validates it; before that, codes are guessed by twenties, so many times in all.
async fn validate_all(stage: &Stage, owned: Vec<Owned>, rounds: usize) -> Result<(Vec<Owned>, Guessed), LoadError> {
    let progress = bar("rounds", rounds as u64);
    let with_telephone = owned.iter().filter(|owned| owned.telephone.is_some()).count();
    let each = if with_telephone == 0 { 0 } else { rounds.div_ceil(with_telephone) };
    let left = Rc::new(Cell::new(rounds));
    let waiting = Rc::new(RefCell::new(owned));
    let sum = Rc::new(Cell::new(Guessed::default()));
    let workers = (0..OWNERS).map(|worker| {
        let (stage, waiting, sum) = (stage.clone(), Rc::clone(&waiting), Rc::clone(&sum));
        let (left, progress) = (Rc::clone(&left), progress.clone());
        async move {
            let mut owner = stage.owner(100 + worker as u64);
            let mut helpers: Vec<Caller> = (0..attack::PARALLEL).map(|at| owner.caller.another(at as u64)).collect();
            let mut done = Vec::new();
            loop {
                let Some(owned) = waiting.borrow_mut().pop() else { return Ok(done) };
                let mine = if owned.telephone.is_some() { each.min(left.get()) } else { 0 };
                left.set(left.get() - mine);
                match validate(&mut owner, &owned, mine, &mut helpers).await {
                    Ok(guessed) => {
                        let before = sum.get();
                        sum.set(Guessed {
                            rounds: before.rounds + guessed.rounds,
                            right: before.right + guessed.right,
                            over_limit: before.over_limit + guessed.over_limit,
                        });
                    }
                    Err(why) => stage.fails(&owned, why),
                }
                stage.ledger.begins(owned.index, stage.sinks.links(&owned.email, 0).len());
                progress.inc(mine as u64);
                done.push((owned.index, owned));
            }
        }
    });
    let owned = gather(workers).await?;
    progress.finish_and_clear();
    Ok((owned, sum.get()))
}

async fn validate(owner: &mut Owner, owned: &Owned, rounds: usize, helpers: &mut Vec<Caller>) -> Done<Guessed> {
    let terminal = owner.administrator(owned).await?;
    let mut link = owner.set_contact(owned, &terminal).await?;
    let mut guessed = Guessed::default();
    for _ in 0..rounds {
        let Ok((form, Some(code))) = owner.press(owned, &link).await else {
            // A kill has taken the answer with it: the way to the form is not told twice.
            link = owner.another_mail(owned, &terminal).await?;
            continue;
        };
        let codes = one_is_right(&code, &mut owner.caller.chance);
        let told = together(helpers, &form, codes).await;
        let (wrong, right) = ("code_wrong", "validated");
        let of = |name: &str| told.iter().filter(|told| told.page() == name).count();
        guessed.rounds += 1;
        guessed.right += of(right);
        // The fifth wrong one is answered as whatever comes behind it.
        guessed.over_limit +=
            ((of(wrong) + of(right)) as u64).saturating_sub(JUDGED_MAX) + (of(right) as u64).saturating_sub(1);
        link = match owner.state(&terminal).await?.as_str() {
            "validated" => {
                owner.clear_contact(&terminal).await?;
                owner.set_contact(owned, &terminal).await?
            }
            _ => owner.another_mail(owned, &terminal).await?,
        };
    }
    for _ in 0..VALIDATIONS {
        // What came between is told by the state.
        let _ = owner.validate(owned, &link).await;
        if owner.state(&terminal).await? == "validated" {
            break;
        }
        link = owner.another_mail(owned, &terminal).await?;
    }
    if owner.state(&terminal).await? != "validated" {
        return Err("the contact is not validated in the end".to_owned());
    }
    owner.caller.close(&terminal).await;
    Ok(guessed)
}

/// Owners recover while attackers guess, and the server is killed so many times.
async fn recover_all(
    args: &RecoveryArgs,
    stage: &Stage,
    site: &mut Site,
    owned: Vec<Owned>,
) -> Result<(Vec<Owned>, Rc<Loot>), LoadError> {
    let running = Rc::new(Cell::new(true));
    let (victims, loot) = (Rc::new(owned.clone()), Rc::<Loot>::default());
    let attackers: Vec<_> = (0..args.attackers)
        .map(|number| {
            let caller = Caller::new(&stage.site, stage.chance.fork(9000 + number as u64));
            let attacker = Attacker::new(caller, stage.sinks.clone(), Rc::clone(&victims), Rc::clone(&loot));
            tokio::task::spawn_local(attacker.run(Rc::clone(&running)))
        })
        .collect();
    let began = Instant::now();
    let progress = bar("recoveries", owned.iter().filter(|owned| !owned.stolen).count() as u64);
    let (stolen, lost): (Vec<_>, Vec<_>) = owned.into_iter().partition(|owned| owned.stolen);
    let waiting = Rc::new(RefCell::new(lost));
    let owners = (0..OWNERS).map(|worker| {
        let (stage, waiting, progress) = (stage.clone(), Rc::clone(&waiting), progress.clone());
        async move {
            let mut owner = stage.owner(500 + worker as u64);
            let mut done = Vec::new();
            loop {
                let Some(mut owned) = waiting.borrow_mut().pop() else { return Ok(done) };
                let began = Instant::now();
                match owner.recover(&mut owned).await {
                    Ok(()) => stage.course.answered("the whole way", began.elapsed()),
                    Err(why) => stage.fails(&owned, why),
                }
                progress.inc(1);
                done.push((owned.index, owned));
            }
        }
    });
    let owners = tokio::task::spawn_local(gather(owners.collect::<Vec<_>>().into_iter()));
    kill_again_and_again(stage, site, args.kill - args.kill / 2).await?;
    let mut recovered = owners.await.map_err(|error| LoadError::Unfit(error.to_string()))??;
    progress.finish_and_clear();
    let rest = Duration::from_secs(args.seconds).saturating_sub(began.elapsed());
    tokio::time::sleep(rest).await;
    running.set(false);
    for attacker in attackers {
        attacker.await.map_err(|error| LoadError::Unfit(error.to_string()))?;
    }
    // Whose mailbox was stolen comes in as ever.
    let mut owner = stage.owner(800);
    for owned in &stolen {
        if let Err(why) = owner.administrator(owned).await {
            stage.fails(owned, format!("after the thief: {why}"));
        }
    }
    recovered.extend(stolen);
    Ok((recovered, loot))
}

async fn kill_again_and_again(stage: &Stage, site: &mut Site, times: usize) -> Result<(), LoadError> {
    let mut chance = stage.chance.fork(700 + times as u64);
    for _ in 0..times {
        tokio::time::sleep(Duration::from_millis(500 + chance.below(1500))).await;
        let own = site.own()?;
        own.kill()?;
        stage.course.mark("kill -9");
        own.spawn().await?;
    }
    Ok(())
}

/// What happened to each installation, by its events.
async fn read_events(admins: &mut [Api]) -> Result<HashMap<String, Seen>, LoadError> {
    let mut all: HashMap<String, Seen> = HashMap::new();
    for admin in admins {
        let mut after = String::new();
        loop {
            let call = format!("/events?type=recovery&limit=200{after}");
            let page = admin.get(&call).await?;
            for event in page["items"].as_array().map(Vec::as_slice).unwrap_or_default() {
                let entity = event["entity"].as_str().unwrap_or_default();
                all.entry(entity.to_owned()).or_default().take(event);
            }
            if page["more"] != true {
                break;
            }
            let next = page["next"].as_str().ok_or(ApiError::Shape { call, missing: "next".into() })?;
            after = format!("&after={next}");
        }
    }
    Ok(all)
}
