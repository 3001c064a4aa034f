//! The period's JSON and its schema.

use super::model::PeriodModel;

/// The model: indented, keys in its order, a line feed at the end.
pub fn json(model: &PeriodModel) -> String {
    let mut text = serde_json::to_string_pretty(model)
        .expect("strings, whole numbers, finite floats and maps with string keys always serialize");
    text.push('\n');
    text
}

/// The JSON Schema of it, as `schemas/period-v1.schema.json` holds it.
pub fn schema() -> String {
    let generator = schemars::generate::SchemaSettings::draft2020_12().for_serialize().into_generator();
    let schema = generator.into_root_schema_for::<PeriodModel>();
    let mut text = serde_json::to_string_pretty(&schema).expect("a JSON value always serializes");
    text.push('\n');
    text
}
