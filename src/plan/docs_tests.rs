//! Keeps what is generated from the code, and what describes it, in step with it. `STREAMGAUGE_BLESS=1`
//! rewrites the generated files.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::*;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn shipped_files() -> Vec<(PathBuf, String)> {
    let files = std::fs::read_dir(repository().join("plans")).unwrap();
    let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

fn is_plan(path: &Path) -> bool {
    path.extension().is_some_and(|its| its == "yaml")
}

fn shipped_plans() -> Vec<(PathBuf, String)> {
    shipped_files().into_iter().filter(|(path, _)| is_plan(path)).collect()
}

/// What stands beside the shipped plans, by name.
fn beside_the_plans() -> std::collections::BTreeMap<String, bytes::Bytes> {
    let others = shipped_files().into_iter().filter(|(path, _)| !is_plan(path));
    let named = |(path, text): (PathBuf, String)| {
        (path.file_name().unwrap().to_string_lossy().into_owned(), text.into())
    };
    others.map(named).collect()
}

fn compare_or_bless(file: &str, generated: &str) {
    let path = repository().join(file);
    if std::env::var_os("STREAMGAUGE_BLESS").is_some() {
        std::fs::write(&path, generated).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == generated, "{file} is not what the code generates: STREAMGAUGE_BLESS=1 rewrites it");
}

fn schema_of(text: &str) -> serde_json::Value {
    serde_yaml::from_str(text).unwrap()
}

#[test]
fn the_json_schema_is_the_types() {
    let mut text = serde_json::to_string_pretty(&json_schema()).unwrap();
    text.push('\n');
    compare_or_bless("schemas/plan-v1.schema.json", &text);
}

#[test]
fn every_shipped_plan_is_right_for_us_and_for_the_schema() {
    let plans = shipped_plans();
    assert!(plans.len() >= 2);
    let validator = jsonschema::validator_for(&json_schema()).unwrap();
    for (path, text) in plans {
        let path = path.display();
        let plan = parse_with(&text, &beside_the_plans())
            .unwrap_or_else(|errors| panic!("{}", errors.in_file(&path.to_string())));
        assert!(!plan.name.is_empty());
        let violations: Vec<String> =
            validator.iter_errors(&schema_of(&text)).map(|error| error.to_string()).collect();
        assert!(violations.is_empty(), "{path}: {violations:?}");
    }
}

/// An editor with the schema flags what we would refuse, as far as a schema can.
#[test]
fn the_schema_refuses_what_it_can() {
    let validator = jsonschema::validator_for(&json_schema()).unwrap();
    let quickstart = std::fs::read_to_string(repository().join("plans/quickstart.yaml")).unwrap();
    for (from, to) in [
        ("schema: streamgauge/plan/v1", "schema: streamgauge/plan/v2"),
        ("name: quickstart", "title: quickstart"),
        ("shards: 1", "shards: 0"),
        ("payload: medium", "payload: huge"),
        ("put: record", "put: both"),
        ("duration: 3s", "duration: 3"),
        ("target: 50}", "target: 50/s}"),
        ("target: 50}", "target: -1}"),
        ("id: quickstart", "id: quick start"),
    ] {
        let changed = quickstart.replacen(from, to, 1);
        assert_ne!(changed, quickstart, "{from}");
        assert!(!validator.is_valid(&schema_of(&changed)), "{to}");
        assert!(parse(&changed).is_err(), "{to}");
    }
}

#[test]
fn the_shipped_plans_ask_for_what_they_say() {
    let read =
        |name: &str| parse(&std::fs::read_to_string(repository().join("plans").join(name)).unwrap()).unwrap();
    let holds = |plan: &Plan| -> Vec<f64> {
        let stages = plan.tests().flat_map(|test| &test.stages);
        stages.filter(|stage| stage.kind == StageKind::Hold).map(|stage| stage.target_rps).collect()
    };
    let quickstart = read("quickstart.yaml");
    assert_eq!(holds(&quickstart), [50.0, 200.0, 500.0]);
    assert_eq!(quickstart.tests().next().unwrap().duration().as_secs(), 39);
    let breaking = read("breaking-point.yaml");
    assert_eq!(holds(&breaking), [600.0, 900.0, 1_100.0, 1_500.0]);
    assert_eq!(breaking.tests().next().unwrap().put_attempts, 2);
    // The published size of the four-week plan: ten tests, and 3.3 beside them.
    let weekly = read("weekly.yaml");
    let ten: Vec<&Test> = weekly.tests().filter(|test| test.id != "3.3").collect();
    let seconds: u64 = ten.iter().map(|test| test.duration().as_secs()).sum();
    let records = |is_wanted: fn(&Stage) -> bool| -> f64 {
        let stages = ten.iter().flat_map(|test| &test.stages).filter(|stage| is_wanted(stage));
        stages.map(|stage| (stage.from_rps + stage.target_rps) / 2.0 * stage.duration.as_secs_f64()).sum()
    };
    assert_eq!((ten.len(), seconds / 60), (10, 27 * 60 + 22));
    assert_eq!((records(|_| true) / 1e4).round(), 627.0);
    assert_eq!((records(|stage| stage.kind == StageKind::Hold) / 1e4).round(), 506.0);
    let matrix = read("matrix.yaml");
    assert_eq!((matrix.tests().count(), holds(&matrix).len()), (5, 35));
}

#[test]
fn every_shipped_plan_names_its_schema_for_editors() {
    for (path, text) in shipped_plans() {
        let named =
            text.lines().any(|line| line == "# yaml-language-server: $schema=../schemas/plan-v1.schema.json");
        assert!(named, "{}", path.display());
    }
}

#[test]
fn the_document_of_metrics_is_the_table() {
    let mut text = String::from(concat!(
        "# Metrics that a criterion may name\n\n",
        "Generated from the code (`STREAMGAUGE_BLESS=1 cargo test --lib plan::` rewrites it); do not edit.\n\n",
        "A criterion is `name[.stat] op number[unit]`, for example `put_latency.p95 < 100ms`. `op` is one of\n",
        "`<`, `<=`, `>`, `>=`, `==`. Times take `ms`, `s` or `m`. A metric with statistics needs one of them,\n",
        "any other takes none; `throughput_ratio` takes it or not. The statistic of a function stands inside:\n",
        "`drift(put_latency.p95) < 10%`. How the functions are worked out: `docs/statistics.md`. *Judged on* says where\n",
        "it must hold: on every level that is judged (the holds and the\n",
        "parts of a series; the ramps where a test has neither), or once over the whole test.\n\n",
        "| name | statistics | unit | judged on | is |\n|---|---|---|---|---|\n",
    ));
    for metric in Metric::all() {
        let stats: Vec<String> = metric.stats().iter().map(|stat| format!("`.{}`", stat.as_str())).collect();
        let unit = match metric.unit() {
            Unit::Count => "count",
            unit => unit.as_str(),
        };
        let judged_on = if metric.is_per_level() { "each level" } else { "the test" };
        let (name, stats, meaning) = (metric.name(), stats.join(" "), metric.meaning());
        writeln!(text, "| `{name}` | {stats} | {unit} | {judged_on} | {meaning} |").unwrap();
    }
    text.push_str("\nRed flags that `flags:` may name, each with `note` (the default) or `stop`:\n\n");
    for flag in Flag::ALL {
        writeln!(text, "- `{}`", flag.as_str()).unwrap();
    }
    compare_or_bless("docs/metrics.md", &text);
}

/// Every key that a plan may hold stands in the reference, and every example there is a plan.
#[test]
fn the_reference_names_every_key_and_its_examples_are_plans() {
    let reference = std::fs::read_to_string(repository().join("docs/plan.md")).unwrap();
    let schema = json_schema();
    let mut keys = Vec::new();
    collect_keys(&schema, &mut keys);
    assert!(keys.len() > 50, "{}", keys.len());
    let missing: Vec<&String> = keys.iter().filter(|key| !reference.contains(&format!("`{key}`"))).collect();
    assert!(missing.is_empty(), "docs/plan.md does not name {missing:?}");
    let examples: Vec<&str> =
        reference.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(!examples.is_empty());
    for example in examples {
        parse(example).unwrap_or_else(|errors| panic!("{}", errors.in_file("docs/plan.md")));
    }
}

fn collect_keys(schema: &serde_json::Value, keys: &mut Vec<String>) {
    match schema {
        serde_json::Value::Object(members) => {
            if let Some(properties) = members.get("properties").and_then(serde_json::Value::as_object) {
                keys.extend(properties.keys().cloned());
            }
            members.values().for_each(|value| collect_keys(value, keys));
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| collect_keys(value, keys)),
        _ => {}
    }
}
