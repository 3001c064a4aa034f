//! What a plan asks of its stream, against what the stream gives. Pure.

use super::StreamNow;
use super::account::StreamQuota;
use super::finding::Finding;
use crate::plan::{PARTITION_KEY_BYTES, Plan, StreamMode, Test};
use crate::platform::limits;

/// Above this share of the capacity, keys that spread unevenly pass a shard's limit.
const TIGHT_SHARE: f64 = 0.9;
/// A batch as the function gets it holds each record in base64: four characters for three bytes.
const BASE64_NUM: u64 = 4;
const BASE64_DEN: u64 = 3;
/// What an event holds of a record beside its data: ids, the key, names. Lambda developer guide, "Example event".
const EVENT_BYTES_PER_RECORD: u64 = 500;

/// What the peak of one test asks of a stream.
#[derive(Clone, Debug, PartialEq)]
struct Need<'a> {
    test: &'a Test,
    /// Shards' worth of load, by records or by bytes, whichever is more; not rounded.
    shards: f64,
    /// Payload and partition key.
    bytes_per_s: f64,
}

impl<'a> Need<'a> {
    fn of(test: &'a Test) -> Need<'a> {
        let bytes_per_s = test.peak_rps() * (test.payload.bytes + PARTITION_KEY_BYTES) as f64;
        let by_records = test.peak_rps() / limits::SHARD_WRITE_RECORDS_PER_S as f64;
        let by_bytes = bytes_per_s / limits::SHARD_WRITE_BYTES_PER_S as f64;
        Need { test, shards: by_records.max(by_bytes), bytes_per_s }
    }

    fn whole_shards(&self) -> u32 {
        self.shards.ceil().max(1.0) as u32
    }

    fn told(&self) -> String {
        let (id, rps, mib) = (&self.test.id, self.test.peak_rps(), self.bytes_per_s / 1_048_576.0);
        format!("test {id} peaks at {rps:.0} records/s, {mib:.2} MiB/s")
    }
}

/// The plan's peak against the shards.
pub(super) fn stream_capacity(plan: &Plan, stream: StreamNow) -> Finding {
    const CHECK: &str = "stream-capacity";
    let needs = plan.tests().map(Need::of);
    let Some(need) = needs.max_by(|a, b| a.shards.total_cmp(&b.shards)) else {
        return Finding::ok(CHECK, "the plan has no test");
    };
    match stream.mode {
        StreamMode::OnDemand => on_demand(CHECK, &need),
        StreamMode::Provisioned => provisioned(CHECK, plan, &need, stream),
    }
}

fn provisioned(check: &'static str, plan: &Plan, need: &Need<'_>, stream: StreamNow) -> Finding {
    let (shards, needed) = (stream.shards, need.whole_shards());
    let verb = if stream.stands { "stand" } else { "are planned" };
    let found = format!("{}; {shards} shard(s) {verb}, of 1,000 records/s and 1 MiB/s each", need.told());
    let wanted = format!("{needed} shard(s)");
    if needed > shards {
        let how = match stream.stands {
            true => "and update the environment (streamgauge down, then up)",
            false => "in the plan",
        };
        let hint = format!(
            "set environment.stream.shards to {needed} {how}; a plan that looks for the limit on purpose may run as it is"
        );
        return Finding::stop(check, found, hint).needed(wanted).of_plan();
    }
    let short_of_keys = plan.tests().map(Need::of).find(|need| need.whole_shards() > need.test.keys.count);
    if let Some(short) = short_of_keys {
        let (keys, least) = (short.test.keys.count, short.whole_shards());
        let found = format!("{}; its {keys} key(s) fill at most {keys} shard(s)", short.told());
        let hint = format!("all records of a key go to one shard: set keys.count far above {least}");
        return Finding::stop(check, found, hint).needed(format!("{least} keys at least")).of_plan();
    }
    if need.shards > TIGHT_SHARE * f64::from(shards) {
        let hint =
            "keys never spread quite evenly, so that single shards will refuse records: plan a shard more";
        return Finding::warning(check, found, hint).needed(wanted).of_plan();
    }
    Finding::ok(check, found).needed(wanted)
}

/// An on-demand stream grows, but not at once: what is beyond a new stream's start is refused at first.
fn on_demand(check: &'static str, need: &Need<'_>) -> Finding {
    let starts_with = limits::ON_DEMAND_SHARDS;
    let found = format!(
        "{}; a new on-demand stream starts with {} records/s and {starts_with} MiB/s",
        need.told(),
        starts_with * 1_000
    );
    if need.whole_shards() > limits::ON_DEMAND_SHARDS_MAX {
        let hint = "no stream takes this: lower the peak, or spread it over several streams";
        return Finding::stop(check, found, hint).of_plan();
    }
    if need.whole_shards() > starts_with {
        let hint = "it doubles its capacity within about 15 minutes of load and refuses records until then: \
                    ramp up slowly, or plan a provisioned stream";
        return Finding::warning(check, found, hint)
            .needed(format!("{} shards' worth", need.whole_shards()))
            .of_plan();
    }
    Finding::ok(check, found)
}

/// The largest record against what the stream accepts and what an invocation can carry.
pub(super) fn record_size(plan: &Plan) -> Finding {
    const CHECK: &str = "record-size";
    let Some(test) = plan.tests().max_by_key(|test| test.payload.bytes_max()) else {
        return Finding::ok(CHECK, "the plan has no test");
    };
    let bytes = test.payload.bytes_max() as u64;
    let with_key = bytes + PARTITION_KEY_BYTES as u64;
    let stream_max = u64::from(plan.environment.stream.max_record_kib) * 1_024;
    let found = format!("the largest record, of test {}, has {bytes} bytes", test.id);
    if with_key > stream_max {
        let kib = with_key.div_ceil(1_024);
        let hint = format!("set environment.stream.max_record_kib to {kib}, or send smaller records");
        return Finding::stop(CHECK, found, hint)
            .needed(format!("at most {stream_max} bytes with its key"))
            .of_plan();
    }
    let in_event = bytes * BASE64_NUM / BASE64_DEN + EVENT_BYTES_PER_RECORD;
    let invoke_max = limits::INVOKE_PAYLOAD_MAX_BYTES as u64;
    if in_event > invoke_max {
        let hint =
            "Lambda's event holds 6 MiB in base64: the function would never get it; send smaller records";
        return Finding::stop(CHECK, found, hint).needed("at most 4.5 MiB").of_plan();
    }
    let fit = invoke_max / in_event;
    let batch_size = u64::from(plan.environment.function.batch_size);
    if fit < batch_size {
        return Finding::ok(
            CHECK,
            format!(
                "{found}: an invocation gets at most {fit} of them, not the {batch_size} of batch_size (6 MB)"
            ),
        );
    }
    Finding::ok(CHECK, found)
}

/// Shards or streams that the account may still have.
pub(super) fn stream_quota(quota: &StreamQuota, stream: Option<StreamNow>) -> Finding {
    const CHECK: &str = "stream-quota";
    let StreamQuota { shards_max, shards_open, on_demand_streams_max, on_demand_streams } = *quota;
    let raise = "ask for a higher quota in the Service Quotas console, or delete streams that nobody needs";
    let to_come = stream.filter(|stream| !stream.stands);
    if to_come.is_some_and(|stream| stream.mode == StreamMode::OnDemand) {
        let found = format!("{on_demand_streams} of {on_demand_streams_max} on-demand streams");
        let finding = match on_demand_streams < on_demand_streams_max {
            true => Finding::ok(CHECK, found),
            false => Finding::stop(CHECK, found, raise),
        };
        return finding.needed("1 more stream");
    }
    let found = format!("{shards_open} of {shards_max} shards are in use");
    let more = to_come.map_or(0, |stream| stream.shards);
    let finding = match shards_open.saturating_add(more) <= shards_max {
        true => Finding::ok(CHECK, found),
        false => Finding::stop(CHECK, found, raise),
    };
    if more > 0 { finding.needed(format!("{more} more")) } else { finding }
}

#[cfg(test)]
mod tests {
    use super::super::finding::{Concern, Level};
    use super::*;

    /// A plan of one hold, after its ramp.
    fn plan(rps: u32, payload: &str, environment: &str, keys: u32) -> Plan {
        let text = format!(
            "schema: streamgauge/plan/v1\nname: x\nenvironment: {environment}\ndefaults: {{payload: {payload}, \
             keys: {{count: {keys}}}}}\nphases:\n  - name: p\n    tests:\n      - {{id: a, name: a, stages: \
             [{{duration: 1s, target: {rps}}}, {{duration: 9s, target: {rps}}}], criteria: [lost == 0]}}\n"
        );
        crate::plan::parse(&text).unwrap_or_else(|errors| panic!("{errors:?}\n{text}"))
    }

    fn capacity(rps: u32, payload: &str, shards: u32, keys: u32) -> Finding {
        let plan = plan(rps, payload, &format!("{{stream: {{shards: {shards}}}}}"), keys);
        stream_capacity(&plan, StreamNow::of(&plan, None))
    }

    #[test]
    fn the_needed_shards_are_those_of_records_or_bytes_whichever_are_more() {
        let told = |rps, payload, shards| {
            let finding = capacity(rps, payload, shards, 1_000);
            assert_eq!(finding.concern == Concern::Plan, finding.level != Level::Ok, "{finding:?}");
            (finding.level, finding.needed.unwrap())
        };
        let shards = |count: u32| format!("{count} shard(s)");
        assert_eq!(told(800, "medium", 1), (Level::Ok, shards(1)));
        // Exactly at the limit there is nothing to spare.
        assert_eq!(told(1_000, "medium", 1), (Level::Warning, shards(1)));
        assert_eq!(told(1_001, "medium", 1), (Level::Stop, shards(2)));
        // 100 records/s of 10 KiB and a key of 10 bytes are 0.98 MiB/s; 110 are 1.08.
        assert_eq!(told(100, "{bytes: 10240}", 2).0, Level::Ok);
        assert_eq!(told(110, "{bytes: 10240}", 1), (Level::Stop, shards(2)));
    }

    #[test]
    fn few_keys_fill_few_shards() {
        assert_eq!(capacity(1_500, "small", 4, 1_000).level, Level::Ok);
        let stop = capacity(1_500, "small", 4, 1);
        assert_eq!(stop.level, Level::Stop);
        assert!(stop.hint.unwrap().contains("keys.count"));
    }

    #[test]
    fn an_on_demand_stream_is_given_time_to_grow() {
        let level = |rps| {
            let plan = plan(rps, "small", "{stream: {mode: on-demand}}", 1_000);
            stream_capacity(&plan, StreamNow::of(&plan, None)).level
        };
        assert_eq!(level(4_000), Level::Ok);
        assert_eq!(level(4_001), Level::Warning);
    }

    #[test]
    fn a_record_beyond_an_invocation_is_stopped_and_a_cut_batch_is_told() {
        let mut plan = plan(1, "medium", "{stream: {shards: 1, max_record_kib: 10240}}", 10);
        assert_eq!(record_size(&plan).level, Level::Ok);
        plan.phases[0].tests[0].payload.bytes = 1_000_000;
        assert!(record_size(&plan).found.contains("at most 4 of them"), "{:?}", record_size(&plan));
        plan.phases[0].tests[0].payload.bytes = 4_800_000;
        assert_eq!(record_size(&plan).needed.as_deref(), Some("at most 4.5 MiB"));
        plan.environment.stream.max_record_kib = 1_024;
        assert!(record_size(&plan).hint.unwrap().contains("max_record_kib to 4688"));
    }

    #[test]
    fn only_what_does_not_stand_yet_needs_quota() {
        let quota =
            StreamQuota { shards_max: 10, shards_open: 8, on_demand_streams_max: 1, on_demand_streams: 1 };
        let level =
            |mode, shards, stands| stream_quota(&quota, Some(StreamNow { mode, shards, stands })).level;
        assert_eq!(stream_quota(&quota, None).level, Level::Ok);
        assert_eq!(level(StreamMode::Provisioned, 2, false), Level::Ok);
        assert_eq!(level(StreamMode::Provisioned, 3, false), Level::Stop);
        assert_eq!(level(StreamMode::Provisioned, 3, true), Level::Ok);
        assert_eq!(level(StreamMode::OnDemand, 1, false), Level::Stop);
    }
}
