//! Everything that reads a stream, as far as AWS tells: load on the stream is load on each of them.

use aws_sdk_lambda::types::EventSourceMappingConfiguration as Mapping;

use super::super::error::failed;
use crate::platform::clients::Clients;

/// Pages of a list that are read at most: a stream has at most 20 consumers and few mappings.
const PAGES_MAX: usize = 20;
/// No API tells which Firehose streams read a Kinesis stream but Firehose's own, one stream at a time.
pub const NOT_LISTED: &str = "not listed: Firehose delivery streams, KCL applications and other GetRecords readers, which no list of the stream names";

#[derive(Debug, Default)]
pub struct Readers {
    /// Mappings on the stream itself and on its consumers.
    pub mappings: Vec<Mapping>,
    /// Name and status of each enhanced fan-out consumer.
    pub consumers: Vec<(String, String)>,
    /// Lists that could not be had, in words.
    pub unknown: Vec<String>,
}

impl Readers {
    /// A line for each reader, then what is not known.
    pub fn lines(&self) -> Vec<String> {
        let mapping = |mapping: &Mapping| {
            format!(
                "event source mapping {} of {} ({})",
                mapping.uuid().unwrap_or("?"),
                mapping.function_arn().unwrap_or("?"),
                mapping.state().unwrap_or("state unknown")
            )
        };
        let consumer =
            |(name, status): &(String, String)| format!("enhanced fan-out consumer {name} ({status})");
        let mappings = self.mappings.iter().map(mapping);
        mappings.chain(self.consumers.iter().map(consumer)).chain(self.unknown.iter().cloned()).collect()
    }
}

/// Asks Kinesis and Lambda. What may not be asked is said in `unknown`: the list serves the user's decision.
pub async fn readers(clients: &Clients, stream_arn: &str) -> Readers {
    let mut readers = Readers::default();
    let mut sources = vec![stream_arn.to_owned()];
    let mut token = None;
    for _ in 0..PAGES_MAX {
        let call = clients.kinesis.list_stream_consumers().stream_arn(stream_arn);
        match call.set_next_token(token.take()).send().await {
            Ok(answer) => {
                for consumer in answer.consumers() {
                    sources.push(consumer.consumer_arn().to_owned());
                    let status = consumer.consumer_status().as_str().to_owned();
                    readers.consumers.push((consumer.consumer_name().to_owned(), status));
                }
                token = answer.next_token().map(str::to_owned);
            }
            Err(error) => {
                let error = failed("Kinesis", "list the stream's consumers", error);
                readers.unknown.push(format!("consumers could not be listed: {error}"));
            }
        }
        if token.is_none() {
            break;
        }
    }
    for source in sources {
        mappings(clients, &source, &mut readers).await;
    }
    readers.consumers.sort();
    readers.mappings.sort_by(|a, b| a.uuid().cmp(&b.uuid()));
    readers
}

async fn mappings(clients: &Clients, source: &str, readers: &mut Readers) {
    let mut marker = None;
    for _ in 0..PAGES_MAX {
        let call = clients.lambda.list_event_source_mappings().event_source_arn(source);
        match call.set_marker(marker.take()).send().await {
            Ok(answer) => {
                readers.mappings.extend(answer.event_source_mappings().iter().cloned());
                marker = answer.next_marker().filter(|marker| !marker.is_empty()).map(str::to_owned);
            }
            Err(error) => {
                let error = failed("Lambda", "list event source mappings", error);
                readers.unknown.push(format!("event source mappings could not be listed: {error}"));
            }
        }
        if marker.is_none() {
            break;
        }
    }
}
