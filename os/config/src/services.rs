//! The system containers as they are started: with what else the configuration says about them.

use std::collections::BTreeMap;

use crate::{Config, SSH_PORT, Service};

impl Config {
    /// The services with those of enabled addons, the machine's `environment` before their own, and
    /// the arguments of the user's Docker.
    pub fn effective_services(&self) -> BTreeMap<String, Service> {
        self.effective(self.services_with_addons().0)
    }

    /// The same as if no addon were enabled.
    pub fn usual_services(&self) -> BTreeMap<String, Service> {
        self.effective(self.services.clone())
    }

    fn effective(&self, mut services: BTreeMap<String, Service>) -> BTreeMap<String, Service> {
        for service in services.values_mut() {
            service.environment = self.environment_of(service);
        }
        if let Some(console) = services.get_mut("console") {
            self.follow_ssh_port(console);
        }
        if let Some(engine) = services.get_mut("userdocker") {
            engine.command = self.user_docker_arguments().words;
        }
        services
    }

    /// The console is ready when its SSH server listens, wherever that is.
    fn follow_ssh_port(&self, console: &mut Service) {
        let default = format!("tcp:{SSH_PORT}");
        if let Some(ready) = console.labels.get_mut("io.rancher.os.ready")
            && *ready == default
        {
            *ready = format!("tcp:{}", self.ssh.port);
        }
    }

    /// A name without a value is one of the machine's, as in a compose file.
    fn environment_of(&self, service: &Service) -> Vec<String> {
        let own: BTreeMap<_, _> = service
            .environment
            .iter()
            .filter_map(|variable| variable.split_once('='))
            .collect();
        let machine = self.environment.iter();
        let machine = machine.filter(|(name, _)| !own.contains_key(name.as_str()));
        machine
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .chain(own.clone())
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_a_cloud_may_configure_waits_for_what_it_says() {
        let services = crate::from_cmdline("").config.services;
        for name in ["console", "network", "ntp", "userdocker"] {
            assert!(services[name].after().contains(&"cloud-init"), "{name}");
        }
    }

    #[test]
    fn the_machines_environment_is_that_of_its_services_unless_they_say_otherwise() {
        let mut config =
            crate::from_cmdline("rancher.environment.A=1 rancher.environment.B=2").config;
        config.services.get_mut("syslog").unwrap().environment = vec!["B=own".into(), "A".into()];
        let services = config.effective_services();
        assert_eq!(services["syslog"].environment, ["A=1", "B=own"]);
        assert_eq!(services["userdocker"].environment, ["A=1", "B=2"]);
    }

    #[test]
    fn console_is_ready_at_the_port_of_its_ssh_server() {
        let ready = |cmdline: &str| {
            let services = crate::from_cmdline(cmdline).config.effective_services();
            services["console"].labels["io.rancher.os.ready"].clone()
        };
        assert_eq!(ready(""), "tcp:22");
        assert_eq!(ready("rancher.ssh.port=2022"), "tcp:2022");
        assert_eq!(ready("rancher.ssh.port=0"), "tcp:22");
    }
}
