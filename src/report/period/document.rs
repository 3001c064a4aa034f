//! A period report as a sequence of sections, so that Markdown and HTML say the same in the same order.

use crate::report::text::{NONE, or_none, percent, rate, usd};

use super::complete::ProfileCell;
use super::model::*;
use super::tables;

const BREAKING_POINT_NONE: &str = "No test shows one: none of their loads rose through several rates until something left its band. Limits that showed all the same \
     stand under Bottlenecks.";

/// One heading and what stands under it.
pub(crate) struct Section<'m> {
    pub title: &'static str,
    pub blocks: Vec<Block<'m>>,
}

pub(crate) enum Block<'m> {
    Text(String),
    List(Vec<String>),
    Table(Table),
    /// Charts of figures over the tests and their levels; their numbers are in a table too.
    Trends(&'m PeriodModel),
    /// A figure by payload and rate: `f64` tells the colour.
    Heat {
        title: &'static str,
        unit: &'static str,
        cells: &'m [ProfileCell],
        value: fn(&ProfileCell) -> Option<f64>,
    },
    /// Each test by itself, as in the report of a run.
    Tests(&'m [PeriodTest]),
}

/// Rows of text. The first `left` columns hold words, the others numbers; a `wide` one holds sentences.
pub(crate) struct Table {
    pub header: Vec<&'static str>,
    pub left: usize,
    pub rows: Vec<Vec<String>>,
    /// Index of the columns that hold sentences.
    pub wide: Vec<usize>,
}

/// All that the period has; what is empty is left out, except where its absence is a result.
pub(crate) fn sections(model: &PeriodModel) -> Vec<Section<'_>> {
    let mut sections = vec![Section { title: "Tests", blocks: vec![Block::Table(tables::tests(model))] }];
    match model.period.kind {
        Kind::Day => {
            sections.extend([observations(model), issues(model), recommendations(model)]);
            sections.extend([details(model), costs(model)]);
        }
        Kind::Week => {
            sections.extend([trends(model), bottlenecks(model), levels(model), recommendations(model)]);
            sections.extend([next(model), observations(model), issues(model), details(model), costs(model)]);
        }
        Kind::Campaign => {
            sections.extend(complete(model));
            sections.extend([trends(model), bottlenecks(model), levels(model), recommendations(model)]);
            sections.extend([next(model), observations(model), issues(model), details(model), costs(model)]);
        }
    }
    sections.push(Section { title: "Runs", blocks: vec![Block::Table(tables::runs(model))] });
    sections.push(Section { title: "Notes", blocks: vec![Block::List(model.notes.clone())] });
    sections.iter_mut().for_each(|section| section.blocks.retain(|block| !block.is_empty()));
    sections.retain(|section| !section.blocks.is_empty());
    sections
}

impl Block<'_> {
    fn is_empty(&self) -> bool {
        match self {
            Block::Text(text) => text.is_empty(),
            Block::List(items) => items.is_empty(),
            Block::Table(table) => table.rows.is_empty(),
            Block::Trends(model) => model.tests.iter().all(|test| test.report.is_none()),
            Block::Heat { cells, .. } => cells.is_empty(),
            Block::Tests(tests) => tests.iter().all(|test| test.report.is_none()),
        }
    }
}

/// A table, or in its place what its absence means.
fn or_text(table: Table, otherwise: &str) -> Block<'static> {
    if table.rows.is_empty() { Block::Text(otherwise.to_owned()) } else { Block::Table(table) }
}

fn observations(model: &PeriodModel) -> Section<'_> {
    let block = or_text(tables::observations(model), "Nothing was out of the ordinary.");
    Section { title: "Observations", blocks: vec![block] }
}

fn issues(model: &PeriodModel) -> Section<'_> {
    let block = or_text(tables::issues(model), "No errors, refusals or failures.");
    Section { title: "Issues", blocks: vec![block] }
}

fn recommendations(model: &PeriodModel) -> Section<'_> {
    let block = or_text(tables::recommendations(model), "No finding asks for a change.");
    Section { title: "Tuning recommendations", blocks: vec![block] }
}

fn bottlenecks(model: &PeriodModel) -> Section<'_> {
    let mut blocks =
        vec![or_text(tables::bottlenecks(model), "Nothing limited the pipeline in these tests.")];
    blocks.push(Block::List(
        model.known_up_to.iter().map(|known| format!("Run {}: {}", known.run, known.text)).collect(),
    ));
    Section { title: "Bottlenecks", blocks }
}

fn trends(model: &PeriodModel) -> Section<'_> {
    Section { title: "Trends", blocks: vec![Block::Trends(model)] }
}

fn levels(model: &PeriodModel) -> Section<'_> {
    Section { title: "Levels", blocks: vec![Block::Table(tables::levels(model))] }
}

fn next(model: &PeriodModel) -> Section<'_> {
    let block = or_text(tables::next(model), "Every test has a result that holds.");
    Section { title: "Next tests", blocks: vec![block] }
}

fn details(model: &PeriodModel) -> Section<'_> {
    Section { title: "Each test", blocks: vec![Block::Tests(&model.tests)] }
}

fn costs(model: &PeriodModel) -> Section<'_> {
    let cost = &model.cost;
    let currency = cost.currency.as_deref().unwrap_or_default();
    let of_tests = or_none(cost.of_tests, |total| format!("{currency} {}", usd(total)));
    let bound = if cost.incomplete { " These are lower bounds: some lines have no price." } else { "" };
    let text = cost.currency.as_ref().map_or_else(String::new, |_| {
        format!(
            "The runs cost {currency} {} through the pipeline and {currency} {} for the measuring, all their tests included. The \
             records of the tests above alone cost {of_tests} through the pipeline.{bound}",
            usd(cost.pipeline_total),
            usd(cost.test_total)
        )
    });
    Section { title: "Cost", blocks: vec![Block::Text(text)] }
}

fn complete(model: &PeriodModel) -> Vec<Section<'_>> {
    let Some(complete) = &model.complete else { return Vec::new() };
    let profile = vec![
        Block::Heat {
            title: "Put latency p95 by payload and rate",
            unit: "ms",
            cells: &complete.profile,
            value: |cell| cell.put_p95_ms,
        },
        Block::Heat {
            title: "Success by payload and rate",
            unit: "%",
            cells: &complete.profile,
            value: |cell| cell.success_percent,
        },
        Block::Text(profile_note(&complete.profile)),
    ];
    let mut broke: Vec<Block<'_>> = vec![Block::List(
        complete
            .breaking_points
            .iter()
            .map(|at| format!("Test {}: {}", at.test, crate::report::breaking_point::sentence(&at.found)))
            .collect(),
    )];
    if complete.breaking_points.is_empty() {
        broke.push(Block::Text(BREAKING_POINT_NONE.to_owned()));
    }
    let steady =
        or_text(tables::stability(complete), "No test has a criterion on how figures went over time.");
    let mut projected: Vec<Block<'_>> = Vec::new();
    match &complete.projections {
        Some(projections) => {
            projected.push(Block::Table(tables::projections(projections)));
            projected.push(Block::Text("Assumed:".to_owned()));
            projected.push(Block::List(projections.assumptions.clone()));
        }
        None => projected.push(Block::Text(format!(
            "Not projected: {}.",
            complete.projections_missing.as_deref().unwrap_or(NONE)
        ))),
    }
    vec![
        Section { title: "Performance profile", blocks: profile },
        Section { title: "Breaking point", blocks: broke },
        Section { title: "Stability", blocks: vec![steady] },
        Section { title: "Cost projections", blocks: projected },
        production(model),
        earlier(model),
    ]
}

/// Which cells hold more than one level.
fn profile_note(cells: &[ProfileCell]) -> String {
    let several: Vec<String> = cells
        .iter()
        .filter(|cell| cell.levels.len() > 1)
        .map(|cell| format!("{} at {}/s: {}", cell.payload, rate(cell.rate_rps), cell.levels.join(", ")))
        .collect();
    let worst = match several.as_slice() {
        [] => String::new(),
        several => {
            format!(" Several levels fall into one cell, which shows the worst: {}.", several.join("; "))
        }
    };
    if cells.is_empty() {
        String::new()
    } else {
        format!("Rates in records/s; holds only; blank: not tested.{worst}")
    }
}

fn production(model: &PeriodModel) -> Section<'_> {
    let Some(complete) = &model.complete else { return Section { title: "", blocks: Vec::new() } };
    let production = &complete.production;
    let changed = production.settings.iter().any(|setting| setting.why.is_some());
    let cost = super::advice::cost_text(production.monthly_cost_of_changes, model.cost.currency.as_deref());
    let mut blocks =
        vec![Block::List(production.statements.clone()), Block::Table(tables::settings(production))];
    if changed {
        blocks.push(Block::Text(format!("The changes together: {cost}.")));
    }
    Section { title: "Recommended production configuration", blocks }
}

fn earlier(model: &PeriodModel) -> Section<'_> {
    let earlier = model.complete.as_ref().and_then(|complete| complete.earlier.as_ref());
    let Some(earlier) = earlier else {
        let text = "There is no earlier campaign of this plan on this environment to compare with.";
        return Section { title: "Earlier campaign", blocks: vec![Block::Text(text.to_owned())] };
    };
    let plan = if earlier.same_plan { "the same plan" } else { "another text of the plan" };
    let text = format!(
        "Beside the campaign before this one (run {}), of {plan}. Plain differences: whether one is larger than the noise, \
         `streamgauge compare` says.",
        super::summary::listed(&earlier.runs)
    );
    let table = or_text(tables::earlier(earlier), "No test has a result in both.");
    Section { title: "Earlier campaign", blocks: vec![Block::Text(text), table] }
}

/// A heat map's cell as text.
pub(crate) fn heat_text(value: Option<f64>, unit: &str) -> String {
    match unit {
        "%" => or_none(value, |value| percent(value).trim_end_matches(" %").to_owned()),
        _ => or_none(value, crate::report::text::number),
    }
}
