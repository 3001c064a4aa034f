//! The one seam between the tool and where it runs: a door in, the AWS clients out. Nothing above this
//! file knows whether it talks to AWS, to the local endpoint over TCP, or to services in this process.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder as HttpBuilder, Connector};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;

use super::clock::Clock;

/// The region of the local endpoint unless told otherwise.
pub const LOCAL_REGION: &str = "us-east-1";

/// Attempts of a control-plane call, the first included: stacks are polled at rates that AWS throttles.
const CONTROL_ATTEMPTS: u32 = 5;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than SQS's longest poll (20 s), which must not be cut off.
const READ_TIMEOUT: Duration = Duration::from_secs(35);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(40);
/// An object's read timeout runs from the start of its upload: a zip of 250 MB over 3 Mbit/s takes this long.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// How the services are reached.
#[derive(Clone, Debug)]
pub enum Door {
    /// AWS, with the credentials, region and proxy that the user's environment and profile give.
    Aws { profile: Option<String>, endpoint_url: Option<String> },
    /// The local endpoint over plain HTTP. Profiles, environment and proxies are not looked at.
    Tcp { url: String, access_key_id: String, secret_access_key: String },
    /// The services in this process, behind an HTTP client that opens no socket.
    InProcess(SharedHttpClient),
}

#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// `None`: that of the profile or environment on AWS, [`LOCAL_REGION`] locally.
    pub region: Option<String>,
    pub door: Door,
    pub clock: Clock,
}

/// One client a service. Cheap to clone: all clones share their connections.
#[derive(Clone, Debug)]
pub struct Clients {
    /// `local` or `aws`.
    pub target: &'static str,
    pub region: String,
    pub kinesis: aws_sdk_kinesis::Client,
    /// For the data path: no retries by the SDK, because the driver counts every attempt.
    pub kinesis_data: aws_sdk_kinesis::Client,
    pub lambda: aws_sdk_lambda::Client,
    pub cloudwatch: aws_sdk_cloudwatch::Client,
    pub cloudformation: aws_sdk_cloudformation::Client,
    pub sqs: aws_sdk_sqs::Client,
    pub s3: aws_sdk_s3::Client,
    pub scheduler: aws_sdk_scheduler::Client,
    pub sts: aws_sdk_sts::Client,
    pub logs: aws_sdk_cloudwatchlogs::Client,
    /// For `doctor` alone, which asks what a caller may do.
    pub iam: aws_sdk_iam::Client,
}

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("no AWS region is set{}", in_profile(.profile))]
    NoRegion { profile: Option<String> },
    #[error("{url:?} is not a plain http:// address of the local endpoint")]
    NotHttp { url: String },
}

impl ConnectError {
    /// One line of what to do.
    pub fn hint(&self) -> String {
        match self {
            ConnectError::NoRegion { .. } => {
                "pass --region, set AWS_REGION, or set a region in the profile (aws configure)".to_owned()
            }
            ConnectError::NotHttp { .. } => {
                "the local endpoint is reached as http://127.0.0.1:<port>; --target aws takes --endpoint-url"
                    .to_owned()
            }
        }
    }
}

fn in_profile(profile: &Option<String>) -> String {
    profile.as_ref().map(|name| format!(" (profile {name})")).unwrap_or_default()
}

/// Builds the clients. Makes no request: credentials are looked up at the first call.
///
/// # Errors
/// When no region can be found for AWS, or a local address is not plain HTTP.
pub async fn connect(settings: ClientSettings) -> Result<Clients, ConnectError> {
    let clock = settings.clock;
    match settings.door {
        Door::Aws { profile, endpoint_url } => {
            let config = aws_config(settings.region, profile, endpoint_url, clock).await?;
            Ok(clients("aws", &config, false))
        }
        Door::Tcp { url, access_key_id, secret_access_key } => {
            if !url.starts_with("http://") {
                return Err(ConnectError::NotHttp { url });
            }
            // Without `from_env` this client knows no proxy.
            let http = HttpBuilder::new().build_http();
            let credentials = Credentials::from_keys(access_key_id, secret_access_key, None);
            let config = local_config(settings.region, &url, http, credentials, clock);
            Ok(clients("local", &config, true))
        }
        Door::InProcess(http) => {
            let credentials = Credentials::from_keys("LOCALACCESSKEY", "local-secret-key", None);
            let config = local_config(settings.region, "http://localhost", http, credentials, clock);
            Ok(clients("local", &config, true))
        }
    }
}

async fn aws_config(
    region: Option<String>,
    profile: Option<String>,
    endpoint_url: Option<String>,
    clock: Clock,
) -> Result<SdkConfig, ConnectError> {
    let mut loader = aws_config::defaults(aws_config::BehaviorVersion::latest())
        .http_client(https_client())
        .time_source(clock)
        .sleep_impl(TokioSleep::new())
        .retry_config(RetryConfig::standard().with_max_attempts(CONTROL_ATTEMPTS))
        .timeout_config(control_timeouts())
        .identity_cache(aws_config::identity::IdentityCache::lazy().build())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    if let Some(profile) = &profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = region {
        loader = loader.region(Region::new(region));
    }
    if let Some(url) = endpoint_url {
        loader = loader.endpoint_url(url);
    }
    let config = loader.load().await;
    if config.region().is_none() {
        return Err(ConnectError::NoRegion { profile });
    }
    Ok(config)
}

/// Built by hand: the default chain would read profiles, `AWS_ENDPOINT_URL*`, or ask the instance for a role.
fn local_config(
    region: Option<String>,
    url: &str,
    http: SharedHttpClient,
    credentials: Credentials,
    clock: Clock,
) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(aws_config::BehaviorVersion::latest())
        .region(Region::new(region.unwrap_or_else(|| LOCAL_REGION.to_owned())))
        .endpoint_url(url)
        .http_client(http)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .identity_cache(aws_config::identity::IdentityCache::lazy().build())
        .time_source(clock)
        .sleep_impl(TokioSleep::new())
        .retry_config(RetryConfig::standard().with_max_attempts(CONTROL_ATTEMPTS))
        .timeout_config(control_timeouts())
        // It measures throughput against the clock; in virtual time an answer of any size takes none or
        // a whole poll, and the read timeout bounds a dead connection anyway.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .build()
}

/// TLS by rustls with ring, through the user's proxy where one is set.
fn https_client() -> SharedHttpClient {
    HttpBuilder::new().build_with_connector_fn(|settings, components| {
        let mut builder = Connector::builder().proxy_config(ProxyConfig::from_env());
        builder.set_connector_settings(settings.cloned());
        if let Some(components) = components {
            builder.set_sleep_impl(components.sleep_impl());
        }
        builder.tls_provider(Provider::Rustls(CryptoMode::Ring)).build()
    })
}

fn control_timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .build()
}

fn clients(target: &'static str, config: &SdkConfig, path_style: bool) -> Clients {
    let region = config.region().map(|region| region.as_ref().to_owned()).unwrap_or_default();
    let uploads = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(UPLOAD_TIMEOUT)
        .operation_attempt_timeout(UPLOAD_TIMEOUT)
        .build();
    Clients {
        target,
        region,
        kinesis: aws_sdk_kinesis::Client::new(config),
        kinesis_data: aws_sdk_kinesis::Client::from_conf(
            aws_sdk_kinesis::config::Builder::from(config).retry_config(RetryConfig::disabled()).build(),
        ),
        lambda: aws_sdk_lambda::Client::new(config),
        cloudwatch: aws_sdk_cloudwatch::Client::new(config),
        cloudformation: aws_sdk_cloudformation::Client::new(config),
        sqs: aws_sdk_sqs::Client::new(config),
        s3: aws_sdk_s3::Client::from_conf(
            aws_sdk_s3::config::Builder::from(config)
                .force_path_style(path_style)
                .timeout_config(uploads)
                .build(),
        ),
        scheduler: aws_sdk_scheduler::Client::new(config),
        sts: aws_sdk_sts::Client::new(config),
        logs: aws_sdk_cloudwatchlogs::Client::new(config),
        iam: aws_sdk_iam::Client::new(config),
    }
}
