//! Which services wait for which.

use std::collections::{BTreeMap, BTreeSet};

use config::Service;

/// For each service those that come before it, and what is wrong with what they say. A circle is
/// broken where it would close, so that every service is started.
pub fn dependencies(
    services: &BTreeMap<String, Service>,
) -> (BTreeMap<&str, BTreeSet<&str>>, Vec<String>) {
    let mut problems = Vec::new();
    let mut order: BTreeMap<&str, BTreeSet<&str>> = services
        .keys()
        .map(|name| (name.as_str(), BTreeSet::new()))
        .collect();
    for (later, earlier) in services.iter().flat_map(pairs) {
        let known = |name| services.get_key_value(name).map(|(name, _)| name.as_str());
        match (known(later), known(earlier)) {
            (Some(later), Some(earlier)) if reaches(&order, earlier, later) => {
                problems.push(format!("{later} and {earlier} wait for each other"));
            }
            (Some(later), Some(earlier)) => {
                order.entry(later).or_default().insert(earlier);
            }
            (None, _) => {
                problems.push(format!(
                    "{earlier} is before {later}, which is not a service"
                ));
            }
            (_, None) => {
                problems.push(format!(
                    "{later} waits for {earlier}, which is not a service"
                ));
            }
        }
    }
    (order, problems)
}

/// What a service says about itself and others: who is later, and who is earlier.
fn pairs<'s>((name, service): (&'s String, &'s Service)) -> Vec<(&'s str, &'s str)> {
    let after = service
        .after()
        .into_iter()
        .map(|other| (name.as_str(), other));
    let before = service
        .before()
        .into_iter()
        .map(|other| (other, name.as_str()));
    after.chain(before).collect()
}

/// Whether `from` waits, directly or through others, for `to`.
fn reaches(order: &BTreeMap<&str, BTreeSet<&str>>, from: &str, to: &str) -> bool {
    from == to
        || order
            .get(from)
            .is_some_and(|next| next.iter().any(|other| reaches(order, other, to)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn services(pairs: &[(&str, &str)]) -> BTreeMap<String, Service> {
        pairs
            .iter()
            .map(|(name, after)| {
                let labels = BTreeMap::from([("io.rancher.os.after".into(), (*after).to_owned())]);
                (
                    (*name).to_owned(),
                    Service {
                        labels,
                        ..Service::default()
                    },
                )
            })
            .collect()
    }

    #[test]
    fn a_service_waits_for_what_it_names() {
        let all = services(&[("a", ""), ("b", "a"), ("c", "a, b")]);
        let (order, problems) = dependencies(&all);
        assert_eq!(order["c"], BTreeSet::from(["a", "b"]));
        assert!(problems.is_empty());
    }

    #[test]
    fn a_service_that_names_a_later_one_is_waited_for() {
        let mut all = services(&[("a", ""), ("b", "")]);
        let labels = BTreeMap::from([("io.rancher.os.before".into(), "a, nobody".into())]);
        all.insert(
            "b".into(),
            Service {
                labels,
                ..Service::default()
            },
        );
        let (order, problems) = dependencies(&all);
        assert_eq!(order["a"], BTreeSet::from(["b"]));
        assert_eq!(problems, ["b is before nobody, which is not a service"]);
    }

    #[test]
    fn a_circle_is_broken_and_said() {
        let all = services(&[("a", "c"), ("b", "a"), ("c", "b"), ("d", "d")]);
        let (order, problems) = dependencies(&all);
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(order["c"].is_empty() && order["d"].is_empty());
    }

    #[test]
    fn a_name_that_is_none_is_said() {
        let all = services(&[("a", "nobody")]);
        assert_eq!(
            dependencies(&all).1,
            ["a waits for nobody, which is not a service"]
        );
    }
}
