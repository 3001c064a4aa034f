//! Expression trees over time series.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use super::parse::{Binary, Expression};

/// Values by start of their period, seconds since the epoch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TimeSeries {
    pub period_s: i64,
    pub points: BTreeMap<i64, f64>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    Scalar(f64),
    Series(TimeSeries),
    /// `METRICS()`, `[m1, m2]`.
    Array(Vec<TimeSeries>),
}

/// The queries of one request: metrics already read, expressions evaluated on demand.
pub struct Evaluator {
    pub from_s: i64,
    pub to_s: i64,
    /// By id; only queries that are metrics, in the order of the request.
    pub metrics: Vec<(String, TimeSeries)>,
    /// By id; only queries that are expressions.
    pub expressions: BTreeMap<String, Expression>,
    /// Ids under evaluation: an id among them again is a cycle.
    under_way: RefCell<BTreeSet<String>>,
    /// Expressions that were evaluated: one that many refer to is evaluated once.
    known: RefCell<BTreeMap<String, Operand>>,
    points: Cell<usize>,
}

/// Expressions that may refer to each other in a chain. AWS documents no bound; here it bounds the stack.
const REFERENCES_MAX: usize = 32;
/// Data points of all expressions of a request, and of one list; a time series counts as one more. Here it
/// bounds memory: the largest answer, of 500 queries, has 100,800.
const POINTS_MAX: usize = 4_000_000;

fn too_many_points() -> String {
    format!("the expressions have more than {POINTS_MAX} data points")
}

impl Operand {
    fn points(&self) -> usize {
        match self {
            Operand::Scalar(_) => 1,
            Operand::Series(series) => series.points.len() + 1,
            Operand::Array(array) => array.iter().map(|series| series.points.len() + 1).sum(),
        }
    }
}

type Evaluated = Result<Operand, String>;

impl Evaluator {
    pub fn new(
        from_s: i64,
        to_s: i64,
        metrics: Vec<(String, TimeSeries)>,
        expressions: BTreeMap<String, Expression>,
    ) -> Evaluator {
        let (under_way, known, points) = Default::default();
        Evaluator { from_s, to_s, metrics, expressions, under_way, known, points }
    }

    /// The value of a query.
    ///
    /// # Errors
    /// What is wrong with its expression, in words.
    pub fn query(&self, id: &str) -> Evaluated {
        if let Some((_, series)) = self.metrics.iter().find(|(name, _)| name == id) {
            return Ok(Operand::Series(series.clone()));
        }
        if let Some(known) = self.known.borrow().get(id) {
            return Ok(known.clone());
        }
        let expression = self.expressions.get(id).ok_or_else(|| format!("no query has the id {id}"))?;
        if self.under_way.borrow().len() >= REFERENCES_MAX {
            return Err(format!("expressions refer to each other more than {REFERENCES_MAX} deep at {id}"));
        }
        if !self.under_way.borrow_mut().insert(id.to_owned()) {
            return Err(format!("the expression {id} refers to itself"));
        }
        let value = self.evaluate(expression);
        self.under_way.borrow_mut().remove(id);
        let value = value?;
        self.points.set(self.points.get() + value.points());
        if self.points.get() > POINTS_MAX {
            return Err(too_many_points());
        }
        self.known.borrow_mut().insert(id.to_owned(), value.clone());
        Ok(value)
    }

    fn evaluate(&self, expression: &Expression) -> Evaluated {
        match expression {
            Expression::Number(number) => Ok(Operand::Scalar(*number)),
            Expression::Text(text) => Err(format!("the text {text:?} is no value")),
            Expression::Name(id) => self.query(id),
            Expression::Negate(inner) => map(self.evaluate(inner)?, |value| Some(-value)),
            Expression::Binary(operator, left, right) => {
                self.binary(*operator, self.evaluate(left)?, self.evaluate(right)?)
            }
            Expression::Call(name, arguments) => self.call(name, arguments),
            Expression::List(items) => {
                let mut all = Vec::new();
                for item in items {
                    match self.evaluate(item)? {
                        Operand::Series(series) => all.push(series),
                        Operand::Array(array) => all.extend(array),
                        Operand::Scalar(_) => return Err("a list takes time series".to_owned()),
                    }
                    if all.iter().map(|series| series.points.len() + 1).sum::<usize>() > POINTS_MAX {
                        return Err(too_many_points());
                    }
                }
                Ok(Operand::Array(all))
            }
        }
    }

    fn binary(&self, operator: Binary, left: Operand, right: Operand) -> Evaluated {
        let apply = |a, b| arithmetic(operator, a, b);
        Ok(match (left, right) {
            (Operand::Scalar(a), Operand::Scalar(b)) => {
                Operand::Scalar(apply(a, b).ok_or("a constant division by zero")?)
            }
            (Operand::Array(array), other) => Operand::Array(
                array
                    .into_iter()
                    .map(|one| self.binary_series(operator, Operand::Series(one), &other))
                    .collect::<Result<_, _>>()?,
            ),
            (other, Operand::Array(array)) => Operand::Array(
                array
                    .into_iter()
                    .map(|one| self.binary_series(operator, other.clone(), &Operand::Series(one)))
                    .collect::<Result<_, _>>()?,
            ),
            (left, right) => Operand::Series(zip(&left, &right, apply)),
        })
    }

    fn binary_series(&self, operator: Binary, left: Operand, right: &Operand) -> Result<TimeSeries, String> {
        match (&left, right) {
            (Operand::Array(_), _) | (_, Operand::Array(_)) => {
                Err("two lists of time series cannot be combined".to_owned())
            }
            _ => Ok(zip(&left, right, |a, b| arithmetic(operator, a, b))),
        }
    }

    fn call(&self, name: &str, arguments: &[Expression]) -> Evaluated {
        let argument =
            |index: usize| arguments.get(index).ok_or_else(|| format!("{name} lacks argument {}", index + 1));
        match name {
            "METRICS" => self.metrics_matching(arguments),
            "IF" => {
                let otherwise = arguments.get(2).map(|other| self.evaluate(other)).transpose()?;
                choose(self.evaluate(argument(0)?)?, self.evaluate(argument(1)?)?, otherwise)
            }
            "FILL" => self.fill(self.evaluate(argument(0)?)?, argument(1)?),
            "TIME_SERIES" => match self.evaluate(argument(0)?)? {
                Operand::Scalar(value) => Ok(Operand::Series(self.constant(value))),
                other => Ok(other),
            },
            "ABS" => map(self.evaluate(argument(0)?)?, |value| Some(value.abs())),
            "CEIL" => map(self.evaluate(argument(0)?)?, |value| Some(value.ceil())),
            "FLOOR" => map(self.evaluate(argument(0)?)?, |value| Some(value.floor())),
            "LOG" => map(self.evaluate(argument(0)?)?, |value| (value > 0.0).then(|| value.ln())),
            "LOG10" => map(self.evaluate(argument(0)?)?, |value| (value > 0.0).then(|| value.log10())),
            "RATE" => each(self.evaluate(argument(0)?)?, |series| differences(series, true)),
            "DIFF" => each(self.evaluate(argument(0)?)?, |series| differences(series, false)),
            "RUNNING_SUM" => each(self.evaluate(argument(0)?)?, running_sum),
            "PERIOD" => match self.evaluate(argument(0)?)? {
                Operand::Series(series) => Ok(Operand::Scalar(series.period_s as f64)),
                _ => Err("PERIOD takes one time series".to_owned()),
            },
            "METRIC_COUNT" => match self.evaluate(argument(0)?)? {
                Operand::Array(array) => Ok(Operand::Scalar(array.len() as f64)),
                _ => Ok(Operand::Scalar(1.0)),
            },
            "SUM" | "AVG" | "MIN" | "MAX" | "STDDEV" | "DATAPOINT_COUNT" | "FIRST" | "LAST" => {
                reduce(name, arguments.iter().map(|one| self.evaluate(one)).collect::<Result<_, _>>()?)
            }
            "SEARCH" | "ANOMALY_DETECTION_BAND" | "INSIGHT_RULE_METRIC" | "SELECT" => {
                Err(format!("the local endpoint does not evaluate {name}"))
            }
            _ => Err(format!("there is no function {name}")),
        }
    }

    fn metrics_matching(&self, arguments: &[Expression]) -> Evaluated {
        let part = match arguments {
            [] => "",
            [Expression::Text(part)] => part,
            _ => return Err("METRICS takes one text or nothing".to_owned()),
        };
        let matching = self.metrics.iter().filter(|(id, _)| id.contains(part));
        Ok(Operand::Array(matching.map(|(_, series)| series.clone()).collect()))
    }

    fn grid(&self, period_s: i64) -> impl Iterator<Item = i64> + use<> {
        let period_s = period_s.max(1);
        let first = self.from_s - self.from_s.rem_euclid(period_s);
        (first..self.to_s).step_by(period_s as usize)
    }

    fn constant(&self, value: f64) -> TimeSeries {
        let period_s = self.metrics.first().map_or(60, |(_, series)| series.period_s);
        TimeSeries { period_s, points: self.grid(period_s).map(|at| (at, value)).collect() }
    }

    fn fill(&self, what: Operand, with: &Expression) -> Evaluated {
        if let Expression::Name(mode) = with
            && (mode == "REPEAT" || mode == "LINEAR")
        {
            let linear = mode == "LINEAR";
            return each(what, |series| self.fill_between(series, linear));
        }
        match self.evaluate(with)? {
            Operand::Scalar(value) => each(what, |mut series| {
                for at in self.grid(series.period_s) {
                    series.points.entry(at).or_insert(value);
                }
                series
            }),
            Operand::Series(other) => each(what, |mut series| {
                for (at, value) in &other.points {
                    series.points.entry(*at).or_insert(*value);
                }
                series
            }),
            Operand::Array(_) => Err("FILL takes one filler".to_owned()),
        }
    }

    /// Fills gaps after the first point; LINEAR leaves the gap after the last one open.
    fn fill_between(&self, mut series: TimeSeries, linear: bool) -> TimeSeries {
        let known = series.points.clone();
        for at in self.grid(series.period_s) {
            let Some((before_at, before)) = known.range(..=at).next_back() else { continue };
            let value = match (linear, known.range(at..).next()) {
                (false, _) => *before,
                (true, None) => continue,
                (true, Some((after_at, _))) if after_at == before_at => *before,
                (true, Some((after_at, after))) => {
                    before + (after - before) * (at - before_at) as f64 / (after_at - before_at) as f64
                }
            };
            series.points.insert(at, value);
        }
        series
    }
}

fn truth(holds: bool) -> Option<f64> {
    Some(if holds { 1.0 } else { 0.0 })
}

/// `None` where CloudWatch gives no data point: a division by zero, a result that is no number.
fn arithmetic(operator: Binary, a: f64, b: f64) -> Option<f64> {
    let result = match operator {
        Binary::Add => a + b,
        Binary::Subtract => a - b,
        Binary::Multiply => a * b,
        Binary::Divide => a / b,
        Binary::Power => a.powf(b),
        Binary::Equal => return truth(a == b),
        Binary::NotEqual => return truth(a != b),
        Binary::Less => return truth(a < b),
        Binary::LessOrEqual => return truth(a <= b),
        Binary::Greater => return truth(a > b),
        Binary::GreaterOrEqual => return truth(a >= b),
        Binary::And => return truth(a != 0.0 && b != 0.0),
        Binary::Or => return truth(a != 0.0 || b != 0.0),
    };
    result.is_finite().then_some(result)
}

/// Combines two operands of which at least one is a series: points that both have.
fn zip(left: &Operand, right: &Operand, apply: impl Fn(f64, f64) -> Option<f64>) -> TimeSeries {
    match (left, right) {
        (Operand::Series(a), Operand::Scalar(b)) => {
            let points = a.points.iter().filter_map(|(at, value)| Some((*at, apply(*value, *b)?)));
            TimeSeries { period_s: a.period_s, points: points.collect() }
        }
        (Operand::Scalar(a), Operand::Series(b)) => {
            let points = b.points.iter().filter_map(|(at, value)| Some((*at, apply(*a, *value)?)));
            TimeSeries { period_s: b.period_s, points: points.collect() }
        }
        (Operand::Series(a), Operand::Series(b)) => {
            let points =
                a.points.iter().filter_map(|(at, value)| Some((*at, apply(*value, *b.points.get(at)?)?)));
            TimeSeries { period_s: a.period_s.max(b.period_s), points: points.collect() }
        }
        _ => TimeSeries::default(),
    }
}

fn each(what: Operand, apply: impl Fn(TimeSeries) -> TimeSeries) -> Evaluated {
    match what {
        Operand::Scalar(_) => Err("the function takes a time series".to_owned()),
        Operand::Series(series) => Ok(Operand::Series(apply(series))),
        Operand::Array(array) => Ok(Operand::Array(array.into_iter().map(apply).collect())),
    }
}

fn map(what: Operand, apply: impl Fn(f64) -> Option<f64>) -> Evaluated {
    if let Operand::Scalar(value) = what {
        return apply(value).map(Operand::Scalar).ok_or_else(|| "the function has no value there".to_owned());
    }
    each(what, |series| TimeSeries {
        period_s: series.period_s,
        points: series.points.into_iter().filter_map(|(at, value)| Some((at, apply(value)?))).collect(),
    })
}

/// Change to the point before, by second when `by_second`; the first point has none.
fn differences(series: TimeSeries, by_second: bool) -> TimeSeries {
    let later = series.points.iter().skip(1);
    let points = series.points.iter().zip(later).map(|((before_at, before), (at, value))| {
        let change = value - before;
        (*at, if by_second { change / (at - before_at) as f64 } else { change })
    });
    TimeSeries { period_s: series.period_s, points: points.collect() }
}

fn running_sum(mut series: TimeSeries) -> TimeSeries {
    let mut sum = 0.0;
    for value in series.points.values_mut() {
        sum += *value;
        *value = sum;
    }
    series
}

/// IF: without a third operand only points where the condition holds are kept. Where a branch is a series
/// that lacks the point, there is none.
fn choose(condition: Operand, then: Operand, otherwise: Option<Operand>) -> Evaluated {
    if let Operand::Scalar(condition) = condition {
        return match (condition != 0.0, otherwise) {
            (true, _) => Ok(then),
            (false, Some(otherwise)) => Ok(otherwise),
            (false, None) => Err("IF has no value where its condition never holds".to_owned()),
        };
    }
    let Operand::Series(condition) = condition else {
        return Err("IF takes one time series as its condition".to_owned());
    };
    let at = |operand: &Operand, at: i64| match operand {
        Operand::Scalar(value) => Some(*value),
        Operand::Series(series) => series.points.get(&at).copied(),
        Operand::Array(_) => None,
    };
    let points = condition.points.iter().filter_map(|(start, holds)| {
        let branch = if *holds != 0.0 { Some(&then) } else { otherwise.as_ref() };
        Some((*start, at(branch?, *start)?))
    });
    Ok(Operand::Series(TimeSeries { period_s: condition.period_s, points: points.collect() }))
}

/// One series gives a scalar, a list of series gives a series across them; several arguments are a list.
fn reduce(name: &str, mut arguments: Vec<Operand>) -> Evaluated {
    if arguments.iter().all(|one| matches!(one, Operand::Scalar(_))) && !arguments.is_empty() {
        let values: Vec<f64> = arguments
            .iter()
            .filter_map(|one| if let Operand::Scalar(value) = one { Some(*value) } else { None })
            .collect();
        return statistic(name, &values).map(Operand::Scalar).ok_or_else(|| format!("{name} has no value"));
    }
    if arguments.len() == 1 {
        return match arguments.remove(0) {
            Operand::Series(series) => {
                let values: Vec<f64> = series.points.values().copied().collect();
                statistic(name, &values)
                    .map(Operand::Scalar)
                    .ok_or_else(|| format!("{name} of no data points"))
            }
            Operand::Array(array) if name == "FIRST" || name == "LAST" => {
                let one =
                    if name == "FIRST" { array.into_iter().next() } else { array.into_iter().next_back() };
                one.map(Operand::Series).ok_or_else(|| format!("{name} of an empty list"))
            }
            Operand::Array(array) => Ok(Operand::Series(across(name, &array))),
            Operand::Scalar(_) => Err(format!("{name} takes time series")),
        };
    }
    let mut array = Vec::new();
    for argument in arguments {
        match argument {
            Operand::Series(series) => array.push(series),
            Operand::Array(more) => array.extend(more),
            Operand::Scalar(_) => return Err(format!("{name} cannot mix numbers and time series")),
        }
    }
    Ok(Operand::Series(across(name, &array)))
}

fn across(name: &str, array: &[TimeSeries]) -> TimeSeries {
    let mut columns: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
    for series in array {
        for (at, value) in &series.points {
            columns.entry(*at).or_default().push(*value);
        }
    }
    let points = columns.into_iter().filter_map(|(at, values)| Some((at, statistic(name, &values)?)));
    TimeSeries {
        period_s: array.iter().map(|series| series.period_s).max().unwrap_or(60),
        points: points.collect(),
    }
}

fn statistic(name: &str, values: &[f64]) -> Option<f64> {
    let count = values.len() as f64;
    let sum: f64 = values.iter().sum();
    match name {
        "SUM" => Some(sum),
        "DATAPOINT_COUNT" => Some(count),
        _ if values.is_empty() => None,
        "AVG" => Some(sum / count),
        "MIN" => values.iter().copied().reduce(f64::min),
        "MAX" => values.iter().copied().reduce(f64::max),
        "FIRST" => values.first().copied(),
        "LAST" => values.last().copied(),
        "STDDEV" => {
            let mean = sum / count;
            Some((values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt())
        }
        _ => None,
    }
}
