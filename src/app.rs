//! How the rooms are put together: the program, its tests and its benches all start from here.

use crate::{
    boxes::{SmartBox, census},
    config::Config,
    delivery::{
        Couriers,
        mail::{MailError, Mailer},
        sms::{SmsError, Texter},
        webhooks::{self, DispatchConfig, Dispatcher, Reach, Schedule, Webhook},
    },
    devices::Device,
    engine::{Call, Courier, Engine, EngineConfig, Failure, Kinds},
    http::server::Listeners,
    iuv::{products::Product, sessions::IuvSession, shoppers::Shopper, stores::WebStore},
    kernel::{Chance, Clock, OrgId, TokenId},
    operations::restore,
    orgs::{ApiToken, Organisation, Person, Scope, api::tokens, token},
    privacy,
    recovery::Installation,
    store::{CommitLog, Db, Keyring, MasterKeySource, MasterKeys, Options, RocksLog, StoreError},
};
use actix_rt::Arbiter;
use metrics_exporter_prometheus::PrometheusHandle;
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{folder} is not empty: choose another folder, or use what is there")]
    NotEmpty { folder: PathBuf },
    #[error("{0}")]
    Mail(#[from] MailError),
    #[error("{0}")]
    Sms(#[from] SmsError),
    #[error("{0}")]
    Restore(#[from] restore::RestoreError),
    #[error("the first token could not be written: {0}")]
    FirstToken(String),
}

/// Every kind of entity there is.
pub fn kinds(workers: usize) -> Kinds {
    Kinds::new(workers)
        .with::<Organisation>()
        .with::<Person>()
        .with::<ApiToken>()
        .with::<SmartBox>()
        .with::<Webhook>()
        .with::<Device>()
        .with::<WebStore>()
        .with::<IuvSession>()
        .with::<Shopper>()
        .with::<Product>()
        .with::<Installation>()
}

pub(crate) fn database_folder(data: &Path) -> PathBuf {
    data.join("db")
}

fn options(config: &Config) -> Options {
    Options {
        partitions: config.store.partitions,
        max_total_wal_mib: config.store.max_total_wal_mib,
        block_cache_mib: config.store.block_cache_mib,
        write_buffer_mib: config.store.write_buffer_mib,
    }
}

/// Makes a data folder, its master key, and the operator's first token, which is returned.
pub async fn init(config: &Config, chance: Chance) -> Result<String, StartError> {
    let data = &config.store.data_dir;
    if data.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(StartError::NotEmpty { folder: data.clone() });
    }
    std::fs::create_dir_all(data)?;
    if let MasterKeySource::File(file) = config.master_key()
        && !file.exists()
    {
        MasterKeys::first(&chance).create(&file)?;
    }
    let db = Db::open(&database_folder(data), options(config), true)?;
    let keys = Keyring::init(&db, config.master_key().read()?, chance.clone())?;
    let one_worker = EngineConfig { workers: 1, ..engine_config(config, || {}) };
    let log = Arc::new(RocksLog::new(db.clone()));
    let engine = Engine::start(one_worker, kinds(1), db, log, Arc::new(keys), Clock::system(), chance)?;
    let alone = Alone::start(engine).await;
    let token = first_token(&alone.engine).await;
    alone.end().await;
    token
}

/// An engine on a data folder that nobody serves. Its one worker is a thread of its own: what lives there, tasks and
/// entities, holds the database until the thread ends.
pub struct Alone {
    pub engine: Engine,
    worker: Arbiter,
}

impl Alone {
    async fn start(engine: Engine) -> Self {
        let (worker, of) = (Arbiter::new(), engine.clone());
        worker.spawn_fn(move || of.attach_worker());
        while !engine.is_ready() {
            actix_rt::time::sleep(Duration::from_millis(1)).await;
        }
        Self { engine, worker }
    }

    pub async fn end(self) {
        let Self { engine, worker } = self;
        engine.stop().await;
        worker.stop();
        let _ = actix_rt::task::spawn_blocking(move || worker.join()).await;
        let db = engine.db().clone();
        drop(engine);
        let closed = close(db).await;
        debug_assert!(closed, "the worker has ended, and with it whoever held the database");
    }
}

async fn first_token(engine: &Engine) -> Result<String, StartError> {
    let (id, secret) = (TokenId(engine.chance().id()), engine.chance().bytes());
    let scopes = [Scope::Operator].into_iter().collect();
    let call = Call::own(engine.clock().now());
    let command = tokens::issued(&secret, "first operator token", scopes, None);
    let told = engine.ask::<ApiToken>(id.at(OrgId::SYSTEM), command, call).await;
    told.map_err(|failure: Failure<token::Refusal>| StartError::FirstToken(format!("{failure:?}")))?;
    Ok(tokens::text(OrgId::SYSTEM, id, &secret))
}

fn engine_config(config: &Config, on_broken_log: fn()) -> EngineConfig {
    EngineConfig {
        workers: config.workers(),
        readers: config.engine.reader_threads,
        awake_entities_max: config.engine.awake_entities_max,
        mailbox_capacity: config.engine.mailbox_capacity,
        idle_before_sleep_s: config.engine.idle_before_sleep_s,
        snapshot_every_events: config.engine.snapshot_every_events,
        answers_kept_s: config.engine.answers_kept_s,
        disk_low_watermark_mib: config.store.disk_low_watermark_mib,
        courier: None,
        on_broken_log,
    }
}

/// Opens a data folder and starts the engine on it.
pub fn open(config: &Config, clock: Clock, chance: Chance) -> Result<Engine, StartError> {
    restore::refuse_unfinished(&config.store.data_dir)?;
    let db = Db::open(&database_folder(&config.store.data_dir), options(config), false)?;
    let log = Arc::new(RocksLog::new(db.clone()));
    open_with_log(config, db, log, clock, chance)
}

/// The same with another commit log, such as one that fails when a test says so.
pub fn open_with_log(
    config: &Config,
    db: Db,
    log: Arc<dyn CommitLog>,
    clock: Clock,
    chance: Chance,
) -> Result<Engine, StartError> {
    let keys = Keyring::open(&db, config.master_key().read()?, chance.clone())?;
    let mailer = Mailer::new(config, clock.clone())?;
    if !mailer.sends() {
        tracing::warn!(driver = ?config.mail.driver, "no mail leaves this server: see [mail] driver");
    }
    let texter = Texter::new(config, clock.clone())?;
    let courier: Arc<dyn Courier> = Arc::new(Couriers { mailer, texter });
    let config = EngineConfig { courier: Some(courier), ..engine_config(config, end_the_process) };
    let workers = config.workers;
    Ok(Engine::start(config, kinds(workers), db, log, Arc::new(keys), clock, chance)?)
}

/// Opens a data folder that nobody serves, for work on it.
pub async fn open_alone(config: &Config, clock: Clock, chance: Chance) -> Result<Alone, StartError> {
    let data = &config.store.data_dir;
    restore::refuse_unfinished(data)?;
    let db = open_as_it_is(data)?;
    let keys = Keyring::open(&db, config.master_key().read()?, chance.clone())?;
    let one_worker = EngineConfig { workers: 1, ..engine_config(config, end_the_process) };
    let log = Arc::new(RocksLog::new(db.clone()));
    Ok(Alone::start(Engine::start(one_worker, kinds(1), db, log, Arc::new(keys), clock, chance)?).await)
}

/// Looks at a data folder as it is, whatever number of partitions it was made with.
pub fn open_to_verify(data: &Path) -> Result<Db, StartError> {
    restore::refuse_unfinished(data)?;
    Ok(open_as_it_is(data)?)
}

fn open_as_it_is(data: &Path) -> Result<Db, StoreError> {
    let folder = database_folder(data);
    match Db::open(&folder, Options::default(), false) {
        Err(StoreError::Partitions { found, .. }) => {
            Db::open(&folder, Options { partitions: found, ..Options::default() }, false)
        }
        other => other,
    }
}

/// How long those who wait may take to hear that their outcome is unknown.
const LAST_WORDS: Duration = Duration::from_millis(500);

fn end_the_process() {
    std::thread::spawn(|| {
        std::thread::sleep(LAST_WORDS);
        std::process::exit(1);
    });
}

/// Serves until told to stop (SIGINT, SIGTERM), then finishes what was admitted.
pub async fn serve(config: &Config, engine: Engine, metrics: Option<PrometheusHandle>) -> Result<(), StartError> {
    // Before anybody can hear that the server is ready.
    let told_to_stop = Signals::listen()?;
    // Another part may have chosen it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listeners = Listeners::bind(config)?;
    let (api, observability) = (listeners.api_address()?, listeners.observability_address()?);
    let dispatcher = Dispatcher::start(engine.clone(), dispatch_config(config))?;
    let door = webhooks::Door {
        dispatcher: dispatcher.handle(),
        reach: Arc::new(reach(config)),
        per_organisation_max: config.webhooks.per_organisation_max,
    };
    let serving = listeners.serve(&engine, config, door, metrics)?;
    let (api_handle, observability_handle) = (serving.api.handle(), serving.observability.handle());
    let (last_answers, operations, farewell) = (serving.last_answers, serving.operations, serving.farewell);
    let observed = actix_rt::spawn(serving.observability);
    let served = actix_rt::spawn(serving.api);
    while !engine.is_ready() {
        actix_rt::time::sleep(Duration::from_millis(5)).await;
    }
    let upkeep = [
        serving.upkeep,
        actix_rt::spawn(privacy::run(engine.clone(), privacy::Settings::from(&config.retention))),
        actix_rt::spawn(census::run(engine.clone())),
    ];
    tracing::info!(%api, %observability, workers = config.workers(), "ready");
    told_to_stop.wait().await;
    tracing::info!("stopping: finishing what was admitted");
    last_answers.begin();
    api_handle.pause().await;
    let farewell = farewell.begin()?;
    last_answers.told(Duration::from_secs(config.http.shutdown_timeout_s)).await;
    // Both while the workers live: a rotation, or a tick that has gone out to one of them, would wait for ever.
    operations.stop().await;
    engine.end_own_work().await;
    api_handle.stop(true).await;
    let _ = served.await;
    for task in upkeep {
        task.abort();
        let _ = task.await;
    }
    dispatcher.stop(LAST_WEBHOOKS).await;
    engine.stop().await;
    observability_handle.stop(true).await;
    let _ = observed.await;
    let db = engine.db().clone();
    drop((engine, last_answers));
    close(db).await;
    farewell.end().await;
    tracing::info!("stopped");
    Ok(())
}

/// How long webhooks that are on their way are waited for: what is not taken by then is sent again after the start.
const LAST_WEBHOOKS: Duration = Duration::from_secs(1);

fn reach(config: &Config) -> Reach {
    Reach { allow_http: config.webhooks.allow_http, allow_networks: config.webhooks.allow_networks.clone() }
}

fn dispatch_config(config: &Config) -> DispatchConfig {
    let given = &config.webhooks;
    DispatchConfig {
        reach: reach(config),
        timeout: Duration::from_millis(given.timeout_ms),
        concurrency: given.concurrency,
        concurrency_per_endpoint: given.concurrency_per_endpoint,
        open_per_endpoint: given.open_per_endpoint,
        open_total: given.open_total,
        log_entries: given.log_entries,
        schedule: Schedule {
            first: Duration::from_millis(given.retry_first_ms),
            longest: Duration::from_secs(given.retry_longest_s),
            probe: Duration::from_secs(given.probe_longest_s),
            dead_after: Duration::from_secs(given.dead_after_s),
            attempts_max: given.attempts_max,
        },
    }
}

/// How long threads that are ending may keep the database open.
const CLOSED_WITHIN: Duration = Duration::from_secs(5);

/// Closes the database while the process is still whole: its own threads must not outlive `main`.
async fn close(mut db: Db) -> bool {
    let pause = Duration::from_millis(5);
    for _ in 0..CLOSED_WITHIN.as_millis() / pause.as_millis() {
        match db.try_close() {
            Ok(()) => return true,
            Err(held) => db = held,
        }
        actix_rt::time::sleep(pause).await;
    }
    tracing::warn!("somebody still holds the database");
    false
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn wait(mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
