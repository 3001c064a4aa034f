//! The AWS query protocol's input: a form with dotted names, into nested JSON.
//!
//! Every value stays text: the form does not say which are numbers or booleans, and the door does not
//! know the services' models. Services that are reached through it take `"60"` where they mean 60.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Map, Value};

/// Parameters of one request: far beyond the 200 parameters of a stack.
const PAIRS_MAX: usize = 20_000;
/// Parts of one dotted name.
const DEPTH_MAX: usize = 32;

/// A form: operation (empty when it names none) and input.
#[derive(Debug, PartialEq)]
pub struct Form {
    pub operation: String,
    pub input: Value,
}

/// The namespace of a service's answers: `xmlNamespace` in botocore's service models. `None` for services
/// that do not speak query here.
pub fn namespace(service: &str) -> Option<&'static str> {
    Some(match service {
        "cloudformation" => "http://cloudformation.amazonaws.com/doc/2010-05-15/",
        "iam" => "https://iam.amazonaws.com/doc/2010-05-08/",
        "monitoring" => "http://monitoring.amazonaws.com/doc/2010-08-01/",
        "sts" => "https://sts.amazonaws.com/doc/2011-06-15/",
        _ => return None,
    })
}

/// Reads a form from the body and, for GET, from the address.
///
/// # Errors
/// What is wrong with it: it is too large.
pub fn parse(address: &str, body: &Bytes) -> Result<Form, String> {
    let pairs = form_urlencoded::parse(address.as_bytes()).chain(form_urlencoded::parse(body));
    let mut root = Node::default();
    let mut operation = None;
    for (index, (name, value)) in pairs.enumerate() {
        if index >= PAIRS_MAX {
            return Err(format!("the request has more than {PAIRS_MAX} parameters"));
        }
        match &*name {
            "Action" => operation = Some(value.into_owned()),
            // What signs the address and what names the version of the API is no input.
            "Version" => {}
            _ if name.starts_with("X-Amz-") => {}
            _ => root.insert(&name, value.into_owned())?,
        }
    }
    let operation = operation.unwrap_or_default();
    let input = match root.into_value() {
        Value::Object(members) => Value::Object(members),
        _ => Value::Object(Map::new()),
    };
    Ok(Form { operation, input })
}

#[derive(Default)]
struct Node {
    text: Option<String>,
    children: BTreeMap<String, Node>,
}

impl Node {
    fn insert(&mut self, name: &str, text: String) -> Result<(), String> {
        let mut node = self;
        for (depth, part) in name.split('.').enumerate() {
            if depth >= DEPTH_MAX {
                return Err(format!("a parameter's name has more than {DEPTH_MAX} parts"));
            }
            node = node.children.entry(part.to_owned()).or_default();
        }
        node.text = Some(text);
        Ok(())
    }

    fn into_value(mut self) -> Value {
        if self.children.is_empty() {
            return Value::String(self.text.unwrap_or_default());
        }
        if self.children.len() == 1
            && let Some(list) = self.children.remove("member")
        {
            return list.into_list();
        }
        if self.children.len() == 1
            && let Some(map) = self.children.remove("entry")
        {
            return map.into_map();
        }
        Value::Object(self.children.into_iter().map(|(name, node)| (name, node.into_value())).collect())
    }

    /// Children in the order of their numbers.
    fn numbered(self) -> impl Iterator<Item = Node> {
        let mut items: Vec<(u64, Node)> = self
            .children
            .into_iter()
            .map(|(index, node)| (index.parse().unwrap_or(u64::MAX), node))
            .collect();
        items.sort_by_key(|(index, _)| *index);
        items.into_iter().map(|(_, node)| node)
    }

    /// `A.member.1=x&A.member.2=y`.
    fn into_list(self) -> Value {
        Value::Array(self.numbered().map(Node::into_value).collect())
    }

    /// `A.entry.1.key=x&A.entry.1.value=y`.
    fn into_map(self) -> Value {
        let entries = self.numbered().filter_map(|mut entry| {
            let key = entry.children.remove("key")?.text?;
            Some((key, entry.children.remove("value")?.into_value()))
        });
        Value::Object(entries.collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn dotted_names_become_lists_maps_and_structures() {
        let body = "Action=CreateStack&Version=2010-05-15&StackName=a%20b&Parameters.member.2.ParameterKey=k2\
                    &Parameters.member.1.ParameterKey=k1&Parameters.member.10.ParameterKey=k10&Capabilities.member.1=C\
                    &Attributes.entry.1.key=a&Attributes.entry.1.value=1&OnFailure=DELETE";
        let form = parse("", &Bytes::from(body)).expect("form");
        assert_eq!(form.operation, "CreateStack");
        assert_eq!(
            form.input,
            json!({
                "StackName": "a b",
                "Parameters": [{"ParameterKey": "k1"}, {"ParameterKey": "k2"}, {"ParameterKey": "k10"}],
                "Capabilities": ["C"],
                "Attributes": {"a": "1"},
                "OnFailure": "DELETE",
            })
        );
    }

    #[test]
    fn a_get_has_its_form_in_the_address() {
        let address = "Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Signature=0";
        let form = parse(address, &Bytes::new()).expect("form");
        assert_eq!(form, Form { operation: "GetCallerIdentity".to_owned(), input: json!({}) });
        assert_eq!(parse("", &Bytes::from("StackName=x")).expect("form").operation, "");
    }

    #[test]
    fn the_size_of_a_form_is_bounded() {
        let wide = format!("Action=A{}", "&a=b".repeat(PAIRS_MAX));
        assert!(parse("", &Bytes::from(wide)).is_err());
        let deep = format!("Action=A&{}=b", "a.".repeat(DEPTH_MAX));
        assert!(parse("", &Bytes::from(deep)).is_err());
    }

    proptest! {
        #[test]
        fn never_panics(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse("Action=A", &Bytes::from(body));
        }
    }
}
