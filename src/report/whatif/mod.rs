//! A grid of rehearsals, `rehearse --set`: which settings meet every criterion, and what each of them costs. One model, one
//! file a format.

mod build;
mod html;
mod markdown;
mod model;
mod monthly;
mod scatter;
mod terminal;
#[cfg(test)]
mod tests;
mod words;

pub use build::{Grid, build, row, without_report};
pub use html::html;
pub use markdown::markdown;
pub use model::{Broke, Outcome, Row, WhatIf};
pub use terminal::terminal;
pub use words::csv;

/// `whatif.json`: indented, keys in the order of the model, a line feed at the end.
pub fn json(whatif: &WhatIf) -> String {
    let mut text = serde_json::to_string_pretty(whatif)
        .expect("strings, whole numbers and finite floats always serialize");
    text.push('\n');
    text
}

/// Its JSON Schema, as `schemas/whatif-v1.schema.json` holds it.
pub fn schema() -> String {
    let generator = schemars::generate::SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut text = serde_json::to_string_pretty(&generator.into_root_schema_for::<WhatIf>())
        .expect("a JSON value always serializes");
    text.push('\n');
    text
}
