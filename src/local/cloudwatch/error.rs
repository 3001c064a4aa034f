//! CloudWatch's errors: the shape's name, and the query protocol's code for the compatibility header.

use serde_json::Value;

use crate::local::service::ApiError;

/// API model 2010-08-01: (shape, HTTP status, query code).
fn error(shape: &str, status: u16, query_code: &str, message: String) -> ApiError {
    let mut error = ApiError::new(status, shape, message);
    error.members.insert("__query_code".to_owned(), Value::from(query_code));
    error
}

pub fn missing(parameter: &str) -> ApiError {
    let message = format!("The parameter {parameter} is required.");
    error("MissingRequiredParameterException", 400, "MissingParameter", message)
}

pub fn invalid_value(message: impl Into<String>) -> ApiError {
    error("InvalidParameterValueException", 400, "InvalidParameterValue", message.into())
}

pub fn invalid_combination(message: impl Into<String>) -> ApiError {
    error("InvalidParameterCombinationException", 400, "InvalidParameterCombination", message.into())
}

pub fn validation(message: impl Into<String>) -> ApiError {
    error("ValidationException", 400, "ValidationError", message.into())
}

pub fn invalid_token() -> ApiError {
    error("InvalidNextToken", 400, "InvalidNextToken", "The next token specified is invalid.".to_owned())
}

pub fn not_found(message: impl Into<String>) -> ApiError {
    error("ResourceNotFound", 404, "ResourceNotFound", message.into())
}

pub fn no_resource(arn: &str) -> ApiError {
    let message = format!("{arn} does not exist");
    error("ResourceNotFoundException", 404, "ResourceNotFoundException", message)
}

pub fn no_dashboard(name: &str) -> ApiError {
    let message = format!("Dashboard {name} does not exist");
    error("DashboardNotFoundError", 404, "ResourceNotFound", message)
}

pub fn invalid_dashboard(message: &str, data_path: &str) -> ApiError {
    let mut error = error(
        "DashboardInvalidInputError",
        400,
        "InvalidParameterInput",
        "The field DashboardBody must be a valid JSON object".to_owned(),
    );
    let detail = serde_json::json!([{ "DataPath": data_path, "Message": message }]);
    error.members.insert("dashboardValidationMessages".to_owned(), detail);
    error
}
