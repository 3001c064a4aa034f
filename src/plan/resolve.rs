//! From the plan as typed to the plan as meant: defaults, ranges, and what depends on something else.
//! A wrong value is reported and replaced by a harmless one, so that the rest is still checked.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::criterion;
use super::errors::{PlanError, ROOT, quoted};
use super::files::{self, Files, ReadFile};
use super::model::*;
use super::resolve_existing;
use super::tree::{Kind, Node};
use super::typed::{BudgetDoc, DurationText, FlagActionDoc, FlagsDoc, PhaseDoc, PlanDoc, Rate};
use super::units;
use super::{LEVELS_MAX, SCHEMA};
use crate::platform::limits;

/// Records a second: as many as the largest stream takes in.
pub(super) const RATE_MAX: f64 = limits::SHARDS_MAX as f64 * limits::SHARD_WRITE_RECORDS_PER_S as f64;
/// A plan's load, and so each test's and each stage's: 31 days.
const LOAD_MAX: Duration = Duration::from_secs(31 * 24 * 3_600);
const DRAIN_DEFAULT: Duration = Duration::from_secs(120);
const DRAIN_MAX: Duration = Duration::from_secs(24 * 3_600);
/// Tags of a CloudFormation stack: 50, less the ones that streamgauge sets itself.
const TAGS_MAX: usize = 40;
const NAME_MAX_CHARS: usize = 200;

pub(super) fn resolve(
    document: PlanDoc,
    root: &Node,
    text: &str,
    reader: &dyn ReadFile,
    errors: &mut Vec<PlanError>,
) -> Plan {
    let mut resolver = Resolver { errors, files: Files::new(reader) };
    let at = Place { node: Some(root), position: root.position, path: String::new() };
    resolver.schema(document.schema.as_deref(), &at);
    let mut environment = document.environment;
    let existing = resolver.existing(environment.as_mut(), &at.key("environment"));
    let mut environment = resolver.environment(environment, &at.key("environment"));
    let defaults = resolver.defaults(document.defaults, &environment, &at.key("defaults"));
    let rehearsal = resolver.rehearsal(document.rehearsal, environment.function.memory_mb, &at);
    let phases = resolver.phases(document.phases, &environment, &defaults, &at);
    let payloads = phases.iter().flat_map(|phase| &phase.tests).map(|test| &test.payload);
    environment.function.envelope_paths = resolver.envelope_paths(payloads, &at.key("phases"));
    let drain = document.drain.as_ref();
    let flags_told = document.flags.unwrap_or_default();
    let mut flags = flags(&flags_told);
    if existing.is_some() {
        resolver.no_actions_on_existing(&phases, &at.key("phases"));
        resolve_existing::stop_unless_told(&mut flags, &flags_told);
    }
    Plan {
        name: resolver.name(document.name, &at.key("name")),
        environment,
        existing,
        phases,
        criteria: resolver.criteria(document.criteria, &at.key("criteria")),
        budget_usd: document.budget.map(|budget| resolver.budget(budget, &at.key("budget"))),
        flags,
        drain: resolver.duration(drain, &at.key("drain"), Duration::ZERO..=DRAIN_MAX, DRAIN_DEFAULT),
        rehearsal,
        tags: resolver.tags(document.tags.unwrap_or_default(), &at.key("tags")),
        expected_peak_rps: document
            .expected_peak
            .map(|rate| resolver.rate(Some(rate), &at.key("expected_peak"))),
        hash: files::hash(text, &resolver.files.found),
        files: resolver.files.found,
        text: text.to_owned(),
    }
}

/// A place in the plan: the node, or where it would be.
#[derive(Clone)]
pub(super) struct Place<'t> {
    node: Option<&'t Node>,
    position: Position,
    path: String,
}

impl<'t> Place<'t> {
    /// Where nothing is written.
    pub fn nowhere() -> Place<'static> {
        Place { node: None, position: Position::default(), path: String::new() }
    }

    pub fn key(&self, key: &str) -> Place<'t> {
        let separator = if self.path.is_empty() { "" } else { "." };
        let path = format!("{}{separator}{key}", self.path);
        let members = match self.node.map(|node| &node.kind) {
            Some(Kind::Mapping(members)) => members.as_slice(),
            _ => &[],
        };
        match members.iter().find(|member| member.key == key) {
            Some(member) => {
                let position = match member.value.is_null() {
                    true => member.key_position,
                    false => member.value.position,
                };
                Place { node: Some(&member.value), position, path }
            }
            None => Place { node: None, position: self.position, path },
        }
    }

    /// The `i`-th element of what is left of a list; its path has the index of the text.
    pub fn index(&self, i: usize) -> Place<'t> {
        if let Some(Kind::Sequence { elements, .. }) = self.node.map(|node| &node.kind)
            && let Some(element) = elements.get(i)
        {
            let path = format!("{}[{}]", self.path, element.index);
            return Place { node: Some(&element.node), position: element.node.position, path };
        }
        Place { node: None, position: self.position, path: format!("{}[{i}]", self.path) }
    }

    /// Something here was reported and taken out: what is missing is no further error.
    fn is_reported(&self) -> bool {
        matches!(
            self.node.map(|node| &node.kind),
            Some(Kind::Removed | Kind::Sequence { some_removed: true, .. })
        )
    }

    /// The plan has something here.
    pub fn is_written(&self) -> bool {
        self.node.is_some()
    }

    fn found(&self) -> String {
        self.node.map_or_else(|| "nothing".to_owned(), Node::describe)
    }

    /// `chars` characters into a text, where that can be told.
    fn offset(&self, chars: usize) -> Position {
        match self.node.map(|node| &node.kind) {
            Some(Kind::Scalar { literal: true, plain, .. }) => Position {
                line: self.position.line,
                column: self.position.column + chars + usize::from(!plain),
            },
            _ => self.position,
        }
    }
}

pub(super) struct Resolver<'e> {
    pub(super) errors: &'e mut Vec<PlanError>,
    pub(super) files: Files<'e>,
}

impl Resolver<'_> {
    pub fn wrong(&mut self, at: &Place<'_>, found: impl Into<String>, expected: impl Into<String>) {
        let field = if at.path.is_empty() { ROOT.to_owned() } else { at.path.clone() };
        let (found, expected) = (found.into(), expected.into());
        self.errors.push(PlanError { file: None, position: at.position, field, found, expected });
    }

    /// What stands here is wrong.
    pub fn unexpected(&mut self, at: &Place<'_>, expected: impl Into<String>) {
        self.wrong(at, at.found(), expected);
    }

    /// Nothing stands here; unless it was reported already.
    pub fn missing(&mut self, at: &Place<'_>, expected: &str) {
        if !at.is_reported() {
            self.unexpected(at, expected);
        }
    }

    /// No error was reported at this place or below it.
    pub fn is_clean_below(&self, at: &Place<'_>) -> bool {
        self.errors.iter().all(|error| !error.field.starts_with(&at.path))
    }

    fn schema(&mut self, schema: Option<&str>, root: &Place<'_>) {
        let at = root.key("schema");
        match schema {
            Some(SCHEMA) => {}
            Some(_) => self.unexpected(&at, quoted(SCHEMA)),
            None => self.missing(&at, &quoted(SCHEMA)),
        }
    }

    pub fn name(&mut self, name: Option<String>, at: &Place<'_>) -> String {
        const EXPECTED: &str = "a name of 1 to 200 characters";
        match name {
            None => self.missing(at, EXPECTED),
            Some(name) => {
                let is_fine = !name.trim().is_empty()
                    && name.chars().count() <= NAME_MAX_CHARS
                    && !name.chars().any(char::is_control);
                if is_fine {
                    return name.trim().to_owned();
                }
                self.unexpected(at, EXPECTED);
            }
        }
        String::new()
    }

    /// A whole number inside `range`, or `default` where none is given.
    pub fn whole<T>(&mut self, value: Option<i64>, at: &Place<'_>, range: RangeInclusive<T>, default: T) -> T
    where
        T: Copy + TryFrom<i64> + PartialOrd + std::fmt::Display,
    {
        let Some(value) = value else { return default };
        match T::try_from(value) {
            Ok(value) if range.contains(&value) => value,
            _ => {
                self.unexpected(at, format!("{} to {}", range.start(), range.end()));
                default
            }
        }
    }

    pub fn percent(&mut self, value: Option<f64>, at: &Place<'_>, default: f64) -> f64 {
        let Some(value) = value else { return default };
        if (0.0..=100.0).contains(&value) {
            return value;
        }
        self.unexpected(at, "0 to 100 percent");
        default
    }

    pub fn duration(
        &mut self,
        text: Option<&DurationText>,
        at: &Place<'_>,
        range: RangeInclusive<Duration>,
        default: Duration,
    ) -> Duration {
        let Some(DurationText(text)) = text else { return default };
        match units::duration(text) {
            Some(duration) if range.contains(&duration) => return duration,
            Some(_) => {
                let shown = [range.start(), range.end()].map(|bound| units::show_duration(*bound));
                self.unexpected(at, format!("{} to {}", shown[0], shown[1]));
            }
            None => self.unexpected(at, units::DURATION_EXPECTED),
        }
        default
    }

    pub fn rate(&mut self, rate: Option<Rate>, at: &Place<'_>) -> f64 {
        let expected = format!("a number of records a second from 0 to {RATE_MAX}");
        match rate {
            Some(Rate(rate)) if (0.0..=RATE_MAX).contains(&rate) => return rate,
            Some(_) => self.unexpected(at, expected),
            None => self.missing(at, &expected),
        }
        0.0
    }

    fn phases(
        &mut self,
        phases: Option<Vec<PhaseDoc>>,
        environment: &Environment,
        defaults: &super::resolve_test::Defaults,
        root: &Place<'_>,
    ) -> Vec<Phase> {
        let at = root.key("phases");
        let phases = phases.unwrap_or_default();
        if phases.is_empty() {
            self.missing(&at, "at least one phase");
        }
        let mut resolved = Vec::new();
        for (i, phase) in phases.into_iter().enumerate() {
            let at = at.index(i);
            let week = self.whole(phase.week, &at.key("week"), 1..=52, 1);
            let name = self.name(phase.name, &at.key("name"));
            let tests = phase.tests.unwrap_or_default();
            if tests.is_empty() {
                self.missing(&at.key("tests"), "at least one test");
            }
            let tests = tests.into_iter().enumerate();
            let tests = tests
                .map(|(i, test)| self.test(test, environment, defaults, &at.key("tests").index(i)))
                .collect();
            resolved.push(Phase { name, week, tests });
        }
        self.unique_ids(&resolved, &at);
        self.totals(&resolved, &at);
        resolved
    }

    fn unique_ids(&mut self, phases: &[Phase], at: &Place<'_>) {
        let mut seen = std::collections::HashSet::new();
        for (i, phase) in phases.iter().enumerate() {
            for (j, test) in phase.tests.iter().enumerate() {
                if !test.id.is_empty() && !seen.insert(test.id.as_str()) {
                    let at = at.index(i).key("tests").index(j).key("id");
                    self.wrong(&at, format!("the id {} again", quoted(&test.id)), "each id once in a plan");
                }
            }
        }
    }

    fn totals(&mut self, phases: &[Phase], at: &Place<'_>) {
        let tests = || phases.iter().flat_map(|phase| &phase.tests);
        let levels: usize = tests().map(|test| test.stages.len()).sum();
        if levels > LEVELS_MAX {
            self.wrong(at, format!("{levels} stages"), format!("at most {LEVELS_MAX} in a plan"));
        }
        let duration: Duration = tests().map(Test::duration).sum();
        if duration > LOAD_MAX {
            let found = format!("{} of load", units::show_duration(duration));
            self.wrong(at, found, format!("at most {}", units::show_duration(LOAD_MAX)));
        }
    }

    pub fn criteria(&mut self, criteria: Option<Vec<String>>, at: &Place<'_>) -> Vec<Criterion> {
        let mut resolved = Vec::new();
        for (i, text) in criteria.unwrap_or_default().iter().enumerate() {
            let at = at.index(i);
            match criterion::parse(text) {
                Ok(criterion::Parsed { text, metric, stat, op, threshold }) => {
                    let position = at.offset(0);
                    resolved.push(Criterion { text, metric, stat, op, threshold, position });
                }
                Err(wrong) => {
                    let at = Place { position: at.offset(wrong.at), ..at };
                    self.wrong(&at, wrong.found, wrong.expected);
                }
            }
        }
        resolved
    }

    fn budget(&mut self, budget: BudgetDoc, at: &Place<'_>) -> String {
        let BudgetDoc(text) = budget;
        let at = match at.node.map(|node| &node.kind) {
            Some(Kind::Mapping(_)) => at.key("max_usd"),
            _ => at.clone(),
        };
        let is_decimal = text.chars().all(|c| c.is_ascii_digit() || c == '.') && text.len() <= 20;
        if !(is_decimal && text.parse::<f64>().is_ok_and(|usd| usd > 0.0)) {
            self.unexpected(&at, "an amount in USD above 0, such as 5 or 2.50");
        }
        text
    }

    /// Source of the limits: AWS Tag Editor user guide, "Tag naming limits and requirements".
    fn tags(
        &mut self,
        tags: std::collections::BTreeMap<String, String>,
        at: &Place<'_>,
    ) -> std::collections::BTreeMap<String, String> {
        if tags.len() > TAGS_MAX {
            self.wrong(at, format!("{} tags", tags.len()), format!("at most {TAGS_MAX}"));
        }
        for (key, value) in &tags {
            let at = at.key(key);
            if key.is_empty() || key.chars().count() > 128 || key.to_ascii_lowercase().starts_with("aws:") {
                self.wrong(
                    &at,
                    quoted(key),
                    "a tag key of 1 to 128 characters that does not start with aws:",
                );
            }
            if value.chars().count() > 256 {
                self.unexpected(&at, "a tag value of at most 256 characters");
            }
        }
        tags
    }
}

/// A policy for each flag, in the flags' order.
fn flags(document: &FlagsDoc) -> Vec<FlagPolicy> {
    let actions = [
        document.iterator_age_growing,
        document.lambda_throttles,
        document.write_throughput_exceeded,
        document.read_throughput_exceeded,
        document.error_rate,
        document.lambda_duration,
        document.dlq_filling,
        document.memory,
    ];
    let policy = |(flag, action): (Flag, Option<FlagActionDoc>)| FlagPolicy {
        flag,
        action: match action {
            Some(FlagActionDoc::Stop) => FlagAction::Stop,
            Some(FlagActionDoc::Note) | None => FlagAction::Note,
        },
    };
    Flag::ALL.into_iter().zip(actions).map(policy).collect()
}
