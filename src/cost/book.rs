//! The price book: YAML in, exact decimals out. Strict: an unknown price, a wrong unit or a number that
//! is no plain decimal is an error with its position, because a price read wrongly costs money quietly.

use std::collections::BTreeMap;
use std::fmt;

use rust_decimal::Decimal;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

/// The value of `schema:` that this version reads.
const SCHEMA: &str = "streamgauge/prices/v1";

/// The text of the book that is built in, us-east-1, as the run directory keeps it.
pub const BUILTIN_PRICES: &str = include_str!("../../prices/us-east-1.yaml");

/// Everything that the tool knows how to price. The name in the file is the variant in snake case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriceId {
    KinesisShardHour,
    KinesisPutPayloadUnit,
    KinesisExtendedRetentionShardHour,
    KinesisLongTermRetentionGbMonth,
    KinesisOnDemandStreamHour,
    KinesisOnDemandInGb,
    KinesisOnDemandOutGb,
    KinesisOnDemandExtendedRetentionGbMonth,
    KinesisOnDemandLongTermRetentionGbMonth,
    KinesisAdvantageInGb,
    KinesisAdvantageOutGb,
    LambdaRequest,
    LambdaDurationX86GbSecond,
    LambdaDurationArmGbSecond,
    CloudwatchLambdaLogsGb,
    CloudwatchAlarmMonth,
    CloudwatchDashboardMonth,
    CloudwatchCustomMetricMonth,
    CloudwatchMetricRequested,
    SqsStandardRequest,
    InternetEgressGb,
    S3PutRequest,
}

impl PriceId {
    /// What the code multiplies this price by: a book with another unit is refused.
    pub fn unit(self) -> &'static str {
        use PriceId as P;
        match self {
            P::KinesisShardHour | P::KinesisExtendedRetentionShardHour => "shard-hour",
            P::KinesisPutPayloadUnit => "PUT payload unit",
            P::KinesisOnDemandStreamHour => "stream-hour",
            P::KinesisLongTermRetentionGbMonth
            | P::KinesisOnDemandExtendedRetentionGbMonth
            | P::KinesisOnDemandLongTermRetentionGbMonth => "GB-month",
            P::KinesisOnDemandInGb
            | P::KinesisOnDemandOutGb
            | P::KinesisAdvantageInGb
            | P::KinesisAdvantageOutGb
            | P::CloudwatchLambdaLogsGb
            | P::InternetEgressGb => "GB",
            P::LambdaRequest | P::SqsStandardRequest | P::S3PutRequest => "request",
            P::LambdaDurationX86GbSecond | P::LambdaDurationArmGbSecond => "GB-second",
            P::CloudwatchAlarmMonth => "alarm-month",
            P::CloudwatchDashboardMonth => "dashboard-month",
            P::CloudwatchCustomMetricMonth => "metric-month",
            P::CloudwatchMetricRequested => "metric requested",
        }
    }

    /// The service on whose bill it stands.
    pub fn service(self) -> &'static str {
        use PriceId as P;
        match self {
            P::KinesisShardHour
            | P::KinesisPutPayloadUnit
            | P::KinesisExtendedRetentionShardHour
            | P::KinesisLongTermRetentionGbMonth
            | P::KinesisOnDemandStreamHour
            | P::KinesisOnDemandInGb
            | P::KinesisOnDemandOutGb
            | P::KinesisOnDemandExtendedRetentionGbMonth
            | P::KinesisOnDemandLongTermRetentionGbMonth
            | P::KinesisAdvantageInGb
            | P::KinesisAdvantageOutGb => "Kinesis",
            P::LambdaRequest | P::LambdaDurationX86GbSecond | P::LambdaDurationArmGbSecond => "Lambda",
            P::CloudwatchLambdaLogsGb
            | P::CloudwatchAlarmMonth
            | P::CloudwatchDashboardMonth
            | P::CloudwatchCustomMetricMonth
            | P::CloudwatchMetricRequested => "CloudWatch",
            P::SqsStandardRequest => "SQS",
            P::InternetEgressGb => "Data transfer",
            P::S3PutRequest => "S3",
        }
    }
}

impl fmt::Display for PriceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// How well a price is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    High,
    Medium,
    Low,
}

/// The price of the units of a month up to `up_to`, counted from zero; `None` is without end.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tier {
    pub up_to: Option<Decimal>,
    /// For one unit.
    pub unit_price: Decimal,
}

/// One entry of the book. It has at least one tier, and only the last is without end.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Price {
    pub tiers: Vec<Tier>,
    pub unit: String,
    pub note: Option<String>,
    pub source: String,
    pub as_of: String,
    pub confidence: Confidence,
}

impl Price {
    /// For one unit of the first tier: what a test, far below the second, pays.
    pub fn unit_price(&self) -> Decimal {
        self.tiers[0].unit_price
    }
}

/// Prices of one region at one date.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PriceBook {
    pub region: String,
    pub currency: String,
    /// When the book was put together; each price has a date of its own beside it.
    pub as_of: String,
    /// What a monthly price is prorated over.
    pub hours_per_month: Decimal,
    prices: BTreeMap<PriceId, Price>,
}

impl PriceBook {
    /// Reads a book.
    ///
    /// # Errors
    /// Anything that is not exactly the form of `prices/us-east-1.yaml`, with line and column where the
    /// parser knows them.
    pub fn parse(yaml: &str) -> Result<PriceBook, PriceError> {
        let raw: RawBook = serde_yaml::from_str(yaml).map_err(|error| PriceError::new(&error))?;
        Ok(PriceBook {
            region: raw.region,
            currency: raw.currency,
            as_of: raw.as_of,
            hours_per_month: raw.hours_per_month.0,
            prices: raw.prices.0,
        })
    }

    /// The book built in: us-east-1.
    pub fn builtin() -> PriceBook {
        PriceBook::parse(BUILTIN_PRICES).expect("a test parses the book that is built in")
    }

    /// `None`: the book has no such price, and what it is for is unpriced.
    pub fn get(&self, id: PriceId) -> Option<&Price> {
        self.prices.get(&id)
    }

    /// Every price, in the order of [`PriceId`].
    pub fn entries(&self) -> impl Iterator<Item = (PriceId, &Price)> {
        self.prices.iter().map(|(id, price)| (*id, price))
    }
}

/// What is wrong with a price book.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct PriceError {
    /// Both from 1; `None` where the parser does not know.
    pub position: Option<(usize, usize)>,
    pub message: String,
}

impl fmt::Display for PriceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some((line, column)) => write!(f, "line {line}, column {column}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl PriceError {
    fn new(error: &serde_yaml::Error) -> PriceError {
        let position = error.location().map(|at| (at.line(), at.column()));
        let mut message = error.to_string();
        if let Some((line, column)) = position {
            // The parser writes the position behind the message; here it stands in front.
            let tail = format!(" at line {line} column {column}");
            message = message.replace(&tail, "");
        }
        PriceError { position, message }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBook {
    #[serde(rename = "schema", deserialize_with = "this_schema")]
    _schema: (),
    region: String,
    currency: String,
    as_of: String,
    hours_per_month: Exact,
    prices: Prices,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPrice {
    price: Option<Exact>,
    per: Option<Exact>,
    tiers: Option<Vec<RawTier>>,
    unit: String,
    note: Option<String>,
    source: String,
    as_of: String,
    confidence: Confidence,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTier {
    up_to: Option<Exact>,
    price: Exact,
}

fn this_schema<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    let found = String::deserialize(deserializer)?;
    if found == SCHEMA {
        return Ok(());
    }
    Err(de::Error::custom(format!("schema: expected `{SCHEMA}`, found `{found}`")))
}

/// A number read from its digits: it never passes through a float. Not negative.
struct Exact(Decimal);

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Exact, D::Error> {
        // As a string, so that the parser hands over the digits instead of a float.
        let text = String::deserialize(deserializer)?;
        match Decimal::from_str_exact(&text) {
            Ok(number) if !number.is_sign_negative() => Ok(Exact(number)),
            _ => Err(de::Error::custom(format!("expected a plain decimal such as 0.015, found `{text}`"))),
        }
    }
}

struct Prices(BTreeMap<PriceId, Price>);

impl<'de> Deserialize<'de> for Prices {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Prices, D::Error> {
        deserializer.deserialize_map(PricesVisitor)
    }
}

struct PricesVisitor;

impl<'de> Visitor<'de> for PricesVisitor {
    type Value = Prices;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map from the name of a price to the price")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Prices, A::Error> {
        let mut prices = BTreeMap::new();
        while let Some(id) = map.next_key::<PriceId>()? {
            let raw: RawPrice = map.next_value()?;
            let price = checked(id, raw).map_err(|message| de::Error::custom(format!("{id}: {message}")))?;
            if prices.insert(id, price).is_some() {
                return Err(de::Error::custom(format!("{id}: given twice")));
            }
        }
        Ok(Prices(prices))
    }
}

fn checked(id: PriceId, raw: RawPrice) -> Result<Price, String> {
    if raw.unit != id.unit() {
        return Err(format!("unit: expected `{}`, found `{}`", id.unit(), raw.unit));
    }
    let per = raw.per.map_or(Decimal::ONE, |per| per.0);
    let given = match (raw.price, raw.tiers) {
        (Some(price), None) => vec![RawTier { up_to: None, price }],
        (None, Some(tiers)) if !tiers.is_empty() => tiers,
        _ => return Err("expected either `price` or a list of `tiers`".to_owned()),
    };
    let mut tiers: Vec<Tier> = Vec::with_capacity(given.len());
    for tier in given {
        let up_to = tier.up_to.map(|up_to| up_to.0);
        let rises = match (tiers.last(), up_to) {
            (None, _) => true,
            (Some(last), next) => last.up_to.is_some_and(|end| next.is_none_or(|next| next > end)),
        };
        if !rises {
            return Err("tiers: `up_to` must rise, and only the last tier goes without".to_owned());
        }
        tiers.push(Tier { up_to, unit_price: divided(tier.price.0, per)? });
    }
    if tiers.last().is_some_and(|tier| tier.up_to.is_some()) {
        return Err("tiers: the last tier must have no `up_to`".to_owned());
    }
    Ok(Price {
        tiers,
        unit: raw.unit,
        note: raw.note,
        source: raw.source,
        as_of: raw.as_of,
        confidence: raw.confidence,
    })
}

/// `price / per`, refused where that is no finite decimal: the price of one unit would then be rounded.
fn divided(price: Decimal, per: Decimal) -> Result<Decimal, String> {
    match price.checked_div(per) {
        Some(unit_price) if unit_price * per == price => Ok(unit_price.normalize()),
        _ => Err(format!("{price} cannot be divided exactly by `per: {per}`")),
    }
}
