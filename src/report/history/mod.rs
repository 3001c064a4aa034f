//! One figure over the runs of a plan: as a table, a chart and JSON.

mod build;
mod html;
mod model;
mod terminal;
#[cfg(test)]
mod tests;

pub use build::build;
pub use html::html;
pub use model::{History, Place, Series};
pub use terminal::terminal;

/// The history as JSON: indented, keys in the order of the model, a line feed at the end.
pub fn json(history: &History) -> String {
    let mut text = serde_json::to_string_pretty(history)
        .expect("strings, whole numbers and finite floats always serialize");
    text.push('\n');
    text
}

/// Its JSON Schema, as `schemas/history-v1.schema.json` holds it.
pub fn schema() -> String {
    let generator = schemars::generate::SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut text = serde_json::to_string_pretty(&generator.into_root_schema_for::<History>())
        .expect("a JSON value always serializes");
    text.push('\n');
    text
}
