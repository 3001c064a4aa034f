//! Report: one model, one rendering a file. Every writer is a pure function of the model and returns text,
//! so that the same run directory always gives the same report. `docs/report.md` describes each file.

mod actions;
mod blocked;
mod breaking_point;
mod build;
mod charts;
mod closed_loop;
pub mod compare;
mod existing;
pub mod history;
mod html;
mod json;
mod junit;
mod markdown;
pub mod model;
mod summary;
pub mod svg;
mod terminal;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod text;

pub use build::{build, of};
pub use html::html;
pub use json::{json, schema};
pub use junit::junit;
pub use markdown::markdown;
pub use model::ReportModel;
pub use terminal::terminal;
