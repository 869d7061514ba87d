//! `box`: one virtual SmartBox in the terminal, to show a person what becomes of it when the road is cut.

mod model;
mod screen;
#[cfg(test)]
mod tests;
mod world;

use crate::{
    chance::Chance,
    client::Connection,
    clock::now_ms,
    link::{Synced, confirm, sync_once},
    report::{LoadError, Report},
    site::{Common, Site},
    vbox::{self, Attempt, Exchange, Refusal},
    wire::BinState,
};
use model::{Action, Asked, Bin, Model, Press, Shown, Tone};
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers},
};
use std::{
    io::IsTerminal,
    path::PathBuf,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;
use world::World;

/// A box in earnest is told to come every few minutes; whoever looks at one does not want to wait so long.
const SYNC_EVERY: Duration = Duration::from_secs(3);
const ASK_EVERY: Duration = Duration::from_secs(1);
const DRAW_EVERY: Duration = Duration::from_millis(200);

#[derive(clap::Args, Clone, Debug)]
pub struct BoxArgs {
    /// Be the box that this enrolment code is for, instead of making an organisation with a box of its own.
    #[arg(long, value_name = "CODE", requires = "server")]
    pub enrol: Option<String>,
    /// The running server of that box, for example http://127.0.0.1:8080.
    #[arg(long, value_name = "URL", requires = "enrol")]
    pub server: Option<String>,
    /// A token of its organisation, to see what the server says of it.
    #[arg(long, value_name = "CAS_…", requires = "enrol")]
    pub organisation_token: Option<String>,
    /// Where the box keeps its state and journal: started again there, it is the same box after a reboot.
    #[arg(long, value_name = "FOLDER")]
    pub keep: Option<PathBuf>,
}

pub async fn run(args: &BoxArgs, common: &Common, seed: u64) -> Result<Report, LoadError> {
    if !std::io::stdout().is_terminal() {
        return Err(LoadError::Unfit("a box to look at needs a terminal".to_owned()));
    }
    let mut report = Report::new("box", seed);
    let chance = Chance::seeded(seed);
    let (mut world, site) = match (&args.enrol, &args.server) {
        (Some(code), Some(url)) => (World::of_code(url, code, args, &chance).await?, None),
        _ => {
            println!("Starting a server on loopback with an empty store …");
            let site = Site::open(common).await?;
            let world = World::made(&site, args, &chance).await?;
            (world, Some(site))
        }
    };
    let mut terminal = ratatui::init();
    let played = play(&mut terminal, &mut world).await;
    ratatui::restore();
    if let Some(site) = site {
        site.close(&mut report).await;
    }
    played.map(|()| report)
}

/// Key presses come from a thread of their own: reading a terminal blocks.
fn presses() -> mpsc::Receiver<Press> {
    let (sender, receiver) = mpsc::channel(64);
    std::thread::spawn(move || {
        while !sender.is_closed() {
            if !event::poll(Duration::from_millis(200)).unwrap_or(false) {
                continue;
            }
            let Ok(Event::Key(key)) = event::read() else { continue };
            if key.kind != KeyEventKind::Press {
                continue;
            }
            let press = match key.code {
                KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Press::Quit,
                KeyCode::Char(digit) if digit.is_ascii_digit() => Press::Digit(digit),
                KeyCode::Char(letter) => Press::Letter(letter),
                KeyCode::Enter => Press::Enter,
                KeyCode::Backspace => Press::Back,
                KeyCode::Tab => Press::Tab,
                KeyCode::Left => Press::Left,
                KeyCode::Right => Press::Right,
                KeyCode::Up => Press::Up,
                KeyCode::Down => Press::Down,
                KeyCode::Esc => Press::Escape,
                _ => continue,
            };
            if sender.blocking_send(press).is_err() {
                return;
            }
        }
    });
    receiver
}

async fn play(terminal: &mut DefaultTerminal, world: &mut World) -> Result<(), LoadError> {
    let mut model = Model::new(world.title.clone(), world.people.clone());
    model.tell(Tone::Plain, "Choose a bin, type a code (c: the person's own) and press enter; p pulls the plug; v signs a pass, f shows it.");
    let mut presses = presses();
    let mut link: Option<Connection> = None;
    let (mut synced, mut asked): (Option<Instant>, Option<Instant>) = (None, None);
    let mut sync_now = true;
    loop {
        let due = synced.is_none_or(|at| at.elapsed() >= SYNC_EVERY);
        if model.connected && (sync_now || due) {
            sync_now = sync(world, &mut model, &mut link).await;
            synced = Some(Instant::now());
        }
        if asked.is_none_or(|at| at.elapsed() >= ASK_EVERY) {
            world.ask(&mut model).await;
            asked = Some(Instant::now());
        }
        show(world, &mut model, synced.filter(|_| world.vbox.state().cursor.is_some()));
        terminal.draw(|frame| {
            model.columns = screen::columns(frame.area().width);
            screen::draw(frame, &model);
        })?;
        let Ok(press) = tokio::time::timeout(DRAW_EVERY, presses.recv()).await else { continue };
        let Some(action) = press.map_or(Some(Action::Quit), |press| model.press(press)) else { continue };
        match action {
            Action::Quit => return Ok(()),
            Action::SyncNow => sync_now = true,
            Action::Grant { person } => world.grant(&person, &mut model).await,
            Action::WantPins => world.want_pins(&mut model).await,
            Action::Sign { person, pass } => world.sign(&person, pass, &mut model).await,
            Action::Scan { file } => {
                if let Some(action) = scan(&mut model, &file) {
                    sync_now |= act(world, &mut model, action)?;
                }
            }
            other => sync_now |= act(world, &mut model, other)?,
        }
    }
}

/// What is done at the box itself; whether it has something to tell.
fn act(world: &mut World, model: &mut Model, action: Action) -> Result<bool, LoadError> {
    let now = now_ms();
    let vbox = &mut world.vbox;
    let attempt = match action {
        Action::PickUp { shown, bin, fob, pin } => {
            let attempt = vbox.take(held(&shown), &fob, pin.as_deref(), now)?;
            if attempt == Attempt::Refused(Refusal::PinNeeded) && pin.is_none() {
                model.tell(Tone::Plain, "The box wants a PIN besides: type it (c: the person's own) and press enter.");
                model.asked = Some(Asked { shown, bin, fob, typed: String::new() });
                return Ok(false);
            }
            attempt
        }
        Action::DropOff { shown, fob } => vbox.leave(shown.as_ref().map(held), &*fob, now)?,
        Action::ByHand { bin, fob } => {
            let before = vbox.put_by_hand(&bin, fob.as_deref());
            model.hand.retain(|held| Some(held) != fob.as_ref());
            model.hand.extend(before);
            model.tell(Tone::Bad, format!("{bin} was forced open; the box has not noticed."));
            return Ok(false);
        }
        Action::Quit
        | Action::SyncNow
        | Action::WantPins
        | Action::Grant { .. }
        | Action::Sign { .. }
        | Action::Scan { .. } => return Ok(false),
    };
    match attempt {
        Attempt::Done(Exchange { bin, fob, person, seq }) => {
            let who = person.map_or("somebody".to_owned(), |person| world.name_of(&person));
            match model.hand.iter().position(|held| *held == fob) {
                Some(at) => {
                    model.hand.remove(at);
                    model.tell(Tone::Good, format!("{bin} opened: {who} has left {fob} (journal {seq})."));
                }
                None => {
                    model.tell(Tone::Good, format!("{bin} opened: {who} has taken {fob} (journal {seq})."));
                    model.hand.push(fob);
                }
            }
            Ok(true)
        }
        Attempt::Refused(refusal) => {
            model.tell(Tone::Bad, format!("Refused: {}.", words(refusal)));
            Ok(false)
        }
        Attempt::Opened(bins) => {
            model.tell(Tone::Good, format!("{} opened by an offline code.", bins.join(", ")));
            Ok(true)
        }
        Attempt::NothingInside(bin) => {
            model.tell(Tone::Bad, format!("{bin} opened, and nothing was inside."));
            Ok(false)
        }
    }
}

fn held(shown: &Shown) -> vbox::Shown<'_> {
    match shown {
        Shown::Code(code) => vbox::Shown::Digits(code),
        Shown::Badge(badge) => vbox::Shown::Badge(badge),
        Shown::Qr(text) => vbox::Shown::Qr(text),
    }
}

/// A file is held before the reader.
fn scan(model: &mut Model, file: &str) -> Option<Action> {
    match std::fs::read(file) {
        Ok(content) => model.scanned(&content),
        Err(error) => {
            model.tell(Tone::Bad, format!("{file}: {error}"));
            None
        }
    }
}

fn words(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::NoState => "the box has never been in sync",
        Refusal::UnknownCode => "nobody is known by this",
        Refusal::UnknownKey => "the box does not know this key",
        Refusal::NotPermitted => "no access to this key",
        Refusal::NotYetValid => "the access has not begun",
        Refusal::Expired => "the access is over",
        Refusal::KeyNotHere => "the key is in none of the bins",
        Refusal::BinClosed => "the bin is protected or disabled",
        Refusal::NoFreeBin => "no bin is free",
        Refusal::BinsTooSmall => "the bins that are free are too small",
        Refusal::PersonNeeded => "here nobody leaves a key without saying who they are",
        Refusal::PinNeeded => "a PIN is wanted besides",
        Refusal::Throttled => "too many wrong codes: come again in a while",
        Refusal::NotSigned => "nobody whom the box trusts has signed this",
        Refusal::PassUsed => "the pass has been used",
    }
}

/// One sync, and the word that its answer is stored; whether there is more to send.
async fn sync(world: &mut World, model: &mut Model, link: &mut Option<Connection>) -> bool {
    world.vbox.health.mains = model.mains;
    let Ok(open) = Connection::kept(link, &world.target).await else {
        model.tell(Tone::Bad, "The server cannot be reached.");
        return false;
    };
    match sync_once(open, &world.target, &mut world.vbox).await {
        Ok(Synced::Applied(applied)) => {
            for (entry, receipt) in &applied.receipts {
                let reason = receipt.reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
                let tone = if receipt.outcome.name() == "applied" { Tone::Good } else { Tone::Bad };
                let (seq, kind, bin) = (entry.seq, entry.kind.name(), &entry.bin);
                model.tell(tone, format!("Journal {seq}, {kind} at {bin}: {}{reason}", receipt.outcome.name()));
            }
            // Losing this loses nothing: the next sync says the same.
            let _ = confirm(open, &world.target, &world.vbox).await;
            applied.unsent > 0
        }
        Ok(Synced::Deferred { retry_after_s }) => {
            model.tell(Tone::Plain, format!("The server is busy: come again in {retry_after_s} s."));
            false
        }
        Ok(Synced::Stopped { status, problem }) => {
            model.tell(Tone::Bad, format!("The server refuses this box: {status} {problem}"));
            model.connected = false;
            false
        }
        Ok(Synced::Unbelievable(why)) => {
            model.tell(Tone::Bad, format!("An answer that cannot be believed: {why}"));
            false
        }
        Err(error) => {
            model.tell(Tone::Bad, format!("The connection broke: {error}"));
            *link = None;
            false
        }
    }
}

/// The box as it stands, into the model.
fn show(world: &World, model: &mut Model, synced: Option<Instant>) {
    let vbox = &world.vbox;
    let believed: std::collections::BTreeMap<_, _> = vbox.believed().collect();
    model.bins = vbox
        .physical()
        .map(|(label, physical)| {
            let item = vbox.state().bins.get(label);
            Bin {
                label: label.to_owned(),
                physical: physical.map(str::to_owned),
                believed: believed.get(label).copied().flatten().map(str::to_owned),
                closed: item.is_some_and(|item| item.state != BinState::Enabled),
                confirmed: item.is_none_or(|item| item.confirmed),
            }
        })
        .collect();
    model.selected = model.selected.min(model.bins.len().saturating_sub(1));
    model.journal_head = vbox.head();
    model.unsent = vbox.unsent();
    model.cursor = vbox.state().cursor.clone();
    model.synced_s_ago = synced.map(|at| at.elapsed().as_secs());
}
