//! The pictures that every scenario gets.

use super::{Course, Lane, Line, Look, Moment};
use crate::{
    html::{Chart, Scale},
    prometheus::{AGES, Buckets, QUEUES, Scraped},
};
use std::collections::BTreeSet;

impl Course {
    pub(super) fn charts(&self) -> Vec<Chart> {
        let (lanes, looks) = (self.0.lanes.borrow(), self.0.looks.borrow());
        let marks = self.0.marks.borrow();
        let mut lanes: Vec<&Lane> = lanes.iter().collect();
        lanes.sort_by_key(|lane| std::cmp::Reverse(lane.all.len()));
        let mut charts: Vec<Chart> = lanes.iter().map(|lane| latency(lane).marks(&marks)).collect();
        charts.push(percentiles(&lanes));
        charts.push(throughput(&lanes).marks(&marks));
        charts.extend(scenario_lines(&self.0.lines.borrow()).into_iter().map(|chart| chart.marks(&marks)));
        let seen = [admission(&looks), batches(&looks), fsyncs(&looks), processors(&looks), memory(&looks)];
        charts.extend(seen.into_iter().map(|chart| chart.marks(&marks)));
        charts.extend([queues(&looks), ages(&looks), awake(&looks)].into_iter().map(|chart| chart.marks(&marks)));
        charts.retain(|chart| !chart.is_empty());
        charts
    }
}

fn latency(lane: &Lane) -> Chart {
    // Where a quarter of a second had no answer the line is broken, not drawn across.
    let silent = |m: &Moment| Moment { quantiles_ms: [f64::NAN; 4], ..*m };
    let moments: Vec<Moment> = lane.moments.iter().map(|m| if m.per_s > 0.0 { *m } else { silent(m) }).collect();
    let between = |low: usize, high: usize| -> Vec<(f64, f64, f64)> {
        moments.iter().map(|m| (m.at_s, m.quantiles_ms[low], m.quantiles_ms[high])).collect()
    };
    let median: Vec<(f64, f64)> = moments.iter().map(|m| (m.at_s, m.quantiles_ms[0])).collect();
    Chart::over_time(format!("Latency of {}", lane.name), "ms")
        .scales(Scale::Linear, Scale::Log)
        .note("each point a quarter of a second")
        .band("p99 to slowest", &between(2, 3))
        .band("p90 to p99", &between(1, 2))
        .band("p50 to p90", &between(0, 1))
        .line("p50", &median)
}

/// Along ever rarer requests, as HdrHistogram plots it.
fn percentiles(lanes: &[&Lane]) -> Chart {
    let chart = Chart::new("Latency by percentile", "percentile", "ms").scales(Scale::Nines, Scale::Log);
    lanes.iter().filter(|lane| !lane.all.is_empty()).fold(chart, |chart, lane| {
        let rarest = (lane.all.len() as f64).log10().max(0.3);
        let points: Vec<(f64, f64)> = (0..=80)
            .map(|step| 10f64.powf(rarest * f64::from(step) / 80.0))
            .map(|rarity| (rarity, lane.all.value_at_quantile(1.0 - 1.0 / rarity) as f64 / 1000.0))
            .collect();
        chart.line(format!("{} ({})", lane.name, lane.all.len()), &points)
    })
}

fn throughput(lanes: &[&Lane]) -> Chart {
    let mut chart = Chart::over_time("Answers a second", "1/s");
    for lane in lanes {
        let points: Vec<(f64, f64)> = lane.moments.iter().map(|moment| (moment.at_s, moment.per_s)).collect();
        chart = chart.line(lane.name, &points);
        if lane.failed > 0 {
            let points: Vec<(f64, f64)> = lane.moments.iter().map(|m| (m.at_s, m.failed_per_s)).collect();
            chart = chart.line(format!("{}: put off or failed", lane.name), &points);
        }
    }
    chart
}

/// The scenario's own lines, one picture for each name up to its colon.
fn scenario_lines(lines: &[Line]) -> Vec<Chart> {
    let titles: BTreeSet<&str> = lines.iter().map(|(name, _)| name.split(':').next().unwrap_or(name)).collect();
    let one = |title: &str| {
        let own = lines.iter().filter(|(name, _)| name.split(':').next() == Some(title));
        own.fold(Chart::over_time(title, ""), |chart, (name, points)| {
            chart.line(name.split_once(':').map_or(*name, |(_, line)| line.trim()), points)
        })
    };
    titles.into_iter().map(one).collect()
}

/// Two looks that follow each other and both have the server's words.
fn pairs(looks: &[Look]) -> impl Iterator<Item = (f64, f64, &Scraped, &Scraped)> {
    looks.windows(2).filter_map(|pair| {
        let (before, after) = (pair[0].scraped.as_ref()?, pair[1].scraped.as_ref()?);
        Some((pair[1].at_s, (pair[1].at_s - pair[0].at_s).max(1e-3), before, after))
    })
}

fn admission(looks: &[Look]) -> Chart {
    let last = looks.iter().rev().find_map(|look| look.scraped.as_ref());
    let Some(last) = last else { return Chart::over_time("At the door", "1/s") };
    let rate = |of: fn(&Scraped, &str) -> f64, class: &str| -> Vec<(f64, f64)> {
        // A counter that went back belongs to a server that was started anew.
        let grown = |now: f64, before: f64| if now < before { now } else { now - before };
        pairs(looks).map(|(at_s, span_s, old, new)| (at_s, grown(of(new, class), of(old, class)) / span_s)).collect()
    };
    let admitted = |scraped: &Scraped, class: &str| scraped.admitted.get(class).copied().unwrap_or(0.0);
    let deferred = |scraped: &Scraped, class: &str| scraped.deferred.get(class).copied().unwrap_or(0.0);
    let used = |(class, points): (&String, Vec<(f64, f64)>)| {
        points.iter().any(|(_, rate)| *rate > 0.0).then(|| (class.replace('_', " "), points))
    };
    let mut parts: Vec<(String, Vec<(f64, f64)>)> =
        last.admitted.keys().filter_map(|class| used((class, rate(admitted, class)))).collect();
    let put_off = last.deferred.keys().filter_map(|class| used((class, rate(deferred, class))));
    parts.extend(put_off.map(|(class, points)| (format!("{class}: put off"), points)));
    Chart::over_time("At the door, by class", "1/s").note("the server's own count").stack(&parts)
}

fn of_buckets(
    looks: &[Look],
    of: fn(&Scraped) -> &Buckets,
    value: impl Fn(&Buckets) -> Option<f64>,
) -> Vec<(f64, f64)> {
    pairs(looks).filter_map(|(at_s, _, old, new)| Some((at_s, value(&of(new).since(of(old)))?))).collect()
}

fn batches(looks: &[Look]) -> Chart {
    Chart::over_time("Records written with one fsync", "records")
        .line("mean", &of_buckets(looks, |scraped| &scraped.batch, Buckets::mean))
        .line("p99", &of_buckets(looks, |scraped| &scraped.batch, |buckets| buckets.quantile(0.99)))
}

fn fsyncs(looks: &[Look]) -> Chart {
    let ms = |seconds: Option<f64>| seconds.map(|seconds| seconds * 1000.0);
    Chart::over_time("Write and fsync of a batch", "ms")
        .scales(Scale::Linear, Scale::Log)
        .line("mean", &of_buckets(looks, |scraped| &scraped.append, |buckets| ms(buckets.mean())))
        .line("p99", &of_buckets(looks, |scraped| &scraped.append, |buckets| ms(buckets.quantile(0.99))))
}

fn processors(looks: &[Look]) -> Chart {
    let names: BTreeSet<&String> = looks.iter().flat_map(|look| look.cores.keys()).collect();
    let mut names: Vec<&String> = names.into_iter().collect();
    // What was measured stands at the bottom, what disturbed it on top.
    names.sort_by_key(|name| match name.as_str() {
        "server" => 0,
        "generator" => 2,
        "others" => 3,
        _ => 1,
    });
    let of =
        |name: &String| looks.iter().map(|look| (look.at_s, look.cores.get(name).copied().unwrap_or(0.0))).collect();
    let parts: Vec<(String, Vec<(f64, f64)>)> = names.into_iter().map(|name| (name.clone(), of(name))).collect();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Chart::over_time("Processors in use", "cores").stack(&parts).limit(cores as f64, "all there are")
}

fn memory(looks: &[Look]) -> Chart {
    let names: BTreeSet<&String> = looks.iter().flat_map(|look| look.rss_mib.keys()).collect();
    let chart = names.into_iter().fold(Chart::over_time("Memory", "MiB resident"), |chart, name| {
        let points: Vec<(f64, f64)> =
            looks.iter().filter_map(|look| Some((look.at_s, *look.rss_mib.get(name)?))).collect();
        chart.line(name.clone(), &points)
    });
    // Of the server's: what its database holds, within the bounds that its configuration sets.
    let parts: BTreeSet<&String> =
        looks.iter().filter_map(|look| look.scraped.as_ref()).flat_map(|scraped| scraped.store_memory.keys()).collect();
    parts.into_iter().fold(chart, |chart, part| {
        let of = |look: &Look| Some((look.at_s, look.scraped.as_ref()?.store_memory.get(part)? / 1_048_576.0));
        let points: Vec<(f64, f64)> = looks.iter().filter_map(of).collect();
        chart.line(format!("of it {}", part.replace('_', " ")), &points)
    })
}

fn gauges(looks: &[Look], of: &[(&'static str, &str)], chart: Chart) -> Chart {
    of.iter().fold(chart, |chart, (metric, words)| {
        let points: Vec<(f64, f64)> =
            looks.iter().filter_map(|look| Some((look.at_s, *look.scraped.as_ref()?.gauges.get(metric)?))).collect();
        chart.line(*words, &points)
    })
}

fn queues(looks: &[Look]) -> Chart {
    gauges(looks, QUEUES, Chart::over_time("Queues inside the server", "items"))
}

fn ages(looks: &[Look]) -> Chart {
    gauges(looks, AGES, Chart::over_time("How late the server's own work is", "seconds late"))
}

fn awake(looks: &[Look]) -> Chart {
    let kinds: BTreeSet<&String> =
        looks.iter().filter_map(|look| look.scraped.as_ref()).flat_map(|scraped| scraped.awake.keys()).collect();
    kinds.into_iter().fold(Chart::over_time("Entities awake", "entities"), |chart, kind| {
        let points: Vec<(f64, f64)> = looks
            .iter()
            .filter_map(|look| Some((look.at_s, look.scraped.as_ref()?.awake.get(kind).copied().unwrap_or(0.0))))
            .collect();
        chart.line(kind.clone(), &points)
    })
}
