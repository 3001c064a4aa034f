//! Metric math: the expressions of GetMetricData queries and alarms.
//!
//! Source: CloudWatch user guide, "Using math expressions with CloudWatch metrics". Search expressions,
//! anomaly detection and Metrics Insights are refused by name.

mod evaluate;
mod parse;

pub use evaluate::{Evaluator, Operand, TimeSeries};
pub use parse::{Expression, parse};
