//! Credentials over a day: asked for again while the run goes on, so that what the user renewed elsewhere counts.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, Result as Provided, future};
use aws_types::region::Region;
use tokio::time::Instant;

use super::clock::Clock;
use aws_smithy_async::time::TimeSource as _;

/// Credentials that do not say when they end are looked up again this often: a file that a login tool rewrites
/// holds temporary ones, and nothing in it says so. Also the longest that a process without `Expiration` is believed.
const RELOAD_EVERY: Duration = Duration::from_secs(300);
/// After a failure nobody is asked for this long: at thousands of records a second each would start a process.
const FAILED_FOR: Duration = Duration::from_secs(5);

/// All sources of the AWS SDK, read afresh at each look-up: the SDK's own chain reads the profile's files once.
#[derive(Debug)]
pub struct Renewed {
    profile: Option<String>,
    region: Option<Region>,
    config: ProviderConfig,
    clock: Clock,
    failed: Mutex<Option<(Instant, String)>>,
}

impl Renewed {
    /// An explicit `profile` wins over keys in the environment, as with the AWS CLI's `--profile`; without one the
    /// chain is: environment, profile files (SSO, process, assumed role), web identity, container, instance.
    /// Roles are assumed in `region`.
    pub fn new(
        profile: Option<String>,
        region: Option<Region>,
        config: ProviderConfig,
        clock: Clock,
    ) -> Renewed {
        let config = config.with_region(region.clone());
        Renewed { profile, region, config, clock, failed: Mutex::new(None) }
    }

    async fn provide(&self) -> Provided {
        if let Some(message) = self.failed_just_now() {
            return Err(CredentialsError::provider_error(message));
        }
        let found = match &self.profile {
            Some(name) => {
                let profile = ProfileFileCredentialsProvider::builder().configure(&self.config);
                profile.profile_name(name).build().provide_credentials().await
            }
            None => {
                let chain = DefaultCredentialsChain::builder().configure(self.config.clone());
                chain.region(self.region.clone()).build().await.provide_credentials().await
            }
        };
        let failure = found.as_ref().err().map(|error| {
            let told = aws_smithy_types::error::display::DisplayErrorContext(error).to_string();
            (self.clock.instant(), told)
        });
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = failure;
        Ok(self.ending(found?))
    }

    fn failed_just_now(&self) -> Option<String> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, message) = failed.as_ref()?;
        (self.clock.instant() - *at < FAILED_FOR).then(|| message.clone())
    }

    fn ending(&self, mut credentials: Credentials) -> Credentials {
        if credentials.expiry().is_none() {
            *credentials.expiry_mut() = Some(self.clock.now() + RELOAD_EVERY);
        }
        credentials
    }
}

impl ProvideCredentials for Renewed {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.provide())
    }
}

#[cfg(test)]
#[path = "credentials_tests.rs"]
mod tests;
