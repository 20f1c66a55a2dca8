//! Which services wait for which.

use std::collections::{BTreeMap, BTreeSet};

use config::Service;

/// For each service those that come before it, and what is wrong with what they say. A circle is
/// broken where it would close, so that every service is started.
pub fn dependencies(
    services: &BTreeMap<String, Service>,
) -> (BTreeMap<&str, BTreeSet<&str>>, Vec<String>) {
    let mut problems = Vec::new();
    let mut order: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, service) in services {
        let mut before = BTreeSet::new();
        for other in service.after() {
            match services.get_key_value(other) {
                None => problems.push(format!("{name} waits for {other}, which is not a service")),
                Some((other, _)) if reaches(&order, other, name) => {
                    problems.push(format!("{name} and {other} wait for each other"));
                }
                Some((other, _)) => drop(before.insert(other.as_str())),
            }
        }
        order.insert(name, before);
    }
    (order, problems)
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
