use super::bars::{BarChart, Row, Segment};
use super::lines::{Band, Line, LineChart, Mark, XAxis, YAxis, percentile};
use super::scale::{Scale, nice_step, short, time_tick};

fn chart(lines: Vec<Line>) -> LineChart<'static> {
    LineChart {
        title: "Rate",
        unit: "records/s",
        x: XAxis::Time { to_s: 20.0, of: "the test" },
        y: YAxis::Linear,
        lines,
        bars: None,
        bands: Vec::new(),
        marks: Vec::new(),
        limit: None,
    }
}

fn line(points: &[(f64, f64)]) -> Line {
    Line { name: "acked".into(), class: "s1", points: points.to_vec(), ..Line::default() }
}

#[test]
fn a_linear_scale_starts_at_zero_and_ends_at_a_round_number() {
    let scale = Scale::linear(430.0, 5, (218.0, 22.0));
    assert_eq!(scale.ticks, [0.0, 100.0, 200.0, 300.0, 400.0, 500.0]);
    assert_eq!((scale.at(0.0), scale.at(250.0), scale.at(500.0)), (218.0, 120.0, 22.0));
    assert_eq!(scale.at(9_999.0), 22.0, "what is beyond is drawn at the end");
    assert_eq!(Scale::linear(500.0, 5, (0.0, 1.0)).ticks.last(), Some(&500.0), "no empty step above");
    assert_eq!(Scale::linear(0.0, 5, (218.0, 22.0)).ticks.last(), Some(&1.0), "nothing but zeros");
    assert_eq!([0.7, 1.0, 1.1, 3.0, 70.0].map(nice_step), [1.0, 1.0, 2.0, 5.0, 100.0]);
}

#[test]
fn a_logarithmic_scale_spans_whole_powers_of_ten() {
    let scale = Scale::log(8.0, 900.0, (0.0, 300.0));
    assert_eq!(scale.ticks, [1.0, 10.0, 100.0, 1_000.0]);
    assert_eq!([1.0, 10.0, 100.0, 1_000.0].map(|value| scale.at(value).round()), [0.0, 100.0, 200.0, 300.0]);
    assert_eq!(Scale::log(20.0, 90.0, (0.0, 1.0)).ticks, [10.0, 20.0, 50.0, 100.0]);
    assert_eq!(scale.at(0.0), 0.0);
}

#[test]
fn ticks_of_time_are_those_that_people_count() {
    let ticks = |to_s: f64| {
        let ticks = Scale::time(to_s, (0.0, 1.0)).ticks;
        ticks.iter().map(|at| time_tick(*at, &ticks)).collect::<Vec<_>>()
    };
    assert_eq!(ticks(47.0), ["0:00", "0:10", "0:20", "0:30", "0:40"]);
    assert_eq!(ticks(3_600.0), ["0:00", "10:00", "20:00", "30:00", "40:00", "50:00", "1:00:00"]);
    assert_eq!(ticks(86_400.0), ["0:00", "4 h", "8 h", "12 h", "16 h", "20 h", "24 h"]);
    assert_eq!(ticks(7.0 * 86_400.0), ["0:00", "48 h", "96 h", "144 h"]);
    assert_eq!([0.25, 2_000.0, 25_000.0, 1_500_000.0].map(short), ["0.25", "2,000", "25k", "1.5M"]);
}

#[test]
fn percentiles_are_named_with_the_digits_they_need() {
    assert_eq!([0.0, 1.0, 2.0, 3.0, 4.0, 5.0].map(percentile), ["0", "90", "99", "99.9", "99.99", "99.999"]);
    assert_eq!(percentile(0.5), "68.4");
    assert_eq!(percentile(2.5), "99.68");
}

#[test]
fn lines_break_where_points_are_missing_and_a_lone_point_is_seen() {
    let gapped = Line {
        gap: Some(5.0),
        ..line(&[(0.0, 0.0), (2.0, 50.0), (10.0, 75.0), (18.0, 100.0), (20.0, 100.0)])
    };
    let drawn = chart(vec![gapped]).draw().into_string();
    assert!(drawn.contains(r#"d="M68 218L123.8 120M347 71h2M570.2 22L626 22""#), "{drawn}");
    assert!(drawn.contains("aria-label=\"Rate, records/s. acked: 0 to 100, the most at 0:18.\""), "{drawn}");
    assert_eq!(chart(vec![line(&[])]).draw().into_string(), "", "nothing measured, nothing drawn");
    assert_eq!(chart(vec![]).draw().into_string(), "");
}

#[test]
fn hover_columns_are_bounded_and_hide_no_spike() {
    let points: Vec<(f64, f64)> =
        (0..300).map(|at| (f64::from(at) / 15.0, if at == 152 { 900.0 } else { 10.0 })).collect();
    let drawn = chart(vec![line(&points)]).draw().into_string();
    assert_eq!(drawn.matches("<title>").count(), 60);
    assert!(drawn.contains("0:10 to 0:10, at most\nacked: 900 records/s"), "{drawn}");
}

#[test]
fn marks_stand_at_their_time_and_share_a_box_where_they_are_close() {
    let mark = |key: &str, at, foot| Mark { key: key.into(), text: format!("flag {key}"), at, foot };
    let marked = LineChart {
        marks: vec![
            mark("A", 10.0, false),
            mark("1", 5.0, true),
            mark("B", 10.5, false),
            mark("C", 20.0, false),
        ],
        bands: vec![Band { name: "hold".into(), class: "band", from: 0.0, to: 10.0, labelled: true }],
        ..chart(vec![line(&[(0.0, 1.0), (20.0, 1.0)])])
    };
    let drawn = marked.draw().into_string();
    assert!(drawn.contains(r#"<line class="mark" x1="347" x2="347" y1="22" y2="218">"#), "{drawn}");
    assert!(drawn.contains("<title>A flag A\nB flag B</title>"), "{drawn}");
    assert!(drawn.contains("A\u{2013}B</text>") && drawn.contains(">C</text>"), "{drawn}");
    // The last box ends with the plot.
    assert!(drawn.contains(r#"<rect x="602" y="22" width="24" height="22" rx="3">"#), "{drawn}");
    assert!(drawn.contains(r#"<g class="mark act"><title>1 flag 1</title>"#), "{drawn}");
    assert!(drawn.contains(r#"<rect class="band" x="68" y="22" width="279" height="196">"#), "{drawn}");
    assert!(drawn.contains("0:00\nhold\nacked: 1 records/s"), "{drawn}");
}

#[test]
fn names_in_a_row_stand_evenly_and_are_thinned_to_what_fits() {
    let runs = |count: usize| LineChart {
        x: XAxis::Names { of: "run", names: (0..count).map(|run| format!("run-{run:02}")).collect() },
        ..chart(vec![Line {
            dots: true,
            whiskers: (0..count).map(|run| (run as f64, run as f64 + 2.0)).collect(),
            ..line(&(0..count).map(|run| (run as f64, run as f64 + 1.0)).collect::<Vec<_>>())
        }])
    };
    let drawn = runs(3).draw().into_string();
    assert!(
        drawn.contains(r#"<circle class="dot s1" cx="347""#),
        "the second of three is in the middle: {drawn}"
    );
    assert!(drawn.contains("run-01\nacked: 2 records/s (1 to 3)"), "{drawn}");
    let many = runs(50).draw().into_string();
    let named = (0..50).filter(|run| many.contains(&format!(">run-{run:02}</text>"))).count();
    assert!((2..=7).contains(&named) && many.contains(">run-49</text>"), "{named}");
    assert!(runs(1).draw().into_string().contains(r#"cx="347""#));
}

#[test]
fn bars_stack_to_scale() {
    let segment =
        |name: &str, class, value| Segment { name: name.into(), class, value, shown: format!("{value} ms") };
    let rows = [Row {
        segments: vec![segment("put", "f1", 40.0), segment("stream", "f2", 60.0)],
        ..Row::named("200/s hold")
    }];
    let chart = BarChart { title: "Stages", caption: "ms", tick: &short, log: false, rows: &rows };
    let drawn = chart.draw().into_string();
    // 608 wide from x 8, four steps of 25 rounded up to 50: 100 is the end.
    assert!(drawn.contains(r#"<rect class="f1" x="8" y="23" width="243.20" height="15">"#), "{drawn}");
    assert!(drawn.contains(r#"<rect class="f2" x="251.2" y="23" width="364.80" height="15">"#), "{drawn}");
    assert_eq!(BarChart { rows: &[], ..chart }.draw().into_string(), "");
    let many: Vec<Row> = (0..90).map(|_| rows[0].clone()).collect();
    let chart = BarChart { title: "Stages", caption: "ms", tick: &short, log: false, rows: &many };
    assert!(chart.draw().into_string().contains("50 more are in the table"));
}
