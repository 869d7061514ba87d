//! Which passwords are good enough.

/// Why a password is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weak {
    Short,
    Long,
    /// Among those that everybody tries first, or made of next to nothing.
    Known,
    /// It is the user's name, or has little besides.
    Name,
}

const CHARACTERS_MAX: usize = 256;
/// Different characters that a password has at least.
const DIFFERENT_MIN: usize = 5;
/// What a name may leave over.
const BESIDES_NAME_MIN: usize = 8;

/// What people choose who must choose twelve characters, without what follows it.
const KNOWN: &[&str] = &[
    "password",
    "passwort",
    "passw0rd",
    "parola",
    "contrasena",
    "qwerty",
    "qwertz",
    "asdfgh",
    "azerty",
    "letmein",
    "welcome",
    "willkommen",
    "benvenuto",
    "administrator",
    "administrador",
    "amministratore",
    "admin",
    "changeme",
    "cambiami",
    "iloveyou",
    "superman",
    "batman",
    "football",
    "juventus",
    "baseball",
    "dragon",
    "monkey",
    "princess",
    "sunshine",
    "master",
    "trustno",
    "whatever",
    "starwars",
    "computer",
    "internet",
    "secret",
    "geheim",
    "segreto",
    "summer",
    "sommer",
    "estate",
    "winter",
    "inverno",
    "spring",
    "autumn",
    "abc",
    "test",
    "guest",
    "root",
    "mexal",
    "passcom",
    "passepartout",
    "castellan",
    "mypassword",
    "default",
    "temporary",
    "temp",
];

/// Characters that are put around such words.
const TAIL: &str = "0123456789!?.,;:-_+*#@$%&/ ";

pub fn judge(password: &str, name: &str, characters_min: usize) -> Result<(), Weak> {
    let characters = password.chars().count();
    if characters < characters_min {
        return Err(Weak::Short);
    }
    if characters > CHARACTERS_MAX {
        return Err(Weak::Long);
    }
    let lower = password.to_lowercase();
    let mut different: Vec<char> = lower.chars().collect();
    different.sort_unstable();
    different.dedup();
    if different.len() < DIFFERENT_MIN || is_known(&lower) || is_a_row(&lower) {
        return Err(Weak::Known);
    }
    let name = name.trim().to_lowercase();
    if name.chars().count() >= 3 && lower.replace(&name, "").chars().count() < BESIDES_NAME_MIN.min(characters_min) {
        return Err(Weak::Name);
    }
    Ok(())
}

/// One of the known words, perhaps several times, and digits and signs around it.
fn is_known(lower: &str) -> bool {
    let bare = lower.trim_matches(|c| TAIL.contains(c));
    bare.is_empty() || KNOWN.iter().any(|word| bare.replace(word, "").chars().all(|c| TAIL.contains(c)))
}

/// Each character follows the one before, up or down, or on a keyboard.
fn is_a_row(lower: &str) -> bool {
    const ROWS: [&str; 4] =
        ["qwertyuiopasdfghjklzxcvbnm", "qwertzuiopasdfghjklyxcvbnm", "1234567890", "1qaz2wsx3edc4rfv5tgb"];
    let codes: Vec<u32> = lower.chars().map(u32::from).collect();
    let steps = |step: i64| codes.windows(2).filter(|pair| i64::from(pair[1]) - i64::from(pair[0]) == step).count();
    let most = codes.len() * 3 / 4;
    steps(1) >= most || steps(-1) >= most || ROWS.iter().any(|row| row.repeat(2).contains(lower))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_known_and_named_ones_are_refused_and_others_taken() {
        let judged = |password: &str| judge(password, "Rossi", 12);
        for (password, why) in [
            ("elevenchars", Weak::Short),
            ("password1234", Weak::Known),
            ("Passwort2026!", Weak::Known),
            ("PASSWORDpassword", Weak::Known),
            ("123456789012", Weak::Known),
            ("aaaaaaaaaaaaaa", Weak::Known),
            ("abababababab", Weak::Known),
            ("abcdefghijklm", Weak::Known),
            ("qwertyuiopasdf", Weak::Known),
            ("............", Weak::Known),
            ("rossi-rossi-1", Weak::Name),
        ] {
            assert_eq!(judged(password), Err(why), "{password}");
        }
        assert_eq!(judged(&"x".repeat(300)), Err(Weak::Long));
        for good in ["correct horse battery", "tre gatti sul tetto", "Zürich-Oerlikon im März", "9f3Kp2Lm8QzR"] {
            assert_eq!(judged(good), Ok(()), "{good}");
        }
    }
}
