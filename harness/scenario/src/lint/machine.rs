//! Checks of the machine: cloud-config, kernel arguments, memory and disks.

use super::super::collector::Lint;
use super::super::empty_disk;
use super::super::file::{CloudConfig, MachineFile};
use super::seed_data;

pub(super) fn machine(lint: &mut Lint<'_>, machine: &MachineFile) {
    let key =
        (machine.ssh_key && !machine.has_key_placeholder()).then_some("ssh-ed25519 AAAA lint");
    if let Err(error) = CloudConfig::render(machine.cloud_config.as_ref(), key) {
        let hint = "correct it, or write `ssh_key: false` for a machine without the trial's key";
        lint.key("machine.cloud_config", error, hint);
    }
    for (number, argument) in machine.kernel_arguments.iter().enumerate() {
        if !is_kernel_argument(argument) {
            let path = format!("machine.kernel_arguments[{number}]");
            lint.value(
                &path,
                "not one kernel argument",
                "write one argument per entry; put spaces between double quotes: `a.b=\"c d\"`",
            );
        }
    }
    for (number, disk) in machine.disks.iter().enumerate() {
        empty_disk::check(lint, disk, &format!("machine.disks[{number}]"));
    }
    seed_data::check(lint, machine);
    if machine.memory == Some(0) {
        lint.value("machine.memory", "0 MiB of memory", "`memory` is in MiB");
    }
}

/// Whether the kernel parses a text as one argument (next_arg, lib/cmdline.c).
fn is_kernel_argument(text: &str) -> bool {
    let mut quoted = false;
    let one = text.chars().all(|letter| {
        quoted ^= letter == '"';
        !letter.is_control() && (quoted || !letter.is_whitespace())
    });
    one && !quoted && !text.is_empty()
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::testing::{errors, errors_of, read};

    #[test]
    fn machine_is_refused_when_a_value_is_invalid() {
        let steps = "ssh: {run: 'true'}";
        for (machine, expected) in [
            ("{ kernel_arguments: ['a b'] }", "not one kernel argument"),
            (
                "{ kernel_arguments: ['a=\"b c'] }",
                "not one kernel argument",
            ),
            ("{ disks: [{ size: 99614720 }] }", "too large"),
            (
                "{ disks: [{ size: 16, label: SEVENTEEN-LETTERS }] }",
                "label of an ext4 file system",
            ),
            (
                "{ volumes: [{ label: TWELVELETTER, files: {} }] }",
                "not a volume label",
            ),
            (
                "{ volumes: [{ label: a, files: { /abs: x } }] }",
                "`/abs` is not a path in a volume",
            ),
            (
                "{ volumes: [{ label: a, format: iso9660, files: { ../../rel: x } }] }",
                "`../../rel` is not a path in a volume",
            ),
            (
                "{ volumes: [{ label: a, files: { b: x, b/c: x } }] }",
                "`b` is both a file and a folder",
            ),
        ] {
            let text = errors_of(machine, steps);
            assert!(text.contains(expected), "{text}");
        }
        let good = "{ kernel_arguments: ['a=\"b c\"'], volumes: [{ label: longer label, format: iso9660, files: { a/b: x } }] }";
        let text = format!("name: tea\nabout: x\nmachine: {good}\nsteps:\n  - {steps}\n");
        read(&text).unwrap();
    }

    #[test]
    fn cloud_config_is_refused_when_it_is_a_script_and_the_machine_needs_a_key() {
        assert_snapshot!(errors(
            "name: tea\nabout: tea\nmachine:\n  cloud_config: |\n    #!/bin/sh\n    true\nsteps:\n  - reboot: {}\n"
        ));
    }
}
