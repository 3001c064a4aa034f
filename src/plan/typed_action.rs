//! `actions:` of a stage as typed.

use schemars::JsonSchema;
use serde::Deserialize;

use super::typed::DurationText;

/// Something that is changed in the pipeline while the stage runs, and reverted. One kind each.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Action")]
pub(super) struct ActionDoc {
    /// From the start of the stage. Default 0s.
    pub at: Option<DurationText>,
    /// The mapping does not read the stream.
    pub disable_mapping: Option<DisableMappingDoc>,
    /// Another number of shards: at most double, at least half.
    pub reshard: Option<ReshardDoc>,
    /// Another reserved concurrency of the function.
    pub set_reserved_concurrency: Option<ReservedConcurrencyDoc>,
    /// Other settings of the mapping.
    pub change_batch: Option<ChangeBatchDoc>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DisableMapping")]
pub(super) struct DisableMappingDoc {
    /// Until it is reverted. Default: the rest of the stage.
    #[serde(rename = "for")]
    pub lasts: Option<DurationText>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Reshard")]
pub(super) struct ReshardDoc {
    #[schemars(required, range(min = 1))]
    pub shards: Option<i64>,
    /// Until it is reverted. Default: the rest of the stage.
    #[serde(rename = "for")]
    pub lasts: Option<DurationText>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SetReservedConcurrency")]
pub(super) struct ReservedConcurrencyDoc {
    /// 0 throttles every invocation.
    #[schemars(required, range(min = 0))]
    pub value: Option<i64>,
    /// Until it is reverted. Default: the rest of the stage.
    #[serde(rename = "for")]
    pub lasts: Option<DurationText>,
}

/// What is not given is left as it stands; at least one is.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ChangeBatch")]
pub(super) struct ChangeBatchDoc {
    #[schemars(range(min = 1, max = 10_000))]
    pub batch_size: Option<i64>,
    /// Whole seconds.
    pub batch_window: Option<DurationText>,
    #[schemars(range(min = 1, max = 10))]
    pub parallelization: Option<i64>,
    /// Until it is reverted. Default: the rest of the stage.
    #[serde(rename = "for")]
    pub lasts: Option<DurationText>,
}
