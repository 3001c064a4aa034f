//! All metrics. Services record on their hot path, so finding a series allocates nothing.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::series::{Bucket, HIGH_RESOLUTION, MetricId, STANDARD, Series};

/// Series kept at most. AWS has no such limit; here it bounds memory against a client that invents
/// dimension values. Samples of further series are dropped and counted.
pub const SERIES_MAX: usize = 50_000;

#[derive(Default)]
pub struct Store {
    /// Indices into `series`, by a hash of the name that does not depend on the order of dimensions.
    by_hash: HashMap<u64, Vec<usize>>,
    series: Vec<Series>,
    /// Samples that found no room.
    pub dropped: u64,
}

fn hash_of<'a>(namespace: &str, metric: &str, dimensions: impl Iterator<Item = (&'a str, &'a str)>) -> u64 {
    let mut hasher = DefaultHasher::new();
    namespace.hash(&mut hasher);
    metric.hash(&mut hasher);
    dimensions.fold(hasher.finish(), |sum, dimension| {
        let mut hasher = DefaultHasher::new();
        dimension.hash(&mut hasher);
        sum.wrapping_add(hasher.finish())
    })
}

fn is_series(id: &MetricId, namespace: &str, metric: &str, dimensions: &[(&str, &str)]) -> bool {
    id.metric == metric
        && id.namespace == namespace
        && id.dimensions.len() == dimensions.len()
        && dimensions
            .iter()
            .all(|(name, value)| id.dimensions.iter().any(|(own, held)| own == name && held == value))
}

impl Store {
    /// The series of that name, if it has samples.
    pub fn find(&self, namespace: &str, metric: &str, dimensions: &[(&str, &str)]) -> Option<&Series> {
        self.index(namespace, metric, dimensions).map(|index| &self.series[index])
    }

    fn index(&self, namespace: &str, metric: &str, dimensions: &[(&str, &str)]) -> Option<usize> {
        let hash = hash_of(namespace, metric, dimensions.iter().copied());
        let candidates = self.by_hash.get(&hash)?;
        candidates
            .iter()
            .copied()
            .find(|&index| is_series(&self.series[index].id, namespace, metric, dimensions))
    }

    /// The bucket for a sample; `None` (and counted) when there is no room for another series.
    pub fn bucket(&mut self, name: Name<'_>, at_s: i64, now_s: i64) -> Option<&mut Bucket> {
        let index = match self.index(name.namespace, name.metric, name.dimensions) {
            Some(index) => index,
            None => self.insert(name)?,
        };
        let tier = if name.high_resolution { HIGH_RESOLUTION } else { STANDARD };
        Some(self.series[index].bucket(at_s, tier, now_s))
    }

    fn insert(&mut self, name: Name<'_>) -> Option<usize> {
        if self.series.len() >= SERIES_MAX {
            self.dropped += 1;
            return None;
        }
        let mut dimensions: Vec<(String, String)> =
            name.dimensions.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        dimensions.sort();
        let id =
            MetricId { namespace: name.namespace.to_owned(), metric: name.metric.to_owned(), dimensions };
        let hash = hash_of(name.namespace, name.metric, name.dimensions.iter().copied());
        self.by_hash.entry(hash).or_default().push(self.series.len());
        self.series.push(Series::new(id, name.unit.to_owned()));
        Some(self.series.len() - 1)
    }

    /// All series, in order of their names.
    pub fn list(&self) -> Vec<&Series> {
        let mut all: Vec<&Series> = self.series.iter().collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }
}

/// What a sample belongs to.
#[derive(Clone, Copy)]
pub struct Name<'a> {
    pub namespace: &'a str,
    pub metric: &'a str,
    pub dimensions: &'a [(&'a str, &'a str)],
    pub unit: &'a str,
    pub high_resolution: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name<'a>(metric: &'a str, dimensions: &'a [(&'a str, &'a str)]) -> Name<'a> {
        Name { namespace: "N", metric, dimensions, unit: "Count", high_resolution: false }
    }

    #[test]
    fn dimensions_are_a_set_and_each_set_is_a_metric_of_its_own() {
        let mut store = Store::default();
        store.bucket(name("M", &[("A", "1"), ("B", "2")]), 0, 0).unwrap().add(1.0, 1.0);
        store.bucket(name("M", &[("B", "2"), ("A", "1")]), 0, 0).unwrap().add(1.0, 1.0);
        store.bucket(name("M", &[("A", "1")]), 0, 0).unwrap().add(1.0, 1.0);
        assert_eq!(store.list().len(), 2);
        let both = store.find("N", "M", &[("B", "2"), ("A", "1")]).unwrap();
        assert_eq!(both.read(0, 60, 60, 0)[&0].count, 2.0);
        assert!(store.find("N", "M", &[]).is_none());
    }
}
