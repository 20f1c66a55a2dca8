//! Shards: each of several runs executes a part of the trials, and together they execute each
//! trial once.
//!
//! Every run computes the whole split from the same inputs: the names of the trials and a shared file
//! of durations. Without durations, the shard of a trial depends only on its name, and does
//! not change when other trials are added or removed.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// One part of several: `2/5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// The index, from 0.
    index: usize,
    of: usize,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("invalid shard `{text}`; hint: write `2/5` for the second of five");
        let (number, of) = text.split_once('/').ok_or_else(wrong)?;
        let number: usize = number.parse().map_err(|_| wrong())?;
        let of: usize = of.parse().map_err(|_| wrong())?;
        if (1..=of).contains(&number) {
            Ok(Self {
                index: number - 1,
                of,
            })
        } else {
            Err(wrong())
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index + 1, self.of)
    }
}

impl Shard {
    /// The names in this shard. `durations`, in seconds, must be the same for all
    /// shards.
    pub fn part<'a>(self, names: &[&'a str], durations: &BTreeMap<String, f64>) -> Vec<&'a str> {
        let split = split(names, self.of, durations);
        split.into_iter().nth(self.index).unwrap_or_default()
    }
}

/// Assigns names without a known duration by hash, then the others, longest first, each to the least loaded
/// part.
fn split<'a>(names: &[&'a str], of: usize, durations: &BTreeMap<String, f64>) -> Vec<Vec<&'a str>> {
    let is_known = |name: &&str| durations.contains_key(*name);
    let (mut known, unknown): (Vec<&str>, Vec<&str>) = names.iter().copied().partition(is_known);
    let duration = |name: &str| durations.get(name).copied().unwrap_or_default();
    known.sort_by(|one, other| {
        duration(other)
            .total_cmp(&duration(one))
            .then(one.cmp(other))
    });
    let median = known
        .get(known.len() / 2)
        .map_or(1.0, |name| duration(name));

    let mut parts = vec![(0.0_f64, Vec::new()); of];
    for name in unknown {
        let part = &mut parts[by_name(name, of)];
        part.0 += median;
        part.1.push(name);
    }
    for name in known {
        let least = (0..of).min_by(|one, other| parts[*one].0.total_cmp(&parts[*other].0));
        let part = &mut parts[least.unwrap_or_default()];
        part.0 += duration(name);
        part.1.push(name);
    }
    parts.into_iter().map(|(_, names)| names).collect()
}

/// Rendezvous hashing: selects the part whose hash with the name is highest. An additional part only takes
/// names from the others; no other name moves.
pub(super) fn by_name(name: &str, of: usize) -> usize {
    let hash = |part: &usize| Sha256::digest(format!("{part} {name}"));
    (0..of).max_by_key(hash).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("q35::trial-{n}")).collect()
    }

    fn durations(names: &[String], every: usize) -> BTreeMap<String, f64> {
        let known = names.iter().enumerate().filter(|(n, _)| n % every == 0);
        let took = |n: usize| 1.0 + f64::from(u32::try_from(n * 7919 % 97).unwrap());
        known.map(|(n, name)| (name.clone(), took(n))).collect()
    }

    /// Runs the check for many combinations of trials, shards and known durations.
    fn all(mut check: impl FnMut(&[&str], usize, &BTreeMap<String, f64>)) {
        for count in [0, 1, 2, 7, 40, 113] {
            let names = names(count);
            let refs: Vec<_> = names.iter().map(String::as_str).collect();
            for of in 1..9 {
                for every in [1, 2, 5, 1000] {
                    check(&refs, of, &durations(&names, every));
                }
                check(&refs, of, &BTreeMap::new());
            }
        }
    }

    #[test]
    fn part_assigns_each_trial_to_one_shard_in_any_order() {
        all(|names, of, durations| {
            let shard = |n: usize| format!("{}/{of}", n + 1).parse::<Shard>().unwrap();
            let parts: Vec<_> = (0..of).map(|n| shard(n).part(names, durations)).collect();
            let mut together = parts.concat();
            together.sort_unstable();
            let mut wanted = names.to_vec();
            wanted.sort_unstable();
            assert_eq!(together, wanted);

            let backwards: Vec<_> = names.iter().rev().copied().collect();
            for (n, part) in parts.iter().enumerate() {
                let mut part = part.clone();
                let mut other = shard(n).part(&backwards, durations);
                part.sort_unstable();
                other.sort_unstable();
                assert_eq!(part, other);
            }
        });
    }

    #[test]
    fn split_balances_known_durations() {
        let names = names(60);
        let refs: Vec<_> = names.iter().map(String::as_str).collect();
        let durations = durations(&names, 1);
        let loads: Vec<f64> = split(&refs, 4, &durations)
            .iter()
            .map(|part| part.iter().map(|name| durations[*name]).sum())
            .collect();
        let longest = durations.values().copied().fold(0.0, f64::max);
        let spread = loads.iter().copied().fold(0.0, f64::max)
            - loads.iter().copied().fold(f64::MAX, f64::min);
        assert!(spread <= longest, "{loads:?}");
    }

    #[test]
    fn part_is_stable_without_durations() {
        let none = BTreeMap::new();
        let names = names(50);
        let all: Vec<_> = names.iter().map(String::as_str).collect();
        let fewer: Vec<_> = all.iter().skip(9).copied().collect();
        for n in 1..=3 {
            let shard: Shard = format!("{n}/3").parse().unwrap();
            let mut before = shard.part(&all, &none);
            before.retain(|name| fewer.contains(name));
            assert_eq!(before, shard.part(&fewer, &none));
        }
        let parts = split(&all, 3, &none);
        assert!(parts.iter().all(|part| part.len() > 8), "{parts:?}");
    }

    #[test]
    fn parse_rejects_an_invalid_shard() {
        for wrong in ["", "2", "0/3", "4/3", "a/3", "1/0", "1/2/3", "-1/2"] {
            let error = wrong.parse::<Shard>().unwrap_err();
            assert!(error.contains("`2/5`"), "{wrong}: {error}");
        }
        assert_eq!("2/5".parse::<Shard>().unwrap().to_string(), "2/5");
    }
}
