//! The report of a day, a week or a whole campaign: one model over the runs that hold its tests, and a renderer a
//! format. Pure, as the report of a run is; `session::period` reads the run directories.

mod advice;
mod build;
mod complete;
mod csv;
mod document;
mod input;
mod json;
mod junit;
mod markdown;
pub mod model;
mod observed;
mod production;
mod profile;
mod projections;
mod short;
mod summary;
mod tables;
mod terminal;
#[cfg(test)]
mod tests;
mod then_and_now;

pub use build::build;
pub use complete::ProfileCell;
pub use csv::csv;
pub use input::{Gathered, Part, Request, Wanted};
pub use json::{json, schema};
pub use junit::junit;
pub use markdown::markdown;
pub use model::{Kind, PeriodModel, State};
pub use profile::cells;
pub use short::short;
pub use terminal::terminal;

pub(super) use document::{Block, Table, heat_text, sections};
pub(super) use markdown::axes;
