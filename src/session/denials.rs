//! A permission to put records that lacks, or was taken away: the load would go on failing to its end.

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use crate::load::driver::{Driver, OutRecord, PutResult};
use crate::platform::refusals::is_denial;

use super::flags::Second;

/// Seconds on end in which records were denied and none was acked, until it is given up: policies take seconds to
/// reach every host.
const DENIED_S: usize = 3;

/// What the service last said when it denied a put.
#[derive(Clone, Debug, Default)]
pub struct Denials {
    last: Arc<Mutex<Option<String>>>,
    for_s: usize,
}

impl Denials {
    /// The driver, with its denials noted here.
    pub fn noted_from(&self, driver: impl Driver + 'static) -> impl Driver + 'static {
        Noting { driver, last: Arc::clone(&self.last) }
    }

    /// What was said, once it has been denied for so long that waiting will not help.
    pub fn given_up(&mut self, second: &Second) -> Option<String> {
        let denied = self.last.lock().expect("denials lock").take();
        let only_denied = denied.is_some() && second.acked == 0;
        self.for_s = if only_denied { self.for_s + 1 } else { 0 };
        denied.filter(|_| self.for_s >= DENIED_S)
    }
}

struct Noting<D> {
    driver: D,
    last: Arc<Mutex<Option<String>>>,
}

impl<D: Driver> Driver for Noting<D> {
    fn put<'a>(
        &'a self,
        records: &'a [OutRecord],
    ) -> Pin<Box<dyn Future<Output = Vec<PutResult>> + Send + 'a>> {
        Box::pin(async move {
            let results = self.driver.put(records).await;
            let denied = results.iter().find_map(|result| match result {
                PutResult::Failed { code, message, .. } if is_denial(code) => Some(message),
                _ => None,
            });
            if let Some(message) = denied {
                *self.last.lock().expect("denials lock") = Some(message.clone());
            }
            results
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(PutResult);

    impl Driver for Fixed {
        fn put<'a>(
            &'a self,
            records: &'a [OutRecord],
        ) -> Pin<Box<dyn Future<Output = Vec<PutResult>> + Send + 'a>> {
            Box::pin(std::future::ready(vec![self.0.clone(); records.len()]))
        }
    }

    async fn one_second(denials: &mut Denials, result: PutResult) -> Option<String> {
        let acked = u64::from(result == PutResult::Acked);
        let record = OutRecord { key: "k".to_owned(), hash_key: None, data: bytes::Bytes::new() };
        denials.noted_from(Fixed(result)).put(&[record]).await;
        denials.given_up(&Second { acked, ..Second::default() })
    }

    #[tokio::test]
    async fn denials_give_up_after_seconds_without_an_ack() {
        let denied = || PutResult::Failed {
            code: "AccessDeniedException".to_owned(),
            message: "no kinesis:PutRecord".to_owned(),
            retryable: false,
        };
        let mut denials = Denials::default();
        assert_eq!(one_second(&mut denials, denied()).await, None);
        assert_eq!(one_second(&mut denials, denied()).await, None);
        assert_eq!(one_second(&mut denials, PutResult::Acked).await, None);
        for second in 1..=DENIED_S {
            let told = one_second(&mut denials, denied()).await;
            assert_eq!(told.is_some(), second == DENIED_S, "second {second}");
        }
    }
}
