//! A comparison of two runs, in every format. Made of [`Comparison`] alone.

mod html;
mod markdown;
mod prediction;
mod terminal;
#[cfg(test)]
mod tests;
pub(super) mod words;

use crate::verdict::compare::Comparison;

pub use html::html;
pub use markdown::markdown;
pub use terminal::terminal;

/// `compare-<A>-<B>.json`: indented, keys in the order of the model, a line feed at the end.
pub fn json(comparison: &Comparison) -> String {
    let mut text = serde_json::to_string_pretty(comparison)
        .expect("strings, whole numbers and finite floats always serialize");
    text.push('\n');
    text
}

/// Its JSON Schema, as `schemas/compare-v1.schema.json` holds it.
pub fn schema() -> String {
    let generator = schemars::generate::SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut text = serde_json::to_string_pretty(&generator.into_root_schema_for::<Comparison>())
        .expect("a JSON value always serializes");
    text.push('\n');
    text
}
