//! A plan with some of its values set otherwise, as `rehearse --set` does: its tree is changed before anything is
//! checked, so that every check of a plan holds for what was set, too.

use std::fmt;
use std::sync::OnceLock;

use serde_json::Value;

use super::errors::{Errors, nearest};
use super::model::{Plan, Position};
use super::tree::{self, Kind, Member, Node};
use super::written;

/// What can be set: these parts of a plan. The rest is what is asked (tests, criteria), or where it runs.
const SETTABLE: [&str; 4] = ["environment.stream", "environment.function", "defaults", "rehearsal"];
const MEMORY: &str = "environment.function.memory_mb";
const AT_MEMORY: &str = "rehearsal.function.at_memory_mb";

/// One value of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// From the plan's top: `environment.stream.shards`.
    pub path: String,
    /// As a plan would have it; in double quotes it is text whatever it looks like.
    pub value: String,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.path, self.value)
    }
}

impl Setting {
    /// The setting with the shortest of its names: `shards=2`.
    pub fn short(&self) -> String {
        format!("{}={}", short_key(&self.path), self.value)
    }
}

/// The last part of a path, or as many of its last parts as no other path ends with: `shards`.
pub fn short_key(path: &str) -> &str {
    let known = settable();
    let starts = path.rmatch_indices('.').map(|(dot, _)| dot + 1);
    starts.map(|start| &path[start..]).find(|short| ending_with(known, short).count() == 1).unwrap_or(path)
}

/// The full path of what `key` names: the path itself, or its last parts where no other path ends with them.
///
/// # Errors
/// What was expected instead.
pub fn full_path(key: &str) -> Result<String, String> {
    let known = settable();
    if known.iter().any(|path| path == key) {
        return Ok(key.to_owned());
    }
    let found: Vec<&String> = ending_with(known, key).collect();
    match found.as_slice() {
        [only] => Ok((*only).clone()),
        [] => Err(unknown(known, key)),
        several => {
            let names: Vec<&str> = several.iter().map(|path| path.as_str()).collect();
            Err(format!("one of {}", names.join(", ")))
        }
    }
}

fn ending_with<'k>(known: &'k [String], key: &str) -> impl Iterator<Item = &'k String> {
    known.iter().filter(move |path| {
        path.strip_suffix(key).is_some_and(|head| head.is_empty() && !key.is_empty() || head.ends_with('.'))
    })
}

fn unknown(known: &[String], key: &str) -> String {
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    let lasts: Vec<String> = known.iter().map(|path| last(path)).collect();
    let near = nearest(&last(key), lasts.iter().map(String::as_str));
    let near: Vec<&str> =
        known.iter().filter(|path| near.contains(&last(path).as_str())).map(String::as_str).collect();
    let expected = format!("a key of a plan below {}", SETTABLE.join(", "));
    if near.is_empty() { expected } else { format!("{expected} (did you mean {}?)", near.join(", ")) }
}

/// The path of every value that can be set, by the plan's schema, in its order.
fn settable() -> &'static [String] {
    static KNOWN: OnceLock<Vec<String>> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let schema = super::json_schema();
        let mut paths = Vec::new();
        for part in SETTABLE {
            let mut below = Some(&schema);
            for key in part.split('.') {
                let found = below.and_then(|at| properties(&schema, at).find(|(name, _)| *name == key));
                below = found.map(|(_, value)| value);
            }
            if let Some(below) = below {
                leaves(&schema, below, part, &mut paths);
            }
        }
        paths
    })
}

/// `at`, or what it refers to, and each of its alternatives.
fn alternatives<'s>(schema: &'s Value, at: &'s Value) -> Vec<&'s Value> {
    let referred = at["$ref"].as_str().and_then(|path| schema.pointer(path.trim_start_matches('#')));
    let any = ["anyOf", "oneOf", "allOf"].into_iter().filter_map(|key| at[key].as_array()).flatten();
    let deeper = referred.into_iter().chain(any).flat_map(|each| alternatives(schema, each));
    std::iter::once(at).chain(deeper).collect()
}

fn properties<'s>(schema: &'s Value, at: &'s Value) -> impl Iterator<Item = (&'s str, &'s Value)> {
    let objects = alternatives(schema, at).into_iter().filter_map(|each| each["properties"].as_object());
    objects.flatten().map(|(name, value)| (name.as_str(), value))
}

fn leaves(schema: &Value, at: &Value, path: &str, into: &mut Vec<String>) {
    let is_value = |each: &&Value| {
        let types = each["type"].as_array().cloned().unwrap_or_else(|| vec![each["type"].clone()]);
        let is_scalar =
            |name: &Value| matches!(name.as_str(), Some("string" | "integer" | "number" | "boolean"));
        types.iter().any(is_scalar) || each["enum"].is_array() || each["const"].is_string()
    };
    // Alternatives may have keys in common.
    if alternatives(schema, at).iter().any(is_value) && !into.iter().any(|known| known == path) {
        into.push(path.to_owned());
    }
    for (name, value) in properties(schema, at) {
        leaves(schema, value, &format!("{path}.{name}"), into);
    }
}

impl Plan {
    /// The text of this plan with `settings` in place of what it has there; not checked yet. Where the function's memory
    /// is set, the durations of the rehearsal stay those of the memory that the plan has.
    ///
    /// # Errors
    /// There is a value where a setting needs a mapping.
    pub fn text_with(&self, settings: &[Setting]) -> Result<String, String> {
        let mut root = self.tree()?;
        let is_set = |path: &str| settings.iter().any(|setting| setting.path == path);
        let kept = (is_set(MEMORY) && !is_set(AT_MEMORY))
            .then(|| Setting { path: AT_MEMORY.to_owned(), value: self.rehearsal.at_memory_mb.to_string() });
        for setting in settings.iter().chain(&kept) {
            set(&mut root, setting)?;
        }
        let told: Vec<String> = settings.iter().map(|setting| format!("# --set {setting}\n")).collect();
        Ok(format!("{}{}", told.concat().replace('\r', " "), written::write(&root)))
    }

    /// What the plan's text has at `path`, in words: `the number 1`; `None` where it leaves it to the default.
    pub fn found_at(&self, path: &str) -> Option<String> {
        let root = self.tree().ok()?;
        let found = path.split('.').try_fold(&root, |node, key| match &node.kind {
            Kind::Mapping(members) => {
                members.iter().find(|member| member.key == key).map(|member| &member.value)
            }
            _ => None,
        })?;
        match &found.kind {
            Kind::Scalar { text, .. } if !found.is_null() => Some(text.clone()),
            Kind::Scalar { .. } => None,
            _ => Some(found.describe()),
        }
    }

    fn tree(&self) -> Result<Node, String> {
        let content = self.text.strip_prefix('\u{feff}').unwrap_or(&self.text);
        let (root, _) = tree::build(content).map_err(|errors| Errors::new(errors, content).to_string())?;
        Ok(root)
    }
}

fn set(root: &mut Node, setting: &Setting) -> Result<(), String> {
    let mut node = root;
    for key in setting.path.split('.') {
        if node.is_null() {
            node.kind = Kind::Mapping(Vec::new());
        }
        let found = node.describe();
        let Kind::Mapping(members) = &mut node.kind else {
            return Err(format!("{}: the plan has {found} above {key}", setting.path));
        };
        let index = members.iter().position(|member| member.key == key).unwrap_or_else(|| {
            let value = Node { position: Position::default(), kind: scalar("", true) };
            members.push(Member { key: key.to_owned(), key_position: Position::default(), value });
            members.len() - 1
        });
        node = &mut members[index].value;
    }
    let in_quotes = setting.value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    node.kind = in_quotes.map_or_else(|| scalar(&setting.value, true), |text| scalar(text, false));
    Ok(())
}

fn scalar(text: &str, plain: bool) -> Kind {
    Kind::Scalar { text: text.to_owned(), plain, literal: false }
}
