//! Lines of a bill, each checkable by hand: quantity x unit price = amount.

use rust_decimal::{Decimal, RoundingStrategy};
use serde::Serialize;

use super::book::{PriceBook, PriceId};

/// Decimal places that a quantity is rounded to **before** it is multiplied, so that the numbers shown
/// are the numbers multiplied.
const QUANTITY_PLACES: u32 = 9;

/// One line of a bill.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    pub service: String,
    pub item: String,
    pub quantity: Decimal,
    pub unit: String,
    /// For one unit; `None`: the price book has no price for it.
    pub unit_price: Option<Decimal>,
    /// `quantity x unit_price`, not rounded; `None` while unpriced.
    pub amount: Option<Decimal>,
    /// Where the quantity comes from, and what was assumed.
    pub basis: String,
}

impl Line {
    pub fn is_unpriced(&self) -> bool {
        self.amount.is_none()
    }
}

/// Lines and their sum.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Lines {
    pub lines: Vec<Line>,
    /// Sum of the priced lines.
    pub total: Decimal,
    /// A line is unpriced: `total` is then a lower bound.
    pub incomplete: bool,
}

impl Lines {
    pub(super) fn push(&mut self, line: Line) {
        match line.amount {
            Some(amount) => self.total = (self.total + amount).normalize(),
            None => self.incomplete = true,
        }
        self.lines.push(line);
    }

    /// Adds `quantity` at the price `id`; `book` is `None` where there is no book for the region. Volumes
    /// of a single test stay in the first tier.
    pub(super) fn add(
        &mut self,
        book: Option<&PriceBook>,
        id: PriceId,
        item: &str,
        quantity: Decimal,
        basis: String,
    ) {
        let unit_price = book.and_then(|book| book.get(id)).map(|price| price.unit_price());
        self.push(line(id, item, quantity, unit_price, basis));
    }

    /// Adds a month's `quantity` tier by tier, one line for each tier that is reached.
    pub(super) fn add_tiered(
        &mut self,
        book: &PriceBook,
        id: PriceId,
        item: &str,
        quantity: Decimal,
        basis: &str,
    ) {
        let Some(price) = book.get(id) else {
            self.push(line(id, item, quantity, None, basis.to_owned()));
            return;
        };
        let mut from = Decimal::ZERO;
        for (index, tier) in price.tiers.iter().enumerate() {
            let end = tier.up_to.map_or(quantity, |up_to| up_to.min(quantity));
            if index > 0 && end <= from {
                break;
            }
            let name = if index == 0 { item.to_owned() } else { format!("{item}, tier {}", index + 1) };
            self.push(line(id, &name, end - from, Some(tier.unit_price), basis.to_owned()));
            from = end;
        }
    }

    /// Sum of the priced lines of some services; `None` when one of these lines is unpriced.
    pub fn total_of(&self, services: &[&str]) -> Option<Decimal> {
        self.lines
            .iter()
            .filter(|line| services.contains(&line.service.as_str()))
            .try_fold(Decimal::ZERO, |sum, line| line.amount.map(|amount| sum + amount))
    }

    /// `total` for a million of `records`; `None` without records.
    pub fn per_million(&self, records: u64) -> Option<Decimal> {
        let million = Decimal::from(1_000_000u32);
        let each = (self.total * million).checked_div(Decimal::from(records))?;
        Some(rounded(each, 6))
    }
}

fn line(id: PriceId, item: &str, quantity: Decimal, unit_price: Option<Decimal>, basis: String) -> Line {
    let quantity = rounded(quantity, QUANTITY_PLACES);
    Line {
        service: id.service().to_owned(),
        item: item.to_owned(),
        quantity,
        unit: id.unit().to_owned(),
        unit_price,
        amount: unit_price.map(|unit_price| (quantity * unit_price).normalize()),
        basis,
    }
}

/// Half up, trailing zeros dropped.
pub(super) fn rounded(number: Decimal, places: u32) -> Decimal {
    number.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero).normalize()
}

/// Hours of a measured span of seconds, from its whole milliseconds.
pub(super) fn hours(seconds: f64) -> Decimal {
    Decimal::from((seconds.max(0.0) * 1_000.0).round() as u64) / Decimal::from(3_600_000u32)
}

/// Bytes in the GB that AWS bills, 2^30 bytes.
pub(super) fn gb(bytes: Decimal) -> Decimal {
    bytes / Decimal::from(1u64 << 30)
}

/// An amount for people: cents from a dollar on, four places below, six below a cent, and all
/// there are (at most twelve) below a hundredth of that. Thousands are marked.
pub fn usd(amount: Decimal) -> String {
    let magnitude = amount.abs();
    let places = match magnitude {
        m if m.is_zero() || m >= Decimal::ONE => 2,
        m if m >= Decimal::new(1, 2) => 4,
        m if m >= Decimal::new(1, 4) => 6,
        _ => magnitude.normalize().scale().min(12),
    };
    let shown = amount.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero);
    grouped(&format!("{shown:.*}", places as usize))
}

/// `1234567.8` -> `1,234,567.8`.
pub fn grouped(number: &str) -> String {
    let (sign, digits) = number.strip_prefix('-').map_or(("", number), |rest| ("-", rest));
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(w, f)| (w, Some(f)));
    let mut out = String::from(sign);
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(fraction) = fraction {
        out.push('.');
        out.push_str(fraction);
    }
    out
}
