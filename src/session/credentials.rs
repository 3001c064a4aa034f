//! Credentials that end in the middle of a run: it waits for new ones, says so, and keeps what it has.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use super::flags::Second;

/// New credentials are waited for this long: a person who is called has logged in again by then.
const WAIT_BOUND: Duration = Duration::from_secs(15 * 60);

/// What the second just past changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pause {
    Began,
    Ended { after: Duration },
    GaveUp,
}

impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = WAIT_BOUND.as_secs() / 60;
        match self {
            Pause::Began => write!(
                f,
                "paused: the AWS credentials are no longer accepted. The schedule goes on, its levels are void until \
                 there are new ones: log in again (aws sso login, or renew the profile) within {minutes} minutes"
            ),
            Pause::Ended { after } => {
                write!(f, "the AWS credentials are accepted again, after {} s", after.as_secs())
            }
            Pause::GaveUp => write!(f, "no valid AWS credentials for {minutes} minutes"),
        }
    }
}

/// Records that could not be sent for want of credentials, and none acked: the run is paused. Nothing is held
/// back: a record that was due meanwhile has failed with that reason, and its level is void.
#[derive(Debug, Default)]
pub(super) struct CredentialPause {
    since: Option<Instant>,
}

impl CredentialPause {
    pub fn second(&mut self, second: &Second, now: Instant) -> Option<Pause> {
        match self.since {
            None if second.no_credentials > 0 && second.acked == 0 => {
                self.since = Some(now);
                Some(Pause::Began)
            }
            Some(since) if second.acked > 0 => {
                self.since = None;
                Some(Pause::Ended { after: now - since })
            }
            Some(since) if now - since >= WAIT_BOUND => Some(Pause::GaveUp),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_pause_begins_ends_and_is_bounded() {
        let mut pause = CredentialPause::default();
        let mut after_s = async |seconds: u64, acked: u64, no_credentials: u64| {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            let second = Second { acked, no_credentials, ..Second::default() };
            pause.second(&second, crate::platform::clock::Clock::start().instant())
        };
        assert_eq!(after_s(1, 5, 3).await, None, "some were acked: the rest was in flight as they ended");
        assert_eq!(after_s(1, 0, 3).await, Some(Pause::Began));
        assert_eq!(after_s(1, 0, 9).await, None);
        assert_eq!(after_s(60, 0, 0).await, None, "nothing was due: still paused");
        assert_eq!(after_s(1, 1, 0).await, Some(Pause::Ended { after: Duration::from_secs(62) }));
        assert_eq!(after_s(1, 0, 1).await, Some(Pause::Began));
        assert_eq!(after_s(899, 0, 1).await, None);
        assert_eq!(after_s(1, 0, 1).await, Some(Pause::GaveUp));
    }
}
