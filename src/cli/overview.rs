//! The overview of a plan: what each test, each week and the whole sends, needs and will cost, with the rate over
//! time drawn in characters.

use comfy_table::CellAlignment;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::cost::{self, ForecastAssumptions, PriceBook};
use crate::load::schedule::Schedule;
use crate::plan::{Plan, StreamMode, Test};
use crate::platform::limits;

use super::verbs::plan::duration;

/// Characters of a test's chart.
const CHART_WIDTH: usize = 30;
/// From the lowest to the highest; a rate of 0 is a space.
const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// What a test, or several, will send and cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Load {
    pub tests: usize,
    pub seconds: f64,
    pub records: u64,
    /// Payload bytes, without partition keys.
    pub bytes: u64,
    /// Shards that the highest rate needs.
    pub shards: u32,
    /// USD, for the load alone; `None` where the price book has not all prices.
    pub forecast_usd: Option<Decimal>,
}

/// One test's line.
struct Row<'a> {
    week: u32,
    test: &'a Test,
    load: Load,
}

pub struct Overview<'a> {
    plan: &'a Plan,
    book: &'a PriceBook,
    region: String,
    rows: Vec<Row<'a>>,
}

impl<'a> Overview<'a> {
    /// Priced for `region`.
    pub fn new(plan: &'a Plan, book: &'a PriceBook, region: &str) -> Overview<'a> {
        let mut overview = Overview { plan, book, region: region.to_owned(), rows: Vec::new() };
        for phase in &plan.phases {
            for test in &phase.tests {
                let load = overview.load_of(&[test]);
                overview.rows.push(Row { week: phase.week, test, load });
            }
        }
        overview
    }

    fn load_of(&self, tests: &[&Test]) -> Load {
        let records = |test: &Test| Schedule::new(test).total();
        Load {
            tests: tests.len(),
            seconds: tests.iter().map(|test| test.duration().as_secs_f64()).sum(),
            records: tests.iter().map(|test| records(test)).sum(),
            bytes: tests.iter().map(|test| records(test) * test.payload.bytes as u64).sum(),
            shards: tests.iter().map(|test| shards_needed(test)).max().unwrap_or(0),
            forecast_usd: self.forecast(tests),
        }
    }

    /// The pipeline and the measuring while the load lasts; standing before, between and after comes on top.
    fn forecast(&self, tests: &[&Test]) -> Option<Decimal> {
        let plan = self.plan.with_only(|test| tests.iter().any(|wanted| wanted.id == test.id));
        let assumed = ForecastAssumptions { idle_s: 0.0, ..ForecastAssumptions::default() };
        let priced = cost::price(&cost::forecast(&plan, &self.region, &assumed), self.book);
        (!priced.pipeline.incomplete && !priced.test.incomplete).then(|| priced.total())
    }

    /// Weeks in their order, each with its tests' load.
    fn weeks(&self) -> Vec<(u32, Load)> {
        let mut weeks: Vec<u32> = self.rows.iter().map(|row| row.week).collect();
        weeks.sort_unstable();
        weeks.dedup();
        let of =
            |week| self.rows.iter().filter(|row| row.week == week).map(|row| row.test).collect::<Vec<_>>();
        weeks.into_iter().map(|week| (week, self.load_of(&of(week)))).collect()
    }

    fn total(&self) -> Load {
        self.load_of(&self.rows.iter().map(|row| row.test).collect::<Vec<_>>())
    }

    /// For people: a table for each week with a chart of each test's rate, then the sums.
    pub fn text(&self) -> String {
        let mut table = super::table([
            "test",
            "rate over time",
            "peak/s",
            "shards",
            "lasts",
            "records",
            "data",
            "forecast USD",
        ]);
        let weeks = self.weeks();
        for (week, load) in &weeks {
            for row in self.rows.iter().filter(|row| row.week == *week) {
                table.add_row([
                    format!("{} {}", row.test.id, row.test.name),
                    chart(row.test),
                    format!("{}", row.test.peak_rps()),
                    row.load.shards.to_string(),
                    duration(row.load.seconds),
                    cost::grouped(&row.load.records.to_string()),
                    data(row.load.bytes),
                    money(row.load.forecast_usd),
                ]);
            }
            if weeks.len() > 1 {
                table.add_row(sums(format!("week {week}"), load));
            }
        }
        table.add_row(sums("in all".to_owned(), &self.total()));
        for column in 2..8 {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        format!("{table}\n{}\n", self.notes().join("\n"))
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = vec![
            "Each chart spans its own test and reaches up to that test's peak.".to_owned(),
            format!(
                "Forecast: {} prices of {}, while the load lasts; standing idle comes on top (`streamgauge up` says how much).",
                self.book.region, self.book.as_of
            ),
        ];
        let stream = &self.plan.environment.stream;
        let has_own_stream = self.plan.existing.is_none() && stream.mode == StreamMode::Provisioned;
        for row in self.rows.iter().filter(|row| has_own_stream && row.load.shards > stream.shards) {
            notes.push(format!(
                "{} needs {} shards at its peak of {}/s, the plan has {}: records will be refused{}.",
                row.test.id,
                row.load.shards,
                row.test.peak_rps(),
                stream.shards,
                if row.test.beyond_capacity { ", as it is meant to show" } else { "" },
            ));
        }
        notes
    }

    /// `{tests: [...], weeks: [...], total: {...}}`.
    pub fn document(&self) -> Value {
        let weeks: Vec<Value> = self
            .weeks()
            .iter()
            .map(|(week, load)| {
                let mut value = document(load);
                value["week"] = json!(week);
                value
            })
            .collect();
        json!({ "weeks": weeks, "total": document(&self.total()) })
    }

    /// What [`Overview::document`] has, for the test with this id.
    pub fn test_document(&self, id: &str) -> Value {
        let row = self.rows.iter().find(|row| row.test.id == id);
        row.map_or(Value::Null, |row| {
            let mut value = document(&row.load);
            value["week"] = json!(row.week);
            value
        })
    }
}

fn document(load: &Load) -> Value {
    json!({
        "tests": load.tests, "duration_s": load.seconds, "records": load.records, "data_bytes": load.bytes,
        "shards_needed": load.shards,
        "forecast_usd": load.forecast_usd.map(|usd| usd.normalize().to_string()),
    })
}

fn sums(name: String, load: &Load) -> [String; 8] {
    [
        name,
        format!("{} test{}", load.tests, if load.tests == 1 { "" } else { "s" }),
        String::new(),
        load.shards.to_string(),
        duration(load.seconds),
        cost::grouped(&load.records.to_string()),
        data(load.bytes),
        money(load.forecast_usd),
    ]
}

fn money(usd: Option<Decimal>) -> String {
    usd.map_or("unpriced".to_owned(), cost::usd)
}

/// Shards that take in the test's highest rate: 1,000 records/s and 1 MiB/s each (Kinesis quotas).
pub fn shards_needed(test: &Test) -> u32 {
    let record_bytes = (test.payload.bytes + crate::plan::PARTITION_KEY_BYTES) as f64;
    let by_records = test.peak_rps() / limits::SHARD_WRITE_RECORDS_PER_S as f64;
    let by_bytes = test.peak_rps() * record_bytes / limits::SHARD_WRITE_BYTES_PER_S as f64;
    by_records.max(by_bytes).ceil() as u32
}

/// `512 B`, `57 MB`, `1.3 GB`: decimal units, as networks count.
fn data(bytes: u64) -> String {
    let bytes = bytes as f64;
    let (value, unit) = match bytes {
        b if b < 1e3 => (b, "B"),
        b if b < 1e6 => (b / 1e3, "kB"),
        b if b < 1e9 => (b / 1e6, "MB"),
        b if b < 1e12 => (b / 1e9, "GB"),
        b => (b / 1e12, "TB"),
    };
    if value < 10.0 && unit != "B" { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

/// The planned rate over the test: a column each thirtieth of it, as high as the mean rate there.
fn chart(test: &Test) -> String {
    let schedule = Schedule::new(test);
    let (total_s, peak_rps) = (test.duration().as_secs_f64(), test.peak_rps());
    let slice_s = total_s / CHART_WIDTH as f64;
    let mean_rps = |column: usize| {
        let (from_s, to_s) = (column as f64 * slice_s, (column + 1) as f64 * slice_s);
        let area: f64 = schedule
            .levels()
            .iter()
            .map(|level| {
                let (start_s, length_s) = (level.start.as_secs_f64(), level.duration.as_secs_f64());
                let (from, to) = ((from_s - start_s).max(0.0), (to_s - start_s).min(length_s));
                let rate_at =
                    |at_s: f64| level.from_rps + (level.target_rps - level.from_rps) * at_s / length_s;
                if to > from { (rate_at(from) + rate_at(to)) / 2.0 * (to - from) } else { 0.0 }
            })
            .sum();
        area / slice_s
    };
    (0..CHART_WIDTH).map(|column| bar(mean_rps(column), peak_rps)).collect()
}

fn bar(rps: f64, peak_rps: f64) -> char {
    let highest = BARS.len() - 1;
    if rps <= 0.0 || peak_rps <= 0.0 {
        return BARS[0];
    }
    BARS[((rps / peak_rps * highest as f64).round() as usize).clamp(1, highest)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let text = "
schema: streamgauge/plan/v1
name: two weeks
phases:
  - name: one
    week: 1
    tests:
      - {id: '1', name: up and down, stages: [{duration: 60s, target: 800}, {duration: 60s, target: 0}]}
  - name: two
    week: 2
    tests:
      - id: '2'
        name: too much for one shard
        payload: large
        beyond_capacity: true
        stages: [{duration: 30s, target: 2500}, {duration: 30s, target: 2500}]
";
        crate::plan::parse(text).expect("a valid plan")
    }

    #[test]
    fn the_chart_follows_the_rate_and_the_sums_add_up() {
        let (plan, book) = (plan(), PriceBook::builtin());
        let overview = Overview::new(&plan, &book, &book.region);
        let tests: Vec<&Test> = plan.tests().collect();
        assert_eq!(chart(tests[0]), "▁▁▁▂▂▃▃▄▅▅▆▆▇▇██▇▇▆▆▅▅▄▃▃▂▂▁▁▁");
        assert_eq!(chart(tests[1]), "▁▁▁▂▂▃▃▄▅▅▆▆▇▇████████████████");
        let (weeks, total) = (overview.weeks(), overview.total());
        assert_eq!((weeks.len(), total.tests, total.records), (2, 2, 48_000 + 112_500));
        assert_eq!(total.bytes, 48_000 * 500 + 112_500 * 1_024);
        // 2,500 a second; 2.5 MiB of data and a tenth of keys make a third shard do.
        assert_eq!((weeks[0].1.shards, weeks[1].1.shards), (1, 3));
        assert!(weeks[0].1.forecast_usd.unwrap() < total.forecast_usd.unwrap());
        let notes = overview.notes();
        assert!(
            notes[2].starts_with("2 needs 3 shards") && notes[2].ends_with("meant to show."),
            "{notes:?}"
        );
    }

    #[test]
    fn another_region_than_the_books_is_unpriced() {
        let (plan, book) = (plan(), PriceBook::builtin());
        let overview = Overview::new(&plan, &book, "eu-west-9");
        assert_eq!(overview.total().forecast_usd, None);
        assert!(overview.text().contains("unpriced"));
    }

    #[test]
    fn data_reads_in_decimal_units() {
        let shown = [data(512), data(57_225_000), data(1_300_000_000), data(9_960)];
        assert_eq!(shown, ["512 B", "57 MB", "1.3 GB", "10.0 kB"]);
    }
}
