//! A shard: each of several runs takes a part of the trials, and all of them together take each
//! trial once.
//!
//! Every run computes the whole split by itself, from what all of them have: the names, and a file
//! of durations that they share. Without durations a trial's place hangs on its name alone, and does
//! not change when others come or go.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// One part of several: `2/5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// From 0.
    index: usize,
    of: usize,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no shard; write `2/5` for the second of five");
        let (number, of) = text.split_once('/').ok_or_else(wrong)?;
        let number: usize = number.parse().map_err(|_| wrong())?;
        let of: usize = of.parse().map_err(|_| wrong())?;
        match (1..=of).contains(&number) {
            true => Ok(Self {
                index: number - 1,
                of,
            }),
            false => Err(wrong()),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index + 1, self.of)
    }
}

impl Shard {
    /// Those of the names that are this shard's; `durations` in seconds are those that all shards
    /// were given.
    pub fn part<'a>(self, names: &[&'a str], durations: &BTreeMap<String, f64>) -> Vec<&'a str> {
        let split = split(names, self.of, durations);
        split.into_iter().nth(self.index).unwrap_or_default()
    }
}

/// Those without a known duration by their names, then the others, longest first, each to where
/// least is to be done.
fn split<'a>(names: &[&'a str], of: usize, durations: &BTreeMap<String, f64>) -> Vec<Vec<&'a str>> {
    let is_known = |name: &&str| durations.contains_key(*name);
    let (mut known, unknown): (Vec<&str>, Vec<&str>) = names.iter().copied().partition(is_known);
    let took = |name: &str| durations.get(name).copied().unwrap_or_default();
    known.sort_by(|one, other| took(other).total_cmp(&took(one)).then(one.cmp(other)));
    let usual = known.get(known.len() / 2).map_or(1.0, |name| took(name));

    let mut parts = vec![(0.0_f64, Vec::new()); of];
    for name in unknown {
        let part = &mut parts[by_name(name, of)];
        part.0 += usual;
        part.1.push(name);
    }
    for name in known {
        let least = (0..of).min_by(|one, other| parts[*one].0.total_cmp(&parts[*other].0));
        let part = &mut parts[least.unwrap_or_default()];
        part.0 += took(name);
        part.1.push(name);
    }
    parts.into_iter().map(|(_, names)| names).collect()
}

/// Rendezvous hashing: the part whose hash with the name is highest. One more part takes from the
/// others only what becomes its own.
fn by_name(name: &str, of: usize) -> usize {
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

    /// For many numbers of trials, shards and known durations.
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
    fn each_trial_is_in_one_shard_whatever_the_order() {
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
    fn known_durations_make_even_shards() {
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
    fn without_durations_a_trial_stays_where_it_is() {
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
    fn what_is_no_shard_says_so() {
        for wrong in ["", "2", "0/3", "4/3", "a/3", "1/0", "1/2/3", "-1/2"] {
            let error = wrong.parse::<Shard>().unwrap_err();
            assert!(error.contains("`2/5`"), "{wrong}: {error}");
        }
        assert_eq!("2/5".parse::<Shard>().unwrap().to_string(), "2/5");
    }
}
