//! A run directory becomes [`Evidence`]: a pure function of its files. It works on the directory of a run that
//! was killed, that never collected a receipt, or whose metrics were never pulled; what is missing is `None`
//! or a note, never a zero.

mod actions;
mod blocks;
mod clocks;
mod cloudwatch_values;
mod confirmation;
mod function_seconds;
mod levels;
mod outage;
mod receipt_sums;
mod series;
mod sparse;
mod timeline;
mod twice;
mod usage;
mod windows;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::Path;

use hdrhistogram::Histogram;

use super::accounting::{self, Accounting, Seen};
use super::drawn;
use super::error::EvidenceError;
use super::events::{Event, Logged, read_events};
use super::existing;
use super::gaps::{Compared, Gaps, Reading, Source};
use super::hlog::{LoadMetric, Totals, read_totals};
use super::model::{
    CloudWatch, Dist, EnvironmentInfo, Evidence, FlagRaised, RunEnd, RunInfo, SecondRow, TestEvidence,
};
use super::pulled::Pulled;
use super::rundir::{Kept, KeptFiles, RunDir, RunHeader};
use super::sends::Sends;
use crate::plan::{self, Plan, ReadFile};
use crate::platform::clock::WallUs;
use receipt_sums::ReceiptSums;
use timeline::Timeline;
use twice::{Both, Receipts};
use windows::WindowSums;

/// Tells the index of the partition key of a sequence.
pub type Picker = Box<dyn Fn(u64) -> u32>;

/// What other rooms know and this one needs: how a plan's text is read, and which key a record has.
pub struct Rooms<'a> {
    /// `plan::parse_with`, its errors as text.
    pub parse: &'a dyn Fn(&str, &dyn ReadFile) -> Result<Plan, String>,
    /// Of a test's keys: `load::keys`.
    pub picker: &'a dyn Fn(&plan::Keys) -> Picker,
}

/// All files of a run, read.
struct Files {
    header: RunHeader,
    environment: EnvironmentInfo,
    plan: Plan,
    events: Vec<Logged>,
    sends: Sends,
    intervals: Totals,
    seconds: Vec<SecondRow>,
    receipts: ReceiptSums,
    pulled: Option<Pulled>,
    gaps: Gaps,
}

fn dlq_depth_max(events: &[Logged], test: &TestEvidence) -> Option<u64> {
    let during = test.started_us?..=test.ended_us.unwrap_or(WallUs::MAX);
    let depths = events.iter().filter(|logged| during.contains(&logged.at_us));
    let depths = depths.filter_map(|logged| match logged.event {
        Event::Watched { dlq_depth, .. } => dlq_depth,
        _ => None,
    });
    depths.max()
}

/// Reads the run directory at `dir` and joins its files. Same directory, same evidence.
///
/// # Errors
/// `run.json` is missing or its plan cannot be read any more, or a file cannot be read at all. Single lines
/// that cannot be read become notes.
pub fn load_with(dir: &Path, rooms: &Rooms<'_>) -> Result<Evidence, EvidenceError> {
    let dir = RunDir::open(dir)?;
    let mut notes = Vec::new();
    let (mut files, timeline, windows, accounted) = read(&dir, rooms, &mut notes)?;
    let (seen, mut accounting) = accounted;
    let tests: Vec<&plan::Test> = files.plan.tests().collect();
    notes.extend(shapes(&tests, &timeline));
    if timeline.end != RunEnd::Killed && accounting.unexplained > 0 {
        let note = format!(
            "receipts.jsonl: no receipt names {} acked records that had one when the run ended",
            accounting.unexplained
        );
        files.gaps.part(Source::Receipts, note.clone());
        notes.push(note);
    }
    accounting.with_gaps(&files.gaps);
    notes.append(&mut accounting.notes);
    let mut tests = levels::tests(&files, &timeline, &accounting.levels);
    windows.finish(&files.seconds, &files.sends.generator_mb, &mut tests);
    for test in &mut tests {
        test.dlq_depth_max = dlq_depth_max(&files.events, test);
    }
    let sources = blocks::Sources {
        dir: &dir,
        index: &seen.index,
        events: &files.events,
        acked: &files.sends.acked,
        failed: &files.receipts.failed,
        levels: &levels::poisoned(&files, &timeline),
    };
    let blocked = blocks::blocked(&sources, tests.len(), &mut notes)?;
    for (test, blocked) in tests.iter_mut().zip(blocked) {
        test.blocked = blocked;
    }
    let function_seconds = std::mem::take(&mut files.receipts.busy).finish(&accounting.settled);
    let acting = actions::Sources {
        dir: &dir,
        files: &files,
        timeline: &timeline,
        index: &seen.index,
        backlog: &drawn::backlog(&files.seconds, &function_seconds),
        function_seconds: &function_seconds,
        measured: accounting.delivery.measured,
    };
    for test in &mut tests {
        test.actions = acting.of(test)?;
    }
    let changes = existing::changes(&files.events);
    existing::mark(&mut tests, &changes);
    let usage = usage::usage(&files, &timeline, &accounting.delivery);
    let flags = flags(&files, &timeline, &mut notes);
    note_events(&files, &mut notes);
    let incoming = files.pulled.as_ref().and_then(|pulled| existing::incoming(&pulled.series));
    let incoming = incoming.filter(|_| files.environment.existing.is_some());
    Ok(Evidence {
        changes,
        foreign: existing::foreign(incoming, &files.seconds, &files.events),
        run: run_info(&files.header, &timeline),
        tests,
        delivery: accounting.delivery,
        cloudwatch: cloudwatch(files.pulled.as_ref(), &files.gaps),
        usage,
        flags,
        probes_acked: probes_acked(&files.events),
        by_shard: files.receipts.levels.iter().map(|(level, sums)| (*level, sums.by_shard.clone())).collect(),
        re_read: files.events.iter().any(|logged| re_reads(&logged.event)),
        receipts: files.receipts.invocations,
        seconds: files.seconds,
        function_seconds,
        receipt_seconds: files.receipts.seconds,
        environment: files.environment,
        plan: files.plan,
        gaps: files.gaps,
        notes,
    })
}

fn read(
    dir: &RunDir,
    rooms: &Rooms<'_>,
    notes: &mut Vec<String>,
) -> Result<(Files, Timeline, WindowSums, (Seen, Accounting)), EvidenceError> {
    let header = dir.read_run()?;
    let kept = KeptFiles { dir, header: &header };
    let mut plan = (rooms.parse)(&header.plan_text, &kept)
        .map_err(|reason| EvidenceError::Plan { reason, tool_version: header.tool_version.clone() })?;
    let mut reading = Reading { notes, gaps: Gaps::default() };
    let environment = environment(dir, &header, &plan, &mut reading)?;
    existing::as_it_stood(&mut plan, &environment);
    let events = reading.read(Source::Events, |notes| read_events(&dir.events_jsonl(), notes))?;
    let ranges = accounting::level_ranges(&events);
    let sampling = clocks::Sampling::new(&ranges);
    let sends = reading.read(Source::Sends, |notes| {
        Sends::read(&dir.sends_jsonl(), notes, |sequence| sampling.keeps(sequence))
    })?;
    let timeline = Timeline::new(&events, &plan, sends.last_us);
    let mut windows = WindowSums::new(&timeline, &plan);
    let intervals = reading.read(Source::Intervals, |notes| {
        read_totals(&dir.intervals_hlog(), notes, |interval| {
            if interval.metric == LoadMetric::PutLatency {
                windows.put(interval.middle_us, &interval.histogram);
            }
        })
    })?;
    let seconds = reading.read(Source::Series, |notes| series::read(&dir.series_csv(), notes))?;
    let planned = timeline.planned();
    let pickers = pickers(&plan.tests().collect::<Vec<_>>(), rooms);
    let key_of = |sequence: u64| {
        let after = planned.partition_point(|(first, _, _)| *first <= sequence);
        let picker = after.checked_sub(1).and_then(|index| pickers.get(planned[index].2));
        picker.map_or(0, |(first, picker)| first + picker(sequence))
    };
    let (acked, sampling) = (&sends.acked, &sampling);
    let both = Both { dir, events: &events, ranges: &ranges, acked, key_of: &key_of, sampling };
    let Receipts { seen, accounting, sums: receipts } = both.read(&mut windows, &mut reading)?;
    let pulled = match dir.read_metrics()? {
        Kept::Whole(pulled) => Some(pulled),
        Kept::Missing => None,
        Kept::Damaged(reason) => {
            reading.lost(Source::Metrics, &format!("cannot be read ({reason})"));
            None
        }
    };
    let compared = Compared {
        dir,
        events: &events,
        end: &timeline.end,
        ranges: &ranges,
        sends: &sends,
        intervals: &intervals,
        seconds: &seconds,
        collects: environment.existing.as_ref().map_or(plan.existing.is_none(), |existing| existing.receipts),
        has_receipts: !seen.index.is_empty(),
    };
    compared.check(&mut reading);
    let gaps = reading.gaps;
    let files =
        Files { header, environment, plan, events, sends, intervals, seconds, receipts, pulled, gaps };
    Ok((files, timeline, windows, (seen, accounting)))
}

/// What stood, or, where that is not told, what the plan asks for.
fn environment(
    dir: &RunDir,
    header: &RunHeader,
    plan: &Plan,
    reading: &mut Reading<'_>,
) -> Result<EnvironmentInfo, EvidenceError> {
    match dir.read_environment()? {
        Kept::Whole(environment) => return Ok(environment),
        Kept::Missing => reading.lost(Source::Environment, "is missing"),
        Kept::Damaged(reason) => {
            reading.lost(Source::Environment, &format!("cannot be read ({reason})"));
        }
    }
    Ok(planned_environment(header, plan))
}

/// What the figures of a test with unusual arrivals or keys must not be read without.
fn shapes(tests: &[&plan::Test], timeline: &Timeline) -> Vec<String> {
    let planned = timeline.planned();
    let began: BTreeSet<usize> = planned.iter().map(|(_, _, test)| *test).collect();
    let note = |index: usize| {
        let test = tests.get(index)?;
        Some(format!("test {}: {}", test.id, test.shape()?))
    };
    began.into_iter().filter_map(note).collect()
}

/// For each test: how its keys are picked, and the number of its first. Tests may pick their keys differently, but
/// an index names the same key, in the same shard, in all that leave the shard to the key's hash. Where keys take
/// turns each test chooses the shards anew, and there is no order between shards: so its keys are its own.
fn pickers(tests: &[&plan::Test], rooms: &Rooms<'_>) -> Vec<(u32, Picker)> {
    let is_own = |keys: &plan::Keys| keys.distribution == plan::KeyDistribution::RoundRobin;
    let shared = tests.iter().filter(|test| !is_own(&test.keys)).map(|test| test.keys.count).max();
    let mut next = shared.unwrap_or(0);
    let picker = |test: &&plan::Test| {
        let picker = (rooms.picker)(&test.keys);
        if !is_own(&test.keys) {
            return (0, picker);
        }
        let first = next;
        next += test.keys.count;
        (first, picker)
    };
    tests.iter().map(picker).collect()
}

fn probes_acked(events: &[Logged]) -> u64 {
    let acked = |logged: &Logged| match &logged.event {
        Event::Ready { probes_acked } => Some(*probes_acked),
        _ => None,
    };
    events.iter().find_map(acked).unwrap_or(0)
}

fn planned_environment(header: &RunHeader, plan: &Plan) -> EnvironmentInfo {
    let (stream, function) = (&plan.environment.stream, &plan.environment.function);
    EnvironmentInfo {
        name: header.environment.clone(),
        stream_mode: match stream.mode {
            plan::StreamMode::Provisioned => "provisioned",
            plan::StreamMode::OnDemand => "on-demand",
        }
        .to_owned(),
        shards: stream.shards,
        retention_hours: stream.retention_hours,
        architecture: match function.architecture {
            Some(plan::Architecture::X86_64) => "x86_64",
            Some(plan::Architecture::Arm64) => "arm64",
            None => "",
        }
        .to_owned(),
        memory_mb: function.memory_mb,
        timeout_s: function.timeout_s,
        batch_size: function.batch_size,
        batch_window_s: function.batch_window_s,
        parallelization: function.parallelization,
        retries: function.retries,
        bisect_on_error: function.bisect_on_error,
        concurrency_limit: function.reserved_concurrency,
        ..EnvironmentInfo::default()
    }
}

fn run_info(header: &RunHeader, timeline: &Timeline) -> RunInfo {
    RunInfo {
        id: header.id.to_string(),
        tool_version: header.tool_version.clone(),
        target: header.target.clone(),
        region: header.region.clone(),
        host: header.host.clone(),
        started_us: header.started_us,
        ended_us: timeline.ended_us,
        end: timeline.end.clone(),
        rehearsal: header.rehearsal,
        assumptions: header.assumptions.clone(),
        faults: header.faults.clone(),
        generator_peak_mb: timeline.generator_peak_mb,
    }
}

fn cloudwatch(pulled: Option<&Pulled>, gaps: &Gaps) -> CloudWatch {
    let unsettled = match (pulled, gaps.reason(Source::Metrics)) {
        (Some(pulled), _) => {
            return CloudWatch {
                series: pulled.series.clone(),
                unsettled: pulled.unsettled.clone(),
                metrics_requested: pulled.metrics_requested,
            };
        }
        (None, Some(reason)) => reason.to_owned(),
        (None, None) => "metrics have not been pulled: there is no metrics.json".to_owned(),
    };
    CloudWatch { unsettled: Some(unsettled), ..CloudWatch::default() }
}

/// Looking up missing records, or those that a message of the on-failure queue is about, reads the stream.
fn re_reads(event: &Event) -> bool {
    match event {
        Event::Confirmed { absent, present, expired, .. } => {
            [absent, present, expired].into_iter().any(|ranges| !ranges.is_empty())
        }
        Event::DeadLettered { ranges, .. } => !ranges.is_empty(),
        _ => false,
    }
}

fn flags(files: &Files, timeline: &Timeline, notes: &mut Vec<String>) -> Vec<FlagRaised> {
    let mut raised = Vec::new();
    for logged in &files.events {
        let Event::Flag { flag, level, detail, stopped } = &logged.event else { continue };
        match super::events::flag_of(flag) {
            Some(flag) => raised.push(FlagRaised {
                flag,
                at_us: logged.at_us,
                level: *level,
                detail: detail.clone(),
                stopped: *stopped,
                confirmation: confirmation::confirm(files, timeline, flag, *level),
            }),
            None => {
                notes.push(format!("a flag '{flag}' was raised that this version does not know: {detail}"))
            }
        }
    }
    raised
}

fn note_events(files: &Files, notes: &mut Vec<String>) {
    for logged in &files.events {
        match &logged.event {
            Event::Error { what, detail } => notes.push(format!("{what}: {detail}")),
            Event::Note { text } => notes.push(text.clone()),
            Event::Confirmed { incomplete: Some(reason), .. } => {
                notes.push(format!("missing records could not all be looked up: {reason}"));
            }
            _ => {}
        }
    }
    if let Some(pulled) = &files.pulled {
        notes.extend(pulled.notes.iter().cloned());
    }
}

/// A histogram of microseconds as milliseconds; `None` when nothing was recorded.
fn dist(histogram: &Histogram<u64>) -> Option<Dist> {
    if histogram.is_empty() {
        return None;
    }
    let ms = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
    Some(Dist {
        count: histogram.len(),
        avg: histogram.mean() / 1e3,
        p50: ms(0.5),
        p95: ms(0.95),
        p99: ms(0.99),
        p999: ms(0.999),
        max: histogram.max() as f64 / 1e3,
    })
}
