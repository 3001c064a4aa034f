//! What `report.json` promises (docs/report.md): within v1 no key goes, none changes its type. `schemas/report-v1.keys.txt`
//! lists all that was ever published.

use std::collections::BTreeSet;

use serde_json::Value;

use super::testing::*;

const KEYS_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/report-v1.keys.txt");

/// Each key of the report as `path type`, for example `tests[].levels[].void string|null`. `*` stands for the keys of an
/// open map; `?` behind a path says that the key may be left out.
pub(super) fn keys_of_the_schema() -> BTreeSet<String> {
    let schema = closed_schema();
    let mut keys = BTreeSet::new();
    walk(&schema, &schema, "", &mut keys);
    keys
}

fn walk(root: &Value, node: &Value, path: &str, keys: &mut BTreeSet<String>) {
    let node = resolved(root, node);
    let parts = node["anyOf"].as_array().into_iter().flatten();
    parts.for_each(|part| walk(root, part, path, keys));
    let required: Vec<&str> =
        node["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (key, member) in node["properties"].as_object().into_iter().flatten() {
        let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let optional = if required.contains(&key.as_str()) { "" } else { "?" };
        keys.insert(format!("{inner}{optional} {}", types(root, member)));
        walk(root, member, &inner, keys);
    }
    if node["additionalProperties"].is_object() {
        let inner = format!("{path}.*");
        keys.insert(format!("{inner} {}", types(root, &node["additionalProperties"])));
        walk(root, &node["additionalProperties"], &inner, keys);
    }
    if node["items"].is_object() {
        walk(root, &node["items"], &format!("{path}[]"), keys);
    }
}

fn resolved<'s>(root: &'s Value, node: &'s Value) -> &'s Value {
    match node["$ref"].as_str() {
        Some(reference) => root.pointer(reference.trim_start_matches('#')).expect("a definition"),
        None => node,
    }
}

/// `number|null`; of an array also what it holds.
fn types(root: &Value, node: &Value) -> String {
    let node = resolved(root, node);
    let mut found: BTreeSet<String> = BTreeSet::new();
    for part in node["anyOf"].as_array().into_iter().flatten() {
        found.insert(types(root, part));
    }
    let named = match &node["type"] {
        Value::Array(several) => several.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Value::String(one) => vec![one.clone()],
        _ if node["oneOf"].is_array() || node["enum"].is_array() => vec!["string".to_owned()],
        _ => Vec::new(),
    };
    for name in named {
        let of = if name == "array" && node["items"].is_object() {
            format!(" of {}", types(root, &node["items"]))
        } else {
            String::new()
        };
        found.insert(format!("{name}{of}"));
    }
    // Null stands last: `number|null`.
    let (nulls, types): (Vec<String>, Vec<String>) = found.into_iter().partition(|name| name == "null");
    types.into_iter().chain(nulls).collect::<Vec<_>>().join("|")
}

#[test]
fn no_key_of_v1_goes_or_changes_its_type() {
    let promised = std::fs::read_to_string(KEYS_FILE).unwrap_or_default();
    let promised: BTreeSet<String> = promised.lines().map(str::to_owned).collect();
    let now = keys_of_the_schema();
    assert!(now.len() > 200 && now.iter().all(|key| !key.ends_with(' ')), "{now:?}");
    let broken: Vec<&String> = promised.difference(&now).collect();
    assert!(
        broken.is_empty(),
        "promised for v1, and now gone or of another type (docs/report.md#the-promise; only a v2 may do so): {broken:#?}"
    );
    let new: Vec<&String> = now.difference(&promised).collect();
    if std::env::var_os("STREAMGAUGE_BLESS").is_some() {
        let text: String = now.iter().map(|key| format!("{key}\n")).collect();
        std::fs::write(KEYS_FILE, text).expect("the list can be written");
    } else {
        assert!(
            new.is_empty(),
            "new keys are promises, too: STREAMGAUGE_BLESS=1 adds them to the list: {new:#?}"
        );
    }
}

#[test]
fn the_published_schema_takes_a_report_of_a_later_v1() {
    let published: Value = serde_json::from_str(&super::schema()).expect("JSON");
    let published = jsonschema::validator_for(&published).expect("a schema");
    let mut later: Value = serde_json::from_str(&super::json(&rich())).expect("JSON");
    assert!(published.is_valid(&later) && schema_of_the_repository().is_valid(&later));
    later["surprise"] = 1.into();
    later["tests"][0]["levels"][0]["surprise_ms"] = 1.5.into();
    later["tests"][0]["levels"][0]["kind"] = "wave".into();
    assert!(published.is_valid(&later));
    assert!(!schema_of_the_repository().is_valid(&later));
    later["tests"][0]["verdict"] = "maybe".into();
    assert!(!published.is_valid(&later));
}

#[test]
fn a_csv_has_a_column_for_every_figure_of_a_level() {
    let prefix = "tests[].levels[].";
    let figures = keys_of_the_schema().into_iter().filter_map(|key| {
        let (path, types) = key.strip_prefix(prefix)?.split_once(' ')?;
        let figure = !types.contains("object") && !path.contains('*');
        figure.then(|| path.trim_end_matches('?').replace('.', "_"))
    });
    assert_eq!(
        figures.collect::<BTreeSet<String>>(),
        super::csv::OF_THE_LEVEL.iter().map(|name| (*name).to_owned()).collect()
    );
}
