//! Actions during load, as meant: what is changed in the pipeline while a stage runs, and for how long. Each is
//! reverted when its time is over.

use std::time::Duration;

use super::units::show_duration;

/// One action of a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// From the start of its stage.
    pub at: Duration,
    /// From then until it is reverted; the stage may have ended by then, the test's load has not.
    pub lasts: Duration,
    pub change: ActionChange,
}

/// What an action changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActionChange {
    /// The mapping does not read the stream.
    DisableMapping,
    /// The stream has this many shards.
    Reshard { shards: u32 },
    /// The function's reserved concurrency; 0 throttles every invocation.
    ReservedConcurrency { value: u32 },
    /// Settings of the mapping; `None` is left as it stands. At least one is given.
    ChangeBatch { batch_size: Option<u32>, batch_window_s: Option<u32>, parallelization: Option<u32> },
}

impl ActionChange {
    /// As the plan writes it.
    pub fn kind(&self) -> &'static str {
        match self {
            ActionChange::DisableMapping => "disable_mapping",
            ActionChange::Reshard { .. } => "reshard",
            ActionChange::ReservedConcurrency { .. } => "set_reserved_concurrency",
            ActionChange::ChangeBatch { .. } => "change_batch",
        }
    }

    /// Nothing is handed to the function then.
    pub fn stops_the_consumer(&self) -> bool {
        matches!(self, ActionChange::DisableMapping | ActionChange::ReservedConcurrency { value: 0 })
    }

    /// What is then so, for example `reserved concurrency 1`.
    pub fn text(&self) -> String {
        match self {
            ActionChange::DisableMapping => "mapping disabled".to_owned(),
            ActionChange::Reshard { shards: 1 } => "1 shard".to_owned(),
            ActionChange::Reshard { shards } => format!("{shards} shards"),
            ActionChange::ReservedConcurrency { value } => format!("reserved concurrency {value}"),
            ActionChange::ChangeBatch { batch_size, batch_window_s, parallelization } => {
                let parts = [
                    batch_size.map(|records| format!("batch size {records}")),
                    batch_window_s.map(|seconds| format!("batch window {seconds} s")),
                    parallelization.map(|lanes| format!("parallelization {lanes}")),
                ];
                parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
            }
        }
    }
}

impl Action {
    /// For example `mapping disabled for 20s`.
    pub fn text(&self) -> String {
        format!("{} for {}", self.change.text(), show_duration(self.lasts))
    }
}
