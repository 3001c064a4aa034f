//! What an AWS call that failed says, in one line for the person who reads it.

use std::error::Error;
use std::fmt::Debug;

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// `Code: message` of an error that the service answered with; otherwise the innermost cause, since the SDK's own
/// layers ("dispatch failure") say nothing to a user.
pub fn plain<E, R>(error: &SdkError<E, R>) -> String
where
    E: Error + ProvideErrorMetadata + 'static,
    R: Debug + 'static,
{
    match error.as_service_error().and_then(|answered| Some((answered.code()?, answered.message()))) {
        Some((code, Some(message))) => format!("{code}: {message}"),
        Some((code, None)) => code.to_owned(),
        None => innermost(error),
    }
}

/// The last error of the chain, in one line: aws-config lists what it tried for credentials in further ones.
pub fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    let text = last.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.trim_end_matches("Attempted:").trim_end().to_owned()
}

/// Whether an error with this code is a permission that lacks: asking again will not help. Codes: the services'
/// "Common Errors"; those of the query protocol have no "Exception".
pub fn is_denial(code: &str) -> bool {
    code.starts_with("AccessDenied") || code == "UnauthorizedOperation"
}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::client::result::SdkError;
    use aws_smithy_types::error::ErrorMetadata;

    use super::*;

    #[test]
    fn what_the_service_says_is_told_in_its_words() {
        let meta = ErrorMetadata::builder().code("AccessDenied").message("not you").build();
        let error = aws_sdk_sqs::operation::receive_message::ReceiveMessageError::generic(meta);
        assert_eq!(plain(&SdkError::service_error(error, ())), "AccessDenied: not you");
        let none: SdkError<aws_sdk_sqs::operation::receive_message::ReceiveMessageError, ()> =
            SdkError::timeout_error("no answer within 40 s");
        assert_eq!(plain(&none), "no answer within 40 s");
        assert!(is_denial("AccessDeniedException") && is_denial("AccessDenied") && !is_denial("Throttling"));
    }
}
