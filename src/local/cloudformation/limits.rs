//! How large a template may be. Source: CloudFormation user guide, "Quotas"; the wording of the numbers'
//! errors as users report it, of the lengths' ours where no report is known.

use serde_json::Value;

use super::template::{Template, format_error};
use crate::local::service::ApiError;

const RESOURCES_MAX: usize = 500;
const PARAMETERS_MAX: usize = 200;
const OUTPUTS_MAX: usize = 200;
const MAPPINGS_MAX: usize = 200;
/// Attributes of one key of a mapping, and keys of one mapping.
const MAPPING_ATTRIBUTES_MAX: usize = 200;
/// Characters of a parameter's, an output's, a mapping's or a mapping attribute's name; a resource's is
/// checked with its letters.
const NAME_MAX_CHARS: usize = 255;
const DESCRIPTION_MAX_BYTES: usize = 1_024;

/// # Errors
/// `ValidationError` that names the first limit which the template passes.
pub fn check(template: &Template) -> Result<(), ApiError> {
    let none = serde_json::Map::new();
    let mappings = template.mappings.as_object().unwrap_or(&none);
    number("resources", template.resources.len(), RESOURCES_MAX)?;
    number("parameters", template.parameters.len(), PARAMETERS_MAX)?;
    number("outputs", template.outputs.len(), OUTPUTS_MAX)?;
    number("mappings", mappings.len(), MAPPINGS_MAX)?;
    let names = template.parameters.keys().map(|name| ("Parameter", name));
    names.chain(mappings.keys().map(|name| ("Mapping", name))).try_for_each(|(what, name)| {
        length(&format!("{what} name {name}"), name.chars().count(), NAME_MAX_CHARS)
    })?;
    for (name, mapping) in mappings {
        check_mapping(name, mapping)?;
    }
    length("'Description'", template.description.as_ref().map_or(0, String::len), DESCRIPTION_MAX_BYTES)?;
    for (name, output) in &template.outputs {
        let bytes = output.description.as_ref().map_or(0, String::len);
        length(&format!("'Description' of output {name}"), bytes, DESCRIPTION_MAX_BYTES)?;
    }
    Ok(())
}

fn check_mapping(name: &str, mapping: &Value) -> Result<(), ApiError> {
    let keys = mapping.as_object().into_iter().flatten();
    number(&format!("attributes of mapping {name}"), keys.clone().count(), MAPPING_ATTRIBUTES_MAX)?;
    for (key, attributes) in keys {
        let attributes = attributes.as_object().into_iter().flatten();
        let what = format!("attributes of mapping {name}, {key}");
        number(&what, attributes.clone().count(), MAPPING_ATTRIBUTES_MAX)?;
        for attribute in std::iter::once(key).chain(attributes.map(|(attribute, _)| attribute)) {
            let what = format!("Mapping attribute name {attribute}");
            length(&what, attribute.chars().count(), NAME_MAX_CHARS)?;
        }
    }
    Ok(())
}

fn number(what: &str, count: usize, most: usize) -> Result<(), ApiError> {
    if count <= most {
        return Ok(());
    }
    Err(format_error(format!("Number of {what}, {count}, is greater than maximum allowed, {most}")))
}

fn length(what: &str, found: usize, most: usize) -> Result<(), ApiError> {
    if found <= most { Ok(()) } else { Err(format_error(format!("{what} length is greater than {most}."))) }
}
