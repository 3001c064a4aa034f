//! The tests' part of [`super::resolve`]: defaults, payloads and stages.

use std::sync::Arc;
use std::time::Duration;

use super::model::*;
use super::payload::{Payload, PayloadDoc};
use super::resolve::{Place, Resolver};
use super::resolve_action;
use super::typed::{DefaultsDoc, PutModeDoc, StageDoc, TestDoc};
use super::units;

const IN_FLIGHT_MAX: u32 = 1_000_000;
const IN_FLIGHT_DEFAULT: u32 = 10_000;
const ATTEMPTS_MAX: u32 = 100;
const ATTEMPTS_DEFAULT: u32 = 5;
const ATTEMPT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
const ATTEMPT_TIMEOUT_MIN: Duration = Duration::from_millis(10);
const ATTEMPT_TIMEOUT_MAX: Duration = Duration::from_secs(300);
pub(super) const STAGE_MIN: Duration = Duration::from_millis(1);
pub(super) const STAGE_MAX: Duration = Duration::from_secs(31 * 24 * 3_600);
const PAYLOAD_DEFAULT: &str = "medium";
const PAYLOAD_DEFAULT_BYTES: usize = 500;
const ID_MAX_CHARS: usize = 64;

/// `defaults:`, with the defaults of the defaults filled in.
pub(super) struct Defaults {
    payload: Option<Payload>,
    put: PutMode,
    keys: Keys,
    arrivals: Arrivals,
    max_in_flight: u32,
    put_attempts: u32,
    attempt_timeout: Duration,
}

impl Resolver<'_> {
    pub fn defaults(
        &mut self,
        document: Option<DefaultsDoc>,
        environment: &Environment,
        at: &Place<'_>,
    ) -> Defaults {
        let document = document.unwrap_or_default();
        let built_in = Keys::uniform(1_000, 1);
        let timeout = document.attempt_timeout.as_ref();
        let payload = document.payload.as_ref();
        let payload = payload.and_then(|payload| self.payload(payload, environment, &at.key("payload")));
        Defaults {
            put: document.put.map_or(PutMode::Record, put_mode),
            keys: self.keys(document.keys, &built_in, &at.key("keys")),
            arrivals: self.arrivals(document.arrivals, Arrivals::Even, &at.key("arrivals")),
            max_in_flight: self.in_flight(
                document.max_in_flight,
                &at.key("max_in_flight"),
                IN_FLIGHT_DEFAULT,
            ),
            put_attempts: self.attempts(document.put_attempts, &at.key("put_attempts"), ATTEMPTS_DEFAULT),
            attempt_timeout: self.duration(
                timeout,
                &at.key("attempt_timeout"),
                ATTEMPT_TIMEOUT_MIN..=ATTEMPT_TIMEOUT_MAX,
                ATTEMPT_TIMEOUT_DEFAULT,
            ),
            payload,
        }
    }

    pub fn test(
        &mut self,
        mut test: TestDoc,
        environment: &Environment,
        defaults: &Defaults,
        at: &Place<'_>,
    ) -> Test {
        let open_loop = [("rates", test.rates.is_some()), ("arrivals", test.arrivals.is_some())];
        for (key, _) in open_loop.into_iter().filter(|(_, given)| test.users.is_some() && *given) {
            self.unexpected(&at.key(key), "nothing beside `users`: their rate is what the answers make it");
        }
        let actions = resolve_action::take(test.stages.as_mut());
        let is_series = test.rates.is_some();
        let mut stages = self.load(test.stages.take(), test.rates.take(), at);
        self.lay_actions(&mut stages, actions, environment, &at.key("stages"));
        match test.actions.take() {
            Some(actions) if is_series => {
                self.lay_series_actions(&mut stages, actions, environment, &at.key("actions"));
            }
            Some(_) => self.unexpected(&at.key("actions"), "nothing beside `stages`: each stage has its own"),
            None => {}
        }
        let timeout = test.attempt_timeout.as_ref();
        let max_in_flight =
            self.in_flight(test.max_in_flight, &at.key("max_in_flight"), defaults.max_in_flight);
        let criteria = self.criteria(test.criteria, &at.key("criteria"));
        let users = test.users.map(|users| self.users(users, &mut stages, &criteria, max_in_flight, at));
        Test {
            id: self.id(test.id, &at.key("id")),
            name: self.name(test.name, &at.key("name")),
            payload: self.test_payload(test.payload, environment, defaults, at),
            put: test.put.map_or(defaults.put, put_mode),
            keys: self.keys_for(environment, test.keys, &defaults.keys, &at.key("keys")),
            arrivals: self.arrivals(test.arrivals, defaults.arrivals, &at.key("arrivals")),
            max_in_flight,
            put_attempts: self.attempts(test.put_attempts, &at.key("put_attempts"), defaults.put_attempts),
            attempt_timeout: self.duration(
                timeout,
                &at.key("attempt_timeout"),
                ATTEMPT_TIMEOUT_MIN..=ATTEMPT_TIMEOUT_MAX,
                defaults.attempt_timeout,
            ),
            stages,
            users,
            criteria,
            beyond_capacity: test.beyond_capacity.unwrap_or(false),
        }
    }

    /// Ids stand in file names and on the command line.
    fn id(&mut self, id: Option<String>, at: &Place<'_>) -> String {
        const EXPECTED: &str = "an id of 1 to 64 letters, digits, `.`, `_` or `-`";
        let Some(id) = id else {
            self.missing(at, EXPECTED);
            return String::new();
        };
        let is_fine = !id.is_empty()
            && id.len() <= ID_MAX_CHARS
            && id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
        if !is_fine {
            self.unexpected(at, EXPECTED);
        }
        id
    }

    fn in_flight(&mut self, records: Option<i64>, at: &Place<'_>, default: u32) -> u32 {
        self.whole(records, at, 1..=IN_FLIGHT_MAX, default)
    }

    fn attempts(&mut self, attempts: Option<i64>, at: &Place<'_>, default: u32) -> u32 {
        self.whole(attempts, at, 1..=ATTEMPTS_MAX, default)
    }

    /// The test's payload or the default one, checked against the stream.
    fn test_payload(
        &mut self,
        own: Option<PayloadDoc>,
        environment: &Environment,
        defaults: &Defaults,
        test_at: &Place<'_>,
    ) -> Payload {
        let at = test_at.key("payload");
        let payload = match &own {
            Some(own) => self.payload(own, environment, &at),
            None => defaults.payload.clone(),
        };
        let payload = payload.unwrap_or_else(|| Payload::sized(PAYLOAD_DEFAULT, PAYLOAD_DEFAULT_BYTES));
        self.payload_fits(&payload, environment, &at);
        payload
    }

    /// As in k6: a stage moves linearly from the previous target, 0 at first, to its own, unless it says from where.
    pub(super) fn stages(&mut self, stages: Option<Vec<StageDoc>>, at: &Place<'_>) -> Vec<Stage> {
        let stages = stages.unwrap_or_default();
        if stages.is_empty() {
            self.missing(at, "at least one stage");
            return Vec::new();
        }
        let mut resolved = Vec::new();
        let mut from_rps = 0.0;
        for (i, stage) in stages.into_iter().enumerate() {
            let at = at.index(i);
            let duration_at = at.key("duration");
            if stage.duration.is_none() {
                self.missing(&duration_at, units::DURATION_EXPECTED);
            }
            let duration =
                self.duration(stage.duration.as_ref(), &duration_at, STAGE_MIN..=STAGE_MAX, STAGE_MIN);
            let target_rps = self.rate(stage.target, &at.key("target"));
            if stage.from.is_some() {
                from_rps = self.rate(stage.from, &at.key("from"));
            }
            let kind = if target_rps == from_rps { StageKind::Hold } else { StageKind::Ramp };
            let records = ((from_rps + target_rps) / 2.0 * duration.as_secs_f64()) as u64;
            let poison = self.whole(stage.poison, &at.key("poison"), 0..=records, 0);
            resolved.push(Stage {
                duration,
                from_rps,
                target_rps,
                kind,
                steps: Arc::default(),
                poison,
                actions: Vec::new(),
            });
            from_rps = target_rps;
        }
        let is_silent = resolved.iter().all(|stage| stage.peak_rps() == 0.0);
        if is_silent && self.is_clean_below(at) {
            self.wrong(at, "stages that send nothing", "at least one target above 0");
        }
        resolved
    }
}

fn put_mode(mode: PutModeDoc) -> PutMode {
    match mode {
        PutModeDoc::Record => PutMode::Record,
        PutModeDoc::Batch => PutMode::Batch,
    }
}
