//! What every format of a grid says alike; and `whatif.csv`.

use crate::plan::short_key;
use crate::report::escape;
use crate::report::text::{NONE, count, number, or_none, rate, usd};

use super::model::{Broke, Row, WhatIf};

/// The figures of a row, after its number and its values.
const FIGURES: [&str; 8] = [
    "criteria",
    "a million, USD",
    "e2e p99, ms",
    "put p99, ms",
    "breaking point",
    "refused puts",
    "iterator age, ms",
    "a month, USD",
];

/// Columns that hold words, from the left: the number, the values and the outcome.
pub(super) fn worded(whatif: &WhatIf) -> usize {
    whatif.keys.len() + 2
}

pub(super) fn header(whatif: &WhatIf) -> Vec<String> {
    let keys = whatif.keys.iter().map(|key| short_key(key).to_owned());
    let figures = FIGURES.iter().map(|figure| match (*figure, whatif.currency.as_str()) {
        (figure, "USD") => figure.to_owned(),
        (figure, currency) => figure.replace("USD", currency),
    });
    std::iter::once("#".to_owned()).chain(keys).chain(figures).collect()
}

/// `number`: the row's place in the document, from 1.
pub(super) fn cells(number_of_row: usize, row: &Row) -> Vec<String> {
    let at_least = if row.cost_incomplete { ">= " } else { "" };
    let figures = [
        row.outcome.as_str().to_owned(),
        or_none(row.cost_per_million, |each| format!("{at_least}{}", usd(each))),
        or_none(row.e2e_p99_ms, number),
        or_none(row.put_p99_ms, number),
        gave_way(row),
        or_none(row.throttled, count),
        or_none(row.iterator_age_ms_max, number),
        or_none(row.monthly, usd),
    ];
    std::iter::once(number_of_row.to_string()).chain(row.values.iter().cloned()).chain(figures).collect()
}

/// `1,000/s: Kinesis write`; where the load did not break it, up to where it was carried.
pub(super) fn gave_way(row: &Row) -> String {
    let told = |broke: &Broke| match broke.rps {
        Some(rps) => format!("{}/s: {}", rate(rps), broke.first),
        None => broke.first.clone(),
    };
    match (&row.breaking_point, &row.limit, row.carried_up_to_rps) {
        (Some(point), _, _) => told(point),
        (None, Some(limit), _) => format!("none; limit from {}", told(limit)),
        (None, None, Some(rps)) => format!("none up to {}/s", rate(rps)),
        (None, None, None) => NONE.to_owned(),
    }
}

/// Which level the latencies are of: the one that most rows have, and the rows that have another.
pub(super) fn levels(whatif: &WhatIf) -> Vec<String> {
    let Some(usual) = whatif.settings.iter().find_map(|row| row.level.as_ref()) else { return Vec::new() };
    let others = whatif.settings.iter().enumerate().filter_map(|(index, row)| {
        let level = row.level.as_ref().filter(|level| *level != usual)?;
        Some(format!("The latencies of {} are those of {level}.", index + 1))
    });
    let first = format!(
        "Latencies are those of {usual}, the highest level that criteria judge, from when a record was due."
    );
    std::iter::once(first).chain(others).collect()
}

/// What a month is worked out for, and why rows have none, each reason once.
pub(super) fn months(whatif: &WhatIf) -> Vec<String> {
    let Some(rps) = whatif.monthly_at_rps else { return Vec::new() };
    let mut list = vec![format!("A month is at {} records/s.", rate(rps))];
    let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
    for (index, row) in whatif.settings.iter().enumerate().filter(|(_, row)| row.run.is_some()) {
        let Some(reason) = &row.monthly_reason else { continue };
        match reasons.iter_mut().find(|(known, _)| known == reason) {
            Some((_, rows)) => rows.push((index + 1).to_string()),
            None => reasons.push((reason, vec![(index + 1).to_string()])),
        }
    }
    list.extend(reasons.iter().map(|(reason, rows)| format!("No month for {}: {reason}.", rows.join(", "))));
    list
}

/// `whatif.csv`, as `levels.csv`: RFC 4180, plain numbers, empty where there is none, and no cell that is taken for a formula.
pub fn csv(whatif: &WhatIf) -> String {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let own = [
        "outcome",
        "verdict",
        "why",
        "run",
        "currency",
        "cost_per_million",
        "cost_incomplete",
        "level",
        "e2e_p99_ms",
        "put_p99_ms",
        "breaking_point_rps",
        "breaking_point_first",
        "limit_rps",
        "limit_first",
        "carried_up_to_rps",
        "throttled",
        "iterator_age_ms_max",
        "monthly_at_rps",
        "monthly",
    ];
    let header = ["plan", "grid"].into_iter().chain(whatif.keys.iter().map(String::as_str)).chain(own);
    let mut records = vec![header.map(escape::csv_cell).collect::<Vec<String>>()];
    records.extend(whatif.settings.iter().map(|row| record(whatif, row)));
    for record in records {
        writer.write_record(&record).expect("writing to memory cannot fail");
    }
    String::from_utf8(writer.into_inner().expect("writing to memory cannot fail")).expect("text was written")
}

fn record(whatif: &WhatIf, row: &Row) -> Vec<String> {
    fn plain<T: ToString>(value: Option<T>) -> String {
        value.map_or_else(String::new, |value| value.to_string())
    }
    let broke = |broke: &Option<Broke>| {
        let broke = broke.as_ref();
        [plain(broke.and_then(|broke| broke.rps)), plain(broke.map(|broke| &broke.first))]
    };
    let [point_rps, point_first] = broke(&row.breaking_point);
    let [limit_rps, limit_first] = broke(&row.limit);
    let figures = [
        row.outcome.key().to_owned(),
        plain(row.verdict),
        plain(row.why.as_ref()),
        plain(row.run.as_ref()),
        whatif.currency.clone(),
        plain(row.cost_per_million.map(|each| each.0)),
        row.cost_incomplete.to_string(),
        plain(row.level.as_ref()),
        plain(row.e2e_p99_ms),
        plain(row.put_p99_ms),
        point_rps,
        point_first,
        limit_rps,
        limit_first,
        plain(row.carried_up_to_rps),
        plain(row.throttled),
        plain(row.iterator_age_ms_max),
        plain(whatif.monthly_at_rps),
        plain(row.monthly.map(|month| month.0)),
    ];
    let lead = [whatif.plan.clone(), whatif.id.clone()];
    let cells = lead.into_iter().chain(row.values.iter().cloned()).chain(figures);
    cells.map(|cell| escape::csv_cell(&cell)).collect()
}
