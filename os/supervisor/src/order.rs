//! The order of services.

use std::collections::{BTreeMap, BTreeSet};

use config::Service;

/// The dependencies of each service, and the errors in the labels. A cycle is broken at its last edge, so
/// that every service starts.
pub(crate) fn dependencies(
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
                problems.push(format!("{later} and {earlier} depend on each other"));
            }
            (Some(later), Some(earlier)) => {
                order.entry(later).or_default().insert(earlier);
            }
            (None, _) => {
                problems.push(format!(
                    "{earlier} is before {later}, but there is no such service"
                ));
            }
            (_, None) => {
                problems.push(format!(
                    "{later} is after {earlier}, but there is no such service"
                ));
            }
        }
    }
    (order, problems)
}

/// The edges in a service's labels, each as the later and the earlier service.
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

/// Whether `from` depends on `to`, directly or through others.
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
    fn dependencies_include_the_services_in_after() {
        let all = services(&[("a", ""), ("b", "a"), ("c", "a, b")]);
        let (order, problems) = dependencies(&all);
        assert_eq!(order["c"], BTreeSet::from(["a", "b"]));
        assert!(problems.is_empty());
    }

    #[test]
    fn dependencies_include_the_services_in_before() {
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
        assert_eq!(
            problems,
            ["b is before nobody, but there is no such service"]
        );
    }

    #[test]
    fn dependencies_break_and_report_a_cycle() {
        let all = services(&[("a", "c"), ("b", "a"), ("c", "b"), ("d", "d")]);
        let (order, problems) = dependencies(&all);
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(order["c"].is_empty() && order["d"].is_empty());
    }

    #[test]
    fn dependencies_report_an_unknown_service() {
        let all = services(&[("a", "nobody")]);
        assert_eq!(
            dependencies(&all).1,
            ["a is after nobody, but there is no such service"]
        );
    }
}
