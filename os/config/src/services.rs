//! The definitions that the system containers are started with.

use std::collections::BTreeMap;

use crate::{Config, SSH_PORT, Service};

impl Config {
    /// The services, with the services of enabled addons, the machine's `environment` (a service's own
    /// variables override it), and the arguments of the user's Docker.
    pub fn effective_services(&self) -> BTreeMap<String, Service> {
        self.effective(self.services_with_addons().0)
    }

    /// The same services without any addon.
    pub fn default_services(&self) -> BTreeMap<String, Service> {
        self.effective(self.services.clone())
    }

    fn effective(&self, mut services: BTreeMap<String, Service>) -> BTreeMap<String, Service> {
        for service in services.values_mut() {
            service.environment = self.environment_of(service);
        }
        if let Some(console) = services.get_mut("console") {
            self.set_ready_port(console);
        }
        if let Some(engine) = services.get_mut("userdocker") {
            engine.command = self.user_docker_arguments().words;
        }
        services
    }

    /// Makes the console's readiness check connect to the configured SSH port.
    fn set_ready_port(&self, console: &mut Service) {
        let default = format!("tcp:{SSH_PORT}");
        if let Some(ready) = console.labels.get_mut("io.rancher.os.ready")
            && *ready == default
        {
            *ready = format!("tcp:{}", self.ssh.port);
        }
    }

    /// The machine's variables and the service's own, which override them. A name without a value takes
    /// the machine's value, as in a compose file.
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
    fn services_that_user_data_configures_start_after_cloud_init() {
        let services = crate::from_cmdline("").config.services;
        for name in ["console", "network", "ntp", "userdocker"] {
            assert!(services[name].after().contains(&"cloud-init"), "{name}");
        }
    }

    #[test]
    fn machine_environment_applies_to_services_and_their_own_variables_override_it() {
        let mut config =
            crate::from_cmdline("rancher.environment.A=1 rancher.environment.B=2").config;
        config.services.get_mut("syslog").unwrap().environment = vec!["B=own".into(), "A".into()];
        let services = config.effective_services();
        assert_eq!(services["syslog"].environment, ["A=1", "B=own"]);
        assert_eq!(services["userdocker"].environment, ["A=1", "B=2"]);
    }

    #[test]
    fn console_readiness_check_uses_the_ssh_port() {
        let ready = |cmdline: &str| {
            let services = crate::from_cmdline(cmdline).config.effective_services();
            services["console"].labels["io.rancher.os.ready"].clone()
        };
        assert_eq!(ready(""), "tcp:22");
        assert_eq!(ready("rancher.ssh.port=2022"), "tcp:2022");
        assert_eq!(ready("rancher.ssh.port=0"), "tcp:22");
    }
}
