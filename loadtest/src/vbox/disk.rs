//! What survives the box's reboot: a folder a box with its state, replaced whole, and its journal, appended.

use super::{Keypad, StoredState};
use crate::wire::Entry;
use serde::{Deserialize, Serialize};
use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Lines after which the journal file is written anew with only what is still kept.
const COMPACT_AFTER_LINES: usize = 4096;

/// Where a box keeps its state: nowhere (a box that never reboots, for the thousands) or in a folder.
pub enum Storage {
    Memory,
    Disk(Folder),
}

impl Storage {
    pub fn folder(path: impl Into<PathBuf>) -> Self {
        Self::Disk(Folder { path: path.into(), journal: None, lines: 0 })
    }
}

pub struct Folder {
    path: PathBuf,
    journal: Option<File>,
    lines: usize,
}

#[derive(Serialize, Deserialize)]
struct StateFile<S, T> {
    state: S,
    ticket: Option<T>,
    head: u64,
    resume_at: u64,
}

pub(super) struct Kept {
    pub state: StoredState,
    pub ticket: Option<String>,
    pub head: u64,
    pub resume_at: u64,
    pub entries: Vec<Entry>,
}

impl Storage {
    pub(super) fn prepare(&self) -> io::Result<()> {
        match self {
            Self::Memory => Ok(()),
            Self::Disk(folder) => fs::create_dir_all(&folder.path),
        }
    }

    pub(super) fn load(&mut self) -> io::Result<Option<Kept>> {
        match self {
            Self::Memory => Ok(None),
            Self::Disk(folder) => folder.load(),
        }
    }

    pub(super) fn append(&mut self, entry: &Entry) -> io::Result<()> {
        match self {
            Self::Memory => Ok(()),
            Self::Disk(folder) => folder.append(entry),
        }
    }

    pub(super) fn load_keypad(&self) -> io::Result<Keypad> {
        let Self::Disk(folder) = self else { return Ok(Keypad::default()) };
        match fs::read(folder.path.join("keypad.json")) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Keypad::default()),
            Err(error) => Err(error),
        }
    }

    pub(super) fn replace_keypad(&mut self, keypad: &Keypad) -> io::Result<()> {
        let Self::Disk(folder) = self else { return Ok(()) };
        replace_file(&folder.path, "keypad.json", &serde_json::to_vec(keypad)?)
    }

    pub(super) fn replace(
        &mut self,
        state: &StoredState,
        ticket: Option<&str>,
        head: u64,
        resume_at: u64,
        entries: &VecDeque<Entry>,
    ) -> io::Result<()> {
        let Self::Disk(folder) = self else { return Ok(()) };
        replace_file(&folder.path, "state.json", &serde_json::to_vec(&StateFile { state, ticket, head, resume_at })?)?;
        if folder.lines > COMPACT_AFTER_LINES.max(2 * entries.len()) {
            folder.compact(entries)?;
        }
        Ok(())
    }
}

impl Folder {
    fn load(&mut self) -> io::Result<Option<Kept>> {
        let text = match fs::read(self.path.join("journal.ndjson")) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        // A last line without its end was being written when the power went: it never counted.
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        if whole < text.len() {
            OpenOptions::new().write(true).open(self.path.join("journal.ndjson"))?.set_len(whole as u64)?;
        }
        let lines = text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let entries: Vec<Entry> = lines.map(serde_json::from_slice).collect::<Result<_, _>>()?;
        self.lines = entries.len();
        match fs::read(self.path.join("state.json")) {
            Ok(bytes) => {
                let file: StateFile<StoredState, String> = serde_json::from_slice(&bytes)?;
                let StateFile { state, ticket, head, resume_at } = file;
                Ok(Some(Kept { state, ticket, head, resume_at, entries }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && entries.is_empty() => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Some(Kept { state: StoredState::default(), ticket: None, head: 0, resume_at: 1, entries }))
            }
            Err(error) => Err(error),
        }
    }

    fn append(&mut self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        let journal = match &mut self.journal {
            Some(journal) => journal,
            closed => {
                let path = self.path.join("journal.ndjson");
                closed.insert(OpenOptions::new().create(true).append(true).open(path)?)
            }
        };
        journal.write_all(&line)?;
        journal.sync_data()?;
        self.lines += 1;
        Ok(())
    }

    fn compact(&mut self, entries: &VecDeque<Entry>) -> io::Result<()> {
        let mut text = Vec::new();
        for entry in entries {
            serde_json::to_writer(&mut text, entry)?;
            text.push(b'\n');
        }
        self.journal = None;
        replace_file(&self.path, "journal.ndjson", &text)?;
        self.lines = entries.len();
        Ok(())
    }
}

/// Either the old content or the new one, whenever the power goes.
fn replace_file(folder: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let beside = folder.join(format!("{name}.new"));
    let mut file = File::create(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&beside, folder.join(name))?;
    File::open(folder)?.sync_all()
}
