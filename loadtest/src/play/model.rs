//! What the person in front of the box sees and does: pure, so that it can be tried without a terminal.

use std::collections::VecDeque;

/// Lines of news that are kept.
const NEWS_MAX: usize = 200;
const CODE_MAX: usize = 16;
const PIN_MAX: usize = 8;
const FILE_MAX: usize = 250;

/// Somebody who may stand in front of the box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub id: String,
    pub name: String,
    pub code: String,
    pub badge: String,
    /// Empty: nobody knows it here.
    pub pin: String,
}

/// A bin as it is and as the box believes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bin {
    pub label: String,
    pub physical: Option<String>,
    pub believed: Option<String>,
    /// Protected or disabled.
    pub closed: bool,
    pub confirmed: bool,
}

/// What the server says of the box, as it was last asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerSide {
    pub plan: String,
    pub offline: bool,
    pub reconciling: bool,
    pub late: bool,
    /// How long something has been missing at the box, and how long it may.
    pub pending_s: Option<u64>,
    pub due_in_s: Option<i64>,
    pub alerts: Vec<String>,
    /// Whether the box wants a PIN at pick-ups.
    pub pins: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Good,
    Bad,
    /// What the server tells.
    Server,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    pub tone: Tone,
    pub text: String,
}

/// A key press, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Press {
    Digit(char),
    Letter(char),
    Enter,
    Back,
    Tab,
    Left,
    Right,
    Up,
    Down,
    /// Out of what was begun, or of all of it.
    Escape,
    Quit,
}

/// Who stands there, by what he shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    Code(String),
    Badge(String),
    /// The text of a QR code.
    Qr(String),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Quit,
    /// Asks for the key in this bin.
    PickUp {
        shown: Shown,
        bin: String,
        fob: String,
        /// What is typed besides, once the box has asked for it.
        pin: Option<String>,
    },
    /// Leaves the fob that was taken first; without anything shown as a quick scan.
    DropOff {
        shown: Option<Shown>,
        fob: String,
    },
    /// Somebody takes the fob out, or puts one in, by hand; the box does not notice.
    ByHand {
        bin: String,
        fob: Option<String>,
    },
    /// An administrator grants or withdraws, at the server, what the person may at this box.
    Grant {
        person: String,
    },
    /// An administrator signs, at the server, a pass for the person, or who the person is; it lands in a file.
    Sign {
        person: String,
        pass: bool,
    },
    /// What stands in this file is held before the reader.
    Scan {
        file: String,
    },
    /// An administrator decides, at the server, whether this box wants a PIN besides.
    WantPins,
    SyncNow,
}

/// A pick-up for which the box wants a PIN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub shown: Shown,
    pub bin: String,
    pub fob: String,
    pub typed: String,
}

#[derive(Clone, Debug, Default)]
pub struct Model {
    pub title: String,
    pub bins: Vec<Bin>,
    pub people: Vec<Person>,
    /// Fobs in somebody's hand.
    pub hand: Vec<String>,
    pub selected: usize,
    pub person: usize,
    pub code: String,
    pub columns: usize,
    /// The network cable is in.
    pub connected: bool,
    pub mains: bool,
    pub journal_head: u64,
    pub unsent: usize,
    pub cursor: Option<String>,
    pub synced_s_ago: Option<u64>,
    pub server: Option<ServerSide>,
    pub news: VecDeque<News>,
    /// The PIN that is being typed, and for what.
    pub asked: Option<Asked>,
    /// The name of a file that is being typed.
    pub file: Option<String>,
    /// What was signed or scanned last.
    pub last_file: String,
}

impl Model {
    pub fn new(title: String, people: Vec<Person>) -> Self {
        Self { title, people, columns: 1, connected: true, mains: true, ..Self::default() }
    }

    pub fn tell(&mut self, tone: Tone, text: impl Into<String>) {
        if self.news.len() == NEWS_MAX {
            self.news.pop_front();
        }
        self.news.push_back(News { tone, text: text.into() });
    }

    pub fn bin(&self) -> Option<&Bin> {
        self.bins.get(self.selected)
    }

    pub fn who(&self) -> Option<&Person> {
        self.people.get(self.person)
    }

    /// What a key press comes to.
    pub fn press(&mut self, press: Press) -> Option<Action> {
        if self.file.is_some() {
            return self.press_for_file(press);
        }
        if self.asked.is_some() {
            return self.press_for_pin(press);
        }
        match press {
            Press::Quit | Press::Escape | Press::Letter('q') => return Some(Action::Quit),
            Press::Digit(digit) => {
                if self.code.len() < CODE_MAX {
                    self.code.push(digit);
                }
            }
            Press::Back => drop(self.code.pop()),
            Press::Tab => self.person = (self.person + 1) % self.people.len().max(1),
            Press::Left => self.selected = self.selected.saturating_sub(1),
            Press::Right => self.selected = (self.selected + 1).min(self.bins.len().saturating_sub(1)),
            Press::Up => self.selected = self.selected.saturating_sub(self.columns),
            Press::Down => {
                let below = self.selected + self.columns;
                self.selected = if below < self.bins.len() { below } else { self.selected };
            }
            Press::Enter => {
                let code = std::mem::take(&mut self.code);
                let shown = (!code.is_empty()).then_some(Shown::Code(code));
                return self.use_bin(shown);
            }
            Press::Letter('b') => {
                let badge = self.who().map(|person| Shown::Badge(person.badge.clone()));
                self.code.clear();
                return self.use_bin(badge);
            }
            Press::Letter('c') => self.code = self.who().map(|person| person.code.clone()).unwrap_or_default(),
            Press::Letter('p') => {
                self.connected = !self.connected;
                let text = if self.connected { "The network cable is back in." } else { "The network cable is out." };
                self.tell(Tone::Plain, text);
                return self.connected.then_some(Action::SyncNow);
            }
            Press::Letter('m') => {
                self.mains = !self.mains;
                let text =
                    if self.mains { "Mains are back." } else { "The mains are gone: the box runs on its battery." };
                self.tell(Tone::Plain, text);
            }
            Press::Letter('s') => return Some(Action::SyncNow),
            Press::Letter('g') => {
                let person = self.who()?.id.clone();
                return Some(Action::Grant { person });
            }
            Press::Letter('n') => return Some(Action::WantPins),
            Press::Letter('f') => self.file = Some(self.last_file.clone()),
            Press::Letter(letter @ ('v' | 'i')) => {
                let person = self.who()?.id.clone();
                return Some(Action::Sign { person, pass: letter == 'v' });
            }
            Press::Letter('h') => {
                let bin = self.bin()?;
                let fob = if bin.physical.is_some() { None } else { Some(self.hand.first()?.clone()) };
                return Some(Action::ByHand { bin: bin.label.clone(), fob });
            }
            Press::Letter(_) => {}
        }
        None
    }

    /// While a name is typed, letters and digits are part of it.
    fn press_for_file(&mut self, press: Press) -> Option<Action> {
        let file = self.file.as_mut()?;
        match press {
            Press::Quit => return Some(Action::Quit),
            Press::Escape => self.file = None,
            Press::Digit(sign) | Press::Letter(sign) if file.len() < FILE_MAX => file.push(sign),
            Press::Back => drop(file.pop()),
            Press::Enter => {
                let file = self.file.take().filter(|file| !file.is_empty())?;
                self.last_file.clone_from(&file);
                return Some(Action::Scan { file });
            }
            _ => {}
        }
        None
    }

    /// The box has asked for a PIN: digits are nothing else until it is typed, or given up.
    fn press_for_pin(&mut self, press: Press) -> Option<Action> {
        let own = self.who().map(|person| person.pin.clone());
        let asked = self.asked.as_mut()?;
        match press {
            Press::Quit => return Some(Action::Quit),
            Press::Escape => self.asked = None,
            Press::Digit(digit) if asked.typed.len() < PIN_MAX => asked.typed.push(digit),
            Press::Letter('c') => asked.typed = own.unwrap_or_default(),
            Press::Back => drop(asked.typed.pop()),
            Press::Enter => {
                let Asked { shown, bin, fob, typed } = self.asked.take()?;
                return Some(Action::PickUp { shown, bin, fob, pin: Some(typed) });
            }
            _ => {}
        }
        None
    }

    /// What is to be done with a text that was scanned: as with any other thing that is shown.
    pub fn scanned(&mut self, content: &[u8]) -> Option<Action> {
        match signed_text(content) {
            Ok(text) => self.use_bin(Some(Shown::Qr(text))),
            Err(why) => {
                self.tell(Tone::Bad, why);
                None
            }
        }
    }

    /// A bin with a key is asked for it; at an empty one the first fob in the hand is left.
    pub fn use_bin(&mut self, shown: Option<Shown>) -> Option<Action> {
        let bin = self.bin()?.clone();
        match (bin.believed.or(bin.physical), shown) {
            (Some(fob), Some(shown)) => Some(Action::PickUp { shown, bin: bin.label, fob, pin: None }),
            (Some(_), None) => {
                self.tell(Tone::Bad, "Type a code (c: the person's own) or show a badge (b) first.");
                None
            }
            (None, shown) => match (self.hand.first(), shown) {
                (Some(fob), shown) => Some(Action::DropOff { shown, fob: fob.clone() }),
                // They may name their key, or their bin, themselves.
                (None, Some(shown @ (Shown::Code(_) | Shown::Qr(_)))) => {
                    Some(Action::PickUp { shown, bin: bin.label, fob: String::new(), pin: None })
                }
                (None, _) => {
                    self.tell(Tone::Bad, "Nobody has a key in the hand.");
                    None
                }
            },
        }
    }
}

/// The text of a pass or of a personal QR code in a file: alone, or as the server has answered it.
fn signed_text(content: &[u8]) -> Result<String, &'static str> {
    const PREFIX: &str = "CAS1:";
    if content.starts_with(b"\x89PNG") {
        return Err("This is a picture: a terminal has no camera. Keep the text that stands in it.");
    }
    let content = String::from_utf8_lossy(content);
    let from = content.find(PREFIX).ok_or("There is nothing in this file that a box could read.")?;
    let of_code = |sign: char| sign.is_ascii_uppercase() || sign.is_ascii_digit() || " $%*+-./:".contains(sign);
    let text = &content[from..];
    Ok(text[..text.find(|sign| !of_code(sign)).unwrap_or(text.len())].to_owned())
}
