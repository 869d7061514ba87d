//! The server under test: one of our own, fresh, or one that runs already.

use crate::{
    api::Api,
    chance::Chance,
    client::Target,
    course::Course,
    cpu::{Meter, Used},
    process::{ServerProcess, fetch, find_binary},
    report::{Admission, Figure, LoadError, Report},
};
use std::{
    path::{Path, PathBuf},
    time::Instant,
};

/// Options that every scenario has.
#[derive(clap::Args, Clone, Debug)]
pub struct Common {
    /// The server to start; without it the `castellan` beside this program.
    #[arg(long, global = true, value_name = "PATH")]
    pub server_bin: Option<PathBuf>,
    /// Use this running server instead of starting one, for example http://127.0.0.1:8080.
    #[arg(long, global = true, requires = "token")]
    pub url: Option<String>,
    /// Operator token for --url.
    #[arg(long, global = true, value_name = "CAS_…")]
    pub token: Option<String>,
    /// Where the running server shows its metrics, for example http://127.0.0.1:9090.
    #[arg(long, global = true, value_name = "URL")]
    pub observability_url: Option<String>,
    /// Repeats a run: the same seed draws the same world. Without it a new one is drawn and printed.
    #[arg(long, global = true)]
    pub seed: Option<u64>,
    /// Write the report here, as JSON.
    #[arg(long, global = true, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the report here as one HTML page with charts, to look at, print or send.
    #[arg(long, global = true, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

pub struct Site {
    pub target: Target,
    pub observability: Option<Target>,
    pub token: String,
    /// The server, when it is ours.
    pub process: Option<ServerProcess>,
    pub ready_s: Option<f64>,
}

impl Site {
    pub async fn open(common: &Common) -> Result<Self, LoadError> {
        Self::open_tuned(common, "").await
    }

    /// The same; a server of our own gets further lines of the section `[store]` in its configuration.
    pub async fn open_tuned(common: &Common, store: &str) -> Result<Self, LoadError> {
        if let (Some(url), Some(token)) = (&common.url, &common.token) {
            let observability = common.observability_url.as_deref().map(Target::from_url).transpose();
            return Ok(Self {
                target: Target::from_url(url).map_err(LoadError::Unfit)?,
                observability: observability.map_err(LoadError::Unfit)?,
                token: token.clone(),
                process: None,
                ready_s: None,
            });
        }
        let began = Instant::now();
        let binary = find_binary(common.server_bin.as_deref())?;
        Ok(Self::of(ServerProcess::start_tuned(&binary, store).await?, began))
    }

    /// A server of our own, in a folder that stays if one is named.
    pub async fn open_own(common: &Common, kept: Option<&Path>) -> Result<Self, LoadError> {
        let binary = find_binary(common.server_bin.as_deref())?;
        let began = Instant::now();
        let process = match kept {
            None => ServerProcess::start(&binary).await?,
            Some(folder) => ServerProcess::start_kept(&binary, folder).await?,
        };
        Ok(Self::of(process, began))
    }

    fn of(process: ServerProcess, began: Instant) -> Self {
        Self {
            target: process.target.clone(),
            observability: Some(process.observability.clone()),
            token: process.operator_token.clone(),
            process: Some(process),
            ready_s: Some(began.elapsed().as_secs_f64()),
        }
    }

    /// The server that is ours; scenarios that kill it or watch its processor time need it.
    pub fn own(&mut self) -> Result<&mut ServerProcess, LoadError> {
        let why = "this scenario starts and stops the server itself: leave out --url";
        self.process.as_mut().ok_or_else(|| LoadError::Unfit(why.to_owned()))
    }

    pub fn operator(&self, chance: &Chance) -> Api {
        Api::new(self.target.clone(), &*self.token, chance.fork(1))
    }

    pub fn meter(&self) -> Meter {
        let pids: Vec<u32> = self.process.iter().filter_map(ServerProcess::pid).collect();
        Meter::start(&pids)
    }

    /// Begins to look at what happens from now on, for the report's charts.
    pub fn observe(&self) -> Course {
        let server = self.process.iter().map(|process| ("server".to_owned(), process.watched.clone()));
        Course::begin(self.observability.clone(), server.collect())
    }

    pub fn rss_kib(&self) -> Option<u64> {
        self.process.as_ref()?.rss_kib()
    }

    pub async fn metrics(&self) -> Option<String> {
        let (status, text) = fetch(self.observability.as_ref()?, "/metrics").await?;
        (status == 200).then_some(text)
    }

    /// What the server says about its door; without metrics what was seen from outside.
    pub async fn admission(&self, seen: Admission) -> Admission {
        match self.metrics().await {
            Some(text) => Admission::from_metrics(&text),
            None => seen,
        }
    }

    /// Processor use, where it is known: of a server that is not ours only our own part is.
    pub fn report_cpu(&self, report: &mut Report, used: Used, syncs: u64) {
        let each = |seconds: f64| Some(Figure::One(seconds * 1e6 / syncs.max(1) as f64));
        report.generator_cpu_us_per_sync = each(used.generator_s);
        if self.process.is_some() {
            report.server_cpu_us_per_sync = each(used.server_s);
            report.foreign_cpu_cores = Some(Figure::One(used.foreign_cores));
        }
    }

    /// Memory of the server, and how much of it came with so many boxes awake.
    pub fn report_memory(&self, report: &mut Report, before_kib: Option<u64>, boxes: usize) {
        report.server_rss_kib = self.rss_kib();
        if let (Some(before), Some(after)) = (before_kib, report.server_rss_kib) {
            report.rss_bytes_per_awake_box = Some(after.saturating_sub(before) * 1024 / boxes.max(1) as u64);
        }
    }

    /// Stops the server if it is ours; that it does not end well is something that does not hold.
    pub async fn close(mut self, report: &mut Report) {
        if let Some(process) = &mut self.process
            && let Err(error) = process.stop().await
        {
            report.breaks(error.to_string());
        }
    }
}
