//! What the plan would cost, and whether the prices can be trusted with that. Pure.

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::finding::Finding;
use crate::plan::Plan;
use crate::platform::clock::WallUs;

/// Prices change: after this they are worth a look.
const PRICES_AGE_MAX_DAYS: i32 = 365;

/// What the cost room says, in plain data.
#[derive(Clone, Debug, PartialEq)]
pub struct Money {
    /// `us-east-1`
    pub book_region: String,
    /// `2026-11-20`
    pub book_as_of: String,
    /// Of the whole plan, USD; `None` without a plan.
    pub forecast_usd: Option<Decimal>,
    /// Some of it has no price in the book.
    pub incomplete: bool,
}

/// The price book, and with a plan its forecast against its budget.
pub(super) fn judge(money: &Money, region: &str, now_us: WallUs, plan: Option<&Plan>) -> Vec<Finding> {
    let mut findings = vec![price_book(money, region, planned_end_us(now_us, plan))];
    if let Some(plan) = plan {
        findings.push(forecast(money, plan));
    }
    findings
}

fn planned_end_us(now_us: WallUs, plan: Option<&Plan>) -> WallUs {
    let lasts_us: u128 = plan.map_or(0, |plan| plan.tests().map(|test| test.duration().as_micros()).sum());
    now_us.saturating_add(WallUs::try_from(lasts_us).unwrap_or(WallUs::MAX))
}

fn price_book(money: &Money, region: &str, end_us: WallUs) -> Finding {
    const CHECK: &str = "price-book";
    let Money { book_region, book_as_of, .. } = money;
    let found = format!("prices of {book_region} as of {book_as_of}");
    if book_region != region {
        let hint =
            format!("nothing can be priced in {region} with it: pass --prices with a book of that region");
        return Finding::warning(CHECK, found, hint).needed(region);
    }
    match age_days(book_as_of, end_us) {
        Some(days) if days > PRICES_AGE_MAX_DAYS => {
            let found = format!("{found}: {days} days old at the planned end");
            let hint = "compare it with AWS's price list and pass a newer book with --prices";
            Finding::warning(CHECK, found, hint).needed("at most a year old")
        }
        Some(_) => Finding::ok(CHECK, found),
        None => Finding::warning(CHECK, format!("{found}, which is no date"), "write as_of as 2026-11-20"),
    }
}

/// Days from a day such as `2026-11-20` to a time.
fn age_days(as_of: &str, end_us: WallUs) -> Option<i32> {
    let as_of: Date = as_of.parse().ok()?;
    let end = jiff::Timestamp::from_microsecond(end_us).ok()?.to_zoned(jiff::tz::TimeZone::UTC).date();
    Some((end - as_of).get_days())
}

fn forecast(money: &Money, plan: &Plan) -> Finding {
    const CHECK: &str = "forecast";
    let Some(forecast_usd) = money.forecast_usd else {
        return Finding::ok(CHECK, "no forecast was asked for");
    };
    let at_least = if money.incomplete { "at least " } else { "about " };
    let found = format!("{at_least}USD {}", forecast_usd.round_dp(4).normalize());
    let Some(budget) = plan.budget_usd.as_deref().and_then(|text| text.parse::<Decimal>().ok()) else {
        return Finding::ok(CHECK, found);
    };
    let finding = if forecast_usd > budget {
        let hint = "the run would stop before its end: raise `budget` in the plan, or plan less load";
        Finding::stop(CHECK, found, hint).of_plan()
    } else if money.incomplete {
        Finding::warning(
            CHECK,
            found,
            "the price book lacks prices for a part of it: see the price book's region",
        )
    } else {
        Finding::ok(CHECK, found)
    };
    finding.needed(format!("budget USD {}", budget.normalize()))
}

#[cfg(test)]
mod tests {
    use super::super::finding::{Concern, Level};
    use super::*;

    const NOW_US: WallUs = 1_795_241_164_000_000; // 2026-11-21T06:06:04Z

    fn money(as_of: &str, forecast: &str) -> Money {
        Money {
            book_region: "us-east-1".into(),
            book_as_of: as_of.into(),
            forecast_usd: Some(forecast.parse().unwrap()),
            incomplete: false,
        }
    }

    #[test]
    fn old_or_foreign_prices_are_a_warning() {
        let level = |as_of, region| price_book(&money(as_of, "1"), region, NOW_US).level;
        assert_eq!(age_days("2026-11-20", NOW_US), Some(1));
        assert_eq!(level("2025-11-21", "us-east-1"), Level::Ok);
        assert_eq!(level("2025-11-20", "us-east-1"), Level::Warning);
        assert_eq!(level("2026-11-20", "eu-west-1"), Level::Warning);
        assert_eq!(level("2026-11", "us-east-1"), Level::Warning);
    }

    #[test]
    fn a_forecast_above_the_budget_stops_the_plan() {
        let mut plan = crate::plan::parse(include_str!("../../../plans/quickstart.yaml")).unwrap();
        plan.budget_usd = Some("0.50".into());
        assert_eq!(forecast(&money("2026-11-20", "0.5"), &plan).level, Level::Ok);
        let stop = forecast(&money("2026-11-20", "0.5001"), &plan);
        assert_eq!((stop.level, stop.concern), (Level::Stop, Concern::Plan));
        plan.budget_usd = None;
        assert_eq!(forecast(&money("2026-11-20", "99"), &plan).level, Level::Ok);
    }
}
