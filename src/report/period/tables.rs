//! The tables of a period report, the same in Markdown, HTML and on the terminal.

use crate::report::model::{Exact, LevelReport};
use crate::report::text::{NONE, count, in_unit, number, observed, or_none, percent, rate, usd};

use super::advice::cost_text;
use super::complete::{Complete, Earlier, MoneyPair, Pair, Production, Projections};
use super::document::Table;
use super::model::*;

fn table(header: &[&'static str], left: usize, wide: &[usize], rows: Vec<Vec<String>>) -> Table {
    Table { header: header.to_vec(), left, rows, wide: wide.to_vec() }
}

fn some(text: Option<&String>) -> String {
    text.cloned().unwrap_or_else(|| NONE.to_owned())
}

fn ms(value: Option<f64>) -> String {
    or_none(value, number)
}

/// One row a test: the worst of its judged levels.
pub(crate) fn tests(model: &PeriodModel) -> Table {
    let header = [
        "test",
        "name",
        "state",
        "verdict",
        "run",
        "rate/s",
        "put p95 ms",
        "e2e p95 ms",
        "success",
        "iterator age ms",
        "USD a million",
        "cost USD",
    ];
    let row = |test: &PeriodTest| {
        let figures = &test.figures;
        vec![
            test.id.clone(),
            test.name.clone(),
            test.state.to_string(),
            or_none(test.verdict, |verdict| verdict.to_string()),
            some(test.run.as_ref()),
            or_none(figures.achieved_rps, rate),
            ms(figures.put_p95_ms),
            ms(figures.e2e_p95_ms),
            or_none(figures.success_percent, percent),
            ms(figures.iterator_age_ms_max),
            or_none(figures.cost_per_million, usd),
            or_none(test.cost, usd),
        ]
    };
    table(&header, 5, &[], model.tests.iter().map(row).collect())
}

/// One row a level that offered load: what it costs and how it went.
pub(crate) fn levels(model: &PeriodModel) -> Table {
    let header = [
        "test",
        "level",
        "payload",
        "target/s",
        "achieved/s",
        "put p95 ms",
        "e2e p95 ms",
        "success",
        "iterator age ms",
        "USD a million",
    ];
    let mut rows = Vec::new();
    for report in model.tests.iter().filter_map(|test| test.report.as_ref()) {
        for level in report.levels.iter().filter(|level| level.sent != Some(0)) {
            rows.push(vec![
                report.id.clone(),
                level_name(level),
                report.payload.name.clone(),
                or_none(level.target_rps, rate),
                or_none(level.achieved_rps, rate),
                ms(level.put_latency_ms.map(|put| put.p95)),
                ms(level.e2e_latency_ms.map(|e2e| e2e.p95)),
                or_none(level.success_percent, percent),
                ms(level.iterator_age_ms_max),
                or_none(level.cost_per_million, usd),
            ]);
        }
    }
    table(&header, 3, &[], rows)
}

fn level_name(level: &LevelReport) -> String {
    let remark = match (&level.void, level.finished, level.judged) {
        (Some(_), _, _) => " (void)",
        (None, false, _) => " (unfinished)",
        (None, true, false) => " (not judged)",
        (None, true, true) => "",
    };
    format!("{}{remark}", level.name)
}

pub(crate) fn observations(model: &PeriodModel) -> Table {
    let row = |seen: &Observation| {
        let kind = seen.kind.replace('_', " ");
        vec![some(seen.at.as_ref()), some(seen.test.as_ref()), kind, seen.text.clone()]
    };
    table(&["at", "test", "what", "observed"], 4, &[3], model.observations.iter().map(row).collect())
}

pub(crate) fn issues(model: &PeriodModel) -> Table {
    let row = |issue: &Issue| {
        let level = some(issue.level.as_ref());
        vec![issue.test.clone(), level, issue.what.clone(), or_none(issue.count, count), issue.detail.clone()]
    };
    table(&["test", "level", "what", "count", "detail"], 3, &[4], model.issues.iter().map(row).collect())
}

pub(crate) fn bottlenecks(model: &PeriodModel) -> Table {
    let row = |found: &Bottleneck| {
        let tests = if found.tests.is_empty() { NONE.to_owned() } else { found.tests.join(", ") };
        vec![
            found.limit.clone(),
            tests,
            or_none(found.from_rps, rate),
            some(found.at.as_ref()),
            found.explanation.clone(),
        ]
    };
    let header = ["limit", "tests", "from records/s", "first seen", "explanation"];
    table(&header, 2, &[4], model.bottlenecks.iter().map(row).collect())
}

pub(crate) fn recommendations(model: &PeriodModel) -> Table {
    let row = |each: &Recommendation| {
        let tests = if each.tests.is_empty() { NONE.to_owned() } else { each.tests.join(", ") };
        let cost = cost_text(each.monthly_cost, model.cost.currency.as_deref());
        vec![each.change.clone(), each.limit.clone(), tests, or_none(each.from_rps, rate), cost]
    };
    let header = ["change", "moves", "tests", "from records/s", "cost"];
    table(&header, 3, &[], model.recommendations.iter().map(row).collect())
}

pub(crate) fn next(model: &PeriodModel) -> Table {
    let row = |next: &NextTest| {
        vec![
            next.id.clone(),
            next.name.clone(),
            next.week.to_string(),
            next.why.clone(),
            next.command.clone(),
        ]
    };
    table(&["test", "name", "week", "why", "command"], 5, &[3], model.next.iter().map(row).collect())
}

pub(crate) fn runs(model: &PeriodModel) -> Table {
    let header = [
        "run",
        "started",
        "end",
        "tests",
        "of them here",
        "criteria on the run",
        "pipeline USD",
        "measuring USD",
    ];
    let row = |run: &PeriodRun| {
        let bound =
            |amount: Exact| format!("{}{}", if run.incomplete { "at least " } else { "" }, usd(amount));
        let criteria: Vec<String> =
            run.criteria.iter().map(|each| format!("{}: {}", each.text, each.verdict)).collect();
        let not_counted = if run.counted || criteria.is_empty() { "" } else { " (not counted here)" };
        vec![
            run.id.clone(),
            run.started_at.clone(),
            run.end.clone(),
            run.tests.join(", "),
            run.tests_here.join(", "),
            if criteria.is_empty() { NONE.to_owned() } else { criteria.join("; ") + not_counted },
            bound(run.pipeline_total),
            bound(run.test_total),
        ]
    };
    table(&header, 6, &[5], model.runs.iter().map(row).collect())
}

pub(crate) fn stability(complete: &Complete) -> Table {
    let rows = complete.stability.iter().map(|each| {
        let criterion = &each.criterion;
        let interval = or_none(criterion.interval, |[low, high]| {
            format!("{} to {}", in_unit(low, &criterion.unit), in_unit(high, &criterion.unit))
        });
        vec![
            each.test.clone(),
            criterion.text.clone(),
            criterion.verdict.to_string(),
            observed(criterion),
            interval,
            criterion.reason.clone(),
        ]
    });
    table(&["test", "criterion", "verdict", "observed", "95 % interval", "reason"], 3, &[5], rows.collect())
}

pub(crate) fn projections(projections: &Projections) -> Table {
    let header = [
        "mode",
        "measured on",
        "records/s",
        "shards",
        "USD a month",
        "USD a million",
        "on-demand is cheaper below records/s",
    ];
    let rows = projections.rows.iter().map(|row| {
        let basis = projections.basis.iter().find(|basis| basis.rate_per_s == row.rate_per_s);
        let at_least = if row.incomplete { "at least " } else { "" };
        let even = match (row.shards, row.on_demand_below_per_s) {
            (None, _) => NONE.to_owned(),
            (Some(_), None) => "never".to_owned(),
            (Some(_), Some(below)) => below.0.to_string(),
        };
        vec![
            row.mode.clone(),
            basis.map_or_else(|| NONE.to_owned(), |basis| basis.level.clone()),
            count(row.rate_per_s.into()),
            or_none(row.shards, |shards| count(shards.into())),
            format!("{at_least}{}", usd(row.monthly)),
            or_none(row.per_million, usd),
            even,
        ]
    });
    table(&header, 2, &[], rows.collect())
}

pub(crate) fn settings(production: &Production) -> Table {
    let rows = production.settings.iter().map(|setting| {
        vec![
            setting.name.clone(),
            some(setting.now.as_ref()),
            setting.recommended.clone(),
            setting.why.clone().unwrap_or_else(|| "as measured".to_owned()),
        ]
    });
    table(&["setting", "as measured", "recommended", "why"], 4, &[3], rows.collect())
}

pub(crate) fn earlier(earlier: &Earlier) -> Table {
    let header = [
        "test",
        "defined",
        "run then",
        "run now",
        "put p95 ms then",
        "now",
        "change",
        "success then",
        "now",
        "change",
        "USD a million then",
        "now",
        "change",
    ];
    let change = |percent: Option<f64>| or_none(percent, |percent| format!("{percent:+.1} %"));
    let pair = |pair: &Pair, shown: fn(f64) -> String| {
        [or_none(pair.then, shown), or_none(pair.now, shown), change(pair.difference_percent)]
    };
    let money =
        |pair: &MoneyPair| [or_none(pair.then, usd), or_none(pair.now, usd), change(pair.difference_percent)];
    let rows = earlier.tests.iter().map(|test| {
        let defined = if test.same_definition { "alike" } else { "otherwise" };
        let mut row = vec![test.id.clone(), defined.to_owned(), test.then_run.clone(), test.now_run.clone()];
        row.extend(pair(&test.put_p95_ms, number));
        row.extend(pair(&test.success_percent, percent));
        row.extend(money(&test.cost_per_million));
        row
    });
    table(&header, 4, &[], rows.collect())
}
