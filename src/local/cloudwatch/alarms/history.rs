//! What became of the alarms: DescribeAlarmHistory.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::super::error::{invalid_token, invalid_value};
use super::State;
use crate::local::members::{integer, text, texts, timestamp_ms};
use crate::local::service::ApiResult;

/// Items kept. CloudWatch keeps alarm history for 30 days (user guide, "Using Amazon CloudWatch alarms"); the
/// number is ours: memory is finite.
const ITEMS_MAX: usize = 10_000;
const KEPT_MS: i64 = 30 * 86_400_000;
/// Records of one answer: default and largest. API reference, DescribeAlarmHistory.
const PAGE_MAX: i64 = 100;

struct Item {
    alarm: String,
    alarm_type: &'static str,
    at_ms: i64,
    item_type: &'static str,
    summary: String,
    data: Value,
}

/// In order of time.
#[derive(Default)]
pub struct History {
    items: VecDeque<Item>,
    /// Items dropped from the front so far: page tokens count from the first item ever.
    dropped: usize,
}

impl History {
    /// `what` is `created`, `updated` or `deleted`.
    pub fn configured(&mut self, alarm: &str, alarm_type: &'static str, what: &str, at_ms: i64) {
        let kind = match what {
            "created" => "Create",
            "deleted" => "Delete",
            _ => "Update",
        };
        self.push(Item {
            alarm: alarm.to_owned(),
            alarm_type,
            at_ms,
            item_type: "ConfigurationUpdate",
            summary: format!("Alarm \"{alarm}\" {what}"),
            data: json!({ "version": "1.0", "type": kind }),
        });
    }

    pub fn changed(
        &mut self,
        alarm: &str,
        alarm_type: &'static str,
        states: (State, State),
        why: [&str; 2],
        at_ms: i64,
    ) {
        let (before, after) = (states.0.as_str(), states.1.as_str());
        let [reason_before, reason_after] = why;
        self.push(Item {
            alarm: alarm.to_owned(),
            alarm_type,
            at_ms,
            item_type: "StateUpdate",
            summary: format!("Alarm updated from {before} to {after}"),
            data: json!({
                "version": "1.0",
                "oldState": { "stateValue": before, "stateReason": reason_before },
                "newState": { "stateValue": after, "stateReason": reason_after },
            }),
        });
    }

    fn push(&mut self, item: Item) {
        let oldest_kept_ms = item.at_ms - KEPT_MS;
        self.items.push_back(item);
        while self.items.len() > ITEMS_MAX
            || self.items.front().is_some_and(|item| item.at_ms < oldest_kept_ms)
        {
            self.items.pop_front();
            self.dropped += 1;
        }
    }

    /// DescribeAlarmHistory. Newest first unless `ScanBy` says otherwise; without `AlarmTypes` only metric
    /// alarms, as the API reference says.
    pub fn describe(&self, input: &Value) -> ApiResult {
        let most = integer(input, "MaxRecords").unwrap_or(PAGE_MAX);
        if !(1..=PAGE_MAX).contains(&most) {
            return Err(invalid_value(format!("MaxRecords {most} is not between 1 and {PAGE_MAX}")));
        }
        let ascending = match text(input, "ScanBy").unwrap_or("TimestampDescending") {
            "TimestampAscending" => true,
            "TimestampDescending" => false,
            other => return Err(invalid_value(format!("ScanBy {other} is not known"))),
        };
        let types = texts(input, "AlarmTypes");
        let wanted = |item: &Item| {
            text(input, "AlarmName").is_none_or(|name| name == item.alarm)
                && text(input, "HistoryItemType").is_none_or(|wanted| wanted == item.item_type)
                && timestamp_ms(input, "StartDate").is_none_or(|from_ms| item.at_ms >= from_ms)
                && timestamp_ms(input, "EndDate").is_none_or(|to_ms| item.at_ms <= to_ms)
                && if types.is_empty() {
                    item.alarm_type == "MetricAlarm"
                } else {
                    types.contains(&item.alarm_type)
                }
        };
        let all = self.items.iter().enumerate().map(|(at, item)| (self.dropped + at, item));
        let mut matching: Vec<(usize, &Item)> = all.filter(|(_, item)| wanted(item)).collect();
        if !ascending {
            matching.reverse();
        }
        let from = match text(input, "NextToken").map(str::parse::<usize>) {
            None => 0,
            Some(Err(_)) => return Err(invalid_token()),
            Some(Ok(last)) => {
                matching.iter().position(|(number, _)| *number == last).ok_or_else(invalid_token)? + 1
            }
        };
        let page: Vec<&(usize, &Item)> = matching.iter().skip(from).take(most as usize).collect();
        let mut output =
            json!({ "AlarmHistoryItems": page.iter().map(|(_, item)| described(item)).collect::<Vec<_>>() });
        if let Some((last, _)) = page.last().filter(|_| matching.len() > from + page.len()) {
            output["NextToken"] = Value::from(last.to_string());
        }
        Ok(output)
    }
}

fn described(item: &Item) -> Value {
    json!({
        "AlarmName": item.alarm,
        "AlarmType": item.alarm_type,
        "Timestamp": item.at_ms as f64 / 1_000.0,
        "HistoryItemType": item.item_type,
        "HistorySummary": item.summary,
        "HistoryData": item.data.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_go_on_where_the_last_one_ended_in_either_order() {
        let mut history = History::default();
        for minute in 0..5 {
            history.changed("a", "MetricAlarm", (State::Ok, State::Alarm), ["", ""], minute * 60_000);
        }
        for order in ["TimestampAscending", "TimestampDescending"] {
            let mut input = json!({ "MaxRecords": 2, "ScanBy": order });
            let mut seen = Vec::new();
            loop {
                let page = history.describe(&input).unwrap();
                seen.extend(
                    page["AlarmHistoryItems"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|i| i["Timestamp"].as_f64().unwrap()),
                );
                let Some(token) = page.get("NextToken") else { break };
                input["NextToken"] = token.clone();
            }
            if order == "TimestampDescending" {
                seen.reverse();
            }
            assert_eq!(seen, [0.0, 60.0, 120.0, 180.0, 240.0]);
        }
        assert!(history.describe(&json!({ "NextToken": "99" })).is_err());
    }
}
