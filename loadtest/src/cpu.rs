//! Who used the processors: the server, the generator, or somebody else.

use std::{fs, time::Instant};

fn ticks_per_second() -> f64 {
    rustix::param::clock_ticks_per_second() as f64
}

/// Processor seconds that a process has used.
pub fn process_cpu_s(pid: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name stands in parentheses and may hold blanks.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / ticks_per_second())
}

/// Resident memory of a process.
pub fn process_rss_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().split(' ').next()?.parse().ok()
}

/// Processor seconds of everybody in user and kernel mode. Interrupts are left out: nearly all of them are our own
/// packets on the loopback, which some kernels book on no process.
pub fn machine_cpu_s() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let mut fields = stat.lines().next()?.split_ascii_whitespace().skip(1);
    let mut next = || fields.next().and_then(|field| field.parse::<f64>().ok());
    let (user, nice, system) = (next()?, next()?, next()?);
    // user nice system | idle iowait irq softirq steal
    let steal = fields.nth(4).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    Some((user + nice + system + steal) / ticks_per_second())
}

/// A moment from which processor use is counted.
pub struct Meter {
    began: Instant,
    ours: Vec<(u32, f64)>,
    generator_s: f64,
    machine_s: f64,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    pub wall_s: f64,
    /// Of the first process that was watched: the server.
    pub server_s: f64,
    pub generator_s: f64,
    /// Processors that somebody else kept busy.
    pub foreign_cores: f64,
}

impl Meter {
    /// Watches these processes (the server first) and this one.
    pub fn start(pids: &[u32]) -> Self {
        Self {
            began: Instant::now(),
            ours: pids.iter().map(|pid| (*pid, process_cpu_s(*pid).unwrap_or(0.0))).collect(),
            generator_s: process_cpu_s(std::process::id()).unwrap_or(0.0),
            machine_s: machine_cpu_s().unwrap_or(0.0),
        }
    }

    pub fn stop(&self) -> Used {
        let wall_s = self.began.elapsed().as_secs_f64();
        let watched: Vec<f64> = self
            .ours
            .iter()
            .map(|(pid, before)| process_cpu_s(*pid).map_or(0.0, |now| (now - before).max(0.0)))
            .collect();
        let generator_s = process_cpu_s(std::process::id()).unwrap_or(0.0) - self.generator_s;
        let machine_s = machine_cpu_s().unwrap_or(0.0) - self.machine_s;
        let foreign_s = (machine_s - watched.iter().sum::<f64>() - generator_s).max(0.0);
        Used {
            wall_s,
            server_s: watched.first().copied().unwrap_or(0.0),
            generator_s,
            foreign_cores: foreign_s / wall_s.max(1e-9),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_work_is_not_foreign() {
        let meter = Meter::start(&[]);
        let mut sum = 0u64;
        // As long as it takes on a busy machine.
        while meter.stop().generator_s < 0.1 && meter.began.elapsed().as_secs() < 30 {
            (0..100_000).for_each(|_| sum = sum.wrapping_add(std::hint::black_box(sum ^ 7)));
        }
        let used = meter.stop();
        assert!(used.generator_s > 0.05, "{used:?}");
        assert!(process_rss_kib(std::process::id()).unwrap() > 500);
        assert_eq!(process_cpu_s(u32::MAX), None);
    }
}
