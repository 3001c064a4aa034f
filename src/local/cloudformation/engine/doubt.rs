//! What a resource has after a change that failed: perhaps the old, perhaps the new, perhaps some of each.
//! The next change must not take anything for done that may not have been.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::local::cloudformation::state::ResourceState;

/// Properties and tags to change a resource from: those recorded, and where a change of them failed, of
/// each whatever is farther from what is wanted.
pub(super) fn presumed(
    resource: &ResourceState,
    wanted: &Value,
    wanted_tags: &BTreeMap<String, String>,
) -> (Value, BTreeMap<String, String>) {
    let Some((other, other_tags)) = &resource.doubt else {
        return (resource.properties.clone(), resource.tags.clone());
    };
    let tags = keyed(&resource.tags)
        .union(&keyed(other_tags))
        .filter(|(key, value)| {
            let has = |tags: &BTreeMap<String, String>| tags.get(key) == Some(value);
            (has(&resource.tags) && has(other_tags)) || !has(wanted_tags)
        })
        .cloned()
        .collect();
    (blended(&resource.properties, other, wanted), tags)
}

fn keyed(tags: &BTreeMap<String, String>) -> BTreeSet<(String, String)> {
    tags.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn blended(one: &Value, other: &Value, wanted: &Value) -> Value {
    let names = |value: &Value| value.as_object().map(|members| members.keys().cloned().collect());
    let names: BTreeSet<String> =
        [one, other].into_iter().filter_map(names).flat_map(|names: Vec<String>| names).collect();
    let member = |name: &String| match (one.get(name), other.get(name)) {
        (Some(Value::Array(one)), Some(Value::Array(other))) => {
            Some(Value::Array(either(one, other, wanted[name].as_array().map_or(&[], Vec::as_slice))))
        }
        (one, other) => if one == wanted.get(name) { other } else { one }.cloned(),
    };
    names.into_iter().filter_map(|name| Some((name.clone(), member(&name)?))).collect::<Map<_, _>>().into()
}

/// What is surely there, and what may be there and is not wanted.
fn either(one: &[Value], other: &[Value], wanted: &[Value]) -> Vec<Value> {
    let sure = one.iter().filter(|item| other.contains(item));
    let unwanted = |item: &&Value| !wanted.contains(item);
    let perhaps = one.iter().chain(other).filter(unwanted);
    let mut items: Vec<Value> = Vec::new();
    for item in sure.chain(perhaps) {
        if !items.contains(item) {
            items.push(item.clone());
        }
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_may_not_have_been_done_is_presumed_undone() {
        let (old, new) =
            (json!({"A": 1, "B": 2, "L": ["x", "y"]}), json!({"A": 1, "B": 3, "C": 4, "L": ["x", "z"]}));
        // Back to the old: the new may have been reached.
        assert_eq!(blended(&new, &old, &old), json!({"A": 1, "B": 3, "C": 4, "L": ["x", "z"]}));
        // The way back failed, too: recorded is the old, the new may still be there.
        assert_eq!(blended(&old, &new, &old), json!({"A": 1, "B": 3, "C": 4, "L": ["x", "z"]}));
        // On to the new after all.
        assert_eq!(blended(&old, &new, &new), json!({"A": 1, "B": 2, "L": ["x", "y"]}));
    }
}
