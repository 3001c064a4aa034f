//! Report: one model, one rendering a file. Every writer is a pure function of the model and returns text,
//! so that the same run directory always gives the same report. `docs/report.md` describes each file.

mod actions;
mod blocked;
mod breaking_point;
mod build;
mod charts;
mod closed_loop;
pub mod compare;
mod csv;
mod escape;
mod existing;
#[cfg(test)]
mod formats_tests;
pub mod history;
mod html;
mod json;
mod junit;
mod markdown;
pub mod model;
pub mod period;
#[cfg(test)]
mod planted_tests;
#[cfg(test)]
mod promise_tests;
mod recovery;
mod short;
#[cfg(test)]
mod short_tests;
mod summary;
#[cfg(test)]
mod summary_tests;
pub mod svg;
mod terminal;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod text;
pub mod whatif;

pub use build::{build, of};
pub use csv::csv;
pub use html::{html, period as period_html};
pub use json::{json, schema};
pub use junit::junit;
pub use markdown::markdown;
pub use model::ReportModel;
pub use short::short;
pub use terminal::terminal;
pub use text::span;
