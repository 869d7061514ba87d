//! Which files each vendor's phones ask for when they start, in their order, and how they name themselves.

use crate::chance::Chance;

/// What a file is to the one who asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// For every phone: 200.
    Common,
    /// The device's own configuration, minimal or full.
    Device,
    /// Is not there: 404, and no harm done.
    Absent,
    /// The phone's own, taken and dropped: 201.
    Log,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub method: &'static str,
    pub file: String,
    pub kind: Kind,
}

/// How a phone proves itself later on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    DigestSha256,
    DigestMd5,
    Basic,
    /// As a part of the path.
    Key,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vendor {
    Snom,
    Yealink,
    /// Before version 81: no boot file.
    YealinkOld,
    Grandstream,
    Cisco,
    Polycom,
    Aastra,
    Gigaset,
    Panasonic,
    Fanvil,
    Patton,
    Htek,
}

impl Vendor {
    pub const ALL: [Self; 12] = [
        Self::Snom,
        Self::Yealink,
        Self::YealinkOld,
        Self::Grandstream,
        Self::Cisco,
        Self::Polycom,
        Self::Aastra,
        Self::Gigaset,
        Self::Panasonic,
        Self::Fanvil,
        Self::Patton,
        Self::Htek,
    ];

    /// As the API calls it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Snom => "snom",
            Self::Yealink | Self::YealinkOld => "yealink",
            Self::Grandstream => "grandstream",
            Self::Cisco => "cisco",
            Self::Polycom => "polycom",
            Self::Aastra => "aastra",
            Self::Gigaset => "gigaset",
            Self::Panasonic => "panasonic",
            Self::Fanvil => "fanvil",
            Self::Patton => "patton",
            Self::Htek => "htek",
        }
    }

    pub fn model(self) -> &'static str {
        match self {
            Self::Snom => "D785",
            Self::Yealink => "T46S",
            Self::YealinkOld => "T28P",
            Self::Grandstream => "GXP2170",
            Self::Cisco => "SPA504G",
            Self::Polycom => "VVX411",
            Self::Aastra => "6867i",
            Self::Gigaset => "N510 IP PRO",
            Self::Panasonic => "KX-HDV130",
            Self::Fanvil => "X5S",
            Self::Patton => "SN4112",
            Self::Htek => "UC924",
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Snom => "000413",
            Self::Yealink => "805ec0",
            Self::YealinkOld => "001565",
            Self::Grandstream => "c074ad",
            Self::Cisco => "8843e1",
            Self::Polycom => "64167f",
            Self::Aastra => "00085d",
            Self::Gigaset => "7c2f80",
            Self::Panasonic => "0080f0",
            Self::Fanvil => "0c383e",
            Self::Patton => "00a0ba",
            Self::Htek => "001fc1",
        }
    }

    /// Out of the vendor's own block.
    pub fn mac(self, number: u32) -> String {
        format!("{}{:06x}", self.prefix(), number & 0xff_ffff)
    }

    pub fn proof(self) -> Proof {
        match self {
            Self::Snom | Self::Yealink | Self::Grandstream | Self::Htek => Proof::DigestSha256,
            Self::YealinkOld | Self::Cisco | Self::Polycom | Self::Aastra => Proof::DigestMd5,
            Self::Panasonic | Self::Fanvil => Proof::Basic,
            Self::Gigaset | Self::Patton => Proof::Key,
        }
    }

    pub fn agent(self, mac: &str) -> String {
        let upper = mac.to_uppercase();
        match self {
            Self::Snom => format!("Mozilla/4.0 (compatible; snomD785-SIP 10.1.159.12 {upper})"),
            Self::Yealink => format!("Yealink SIP-T46S 66.86.0.15 {}", spelled(mac, ':')),
            Self::YealinkOld => format!("Yealink SIP-T28P 2.73.0.50 {}", spelled(mac, ':')),
            Self::Grandstream => format!("Grandstream Model HW GXP2170 SW 1.0.11.79 DevId {mac}"),
            Self::Cisco => format!("Cisco/SPA504G-7.6.2b ({mac})(CCQ15470XYZ)"),
            Self::Polycom => format!("FileTransport PolycomVVX-VVX_411-UA/5.9.5.3388 (SN:{mac}) Type/Application"),
            Self::Aastra => format!("Aastra6867i MAC:{} V:4.2.0.181-SIP", spelled(&upper, '-')),
            Self::Gigaset => format!("Gigaset N510 IP PRO/42.258.00.000.000 ;{upper}"),
            Self::Panasonic => format!("Panasonic_KX-HDV130/07.103 ({mac})"),
            Self::Fanvil => format!("Fanvil X5S 2.12.1.3 {mac}"),
            Self::Patton => format!("SmartNode (Model:SN4112/JS/EUI; Serial:{upper}; Software Version:R6.T)"),
            Self::Htek => format!("Htek UC924 2.0.4.4.56 {}", spelled(mac, ':')),
        }
    }

    /// The file that holds the device's configuration.
    pub fn device_file(self, mac: &str) -> String {
        let upper = mac.to_uppercase();
        match self {
            Self::Snom => format!("snomD785-{upper}.htm"),
            Self::Yealink | Self::YealinkOld | Self::Fanvil | Self::Patton => format!("{mac}.cfg"),
            Self::Grandstream | Self::Htek => format!("cfg{mac}.xml"),
            Self::Cisco => format!("{mac}.xml"),
            Self::Polycom => format!("device-{mac}.cfg"),
            Self::Aastra => format!("{upper}.cfg"),
            Self::Gigaset => format!("{upper}.xml"),
            Self::Panasonic => format!("Config{upper}.cfg"),
        }
    }

    /// A whole start, as a server's access log shows it.
    pub fn start(self, mac: &str) -> Vec<Request> {
        let request = |method, file: String, kind| Request { method, file, kind };
        let common = |file: &str| request("GET", file.to_owned(), Kind::Common);
        let absent = |file: String| request("GET", file, Kind::Absent);
        let log = |file: String| request("PUT", file, Kind::Log);
        let device = request("GET", self.device_file(mac), Kind::Device);
        match self {
            Self::Snom => vec![common("snomD785.htm"), device, absent("snomD785-firmware.htm".into())],
            Self::Yealink => {
                let mut start = vec![common(&format!("{mac}.boot")), device];
                // What is not there is asked for three times.
                start.extend((0..3).map(|_| absent(format!("{mac}-local.cfg"))));
                start.push(log(format!("{mac}-local.cfg")));
                start
            }
            Self::YealinkOld => vec![common("y000000000028.cfg"), device],
            Self::Grandstream => {
                vec![absent(format!("cfg{mac}")), device, absent("cfggxp2170.xml".into()), absent("cfg.xml".into())]
            }
            Self::Cisco => vec![common("spa504G.cfg"), device],
            Self::Polycom => {
                let mut start = vec![common(&format!("{mac}.cfg")), device];
                start.extend((0..3).map(|_| absent(format!("{mac}-phone.cfg"))));
                start.extend((0..3).map(|_| absent(format!("{mac}-web.cfg"))));
                start.push(absent(format!("{mac}-license.cfg")));
                start.push(absent("000000000000-license.cfg".into()));
                start.push(common(&format!("{mac}-directory.xml")));
                start.push(log(format!("{mac}-boot.log")));
                start.push(log(format!("{mac}-app.log")));
                start
            }
            Self::Aastra => vec![common("startup.cfg"), device],
            Self::Panasonic => vec![common("KX-HDV130.cfg"), device],
            Self::Fanvil => vec![absent("F0V00X5S0000.cfg".into()), device],
            Self::Gigaset | Self::Patton | Self::Htek => vec![device],
        }
    }

    /// By its market's share, roughly.
    pub fn drawn(chance: &mut Chance) -> Self {
        Self::ALL[chance.index(Self::ALL.len())]
    }
}

/// With a separator after every second digit.
fn spelled(mac: &str, separator: char) -> String {
    let mut out = String::with_capacity(17);
    for (at, digit) in mac.chars().enumerate() {
        if at > 0 && at % 2 == 0 {
            out.push(separator);
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_start_has_one_device_file_under_its_vendors_name() {
        for vendor in Vendor::ALL {
            let mac = vendor.mac(0xabc_def);
            assert!(mac.len() == 12 && mac.starts_with(vendor.prefix()), "{mac}");
            let start = vendor.start(&mac);
            let own: Vec<_> = start.iter().filter(|request| request.kind == Kind::Device).collect();
            assert_eq!((own.len(), &own[0].file), (1, &vendor.device_file(&mac)), "{vendor:?}");
            let digits = vendor.agent(&mac).to_lowercase().replace([':', '-'], "");
            assert!(digits.contains(&mac), "{digits}");
        }
    }

    #[test]
    fn a_missing_file_is_asked_for_three_times_and_logs_are_put() {
        let start = Vendor::Polycom.start("64167f000001");
        let absent = start.iter().filter(|request| request.file == "64167f000001-phone.cfg").count();
        let logs: Vec<_> =
            start.iter().filter(|request| request.method == "PUT").map(|request| &*request.file).collect();
        assert_eq!((absent, logs), (3, vec!["64167f000001-boot.log", "64167f000001-app.log"]));
        assert_eq!(start[0].file, "64167f000001.cfg");
        let yealink = Vendor::Yealink.start("805ec0000001");
        assert_eq!(yealink.iter().filter(|request| request.kind == Kind::Absent).count(), 3);
    }

    #[test]
    fn macs_are_spelled_as_phones_spell_them() {
        assert_eq!(spelled("000413ABCDEF", '-'), "00-04-13-AB-CD-EF");
        assert!(Vendor::Yealink.agent("805ec0abcdef").ends_with("80:5e:c0:ab:cd:ef"));
    }
}
