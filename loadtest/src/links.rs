//! `link`: thousands of boxes hold a link each; administrators change boxes at random, and each change must be heard by
//! its box, and by no other, within a second. What an idle link costs is measured before.

use crate::{
    chance::Chance,
    clock::now_ms,
    fleet::{self, Fleet, FleetBox, Shape, gather},
    kernel::ListenDrops,
    link::{Synced, confirm, sync_once},
    process::raise_open_files,
    report::{Bound, Figure, Latencies, LoadError, Report},
    screen::bar,
    site::{Common, Site},
    socket::{self, Ears, Heard, Mouth},
    vbox::online::{Online, Road},
    wire::{Kind, Outcome},
};
use serde_json::{Value, json};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    time::{Duration, Instant},
};
use tokio::sync::{Mutex, mpsc};

/// Links that are opened together, administrators, and boxes that sync together.
const OPENERS: usize = 64;
const ADMINISTRATORS: usize = 8;
const SYNCERS: usize = 16;
const P99_MS: f64 = 1_000.0;
const LINK_KIB_MAX: f64 = 20.0;
/// A change that was not heard by then is lost.
const PATIENCE: Duration = Duration::from_secs(10);
const QUIET: Duration = Duration::from_secs(5);
const WORDS: usize = 10;

#[derive(clap::Args, Clone, Debug)]
pub struct LinkArgs {
    /// Boxes, each with a link of its own.
    #[arg(long, default_value_t = 10_000)]
    pub boxes: usize,
    /// Changes a second, at boxes drawn at random.
    #[arg(long, default_value_t = 200)]
    pub changes_per_s: u64,
    /// How long changes are made.
    #[arg(long, default_value_t = 30)]
    pub seconds: u64,
    /// Orders given at the end, each to a box drawn at random.
    #[arg(long, default_value_t = 200)]
    pub orders: usize,
    /// Exchanges that people try at boxes drawn at random; of a quarter of them the end is told by the journal.
    #[arg(long, default_value_t = 500)]
    pub exchanges: usize,
    /// Only measure: do not fail when it takes too long or too much memory.
    #[arg(long)]
    pub no_targets: bool,
}

/// One box on its link.
struct Linked {
    smart_box: Mutex<FleetBox>,
    mouth: RefCell<Option<Mouth>>,
    /// When the change was asked for that it has not heard of yet.
    waits_since: Cell<Option<Instant>>,
    /// The state of its first bin that was asked for last.
    wanted: Cell<&'static str>,
    ordered: Cell<Option<Instant>>,
}

/// What the run has seen.
struct Seen {
    heard: Latencies,
    ordered: Latencies,
    /// Told to sync, and nothing had changed.
    needless: u64,
    /// Ended before the server was stopped.
    dropped: u64,
    /// How links ended when it was.
    ended: BTreeMap<String, u64>,
    words: Vec<String>,
    stopping: bool,
}

impl Seen {
    fn wrong(&mut self, words: String) {
        if self.words.len() < WORDS {
            self.words.push(words);
        }
    }
}

type Field = Rc<[Linked]>;

pub async fn run(args: &LinkArgs, common: &Common, seed: u64) -> Result<Report, LoadError> {
    let mut report = Report::new("link", seed);
    let may_open = raise_open_files(args.boxes as u64 + 400);
    if may_open < args.boxes as u64 + 200 || args.boxes == 0 {
        let why = format!("{} links: this process may open {may_open} files", args.boxes);
        return Err(LoadError::Unfit(why));
    }
    let chance = Chance::seeded(seed);
    let mut site = Site::open(common).await?;
    site.own()?;
    report.ready_s = site.ready_s.map(Figure::One);
    let shape = Shape { boxes: args.boxes, bins: 4, keys: 1, people: 1 };
    let Fleet { organisations, boxes } = fleet::build(&mut site.operator(&chance), &shape, &chance).await?;
    let field: Field = boxes.into_iter().map(Linked::of).collect();
    settle(&site, &field).await?;

    let course = site.observe();
    tokio::time::sleep(QUIET).await;
    let before_kib = site.rss_kib();
    let seen = Rc::new(RefCell::new(Seen {
        heard: Latencies::new()?,
        ordered: Latencies::new()?,
        needless: 0,
        dropped: 0,
        ended: BTreeMap::new(),
        words: Vec::new(),
        stopping: false,
    }));
    let (wakes, woken) = mpsc::unbounded_channel();
    course.mark("links are opened");
    let drops = ListenDrops::now();
    let opening = Instant::now();
    open_all(&site, &field, &seen, &wakes).await?;
    report.detail("links opened in, s", (opening.elapsed().as_secs_f64() * 1e3).round() / 1e3);
    tokio::time::sleep(QUIET).await;
    let idle_kib = site.rss_kib();

    let syncs = Rc::new(Cell::new(0));
    sync_whoever_is_told(&site, &field, &seen, woken, &syncs);
    course.mark("changes");
    let tokens: Vec<String> = organisations.iter().map(|organisation| organisation.token.clone()).collect();
    let meter = site.meter();
    let changes = change(args, &site, &field, &tokens, &chance).await?;
    let unheard = wait_until(&field, |linked| linked.waits_since.get().is_none()).await;
    let used = meter.stop();
    course.mark("orders");
    let orders = order(args, &site, &field, &tokens, &chance).await?;
    let undelivered = wait_until(&field, |linked| linked.ordered.get().is_none()).await;
    course.mark("exchanges");
    let exchanged = exchange(args, &site, &field, &tokens, &chance).await?;
    // Whoever was told has stored it by then.
    let behind = wait_until(&field, |linked| linked.has_what_is_wanted()).await;
    course.end(&mut report).await;

    seen.borrow_mut().stopping = true;
    let open = open_links(&field);
    if let Some(process) = &mut site.process {
        process.stop().await?;
    }
    wait_until(&field, |linked| linked.mouth.borrow().is_none()).await;
    let drops = ListenDrops::now().since(drops);

    let seen = seen.borrow();
    report.boxes = Some(args.boxes as u64);
    report.errors = Some(seen.dropped);
    report.server_rss_kib = idle_kib;
    report.p50_ms = Some(each(&seen, 0.5));
    report.p99_ms = Some(each(&seen, 0.99));
    report.p999_ms = Some(each(&seen, 0.999));
    site.report_cpu(&mut report, used, changes);
    report.detail("changes", changes);
    report.detail("orders", orders);
    report.detail("exchanges told at once", exchanged.told);
    report.detail("exchanges told by the journal", exchanged.journalled);
    report.must_be_zero("exchanges_that_ended_otherwise", exchanged.otherwise.len() as u64);
    report.must_be_zero("keys_not_where_they_were_brought", exchanged.misplaced);
    report.broken.extend(exchanged.otherwise.into_iter().take(WORDS));
    report.detail("syncs that followed", syncs.get());
    report.detail("how links ended when the server stopped", json!(seen.ended));
    report.must_be_zero("links_dropped", seen.dropped);
    report.must_be_zero("links_not_open_at_the_end", (args.boxes - open) as u64);
    report.must_be_zero("changes_not_heard", unheard);
    report.must_be_zero("boxes_told_without_a_change", seen.needless);
    report.must_be_zero("orders_not_delivered", undelivered);
    report.must_be_zero("boxes_without_the_last_change", behind);
    report.must_be_zero("listen_overflows", drops.overflows);
    let goodbyes = seen.ended.get("1012").copied().unwrap_or_default();
    report.must_be_zero("links_without_a_goodbye", open as u64 - goodbyes.min(open as u64));
    if let (Some(before), Some(after)) = (before_kib, idle_kib) {
        let each = after.saturating_sub(before) as f64 / args.boxes as f64;
        report.detail("memory an idle link, KiB", (each * 100.0).round() / 100.0);
        if !args.no_targets {
            report.must("memory an idle link, KiB", each, Bound::AtMost(LINK_KIB_MAX));
        }
    }
    if !args.no_targets {
        report.must("change to sync now, p99, ms", seen.heard.quantile_ms(0.99), Bound::AtMost(P99_MS));
        report.must("order to box, p99, ms", seen.ordered.quantile_ms(0.99), Bound::AtMost(P99_MS));
    }
    report.broken.extend(seen.words.iter().cloned());
    site.process = None;
    Ok(report)
}

fn each(seen: &Seen, quantile: f64) -> Figure {
    let cases = [("change to sync now", &seen.heard), ("order to box", &seen.ordered)];
    Figure::Each(cases.map(|(name, latencies)| (name.to_owned(), latencies.quantile_ms(quantile))).into())
}

impl Linked {
    fn of(smart_box: FleetBox) -> Self {
        Self {
            smart_box: Mutex::new(smart_box),
            mouth: RefCell::new(None),
            waits_since: Cell::new(None),
            wanted: Cell::new("enabled"),
            ordered: Cell::new(None),
        }
    }

    fn has_what_is_wanted(&self) -> bool {
        let Ok(smart_box) = self.smart_box.try_lock() else { return false };
        let bin = smart_box.vbox.state().bins.get(fleet::bin_name(0).as_str());
        bin.is_some_and(|bin| json!(bin.state) == self.wanted.get())
    }
}

fn open_links(field: &Field) -> usize {
    field.iter().filter(|linked| linked.mouth.borrow().is_some()).count()
}

/// How many it does not hold of, when it holds of all or the patience is over.
async fn wait_until(field: &Field, holds: impl Fn(&Linked) -> bool) -> u64 {
    let until = Instant::now() + PATIENCE;
    loop {
        let not = field.iter().filter(|linked| !holds(linked)).count() as u64;
        if not == 0 || Instant::now() > until {
            return not;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Every box has everything, and has said so.
async fn settle(site: &Site, field: &Field) -> Result<(), LoadError> {
    let progress = bar("in sync", field.len() as u64);
    let workers = (0..SYNCERS).map(|worker| {
        let (field, target, progress) = (Rc::clone(field), site.target.clone(), progress.clone());
        async move {
            let mut kept = None;
            for linked in field.iter().skip(worker).step_by(SYNCERS) {
                let vbox = &mut linked.smart_box.lock().await.vbox;
                for _ in 0..2 {
                    let connection = crate::client::Connection::kept(&mut kept, &target).await?;
                    sync_once(connection, &target, vbox).await?;
                }
                let connection = crate::client::Connection::kept(&mut kept, &target).await?;
                confirm(connection, &target, vbox).await?;
                progress.inc(1);
            }
            Ok(Vec::<(usize, ())>::new())
        }
    });
    gather(workers).await?;
    progress.finish_and_clear();
    Ok(())
}

async fn open_all(
    site: &Site,
    field: &Field,
    seen: &Rc<RefCell<Seen>>,
    wakes: &mpsc::UnboundedSender<usize>,
) -> Result<(), LoadError> {
    let progress = bar("links", field.len() as u64);
    let openers = (0..OPENERS).map(|opener| {
        let (field, target, progress) = (Rc::clone(field), site.target.clone(), progress.clone());
        let (seen, wakes) = (Rc::clone(seen), wakes.clone());
        async move {
            for index in (opener..field.len()).step_by(OPENERS) {
                let token = field[index].smart_box.lock().await.vbox.identity.token.clone();
                match socket::open(&target, &token).await? {
                    Ok((ears, mouth)) => {
                        *field[index].mouth.borrow_mut() = Some(mouth);
                        let (field, seen, wakes) = (Rc::clone(&field), Rc::clone(&seen), wakes.clone());
                        tokio::task::spawn_local(listen(index, ears, field, seen, wakes));
                    }
                    Err(status) => seen.borrow_mut().wrong(format!("a link was refused: {status}")),
                }
                progress.inc(1);
            }
            Ok(Vec::<(usize, ())>::new())
        }
    });
    gather(openers).await?;
    progress.finish_and_clear();
    Ok(())
}

async fn listen(
    index: usize,
    mut ears: Ears,
    field: Field,
    seen: Rc<RefCell<Seen>>,
    wakes: mpsc::UnboundedSender<usize>,
) {
    let linked = &field[index];
    let why = loop {
        match ears.hear().await {
            Ok(Some(Heard::Text(text))) => hear(index, &text, linked, &seen, &wakes),
            Ok(Some(Heard::Ping(payload))) => {
                let mouth = linked.mouth.borrow_mut().take();
                if let Some(mut mouth) = mouth {
                    let _ = mouth.pong(&payload).await;
                    *linked.mouth.borrow_mut() = Some(mouth);
                }
            }
            Ok(Some(Heard::Close(code, _))) => break code.to_string(),
            Ok(None) => break "end of the connection".to_owned(),
            Err(error) => break error.to_string(),
        }
    };
    *linked.mouth.borrow_mut() = None;
    let mut seen = seen.borrow_mut();
    if seen.stopping {
        *seen.ended.entry(why).or_default() += 1;
    } else {
        seen.dropped += 1;
        seen.wrong(format!("a link ended: {why}"));
    }
}

fn hear(index: usize, text: &str, linked: &Linked, seen: &RefCell<Seen>, wakes: &mpsc::UnboundedSender<usize>) {
    let told: Value = serde_json::from_str(text).unwrap_or_default();
    let mut seen = seen.borrow_mut();
    if told["sync"] == true {
        match linked.waits_since.take() {
            Some(since) => seen.heard.record(since.elapsed()),
            None => seen.needless += 1,
        }
        let _ = wakes.send(index);
    } else if told["orders"].is_array() {
        match linked.ordered.take() {
            Some(since) => seen.ordered.record(since.elapsed()),
            None => seen.wrong(format!("an order that nobody gave: {text}")),
        }
    } else {
        seen.wrong(format!("a link says {text}"));
    }
}

/// Whoever is told to sync does, and says on its link what it has stored.
fn sync_whoever_is_told(
    site: &Site,
    field: &Field,
    seen: &Rc<RefCell<Seen>>,
    woken: mpsc::UnboundedReceiver<usize>,
    syncs: &Rc<Cell<u64>>,
) {
    let woken = Rc::new(Mutex::new(woken));
    for _ in 0..SYNCERS {
        let (woken, field, target) = (Rc::clone(&woken), Rc::clone(field), site.target.clone());
        let (seen, syncs) = (Rc::clone(seen), Rc::clone(syncs));
        tokio::task::spawn_local(async move {
            let mut kept = None;
            loop {
                let next = woken.lock().await.recv().await;
                let Some(index) = next else { return };
                let linked = &field[index];
                let mut smart_box = linked.smart_box.lock().await;
                let synced = match crate::client::Connection::kept(&mut kept, &target).await {
                    Ok(connection) => sync_once(connection, &target, &mut smart_box.vbox).await,
                    Err(error) => Err(error.into()),
                };
                match synced {
                    Ok(Synced::Applied(_)) => syncs.set(syncs.get() + 1),
                    other => seen.borrow_mut().wrong(format!("a sync came to {other:?}")),
                }
                let cursor = json!({ "cursor": smart_box.vbox.state().cursor }).to_string();
                let mouth = linked.mouth.borrow_mut().take();
                if let Some(mut mouth) = mouth {
                    let _ = mouth.say(&cursor).await;
                    *linked.mouth.borrow_mut() = Some(mouth);
                }
            }
        });
    }
}

/// Changes a bin's state at boxes drawn at random, at a steady pace; how many it made.
async fn change(
    args: &LinkArgs,
    site: &Site,
    field: &Field,
    tokens: &[String],
    chance: &Chance,
) -> Result<u64, LoadError> {
    let made = Rc::new(Cell::new(0));
    let each = Duration::from_secs_f64(ADMINISTRATORS as f64 / args.changes_per_s.max(1) as f64);
    let until = Instant::now() + Duration::from_secs(args.seconds);
    let workers = (0..ADMINISTRATORS).map(|worker| {
        let mut chance = chance.fork(9_000 + worker as u64);
        let mut apis: Vec<_> = tokens
            .iter()
            .map(|token| crate::Api::new(site.target.clone(), &**token, chance.fork(worker as u64)))
            .collect();
        let (field, made) = (Rc::clone(field), Rc::clone(&made));
        async move {
            let mut pace = tokio::time::interval(each);
            while Instant::now() < until {
                pace.tick().await;
                let linked = &field[chance.index(field.len())];
                // One whose last change is not heard or not stored yet is left alone.
                if linked.waits_since.get().is_some() || !linked.has_what_is_wanted() {
                    continue;
                }
                let (organisation, path) = {
                    let smart_box = linked.smart_box.lock().await;
                    (smart_box.organisation, format!("/boxes/{}/bins/{}", smart_box.id(), fleet::bin_name(0)))
                };
                let state = if linked.wanted.get() == "enabled" { "protected" } else { "enabled" };
                linked.wanted.set(state);
                linked.waits_since.set(Some(Instant::now()));
                apis[organisation].patch(&path, &json!({ "state": state })).await?;
                made.set(made.get() + 1);
            }
            Ok(Vec::<(usize, ())>::new())
        }
    });
    gather(workers).await?;
    Ok(made.get())
}

async fn order(
    args: &LinkArgs,
    site: &Site,
    field: &Field,
    tokens: &[String],
    chance: &Chance,
) -> Result<u64, LoadError> {
    let mut chance = chance.fork(12_000);
    let mut apis: Vec<_> =
        tokens.iter().map(|token| crate::Api::new(site.target.clone(), &**token, chance.fork(3))).collect();
    let mut given = 0;
    for _ in 0..args.orders {
        let linked = &field[chance.index(field.len())];
        if linked.ordered.get().is_some() {
            continue;
        }
        let (organisation, path) = {
            let smart_box = linked.smart_box.lock().await;
            (smart_box.organisation, format!("/boxes/{}/orders", smart_box.id()))
        };
        linked.ordered.set(Some(Instant::now()));
        apis[organisation].post(&path, &json!({ "do": "restart" })).await?;
        given += 1;
    }
    Ok(given)
}

#[derive(Default)]
struct Exchanged {
    told: u64,
    journalled: u64,
    otherwise: Vec<String>,
    misplaced: u64,
}

/// People take keys and bring them back, as the server decides; of some the connection is cut before it hears the end.
async fn exchange(
    args: &LinkArgs,
    site: &Site,
    field: &Field,
    tokens: &[String],
    chance: &Chance,
) -> Result<Exchanged, LoadError> {
    let mut chance = chance.fork(15_000);
    let mut apis: Vec<_> =
        tokens.iter().map(|token| crate::Api::new(site.target.clone(), &**token, chance.fork(5))).collect();
    let (mut kept, mut done) = (None, Exchanged::default());
    for _ in 0..args.exchanges {
        let linked = &field[chance.index(field.len())];
        let mut smart_box = linked.smart_box.lock().await;
        let FleetBox { organisation, vbox, keys, people, .. } = &mut *smart_box;
        let (Some(key), Some(person)) = (keys.first(), people.first()) else { continue };
        // Its first bin may be protected this moment: then the key stays where it is.
        let at = vbox.physical().find(|(_, fob)| *fob == Some(&*key.fob)).map(|(bin, _)| bin.to_owned());
        if at.is_none_or(|bin| bin == fleet::bin_name(0) && linked.wanted.get() != "enabled") {
            continue;
        }
        for (kind, code) in [(Kind::PickUp, Some(&*person.code)), (Kind::DropOff, None)] {
            let cut = chance.happens(0.25);
            let mut road = Road { kept: &mut kept, target: &site.target, cut };
            match vbox.exchange(&mut road, kind, code, &key.fob, now_ms()).await {
                Ok(Online::Done { told: true, .. }) if !cut => done.told += 1,
                Ok(Online::Done { told: false, .. }) if cut => {
                    done.journalled += 1;
                    let connection = crate::client::Connection::kept(&mut kept, &site.target).await?;
                    match sync_once(connection, &site.target, vbox).await? {
                        Synced::Applied(applied)
                            if applied.receipts.iter().all(|(_, receipt)| receipt.outcome == Outcome::Applied) => {}
                        other => done.otherwise.push(format!("a journal came to {other:?}")),
                    }
                }
                other => done.otherwise.push(format!("{kind:?}: {other:?}")),
            }
        }
        let inventory = apis[*organisation].get(&format!("/boxes/{}/inventory", vbox.id())).await?;
        let believed =
            |bin: &str| inventory["bins"].as_array()?.iter().find(|item| item["bin"] == bin)?["fob"].as_str();
        done.misplaced += vbox.physical().filter(|(bin, fob)| believed(bin) != *fob).count() as u64;
    }
    Ok(done)
}
