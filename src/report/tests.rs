use rust_decimal::Decimal;
use serde_json::Value;

use crate::evidence::model::RunEnd;

use super::charts::{ActionSpan, LevelSpan, Point, TestCharts};
use super::testing::*;
use super::*;

#[test]
fn terminal_roomy() {
    insta::assert_snapshot!(terminal(&fixture(), 120, false));
}

#[test]
fn terminal_narrow() {
    let text = terminal(&fixture(), 80, false);
    insta::assert_snapshot!(text);
    // The delivery line is kept whole for those who search for it.
    let long: Vec<&str> = text.lines().filter(|line| line.chars().count() > 80).collect();
    assert!(long.iter().all(|line| line.starts_with("delivery")), "{long:?}");
}

#[test]
fn terminal_of_a_run_that_passed() {
    insta::assert_snapshot!(terminal(&changed(complete), 100, false));
}

#[test]
fn colours_are_only_there_when_asked_for() {
    let model = fixture();
    assert!(!terminal(&model, 120, false).contains('\u{1b}'));
    let colored = terminal(&model, 120, true);
    assert!(colored.contains("\u{1b}[1;31mFAIL\u{1b}[0m"));
    assert!(colored.contains("\u{1b}[38;5;9mfail") || colored.contains("\u{1b}[31mfail"), "{colored}");
}

#[test]
fn blocked_shards_read_alike_in_every_format() {
    let model = changed(poisoned);
    let sentences = "2 poisoned records. 7 attempts failed and held a shard for 7.58 s in 2 blocks, 7.58 s the longest (1 not \
                     over when the run ended). 380 good records waited in the shard meanwhile and came through, 3.77 s \
                     longer on average and 7.61 s at most. 100 records were dead-lettered, named by reading 1 range of \
                     Kinesis sequence numbers again: 1 poisoned, 99 good (of which 49 never processed).";
    let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        flat(&terminal(&model, 80, false)).contains(&format!("blocked {sentences}")),
        "{}",
        terminal(&model, 80, false)
    );
    assert!(markdown(&model).contains(sentences), "{}", markdown(&model));
    assert!(markdown(&model).contains("| shardId-000000000000 | "));
    assert!(html(&model).contains(sentences));
    let json: Value = serde_json::from_str(&json(&model)).expect("JSON");
    assert!(schema_of_the_repository().is_valid(&json));
    let blocked = &json["tests"][0]["blocked"];
    assert_eq!(blocked["blocks"][0]["dead_lettered_sequences"], serde_json::json!([[900, 999]]));
    assert_eq!(
        (&blocked["blocks"][1]["until"], &blocked["blocks"][1]["blocked_s"]),
        (&Value::Null, &Value::Null)
    );
}

#[test]
fn actions_read_alike_in_every_format() {
    let model = changed(acted);
    let sentences = "Mapping disabled for 20s: a backlog of 2,010 records at most, caught up 6.5 s after it was asked to \
                     revert. Refused: 4 shards for 1m (LimitExceededException: no). Not begun: reserved concurrency 1 \
                     for 5s.";
    let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown = terminal(&model, 80, false);
    assert!(flat(&shown).contains(&format!("actions {sentences}")), "{shown}");
    assert!(markdown(&model).contains(sentences), "{}", markdown(&model));
    assert!(markdown(&model).contains("| mapping disabled for 20s | "));
    assert!(html(&model).contains(sentences));
    let json: Value = serde_json::from_str(&json(&model)).expect("JSON");
    assert!(schema_of_the_repository().is_valid(&json));
    assert_eq!(json["tests"][0]["actions"][0]["settled_s"], 0.5);
}

#[test]
fn every_report_fits_the_schema() {
    let validator = schema_of_the_repository();
    let reports = [
        fixture(),
        changed(complete),
        changed(unmeasured),
        changed(|evidence| evidence.tests.clear()),
        changed(|evidence| evidence.usage.region = "eu-west-1".into()),
        changed(|evidence| evidence.environment.stream_mode = "on-demand".into()),
        changed(|evidence| {
            evidence.run.end = RunEnd::Killed;
            evidence.run.ended_us = None;
            evidence.tests[0].levels[0].achieved_rps = f64::NAN;
            let unaligned = Err("no whole minute inside the level".to_owned());
            evidence.tests[0].levels[0].cloudwatch.insert("lambda.Duration.Average".into(), unaligned);
        }),
    ];
    for report in reports {
        let value: Value = serde_json::from_str(&json(&report)).expect("JSON");
        let errors: Vec<String> = validator
            .iter_errors(&value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert_eq!(errors, Vec::<String>::new());
    }
}

#[test]
fn the_schema_refuses_what_is_not_a_report() {
    let validator = schema_of_the_repository();
    let good: Value = serde_json::from_str(&json(&fixture())).expect("JSON");
    let spoilt = |spoil: fn(&mut Value)| {
        let mut value = good.clone();
        spoil(&mut value);
        validator.is_valid(&value)
    };
    assert!(spoilt(|_| {}));
    assert!(!spoilt(|value| value["surprise"] = Value::Null));
    assert!(!spoilt(|value| value["schema"] = "streamgauge/report/v2".into()));
    assert!(!spoilt(|value| value["cost"]["pipeline"]["total"] = 0.01.into()));
    assert!(!spoilt(|value| value["tests"][0]["verdict"] = "maybe".into()));
    assert!(!spoilt(|value| {
        value["tests"][0].as_object_mut().expect("object").remove("levels");
    }));
}

#[test]
fn every_key_is_documented() {
    let mut found = std::collections::BTreeSet::new();
    keys(&serde_json::from_str(&json(&fixture())).expect("JSON"), &mut found);
    assert!(found.len() > 100, "{}", found.len());
    let document = include_str!("../../docs/report.md");
    let missing: Vec<&String> = found.iter().filter(|key| !document.contains(&format!("`{key}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn json_reads_back_as_the_same_report() {
    let mut model = fixture();
    let read: ReportModel = serde_json::from_str(&json(&model)).expect("reads back");
    for test in &mut model.tests {
        test.charts = TestCharts::default();
    }
    assert_eq!(read, model);
}

#[test]
fn the_same_evidence_gives_the_same_bytes() {
    let (first, second) = (fixture(), fixture());
    assert_eq!(html(&first), html(&second));
    assert_eq!(json(&first), json(&second));
}

#[test]
fn html_needs_nothing_but_itself() {
    for report in [fixture(), changed(unmeasured), changed(|evidence| evidence.tests.clear())] {
        let page = html(&report);
        for forbidden in ["<script", "src=", "@import", "http://", "https://", "NaN", "inf\""] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
        // A link or a pattern may name a place in the page, and nothing else.
        for reference in ["href=\"", "url("] {
            assert_eq!(
                page.matches(reference).count(),
                page.matches(&format!("{reference}#")).count(),
                "{reference}"
            );
        }
    }
}

#[test]
fn html_escapes_names_and_shows_each_level_and_verdict() {
    let page = html(&fixture());
    assert!(page.contains("Spike &lt;fast &amp; short&gt;") && !page.contains("<fast"));
    for shown in ["200/s hold", "2000/s hold", "50/s hold (void)", "50 -&gt; 500/s ramp (not started)"] {
        assert!(page.contains(shown), "{shown}");
    }
    for verdict in ["pass", "fail", "inconclusive"] {
        assert!(page.contains(&format!("<span class=\"verdict {verdict}\">{verdict}</span>")), "{verdict}");
    }
    // Ten charts a test and the cost by service.
    assert_eq!(page.matches("<figure>").count(), 3 * 10 + 1);
    assert_eq!(page.matches("<figure>").count(), page.matches("</figure>").count());
    assert!(page.contains("unpriced"));
}

#[test]
fn a_report_without_receipts_draws_no_delivery() {
    let model = changed(unmeasured);
    assert_eq!(model.delivery, None);
    assert!(model.tests[0].levels.iter().all(|level| level.delivery.is_none()));
    assert!(model.summary.iter().any(|sentence| sentence.starts_with("Delivery was not measured")));
    assert!(terminal(&model, 100, false).contains("delivery  not measured"));
}

#[test]
fn planted_faults_are_named_before_any_figure() {
    let model = changed(|evidence| {
        evidence.run.faults = vec!["drop:count=25".into(), "stall:every=5s,for=1s".into()]
    });
    let sentence =
        "Faults were planted on purpose, and the figures show it: drop:count=25, stall:every=5s,for=1s.";
    assert_eq!(model.summary[1], sentence);
    assert!(terminal(&model, 200, false).contains(sentence));
    assert!(html(&model).contains(sentence));
    assert!(markdown(&model).contains("Faults were planted on purpose"));
    assert!(junit(&model, false).contains("with planted faults"));
    assert!(!fixture().summary.iter().any(|sentence| sentence.contains("planted")));
}

#[test]
fn lost_is_null_while_the_collection_did_not_end() {
    let model = changed(|evidence| evidence.delivery.lost = Some(3));
    assert_eq!(model.delivery.and_then(|delivery| delivery.lost), None);
    assert!(
        model.tests[0].levels.iter().all(|level| level.delivery.as_ref().is_none_or(|d| d.lost.is_none()))
    );
}

#[test]
fn level_costs_add_up_to_the_pipelines() {
    let model = changed(|evidence| {
        complete(evidence);
        // Use that is exactly that of the four levels.
        let levels = &evidence.tests[0].levels;
        evidence.usage.load_window_s = levels.iter().map(|level| level.planned_s).sum();
        evidence.usage.invocations = levels.iter().map(|level| level.invocations).sum();
        evidence.usage.records = 66_300;
        evidence.usage.delivered = 66_300;
        evidence.usage.put_payload_units = 66_300;
        // A multiple of the invocations, so that no share is cut off.
        evidence.usage.billed_ms = evidence.usage.invocations * 11;
        evidence.usage.log_bytes = evidence.usage.invocations * 350;
    });
    let sum: Decimal = model.tests[0]
        .levels
        .iter()
        .map(|level| level.cost_per_million.expect("priced").0 * Decimal::from(level.acked.expect("counted")))
        .sum::<Decimal>()
        / Decimal::from(1_000_000u32);
    // Each level's cost a million is rounded to six places.
    let difference = (sum - model.cost.pipeline.total.0).abs();
    assert!(difference < Decimal::new(1, 6), "{sum} {}", model.cost.pipeline.total.0);
}

#[test]
fn numbers_for_people() {
    let shown: Vec<String> =
        [0.0, 0.0421, 0.42, 9.96, 43.12, 99.96, 655.4, 1_250.0, 1e6].map(text::number).to_vec();
    assert_eq!(shown, ["0", "0.042", "0.42", "9.96", "43.1", "100", "655", "1,250", "1,000,000"]);
    let shown: Vec<String> = [100.0, 99.996, 99.99999, 99.5, 50.0, 0.012].map(text::percent).to_vec();
    assert_eq!(shown, ["100 %", "99.996 %", ">99.999 %", "99.5 %", "50 %", "0.01 %"]);
    assert_eq!((text::span(270.0), text::span(3_725.0)), ("4:30".to_owned(), "1:02:05".to_owned()));
}

#[test]
fn a_chart_over_time_is_drawn_to_scale() {
    let at = |at_s: f64, rps: f64| Point { at_s, target_rps: Some(rps), ..Point::default() };
    let charts = TestCharts {
        levels: vec![LevelSpan { name: "hold".into(), hold: true, void: false, from_s: 0.0, to_s: 20.0 }],
        actions: vec![ActionSpan {
            key: "1".into(),
            text: "mapping disabled for 6s".into(),
            from_s: 10.0,
            to_s: 16.0,
        }],
        // A silence of more than five points breaks the line.
        points: vec![at(0.0, 0.0), at(2.0, 50.0), at(18.0, 100.0), at(20.0, 100.0)],
        seconds_per_point: 1,
        duration_s: 20.0,
        ..TestCharts::default()
    };
    let drawn = html::over_time::target_chart_for_tests(&charts);
    // The plot is 558 wide from x 68 and 196 high from y 218 upwards.
    assert!(drawn.contains(r#"d="M68 218L123.8 120M570.2 22L626 22""#), "{drawn}");
    assert!(
        drawn.contains(r#"<rect class="action-band" x="347" y="22" width="167.4" height="196">"#),
        "{drawn}"
    );
    assert!(drawn.contains("0:18\nhold\ntarget: 100 records/s"), "{drawn}");
}

/// Levels need not start with a whole second, and the second in which one follows another has two rows.
#[test]
fn rates_do_not_dip_where_levels_meet_within_a_second() {
    let model = changed(|evidence| {
        complete(evidence);
        let start_ms = evidence.seconds[0].at_ms;
        for (index, level) in evidence.tests[0].levels.iter_mut().enumerate() {
            // 2.5 s each, from half a second after a whole one.
            level.planned_s = 2.5;
            level.started_us = Some((start_ms + 500 + index as i64 * 2_500) * 1_000);
        }
        evidence.tests[0].ended_us = Some((start_ms + 10_500) * 1_000);
        let row = evidence.seconds[0].clone();
        let at = |second: i64, level: u32, acked: u64| crate::evidence::model::SecondRow {
            at_ms: start_ms + second * 1_000,
            level,
            target_rps: 100.0,
            acked,
            ..row.clone()
        };
        // 100/s throughout: the first and the last second have half of it.
        evidence.seconds = vec![
            at(0, 0, 50),
            at(1, 0, 100),
            at(2, 0, 100),
            at(3, 1, 100),
            at(4, 1, 100),
            at(5, 1, 50),
            at(5, 2, 50),
            at(6, 2, 100),
            at(7, 2, 100),
            at(8, 3, 100),
            at(9, 3, 100),
            at(10, 3, 50),
        ];
    });
    let rates: Vec<Option<f64>> = model.tests[0].charts.points.iter().map(|point| point.acked_rps).collect();
    assert_eq!(rates, vec![Some(100.0); 11]);
}

#[test]
fn long_tests_are_thinned_to_a_bounded_number_of_points() {
    let model = changed(|evidence| {
        let start_ms = evidence.seconds[0].at_ms;
        let row = evidence.seconds[0].clone();
        // A day, second by second, on level 1, with one slow second.
        evidence.tests[0].levels[1].planned_s = 86_400.0;
        evidence.tests[0].ended_us = Some((start_ms + 86_400_000) * 1_000);
        evidence.seconds = (0..86_400)
            .map(|second| crate::evidence::model::SecondRow {
                at_ms: start_ms + second * 1_000,
                level: 1,
                put_p95_ms: if second == 40_000 { 900.0 } else { 10.0 },
                ..row.clone()
            })
            .collect();
    });
    let points = &model.tests[0].charts.points;
    assert!(points.len() <= 301, "{}", points.len());
    // What a reader looks for is not averaged away.
    assert_eq!(points.iter().filter_map(|point| point.put_p95_ms).reduce(f64::max), Some(900.0));
}
