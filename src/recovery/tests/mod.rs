//! Stories of installations.

mod admin;
mod glass;
mod golden;
mod stories;
mod walk;

use super::{
    Command, Description, Event, Installation, Known, Login, Minted, NewContact, Refusal, Rules, Salt, Sealed, Stopper,
    Told, check_invariants, words::Environment,
};
use crate::{
    kernel::{Address, Codec, Context, Effects, InstallationId, Machine, OrgId, Principal, Stamp, UnixMillis},
    orgs::{Language, Mark},
};
use std::time::Duration;
use zeroize::Zeroizing;

pub(super) const ORG: OrgId = OrgId(7);
pub(super) const START: UnixMillis = UnixMillis(1_793_491_200_000);

pub(super) fn address() -> Address {
    InstallationId(9).at(ORG)
}

pub(super) const RULES: Rules = Rules {
    terminal_timeout: Duration::from_secs(120),
    link_lives: Duration::from_secs(24 * 3600),
    code_lives: Duration::from_secs(3600),
    reset_lives: Duration::from_secs(3600),
    reset_mails_a_day: 3,
    reset_mail_pause: Duration::from_secs(600),
    offer_as_documented: false,
    code_before_reset: true,
    break_glass_wait: Duration::from_secs(72 * 3600),
};

pub(super) fn mark(n: u8) -> Mark {
    Mark([n; 16])
}

/// The names and terminals of these stories.
pub(super) const ADMIN: u8 = 1;
pub(super) const OTHER: u8 = 2;
pub(super) const NOBODY: u8 = 3;
pub(super) const ONE: u8 = 11;
pub(super) const TWO: u8 = 12;

/// What a mail's secrets would be; each mail has others.
pub(super) fn minted(n: u8) -> Minted {
    let part = |part: u8| {
        let mut bytes = [part; 16];
        bytes[0] = n;
        Mark(bytes)
    };
    Minted { salt: Salt([n; 16]), link: part(101), code_form: part(102), reset_form: part(103), code: part(104) }
}

/// What would stop it.
fn stop_of(mail: u8) -> Mark {
    let mut bytes = [105; 16];
    bytes[0] = mail;
    Mark(bytes)
}

pub(super) fn described() -> Description {
    Description {
        label: "Studio Rossi".into(),
        product: "Mexal".into(),
        environment: Environment::Live,
        language: Language::It,
        errors_max: None,
        blocks_administrator: false,
        account: "rossi".into(),
    }
}

/// One installation and everything that has happened to it.
#[derive(Clone)]
pub(super) struct Story {
    pub installation: Installation,
    pub now: UnixMillis,
    pub rules: Rules,
    pub history: Vec<(UnixMillis, Event)>,
    /// Templates of what was sent.
    pub sent: Vec<String>,
    /// The newest mail's number.
    pub mail: u8,
}

impl Story {
    pub fn new() -> Self {
        Self::with(described())
    }

    pub fn with(description: Description) -> Self {
        let installation = Installation::blank(address());
        let mut story = Self { installation, now: START, rules: RULES, history: Vec::new(), sent: Vec::new(), mail: 0 };
        let users = Zeroizing::new(vec![1]);
        story.tell(Command::Create { description, administrator: mark(ADMIN), users, account: None }).unwrap();
        let users = story.users();
        story.tell(Command::AddUser { role: super::Role::User, name: mark(OTHER), users }).unwrap();
        story
    }

    pub fn users(&self) -> Sealed {
        Sealed { instead_of: self.known().users_at, plain: Zeroizing::new(vec![2]) }
    }

    pub fn pass(&mut self, seconds: u64) {
        self.now = self.now.plus(Duration::from_secs(seconds));
    }

    pub fn tell(&mut self, command: Command) -> Result<Told, Refusal> {
        let cx = Context {
            org: ORG,
            now: self.now,
            epoch: 1,
            up_since: START,
            by: Principal::Anonymous,
            from: Some("192.0.2.7".parse().unwrap()),
        };
        let mut events = Vec::new();
        self.installation.decide(&command, 0, &cx, &mut events)?;
        let before = self.installation.clone();
        for event in &events {
            self.history.push((self.now, event.clone()));
            self.installation.evolve(event, Stamp { at: self.now, revision: self.history.len() as u64 });
        }
        assert_eq!(check_invariants(&before, &events, &self.installation, self.now), [], "{command:?}: {events:?}");
        let mut effects = Effects::default();
        self.installation.effects(&command, &events, &cx, &mut effects);
        self.sent.extend(effects.mails.into_iter().map(|mail| mail.template.into_owned()));
        Ok(self.installation.answer(&command, &events, self.history.len() as u64, &cx))
    }

    pub fn known(&self) -> &Known {
        self.installation.known().unwrap()
    }

    pub fn open(&mut self, terminal: u8) -> Result<Told, Refusal> {
        self.tell(Command::OpenTerminal { terminal: mark(terminal), rules: self.rules })
    }

    pub fn begin(&mut self, terminal: u8, name: u8) -> Result<u16, Refusal> {
        match self.tell(Command::Begin { terminal: mark(terminal), name: mark(name) })? {
            Told::Begun { attempt, .. } => Ok(attempt),
            other => panic!("{other:?}"),
        }
    }

    pub fn end(&mut self, terminal: u8, attempt: u16, right: bool) -> Result<Login, Refusal> {
        match self.tell(Command::End { terminal: mark(terminal), attempt, right, rules: self.rules })? {
            Told::Login(login) => Ok(login),
            other => panic!("{other:?}"),
        }
    }

    pub fn log_in(&mut self, terminal: u8, name: u8, right: bool) -> Result<Login, Refusal> {
        let attempt = self.begin(terminal, name)?;
        self.end(terminal, attempt, right)
    }

    /// Administrator 1 at a terminal.
    pub fn administrator(&mut self, terminal: u8) {
        self.open(terminal).unwrap();
        assert!(matches!(self.log_in(terminal, ADMIN, true), Ok(Login::In { user: 1, .. })));
    }

    pub fn contact(&mut self, terminal: u8, wanted: Option<(u8, Option<u8>)>) -> Result<bool, Refusal> {
        self.mail += 1;
        let contact =
            wanted.map(|(email, telephone)| NewContact { email: mark(email), telephone: telephone.map(mark) });
        let sealed = Sealed { instead_of: self.known().contact_at, plain: Zeroizing::new(vec![3]) };
        let (former, minted) = (Zeroizing::new(vec![4]), minted(self.mail));
        match self.tell(Command::SetContact {
            terminal: mark(terminal),
            contact,
            sealed,
            former,
            minted,
            rules: self.rules,
        })? {
            Told::Contact { changed } => Ok(changed),
            other => panic!("{other:?}"),
        }
    }

    pub fn press(&mut self, mail: u8) -> Result<Told, Refusal> {
        self.tell(Command::Press { link: minted(mail).link, rules: self.rules })
    }

    pub fn enter(&mut self, mail: u8, right: bool) -> Result<Told, Refusal> {
        let code = if right { minted(mail).code } else { mark(99) };
        self.tell(Command::EnterCode { form: minted(mail).code_form, code, rules: self.rules })
    }

    pub fn forgotten(&mut self, terminal: u8) -> Result<Told, Refusal> {
        self.mail += 1;
        let minted = minted(self.mail);
        self.tell(Command::Forgotten { terminal: mark(terminal), minted, rules: self.rules })
    }

    /// A contact that was validated, at terminal one, which is closed again.
    pub fn validated(&mut self, telephone: Option<u8>) {
        self.administrator(ONE);
        assert_eq!(self.contact(ONE, Some((50, telephone))), Ok(true));
        let mail = self.mail;
        self.press(mail).unwrap();
        if telephone.is_some() {
            self.tell(Command::TextAccepted { link: minted(mail).link }).unwrap();
            self.enter(mail, true).unwrap();
        }
        assert!(self.known().is_validated());
        self.tell(Command::CloseTerminal { terminal: mark(ONE) }).unwrap();
    }

    /// Two wrong passwords and "forgotten password"; the number of the mail, if there is one.
    pub fn asked(&mut self, terminal: u8, name: u8) -> Option<u8> {
        self.open(terminal).unwrap();
        for _ in 0..2 {
            self.log_in(terminal, name, false).unwrap();
        }
        let before = self.sent.len();
        self.forgotten(terminal).unwrap();
        (self.sent.len() > before).then_some(self.mail)
    }

    /// The operator starts a reset to a new address.
    pub fn glass(&mut self) -> Result<Told, Refusal> {
        self.mail += 1;
        let (minted, address) = (minted(self.mail), Zeroizing::new(vec![3]));
        self.tell(Command::BreakGlass { minted, stop: stop_of(self.mail), address, rules: self.rules })
    }

    pub fn stop(&mut self, mail: u8) -> Result<Told, Refusal> {
        self.tell(Command::StopGlass { by: Stopper::Told(stop_of(mail)) })
    }

    pub fn reset(&mut self, mail: u8, name: u8) -> Result<Told, Refusal> {
        let users = self.users();
        self.tell(Command::Reset { form: minted(mail).reset_form, name: mark(name), users })
    }

    /// What a new process makes of the history.
    pub fn reloaded(&self) -> Installation {
        let mut installation = Installation::blank(address());
        for ((at, event), revision) in self.history.iter().zip(1..) {
            let event = Event::decode_from(&event.to_bytes()).unwrap();
            installation.evolve(&event, Stamp { at: *at, revision });
        }
        installation
    }

    pub fn count(&self, is: impl Fn(&Event) -> bool) -> usize {
        self.history.iter().filter(|(_, event)| is(event)).count()
    }

    pub fn mails(&self, template: &str) -> usize {
        self.sent.iter().filter(|sent| *sent == template).count()
    }
}
