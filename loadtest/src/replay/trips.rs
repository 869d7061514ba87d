//! Reads the trips: a gzip-compressed CSV of pick-up, drop-off, two stations and a bike.

use std::{collections::HashMap, fs::File, io::Read, path::Path};

/// One row: a key leaves one box and comes back to another. Boxes and keys are numbers into `Trips`' lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trip {
    pub picked_up_s: i64,
    pub dropped_off_s: i64,
    pub from: usize,
    pub to: usize,
    pub key: usize,
}

/// The whole month. Times are seconds of local time, counted as if it were UTC.
#[derive(Clone, Debug, Default)]
pub struct Trips {
    pub trips: Vec<Trip>,
    /// Station numbers, in the order of their first mention.
    pub stations: Vec<String>,
    /// Bike numbers, in the order of their first mention.
    pub bikes: Vec<String>,
    /// What people call a station; its number where the file beside the trips does not say.
    pub names: Vec<String>,
}

/// Gives a text its number; a text not seen before gets the next one.
#[derive(Default)]
struct Numbers {
    known: HashMap<String, usize>,
    texts: Vec<String>,
}

impl Numbers {
    fn of(&mut self, text: &str) -> usize {
        if let Some(&number) = self.known.get(text) {
            return number;
        }
        self.known.insert(text.to_owned(), self.texts.len());
        self.texts.push(text.to_owned());
        self.texts.len() - 1
    }
}

impl Trips {
    /// Reads `path`, and the station names from `stations.csv` beside it when that exists.
    pub fn read(path: &Path) -> Result<Self, String> {
        let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let plain = path.extension().is_none_or(|ending| ending != "gz");
        let mut trips = if plain { Self::parse(file)? } else { Self::parse(flate2::read::GzDecoder::new(file))? };
        let beside = path.with_file_name("stations.csv");
        if beside.exists() {
            trips.read_names(File::open(&beside).map_err(|error| format!("{}: {error}", beside.display()))?)?;
        }
        Ok(trips)
    }

    pub fn parse(rows: impl Read) -> Result<Self, String> {
        let (mut stations, mut bikes) = (Numbers::default(), Numbers::default());
        let mut trips = Vec::new();
        for (at, row) in csv::Reader::from_reader(rows).records().enumerate() {
            let line = at + 2;
            let row = row.map_err(|error| format!("line {line}: {error}"))?;
            let [picked_up, dropped_off, from, to, bike] = [0, 1, 2, 3, 4].map(|column| row.get(column).unwrap_or(""));
            let seconds = |text: &str| local_seconds(text).ok_or_else(|| format!("line {line}: not a time: {text:?}"));
            let trip = Trip {
                picked_up_s: seconds(picked_up)?,
                dropped_off_s: seconds(dropped_off)?,
                from: stations.of(from),
                to: stations.of(to),
                key: bikes.of(bike),
            };
            if [from, to, bike].contains(&"") || trip.dropped_off_s < trip.picked_up_s {
                return Err(format!("line {line}: a trip needs two stations, a bike, and an end after its start"));
            }
            trips.push(trip);
        }
        let (stations, bikes) = (stations.texts, bikes.texts);
        Ok(Self { trips, names: stations.clone(), stations, bikes })
    }

    fn read_names(&mut self, rows: impl Read) -> Result<(), String> {
        for row in csv::Reader::from_reader(rows).records() {
            let row = row.map_err(|error| format!("stations.csv: {error}"))?;
            let number = self.stations.iter().position(|station| Some(station.as_str()) == row.get(0));
            if let (Some(number), Some(name)) = (number, row.get(1)) {
                self.names[number] = name.to_owned();
            }
        }
        Ok(())
    }
}

/// Seconds since 1970 of `YYYY-MM-DDTHH:MM:SS`, as if it were UTC: a month without a change of the clocks keeps its
/// spans.
fn local_seconds(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let shape = bytes.len() == 19
        && [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')].iter().all(|&(at, mark)| bytes[at] == mark);
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    if !shape {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Days since 1970, with the year begun in March so that the leap day comes last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_times_are_read() {
        assert_eq!(local_seconds("1970-01-01T00:00:00"), Some(0));
        assert_eq!(local_seconds("2016-07-01T00:06:00"), Some(1_467_331_560));
        assert_eq!(local_seconds("2016-03-01T00:00:00"), Some(1_456_790_400));
        for wrong in ["", "2016-07-01 00:06:00", "2016-13-01T00:06:00", "2016-07-01T24:06:00", "2016-07-01T0+:06:00"] {
            assert_eq!(local_seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn rows_that_are_wrong_name_their_line() {
        let head = "picked_up_at,dropped_off_at,from_station,to_station,bike\n";
        let good = "2016-07-01T00:06:00,2016-07-01T00:13:52,3185,3192,24504\n";
        let trips = Trips::parse(format!("{head}{good}").as_bytes()).unwrap();
        assert_eq!((trips.trips.len(), trips.stations.len(), trips.bikes.len()), (1, 2, 1));
        for (bad, says) in [
            ("2016-07-01T00:06:00,yesterday,3185,3192,24504\n", "line 3: not a time"),
            ("2016-07-01T00:06:00,2016-07-01T00:05:00,3185,3192,24504\n", "line 3: a trip needs"),
            ("2016-07-01T00:06:00,2016-07-01T00:13:52,3185,,24504\n", "line 3: a trip needs"),
            ("2016-07-01T00:06:00\n", "line 3:"),
        ] {
            let error = Trips::parse(format!("{head}{good}{bad}").as_bytes()).unwrap_err();
            assert!(error.starts_with(says), "{error}");
        }
    }
}
