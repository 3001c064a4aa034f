//! `from`, `arrivals`, `keys` and `rates`, and the files that a plan names.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::*;

/// A plan of one test that has these keys.
fn plan_of(test: &str) -> String {
    format!(
        "schema: streamgauge/plan/v1\nname: p\ndefaults: {{arrivals: poisson, keys: {{count: 10, distribution: zipf, exponent: 2}}}}\n\
         phases:\n  - name: a\n    tests:\n      - id: \"1\"\n        name: t\n{test}"
    )
}

const STAGES: &str = "        stages: [{duration: 30s, target: 10}]\n";

fn beside(name: &str, content: impl Into<Bytes>) -> BTreeMap<String, Bytes> {
    BTreeMap::from([(name.to_owned(), content.into())])
}

fn only(plan: &Plan) -> &Test {
    plan.tests().next().unwrap()
}

fn first_error(text: &str, files: &dyn ReadFile) -> String {
    parse_with(text, files).expect_err("the plan is wrong").iter().next().unwrap().to_string()
}

#[test]
fn a_stage_begins_where_it_says() {
    let stages = "        stages: [{duration: 1m, from: 50, target: 50}, {duration: 10s, from: 500, target: 500}, {duration: 1m, from: 50, target: 0}, {duration: 1s, target: 1}]\n";
    let plan = parse(&plan_of(stages)).unwrap();
    let read: Vec<_> =
        only(&plan).stages.iter().map(|stage| (stage.kind, stage.from_rps, stage.target_rps)).collect();
    assert_eq!(
        read,
        [
            (StageKind::Hold, 50.0, 50.0),
            (StageKind::Hold, 500.0, 500.0),
            (StageKind::Ramp, 50.0, 0.0),
            (StageKind::Ramp, 0.0, 1.0)
        ]
    );
    assert_eq!(only(&plan).peak_rps(), 500.0);
    let wrong = plan_of("        stages: [{duration: 1m, from: -1, target: 50}]\n");
    assert!(first_error(&wrong, &NoFiles).contains("stages[0].from: found the number -1, expected a number"));
}

#[test]
fn keys_and_arrivals_come_from_the_defaults_unless_the_test_says() {
    let shape = |test: &str| {
        let plan = parse(&plan_of(&format!("{test}{STAGES}"))).unwrap_or_else(|errors| panic!("{errors}"));
        (only(&plan).arrivals, only(&plan).keys)
    };
    let zipf = |exponent| Keys { count: 10, seed: 1, distribution: KeyDistribution::Zipf { exponent } };
    assert_eq!(shape(""), (Arrivals::Poisson { seed: 1 }, zipf(2.0)));
    assert_eq!(shape("        arrivals: even\n        keys: {exponent: 0.5}\n"), (Arrivals::Even, zipf(0.5)));
    let (arrivals, keys) = shape(
        "        arrivals: {process: poisson, seed: 9}\n        keys: {distribution: hot, hot_share: 12.5%}\n",
    );
    assert_eq!(arrivals, Arrivals::Poisson { seed: 9 });
    assert_eq!(keys, Keys { count: 10, seed: 1, distribution: KeyDistribution::Hot { share: 0.125 } });
    let (_, keys) = shape("        keys: {count: 3, seed: 4, distribution: round_robin}\n");
    assert_eq!(keys, Keys { count: 3, seed: 4, distribution: KeyDistribution::RoundRobin });
    assert_eq!(shape("        keys: {distribution: uniform}\n").1, Keys::uniform(10, 1));
}

#[test]
fn says_what_is_wrong_with_keys_and_arrivals() {
    for (test, expected) in [
        (
            "arrivals: bursty",
            "arrivals: found `bursty`, expected even, poisson, or {process: poisson, seed: 7}",
        ),
        ("arrivals: {seed: 1}", "arrivals: found a mapping, expected even, poisson"),
        ("arrivals: {process: poisson, seed: -1}", "arrivals.seed: found the number -1, expected 0 to"),
        ("arrivals: {process: even, seed: 1}", "arrivals.seed: found the number 1, expected nothing"),
        (
            "keys: {distribution: pareto}",
            "keys.distribution: found `pareto`, expected one of uniform, zipf, hot, round_robin",
        ),
        (
            "keys: {distribution: hot, exponent: 1}",
            "keys.exponent: found the number 1, expected nothing without `distribution: zipf`",
        ),
        ("keys: {exponent: -1}", "keys.exponent: found the number -1, expected 0 to 10"),
        ("keys: {exponent: .nan}", "keys.exponent: found the number .nan, expected 0 to 10"),
        (
            "keys: {hot_share: 50%}",
            "keys.hot_share: found `50%`, expected nothing without `distribution: hot`",
        ),
        (
            "keys: {distribution: hot, hot_share: 101%}",
            "keys.hot_share: found `101%`, expected a percentage above 0%",
        ),
        ("keys: {distribution: hot, count: 1}", "keys.count: found the number 1, expected at least 2 keys"),
    ] {
        let error = first_error(&plan_of(&format!("        {test}\n{STAGES}")), &NoFiles);
        assert!(error.contains(expected), "{test}: {error}");
    }
    let few = plan_of(&format!("        keys: {{count: 1, distribution: round_robin}}\n{STAGES}"));
    let few = few.replace("phases:", "environment: {stream: {shards: 2}}\nphases:");
    assert!(
        first_error(&few, &NoFiles).contains("keys.count: found 1 keys that take turns, expected at least 2")
    );
}

#[test]
fn a_series_becomes_stages() {
    let text = plan_of("        rates: {file: s.csv, scale: 2, last_row: 30s}\n");
    let plan = parse_with(&text, &beside("s.csv", "time_s,rate\n0,10\n60,0\n120,5.5\n")).unwrap();
    let read: Vec<_> = only(&plan)
        .stages
        .iter()
        .map(|stage| (stage.kind, stage.target_rps, stage.duration.as_secs()))
        .collect();
    assert_eq!(read, [(StageKind::Hold, 20.0, 60), (StageKind::Hold, 0.0, 60), (StageKind::Hold, 11.0, 30)]);
    let day: String = (0..1_440).map(|minute| format!("{},{}\n", minute * 60, minute % 7)).collect();
    let plan = parse_with(
        &text.replace(", scale: 2, last_row: 30s", ""),
        &beside("s.csv", format!("offset,rate\n{day}")),
    )
    .unwrap();
    let test = only(&plan);
    assert_eq!((test.stages.len(), test.duration()), (48, Duration::from_secs(86_400)));
    assert_eq!(
        (test.stages[0].kind, test.stages[0].steps.len(), test.peak_rps()),
        (StageKind::Replay, 30, 6.0)
    );
    assert!(test.stages.iter().all(|stage| stage.duration.as_secs() == 1_800));
}

#[test]
fn a_long_irregular_series_fits_the_plans_levels() {
    let rows: String = (0..86_400).map(|i| format!("{},{}\n", i * 2 + i % 2, i % 50)).collect();
    let text = plan_of("        rates: {file: s.csv}\n");
    let plan = parse_with(&text, &beside("s.csv", format!("time_s,rate\n{rows}"))).unwrap();
    let test = only(&plan);
    assert!(test.stages.len() <= 60, "{}", test.stages.len());
    let steps: usize = test.stages.iter().map(|stage| stage.steps.len()).sum();
    assert_eq!((steps, test.duration().as_secs()), (86_400, 86_399 * 2 + 1 + 3));
}

#[test]
fn says_where_in_which_file() {
    let text = plan_of("        rates: {file: data/s.csv}\n");
    let series = |content: &'static [u8]| beside("data/s.csv", content);
    for (content, expected) in [
        (&b"time_s,rate\n0,x\n"[..], "plans/data/s.csv:2:3: rate: found `x`, expected a number of records"),
        (b"", "plans/data/s.csv:1:1: rates: found no header, expected the header time_s,rate"),
        (
            b"time_s,rate\n0,1\n6\xff,2\n",
            "plans/data/s.csv:3:2: file: found the byte 0xff, which is not UTF-8",
        ),
        (
            b"time_s,rate\n0,1\n",
            "plans/p.yaml:9:16: phases[0].tests[0].rates.last_row: found nothing, and a series of one row",
        ),
        (
            b"time_s,rate\n0,0\n60,0\n",
            "plans/p.yaml:9:23: phases[0].tests[0].rates.file: found a series that sends nothing",
        ),
        (b"time_s,rate\n0,1\n2678400,0\n", "rates.file: found a series of more than 31 days"),
    ] {
        let errors = parse_with(&text, &series(content)).expect_err("the series is wrong");
        let told = errors.in_file("plans/p.yaml").to_string();
        assert!(told.contains(expected), "{told}");
    }
    let missing = first_error(&text, &BTreeMap::new());
    assert!(
        missing.contains(
            "9:23: phases[0].tests[0].rates.file: found the file `data/s.csv`: there is no such file"
        ),
        "{missing}"
    );
    let large = beside("data/s.csv", vec![b' '; series::FILE_MAX_BYTES + 1]);
    assert!(first_error(&text, &large).contains("with more than 8388608 bytes"));
    for (rates, expected) in [
        ("{file: data/s.csv, scale: 0}", "rates.scale: found the number 0, expected a number above 0"),
        (
            "{file: data/s.csv, scale: 1e7}",
            "rates.scale: found 30000000 records a second, expected at most 20000000",
        ),
        ("{file: ' '}", "rates.file: found ` `, expected the path of a file"),
        ("{}", "rates.file: found nothing, expected the path of a CSV file"),
        (
            "{file: data/s.csv}\n        stages: [{duration: 1s, target: 1}]",
            "stages: found a list, expected nothing beside `rates`",
        ),
    ] {
        let text = plan_of(&format!("        rates: {rates}\n"));
        let error = first_error(&text, &series(b"time_s,rate\n0,3\n60,2\n"));
        assert!(error.contains(expected), "{error}");
    }
}

/// A campaign must not go on with another series than it began with.
#[test]
fn a_changed_file_is_a_changed_plan() {
    let text = plan_of("        rates: {file: s.csv, last_row: 1s}\n");
    let read = |content: &'static str| parse_with(&text, &beside("s.csv", content)).unwrap();
    let (one, same, other) =
        (read("time_s,rate\n0,1\n"), read("time_s,rate\n0,1\n"), read("time_s,rate\n0,2\n"));
    assert_eq!((&one.hash, one.hash.len()), (&same.hash, 64));
    assert_ne!(one.hash, other.hash);
    assert_eq!(one.files["s.csv"].content, "time_s,rate\n0,1\n");
    let without = parse(&plan_of(STAGES)).unwrap();
    assert!(without.files.is_empty());
    let hash = {
        use sha2::Digest;
        hex::encode(sha2::Sha256::digest(without.text.as_bytes()))
    };
    assert_eq!(without.hash, hash, "a plan by itself is its text");
}
