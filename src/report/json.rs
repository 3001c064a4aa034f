//! `report.json` and its schema.

use super::model::ReportModel;

/// The model as `report.json`: indented, keys in the order of the model, a line feed at the end.
pub fn json(model: &ReportModel) -> String {
    let mut text = serde_json::to_string_pretty(model)
        .expect("strings, whole numbers, finite floats and maps with string keys always serialize");
    text.push('\n');
    text
}

/// The JSON Schema of `report.json`, as `schemas/report-v1.schema.json` holds it.
pub fn schema() -> String {
    let generator = schemars::generate::SchemaSettings::draft2020_12().for_serialize().into_generator();
    let schema = generator.into_root_schema_for::<ReportModel>();
    let mut text = serde_json::to_string_pretty(&schema).expect("a JSON value always serializes");
    text.push('\n');
    text
}
