//! The envelope: what each record carries so that it can be followed.
//!
//! On the wire it is the member `sg` of the record's JSON object, first in the object and compact:
//! `{"sg":{"r":"20261121-013240-k3f9","l":3,"s":12345,"d":1763688760123456}, ...}`.

use serde::{Deserialize, Serialize};

use super::run_id::RunId;

/// Level index of a readiness probe: never counted.
pub const PROBE_LEVEL: u32 = 999;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    #[serde(rename = "r")]
    pub run: RunId,
    /// Index of the level within the run, from 0; [`PROBE_LEVEL`] for probes.
    #[serde(rename = "l")]
    pub level: u32,
    /// Sequence within the run, from 0; one count over all levels. Probes count by themselves.
    #[serde(rename = "s")]
    pub sequence: u64,
    /// When the record was due, microseconds since the epoch.
    #[serde(rename = "d")]
    pub due_us: i64,
}
