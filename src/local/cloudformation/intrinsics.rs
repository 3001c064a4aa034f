//! Intrinsic functions, conditions and pseudo parameters.
//! Source: CloudFormation user guide, "Intrinsic function reference" and "Pseudo parameters reference".

use std::cell::RefCell;
use std::collections::BTreeMap;

use base64::Engine as _;
use serde_json::{Map, Value};

use super::parameters::{Parameter, scalar_text};
use super::template::{GET_ATT_SYNTAX, Template, invalid};
use crate::local::service::ApiError;

/// A resource that exists: what `Ref` and `Fn::GetAtt` yield.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Physical {
    pub id: String,
    pub attributes: BTreeMap<String, Value>,
}

/// Values of the pseudo parameters.
#[derive(Clone, Debug)]
pub struct Pseudo {
    pub region: String,
    pub account: String,
    pub stack_name: String,
    pub stack_id: String,
}

/// Everything that a template's expressions can refer to.
pub struct Scope<'a> {
    pub template: &'a Template,
    pub parameters: &'a BTreeMap<String, Parameter>,
    pub pseudo: &'a Pseudo,
    pub conditions: &'a BTreeMap<String, bool>,
    /// Resources that exist by now.
    pub resources: &'a BTreeMap<String, Physical>,
}

type Evaluated = Result<Value, ApiError>;

/// The name of the function when a value is a call of one: an object with exactly one, telling key.
pub fn function_call(value: &Value) -> Option<(&str, &Value)> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    let (name, argument) = object.iter().next()?;
    let is_function = name == "Ref" || name == "Condition" || name.starts_with("Fn::");
    // A policy statement may have a lone member `Condition`, but its value is an object.
    let is_reference = name != "Condition" || argument.is_string();
    (is_function && is_reference).then_some((name, argument))
}

impl Scope<'_> {
    /// The value with all functions applied; `None` for `AWS::NoValue`.
    ///
    /// # Errors
    /// `ValidationError`, worded as CloudFormation words it.
    pub fn evaluate(&self, value: &Value) -> Result<Option<Value>, ApiError> {
        if let Some((name, argument)) = function_call(value) {
            return self.call(name, argument);
        }
        Ok(Some(match value {
            Value::Array(items) => {
                let mut list = Vec::with_capacity(items.len());
                for item in items {
                    list.extend(self.evaluate(item)?);
                }
                Value::Array(list)
            }
            Value::Object(members) => {
                let mut object = Map::new();
                for (key, member) in members {
                    if let Some(member) = self.evaluate(member)? {
                        object.insert(key.clone(), member);
                    }
                }
                Value::Object(object)
            }
            scalar => scalar.clone(),
        }))
    }

    fn call(&self, name: &str, argument: &Value) -> Result<Option<Value>, ApiError> {
        Ok(Some(match name {
            "Ref" => return self.reference(argument),
            "Fn::If" => return self.choose(argument),
            "Fn::GetAtt" => self.get_att(argument)?,
            "Fn::Sub" => self.substitute(argument)?,
            "Fn::Join" => self.join(argument)?,
            "Fn::Select" => self.select(argument)?,
            "Fn::Split" => self.split(argument)?,
            "Fn::FindInMap" => self.find_in_map(argument)?,
            "Fn::Base64" => {
                let text = self.text(argument, name)?;
                Value::String(base64::engine::general_purpose::STANDARD.encode(text))
            }
            "Fn::And" | "Fn::Or" | "Fn::Not" | "Fn::Equals" | "Condition" => {
                return Err(invalid(format!(
                    "Template error: {name} is only allowed in the Conditions section"
                )));
            }
            "Fn::ImportValue" | "Fn::GetAZs" | "Fn::Cidr" | "Fn::Transform" => return Err(unsupported(name)),
            _ => return Err(invalid(format!("Template error: unknown function {name}"))),
        }))
    }

    fn reference(&self, argument: &Value) -> Result<Option<Value>, ApiError> {
        let Some(name) = argument.as_str() else {
            return Err(invalid("Template format error: Every Ref object must have a single String value."));
        };
        if name == "AWS::NoValue" {
            return Ok(None);
        }
        self.named(name).map(Some)
    }

    /// What `Ref` of a name yields: a pseudo parameter, a parameter or a resource.
    fn named(&self, name: &str) -> Evaluated {
        let pseudo = match name {
            "AWS::Region" => Some(self.pseudo.region.as_str()),
            "AWS::AccountId" => Some(self.pseudo.account.as_str()),
            "AWS::StackName" => Some(self.pseudo.stack_name.as_str()),
            "AWS::StackId" => Some(self.pseudo.stack_id.as_str()),
            "AWS::Partition" => Some("aws"),
            "AWS::URLSuffix" => Some("amazonaws.com"),
            _ => None,
        };
        if let Some(text) = pseudo {
            return Ok(Value::from(text));
        }
        if name == "AWS::NotificationARNs" {
            return Ok(Value::Array(Vec::new()));
        }
        if let Some(parameter) = self.parameters.get(name) {
            return Ok(parameter.value.clone());
        }
        match self.resources.get(name) {
            Some(resource) => Ok(Value::from(resource.id.as_str())),
            None => Err(unresolved(name)),
        }
    }

    fn get_att(&self, argument: &Value) -> Evaluated {
        let (resource, attribute) = get_att_parts(argument)?;
        let attribute = self.text(attribute, "Fn::GetAtt")?;
        self.attribute(resource, &attribute)
    }

    fn attribute(&self, resource: &str, attribute: &str) -> Evaluated {
        let physical = self.resources.get(resource).ok_or_else(|| unresolved(resource))?;
        physical.attributes.get(attribute).cloned().ok_or_else(|| {
            invalid(format!(
                "Template error: resource {resource} does not support attribute type {attribute} in Fn::GetAtt"
            ))
        })
    }

    fn choose(&self, argument: &Value) -> Result<Option<Value>, ApiError> {
        match argument.as_array().map(Vec::as_slice) {
            Some([Value::String(condition), yes, no]) => {
                let holds = self.conditions.get(condition).ok_or_else(|| {
                    invalid(format!("Template error: unresolved condition dependency {condition} in Fn::If"))
                })?;
                self.evaluate(if *holds { yes } else { no })
            }
            _ => Err(invalid(
                "Template error: Fn::If requires a list argument with three elements, the first of which must be a condition name",
            )),
        }
    }

    fn substitute(&self, argument: &Value) -> Evaluated {
        let syntax = "Template error: One or more Fn::Sub intrinsic functions don't specify expected arguments. \
                      Specify a string as first argument, and an optional second argument to specify a mapping of \
                      values to replace in the string";
        let none = Map::new();
        let (template, own) = match argument {
            Value::String(template) => (template, &none),
            Value::Array(parts) => match parts.as_slice() {
                [Value::String(template)] => (template, &none),
                [Value::String(template), Value::Object(own)] => (template, own),
                _ => return Err(invalid(syntax)),
            },
            _ => return Err(invalid(syntax)),
        };
        let mut text = String::new();
        for part in sub_parts(template)? {
            match part {
                SubPart::Text(literal) => text.push_str(&literal),
                SubPart::Name(name) => {
                    let value = match own.get(&name) {
                        Some(value) => self.evaluate(value)?.ok_or_else(|| {
                            invalid(format!("Template error: ${{{name}}} in Fn::Sub has no value"))
                        })?,
                        None => match name.split_once('.') {
                            Some((resource, attribute)) => self.attribute(resource, attribute)?,
                            None => self.named(&name)?,
                        },
                    };
                    let value = scalar_text(&value).ok_or_else(|| {
                        invalid(format!("Template error: variable {name} in Fn::Sub expression does not resolve to a string"))
                    })?;
                    text.push_str(&value);
                }
            }
        }
        Ok(Value::from(text))
    }

    fn join(&self, argument: &Value) -> Evaluated {
        let [delimiter, list] = pair(argument, "Fn::Join")?;
        let Some(delimiter) = delimiter.as_str() else {
            return Err(invalid("Template error: every Fn::Join delimiter must be a string"));
        };
        let items = self.list(list, "Fn::Join")?;
        let texts: Option<Vec<String>> = items.iter().map(scalar_text).collect();
        let texts = texts.ok_or_else(|| {
            invalid("Template error: every Fn::Join object requires two parameters, (1) a string delimiter and (2) a list of strings to be joined")
        })?;
        Ok(Value::from(texts.join(delimiter)))
    }

    fn select(&self, argument: &Value) -> Evaluated {
        let [index, list] = pair(argument, "Fn::Select")?;
        let index = self.text(index, "Fn::Select")?;
        let items = self.list(list, "Fn::Select")?;
        index.parse::<usize>().ok().and_then(|index| items.get(index).cloned()).ok_or_else(|| {
            invalid(
                "Template error: Fn::Select cannot select nonexistent value at index ".to_owned() + &index,
            )
        })
    }

    fn split(&self, argument: &Value) -> Evaluated {
        let [delimiter, source] = pair(argument, "Fn::Split")?;
        let delimiter = delimiter
            .as_str()
            .filter(|delimiter| !delimiter.is_empty())
            .ok_or_else(|| invalid("Template error: every Fn::Split delimiter must be a non-empty string"))?;
        let source = self.text(source, "Fn::Split")?;
        Ok(Value::from(source.split(delimiter).map(str::to_owned).collect::<Vec<_>>()))
    }

    fn find_in_map(&self, argument: &Value) -> Evaluated {
        let Some([map, top, second]) = argument.as_array().map(Vec::as_slice) else {
            return Err(invalid(
                "Template error: every Fn::FindInMap object requires three parameters, the map name, map key and the attribute for return value",
            ));
        };
        let [map, top, second] = [map, top, second].map(|part| self.text(part, "Fn::FindInMap"));
        let (map, top, second) = (map?, top?, second?);
        let found = &self.template.mappings[map.as_str()][top.as_str()][second.as_str()];
        if found.is_null() {
            return Err(invalid(format!("Template error: Unable to get mapping for {map}::{top}::{second}")));
        }
        Ok(found.clone())
    }

    fn text(&self, value: &Value, function: &str) -> Result<String, ApiError> {
        self.evaluate(value)?.as_ref().and_then(scalar_text).ok_or_else(|| {
            invalid(format!("Template error: an argument of {function} does not resolve to a string"))
        })
    }

    fn list(&self, value: &Value, function: &str) -> Result<Vec<Value>, ApiError> {
        match self.evaluate(value)? {
            Some(Value::Array(items)) => Ok(items),
            _ => {
                Err(invalid(format!("Template error: an argument of {function} does not resolve to a list")))
            }
        }
    }
}

/// Conditions that may refer to each other in a chain. AWS documents no bound; here it bounds the stack.
const CONDITION_DEPTH_MAX: usize = 100;

/// All conditions of a template, each evaluated once.
///
/// # Errors
/// For conditions that refer to themselves, to resources, or to what does not exist.
pub fn conditions(
    template: &Template,
    parameters: &BTreeMap<String, Parameter>,
    pseudo: &Pseudo,
) -> Result<BTreeMap<String, bool>, ApiError> {
    let evaluator = Conditions {
        scope: Scope {
            template,
            parameters,
            pseudo,
            conditions: &BTreeMap::new(),
            resources: &BTreeMap::new(),
        },
        known: RefCell::default(),
        open: RefCell::default(),
    };
    for name in template.conditions.keys() {
        evaluator.condition(name)?;
    }
    Ok(evaluator.known.into_inner())
}

struct Conditions<'a> {
    scope: Scope<'a>,
    known: RefCell<BTreeMap<String, bool>>,
    /// Conditions whose evaluation has begun: meeting one again is a cycle.
    open: RefCell<Vec<String>>,
}

impl Conditions<'_> {
    fn condition(&self, name: &str) -> Result<bool, ApiError> {
        if let Some(known) = self.known.borrow().get(name) {
            return Ok(*known);
        }
        if self.open.borrow().iter().any(|open| open == name) {
            return Err(invalid(format!(
                "Template format error: Circular dependency between conditions: {name}"
            )));
        }
        if self.open.borrow().len() >= CONDITION_DEPTH_MAX {
            return Err(invalid(format!(
                "Template format error: conditions refer to each other more than {CONDITION_DEPTH_MAX} deep at {name}"
            )));
        }
        let Some(expression) = self.scope.template.conditions.get(name) else {
            return Err(invalid(format!(
                "Template format error: Unresolved condition dependency {name} in the Conditions block of the template"
            )));
        };
        self.open.borrow_mut().push(name.to_owned());
        let holds = self.holds(expression)?;
        self.open.borrow_mut().pop();
        self.known.borrow_mut().insert(name.to_owned(), holds);
        Ok(holds)
    }

    fn holds(&self, expression: &Value) -> Result<bool, ApiError> {
        let items = |argument: &Value, bounds: std::ops::RangeInclusive<usize>, name: &str| match argument
            .as_array()
            .filter(|items| bounds.contains(&items.len()))
        {
            Some(items) => Ok(items.clone()),
            None => Err(invalid(format!(
                "Template error: every {name} object requires a list of {} to {} conditions",
                bounds.start(),
                bounds.end()
            ))),
        };
        match function_call(expression) {
            Some(("Condition", Value::String(name))) => self.condition(name),
            Some(("Fn::Equals", argument)) => {
                let [left, right] = pair(argument, "Fn::Equals")?;
                Ok(self.scope.text(left, "Fn::Equals")? == self.scope.text(right, "Fn::Equals")?)
            }
            Some(("Fn::Not", argument)) => Ok(!self.holds(&items(argument, 1..=1, "Fn::Not")?[0])?),
            Some((name @ ("Fn::And" | "Fn::Or"), argument)) => {
                let mut held = Vec::new();
                for item in items(argument, 2..=10, name)? {
                    held.push(self.holds(&item)?);
                }
                Ok(if name == "Fn::And" { held.iter().all(|one| *one) } else { held.iter().any(|one| *one) })
            }
            _ => Err(invalid(
                "Template format error: Every Conditions member must be a boolean operation, Fn::And, Fn::Equals, Fn::Not, Fn::Or or Condition.",
            )),
        }
    }
}

pub enum SubPart {
    Text(String),
    Name(String),
}

/// The pieces of an `Fn::Sub` string. `${!Literal}` stands for `${Literal}`.
pub fn sub_parts(template: &str) -> Result<Vec<SubPart>, ApiError> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some(start) = rest.find("${") {
        let Some(length) = rest[start..].find('}') else { break };
        let name = &rest[start + 2..start + length];
        if let Some(literal) = name.strip_prefix('!') {
            parts.push(SubPart::Text(format!("{}${{{literal}}}", &rest[..start])));
        } else {
            let trimmed = name.trim();
            if trimmed.is_empty() || !trimmed.chars().all(|c| c.is_ascii_alphanumeric() || "_.:".contains(c))
            {
                return Err(invalid(format!(
                    "Template error: variable names in Fn::Sub syntax must contain only alphanumeric characters, underscores, periods, and colons (found {name:?})"
                )));
            }
            parts.push(SubPart::Text(rest[..start].to_owned()));
            parts.push(SubPart::Name(trimmed.to_owned()));
        }
        rest = &rest[start + length + 1..];
    }
    parts.push(SubPart::Text(rest.to_owned()));
    Ok(parts)
}

/// Resource and attribute of a `Fn::GetAtt`, written as a list or as `resource.attribute`.
pub fn get_att_parts(argument: &Value) -> Result<(&str, &Value), ApiError> {
    match argument.as_array().map(Vec::as_slice) {
        Some([Value::String(resource), attribute]) if !resource.is_empty() => Ok((resource, attribute)),
        _ => Err(invalid(GET_ATT_SYNTAX)),
    }
}

fn pair<'v>(argument: &'v Value, function: &str) -> Result<[&'v Value; 2], ApiError> {
    match argument.as_array().map(Vec::as_slice) {
        Some([first, second]) => Ok([first, second]),
        _ => Err(invalid(format!("Template error: every {function} object requires two parameters"))),
    }
}

fn unresolved(name: &str) -> ApiError {
    invalid(format!(
        "Template format error: Unresolved resource dependencies [{name}] in the Resources block of the template"
    ))
}

pub fn unsupported(name: &str) -> ApiError {
    invalid(format!("Template error: the local endpoint does not support {name}"))
}
