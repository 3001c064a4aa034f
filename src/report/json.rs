//! `report.json` and its schema.

use schemars::Schema;
use schemars::transform::{RecursiveTransform, Transform};
use serde_json::Value;

use super::model::ReportModel;

/// The model as `report.json`: indented, keys in the order of the model, a line feed at the end.
pub fn json(model: &ReportModel) -> String {
    let mut text = serde_json::to_string_pretty(model)
        .expect("strings, whole numbers, finite floats and maps with string keys always serialize");
    text.push('\n');
    text
}

/// The JSON Schema of `report.json`, as `schemas/report-v1.schema.json` holds it. It is for readers: v1 may gain keys and
/// words (docs/report.md has the promise), so that it forbids neither; a report of a later version fits it, too.
pub fn schema() -> String {
    let generator = schemars::generate::SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut schema = generator.into_root_schema_for::<ReportModel>();
    RecursiveTransform(open).transform(&mut schema);
    let mut text = serde_json::to_string_pretty(&schema).expect("a JSON value always serializes");
    text.push('\n');
    text
}

/// Allows keys that are not listed, and turns the lists of words, the verdicts' aside, into examples.
fn open(schema: &mut Schema) {
    let Some(members) = schema.as_object_mut() else { return };
    members.retain(|key, member| key != "additionalProperties" || *member != Value::Bool(false));
    // The verdict is a type of its own, which properties only refer to.
    let Some(Value::Object(properties)) = members.get_mut("properties") else { return };
    for property in properties.values_mut().filter_map(Value::as_object_mut) {
        let renamed = std::mem::take(property).into_iter().map(|(key, member)| match key.as_str() {
            "enum" => ("examples".to_owned(), member),
            _ => (key, member),
        });
        *property = renamed.collect();
    }
}
