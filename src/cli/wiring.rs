//! Where ports meet their implementations. Nothing else in the crate names both sides.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::{ErrorCode, kv};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::database::database;
use super::error::{CliError, chain};
use super::keys::keyring;
use super::terminal::{WARN, say, styled};
use crate::adapters::presets::with_presets;
use crate::adapters::{HttpAdapterFactory, PromptAdapterFactory, Registry, ScenarioTexts};
use crate::definitions::{AgentDefinition, TelemetryDestination, TelemetryProtocol};
use crate::egress::{Client, EgressPolicy};
use crate::events::{BaggageKey, SetId};
use crate::execution::limits::{Limiter, ScopeKind};
use crate::execution::metering::CallMeter;
use crate::execution::orchestrator::{Orchestrator, Player};
use crate::execution::planner::{PlanDefaults, Planner};
use crate::execution::ports::{
    AgentRepository, ProjectRepository, PromptRepository, ProviderRepository, RunTracers, SecretRepository,
    SystemClock,
};
use crate::isolation::child::{Line, PipeCassettes, PipeLimiter, PipeMeter, PipeSpool};
use crate::isolation::{Launcher, Plan, PlanSettings, Processes, Shelf, Snapshot};
use crate::models::Factory;
use crate::queue::limits::LimitCounts;
use crate::queue::{
    Cancellations, Cassettes, ConnectError, Connection, Consumer, DeadLetters, Denials, EventPublisher,
    GivenUpRequests, KvLimiter, Outcomes, RunStates, Scheduler, SinkLog, Spool, Topology, TopologyError,
    connect as connect_to,
};
use crate::settings::{EgressSettings, Isolation, Settings, TelemetrySettings};
use crate::store::{AgentCheck, Store, StoreError};
use crate::telemetry::export::OtlpSender;
use crate::telemetry::ingress::Hub;
use crate::telemetry::metrics::{LimitsMetric, Metrics};
use crate::telemetry::run::RunTracerFactory;
use crate::telemetry::sink::SinkSender;
use crate::telemetry::spool::{Courier, SpanSpool};
use crate::worker::{
    Endpoints, GivenUp, History, HistoryParts, Listening, Processor, ProcessorParts, Pruning, Resting,
    Service, Sink, SinkParts, SpoolSender,
};

/// How often it is looked whether the broker forbade something: well within the time that an answer is waited for.
const DENIALS_POLL: Duration = Duration::from_millis(50);

/// The store and everything that reads definitions from it.
pub(super) struct Definitions {
    /// The store.
    pub(super) store: Store,
    /// Every target type that there is.
    pub(super) targets: Arc<Registry>,
    models: Arc<Factory>,
    defaults: PlanDefaults,
    client: Client,
    /// What agents are told of their run as baggage.
    telling: Vec<BaggageKey>,
}

impl Definitions {
    /// Opens the store, which is created where it is missing, brings its tables up to date, and wires what reads from it.
    pub(super) async fn open(settings: &Settings) -> Result<Self, CliError> {
        let keys = keyring(&settings.store)?;
        let database = database(&settings.store)?;
        let store = Store::open_with(&database).await.map_err(|error| unusable(&error))?;
        store.migrate().await.map_err(|error| unusable(&error))?;
        Self::of(store.with_keys(keys), settings).await
    }

    /// As [`Definitions::open`], for who only reads: no database is created.
    pub(super) async fn open_existing(settings: &Settings) -> Result<Self, CliError> {
        let keys = keyring(&settings.store)?;
        let database = database(&settings.store)?;
        let store = Store::open_existing(&database).await.map_err(|error| unusable(&error))?;
        Self::of(store.with_keys(keys), settings).await
    }

    /// Refuses at once what would have to wait for an import.
    pub(super) async fn require_some(&self) -> Result<(), CliError> {
        self.store.check().await.map_err(|error| match error {
            StoreError::NoFile { .. } | StoreError::Empty { .. } => CliError::refused(error),
            error => unusable(&error),
        })
    }

    async fn of(store: Store, settings: &Settings) -> Result<Self, CliError> {
        store.check_keys().await.map_err(|error| unusable(&error))?;
        let client = way_out(settings)?;
        let telling = settings.telemetry.run.baggage.clone();
        let (models, targets) = cast(&Arc::new(store.clone()), &client, &telling, None, None);
        Ok(Self { store, targets, models, defaults: plan_defaults(settings), client, telling })
    }

    /// The same definitions, whose calls keep to their limits by way of `limiter` and are counted by `meter`, if there is any.
    pub(super) fn for_runs(&self, limiter: &Arc<dyn Limiter>, meter: Option<&Arc<dyn CallMeter>>) -> Self {
        let (store, client, telling) = (self.store.clone(), self.client.clone(), self.telling.clone());
        let (models, targets) = cast(&Arc::new(store.clone()), &client, &telling, Some(limiter), meter);
        Self { store, targets, models, defaults: self.defaults.clone(), client, telling }
    }

    /// Resolves requests by these definitions.
    pub(super) fn planner(&self, cassettes: Cassettes) -> Planner {
        let shared = Arc::new(self.store.clone());
        Planner {
            scenarios: shared.clone(),
            projects: shared,
            models: self.models.clone(),
            targets: self.targets.clone(),
            cassettes: Arc::new(cassettes),
            texts: Arc::new(ScenarioTexts),
            defaults: self.defaults.clone(),
        }
    }

    /// Where processes of runs get theirs from.
    fn shelf(&self) -> Shelf {
        let shared = Arc::new(self.store.clone());
        Shelf {
            scenarios: shared.clone(),
            projects: shared.clone(),
            providers: shared.clone(),
            prompts: shared.clone(),
            agents: shared.clone(),
            secrets: shared,
            default_model: self.defaults.model.clone(),
        }
    }

    /// Schedules runs of these definitions.
    pub(super) fn scheduler(
        &self,
        connection: &Connection,
        settings: &Settings,
    ) -> Result<Scheduler, CliError> {
        let planner = self.planner(Cassettes::at(connection));
        Ok(Scheduler::new(connection, Arc::new(planner), default_set(settings)?))
    }
}

/// Makes models and targets from `definitions`, which a worker has in its store and the process of a run in its plan.
/// Agents are told `telling` of their run; calls keep to their limits by way of `limiter` and are counted by `meter`.
fn cast<D>(
    definitions: &Arc<D>,
    client: &Client,
    telling: &[BaggageKey],
    limiter: Option<&Arc<dyn Limiter>>,
    meter: Option<&Arc<dyn CallMeter>>,
) -> (Arc<Factory>, Arc<Registry>)
where
    D: ProjectRepository
        + ProviderRepository
        + PromptRepository
        + AgentRepository
        + SecretRepository
        + 'static,
{
    let mut models = Factory::new(definitions.clone(), client.clone()).counted_by(meter.cloned());
    if let Some(limiter) = limiter {
        models = models.limited_by(Arc::clone(limiter), definitions.clone());
    }
    let models = Arc::new(models);
    let mut targets = targets(definitions, &models, client.clone(), telling).counted_by(meter.cloned());
    if let Some(limiter) = limiter {
        targets = targets.limited_by(Arc::clone(limiter), definitions.clone());
    }
    (models, Arc::new(targets))
}

/// A wrong key is a setting to be corrected; everything else may be the database's fault.
pub(super) fn unusable(error: &StoreError) -> CliError {
    match error {
        StoreError::Sealed { .. } => CliError::refused(chain(error)),
        _ => CliError::out_of_reach(error),
    }
}

/// Every target type: a new one is a line here.
fn targets<D>(store: &Arc<D>, models: &Arc<Factory>, client: Client, telling: &[BaggageKey]) -> Registry
where
    D: PromptRepository + AgentRepository + SecretRepository + 'static,
{
    let http = HttpAdapterFactory::new(store.clone(), store.clone(), client).telling(telling.to_vec());
    let registry =
        Registry::new().with(PromptAdapterFactory::new(store.clone(), models.clone())).with(http.clone());
    with_presets(registry, &http)
}

/// What plays the one run of a process that was started for it.
pub(super) fn alone(
    plan: &Plan,
    line: &Line,
    hub: &Hub,
    metrics: &Metrics,
) -> Result<Orchestrator, CliError> {
    let PlanSettings { run, egress, telemetry, spools, receives } = plan.settings().clone();
    let telemetry = TelemetrySettings { run: telemetry, ..TelemetrySettings::default() };
    let settings = Settings { run, egress, telemetry, ..Settings::default() };
    let definitions = Arc::new(plan.definitions());
    let (models, targets) = cast_alone(&definitions, &settings, line)?;
    let planner = Planner {
        scenarios: definitions.clone(),
        projects: definitions,
        models,
        targets,
        cassettes: Arc::new(PipeCassettes(line.clone())),
        texts: Arc::new(ScenarioTexts),
        defaults: plan_defaults(&settings),
    };
    let receives = receives.map(|patience| (hub.clone(), patience));
    Ok(Orchestrator {
        planner,
        tracers: tracers(&settings, metrics, spools.then(|| late_spans(line)), receives, &line.hurry())?,
        clock: Arc::new(SystemClock),
    })
}

/// The models and targets of the one run: the worker gives their calls their turns, and counts them.
fn cast_alone(
    definitions: &Arc<Snapshot>,
    settings: &Settings,
    line: &Line,
) -> Result<(Arc<Factory>, Arc<Registry>), CliError> {
    let limiter: Arc<dyn Limiter> = Arc::new(PipeLimiter(line.clone()));
    let meter: Arc<dyn CallMeter> = Arc::new(PipeMeter(line.clone()));
    let telling = &settings.telemetry.run.baggage;
    Ok(cast(definitions, &way_out(settings)?, telling, Some(&limiter), Some(&meter)))
}

/// The broker is out of a child's reach: what the endpoint does not take is for the worker to keep.
fn late_spans(line: &Line) -> Arc<dyn SpanSpool> {
    Arc::new(PipeSpool(line.clone()))
}

/// What plays the runs of a worker.
#[expect(clippy::too_many_arguments, clippy::too_many_lines, reason = "one line a part")]
fn player(
    settings: &Settings,
    definitions: &Definitions,
    orchestrator: &Orchestrator,
    limiter: &Arc<dyn Limiter>,
    spool: Option<Arc<dyn SpanSpool>>,
    hub: &Hub,
    metrics: &Metrics,
    hurry: &CancellationToken,
) -> Arc<dyn Player> {
    if settings.run.isolation == Isolation::Task {
        return Arc::new(orchestrator.clone());
    }
    Arc::new(Processes {
        launcher: Launcher::of_this_program(settings.run.process.memory_bytes),
        shelf: definitions.shelf(),
        library: orchestrator.planner.cassettes.clone(),
        limiter: Arc::clone(limiter),
        orchestrator: orchestrator.clone(),
        settings: PlanSettings {
            run: settings.run.clone(),
            egress: settings.egress.clone(),
            telemetry: settings.telemetry.run.clone(),
            spools: spool.is_some(),
            receives: settings.telemetry.receiver.patience(),
        },
        hub: hub.clone(),
        spool,
        metrics: metrics.clone(),
        hurry: hurry.clone(),
    })
}

fn plan_defaults(settings: &Settings) -> PlanDefaults {
    let run = &settings.run;
    PlanDefaults {
        max_turns: run.max_turns,
        timeout: run.timeout(),
        stall_timeout: run.stall_timeout(),
        judge_on_timeout: run.judge_on_timeout,
        session_end: run.session_end(),
        model: run.default_model.clone(),
    }
}

/// Connects to the broker, for a person: what the broker forbids is said at once, because all that comes of it is that
/// somebody does not answer.
pub(super) async fn connect(settings: &Settings, name: &str) -> Result<Connection, CliError> {
    let connecting = connect_to(&settings.nats, name).await;
    let connection = connecting.map_err(|error| unconnected(&error))?;
    tokio::spawn(say_denials(connection.denials.clone()));
    Ok(connection)
}

/// Why there is no connection: a setting or a credential that is to be corrected, or nobody is there.
pub(super) fn unconnected(error: &ConnectError) -> CliError {
    if error.is_for_the_settings() { CliError::refused(chain(error)) } else { CliError::out_of_reach(error) }
}

/// Says each thing that the broker forbids, once, for as long as the command runs.
async fn say_denials(denials: Denials) {
    let mut said = BTreeSet::new();
    loop {
        for denial in denials.in_the_way() {
            if said.insert(denial.clone()) {
                say(styled(WARN, &denial));
            }
        }
        tokio::time::sleep(DENIALS_POLL).await;
    }
}

/// Says at once what is the matter where no worker has ever been: without its streams a client would try for long.
pub(super) async fn require_streams(connection: &Connection, streams: &[&str]) -> Result<(), CliError> {
    for stream in streams {
        let Err(error) = connection.jetstream.get_stream(stream).await else { continue };
        match error.kind() {
            GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                return Err(CliError::OutOfReach(format!(
                    "the broker has no stream {stream}: start a worker first: `scenario-worker serve` creates the streams"
                )));
            }
            // A user may be allowed to publish and not to look; what is done next reports for itself.
            _ => tracing::debug!(stream, %error, "the stream cannot be looked up"),
        }
    }
    Ok(())
}

/// What is the matter with the broker: it may be out of reach, or not be as it has to be.
pub(super) fn unfit(error: &TopologyError) -> CliError {
    if error.may_pass() { CliError::out_of_reach(error) } else { CliError::refused(chain(error)) }
}

/// Wires the worker to what the broker has, and listens for who asks.
#[expect(clippy::too_many_lines, reason = "one line a part")]
pub(super) async fn service(
    settings: &Settings,
    definitions: &Definitions,
    connection: &Connection,
    topology: &Topology,
    hub: &Hub,
    metrics: &Metrics,
) -> Result<(Service, Listening), CliError> {
    let cancellations = Cancellations::new(connection, topology, &settings.consumer);
    let hand_back = CancellationToken::new();
    let spool = Spool::new(connection, topology, settings);
    let limiter = limiter(settings, connection, &topology.limits, metrics);
    let meter: Arc<dyn CallMeter> = Arc::new(metrics.clone());
    let receives = settings.telemetry.receiver.patience().map(|patience| (hub.clone(), patience));
    let orchestrator = Orchestrator {
        planner: definitions.for_runs(&limiter, Some(&meter)).planner(Cassettes::new(connection, topology)),
        tracers: tracers(settings, metrics, kept_in(&spool, settings), receives, &hand_back)?,
        clock: Arc::new(SystemClock),
    };
    let parts = ProcessorParts {
        player: player(
            settings,
            definitions,
            &orchestrator,
            &limiter,
            kept_in(&spool, settings),
            hub,
            metrics,
            &hand_back,
        ),
        orchestrator,
        states: RunStates::new(connection, topology),
        publisher: EventPublisher::new(connection, topology, &settings.events),
        dead_letters: DeadLetters::new(connection),
        cancellations: cancellations.clone(),
        consumer: settings.consumer.clone(),
        stall_timeout: settings.run.stall_timeout(),
        default_set: default_set(settings)?,
        metrics: metrics.clone(),
    };
    let given_up = GivenUp {
        requests: GivenUpRequests::new(connection, topology, &settings.consumer),
        dead_letters: parts.dead_letters.clone(),
        states: parts.states.clone(),
        publisher: parts.publisher.clone(),
        default_set: parts.default_set.clone(),
        metrics: metrics.clone(),
    };
    let telemetry = &settings.telemetry.spool;
    let spooled = SpoolSender {
        spool,
        courier: courier(settings, definitions, metrics)?,
        publisher: parts.publisher.clone(),
        retention: telemetry.retention(),
        retry: telemetry.retry(),
        metrics: metrics.clone(),
        resting: Resting::default(),
    };
    let endpoints = Endpoints {
        connection: connection.clone(),
        scheduler: definitions.scheduler(connection, settings)?,
        states: parts.states.clone(),
        metrics: metrics.clone(),
    };
    let endpoints = Box::pin(endpoints.listen()).await.map_err(|error| CliError::out_of_reach(&error))?;
    let service = Service {
        consumer: Consumer::new(connection, &topology.requests, settings.consumer.pull_expires()),
        cancellations,
        given_up,
        spooled,
        sink: sink(settings, definitions, connection, topology, metrics)?,
        history: history(settings, definitions, connection, topology, metrics),
        processor: Arc::new(Processor::new(parts, hand_back.clone())),
        concurrency: settings.worker.concurrency,
        drain: settings.worker.drain(),
        hand_back,
        metrics: metrics.clone(),
    };
    Ok((service, endpoints))
}

/// What a lost worker had in flight counts until its runs are delivered again.
fn limiter(
    settings: &Settings,
    connection: &Connection,
    store: &kv::Store,
    metrics: &Metrics,
) -> Arc<dyn Limiter> {
    let limiter = KvLimiter::new(connection, store, settings.consumer.ack_wait());
    let counting = limiter.clone();
    metrics.observe_limits(move || {
        let counts = counting.counts().into_iter();
        let metric = |(kind, LimitCounts { waits, waited, refusals }): (ScopeKind, _)| LimitsMetric {
            kind: kind.as_str(),
            waits,
            waited,
            refusals,
        };
        counts.map(metric).collect()
    });
    Arc::new(limiter)
}

/// Where spans are kept that their endpoints have not taken, if they are to be.
fn kept_in(spool: &Spool, settings: &Settings) -> Option<Arc<dyn SpanSpool>> {
    let spool: Arc<dyn SpanSpool> = Arc::new(spool.clone());
    Some(spool).filter(|_| settings.telemetry.spool.enabled)
}

fn tracers(
    settings: &Settings,
    metrics: &Metrics,
    spool: Option<Arc<dyn SpanSpool>>,
    receives: Option<(Hub, Duration)>,
    hurry: &CancellationToken,
) -> Result<Arc<dyn RunTracers>, CliError> {
    let sender = OtlpSender::new(way_out(settings)?);
    let run = &settings.telemetry.run;
    let mut factory =
        RunTracerFactory::new(sender, default_endpoint(settings), run.deadline(), metrics.clone())
            .capturing(run.capture)
            .hurried_by(hurry.clone());
    if let Some((hub, patience)) = receives {
        factory = factory.receiving(hub, patience);
    }
    Ok(Arc::new(match spool {
        Some(spool) => factory.spooling_to(spool),
        None => factory,
    }))
}

/// Its own sender: what is late must not be in the way of what is new.
fn courier(settings: &Settings, definitions: &Definitions, metrics: &Metrics) -> Result<Courier, CliError> {
    Ok(Courier {
        sender: OtlpSender::new(way_out(settings)?),
        projects: Arc::new(definitions.store.clone()),
        default_destination: default_endpoint(settings),
        metrics: metrics.clone(),
    })
}

/// Its own client: a platform that hangs must not be in the way of runs.
fn sink(
    settings: &Settings,
    definitions: &Definitions,
    connection: &Connection,
    topology: &Topology,
    metrics: &Metrics,
) -> Result<Sink, CliError> {
    let telling = settings.telemetry.sink.clone();
    Ok(Sink::new(SinkParts {
        log: SinkLog::new(connection, topology, settings),
        sender: SinkSender::new(way_out(settings)?, telling.timeout()),
        projects: Arc::new(definitions.store.clone()),
        scenarios: Arc::new(definitions.store.clone()),
        settings: telling,
        outcomes_kept: settings.events.least_outcome_retention(),
        metrics: metrics.clone(),
    }))
}

fn history(
    settings: &Settings,
    definitions: &Definitions,
    connection: &Connection,
    topology: &Topology,
    metrics: &Metrics,
) -> History {
    let store = Arc::new(definitions.store.clone());
    let outcomes = settings.history.enabled.then(|| Outcomes::new(connection, topology, settings));
    let pruning = Pruning {
        history: store.clone(),
        retention: settings.history.retention(),
        clock: Arc::new(SystemClock),
    };
    History::new(HistoryParts { outcomes, history: store, pruning, metrics: metrics.clone() })
}

/// Where the spans of runs go whose project names no endpoint.
fn default_endpoint(settings: &Settings) -> Option<TelemetryDestination> {
    settings.telemetry.run.default_endpoint.clone().map(|endpoint| TelemetryDestination {
        endpoint,
        api_key: None,
        protocol: TelemetryProtocol::Otlp,
        capture: None,
        events: None,
    })
}

/// The client through which runs call out.
fn way_out(settings: &Settings) -> Result<Client, CliError> {
    let EgressSettings { allow_private_networks, allowed_hosts, proxy } = &settings.egress;
    let policy = EgressPolicy::new(*allow_private_networks, allowed_hosts).map_err(CliError::refused)?;
    let proxy = proxy.as_deref().map(Url::parse).transpose().map_err(CliError::refused)?;
    Client::new(policy, proxy.as_ref()).map_err(CliError::refused)
}

fn default_set(settings: &Settings) -> Result<SetId, CliError> {
    SetId::parse(settings.run.default_set_id.clone()).map_err(CliError::refused)
}

impl AgentCheck for Registry {
    fn check(&self, agent: &AgentDefinition) -> Result<(), String> {
        self.check_agent(agent)
    }
}
