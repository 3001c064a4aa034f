//! Evidence, cost, verdicts and findings joined into the one model.

use rust_decimal::Decimal;

use crate::cost::{self, Cost, ForecastAssumptions, Line, Lines, PriceBook};
use crate::evidence::gaps::Source;
use crate::evidence::model::*;
use crate::verdict::{self, CriterionVerdict, Finding, Findings, TestVerdict, Verdicts};

use super::actions;
use super::blocked;
use super::breaking_point;
use super::charts::TestCharts;
use super::closed_loop;
use super::existing;
use super::model::*;
use super::summary;
use super::text::{self, rounded};

/// The report of a run.
pub fn build(evidence: &Evidence, cost: &Cost, verdicts: &Verdicts, findings: &Findings) -> ReportModel {
    let mut model = ReportModel {
        schema: SCHEMA.to_owned(),
        run: run(evidence, verdicts),
        summary: Vec::new(),
        environment: EnvironmentReport {
            existing: existing::report(evidence),
            ..environment(&evidence.environment)
        },
        tests: evidence
            .tests
            .iter()
            .zip(&verdicts.tests)
            .map(|(test, verdict)| TestReport {
                breaking_point: breaking_point::report(evidence, test, &findings.list),
                ..test_report(evidence, &cost.book, test, verdict)
            })
            .collect(),
        criteria: verdicts.run.iter().map(criterion).collect(),
        delivery: delivery(&evidence.delivery),
        cost: cost_report(evidence, cost),
        findings: findings.list.iter().map(finding).collect(),
        known_up_to_rps: findings.known_up_to.as_ref().and_then(|known| rounded(known.rps)),
        known_up_to: findings.known_up_to.as_ref().map(|known| known.text.clone()),
        flags: evidence.flags.iter().map(|flag| flag_report(evidence, flag)).collect(),
        notes: notes(evidence),
    };
    model.summary = summary::sentences(&model);
    model
}

/// Prices, judges and reports in one go.
pub fn of(evidence: &Evidence, book: &PriceBook) -> ReportModel {
    let cost = cost::price(&evidence.usage, book);
    let verdicts = verdict::judge(evidence, &cost);
    let findings = verdict::findings(evidence, book, &verdicts);
    build(evidence, &cost, &verdicts, &findings)
}

fn run(evidence: &Evidence, verdicts: &Verdicts) -> RunReport {
    let run = &evidence.run;
    RunReport {
        id: run.id.clone(),
        plan: evidence.plan.name.clone(),
        plan_hash: evidence.plan.hash.clone(),
        target: run.target.clone(),
        region: run.region.clone(),
        host: run.host.clone(),
        tool_version: run.tool_version.clone(),
        started_at: text::time(run.started_us),
        ended_at: run.ended_us.map(text::time),
        end: match &run.end {
            RunEnd::Completed => "completed".to_owned(),
            RunEnd::Stopped(reason) => format!("stopped: {reason}"),
            RunEnd::Killed => "killed".to_owned(),
        },
        rehearsal: run.rehearsal,
        assumptions: run.assumptions.clone(),
        faults: run.faults.clone(),
        verdict: verdicts.overall,
        generator_peak_mb: run.generator_peak_mb.and_then(rounded),
    }
}

fn environment(info: &EnvironmentInfo) -> EnvironmentReport {
    EnvironmentReport {
        name: info.name.clone(),
        account: info.account.clone(),
        stream: StreamReport {
            name: info.stream_name.clone(),
            mode: info.stream_mode.clone(),
            shards: info.shards,
            retention_hours: info.retention_hours,
        },
        function: FunctionReport {
            name: info.function_name.clone(),
            architecture: info.architecture.clone(),
            memory_mb: info.memory_mb,
            timeout_s: info.timeout_s,
            batch_size: info.batch_size,
            batch_window_s: info.batch_window_s,
            parallelization: info.parallelization,
            retries: info.retries,
            bisect_on_error: info.bisect_on_error,
            concurrency_limit: info.concurrency_limit,
        },
        alarms: info.alarms,
        dashboards: info.dashboards,
        existing: None,
    }
}

fn test_report(
    evidence: &Evidence,
    book: &PriceBook,
    test: &TestEvidence,
    verdict: &TestVerdict,
) -> TestReport {
    let judged: Vec<u32> = verdict::judged_levels(test).iter().map(|level| level.index).collect();
    TestReport {
        id: test.id.clone(),
        name: test.name.clone(),
        verdict: verdict.verdict,
        payload: PayloadReport { name: test.payload.name.clone(), bytes: test.payload.bytes as u64 },
        started_at: test.started_us.map(text::time),
        ended_at: test.ended_us.map(text::time),
        finished: test.finished,
        drain_s: test.drain_s.and_then(rounded),
        criteria: verdict.criteria.iter().map(criterion).collect(),
        levels: test
            .levels
            .iter()
            .map(|level| level_report(evidence, book, test, level, judged.contains(&level.index)))
            .collect(),
        actions: actions::report(test, evidence),
        breaking_point: None,
        blocked: test.blocked.as_ref().map(blocked::report),
        closed_loop: closed_loop::sentences(
            test,
            evidence.plan.tests().nth(test.plan_index).and_then(|planned| planned.users.as_ref()),
        ),
        cloudwatch: test
            .cloudwatch
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), rounded(*value)?)))
            .collect(),
        charts: TestCharts::new(evidence, test),
    }
}

fn level_report(
    evidence: &Evidence,
    book: &PriceBook,
    test: &TestEvidence,
    level: &LevelEvidence,
    judged: bool,
) -> LevelReport {
    let started = level.started_us.is_some();
    let open_loop = |rps| rounded(rps).filter(|_| level.users.is_none());
    let cost = cost::level_per_million(&evidence.usage, level, test.payload.bytes, book);
    // What was not measured is no zero.
    let is_sends_lost = evidence.gaps.is_lost(Source::Sends);
    let counted = |records: u64| (!is_sends_lost).then_some(records);
    let has_receipts = evidence.delivery.measured || evidence.receipts > 0;
    let received = |number: u64| has_receipts.then_some(number);
    LevelReport {
        name: level.name.clone(),
        kind: level.kind.as_str().to_owned(),
        users: level.users.map(|(from, target)| UsersReport { from, target }),
        from_rps: open_loop(level.from_rps),
        target_rps: open_loop(level.target_rps),
        achieved_rps: rounded(level.achieved_rps).filter(|_| started && !is_sends_lost),
        started_at: level.started_us.map(text::time),
        duration_s: rounded(level.planned_s).unwrap_or(0.0),
        finished: level.finished,
        judged,
        scheduled: counted(level.scheduled),
        sent: counted(level.sent),
        acked: counted(level.acked),
        failed: counted(level.failed),
        failed_by_reason: level.failed_by_reason.clone(),
        throttled: counted(level.throttled),
        retried: counted(level.retried),
        success_percent: (level.sent > 0)
            .then(|| level.acked as f64 / level.sent as f64 * 100.0)
            .and_then(rounded),
        void: level.void.clone(),
        in_flight_limited: counted(level.in_flight_limited),
        generator_lag_ms: level.generator_lag.map(dist),
        put_latency_ms: level.put_latency.map(dist),
        service_time_ms: level.service_time.map(dist),
        e2e_latency_ms: level.e2e.map(|e2e| e2e_report(e2e, level.clock_error_ms)),
        stages_ms: StagesReport {
            put: level.stage_put.map(dist),
            stream: level.stage_stream.map(dist),
            function: level.stage_function.map(dist),
            sink: level.stage_sink.map(dist),
        },
        iterator_age_ms_max: level.iterator_age_max_ms.and_then(rounded),
        invocations: received(level.invocations),
        records_per_invocation: level.records_per_invocation.and_then(rounded),
        cold_starts: received(level.cold_starts),
        memory_used_mb_max: level.memory_used_mb_max,
        delivery: level_delivery(&evidence.delivery, level).filter(|_| started),
        cost_per_million: cost.map(Exact),
        cloudwatch: level.cloudwatch.iter().map(|(key, value)| (key.clone(), cloudwatch(value))).collect(),
    }
}

fn cloudwatch(value: &Result<f64, String>) -> CloudWatchValue {
    match value {
        Ok(value) => CloudWatchValue { value: rounded(*value), reason: None },
        Err(reason) => CloudWatchValue { value: None, reason: Some(reason.clone()) },
    }
}

pub(super) fn dist(dist: Dist) -> DistReport {
    let r = |value| rounded(value).unwrap_or(0.0);
    DistReport {
        count: dist.count,
        avg: r(dist.avg),
        p50: r(dist.p50),
        p95: r(dist.p95),
        p99: r(dist.p99),
        p999: r(dist.p999),
        max: r(dist.max),
    }
}

fn e2e_report(e2e: Dist, clock_error_ms: Option<f64>) -> E2eReport {
    let DistReport { count, avg, p50, p95, p99, p999, max } = dist(e2e);
    let clock_error_ms = clock_error_ms.and_then(rounded);
    E2eReport { count, avg, p50, p95, p99, p999, max, clock_error_ms }
}

fn criterion(criterion: &CriterionVerdict) -> CriterionReport {
    CriterionReport {
        text: criterion.text.clone(),
        verdict: criterion.verdict,
        observed: criterion.observed.and_then(rounded),
        interval: criterion.interval.and_then(|(low, high)| Some([rounded(low)?, rounded(high)?])),
        threshold: rounded(criterion.threshold).unwrap_or(0.0),
        unit: criterion.unit.as_str().to_owned(),
        reason: criterion.reason.clone(),
        level: criterion.level.clone(),
    }
}

fn delivery(delivery: &Delivery) -> Option<DeliveryReport> {
    delivery.measured.then(|| DeliveryReport {
        complete: delivery.complete,
        acked: delivery.acked,
        delivered: delivery.delivered,
        lost: delivery.lost.filter(|_| delivery.complete),
        expired: delivery.expired,
        unconfirmed: delivery.unconfirmed,
        delivered_unacked: delivery.delivered_unacked,
        duplicated: DuplicatedReport {
            producer: delivery.duplicated_producer,
            redelivery: delivery.duplicated_redelivery,
        },
        out_of_order: delivery.out_of_order,
        reordered_by_producer: delivery.reordered_by_producer,
        dead_lettered: delivery.dead_lettered,
    })
}

fn level_delivery(whole: &Delivery, level: &LevelEvidence) -> Option<DeliveryReport> {
    let part = &level.delivery;
    whole.measured.then(|| DeliveryReport {
        complete: whole.complete,
        acked: part.acked,
        delivered: part.delivered,
        lost: part.lost.filter(|_| whole.complete),
        expired: part.expired,
        unconfirmed: part.unconfirmed,
        delivered_unacked: part.delivered_unacked,
        duplicated: DuplicatedReport {
            producer: part.duplicated_producer,
            redelivery: part.duplicated_redelivery,
        },
        out_of_order: part.out_of_order,
        reordered_by_producer: part.reordered_by_producer,
        dead_lettered: part.dead_lettered,
    })
}

fn cost_report(evidence: &Evidence, cost: &Cost) -> CostReport {
    let expected = cost::forecast(&evidence.plan, &evidence.usage.region, &ForecastAssumptions::default());
    let forecast = cost::price(&expected, &cost.book);
    CostReport {
        currency: cost.book.currency.clone(),
        prices_as_of: cost.book.as_of.clone(),
        pipeline: PipelineCostReport {
            lines: cost.pipeline.lines.iter().map(line).collect(),
            total: Exact(cost.pipeline.total),
            incomplete: cost.pipeline.incomplete,
            per_million_records: cost.per_million_records.map(Exact),
        },
        test: lines(&cost.test),
        forecast: ForecastReport {
            pipeline_total: Exact(forecast.pipeline.total),
            test_total: Exact(forecast.test.total),
            incomplete: forecast.pipeline.incomplete || forecast.test.incomplete,
            per_million_records: forecast.per_million_records.map(Exact),
            assumptions: expected.assumptions,
        },
        assumptions: evidence.usage.assumptions.clone(),
    }
}

fn lines(lines: &Lines) -> LinesReport {
    LinesReport {
        lines: lines.lines.iter().map(line).collect(),
        total: Exact(lines.total),
        incomplete: lines.incomplete,
    }
}

fn line(line: &Line) -> LineReport {
    LineReport {
        service: line.service.clone(),
        item: line.item.clone(),
        quantity: Exact(line.quantity),
        unit: line.unit.clone(),
        unit_price: line.unit_price.map(Exact),
        amount: line.amount.map(Exact),
        basis: line.basis.clone(),
    }
}

fn finding(finding: &Finding) -> FindingReport {
    FindingReport {
        limit: finding.limit.as_str().to_owned(),
        from_rps: finding.from_rps.and_then(rounded),
        at: finding.at_us.map(text::time),
        evidence: finding
            .evidence
            .iter()
            .map(|item| EvidenceReport {
                metric: item.metric.clone(),
                at: item.at_us.map(text::time),
                value: rounded(item.value).unwrap_or(0.0),
                unit: item.unit.to_owned(),
                level: item.level.clone(),
            })
            .collect(),
        change: finding.change.map(|change| change.to_string()),
        monthly_cost_of_change: finding.monthly_cost_of_change.map(|cost: Decimal| Exact(cost)),
        explanation: finding.explanation.clone(),
    }
}

fn flag_report(evidence: &Evidence, raised: &FlagRaised) -> FlagReport {
    let level = raised.level.and_then(|index| {
        evidence.tests.iter().find_map(|test| {
            let level = test.levels.iter().find(|level| level.index == index)?;
            Some(format!("{} / {}", test.id, level.name))
        })
    });
    FlagReport {
        flag: text::flag(raised.flag).to_owned(),
        at: text::time(raised.at_us),
        level,
        detail: raised.detail.clone(),
        stopped: raised.stopped,
        confirmed: raised.confirmation.confirmed,
        confirmed_by: raised.confirmation.metric.map(str::to_owned),
        confirmed_value: raised.confirmation.value.and_then(rounded),
        confirmed_unit: raised.confirmation.unit.to_owned(),
    }
}

fn notes(evidence: &Evidence) -> Vec<String> {
    let mut notes = evidence.notes.clone();
    if evidence.environment.alarms == 0 && evidence.environment.dashboards == 0 {
        notes.push("no alarms and no dashboard stood during the run".to_owned());
    }
    if let Some(reason) = &evidence.cloudwatch.unsettled {
        notes.push(format!("CloudWatch had not settled: {reason}"));
    }
    if evidence.delivery.unreadable_receipts > 0 {
        let unreadable = text::plural(evidence.delivery.unreadable_receipts, "receipt");
        notes.push(format!("{unreadable} could not be read"));
    }
    notes
}
