//! The master key: 256 bits that wrap the subjects' keys. While it is being rotated there are two versions of it.
//!
//! A line a version, `2:` and 64 hexadecimal digits; a line without a number is version 1. The newest wraps what is
//! written, older ones only read.

use super::{StoreError, vault::Secret};
use crate::kernel::Chance;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// Where the master key is read from.
#[derive(Clone, PartialEq, Eq)]
pub enum MasterKeySource {
    File(PathBuf),
    /// As the environment says it.
    Environment(Zeroizing<String>),
}

impl fmt::Debug for MasterKeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => f.debug_tuple("File").field(file).finish(),
            Self::Environment(_) => f.write_str("Environment"),
        }
    }
}

impl fmt::Display for MasterKeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => file.display().fmt(f),
            Self::Environment(_) => f.write_str("the environment"),
        }
    }
}

impl MasterKeySource {
    pub fn read(&self) -> Result<MasterKeys, StoreError> {
        match self {
            Self::File(file) => MasterKeys::read(file),
            Self::Environment(text) => MasterKeys::parse(text, "CASTELLAN__SECRETS__MASTER_KEY"),
        }
    }
}

impl From<Secret> for MasterKeys {
    fn from(first: Secret) -> Self {
        Self { older: BTreeMap::new(), newest: (1, first) }
    }
}

/// All versions that are known: at least one.
#[derive(Clone)]
pub struct MasterKeys {
    older: BTreeMap<u32, Secret>,
    newest: (u32, Secret),
}

impl fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.versions()).finish()
    }
}

const HEAD: &str =
    "# Castellan's master key: version, then 64 hexadecimal digits. Keep a copy of it apart from the data.\n";

impl MasterKeys {
    /// A first version.
    pub fn first(chance: &Chance) -> Self {
        Zeroizing::new(chance.bytes()).into()
    }

    /// Reads versions, by lines or by commas.
    pub fn parse(text: &str, of: &str) -> Result<Self, StoreError> {
        let wrong = |what: &str| {
            StoreError::MasterKey(format!("{of}: {what}; expected a version, a colon and 64 hexadecimal digits"))
        };
        let mut all = BTreeMap::new();
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        for line in lines.flat_map(|line| line.split(',')).map(str::trim).filter(|line| !line.is_empty()) {
            let (version, digits) = match line.split_once(':') {
                Some((version, digits)) => (version.trim().parse().ok().filter(|version| *version > 0), digits.trim()),
                None => (Some(1), line),
            };
            let version = version.ok_or_else(|| wrong("a version that is no number from 1 on"))?;
            let key = parse_hex(digits).ok_or_else(|| wrong("a key that cannot be read"))?;
            if all.insert(version, key).is_some() {
                return Err(wrong("a version that stands there twice"));
            }
        }
        let newest = all.pop_last().ok_or_else(|| wrong("no key"))?;
        Ok(Self { older: all, newest })
    }

    /// Reads a file that nobody else may read.
    pub fn read(file: &Path) -> Result<Self, StoreError> {
        let shown = file.display();
        let wrong = |error: io::Error| StoreError::MasterKey(format!("the master key {shown} cannot be read: {error}"));
        let mode = fs::metadata(file).map_err(wrong)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let why = format!("the master key {shown} has mode {mode:04o}: others may read it; chmod 600 {shown}");
            return Err(StoreError::MasterKey(why));
        }
        let text = Zeroizing::new(fs::read_to_string(file).map_err(wrong)?);
        Self::parse(&text, &shown.to_string())
    }

    /// Makes the file (mode 0600, must not exist).
    pub fn create(&self, file: &Path) -> Result<(), StoreError> {
        let mut made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
        made.write_all(self.text().as_bytes())?;
        Ok(made.sync_all()?)
    }

    /// Puts the file in the place of an older one: either the old or the new is there, whenever the power goes.
    pub fn replace(&self, file: &Path) -> Result<(), StoreError> {
        let beside = file.with_extension("key.new");
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        self.create(&beside)?;
        fs::rename(&beside, file)?;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Ok(File::open(folder)?.sync_all()?)
    }

    fn text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(HEAD.len() + 80 * (self.older.len() + 1)));
        text.push_str(HEAD);
        for version in self.versions() {
            let Some(key) = self.get(version) else { continue };
            text.push_str(&format!("{version}:"));
            key.iter().for_each(|byte| text.push_str(&format!("{byte:02x}")));
            text.push('\n');
        }
        text
    }

    /// Which versions there are, oldest first.
    pub fn versions(&self) -> Vec<u32> {
        self.older.keys().copied().chain([self.newest.0]).collect()
    }

    pub fn newest(&self) -> (u32, &Secret) {
        (self.newest.0, &self.newest.1)
    }

    pub fn get(&self, version: u32) -> Option<&Secret> {
        if version == self.newest.0 { Some(&self.newest.1) } else { self.older.get(&version) }
    }

    /// With one version more.
    pub fn with_next(&self, chance: &Chance) -> Self {
        let mut older = self.older.clone();
        older.insert(self.newest.0, self.newest.1.clone());
        Self { older, newest: (self.newest.0 + 1, Zeroizing::new(chance.bytes())) }
    }

    pub fn only_newest(&self) -> Self {
        Self { older: BTreeMap::new(), newest: self.newest.clone() }
    }

    /// Tells a version's key from others without telling anything of it.
    pub fn fingerprint(&self, version: u32) -> Option<String> {
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&**self.get(version)?).ok()?;
        mac.update(b"castellan master key fingerprint");
        Some(mac.finalize().into_bytes()[..8].iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

fn parse_hex(text: &str) -> Option<Secret> {
    let mut key = Zeroizing::new([0; 32]);
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (at, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits(byte: u8) -> String {
        format!("{byte:02x}").repeat(32)
    }

    #[test]
    fn one_line_is_version_1_and_several_say_their_number() {
        let one = MasterKeys::parse(&format!("{}\n", digits(7)), "x").unwrap();
        assert_eq!((one.versions(), **one.newest().1), (vec![1], [7; 32]));
        let two = MasterKeys::parse(&format!("# c\n3:{}\n 1: {}\n", digits(3), digits(1)), "x").unwrap();
        assert_eq!((two.versions(), two.newest().0), (vec![1, 3], 3));
        let commas = MasterKeys::parse(&format!("1:{},2:{}", digits(1), digits(2)), "x").unwrap();
        assert_eq!(commas.versions(), [1, 2]);
        assert_eq!(commas.fingerprint(1), two.fingerprint(1));
        assert_ne!(commas.fingerprint(1), commas.fingerprint(2));
    }

    #[test]
    fn what_cannot_be_read_is_told_without_telling_the_key() {
        let twice = format!("1:{}\n{}", digits(1), digits(2));
        for wrong in ["", "# nothing", "1:ab", &digits(9)[1..], "0:00", &format!("x:{}", digits(9)), &twice] {
            let told = MasterKeys::parse(wrong, "the file").unwrap_err().to_string();
            assert!(told.starts_with("the file: ") && !told.contains("0909") && !told.contains("0101"), "{told}");
        }
    }

    #[test]
    fn a_file_is_ours_alone_and_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("master.key");
        let first = MasterKeys::first(&Chance::system());
        first.create(&file).unwrap();
        assert!(first.create(&file).is_err(), "an existing key is never written over");
        let second = MasterKeys::read(&file).unwrap().with_next(&Chance::system());
        second.replace(&file).unwrap();
        let read = MasterKeys::read(&file).unwrap();
        assert_eq!((read.versions(), read.fingerprint(1)), (vec![1, 2], first.fingerprint(1)));
        read.only_newest().replace(&file).unwrap();
        assert_eq!(MasterKeys::read(&file).unwrap().versions(), [2]);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let told = MasterKeys::read(&file).unwrap_err().to_string();
        assert!(told.contains("mode 0640") && told.contains("chmod 600"), "{told}");
    }
}
