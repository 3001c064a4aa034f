//! A stack's parameters: what the template declares, what the caller gives, and the values that come of it.
//! Source: CloudFormation user guide, "Parameters".

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::template::{Template, format_error, invalid};
use crate::local::service::ApiError;

/// Bytes of one parameter's value. CloudFormation quotas.
const VALUE_MAX_BYTES: usize = 4_096;

const MEMBERS: [&str; 11] = [
    "AllowedPattern",
    "AllowedValues",
    "ConstraintDescription",
    "Default",
    "Description",
    "MaxLength",
    "MaxValue",
    "MinLength",
    "MinValue",
    "NoEcho",
    "Type",
];

/// A parameter's value: text as given, and what `Ref` yields.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    pub text: String,
    /// A string, or a list of strings for the list types.
    pub value: Value,
    pub no_echo: bool,
}

impl Parameter {
    /// The value as describe calls show it.
    pub fn shown(&self) -> &str {
        if self.no_echo { "****" } else { &self.text }
    }
}

/// Checks the declarations themselves: types and members.
pub fn check_declarations(template: &Template) -> Result<(), ApiError> {
    for (name, declaration) in &template.parameters {
        let Some(members) = declaration.as_object() else {
            return Err(format_error(format!(
                "Every Parameters object must contain a Type member. ({name})"
            )));
        };
        if let Some(unknown) = members.keys().find(|member| !MEMBERS.contains(&member.as_str())) {
            return Err(invalid(format!("Invalid template parameter property '{unknown}'")));
        }
        match declaration["Type"].as_str() {
            None => return Err(format_error("Every Parameters object must contain a Type member.")),
            Some("String" | "Number" | "CommaDelimitedList" | "List<Number>") => {}
            Some(other) => return Err(format_error(format!("Unrecognized parameter type: {other}"))),
        }
    }
    Ok(())
}

/// Values for all declared parameters: the given ones, then defaults.
///
/// # Errors
/// As CloudFormation words them, for unknown, missing and unfit values.
pub fn resolve(
    template: &Template,
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Parameter>, ApiError> {
    let unknown: Vec<&str> =
        given.keys().map(String::as_str).filter(|name| !template.parameters.contains_key(*name)).collect();
    if !unknown.is_empty() {
        return Err(invalid(format!("Parameters: [{}] do not exist in the template", unknown.join(", "))));
    }
    let without_value = |(name, declaration): (&String, &Value)| {
        (!given.contains_key(name) && declaration.get("Default").is_none()).then(|| name.clone())
    };
    let missing: Vec<String> = template.parameters.iter().filter_map(without_value).collect();
    if !missing.is_empty() {
        return Err(invalid(format!("Parameters: [{}] must have values", missing.join(", "))));
    }
    let mut resolved = BTreeMap::new();
    for (name, declaration) in &template.parameters {
        let text = match given.get(name) {
            Some(text) => text.clone(),
            None => scalar_text(&declaration["Default"]).ok_or_else(|| {
                format_error(format!("Every Default member must be a string. (parameter {name})"))
            })?,
        };
        check(name, declaration, &text)?;
        let value = match declaration["Type"].as_str() {
            Some("CommaDelimitedList" | "List<Number>") => {
                json!(text.split(',').map(str::trim).collect::<Vec<_>>())
            }
            _ => json!(text),
        };
        let no_echo = matches!(&declaration["NoEcho"], Value::Bool(true))
            || declaration["NoEcho"].as_str() == Some("true");
        resolved.insert(name.clone(), Parameter { text, value, no_echo });
    }
    Ok(resolved)
}

/// The text of a YAML or JSON scalar.
pub fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

fn check(name: &str, declaration: &Value, text: &str) -> Result<(), ApiError> {
    if text.len() > VALUE_MAX_BYTES {
        return Err(invalid(format!(
            "Template parameter '{name}' value is {} bytes long; at most {VALUE_MAX_BYTES} are allowed",
            text.len()
        )));
    }
    let Some(wrong) = violated(name, declaration, text)? else { return Ok(()) };
    Err(invalid(match declaration["ConstraintDescription"].as_str() {
        Some(description) => format!("Parameter '{name}' failed to satisfy constraint: {description}"),
        None => format!("Parameter '{name}' {wrong}"),
    }))
}

/// The constraint that the text breaks, if any.
fn violated(name: &str, declaration: &Value, text: &str) -> Result<Option<String>, ApiError> {
    let list = matches!(declaration["Type"].as_str(), Some("CommaDelimitedList" | "List<Number>"));
    let items: Vec<&str> = if list { text.split(',').map(str::trim).collect() } else { vec![text] };
    let numeric = matches!(declaration["Type"].as_str(), Some("Number" | "List<Number>"));
    for item in items {
        if numeric && item.parse::<f64>().is_err() {
            return Err(invalid(format!("Parameter '{name}' must be a number")));
        }
        if let Some(allowed) = declaration["AllowedValues"].as_array()
            && !allowed.iter().any(|one| scalar_text(one).as_deref() == Some(item))
        {
            let values: Vec<String> = allowed.iter().filter_map(scalar_text).collect();
            return Ok(Some(format!("must be one of AllowedValues [{}]", values.join(", "))));
        }
        if let Some(wrong) = out_of_range(declaration, item, numeric) {
            return Ok(Some(wrong));
        }
        if let Some(pattern) = declaration["AllowedPattern"].as_str()
            && !pattern_of(name, pattern)?.is_match(item)
        {
            return Ok(Some(format!("must match pattern {pattern}")));
        }
    }
    Ok(None)
}

/// CloudFormation matches a pattern against the whole value.
fn pattern_of(name: &str, pattern: &str) -> Result<regex_lite::Regex, ApiError> {
    regex_lite::Regex::new(&format!("^(?:{pattern})$"))
        .map_err(|error| format_error(format!("AllowedPattern of parameter {name}: {error}")))
}

fn out_of_range(declaration: &Value, item: &str, numeric: bool) -> Option<String> {
    let bound = |name: &str| scalar_text(&declaration[name])?.parse::<f64>().ok();
    if numeric {
        let number: f64 = item.parse().ok()?;
        if let Some(least) = bound("MinValue").filter(|least| number < *least) {
            return Some(format!("must be a number not less than {least}"));
        }
        let most = bound("MaxValue").filter(|most| number > *most)?;
        return Some(format!("must be a number not greater than {most}"));
    }
    let length = item.chars().count() as f64;
    if let Some(least) = bound("MinLength").filter(|least| length < *least) {
        return Some(format!("must contain at least {least} characters"));
    }
    let most = bound("MaxLength").filter(|most| length > *most)?;
    Some(format!("must contain at most {most} characters"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve_one(declaration: &str, given: &[(&str, &str)]) -> Result<Value, String> {
        let text = format!("Parameters: {{P: {declaration}}}\nResources: {{A: {{Type: T}}}}");
        let template = Template::parse(&text).unwrap();
        check_declarations(&template).map_err(|error| error.message)?;
        let given = given.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        resolve(&template, &given)
            .map(|mut values| values.remove("P").unwrap().value)
            .map_err(|error| error.message)
    }

    #[test]
    fn defaults_lists_and_given_values() {
        assert_eq!(resolve_one("{Type: Number, Default: 3}", &[]), Ok(json!("3")));
        assert_eq!(resolve_one("{Type: Number, Default: 3}", &[("P", "4")]), Ok(json!("4")));
        assert_eq!(resolve_one("{Type: CommaDelimitedList}", &[("P", "a, b")]), Ok(json!(["a", "b"])));
        assert_eq!(resolve_one("{Type: 'List<Number>', Default: '1,2'}", &[]), Ok(json!(["1", "2"])));
    }

    #[test]
    fn unfit_values_are_refused_as_cloudformation_words_it() {
        let refused = |declaration: &str, value: &str| resolve_one(declaration, &[("P", value)]).unwrap_err();
        assert_eq!(resolve_one("{Type: String}", &[]).unwrap_err(), "Parameters: [P] must have values");
        assert_eq!(
            resolve_one("{Type: String, Default: x}", &[("Q", "1")]).unwrap_err(),
            "Parameters: [Q] do not exist in the template"
        );
        assert_eq!(refused("{Type: Number}", "x"), "Parameter 'P' must be a number");
        assert_eq!(
            refused("{Type: Number, MinValue: 1}", "0"),
            "Parameter 'P' must be a number not less than 1"
        );
        assert_eq!(
            refused("{Type: Number, MaxValue: 10}", "11"),
            "Parameter 'P' must be a number not greater than 10"
        );
        assert_eq!(
            refused("{Type: String, AllowedValues: [a, b]}", "c"),
            "Parameter 'P' must be one of AllowedValues [a, b]"
        );
        assert_eq!(
            refused("{Type: String, AllowedPattern: '[a-z]+'}", "A"),
            "Parameter 'P' must match pattern [a-z]+"
        );
        assert_eq!(
            refused("{Type: String, MinLength: 3, ConstraintDescription: be longer}", "A"),
            "Parameter 'P' failed to satisfy constraint: be longer"
        );
        assert_eq!(
            refused("{Type: 'AWS::EC2::VPC::Id'}", "A"),
            "Template format error: Unrecognized parameter type: AWS::EC2::VPC::Id"
        );
    }

    #[test]
    fn no_echo_values_are_not_shown() {
        let template =
            Template::parse("Parameters: {P: {Type: String, NoEcho: true}}\nResources: {A: {Type: T}}")
                .unwrap();
        let values = resolve(&template, &BTreeMap::from([("P".into(), "secret".into())])).unwrap();
        assert_eq!(values["P"].shown(), "****");
    }
}
