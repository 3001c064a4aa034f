//! Alarms: stored and given back whole. When somebody looks, every minute since the last look is evaluated, so
//! that states and history are those of an alarm that was evaluated all along. Actions are never carried out.

mod composite;
mod evaluate;
mod history;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use self::composite::Rule;
use self::evaluate::Evaluation;
use self::history::History;
use super::error::{invalid_token, invalid_value, missing, not_found, validation};
use super::store::Store;
use crate::local::members::{integer, list, text, texts};
use crate::local::service::{ApiError, ApiResult};

/// A standard-resolution alarm is evaluated once a minute. User guide, "Alarm evaluation".
const EVALUATED_EVERY_MS: i64 = 60_000;
/// Minutes made up for at one look: a day. An alarm nobody looked at for longer goes on from a day ago.
const CAUGHT_UP_MS: i64 = 86_400_000;
/// Alarms of one DescribeAlarms answer: default, and the largest that can be asked for. API reference.
const PAGE_DEFAULT: i64 = 50;
const PAGE_MAX: i64 = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Ok,
    Alarm,
    InsufficientData,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            State::Ok => "OK",
            State::Alarm => "ALARM",
            State::InsufficientData => "INSUFFICIENT_DATA",
        }
    }

    fn parse(name: &str) -> Option<State> {
        [State::Ok, State::Alarm, State::InsufficientData].into_iter().find(|state| state.as_str() == name)
    }
}

struct Alarm {
    /// The members of the Put request, without its tags.
    settings: Map<String, Value>,
    kind: Kind,
    configured_ms: i64,
    state: State,
    reason: String,
    reason_data: Option<String>,
    state_updated_ms: i64,
    state_changed_ms: i64,
    evaluated_ms: i64,
}

enum Kind {
    Metric(Evaluation),
    Composite(Rule),
}

impl Kind {
    fn as_str(&self) -> &'static str {
        match self {
            Kind::Metric(_) => "MetricAlarm",
            Kind::Composite(_) => "CompositeAlarm",
        }
    }
}

#[derive(Default)]
pub struct Alarms {
    by_name: BTreeMap<String, Alarm>,
    history: History,
}

impl Alarms {
    /// PutMetricAlarm. The state of an alarm that exists already is kept.
    pub fn put_metric(&mut self, input: &Value, now_ms: i64) -> ApiResult {
        let evaluation = Evaluation::parse(input)?;
        self.put(input, Kind::Metric(evaluation), now_ms)
    }

    /// PutCompositeAlarm. Every alarm that the rule names must exist.
    pub fn put_composite(&mut self, input: &Value, now_ms: i64) -> ApiResult {
        let text = text(input, "AlarmRule").ok_or_else(|| missing("AlarmRule"))?;
        let rule = composite::parse(text).map_err(|error| validation(format!("AlarmRule: {error}")))?;
        let mut names = Vec::new();
        rule.names(&mut names);
        if let Some(absent) = names.iter().find(|name| !self.by_name.contains_key(**name)) {
            return Err(validation(format!(
                "Could not save the composite alarm as alarms [{absent}] in the alarm rule do not exist"
            )));
        }
        self.put(input, Kind::Composite(rule), now_ms)
    }

    fn put(&mut self, input: &Value, kind: Kind, now_ms: i64) -> ApiResult {
        let name =
            text(input, "AlarmName").filter(|name| !name.is_empty()).ok_or_else(|| missing("AlarmName"))?;
        if name.chars().count() > 255 {
            return Err(invalid_value("AlarmName has more than 255 characters"));
        }
        let mut settings = input.as_object().cloned().unwrap_or_default();
        settings.remove("Tags");
        settings.retain(|_, member| !member.is_null());
        settings.entry("ActionsEnabled").or_insert(Value::Bool(true));
        let mut alarm = Alarm {
            settings,
            kind,
            configured_ms: now_ms,
            state: State::InsufficientData,
            reason: "Unchecked: Initial alarm creation".to_owned(),
            reason_data: None,
            state_updated_ms: now_ms,
            state_changed_ms: now_ms,
            evaluated_ms: now_ms,
        };
        if let Some(before) = self.by_name.get(name) {
            alarm.state = before.state;
            alarm.reason = before.reason.clone();
            alarm.reason_data = before.reason_data.clone();
            alarm.state_updated_ms = before.state_updated_ms;
            alarm.state_changed_ms = before.state_changed_ms;
        }
        let what = if self.by_name.contains_key(name) { "updated" } else { "created" };
        self.history.configured(name, alarm.kind.as_str(), what, now_ms);
        self.by_name.insert(name.to_owned(), alarm);
        Ok(json!({}))
    }

    /// SetAlarmState: holds until the next evaluation.
    pub fn set_state(&mut self, input: &Value, store: &Store, now_ms: i64) -> ApiResult {
        self.evaluate(store, now_ms);
        let name = text(input, "AlarmName").ok_or_else(|| missing("AlarmName"))?;
        let state = text(input, "StateValue").ok_or_else(|| missing("StateValue"))?;
        let state =
            State::parse(state).ok_or_else(|| validation(format!("StateValue {state} is not known")))?;
        let reason = text(input, "StateReason").ok_or_else(|| missing("StateReason"))?;
        let alarm = self.by_name.get_mut(name).ok_or_else(|| not_found(format!("{name} does not exist")))?;
        alarm.reason_data = text(input, "StateReasonData").map(str::to_owned);
        alarm.evaluated_ms = now_ms;
        alarm.enter(name, state, reason.to_owned(), now_ms, &mut self.history);
        Ok(json!({}))
    }

    /// DeleteAlarms: all of them, or none when one is missing. Gives their names.
    pub fn delete(&mut self, input: &Value, now_ms: i64) -> Result<Vec<String>, ApiError> {
        let names = texts(input, "AlarmNames");
        if names.is_empty() {
            return Err(missing("AlarmNames"));
        }
        if let Some(absent) = names.iter().find(|name| !self.by_name.contains_key(**name)) {
            return Err(not_found(format!("{absent} does not exist")));
        }
        for name in &names {
            if let Some(alarm) = self.by_name.remove(*name) {
                self.history.configured(name, alarm.kind.as_str(), "deleted", now_ms);
            }
        }
        Ok(names.into_iter().map(str::to_owned).collect())
    }

    /// EnableAlarmActions and DisableAlarmActions.
    pub fn set_actions(&mut self, input: &Value, enabled: bool) -> ApiResult {
        for name in texts(input, "AlarmNames") {
            if let Some(alarm) = self.by_name.get_mut(name) {
                alarm.settings.insert("ActionsEnabled".to_owned(), Value::Bool(enabled));
            }
        }
        Ok(json!({}))
    }

    pub fn contains(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// DescribeAlarms. Without `AlarmTypes` only metric alarms are given, as the API reference says.
    pub fn describe(
        &mut self,
        input: &Value,
        store: &Store,
        now_ms: i64,
        arn: impl Fn(&str) -> String,
    ) -> ApiResult {
        self.evaluate(store, now_ms);
        let types = texts(input, "AlarmTypes");
        let names = texts(input, "AlarmNames");
        let prefix = text(input, "AlarmNamePrefix").unwrap_or("");
        let state = text(input, "StateValue");
        let most = integer(input, "MaxRecords").unwrap_or(PAGE_DEFAULT);
        if !(1..=PAGE_MAX).contains(&most) {
            return Err(invalid_value(format!("MaxRecords {most} is not between 1 and {PAGE_MAX}")));
        }
        let after = match text(input, "NextToken") {
            Some(token) if self.by_name.contains_key(token) => token,
            Some(_) => return Err(invalid_token()),
            None => "",
        };
        let mut output = json!({ "MetricAlarms": [], "CompositeAlarms": [] });
        let mut given = 0;
        let mut last = "";
        for (name, alarm) in self.by_name.iter().filter(|(name, _)| name.as_str() > after) {
            let kind = alarm.kind.as_str();
            let wanted = if types.is_empty() { kind == "MetricAlarm" } else { types.contains(&kind) };
            let named = names.is_empty() || names.contains(&name.as_str());
            if !wanted
                || !named
                || !name.starts_with(prefix)
                || state.is_some_and(|s| s != alarm.state.as_str())
            {
                continue;
            }
            if given == most {
                output["NextToken"] = Value::from(last);
                break;
            }
            given += 1;
            last = name;
            if let Some(list) = output[format!("{kind}s")].as_array_mut() {
                list.push(alarm.described(&arn(name)));
            }
        }
        Ok(output)
    }

    /// DescribeAlarmHistory.
    pub fn history(&mut self, input: &Value, store: &Store, now_ms: i64) -> ApiResult {
        self.evaluate(store, now_ms);
        self.history.describe(input)
    }

    /// DescribeAlarmsForMetric: the alarms over exactly that metric, not those with metric math.
    pub fn for_metric(
        &mut self,
        input: &Value,
        store: &Store,
        now_ms: i64,
        arn: impl Fn(&str) -> String,
    ) -> ApiResult {
        for required in ["Namespace", "MetricName"] {
            text(input, required).ok_or_else(|| missing(required))?;
        }
        self.evaluate(store, now_ms);
        let asked = input.as_object().into_iter().flatten().filter(|(_, member)| !member.is_null());
        let asked: Vec<(&String, &Value)> = asked.filter(|(name, _)| *name != "Dimensions").collect();
        let described: Vec<Value> = self
            .by_name
            .iter()
            .filter(|(_, alarm)| {
                asked.iter().all(|(name, wanted)| alarm.settings.get(*name) == Some(*wanted))
            })
            .filter(|(_, alarm)| dimensions(&Value::Object(alarm.settings.clone())) == dimensions(input))
            .map(|(name, alarm)| alarm.described(&arn(name)))
            .collect();
        Ok(json!({ "MetricAlarms": described }))
    }

    /// Brings every alarm up to date, one evaluation after the other as they fell due.
    fn evaluate(&mut self, store: &Store, now_ms: i64) {
        for alarm in self.by_name.values_mut() {
            alarm.evaluated_ms = alarm.evaluated_ms.max(now_ms - CAUGHT_UP_MS);
        }
        while let Some(due_ms) = self.next_evaluation_ms().filter(|due_ms| *due_ms <= now_ms) {
            for (name, alarm) in &mut self.by_name {
                if let Kind::Metric(evaluation) = &alarm.kind
                    && alarm.evaluated_ms + EVALUATED_EVERY_MS <= due_ms
                {
                    let (state, reason) = evaluation.state(store, due_ms, alarm.state);
                    alarm.evaluated_ms = due_ms;
                    alarm.enter(name, state, reason, due_ms, &mut self.history);
                }
            }
            self.evaluate_composites(due_ms);
        }
        self.evaluate_composites(now_ms);
    }

    fn next_evaluation_ms(&self) -> Option<i64> {
        let metric_alarms = self.by_name.values().filter(|alarm| matches!(alarm.kind, Kind::Metric(_)));
        metric_alarms.map(|alarm| alarm.evaluated_ms + EVALUATED_EVERY_MS).min()
    }

    /// A composite may name a composite: as many rounds as there can be levels, until nothing changes.
    fn evaluate_composites(&mut self, at_ms: i64) {
        for _ in 0..self.by_name.len() {
            let states: BTreeMap<String, State> =
                self.by_name.iter().map(|(name, alarm)| (name.clone(), alarm.state)).collect();
            let mut changed = false;
            for (name, alarm) in &mut self.by_name {
                let Kind::Composite(rule) = &alarm.kind else { continue };
                let state = if rule.holds(&states) { State::Alarm } else { State::Ok };
                if state != alarm.state {
                    changed = true;
                    let reason = format!("The alarm rule makes this alarm {}", state.as_str());
                    alarm.enter(name, state, reason, at_ms, &mut self.history);
                }
            }
            if !changed {
                break;
            }
        }
    }
}

/// The dimensions of a request, in order of their names.
fn dimensions(input: &Value) -> Vec<(&str, &str)> {
    let pairs = list(input, "Dimensions").iter();
    let mut pairs: Vec<(&str, &str)> =
        pairs.filter_map(|pair| Some((text(pair, "Name")?, text(pair, "Value")?))).collect();
    pairs.sort_unstable();
    pairs
}

impl Alarm {
    fn enter(&mut self, name: &str, state: State, reason: String, now_ms: i64, history: &mut History) {
        if self.state != state {
            history.changed(name, self.kind.as_str(), (self.state, state), [&self.reason, &reason], now_ms);
            self.state_changed_ms = now_ms;
            self.state = state;
            self.state_updated_ms = now_ms;
            self.reason = reason;
        } else if self.reason != reason {
            self.state_updated_ms = now_ms;
            self.reason = reason;
        }
    }

    fn described(&self, arn: &str) -> Value {
        let seconds = |ms: i64| Value::from(ms as f64 / 1_000.0);
        let mut described = self.settings.clone();
        let mut set = |name: &str, value: Value| described.insert(name.to_owned(), value);
        set("AlarmArn", Value::from(arn));
        set("AlarmConfigurationUpdatedTimestamp", seconds(self.configured_ms));
        set("StateValue", Value::from(self.state.as_str()));
        set("StateReason", Value::from(self.reason.as_str()));
        set("StateUpdatedTimestamp", seconds(self.state_updated_ms));
        set("StateTransitionedTimestamp", seconds(self.state_changed_ms));
        if let Some(data) = &self.reason_data {
            set("StateReasonData", Value::from(data.as_str()));
        }
        for list in ["OKActions", "AlarmActions", "InsufficientDataActions"] {
            described.entry(list).or_insert_with(|| json!([]));
        }
        if matches!(self.kind, Kind::Metric(_)) {
            described.entry("Dimensions").or_insert_with(|| json!([]));
        }
        Value::Object(described)
    }
}
