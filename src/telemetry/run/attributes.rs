//! Names of attributes, events and values on a run's spans.
//!
//! Sources: OpenTelemetry semantic conventions for generative AI (status: development) and the ingestion of LangWatch.
//! The names are those of version 1.41 of the conventions, the last one with generative AI in it (see
//! [`crate::telemetry::SCHEMA_URL`]). They are our own constants because the published crate marks all of its generative AI names as moved.

pub(super) const SERVICE_NAME: &str = "service.name";
pub(super) const SERVICE_VERSION: &str = "service.version";

pub(super) const ERROR_TYPE: &str = "error.type";
/// `error.type` of a span that nobody ended: its work was cancelled, timed out or panicked.
pub(super) const ABANDONED: &str = "abandoned";

pub(super) const LANGWATCH_ORIGIN: &str = "langwatch.origin";
pub(super) const ORIGIN_SIMULATION: &str = "simulation";
pub(super) const LANGWATCH_ORIGIN_SOURCE: &str = "langwatch.origin.source";
pub(super) const ORIGIN_SOURCE_PLATFORM: &str = "platform";
pub(super) const LANGWATCH_THREAD_ID: &str = "langwatch.thread.id";
pub(super) const LANGWATCH_SPAN_TYPE: &str = "langwatch.span.type";
pub(super) const LANGWATCH_LABELS: &str = "langwatch.labels";
pub(super) const LANGWATCH_INPUT: &str = "langwatch.input";
pub(super) const LANGWATCH_OUTPUT: &str = "langwatch.output";
/// US dollars that the call of the span cost, by the prices of the definitions.
pub(super) const LANGWATCH_COST: &str = "langwatch.span.cost";
pub(super) const LANGWATCH_EVALUATION: &str = "langwatch.evaluation.custom";
pub(super) const JSON_ENCODED_EVENT: &str = "json_encoded_event";

pub(super) const SCENARIO_ID: &str = "scenario.id";
pub(super) const SCENARIO_NAME: &str = "scenario.name";
pub(super) const SCENARIO_RUN_ID: &str = "scenario.run_id";
pub(super) const SCENARIO_BATCH_ID: &str = "scenario.batch_id";
pub(super) const SCENARIO_SET_ID: &str = "scenario.set_id";
pub(super) const SCENARIO_LABELS: &str = "scenario.labels";
pub(super) const SCENARIO_PROJECT_ID: &str = "scenario.project_id";
pub(super) const SCENARIO_ATTEMPT: &str = "scenario.attempt";
pub(super) const SCENARIO_TURN: &str = "scenario.turn";
/// On exactly one span per call of a role: LangWatch takes a role's latency from it and its costs from below it.
pub(super) const SCENARIO_ROLE: &str = "scenario.role";
pub(super) const SCENARIO_TARGET_TYPE: &str = "scenario.target.type";
pub(super) const SCENARIO_TARGET_ID: &str = "scenario.target.reference_id";
/// On a span that was too large and was cut.
pub(super) const SCENARIO_SPAN_CUT: &str = "scenario.span.cut";
pub(super) const SCENARIO_SDK_NAME: &str = "scenario.sdk.name";
pub(super) const SCENARIO_SDK_VERSION: &str = "scenario.sdk.version";
pub(super) const SCENARIO_VERDICT: &str = "scenario.verdict";
pub(super) const SCENARIO_CRITERIA_MET: &str = "scenario.criteria.met";
pub(super) const SCENARIO_CRITERIA_UNMET: &str = "scenario.criteria.unmet";
pub(super) const SCENARIO_CRITERIA_INCONCLUSIVE: &str = "scenario.criteria.inconclusive";
pub(super) const SCENARIO_CRITERION_ID: &str = "scenario.criterion.id";

pub(super) const GEN_AI_OPERATION: &str = "gen_ai.operation.name";
pub(super) const GEN_AI_PROVIDER: &str = "gen_ai.provider.name";
/// The id of the provider's definition in the project, of which there may be several of one kind.
pub(super) const SCENARIO_PROVIDER: &str = "scenario.provider.id";
pub(super) const SERVER_ADDRESS: &str = "server.address";
pub(super) const SERVER_PORT: &str = "server.port";
pub(super) const GEN_AI_CONVERSATION: &str = "gen_ai.conversation.id";
pub(super) const GEN_AI_AGENT_ID: &str = "gen_ai.agent.id";
pub(super) const GEN_AI_AGENT_NAME: &str = "gen_ai.agent.name";
pub(super) const GEN_AI_REQUEST_MODEL: &str = "gen_ai.request.model";
pub(super) const GEN_AI_TEMPERATURE: &str = "gen_ai.request.temperature";
pub(super) const GEN_AI_MAX_TOKENS: &str = "gen_ai.request.max_tokens";
pub(super) const GEN_AI_TOP_P: &str = "gen_ai.request.top_p";
pub(super) const GEN_AI_FREQUENCY_PENALTY: &str = "gen_ai.request.frequency_penalty";
pub(super) const GEN_AI_PRESENCE_PENALTY: &str = "gen_ai.request.presence_penalty";
pub(super) const GEN_AI_STOP: &str = "gen_ai.request.stop_sequences";
/// Only where it is true.
pub(super) const GEN_AI_STREAM: &str = "gen_ai.request.stream";
pub(super) const GEN_AI_SEED: &str = "gen_ai.request.seed";
pub(super) const GEN_AI_WORKFLOW_NAME: &str = "gen_ai.workflow.name";
pub(super) const GEN_AI_INSTRUCTIONS: &str = "gen_ai.system_instructions";
pub(super) const GEN_AI_INPUT: &str = "gen_ai.input.messages";
pub(super) const GEN_AI_OUTPUT: &str = "gen_ai.output.messages";
pub(super) const GEN_AI_TOOLS: &str = "gen_ai.tool.definitions";
pub(super) const GEN_AI_RESPONSE_ID: &str = "gen_ai.response.id";
pub(super) const GEN_AI_RESPONSE_MODEL: &str = "gen_ai.response.model";
pub(super) const GEN_AI_FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
/// In seconds.
pub(super) const GEN_AI_FIRST_CHUNK: &str = "gen_ai.response.time_to_first_chunk";
pub(super) const GEN_AI_INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
pub(super) const GEN_AI_OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";

pub(super) const GEN_AI_CACHE_READ_TOKENS: &str = "gen_ai.usage.cache_read.input_tokens";
pub(super) const GEN_AI_CACHE_CREATION_TOKENS: &str = "gen_ai.usage.cache_creation.input_tokens";
pub(super) const GEN_AI_REASONING_TOKENS: &str = "gen_ai.usage.reasoning.output_tokens";

pub(super) const GEN_AI_TOOL_NAME: &str = "gen_ai.tool.name";
pub(super) const GEN_AI_TOOL_TYPE: &str = "gen_ai.tool.type";
pub(super) const GEN_AI_TOOL_CALL_ID: &str = "gen_ai.tool.call.id";
pub(super) const GEN_AI_TOOL_ARGUMENTS: &str = "gen_ai.tool.call.arguments";
pub(super) const GEN_AI_TOOL_RESULT: &str = "gen_ai.tool.call.result";

pub(super) const EVALUATION_RESULT: &str = "gen_ai.evaluation.result";
pub(super) const EVALUATION_NAME: &str = "gen_ai.evaluation.name";
pub(super) const EVALUATION_SCORE: &str = "gen_ai.evaluation.score.value";
pub(super) const EVALUATION_LABEL: &str = "gen_ai.evaluation.score.label";
pub(super) const EVALUATION_EXPLANATION: &str = "gen_ai.evaluation.explanation";

/// The event that says which variables of a prompt nothing was found for.
pub(super) const UNBOUND_INPUTS: &str = "langwatch.prompt.unbound_inputs";
pub(super) const UNBOUND_INPUT_NAMES: &str = "langwatch.prompt.unbound_inputs.names";
/// The event that says that an agent's session could not be ended.
pub(super) const SESSION_NOT_ENDED: &str = "langwatch.session.not_ended";
pub(super) const ERROR_MESSAGE: &str = "error.message";

/// The event that says that a call had to wait for its turn, and for how many milliseconds.
pub(super) const LIMIT_WAIT: &str = "scenario.limits.waited";
pub(super) const LIMIT_WAIT_MS: &str = "scenario.limits.waited_ms";

/// Event: it was waited for spans that the agent sends itself.
pub(super) const TARGET_SPANS: &str = "scenario.target_spans";
pub(super) const TARGET_SPANS_WAIT_MS: &str = "scenario.target_spans.wait_ms";
pub(super) const TARGET_SPANS_COUNT: &str = "scenario.target_spans.count";
pub(super) const TARGET_SPANS_SETTLED: &str = "scenario.target_spans.settled";
