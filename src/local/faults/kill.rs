//! `kill-function`: a crash between a function's work and its receipt, or between its receipt and its answer.
//!
//! The one step of a function that the endpoint sees is the SendMessage of its receipt, and the receipt's
//! body names the invocation. So this stands in front of SQS: a sandbox that is to die before its receipt is
//! killed when the message comes, which then takes no effect; one that is to die after it is killed when
//! the message has taken effect. Either way the call is never answered, so that the function cannot get any
//! further, whether it is a process or a handler inside this process.
//!
//! A function that sends no receipts is left alone, as are readiness probes and receipts in several parts.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::front::LOST_ANSWER_HOLD;
use super::{CrashPoint, Faults, Kind, log};
use crate::local::lambda::host::FunctionHost;
use crate::local::service::{ApiError, ApiResult, BoxFuture, Service};
use crate::platform::clock::Clock;
use crate::wire::receipt::Receipt;

/// SQS with the crashes of functions in front of it.
pub struct KillingSqs {
    sqs: Arc<dyn Service>,
    host: Arc<dyn FunctionHost>,
    faults: Arc<Faults>,
    clock: Clock,
}

impl KillingSqs {
    /// SQS itself when no `kill-function` was asked for.
    pub fn in_front_of(
        sqs: Arc<dyn Service>,
        host: Arc<dyn FunctionHost>,
        faults: Arc<Faults>,
        clock: Clock,
    ) -> Arc<dyn Service> {
        if !faults.specs.iter().any(|spec| matches!(spec.kind, Kind::KillFunction { .. })) {
            return sqs;
        }
        Arc::new(KillingSqs { sqs, host, faults, clock })
    }

    /// What is to be done at a message with this input: the receipt that it is, and where its sender is to die.
    fn doomed(&self, operation: &str, input: &Value) -> Option<(Receipt, CrashPoint)> {
        if operation != "SendMessage" {
            return None;
        }
        let receipt = log::eligible_receipt(input["MessageBody"].as_str()?)?;
        if receipt.parts != 1 || !self.host.runs(&receipt.request_id) {
            return None;
        }
        let at = self.faults.kill(self.clock.now_us())?;
        Some((receipt, at))
    }

    /// Kills the sender, logs it, and keeps silent. Returns at once when the invocation is over already.
    async fn kill(&self, receipt: &Receipt, at: CrashPoint) -> Result<(), ApiError> {
        if !self.host.kill_invocation(&receipt.request_id) {
            return Ok(());
        }
        self.faults.killed(self.clock.now_us(), receipt, at);
        tokio::time::sleep(LOST_ANSWER_HOLD).await;
        Err(ApiError::no_answer())
    }
}

impl Service for KillingSqs {
    fn call<'a>(&'a self, operation: &'a str, input: Value) -> BoxFuture<'a, ApiResult> {
        Box::pin(async move {
            match self.doomed(operation, &input) {
                None => self.sqs.call(operation, input).await,
                Some((receipt, CrashPoint::Work)) => {
                    self.kill(&receipt, CrashPoint::Work).await?;
                    self.sqs.call(operation, input).await
                }
                Some((receipt, CrashPoint::Receipt)) => {
                    let output = self.sqs.call(operation, input).await?;
                    self.kill(&receipt, CrashPoint::Receipt).await?;
                    Ok(output)
                }
            }
        })
    }

    fn call_json<'a>(&'a self, operation: &'a str, body: Bytes) -> BoxFuture<'a, Result<Bytes, ApiError>> {
        if operation != "SendMessage" {
            return self.sqs.call_json(operation, body);
        }
        // SQS has no faster way than through the tree either.
        Box::pin(async move {
            let input = serde_json::from_slice(&body)
                .map_err(|error| ApiError::invalid("SerializationException", error.to_string()))?;
            Ok(Bytes::from(self.call(operation, input).await?.to_string()))
        })
    }
}
