//! MAC addresses, accepted in every usual spelling, kept once.

use minicbor::{Decode, Encode};
use std::{fmt, str::FromStr};

/// A hardware address (EUI-48). Shown as 12 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
#[cbor(transparent)]
pub struct Mac(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 6]);

/// Why a text is not a MAC address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MacError {
    #[error("a MAC address has 12 hexadecimal digits, such as 00:04:13:ab:cd:ef, 00-04-13-AB-CD-EF or 000413abcdef")]
    Unreadable,
    #[error("this MAC address names a group, all or nobody, not one device")]
    NotOne,
}

impl Mac {
    pub const BYTES: usize = 6;

    fn digits(self) -> [u8; 12] {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut digits = [0; 12];
        for (two, byte) in digits.chunks_exact_mut(2).zip(self.0) {
            two[0] = HEX[usize::from(byte >> 4)];
            two[1] = HEX[usize::from(byte & 15)];
        }
        digits
    }

    /// As most vendors print it: `00:04:13:AB:CD:EF`.
    pub fn with_colons(self) -> String {
        let [a, b, c, d, e, f] = self.0;
        format!("{a:02X}:{b:02X}:{c:02X}:{d:02X}:{e:02X}:{f:02X}")
    }

    /// The first that stands in a text as a word of its own, such as in a certificate's name: `SPA-504G, MAC:
    /// 000E08ABCDEF`.
    pub fn within(text: &str) -> Option<Self> {
        let words = text.split(|c: char| !c.is_ascii_hexdigit() && !matches!(c, ':' | '-'));
        words.map(|word| word.trim_matches([':', '-'])).find_map(|word| match word.len() {
            12 | 17 => word.parse().ok(),
            _ => None,
        })
    }

    /// Twelve upper-case digits.
    pub fn upper(self) -> String {
        self.to_string().to_uppercase()
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.digits()).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for Mac {
    type Err = MacError;

    /// Groups of two, three, four or six digits with one kind of separator between them, or none; spaces around.
    fn from_str(text: &str) -> Result<Self, MacError> {
        let text = text.trim();
        let separator = text.chars().find(|c| !c.is_ascii_hexdigit());
        let mut digits = String::with_capacity(12);
        if let Some(separator) = separator {
            if !matches!(separator, ':' | '-' | '.' | ' ' | '_') {
                return Err(MacError::Unreadable);
            }
            let groups: Vec<&str> = text.split(separator).collect();
            let size = 12 / groups.len().max(1);
            let even = matches!(groups.len(), 2 | 3 | 4 | 6) && groups.iter().all(|group| group.len() == size);
            if !even {
                return Err(MacError::Unreadable);
            }
            groups.iter().for_each(|group| digits.push_str(group));
        } else {
            digits.push_str(text);
        }
        if digits.len() != 12 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(MacError::Unreadable);
        }
        let number = u64::from_str_radix(&digits, 16).map_err(|_| MacError::Unreadable)?;
        let [_, _, mac @ ..] = number.to_be_bytes();
        // The lowest bit of the first byte marks groups (IEEE 802), all ones included.
        if mac == [0; 6] || mac[0] & 1 == 1 { Err(MacError::NotOne) } else { Ok(Self(mac)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_usual_spelling_is_one_mac() {
        let mac = Mac([0x00, 0x04, 0x13, 0xab, 0xcd, 0xef]);
        let spellings = [
            "000413abcdef",
            "000413ABCDEF",
            "00:04:13:ab:cd:ef",
            "00-04-13-AB-CD-EF",
            "0004.13ab.cdef",
            "000413-abcdef",
            "000.413.abc.def",
            " 00 04 13 ab cd ef ",
        ];
        for text in spellings {
            assert_eq!(text.parse(), Ok(mac), "{text}");
        }
        assert_eq!((mac.to_string(), mac.upper()), ("000413abcdef".into(), "000413ABCDEF".into()));
        assert_eq!(mac.with_colons(), "00:04:13:AB:CD:EF");
    }

    #[test]
    fn a_mac_is_found_where_it_stands_alone() {
        let mac = Some(Mac([0x00, 0x0e, 0x08, 0xab, 0xcd, 0xef]));
        for text in
            ["000E08ABCDEF", "SPA-504G, MAC: 000E08ABCDEF, Serial: CBT123", "CN 00-0e-08-ab-cd-ef", "x/000e08abcdef"]
        {
            assert_eq!(Mac::within(text), mac, "{text}");
        }
        for text in ["", "SPA-504G", "0000E08ABCDEF", "000E08ABCDEG", "a vendor of phones"] {
            assert_eq!(Mac::within(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_mac_of_a_device_is_refused() {
        let wrong = [
            "",
            "000413abcde",
            "000413abcdef0",
            "00:04:13:ab:cd",
            "00:04:13:ab:cd-ef",
            "00:04:13:ab:cd:e",
            "000413abcdeg",
            "0:4:13:ab:cd:ef",
            "00::04:13:ab:cd:ef",
            "+00413abcdef",
            "00:04:13:ab:cd:éf",
            "٠٠٠٤١٣",
        ];
        for text in wrong {
            assert_eq!(text.parse::<Mac>(), Err(MacError::Unreadable), "{text}");
        }
        for nobody in ["000000000000", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01"] {
            assert_eq!(nobody.parse::<Mac>(), Err(MacError::NotOne), "{nobody}");
        }
    }
}
