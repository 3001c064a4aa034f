//! From the tree to the plan as typed, through serde. Serde stops at the first error; so each error's node
//! is taken out of the tree and the rest is read again, until nothing is wrong or [`LISTED_MAX`] is reached.
//! (Every field of the typed plan is optional: what is missing is found by `resolve`.)

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Visitor};
use serde::forward_to_deserialize_any;

use super::errors::{LISTED_MAX, PlanError, ROOT, nearest, quoted};
use super::model::Position;
use super::tree::{Element, Kind, Member, Node, is_number, number};

/// Reads what can be read; `None` when not even the outermost mapping could be.
pub(super) fn read<T: DeserializeOwned>(root: &mut Node, errors: &mut Vec<PlanError>) -> Option<T> {
    loop {
        match T::deserialize(NodeDeserializer { node: root }) {
            Ok(typed) => return Some(typed),
            Err(error) => {
                let steps = error.steps.clone();
                errors.push(error.into_plan_error(root));
                if steps.is_empty() || errors.len() > LISTED_MAX {
                    return None;
                }
                remove(root, &steps);
            }
        }
    }
}

/// Takes the node at `steps` out of the tree. A member stays as a mark that it was given; an element goes.
fn remove(root: &mut Node, steps: &[Step]) {
    let mut node = root;
    for (i, step) in steps.iter().enumerate() {
        let is_last = i + 1 == steps.len();
        node = match (&mut node.kind, *step) {
            (Kind::Mapping(members), Step::Member(at)) => &mut members[at].value,
            (Kind::Sequence { elements, some_removed }, Step::Element(at)) => {
                if is_last {
                    elements.remove(at);
                    *some_removed = true;
                    return;
                }
                &mut elements[at].node
            }
            _ => return,
        };
    }
    node.kind = Kind::Removed;
}

/// One step down the tree, by the position among what is there now.
#[derive(Clone, Copy, Debug)]
enum Step {
    Member(usize),
    Element(usize),
}

#[derive(Debug)]
struct Error {
    /// `None`: what the node at the place holds.
    found: Option<String>,
    expected: String,
    position: Option<Position>,
    /// From the root.
    steps: Vec<Step>,
}

impl Error {
    fn new(found: Option<String>, expected: String) -> Error {
        Error { found, expected, position: None, steps: Vec::new() }
    }

    /// Places an error that has no place yet.
    fn at(mut self, node: &Node) -> Error {
        self.found.get_or_insert_with(|| node.describe());
        self.position.get_or_insert(node.position);
        self
    }

    /// The error happened below `step`.
    fn below(mut self, step: Step) -> Error {
        self.steps.insert(0, step);
        self
    }

    fn into_plan_error(self, root: &Node) -> PlanError {
        PlanError {
            file: None,
            position: self.position.unwrap_or(root.position),
            field: path(root, &self.steps),
            found: self.found.unwrap_or_else(|| root.describe()),
            expected: self.expected,
        }
    }
}

fn path(root: &Node, steps: &[Step]) -> String {
    let mut text = String::new();
    let mut node = root;
    for step in steps {
        match (&node.kind, *step) {
            (Kind::Mapping(members), Step::Member(at)) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.extend(members[at].key.chars().take(60));
                node = &members[at].value;
            }
            (Kind::Sequence { elements, .. }, Step::Element(at)) => {
                text.push_str(&format!("[{}]", elements[at].index));
                node = &elements[at].node;
            }
            _ => break,
        }
    }
    if text.is_empty() { ROOT.to_owned() } else { text }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}", self.expected)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(expected: T) -> Error {
        Error::new(None, expected.to_string())
    }
    fn invalid_type(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Error {
        Error::new(None, expected.to_string())
    }
    fn invalid_value(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Error {
        Error::new(None, expected.to_string())
    }
    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Error {
        Error::new(None, one_of(expected))
    }
    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Error {
        let near = nearest(field, expected.iter().copied());
        let expected = match near.first() {
            Some(name) => format!("{} (did you mean {}?)", one_of(expected), quoted(name)),
            None => one_of(expected),
        };
        Error::new(Some(format!("the unknown key {}", quoted(field))), expected)
    }
}

fn one_of(names: &[&str]) -> String {
    match names {
        [only] => quoted(only),
        _ => format!("one of {}", names.join(", ")),
    }
}

#[derive(Clone, Copy)]
struct NodeDeserializer<'a> {
    node: &'a Node,
}

impl NodeDeserializer<'_> {
    fn scalar(&self) -> Option<(&str, bool)> {
        match &self.node.kind {
            Kind::Scalar { text, plain, .. } => Some((text, *plain)),
            _ => None,
        }
    }

    fn wrong(&self, expected: &str) -> Error {
        Error::new(None, expected.to_owned()).at(self.node)
    }

    fn visit<'de, V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.kind {
            _ if self.node.is_null() => visitor.visit_unit(),
            Kind::Scalar { text, plain: true, .. } => match boolean(text) {
                Some(value) => visitor.visit_bool(value),
                None => match (text.parse::<i64>(), number(text)) {
                    (Ok(whole), _) => visitor.visit_i64(whole),
                    (_, Some(value)) => visitor.visit_f64(value),
                    _ => visitor.visit_str(text),
                },
            },
            Kind::Scalar { text, .. } => visitor.visit_str(text),
            Kind::Sequence { elements, .. } => visitor.visit_seq(Elements { elements, next: 0 }),
            Kind::Mapping(members) => visitor.visit_map(Members { members, next: 0 }),
            Kind::Removed => visitor.visit_unit(),
        }
    }
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

impl<'de> de::Deserializer<'de> for NodeDeserializer<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.visit(visitor).map_err(|error| error.at(self.node))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.node.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.scalar() {
            Some((text, true)) if boolean(text).is_some() => visitor.visit_bool(text.starts_with(['t', 'T'])),
            _ => Err(self.wrong("true or false")),
        }
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.scalar().map(|(text, plain)| (text.parse::<i64>(), plain)) {
            Some((Ok(whole), true)) => visitor.visit_i64(whole),
            _ => Err(self.wrong("a whole number")),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.scalar() {
            Some((text, true)) if number(text).is_some() => {
                visitor.visit_f64(number(text).unwrap_or(f64::NAN))
            }
            _ => Err(self.wrong("a plain number")),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.scalar() {
            // What other readers of YAML take for a number (1.10 = 1.1) must be quoted to be text.
            Some((text, true)) if is_number(text) => Err(self.wrong(&format!("text in quotes: \"{text}\""))),
            Some((text, true)) if boolean(text).is_some() => {
                Err(self.wrong(&format!("text in quotes: \"{text}\"")))
            }
            Some((text, _)) => visitor.visit_str(text),
            None => Err(self.wrong("text")),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.kind {
            Kind::Sequence { .. } => self.deserialize_any(visitor),
            _ => Err(self.wrong("a list")),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.kind {
            Kind::Mapping(_) => self.deserialize_any(visitor),
            _ => Err(self.wrong("a mapping of keys to values")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let Some((text, _)) = self.scalar() else {
            return Err(self.wrong(&one_of(variants)));
        };
        let text: StrDeserializer<'_, Error> = de::IntoDeserializer::into_deserializer(text);
        visitor.visit_enum(text).map_err(|error| error.at(self.node))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u16 u32 u64 u128 f32 char bytes byte_buf unit unit_struct tuple tuple_struct ignored_any
    }
}

struct Elements<'a> {
    elements: &'a [Element],
    next: usize,
}

impl<'de> de::SeqAccess<'de> for Elements<'_> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let Some(element) = self.elements.get(self.next) else { return Ok(None) };
        let step = Step::Element(self.next);
        self.next += 1;
        let read = seed.deserialize(NodeDeserializer { node: &element.node });
        read.map(Some).map_err(|error| error.at(&element.node).below(step))
    }
}

struct Members<'a> {
    members: &'a [Member],
    next: usize,
}

impl<'de> de::MapAccess<'de> for Members<'_> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        while self.members.get(self.next).is_some_and(|member| matches!(member.value.kind, Kind::Removed)) {
            self.next += 1;
        }
        let Some(member) = self.members.get(self.next) else { return Ok(None) };
        let key: StrDeserializer<'_, Error> = de::IntoDeserializer::into_deserializer(member.key.as_str());
        seed.deserialize(key).map(Some).map_err(|mut error| {
            error.position.get_or_insert(member.key_position);
            error.below(Step::Member(self.next))
        })
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        let step = Step::Member(self.next);
        let Some(member) = self.members.get(self.next) else {
            return Err(Error::new(None, "a key before its value".to_owned()));
        };
        self.next += 1;
        let read = seed.deserialize(NodeDeserializer { node: &member.value });
        read.map_err(|error| error.at(&member.value).below(step))
    }
}
