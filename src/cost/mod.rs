//! Cost: a price book times measured use gives lines; lines add up. Pure; money is exact decimal.
//!
//! Two totals are always kept apart: the **pipeline** (what production would pay) and the **test** (what
//! only the measuring costs). `docs/cost.md` walks through the arithmetic.

mod book;
mod forecast;
mod lines;
mod price;
mod project;
#[cfg(test)]
mod tests;

pub use book::{BUILTIN_PRICES, Confidence, Price, PriceBook, PriceError, PriceId, Tier};
pub use forecast::{ForecastAssumptions, forecast};
pub use lines::{Line, Lines, grouped, usd};
pub use price::{Cost, level_per_million, price};
pub use project::{
    BreakEven, LAMBDA_LOG_BYTES_PER_INVOCATION, Mode, ProjectInput, ProjectRow, break_even,
    monthly_cost_of_shards, project,
};
