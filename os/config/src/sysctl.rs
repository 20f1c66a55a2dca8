//! Names of kernel settings.

/// The file of a kernel setting below `/proc/sys`, or `None` if the name is not valid. As in sysctl(8),
/// the first `.` or `/` in the name is the separator, and the other character is part of a name
/// (`eth0.100`).
pub fn file(name: &str) -> Option<String> {
    let slashes = name
        .find(['.', '/'])
        .is_some_and(|at| name[at..].starts_with('/'));
    let swap = |letter: char| match letter {
        '.' => '/',
        '/' => '.',
        other => other,
    };
    let path: String = if slashes {
        name.into()
    } else {
        name.chars().map(swap).collect()
    };
    let is_inner = |letter: char| letter.is_ascii_alphanumeric() || "._-:@".contains(letter);
    let is_part = |part: &str| !matches!(part, "" | "." | "..") && part.chars().all(is_inner);
    (path.contains('/') && path.split('/').all(is_part)).then(|| format!("/proc/sys/{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_name_maps_to_a_file_below_proc_sys() {
        for (name, wanted) in [
            ("vm.max_map_count", "vm/max_map_count"),
            (
                "net/ipv4/conf/eth0.100/forwarding",
                "net/ipv4/conf/eth0.100/forwarding",
            ),
            (
                "net.ipv4.conf.eth0/100.forwarding",
                "net/ipv4/conf/eth0.100/forwarding",
            ),
        ] {
            assert_eq!(file(name), Some(format!("/proc/sys/{wanted}")), "{name}");
        }
        for name in [
            "",
            "vm",
            ".",
            "vm..x",
            "/etc/passwd",
            "../../etc",
            "vm.a b",
            "vm/../x",
            "vm.=1",
        ] {
            assert_eq!(file(name), None, "{name}");
        }
    }
}
