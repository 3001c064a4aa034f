//! `plan check`, `plan show`.

use crate::cli::out::say;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::cli::args::{Format, Global, PlanVerb, TargetArg};
use crate::cli::exit::{CliError, Exit};
use crate::cli::input;
use crate::cli::overview::Overview;
use crate::cli::shown_plan;
use crate::load::schedule::Schedule;
use crate::plan::{Metric, Plan, PutMode, Stage, StageKind, StreamMode, Test};

/// Two whole minutes lie inside, wherever it starts. AWS/Lambda and AWS/Kinesis metrics are of one minute each.
const CLOUDWATCH_HOLD_MIN: Duration = Duration::from_secs(180);

pub fn run(global: &Global, verb: &PlanVerb) -> Result<Exit, CliError> {
    match verb {
        PlanVerb::Check(args) => check(global, &args.plan),
        PlanVerb::Show(args) => show(global, &args.plan),
    }
}

fn check(global: &Global, path: &Path) -> Result<Exit, CliError> {
    let plan = input::plan(path)?;
    let (tests, records, seconds) = totals(&plan);
    if global.target == TargetArg::Aws {
        for warning in short_holds(&plan) {
            eprintln!("warning: {warning}");
        }
    }
    match global.format {
        Format::Json => {
            say!("{}", json!({"plan": plan.name, "tests": tests, "records": records, "duration_s": seconds}))
        }
        Format::Human => {
            say!("{}: ok: {tests} tests, {}, {}", path.display(), shown(&plan, records), duration(seconds))
        }
    }
    Ok(Exit::Done)
}

/// Holds too short for CloudWatch's one-minute metrics, in tests with a criterion that only those can judge.
fn short_holds(plan: &Plan) -> Vec<String> {
    let mut found = Vec::new();
    for test in plan.tests() {
        let needs = |metric| {
            matches!(
                metric,
                Metric::ReadThrottles | Metric::LambdaThrottles | Metric::LambdaErrors | Metric::DlqDepth
            )
        };
        let Some(criterion) = test.criteria.iter().find(|criterion| needs(criterion.metric)) else {
            continue;
        };
        let is_short = |stage: &&Stage| stage.kind == StageKind::Hold && stage.duration < CLOUDWATCH_HOLD_MIN;
        for stage in test.stages.iter().filter(is_short) {
            found.push(format!(
                "test {}: the hold at {}/s lasts {}; `{}` is judged by CloudWatch's whole minutes: hold for {}",
                test.id,
                stage.target_rps,
                duration(stage.duration.as_secs_f64()),
                criterion.text,
                duration(CLOUDWATCH_HOLD_MIN.as_secs_f64())
            ));
        }
    }
    found
}

fn totals(plan: &Plan) -> (usize, u64, f64) {
    let records = plan.tests().map(|test| Schedule::new(test).total()).sum();
    let seconds = plan.tests().map(|test| test.duration().as_secs_f64()).sum();
    (plan.tests().count(), records, seconds)
}

/// Users send as many as the answers let them: then the number is the most that there can be.
fn shown(plan: &Plan, records: u64) -> String {
    let open = plan.tests().all(|test| test.users.is_none());
    if open { format!("{records} records") } else { format!("at most {records} records") }
}

fn show(global: &Global, path: &Path) -> Result<Exit, CliError> {
    let plan = input::plan(path)?;
    let book = shown_plan::book(global)?;
    let overview = Overview::new(&plan, &book, global.region.as_deref().unwrap_or(&book.region));
    match global.format {
        Format::Json => say!("{:#}", as_json(&plan, &overview)),
        Format::Human => {
            print_plan(&plan);
            crate::cli::out::print(format_args!("\n{}", overview.text()));
        }
    }
    Ok(Exit::Done)
}

fn as_json(plan: &Plan, overview: &Overview<'_>) -> serde_json::Value {
    let tests: Vec<serde_json::Value> = plan
        .tests()
        .map(|test| {
            let schedule = Schedule::new(test);
            let levels: Vec<serde_json::Value> = schedule
                .levels()
                .iter()
                .map(|level| {
                    json!({
                        "kind": level.kind.as_str(), "users": level.users,
                        "from_rps": level.users.is_none().then_some(level.from_rps),
                        "target_rps": level.users.is_none().then_some(level.target_rps),
                        "start_s": level.start.as_secs_f64(), "duration_s": level.duration.as_secs_f64(), "records": level.count,
                    })
                })
                .collect();
            let of_test = overview.test_document(&test.id);
            json!({
                "id": test.id, "name": test.name, "week": of_test["week"], "payload": test.payload.name,
                "bytes": test.payload.bytes, "records": schedule.total(), "data_bytes": of_test["data_bytes"],
                "duration_s": test.duration().as_secs_f64(), "peak_rps": test.peak_rps(),
                "shards_needed": of_test["shards_needed"], "forecast_usd": of_test["forecast_usd"],
                "records_are_at_most": test.users.is_some(),
                "arrivals": test.arrivals.to_string(), "keys": test.keys.to_string(), "levels": levels,
            })
        })
        .collect();
    let sums = overview.document();
    json!({
        "plan": plan.name, "hash": plan.hash, "tests": tests, "weeks": sums["weeks"], "total": sums["total"],
    })
}

fn print_plan(plan: &Plan) {
    if plan.existing.is_some() {
        say!("{}: on a pipeline that stands already", plan.name);
    } else {
        print_environment(plan);
    }
    for phase in &plan.phases {
        say!("\nWeek {}: {}", phase.week, phase.name);
        for test in &phase.tests {
            print_test(test);
        }
    }
}

fn print_environment(plan: &Plan) {
    let stream = &plan.environment.stream;
    let function = &plan.environment.function;
    let shards = match stream.mode {
        StreamMode::Provisioned => {
            format!("{} shard{}", stream.shards, if stream.shards == 1 { "" } else { "s" })
        }
        StreamMode::OnDemand => "on demand".to_owned(),
    };
    say!(
        "{}: stream {shards}; function {} MB, timeout {} s, batches of {}, window {} s, parallelization {}",
        plan.name,
        function.memory_mb,
        function.timeout_s,
        function.batch_size,
        function.batch_window_s,
        function.parallelization
    );
}

fn print_test(test: &Test) {
    let schedule = Schedule::new(test);
    let put = match test.put {
        PutMode::Record => "PutRecord",
        PutMode::Batch => "PutRecords",
    };
    say!(
        "\n{} {}: {} ({}) by {put}, {} in {}",
        test.id,
        test.name,
        test.payload.name,
        test.payload.size_text(),
        test.load_text(schedule.total()),
        duration(test.duration().as_secs_f64())
    );
    if let Some(shape) = test.shape() {
        say!("  {shape}");
    }
    let mut table = crate::cli::table(if test.users.is_some() {
        ["level", "from users", "to users", "starts", "lasts", "records, at most"]
    } else {
        ["level", "from/s", "to/s", "starts", "lasts", "records"]
    });
    for level in schedule.levels() {
        let (from, to) = match level.users {
            Some((from, to)) => (from.to_string(), to.to_string()),
            None => (level.from_rps.to_string(), level.target_rps.to_string()),
        };
        table.add_row([
            level.kind.as_str().to_owned(),
            from,
            to,
            duration(level.start.as_secs_f64()),
            duration(level.duration.as_secs_f64()),
            level.count.to_string(),
        ]);
    }
    say!("{table}");
    for criterion in &test.criteria {
        say!("  must hold: {}", criterion.text);
    }
}

/// `1 h 5 m`, `2 m 30 s`, `12 s`, `0.5 s`.
pub fn duration(seconds: f64) -> String {
    let whole = Duration::from_secs_f64(seconds.max(0.0)).as_secs();
    let (hours, minutes, rest) = (whole / 3600, whole / 60 % 60, whole % 60);
    match (hours, minutes, rest) {
        (0, 0, _) if seconds.fract() != 0.0 => format!("{seconds:.1} s"),
        (0, 0, s) => format!("{s} s"),
        (0, m, 0) => format!("{m} m"),
        (0, m, s) => format!("{m} m {s} s"),
        (h, 0, _) => format!("{h} h"),
        (h, m, _) => format!("{h} h {m} m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_holds_are_named_where_cloudwatch_must_judge_them() {
        let text = include_str!("../../../plans/quickstart-aws.yaml");
        let warnings = |text: &str| short_holds(&crate::plan::parse(text).expect("a valid plan"));
        assert_eq!(warnings(text), Vec::<String>::new());
        let short = text.replacen("3m, target: 200", "2m, target: 200", 1);
        let found = warnings(&short);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].contains("at 200/s lasts 2 m") && found[0].contains("lambda_throttles"),
            "{found:?}"
        );
        let without = short.replace("          - lambda_throttles", "          # - lambda_throttles");
        assert_eq!(warnings(&without), Vec::<String>::new());
    }

    #[test]
    fn durations_read_as_a_person_would_say_them() {
        for (seconds, text) in
            [(0.5, "0.5 s"), (12.0, "12 s"), (150.0, "2 m 30 s"), (3600.0, "1 h"), (98_520.0, "27 h 22 m")]
        {
            assert_eq!(duration(seconds), text);
        }
    }
}
