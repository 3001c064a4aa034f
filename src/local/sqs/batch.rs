//! The frame of the three batch operations: checks of the batch as a whole, results entry by entry.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::error::batch;
use crate::local::members::{list, text};
use crate::local::service::{ApiError, ApiResult};

/// Entries of a batch. API reference, SendMessageBatch.
const ENTRIES_MAX: usize = 10;

/// What one entry gives: its members beside the id, or why it failed.
pub type EntryResult = Result<Map<String, Value>, ApiError>;

/// The entries with their ids.
///
/// # Errors
/// No entry, more than ten, an id twice, or an id that is none.
pub fn entries(input: &Value) -> Result<Vec<(&str, &Value)>, ApiError> {
    let entries = list(input, "Entries");
    if entries.is_empty() {
        let message = "There should be at least one entry in the request.";
        return Err(batch("EmptyBatchRequest", message));
    }
    if entries.len() > ENTRIES_MAX {
        let message = format!(
            "Maximum number of entries per request are {ENTRIES_MAX}. You have sent {}.",
            entries.len()
        );
        return Err(batch("TooManyEntriesInBatchRequest", message));
    }
    let mut seen = BTreeSet::new();
    let mut with_ids = Vec::with_capacity(entries.len());
    for entry in entries {
        let id = text(entry, "Id").unwrap_or("");
        let known = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if id.is_empty() || id.len() > 80 || !id.chars().all(known) {
            let message =
                "A batch entry id can only contain alphanumeric characters, hyphens and underscores.";
            return Err(batch("InvalidBatchEntryId", message));
        }
        if !seen.insert(id) {
            return Err(batch("BatchEntryIdsNotDistinct", format!("Id {id} repeated.")));
        }
        with_ids.push((id, entry));
    }
    Ok(with_ids)
}

/// `{"Successful": [..], "Failed": [..]}`: the entries' outcomes with their ids. Callers may rely on both
/// lists being there.
pub fn outcome(results: Vec<(&str, EntryResult)>) -> ApiResult {
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for (id, result) in results {
        match result {
            Ok(mut members) => {
                members.insert("Id".to_owned(), Value::from(id));
                successful.push(Value::Object(members));
            }
            Err(error) => failed.push(json!({
                "Id": id,
                "SenderFault": error.status < 500,
                "Code": error.members.get("__query_code").cloned().unwrap_or_else(|| error.code.into()),
                "Message": error.message,
            })),
        }
    }
    Ok(json!({ "Successful": successful, "Failed": failed }))
}
