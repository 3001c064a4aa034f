//! Numbers, times and verdicts as text, the same in every rendering.

use crate::cost::grouped;
use crate::plan::Flag;
use crate::platform::clock::{WallUs, rfc3339};

use super::model::{CriterionReport, DeliveryReport, Exact, FlagReport};

/// What stands where nothing was measured.
pub const NONE: &str = "-";

/// Rounded to three decimals; what is no number is none.
pub fn rounded(number: f64) -> Option<f64> {
    let rounded = (number * 1_000.0).round() / 1_000.0;
    // Adding zero turns -0.0 into 0.0.
    rounded.is_finite().then_some(rounded + 0.0)
}

/// `15,225`.
pub fn count(number: u64) -> String {
    grouped(&number.to_string())
}

/// Three significant digits or whole numbers: `0.42`, `43.1`, `1,250`.
pub fn number(value: f64) -> String {
    let magnitude = value.abs();
    let places = match magnitude {
        m if m >= 99.95 || m == 0.0 => 0,
        m if m >= 9.995 => 1,
        m if m >= 0.095 => 2,
        _ => 3,
    };
    if places == 0 {
        let sign = if value < -0.5 { "-" } else { "" };
        return format!("{sign}{}", count(magnitude.round() as u64));
    }
    let fixed = format!("{value:.places$}");
    fixed.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Never rounds up to 100: `99.996`, and `>99.999` above that.
pub fn percent(value: f64) -> String {
    if (99.9..100.0).contains(&value) {
        return if value > 99.999 { ">99.999 %".to_owned() } else { format!("{value:.3} %") };
    }
    let fixed = format!("{value:.2}");
    format!("{} %", fixed.trim_end_matches('0').trim_end_matches('.'))
}

/// Lost records, and how many of them expired where some did.
pub fn lost(delivery: &DeliveryReport) -> String {
    let expired = match delivery.expired {
        0 => String::new(),
        expired => format!(" (expired {})", count(expired)),
    };
    or_none(delivery.lost, count) + &expired
}

pub fn or_none<T>(value: Option<T>, shown: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| NONE.to_owned(), shown)
}

/// A rate as a plan writes it: `200`, `12.5`.
pub fn rate(rps: f64) -> String {
    if rps >= 100.0 || rps.fract() == 0.0 { count(rps.round() as u64) } else { number(rps) }
}

pub fn usd(amount: Exact) -> String {
    crate::cost::usd(amount.0)
}

/// `2026-11-21T10:00:00Z`: to the second, for people and the report's keys.
pub fn time(at_us: WallUs) -> String {
    let whole = rfc3339(at_us.div_euclid(1_000_000) * 1_000_000);
    whole.replace(".000000Z", "Z")
}

/// Seconds from one of the report's times to a later one; none where there is no end.
pub fn seconds_between(from: &str, to: Option<&str>) -> Option<f64> {
    let second = |at: &str| at.parse::<jiff::Timestamp>().ok().map(|at| at.as_second());
    Some((second(to?)? - second(from)?).max(0) as f64)
}

/// `4:30`, `1:02:05`.
pub fn span(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    let (hours, minutes, seconds) = (whole / 3_600, whole / 60 % 60, whole % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// A value in a criterion's unit.
pub fn in_unit(value: f64, unit: &str) -> String {
    match unit {
        "%" => percent(value),
        "ms" | "s" => format!("{} {unit}", number(value)),
        "USD" => format!("USD {value:.4}"),
        _ => number(value),
    }
}

pub fn observed(criterion: &CriterionReport) -> String {
    or_none(criterion.observed, |value| in_unit(value, &criterion.unit))
}

/// The flag's name as a plan writes it.
pub fn flag(flag: Flag) -> &'static str {
    match flag {
        Flag::IteratorAgeGrowing => "iterator_age_growing",
        Flag::LambdaThrottles => "lambda_throttles",
        Flag::WriteThroughputExceeded => "write_throughput_exceeded",
        Flag::ReadThroughputExceeded => "read_throughput_exceeded",
        Flag::ErrorRate => "error_rate",
        Flag::LambdaDuration => "lambda_duration",
        Flag::DlqFilling => "dlq_filling",
        Flag::Memory => "memory",
    }
}

/// What CloudWatch says of a flag: `confirmed (lambda.Throttles.Sum 12)`.
pub fn confirmation(flag: &FlagReport) -> String {
    let by =
        flag.confirmed_by.as_deref().zip(flag.confirmed_value).map_or_else(String::new, |(metric, value)| {
            let unit = &flag.confirmed_unit;
            format!(" ({metric} {}{}{unit})", number(value), if unit.is_empty() { "" } else { " " })
        });
    match flag.confirmed {
        Some(true) => format!("confirmed{by}"),
        Some(false) => format!("not confirmed{by}"),
        None => format!("not known{by}"),
    }
}

/// What a change costs: `USD 10.95 a month more`.
pub fn change_cost(cost: Option<Exact>, currency: &str) -> String {
    match cost {
        None => "cost not known".to_owned(),
        Some(cost) if cost.0.is_zero() => "no charge of its own".to_owned(),
        Some(cost) => format!("{currency} {} a month more", usd(cost)),
    }
}

/// A unit of a price behind a quantity: `2 shard-hours`, `3 GB`.
pub fn units(one: bool, unit: &str) -> String {
    match unit {
        "metric requested" if !one => "metrics requested".to_owned(),
        "GB" | "metric requested" => unit.to_owned(),
        _ if one => unit.to_owned(),
        _ => format!("{unit}s"),
    }
}

/// `1 record`, `2 records`.
pub fn plural(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{} {what}s", count(number)) }
}

/// `1 criterion`, `2 criteria`.
pub fn criteria(number: u64) -> String {
    plural(number, "criterion").replace("criterions", "criteria")
}

/// `1 more test`, `2 more tests`.
pub fn more(number: u64, what: &str) -> String {
    let counted = if what == "criterion" { criteria(number) } else { plural(number, what) };
    counted.replacen(' ', " more ", 1)
}

/// `a`, `a and b`, `a, b and c`.
pub fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// At most `length` characters; what was cut off shows as an ellipsis.
pub fn clipped(text: &str, length: usize) -> String {
    match text.char_indices().nth(length) {
        None => text.to_owned(),
        Some(_) => text.chars().take(length.saturating_sub(1)).chain(std::iter::once('\u{2026}')).collect(),
    }
}
