//! What two runs had otherwise, apart from what they measured.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::kept::KeptRun;
use super::model::Difference;

/// Of an existing pipeline: what was seen there is no setting.
const NOT_SETTINGS: [&str; 2] = ["environment.existing.foreign_traffic", "environment.existing.changes"];
/// Follow from the environment's name.
const NAMES: [&str; 2] = ["environment.stream.name", "environment.function.name"];

/// Every setting in which two runs differ: what ran first, then what stood, then where.
pub fn differences(before: &KeptRun, after: &KeptRun) -> Vec<Difference> {
    let (left, right) = (&before.run, &after.run);
    let kind = |rehearsal: bool| if rehearsal { "rehearsal" } else { "run" }.to_owned();
    let short = |hash: &str| hash.get(..12).unwrap_or(hash).to_owned();
    let mut found = Vec::new();
    let mut hold = |setting: &str, before: String, after: String| {
        if before != after {
            found.push(Difference { setting: setting.to_owned(), before, after });
        }
    };
    hold("kind", kind(left.rehearsal), kind(right.rehearsal));
    hold("plan", left.plan.clone(), right.plan.clone());
    hold("plan hash", short(&left.plan_hash), short(&right.plan_hash));
    hold("faults", listed(&left.faults), listed(&right.faults));
    let (old, new) = (settings(before), settings(after));
    let same_name = before.environment_name() == after.environment_name();
    for key in old.keys().chain(new.keys()).collect::<BTreeSet<&String>>() {
        if same_name || !NAMES.contains(&key.as_str()) {
            let of = |side: &BTreeMap<String, String>| {
                side.get(key).map_or_else(|| "not told".to_owned(), String::clone)
            };
            hold(key, of(&old), of(&new));
        }
    }
    hold("target", left.target.clone(), right.target.clone());
    hold("region", left.region.clone(), right.region.clone());
    hold("host", left.host.clone(), right.host.clone());
    hold("streamgauge", left.tool_version.clone(), right.tool_version.clone());
    hold("prices of", before.cost.prices_as_of.clone(), after.cost.prices_as_of.clone());
    found
}

fn listed(faults: &[String]) -> String {
    if faults.is_empty() { "none".to_owned() } else { faults.join(", ") }
}

/// Every leaf of the environment, by its path.
fn settings(run: &KeptRun) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    leaves(&run.environment, "environment", &mut found);
    found
}

fn leaves(value: &Value, path: &str, into: &mut BTreeMap<String, String>) {
    if NOT_SETTINGS.contains(&path) {
        return;
    }
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                leaves(member, &format!("{path}.{key}"), into);
            }
        }
        Value::String(text) => {
            into.insert(path.to_owned(), text.clone());
        }
        Value::Null => {
            into.insert(path.to_owned(), "none".to_owned());
        }
        other => {
            into.insert(path.to_owned(), other.to_string());
        }
    }
}
