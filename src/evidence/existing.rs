//! What a run on an existing pipeline keeps of it: who read the stream, how everything was set before and after,
//! what changed in between, and which records in the stream were not the run's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::events::{Event, Logged};
use super::model::{EnvironmentInfo, MetricSeries, SecondRow, TestEvidence};
use crate::plan::{Architecture, Plan, StreamMode};
use crate::platform::clock::WallUs;

const MINUTE_MS: i64 = 60_000;
/// CloudWatch gives counts by the minute for 15 days, then only coarser ones (GetMetricData, "Period").
const PERIOD_S: u32 = 60;
/// The series that counts every producer's records.
const INCOMING: &str = "kinesis.IncomingRecords.Sum";

/// Part of `environment.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExistingInfo {
    /// Everything that reads the stream, a line each; and what could not be listed.
    pub readers: Vec<String>,
    /// Settings by name (`mapping.batch_size`), as text.
    pub before: BTreeMap<String, String>,
    /// `None`: the run did not get to its end, or nothing could be asked there.
    pub after: Option<BTreeMap<String, String>>,
    /// Whether the function's receipts were collected.
    pub receipts: bool,
}

/// A setting that changed while the run was made.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// It happened between these two looks.
    pub from_us: WallUs,
    pub until_us: WallUs,
    pub setting: String,
    /// `None`: there was none.
    pub before: Option<String>,
    pub after: Option<String>,
}

impl Change {
    /// `mapping.batch_size: 100 -> 10`
    pub fn text(&self) -> String {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
        format!("{}: {} -> {}", self.setting, shown(&self.before), shown(&self.after))
    }
}

/// Traffic that is not the run's: all records that came in, less those that were acked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Foreign {
    pub minutes: Vec<ForeignMinute>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ForeignMinute {
    /// Start of the minute, ms since the epoch.
    pub at_ms: i64,
    /// Records that the stream took in, of every producer.
    pub incoming: u64,
    /// Records of the run that were acked, probes included.
    pub ours: u64,
}

impl Foreign {
    /// Records of others over all minutes. Single minutes may be off by the records that were acked in the minute
    /// after they came in; the sum is not.
    pub fn records(&self) -> u64 {
        let sum = |of: fn(&ForeignMinute) -> u64| self.minutes.iter().map(of).sum::<u64>();
        sum(|minute| minute.incoming).saturating_sub(sum(|minute| minute.ours))
    }
}

/// Settings that differ between two looks.
pub fn differences(
    (from_us, before): (WallUs, &BTreeMap<String, String>),
    (until_us, after): (WallUs, &BTreeMap<String, String>),
) -> Vec<Change> {
    let mut settings: Vec<&String> = before.keys().chain(after.keys()).collect();
    settings.sort();
    settings.dedup();
    settings
        .into_iter()
        .filter(|setting| before.get(*setting) != after.get(*setting))
        .map(|setting| Change {
            from_us,
            until_us,
            setting: setting.clone(),
            before: before.get(setting).cloned(),
            after: after.get(setting).cloned(),
        })
        .collect()
}

/// The changes that the log tells of, in order.
pub fn changes(events: &[Logged]) -> Vec<Change> {
    let change = |logged: &Logged| match &logged.event {
        Event::Changed { from_us, setting, before, after } => Some(Change {
            from_us: *from_us,
            until_us: logged.at_us,
            setting: setting.clone(),
            before: before.clone(),
            after: after.clone(),
        }),
        _ => None,
    };
    events.iter().filter_map(change).collect()
}

/// A level in which the pipeline was changed says nothing about either of the two pipelines: it is void.
pub(super) fn mark(tests: &mut [TestEvidence], changes: &[Change]) {
    let levels = tests.iter_mut().flat_map(|test| &mut test.levels);
    for level in levels.filter(|level| level.void.is_none()) {
        let Some(started_us) = level.started_us else { continue };
        let ended_us = started_us + (level.planned_s * 1e6) as WallUs;
        let within = |change: &&Change| change.from_us < ended_us && change.until_us > started_us;
        let texts: Vec<String> = changes.iter().filter(within).map(Change::text).collect();
        if !texts.is_empty() {
            level.void = Some(format!("the pipeline was changed under it: {}", texts.join(", ")));
        }
    }
}

/// What others sent, minute by minute; `None` where CloudWatch does not tell.
pub(super) fn foreign(
    incoming: Option<&MetricSeries>,
    seconds: &[SecondRow],
    events: &[Logged],
) -> Option<Foreign> {
    let incoming = incoming.filter(|series| series.period_s == PERIOD_S && !series.points.is_empty())?;
    let mut ours: BTreeMap<i64, u64> = BTreeMap::new();
    let minute_of = |ms: i64| ms.div_euclid(MINUTE_MS) * MINUTE_MS;
    for second in seconds {
        *ours.entry(minute_of(second.at_ms)).or_default() += second.acked;
    }
    for logged in events {
        if let Event::Ready { probes_acked } = logged.event {
            *ours.entry(minute_of(logged.at_us / 1_000)).or_default() += probes_acked;
        }
    }
    let came: BTreeMap<i64, u64> =
        incoming.points.iter().map(|(at_ms, value)| (*at_ms, value.round().max(0.0) as u64)).collect();
    let mut minutes: Vec<i64> = ours.keys().chain(came.keys()).copied().collect();
    minutes.sort_unstable();
    minutes.dedup();
    let minute = |at_ms: i64| ForeignMinute {
        at_ms,
        incoming: came.get(&at_ms).copied().unwrap_or(0),
        ours: ours.get(&at_ms).copied().unwrap_or(0),
    };
    Some(Foreign { minutes: minutes.into_iter().map(minute).collect() })
}

/// The series that [`foreign`] reads.
pub(super) fn incoming(series: &BTreeMap<String, MetricSeries>) -> Option<&MetricSeries> {
    series.get(INCOMING)
}

/// Makes the plan's environment that which stood: a plan for an existing pipeline says nothing of it.
pub fn as_it_stood(plan: &mut Plan, info: &EnvironmentInfo) {
    let Some(existing) = info.existing.as_ref().filter(|_| plan.existing.is_some()) else { return };
    let stream = &mut plan.environment.stream;
    stream.mode =
        if info.stream_mode == "on-demand" { StreamMode::OnDemand } else { StreamMode::Provisioned };
    stream.shards = info.shards;
    stream.retention_hours = info.retention_hours;
    let function = &mut plan.environment.function;
    function.memory_mb = info.memory_mb;
    function.timeout_s = info.timeout_s;
    function.architecture = match info.architecture.as_str() {
        "arm64" => Some(Architecture::Arm64),
        _ => Some(Architecture::X86_64),
    };
    function.batch_size = info.batch_size;
    function.batch_window_s = info.batch_window_s;
    function.parallelization = info.parallelization;
    function.retries = info.retries;
    function.bisect_on_error = info.bisect_on_error;
    function.partial_batch_response =
        existing.before.get("mapping.partial_batch_response").is_some_and(|value| value == "true");
    // The function is not ours: it is asked for nothing.
    function.work_ms_per_batch = 0;
    function.end_to_end_metric = false;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_differs_is_named_with_both_values() {
        let before = look(&[("a", "1"), ("b", "2"), ("c", "3")]);
        let after = look(&[("a", "1"), ("b", "4"), ("d", "5")]);
        let texts: Vec<String> = differences((1, &before), (2, &after)).iter().map(Change::text).collect();
        assert_eq!(texts, ["b: 2 -> 4", "c: 3 -> nothing", "d: nothing -> 5"]);
        assert!(differences((1, &before), (2, &before)).is_empty());
    }

    #[test]
    fn foreign_records_are_what_came_in_beyond_ours() {
        let series = |period_s| MetricSeries {
            period_s,
            points: vec![(60_000, 100.0), (120_000, 130.0)],
            ..MetricSeries::default()
        };
        let second = |at_ms, acked| SecondRow { at_ms, acked, ..SecondRow::default() };
        let seconds = [second(60_500, 90), second(119_000, 8), second(120_000, 100)];
        let ready = [Logged { at_us: 61_000_000, event: Event::Ready { probes_acked: 2 } }];
        let found = foreign(Some(&series(60)), &seconds, &ready).expect("minutes");
        assert_eq!(found.records(), 30);
        let minute = |at_ms, incoming, ours| ForeignMinute { at_ms, incoming, ours };
        assert_eq!(found.minutes, [minute(60_000, 100, 100), minute(120_000, 130, 100)]);
        assert_eq!(foreign(Some(&series(300)), &seconds, &ready), None, "too coarse");
        assert_eq!(foreign(None, &seconds, &ready), None);
    }
}
