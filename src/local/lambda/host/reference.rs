//! The reference function as a handler inside this process, with a modelled duration: what a rehearsal loads.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use super::in_process::{self, FunctionFailure, InProcessHost, Invocation, Printed};
use crate::consumer::{
    ENVELOPE_PATHS_VARIABLE, Handler, InvocationContext, METRIC_VARIABLE, ON_POISON_VARIABLE,
    QUEUE_URL_VARIABLE, ReceiptSender, WORK_VARIABLE, Work, envelope_paths_from, metric_from, on_poison_from,
    work_from,
};
use crate::local::service::{BoxFuture, Service};
use crate::platform::clock::Clock;
use crate::platform::spread::{Spread, to_timer_grain};

/// How the function behaves, in place of a measurement.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionModel {
    /// INIT of a cold start.
    pub init: Spread,
    /// Of each invocation, whatever its batch.
    pub per_batch: Spread,
    /// Of each record of the batch, one after the other: a batch takes its number times the median.
    pub per_record: Spread,
    /// Of each invocation when its work is done: sending the receipt, taking the answer.
    pub overhead: Spread,
    /// Share of invocations that fail as a whole, 0 to 1.
    pub failure_rate: f64,
    /// A function with less memory is killed in each invocation.
    pub memory_used_mb: u32,
    /// How much later than it is due a poll of the stream begins.
    pub poll_late: Spread,
}

/// The queue that receipts go to, known once the services stand.
pub type Queue = Arc<OnceLock<Arc<dyn Service>>>;

/// The reference function as a handler, which prints into `printed`; `queue` must be set before the first invocation.
pub fn handler(
    clock: Clock,
    model: FunctionModel,
    queue: Queue,
    printed: Printed,
    seed: u64,
) -> in_process::Handler {
    let rng = Arc::new(Mutex::new(fastrand::Rng::with_seed(seed)));
    let function = Arc::new(Function { clock, model, queue, seed, rng, handler: OnceLock::new(), printed });
    Arc::new(move |invocation: Invocation| {
        let function = Arc::clone(&function);
        Box::pin(async move { function.invoke(invocation).await }) as BoxFuture<'static, _>
    })
}

/// A host whose every function is `handler`, with the cold start, the memory and the polls of the model.
pub fn host(
    clock: Clock,
    model: &FunctionModel,
    handler: in_process::Handler,
    printed: Printed,
    seed: u64,
) -> InProcessHost {
    let host = InProcessHost::new(clock, handler, model.init, seed);
    host.with_memory_used_mb(model.memory_used_mb).with_poll_late(model.poll_late).with_printed(printed)
}

struct Function {
    clock: Clock,
    model: FunctionModel,
    queue: Queue,
    seed: u64,
    rng: Arc<Mutex<fastrand::Rng>>,
    /// What the stack sets is known with the first invocation.
    handler: OnceLock<Result<Handler<ToQueue>, String>>,
    printed: Printed,
}

impl Function {
    async fn invoke(&self, invocation: Invocation) -> Result<Bytes, FunctionFailure> {
        let (fails, per_batch) = {
            let rng = &mut self.rng.lock().unwrap_or_else(PoisonError::into_inner);
            let is_out_of_memory = self.model.memory_used_mb > invocation.memory_mb;
            (rng.f64() < self.model.failure_rate, is_out_of_memory.then(|| self.model.per_batch.draw(rng)))
        };
        if let Some(until_killed) = per_batch {
            tokio::time::sleep(until_killed).await;
            return Err(FunctionFailure::killed(&invocation.request_id));
        }
        if fails {
            return Err(failure("Runtime.Modelled", "the model has it fail".to_owned()));
        }
        let handler = self.handler.get_or_init(|| self.handler(&invocation));
        let handler = handler.as_ref().map_err(|error| failure("Runtime.InitError", error.clone()))?;
        if invocation.cold_start {
            handler.starts_again();
        }
        let memory_used_mb = self.model.memory_used_mb;
        let context = InvocationContext {
            request_id: invocation.request_id,
            memory_limit_mb: invocation.memory_mb,
            memory_used_mb: Arc::new(move || memory_used_mb),
        };
        let answered = handler.handle_bytes(&invocation.event, &context).await;
        if self.model.overhead != Spread::NONE {
            let overhead = {
                let rng = &mut self.rng.lock().unwrap_or_else(PoisonError::into_inner);
                to_timer_grain(self.model.overhead.draw(rng), rng)
            };
            tokio::time::sleep(overhead).await;
        }
        let answer = answered.map_err(|error| failure(error.kind(), error.to_string()))?;
        Ok(Bytes::from(answer.to_string()))
    }

    fn handler(&self, invocation: &Invocation) -> Result<Handler<ToQueue>, String> {
        let of = |name: &str| invocation.environment.get(name).cloned();
        let queue_url = of(QUEUE_URL_VARIABLE).ok_or("the stack names no queue for receipts")?;
        let queue = self.queue.get().ok_or("the services do not stand yet")?;
        let (model, rng) = (self.model.clone(), Arc::clone(&self.rng));
        // What the plan asks for as a stand-in for real work comes on top of what the model has.
        let asked = match work_from(of(WORK_VARIABLE)).map_err(|error| error.to_string())? {
            Work::Busy(duration) => duration,
            _ => Duration::ZERO,
        };
        let work = Work::Modelled(Arc::new(move |records| {
            let rng = &mut rng.lock().unwrap_or_else(PoisonError::into_inner);
            // One draw for all records of a batch: what slows a function down mostly lasts longer than a record.
            let modelled = model.per_batch.draw(rng) + model.per_record.draw(rng) * records as u32;
            to_timer_grain(asked + modelled, rng)
        }));
        let clock = self.clock;
        let now: Arc<dyn Fn() -> i64 + Send + Sync> = Arc::new(move || clock.now_us());
        let sender = ToQueue { queue: Arc::clone(queue), queue_url };
        let poison = on_poison_from(of(ON_POISON_VARIABLE)).map_err(|error| error.to_string())?;
        let paths = envelope_paths_from(of(ENVELOPE_PATHS_VARIABLE)).map_err(|error| error.to_string())?;
        let printed = Arc::clone(&self.printed);
        let print =
            move |line: &str| printed.lock().unwrap_or_else(PoisonError::into_inner).push(line.to_owned());
        let mut handler = Handler::new(sender, now, work, self.seed)
            .with_log(Arc::new(print))
            .on_poison(poison)
            .envelope_paths(paths);
        // Its lines are a good part of what the function's log costs.
        if metric_from(of(METRIC_VARIABLE)).map_err(|error| error.to_string())? {
            let name = invocation.function_arn.rsplit(':').next().unwrap_or_default();
            handler = handler.with_metric(name.to_owned());
        }
        Ok(handler)
    }
}

fn failure(error_type: &str, message: String) -> FunctionFailure {
    FunctionFailure::new(error_type, message)
}

/// Sends receipts to the local SQS without a client between: nothing of the function's own is measured here.
struct ToQueue {
    queue: Arc<dyn Service>,
    queue_url: String,
}

impl ReceiptSender for ToQueue {
    async fn send(&self, message: String) -> Result<(), String> {
        let input = json!({"QueueUrl": self.queue_url, "MessageBody": message});
        self.queue.call("SendMessage", input).await.map(drop).map_err(|error| error.to_string())
    }
}
