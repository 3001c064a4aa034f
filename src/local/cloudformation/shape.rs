//! The shapes of resource properties. Template scalars may be text where a number is meant (parameters
//! always are), so each value is brought into its type; what a shape does not know is refused, because
//! silently ignoring a property would deploy something else than what was asked for.

use serde_json::{Map, Value};

use super::parameters::scalar_text;

/// The type of a property, as the CloudFormation registry's schema has it.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    Text,
    Whole,
    Number,
    Flag,
    /// Any JSON, passed on as it is: policy documents.
    Json,
    /// Text to text: environment variables.
    TextMap,
    List(&'static Shape),
    Object(&'static [(&'static str, Shape)]),
}

/// `[{Key, Value}]`, as nearly all types have their tags.
pub const TAGS: Shape = Shape::List(&Shape::Object(&[("Key", Shape::Text), ("Value", Shape::Text)]));
pub const TEXTS: Shape = Shape::List(&Shape::Text);

impl Shape {
    /// The value in its type.
    ///
    /// # Errors
    /// In the words of CloudFormation's property validation, with the path of what is wrong.
    pub fn fit(&self, value: &Value, path: &str) -> Result<Value, String> {
        let wrong = |expected: &str| format!("#{path}: expected type: {expected}, found: {}", kind(value));
        match self {
            Shape::Json => Ok(value.clone()),
            Shape::Text => scalar_text(value).map(Value::from).ok_or_else(|| wrong("String")),
            Shape::Whole => {
                let text = scalar_text(value).unwrap_or_default();
                text.parse::<i64>().map(Value::from).map_err(|_| wrong("Integer"))
            }
            Shape::Number => {
                let text = scalar_text(value).unwrap_or_default();
                let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
                number.map(Value::from).ok_or_else(|| wrong("Number"))
            }
            Shape::Flag => match scalar_text(value).as_deref() {
                Some("true") => Ok(Value::Bool(true)),
                Some("false") => Ok(Value::Bool(false)),
                _ => Err(wrong("Boolean")),
            },
            Shape::TextMap => {
                let members = value.as_object().ok_or_else(|| wrong("JSONObject"))?;
                let fit = |(key, member): (&String, &Value)| {
                    Ok((key.clone(), Shape::Text.fit(member, &format!("{path}/{key}"))?))
                };
                members.iter().map(fit).collect::<Result<Map<_, _>, String>>().map(Value::Object)
            }
            Shape::List(item) => {
                let items = value.as_array().ok_or_else(|| wrong("JSONArray"))?;
                let fit = |(index, one): (usize, &Value)| item.fit(one, &format!("{path}/{index}"));
                items.iter().enumerate().map(fit).collect::<Result<Vec<_>, String>>().map(Value::Array)
            }
            Shape::Object(known) => {
                let members = value.as_object().ok_or_else(|| wrong("JSONObject"))?;
                let mut object = Map::new();
                for (key, member) in members {
                    let Some((_, shape)) = known.iter().find(|(name, _)| name == key) else {
                        return Err(format!("#{path}: extraneous key [{key}] is not permitted"));
                    };
                    object.insert(key.clone(), shape.fit(member, &format!("{path}/{key}"))?);
                }
                Ok(Value::Object(object))
            }
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "Null",
        Value::Bool(_) => "Boolean",
        Value::Number(_) => "Number",
        Value::String(_) => "String",
        Value::Array(_) => "JSONArray",
        Value::Object(_) => "JSONObject",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn text_becomes_what_is_meant_and_the_unknown_is_refused() {
        const SHAPE: Shape = Shape::Object(&[
            ("Count", Shape::Whole),
            ("Share", Shape::Number),
            ("On", Shape::Flag),
            ("Names", TEXTS),
            ("Variables", Shape::TextMap),
        ]);
        let given = json!({
            "Count": "-1", "Share": "0.5", "On": "true", "Names": [1, "b"], "Variables": {"A": 5, "B": true},
        });
        let fitted = json!({
            "Count": -1, "Share": 0.5, "On": true, "Names": ["1", "b"], "Variables": {"A": "5", "B": "true"},
        });
        assert_eq!(SHAPE.fit(&given, ""), Ok(fitted));
        let refused = |value: Value| SHAPE.fit(&value, "").unwrap_err();
        assert_eq!(refused(json!({"Cuont": 1})), "#: extraneous key [Cuont] is not permitted");
        assert_eq!(refused(json!({"Count": "x"})), "#/Count: expected type: Integer, found: String");
        assert_eq!(refused(json!({"Names": [[]]})), "#/Names/0: expected type: String, found: JSONArray");
        assert_eq!(refused(json!({"On": "yes"})), "#/On: expected type: Boolean, found: String");
    }
}
