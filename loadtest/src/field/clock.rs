//! Time that is moved by hand, the same for the server and for the boxes: the server runs with a small library before it
//! that adds what a file says to the time of day.

use crate::{clock::now_ms, process::TempFolder, report::LoadError};
use std::{
    fs::{self, File},
    os::unix::fs::{FileExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
};

const SOURCE: &str = include_str!("clock.c");

pub struct Clock {
    folder: TempFolder,
    file: File,
    ahead_ms: u64,
}

impl Clock {
    pub fn new() -> Result<Self, LoadError> {
        let folder = TempFolder::new()?;
        let source = folder.path().join("clock.c");
        fs::write(&source, SOURCE)?;
        let library = folder.path().join("clock.so");
        let built = Command::new("cc").args(["-O2", "-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status()?;
        if !built.success() {
            return Err(LoadError::Unfit("cc cannot compile the library that moves the clock".to_owned()));
        }
        let path = folder.path().join("ahead");
        fs::write(&path, 0i64.to_ne_bytes())?;
        let file = File::options().write(true).open(path)?;
        Ok(Self { folder, file, ahead_ms: 0 })
    }

    /// The server's program, on this clock.
    pub fn around(&self, server: &Path) -> Result<PathBuf, LoadError> {
        let (shown, script) = (|path: &Path| path.display().to_string(), self.folder.path().join("castellan"));
        let text = format!(
            "#!/bin/sh\nLD_PRELOAD='{}' CLOCK_FILE='{}' exec '{}' \"$@\"\n",
            shown(&self.folder.path().join("clock.so")),
            shown(&self.folder.path().join("ahead")),
            shown(server),
        );
        fs::write(&script, text)?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o700))?;
        Ok(script)
    }

    pub fn now_ms(&self) -> u64 {
        now_ms() + self.ahead_ms
    }

    /// Moves on to this moment; never back.
    pub fn move_to(&mut self, ms: u64) -> Result<(), LoadError> {
        self.ahead_ms += ms.saturating_sub(self.now_ms());
        let ahead = i64::try_from(self.ahead_ms).unwrap_or(i64::MAX);
        Ok(self.file.write_all_at(&ahead.to_ne_bytes(), 0)?)
    }
}
