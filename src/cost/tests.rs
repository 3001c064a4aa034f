use proptest::prelude::*;
use rust_decimal::Decimal;

use crate::evidence::model::{BilledBasis, Usage};

use super::*;

fn decimal(text: &str) -> Decimal {
    Decimal::from_str_exact(text).expect("a decimal")
}

/// The example of the design: 720 h, x86, 512 MB, 100 ms an invocation, 2 KB records.
fn worked_example() -> ProjectInput {
    ProjectInput {
        rates_per_s: [100u32, 500, 1_000].map(Decimal::from).to_vec(),
        records_per_invocation: vec![1, 10, 100],
        record_bytes: 2_048,
        memory_mb: 512,
        duration_ms: Decimal::from(100u32),
        hours: Decimal::from(720u32),
        log_bytes_per_invocation: 0,
        ..ProjectInput::default()
    }
}

fn usage() -> Usage {
    Usage {
        region: "us-east-1".into(),
        stream_mode: "provisioned".into(),
        shards: 2,
        retention_hours: 24,
        load_window_s: 1_800.0,
        standing_s: 2_700.0,
        records: 1_000_000,
        delivered: 1_000_000,
        put_payload_units: 1_000_000,
        bytes_in: 500_000_000,
        bytes_in_rounded_1k: 1_024_000_000,
        invocations: 10_000,
        architecture: "x86_64".into(),
        memory_mb: 512,
        billed_ms: 1_000_000,
        billed_basis: BilledBasis::ReportLines,
        log_bytes: 1 << 30,
        log_bytes_measured: true,
        sqs_requests: 12_000,
        dlq_requests: 0,
        alarms: 8,
        dashboards: 1,
        custom_metrics: 0,
        metrics_requested: 33,
        assumptions: Vec::new(),
    }
}

fn amount_of(lines: &Lines, item: &str) -> Decimal {
    lines.lines.iter().find(|line| line.item == item).and_then(|line| line.amount).expect(item)
}

#[test]
fn the_worked_examples_come_out_to_the_cent() {
    let rows = project(&worked_example(), &PriceBook::builtin());
    let found: Vec<(String, u64, Option<u32>, String)> = rows
        .iter()
        .filter(|row| row.mode == Mode::Provisioned)
        .map(|row| {
            let total = usd(row.kinesis_lambda_total.expect("priced"));
            (row.rate_per_s.to_string(), row.records_per_invocation, row.shards, total)
        })
        .collect();
    let expected = [
        ("100", 1, 1, "282.27"),
        ("100", 10, 1, "41.21"),
        ("100", 100, 1, "17.11"),
        ("500", 1, 1, "1,368.15"),
        ("500", 10, 1, "162.86"),
        ("500", 100, 1, "42.34"),
        ("1000", 1, 2, "2,736.29"),
        ("1000", 10, 2, "325.73"),
        ("1000", 100, 2, "84.67"),
    ]
    .map(|(rate, batch, shards, total)| (rate.to_owned(), batch, Some(shards), total.to_owned()));
    assert_eq!(found, expected);
}

/// The document's numbers are those that the code gives.
#[test]
fn the_document_says_what_the_code_says() {
    let document = include_str!("../../docs/cost.md");
    let book = PriceBook::builtin();
    let rows = project(&worked_example(), &book);
    let total = |row: &ProjectRow| usd(row.kinesis_lambda_total.expect("priced"));
    let grouped_rate = |row: &ProjectRow| grouped(&row.rate_per_s.to_string());
    for row in rows.iter().filter(|row| row.mode == Mode::Provisioned) {
        let (shards, batch) = (row.shards.expect("provisioned"), row.records_per_invocation);
        let line = format!("| {} | {shards} | {batch} | {} |", grouped_rate(row), total(row));
        assert!(document.contains(&line), "{line}");
    }
    for modes in rows.chunks(3).filter(|modes| modes[0].records_per_invocation == 100) {
        let [provisioned, on_demand, advantage] = modes else { panic!("three modes") };
        let totals = format!("{} | {} | {}", total(provisioned), total(on_demand), total(advantage));
        let line = format!("| {} | {totals} |", grouped_rate(provisioned));
        assert!(document.contains(&line), "{line}");
    }
    let even = break_even(20, 2_048, &book).expect("priced");
    let below = even.on_demand_below_per_s.expect("exists");
    let above = even.advantage_above_per_s.expect("exists");
    assert!(document.contains(&format!("below {below} records/s")), "{below}");
    assert!(document.contains(&format!("({} records/s of 2 KB)", grouped(&above.to_string()))), "{above}");
    let logged =
        ProjectInput { log_bytes_per_invocation: LAMBDA_LOG_BYTES_PER_INVOCATION, ..worked_example() };
    let logs = usd(amount_of(&project(&logged, &book)[0].lines, "function logs"));
    assert!(document.contains(&format!("USD {logs} a month")), "{logs}");
}

/// 95 / 367 / 734 dollars: 4, 10 and 20 shards and one request a record, without the components that
/// the lines of a projection show.
#[test]
fn the_widely_copied_estimate_is_shards_and_requests_alone() {
    let book = PriceBook::builtin();
    for (rate, shards, claimed, duration) in
        [(100u32, 4, "95.04", "216.00"), (500, 10, "367.20", "1,080.00"), (1_000, 20, "734.40", "2,160.00")]
    {
        let input = ProjectInput {
            rates_per_s: vec![rate.into()],
            records_per_invocation: vec![1],
            shards: Some(shards),
            ..worked_example()
        };
        let row = &project(&input, &book)[0];
        let part = amount_of(&row.lines, "shard hours") + amount_of(&row.lines, "requests");
        assert_eq!(usd(part), claimed);
        assert_eq!(usd(amount_of(&row.lines, "duration (x86)")), duration);
    }
}

#[test]
fn each_line_of_a_run_is_checkable_by_hand() {
    let cost = price(&usage(), &PriceBook::builtin());
    // 2 shards x 0.5 h x 0.015.
    assert_eq!(amount_of(&cost.pipeline, "shard hours"), decimal("0.015"));
    // 1,000,000 x 0.014 / 1,000,000.
    assert_eq!(amount_of(&cost.pipeline, "PUT payload units"), decimal("0.014"));
    // 10,000 x 0.20 / 1,000,000.
    assert_eq!(amount_of(&cost.pipeline, "requests"), decimal("0.002"));
    // 0.5 GB x 1,000 s x 0.0000166667.
    assert_eq!(amount_of(&cost.pipeline, "duration (x86)"), decimal("0.00833335"));
    // 1 GB x 0.50.
    assert_eq!(amount_of(&cost.pipeline, "function logs"), decimal("0.5"));
    assert_eq!(cost.pipeline.total, decimal("0.53933335"));
    // A million records were delivered, so that is the cost of a million too, to six places.
    assert_eq!(cost.per_million_records, Some(decimal("0.539333")));
    // 2 shards x 0.25 h x 0.015, 12,000 x 0.40 / 1,000,000, 33 x 0.01 / 1,000.
    assert_eq!(amount_of(&cost.test, "shards standing idle"), decimal("0.0075"));
    assert_eq!(amount_of(&cost.test, "receipts"), decimal("0.0048"));
    assert_eq!(amount_of(&cost.test, "GetMetricData"), decimal("0.00033"));
    // 8 alarms x 0.75 h / 730 h = 0.008219178 months x 0.10.
    assert_eq!(amount_of(&cost.test, "alarms"), decimal("0.0008219178"));
    assert_eq!(amount_of(&cost.test, "dashboards"), decimal("0.003082191"));
    assert!(!cost.pipeline.incomplete && !cost.test.incomplete);
}

#[test]
fn another_region_is_unpriced_and_never_zero() {
    let cost = price(&Usage { region: "eu-west-1".into(), ..usage() }, &PriceBook::builtin());
    assert!(cost.pipeline.incomplete && cost.test.incomplete);
    assert!(cost.pipeline.lines.iter().all(|line| line.amount.is_none() && line.unit_price.is_none()));
    // The quantities stay: a reader can put prices to them.
    assert_eq!(cost.pipeline.lines[0].quantity, Decimal::ONE);
}

#[test]
fn one_missing_price_leaves_the_rest_priced_and_the_total_marked() {
    let text = BUILTIN_PRICES;
    let start = text.find("  cloudwatch_lambda_logs_gb:").expect("entry");
    let end = text.find("  cloudwatch_alarm_month:").expect("entry");
    let book = PriceBook::parse(&format!("{}{}", &text[..start], &text[end..])).expect("book");
    let cost = price(&usage(), &book);
    assert!(cost.pipeline.incomplete);
    assert_eq!(cost.pipeline.total, decimal("0.03933335"));
    assert!(cost.pipeline.lines.iter().filter(|line| line.is_unpriced()).count() == 1);
}

#[test]
fn nothing_delivered_has_no_cost_per_million() {
    assert_eq!(price(&Usage { delivered: 0, ..usage() }, &PriceBook::builtin()).per_million_records, None);
}

#[test]
fn on_demand_pays_by_the_stream_hour_and_the_rounded_gigabyte() {
    let on_demand =
        Usage { stream_mode: "on-demand".into(), bytes_in_rounded_1k: 2 << 30, bytes_in: 1 << 30, ..usage() };
    let cost = price(&on_demand, &PriceBook::builtin());
    assert_eq!(amount_of(&cost.pipeline, "stream hours"), decimal("0.02"));
    assert_eq!(amount_of(&cost.pipeline, "data in"), decimal("0.16"));
    assert_eq!(amount_of(&cost.pipeline, "data out"), decimal("0.04"));
    assert_eq!(amount_of(&cost.test, "stream standing idle"), decimal("0.01"));
}

#[test]
fn retention_beyond_a_day_is_a_line_of_its_own() {
    let cost = price(&Usage { retention_hours: 168, ..usage() }, &PriceBook::builtin());
    assert_eq!(amount_of(&cost.pipeline, "extended retention"), decimal("0.02"));
    assert!(cost.pipeline.lines.iter().all(|line| line.item != "long-term retention"));
    let cost =
        price(&Usage { retention_hours: 168 + 730, bytes_in: 1 << 30, ..usage() }, &PriceBook::builtin());
    assert_eq!(amount_of(&cost.pipeline, "long-term retention"), decimal("0.023"));
}

/// Duration tiers: 6 billion GB-seconds at the first price, the next at the second.
#[test]
fn lambda_duration_goes_through_its_tiers() {
    // 10,000 invocations/s x 1 s x 1 GB x 250 h = 9e9 GB-s.
    let input = ProjectInput {
        rates_per_s: vec![10_000u32.into()],
        records_per_invocation: vec![1],
        memory_mb: 1_024,
        duration_ms: Decimal::from(1_000u32),
        hours: Decimal::from(250u32),
        ..ProjectInput::default()
    };
    let row = &project(&input, &PriceBook::builtin())[0];
    // 6e9 x 0.0000166667 + 3e9 x 0.000015.
    assert_eq!(amount_of(&row.lines, "duration (x86)"), decimal("100000.2"));
    assert_eq!(amount_of(&row.lines, "duration (x86), tier 2"), decimal("45000"));
    assert!(row.lines.lines.iter().all(|line| line.item != "duration (x86), tier 3"));
}

/// Published: the commitment of Advantage is about 101.25 dollars a day, and it beats on-demand above
/// about 10 MiB/s.
#[test]
fn advantage_matches_what_is_published_about_it() {
    let book = PriceBook::builtin();
    let input = ProjectInput {
        rates_per_s: vec![1u32.into()],
        hours: Decimal::from(24u32),
        ..ProjectInput::default()
    };
    let row = &project(&input, &book)[2];
    let kinesis = row.lines.total_of(&["Kinesis"]).expect("priced");
    assert_eq!((row.mode, usd(kinesis)), (Mode::OnDemandAdvantage, "101.25".to_owned()));

    let even = break_even(1, 1_024, &book).expect("priced");
    let mib_per_s = even.advantage_above_per_s.expect("exists") / Decimal::from(1_024u32);
    assert!(mib_per_s > decimal("9.8") && mib_per_s < decimal("10"), "{mib_per_s}");
}

#[test]
fn break_even_is_where_both_modes_cost_the_same() {
    let book = PriceBook::builtin();
    // A shard or two are cheaper than the on-demand stream hour alone.
    assert_eq!(break_even(2, 2_048, &book).expect("priced").on_demand_below_per_s, None);
    let rate = break_even(20, 2_048, &book).expect("priced").on_demand_below_per_s.expect("exists");
    let input = ProjectInput { rates_per_s: vec![rate], shards: Some(20), ..worked_example() };
    let rows = project(&input, &book);
    let (provisioned, on_demand) = (rows[0].total, rows[1].total);
    assert!((provisioned - on_demand).abs() < Decimal::ONE, "{provisioned} {on_demand}");
}

#[test]
fn a_shard_costs_10_95_a_month() {
    assert_eq!(monthly_cost_of_shards(1, &PriceBook::builtin()), Some(decimal("10.95")));
}

#[test]
fn the_builtin_book_is_complete_and_dated() {
    let book = PriceBook::builtin();
    assert_eq!((book.region.as_str(), book.currency.as_str()), ("us-east-1", "USD"));
    assert_eq!(book.entries().count(), 22);
    for (id, price) in book.entries() {
        assert!(!price.source.is_empty() && !price.as_of.is_empty(), "{id}");
    }
}

#[test]
fn a_wrong_book_is_refused_with_the_place() {
    let good = BUILTIN_PRICES;
    for (from, to, expected) in [
        ("price: 0.015\n", "price: 1.5e-2\n", "expected a plain decimal such as 0.015, found `1.5e-2`"),
        ("price: 0.015\n", "price: -0.015\n", "expected a plain decimal"),
        ("unit: shard-hour", "unit: shard-month", "expected `shard-hour`, found `shard-month`"),
        ("kinesis_shard_hour:", "kinesis_shard_day:", "unknown variant `kinesis_shard_day`"),
        ("kinesis_put_payload_unit:", "kinesis_shard_hour:", "kinesis_shard_hour: "),
        ("per: 1000000", "per: 3000000", "cannot be divided exactly"),
        ("confidence: high", "confidence: certain", "unknown variant `certain`"),
        ("prices/v1", "prices/v2", "expected `streamgauge/prices/v1`"),
        ("    price: 0.015\n", "", "expected either `price` or a list of `tiers`"),
        ("up_to: 6000000000,", "up_to: 15000000000,", "`up_to` must rise"),
    ] {
        let error = PriceBook::parse(&good.replacen(from, to, 1)).expect_err(expected);
        assert!(error.message.contains(expected), "{error}");
        assert!(error.position.is_some(), "{error}");
    }
    let error = PriceBook::parse(&format!("{good}  lambda_request:\n    price: 0.2\n    per: 1000000\n    unit: request\n    source: x\n    as_of: \"2026\"\n    confidence: low\n")).expect_err("twice");
    assert!(error.message.contains("given twice"), "{error}");
}

#[test]
fn amounts_for_people() {
    for (amount, shown) in [
        ("0", "0.00"),
        ("1234567.891", "1,234,567.89"),
        ("17.105", "17.11"),
        ("0.53933335", "0.5393"),
        ("0.0123456", "0.0123"),
        ("0.0042", "0.004200"),
        ("0.0000123", "0.0000123"),
        ("-12.3", "-12.30"),
    ] {
        assert_eq!(usd(decimal(amount)), shown);
    }
}

const PLAN: &str = r#"
schema: streamgauge/plan/v1
name: forecast
environment:
  stream: {shards: 2}
  function: {memory_mb: 512, batch_size: 100, work_ms_per_batch: 80}
phases:
  - name: Only
    week: 1
    tests:
      - id: "1"
        name: Two sizes of one load
        payload: small
        stages: [{duration: 100s, target: 400}, {duration: 100s, target: 400}]
      - id: "2"
        name: Large
        payload: 30000B
        stages: [{duration: 50s, target: 10}]
"#;

#[test]
fn a_forecast_counts_what_the_schedule_will_send() {
    let plan = crate::plan::parse(PLAN).unwrap_or_else(|errors| panic!("{errors}"));
    let usage = forecast(&plan, "us-east-1", &ForecastAssumptions::default());
    // Areas under the lines: 100 x 200 + 100 x 400 + 50 x 5.
    assert_eq!(usage.records, 20_000 + 40_000 + 250);
    // 30,000 bytes are two units of 25 KB.
    assert_eq!(usage.put_payload_units, 60_000 + 500);
    assert_eq!(usage.load_window_s, 250.0);
    // Polled once a second on each of 2 shards: batches of 100 on the ramp, capped at 100 on the hold, and
    // of 2.5 records with the large ones.
    assert_eq!(usage.invocations, 200 + 400 + 100);
    assert_eq!(usage.billed_ms, 700 * 100);
    assert!(!price(&usage, &PriceBook::builtin()).pipeline.incomplete);
}

proptest! {
    /// The shown numbers multiply to the shown amount, and the amounts add up to the total, exactly.
    #[test]
    fn lines_add_up(shards in 1u32..500, window in 0.0f64..1e6, records in 0u64..1 << 40, billed in 0u64..1 << 40) {
        let usage = Usage {
            shards,
            load_window_s: window,
            standing_s: window + 60.0,
            records,
            delivered: records,
            put_payload_units: records,
            billed_ms: billed,
            ..usage()
        };
        let cost = price(&usage, &PriceBook::builtin());
        for lines in [&cost.pipeline, &cost.test] {
            let mut sum = Decimal::ZERO;
            for line in &lines.lines {
                prop_assert_eq!(line.amount, line.unit_price.map(|price| line.quantity * price));
                sum += line.amount.expect("priced");
            }
            prop_assert_eq!(sum, lines.total);
        }
    }

    /// Never cheaper with more load, in any mode.
    #[test]
    fn projections_grow_with_the_rate(rate in 1u32..50_000, more in 1u32..50_000, batch in 1u64..1_000) {
        let book = PriceBook::builtin();
        let input = ProjectInput {
            rates_per_s: vec![rate.into(), (rate + more).into()],
            records_per_invocation: vec![batch],
            ..ProjectInput::default()
        };
        let rows = project(&input, &book);
        for mode in 0..3 {
            prop_assert!(rows[mode].total <= rows[mode + 3].total);
        }
    }
}
