use aws_smithy_runtime_api::client::http::{HttpClient, HttpConnectorSettings, SharedHttpConnector};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

use super::*;

fn renewed(config: ProviderConfig) -> Renewed {
    Renewed::new(Some("steady".to_owned()), None, config, Clock::start())
}

/// Fails the test that uses it.
#[derive(Debug)]
struct NoNetwork;

impl HttpClient for NoNetwork {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        panic!("a request was made")
    }
}

/// A profile that is in no file: looking it up fails without any request.
#[tokio::test(start_paused = true)]
async fn after_a_failure_nobody_is_asked_for_a_while() {
    let renewed = renewed(ProviderConfig::empty().with_http_client(NoNetwork));
    let first = renewed.provide_credentials().await.unwrap_err();
    assert!(renewed.failed_just_now().is_some());
    let second = renewed.provide_credentials().await.unwrap_err();
    assert_ne!(format!("{first:?}"), format!("{second:?}"), "the second is the first one's message, kept");
    tokio::time::sleep(FAILED_FOR).await;
    assert_eq!(renewed.failed_just_now(), None);
}

#[tokio::test(start_paused = true)]
async fn credentials_that_do_not_say_when_they_end_are_looked_up_again() {
    let renewed = renewed(ProviderConfig::empty());
    let endless = renewed.ending(Credentials::new("id", "key", None, None, "test"));
    let end = endless.expiry().expect("it has an end now");
    assert!(end.duration_since(renewed.clock.now()).unwrap() <= RELOAD_EVERY);
    let known = std::time::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
    let ending = renewed.ending(Credentials::new("id", "key", None, Some(known), "test"));
    assert_eq!(ending.expiry(), Some(known));
}
