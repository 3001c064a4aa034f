//! A campaign beside the one before it: plain differences of the tests that have a result in both.

use rust_decimal::prelude::ToPrimitive;

use crate::report::model::Exact;
use crate::report::text::rounded;

use super::build::figures;
use super::complete::{Earlier, EarlierTest, MoneyPair, Pair};
use super::input::Gathered;
use super::model::State;

pub(super) fn compared(now: &Gathered, then: &Gathered) -> Earlier {
    let hash_of = |gathered: &Gathered| gathered.parts.last().map(|part| part.model.run.plan_hash.clone());
    let tests = now.results().filter_map(|placed| {
        let before = then.results().find(|before| before.test.id == placed.test.id)?;
        let (then, now) = (figures(before.test), figures(placed.test));
        Some(EarlierTest {
            id: placed.test.id.clone(),
            then_run: before.part.id().to_owned(),
            now_run: placed.part.id().to_owned(),
            same_definition: before.wanted.state == State::Finished,
            put_p95_ms: pair(then.put_p95_ms, now.put_p95_ms),
            success_percent: pair(then.success_percent, now.success_percent),
            cost_per_million: money(then.cost_per_million, now.cost_per_million),
        })
    });
    Earlier {
        runs: then.parts.iter().map(|part| part.id().to_owned()).collect(),
        same_plan: hash_of(now) == hash_of(then),
        tests: tests.collect(),
    }
}

fn pair(then: Option<f64>, now: Option<f64>) -> Pair {
    Pair { then, now, difference_percent: difference(then, now) }
}

fn money(then: Option<Exact>, now: Option<Exact>) -> MoneyPair {
    let number = |amount: Option<Exact>| amount.and_then(|amount| amount.0.to_f64());
    MoneyPair { then, now, difference_percent: difference(number(then), number(now)) }
}

fn difference(then: Option<f64>, now: Option<f64>) -> Option<f64> {
    let (then, now) = then.filter(|then| *then != 0.0).zip(now)?;
    rounded((now - then) / then * 100.0)
}
