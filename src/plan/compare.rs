//! What two versions of a plan do otherwise: whether a test that ran under the one counts under the other.

use super::{Plan, Position, Test};

/// How a plan was changed. Comments and layout are no change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanChanges {
    /// Keys beside the phases, for example `environment`.
    pub keys: Vec<&'static str>,
    /// In the order of the new plan; removed ones last, in the order of the old one.
    pub tests: Vec<TestChange>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TestChange {
    Added { id: String },
    Removed { id: String },
    Changed { id: String, keys: Vec<&'static str> },
}

impl PlanChanges {
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.tests.is_empty()
    }

    /// A line for each change.
    pub fn lines(&self) -> Vec<String> {
        let keys = self.keys.iter().map(|key| format!("{key} changed"));
        let tests = self.tests.iter().map(|change| match change {
            TestChange::Added { id } => format!("test {id} added"),
            TestChange::Removed { id } => format!("test {id} removed"),
            TestChange::Changed { id, keys } => format!("test {id} changed ({})", keys.join(", ")),
        });
        keys.chain(tests).collect()
    }
}

pub fn changes(before: &Plan, after: &Plan) -> PlanChanges {
    let removed = before.tests().filter(|test| find(after, &test.id).is_none());
    let removed = removed.map(|test| TestChange::Removed { id: test.id.clone() });
    let tests = after.tests().filter_map(|test| {
        let id = test.id.clone();
        let Some(old) = find(before, &id) else { return Some(TestChange::Added { id }) };
        let keys = test_keys(old, test);
        (!keys.is_empty()).then_some(TestChange::Changed { id, keys })
    });
    PlanChanges { keys: plan_keys(before, after), tests: tests.chain(removed).collect() }
}

/// Whether the test `id` sends the same, to the same pipeline, and is judged by the same criteria.
pub fn is_same_test(before: &Plan, after: &Plan, id: &str) -> bool {
    let same_pipeline = before.environment == after.environment && before.existing == after.existing;
    match (find(before, id), find(after, id)) {
        (Some(old), Some(new)) => same_pipeline && defining(old) == defining(new),
        _ => false,
    }
}

fn find<'p>(plan: &'p Plan, id: &str) -> Option<&'p Test> {
    plan.tests().find(|test| test.id == id)
}

/// The test without what only tells of it: its name, and where its criteria stand in the text.
fn defining(test: &Test) -> Test {
    let mut test = test.clone();
    test.name.clear();
    for criterion in &mut test.criteria {
        criterion.position = Position::default();
    }
    test
}

fn test_keys(old: &Test, new: &Test) -> Vec<&'static str> {
    let (old, new) = (defining(old), defining(new));
    if old == new {
        return Vec::new();
    }
    let keys = named([
        ("payload", old.payload != new.payload),
        ("put", old.put != new.put),
        ("keys", old.keys != new.keys),
        ("max_in_flight", old.max_in_flight != new.max_in_flight),
        ("put_attempts", old.put_attempts != new.put_attempts),
        ("attempt_timeout", old.attempt_timeout != new.attempt_timeout),
        ("stages", old.stages != new.stages),
        ("criteria", old.criteria != new.criteria),
    ]);
    if keys.is_empty() { vec!["other keys"] } else { keys }
}

/// The keys whose change matters to what is measured or how it is judged.
fn plan_keys(old: &Plan, new: &Plan) -> Vec<&'static str> {
    let texts = |plan: &Plan| -> Vec<String> {
        plan.criteria.iter().map(|criterion| criterion.text.clone()).collect()
    };
    named([
        ("environment", old.environment != new.environment || old.existing != new.existing),
        ("criteria", texts(old) != texts(new)),
        ("budget", old.budget_usd != new.budget_usd),
        ("flags", old.flags != new.flags),
        ("drain", old.drain != new.drain),
        ("expected_peak", old.expected_peak_rps != new.expected_peak_rps),
    ])
}

fn named<const N: usize>(pairs: [(&'static str, bool); N]) -> Vec<&'static str> {
    pairs.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = "schema: streamgauge/plan/v1
name: p
phases:
  - name: One
    tests:
      - {id: a, name: A, stages: [{duration: 1s, target: 5}], criteria: [lost == 0]}
      - {id: b, name: B, payload: small, stages: [{duration: 1s, target: 5}]}
";

    /// Edits, the lines that they come to, and whether the tests a and b are still the same.
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str], bool, bool);

    fn edited(edits: &[(&str, &str)]) -> Plan {
        let mut text = PLAN.to_owned();
        for (from, to) in edits {
            assert!(text.contains(from), "{from}");
            text = text.replacen(from, to, 1);
        }
        super::super::parse(&text).unwrap_or_else(|error| panic!("{error:?}\n{text}"))
    }

    #[test]
    fn each_change_is_named_and_only_what_it_touches_is_another_test() {
        let before = edited(&[]);
        let cases: [Case; 8] = [
            (&[("name: p", "# moved down\nname: p"), ("name: A", "name: Better")], &[], true, true),
            (&[("payload: small", "payload: large")], &["test b changed (payload)"], true, false),
            (
                &[("target: 5}], criteria: [lost == 0]", "target: 6}], put: batch")],
                &["test a changed (put, stages, criteria)"],
                false,
                true,
            ),
            (&[("id: b", "id: c")], &["test c added", "test b removed"], true, false),
            (
                &[("phases", "environment: {function: {memory_mb: 256}}\nphases")],
                &["environment changed"],
                false,
                false,
            ),
            (&[("phases", "drain: 7s\nphases")], &["drain changed"], true, true),
            (&[("phases", "criteria: [lost == 0]\nphases")], &["criteria changed"], true, true),
            (&[("phases", "defaults: {put_attempts: 3}\nphases")], &["a", "b"], false, false),
        ];
        for (edits, expected, a_is_same, b_is_same) in cases {
            let after = edited(edits);
            let lines = changes(&before, &after).lines();
            assert_eq!(lines.len(), expected.len(), "{edits:?}: {lines:?}");
            for (line, expected) in lines.iter().zip(expected) {
                assert!(line.contains(expected), "{edits:?}: {lines:?}");
            }
            assert_eq!(is_same_test(&before, &after, "a"), a_is_same, "{edits:?}");
            assert_eq!(is_same_test(&before, &after, "b"), b_is_same, "{edits:?}");
        }
    }
}
