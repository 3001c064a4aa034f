//! The outputs of a deployment tool: which of them are the stream and the function.
//!
//! `terraform output -json` writes `{"NAME": {"sensitive": .., "type": .., "value": VALUE}}` (Terraform CLI,
//! "Command: output"); `cdk deploy --outputs-file` writes `{"STACK": {"KEY": "VALUE"}}` (AWS CDK developer guide,
//! "cdk deploy"). Pure: the text comes in, the file's name serves messages.

use std::fmt;

use serde_json::{Map, Value};

use super::Pipeline;
use crate::plan::{is_function, is_stream};

/// What is wrong with the file, and where in it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{file}: {}found {found}, expected {expected}", at(.field))]
pub struct OutputsError {
    pub file: String,
    /// Empty for the whole file.
    pub field: String,
    pub found: String,
    pub expected: String,
}

fn at(field: &str) -> String {
    if field.is_empty() { String::new() } else { format!("{field}: ") }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Stream,
    Function,
}

impl Part {
    fn fits(self, text: &str) -> bool {
        match self {
            Part::Stream => is_stream(text),
            Part::Function => is_function(text),
        }
    }

    fn key(self) -> &'static str {
        match self {
            Part::Stream => "stream_output",
            Part::Function => "function_output",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Stream => "Kinesis stream",
            Part::Function => "Lambda function",
        })
    }
}

/// An output: its path in the file (`NAME`, or `STACK.KEY`), its last part, and its value.
struct Output<'a> {
    path: String,
    key: &'a str,
    value: &'a Value,
}

/// The pipeline that the outputs in `text` name. An output that is asked for is found by `NAME`, `KEY` or
/// `STACK.KEY`, and may be a name or an ARN; one that is not is the only ARN of its kind.
///
/// # Errors
/// With file, field, what is there and what was expected.
pub fn pipeline_of(
    file: &str,
    text: &str,
    stream_output: Option<&str>,
    function_output: Option<&str>,
) -> Result<Pipeline, OutputsError> {
    let wrong = |found: String, expected: &str| OutputsError {
        file: file.to_owned(),
        field: String::new(),
        found,
        expected: expected.to_owned(),
    };
    const EXPECTED: &str = "the JSON that `terraform output -json` or `cdk deploy --outputs-file` writes";
    let root: Value = serde_json::from_str(text).map_err(|error| wrong(error.to_string(), EXPECTED))?;
    let Value::Object(members) = &root else { return Err(wrong(kind(&root).to_owned(), EXPECTED)) };
    let outputs = outputs(file, members)?;
    Ok(Pipeline {
        stream: find(file, &outputs, Part::Stream, stream_output)?,
        function: find(file, &outputs, Part::Function, function_output)?,
    })
}

fn outputs<'a>(file: &str, members: &'a Map<String, Value>) -> Result<Vec<Output<'a>>, OutputsError> {
    let mut outputs = Vec::new();
    for (name, member) in members {
        match member {
            // Only Terraform's outputs say their type; a CDK key may be called "value" too, but is no "type".
            Value::Object(inner) if inner.contains_key("value") && inner.contains_key("type") => {
                outputs.push(Output { path: name.clone(), key: name, value: &inner["value"] });
            }
            Value::Object(inner) => outputs.extend(inner.iter().map(|(key, value)| Output {
                path: format!("{name}.{key}"),
                key,
                value,
            })),
            other => {
                return Err(OutputsError {
                    file: file.to_owned(),
                    field: name.clone(),
                    found: kind(other).to_owned(),
                    expected: "an output with its value (Terraform), or a stack with its outputs (CDK)"
                        .to_owned(),
                });
            }
        }
    }
    Ok(outputs)
}

fn find(file: &str, outputs: &[Output<'_>], part: Part, asked: Option<&str>) -> Result<String, OutputsError> {
    let error = |field: &str, found: String, expected: String| OutputsError {
        file: file.to_owned(),
        field: field.to_owned(),
        found,
        expected,
    };
    let text = |output: &Output<'_>| output.value.as_str().map(str::to_owned);
    let Some(asked) = asked else {
        let is_arn = |output: &&Output<'_>| {
            output.value.as_str().is_some_and(|text| text.starts_with("arn:") && part.fits(text))
        };
        let candidates: Vec<&Output<'_>> = outputs.iter().filter(is_arn).collect();
        let distinct =
            |other: &&Output<'_>| candidates.first().is_some_and(|first| first.value != other.value);
        return match candidates.as_slice() {
            [] => Err(error(
                "",
                format!("no ARN of a {part}"),
                format!("one, or {} to say which output it is", part.key()),
            )),
            [one, rest @ ..] if !rest.iter().any(distinct) => Ok(text(one).unwrap_or_default()),
            several => {
                let paths: Vec<&str> = several.iter().map(|output| output.path.as_str()).collect();
                let found = format!("{} ARNs of a {part}: {}", several.len(), paths.join(", "));
                Err(error("", found, format!("{} to say which", part.key())))
            }
        };
    };
    let named: Vec<&Output<'_>> =
        outputs.iter().filter(|output| output.path == asked || output.key == asked).collect();
    let expected = format!("the name or the ARN of a {part}");
    match named.as_slice() {
        [] => {
            let known: Vec<&str> = outputs.iter().map(|output| output.path.as_str()).collect();
            let known = if known.is_empty() { "no output".to_owned() } else { known.join(", ") };
            Err(error(asked, "no such output".to_owned(), format!("one of {known}")))
        }
        [one] => match text(one).filter(|text| part.fits(text)) {
            Some(text) => Ok(text),
            None => {
                let found =
                    one.value.as_str().map_or_else(|| kind(one.value).to_owned(), |text| format!("{text:?}"));
                Err(error(&one.path, found, expected))
            }
        },
        several => {
            let paths: Vec<&str> = several.iter().map(|output| output.path.as_str()).collect();
            Err(error(
                asked,
                format!("{} outputs of that name", several.len()),
                format!("one of {}", paths.join(", ")),
            ))
        }
    }
}

/// What a JSON value is, without showing it: an output may be secret.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
