//! Where the envelope stands in a record that is not ours: a path of members, such as `$.meta.trace`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::envelope::Envelope;

/// `$.a.b`: the member `b` of the object `a` of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvelopePath {
    members: Vec<String>,
}

/// The text is no path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a path of members such as $.meta.trace")]
pub struct NotAPath(String);

impl FromStr for EnvelopePath {
    type Err = NotAPath;

    fn from_str(text: &str) -> Result<EnvelopePath, NotAPath> {
        let members = text.strip_prefix("$.").unwrap_or_default().split('.').map(str::to_owned);
        let members: Vec<String> = members.collect();
        let is_name = |name: &String| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
        };
        if members.iter().all(is_name) {
            Ok(EnvelopePath { members })
        } else {
            Err(NotAPath(text.to_owned()))
        }
    }
}

impl EnvelopePath {
    /// Paths with commas between them; none of an empty text.
    ///
    /// # Errors
    /// One of them is no path.
    pub fn list(text: &str) -> Result<Vec<EnvelopePath>, NotAPath> {
        text.split(',').map(str::trim).filter(|path| !path.is_empty()).map(str::parse).collect()
    }

    /// The envelope there. What is beside the path is passed over, not kept.
    pub(super) fn find_in(&self, data: &[u8]) -> Option<Envelope> {
        let mut record = serde_json::Deserializer::from_slice(data);
        At(&self.members).deserialize(&mut record).ok().flatten()
    }
}

/// What is left of a path.
struct At<'p>(&'p [String]);

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = Option<Envelope>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Envelope>, D::Error> {
        match self.0 {
            [] => Envelope::deserialize(deserializer).map(Some),
            [name, rest @ ..] => deserializer.deserialize_map(Member { name, rest }),
        }
    }
}

struct Member<'p> {
    name: &'p str,
    rest: &'p [String],
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<Envelope>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with the member {}", self.name)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<Envelope>, A::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            if found.is_none() && name == self.name {
                found = map.next_value_seed(At(self.rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_envelope_is_found_at_its_path_and_nowhere_else() {
        let text = |around: &str| around.replace('E', r#"{"r":"20261121-013240-k3f9","l":3,"s":7,"d":11}"#);
        let find = |data: &str, paths: &str| {
            Envelope::find(text(data).as_bytes(), &EnvelopePath::list(paths).expect("paths"))
                .map(|found| found.level)
        };
        assert_eq!(find(r#"{"x":{"sg":[1]},"meta":{"a":{},"trace":E},"z":null}"#, "$.meta.trace"), Some(3));
        assert_eq!(find(r#"{"meta":{"trace":E}}"#, "$.other, $.meta.trace"), Some(3));
        assert_eq!(find(r#"{"meta":{"trace":E}}"#, ""), None);
        assert_eq!(find(r#"{"meta":[{"trace":E}]}"#, "$.meta.trace"), None);
        assert_eq!(find(r#"{"sg":E}"#, "$.meta.trace"), Some(3), "the default place is always looked at");
        // A record that was captured with an envelope of an older run: the plan's path comes first.
        let old = r#"{"sg":{"r":"20200101-000000-0000","l":9,"s":1,"d":1},"t":E}"#;
        assert_eq!((find(old, "$.t"), find(old, "")), (Some(3), Some(9)));
        for wrong in ["sg", "$", "$.", "$.a[0]", "$.a,b"] {
            assert!(EnvelopePath::list(wrong).is_err(), "{wrong}");
        }
    }
}
