//! What the kernel counts: connections that came while nobody could take them.

use std::fs;

/// Connections that a full accept queue turned away, and all that a listener dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListenDrops {
    pub overflows: u64,
    pub drops: u64,
}

impl ListenDrops {
    pub fn now() -> Self {
        Self::read(&fs::read_to_string("/proc/net/netstat").unwrap_or_default())
    }

    /// Names stand on one line, their numbers on the next.
    fn read(netstat: &str) -> Self {
        let mut lines = netstat.lines().filter_map(|line| line.strip_prefix("TcpExt:"));
        let (Some(names), Some(numbers)) = (lines.next(), lines.next()) else { return Self::default() };
        let of = |wanted: &str| {
            let mut pairs = names.split_ascii_whitespace().zip(numbers.split_ascii_whitespace());
            pairs.find(|(name, _)| *name == wanted).and_then(|(_, number)| number.parse().ok()).unwrap_or(0)
        };
        Self { overflows: of("ListenOverflows"), drops: of("ListenDrops") }
    }

    pub fn since(self, before: Self) -> Self {
        Self {
            overflows: self.overflows.saturating_sub(before.overflows),
            drops: self.drops.saturating_sub(before.drops),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_found_by_name() {
        let text = "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 1 20 21\nIpExt: InNoRoutes\nIpExt: 0\n";
        let now = ListenDrops::read(text);
        assert_eq!(now, ListenDrops { overflows: 20, drops: 21 });
        assert_eq!(now.since(ListenDrops { overflows: 15, drops: 21 }), ListenDrops { overflows: 5, drops: 0 });
        assert_eq!(ListenDrops::read("nothing"), ListenDrops::default());
    }
}
