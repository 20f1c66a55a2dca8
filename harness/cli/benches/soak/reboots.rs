//! Consecutive reboots with everything enabled: containers, configuration, sshd's configuration, disk usage
//! and boot time must not change.

use host::speed;

use crate::common::Result;
use crate::common::figure::{Figure, median};
use crate::guest::{Guest, Line};

/// The timeout of a shutdown, on the reference host.
const DOWN_SECONDS: u64 = 120;
/// The cloud-config in addition to the SSH key.
const CLOUD_CONFIG: &str = "\
rancher: { environment: { CLOUD: heard } }
write_files: [{ path: /opt/from-cloud, content: tea, owner: 'rancher:docker', permissions: 0640 }]
";
/// The commands that enable everything.
const ENABLED: [&str; 9] = [
    "sudo rancherctl config set hostname soaked",
    "sudo rancherctl config set userdocker.use_tls true",
    "sudo rancherctl config set environment.LEVEL 3",
    "sudo rancherctl config set services.own '{image: \"rancher/os-base:${VERSION}\", \
     command: [/bin/sh, -c, sleep 100000], volumes: [/usr:/usr:ro]}'",
    "sudo rancherctl config set addons.extra '{services: {extra: {image: \"rancher/os-base:${VERSION}\", \
     command: [/bin/sh, -c, sleep 100000], volumes: [/usr:/usr:ro]}}}'",
    "sudo rancherctl addon enable extra",
    "sudo mkdir -p /opt/rancher/bin && cd /opt/rancher/bin && \
     printf '#!/bin/sh\ncat /proc/sys/kernel/random/boot_id\n' | sudo tee start.sh && sudo chmod +x start.sh",
    "sudo rancherctl tls generate",
    "docker run -d --restart always --name clock busybox /bin/busybox sleep 100000",
];
/// The observed state that must not change, and the commands that print it.
const SAME: [(&str, &str); 8] = [
    (
        "containers of the user",
        "docker ps --format '{{.Names}} {{.Image}}' | sort",
    ),
    (
        "containers of the system",
        // The container of cloud-init exits at some point.
        "sudo system-docker ps -a --format '{{.Names}} {{.Image}}' | sort; \
         sudo system-docker ps --format '{{.Names}}' | grep -vx cloud-init | sort",
    ),
    ("addons", "sudo rancherctl addon list"),
    (
        "cloud-config",
        "rancherctl cloud-init status; stat -c '%n %U %G %a' /opt/from-cloud; sudo cat /opt/from-cloud",
    ),
    (
        // cloud-init runs concurrently with the logins; wait until it has reported this boot.
        "start.sh",
        "for try in $(seq 100); do \
         sudo cmp -s /proc/sys/kernel/random/boot_id /var/log/start.log && exit; sleep 0.2; done; exit 1",
    ),
    (
        "configuration",
        "sudo rancherctl config export --full --private",
    ),
    (
        "documents",
        "sudo sh -c 'cd /var/lib/rancher/conf && ls -A && md5sum *.yml'",
    ),
    (
        "sshd",
        "sudo sh -c 'cd /run/sshd && ls -A && md5sum *; cat /home/rancher/.ssh/authorized_keys; \
         tr \"\\0\" \" \" < /proc/$(pidof dropbear | tr \" \" \"\\n\" | sort -n | head -n 1)/cmdline'",
    ),
];
/// The command that prints the used KiB of the state disk.
const DISK: &str = "sync; df -k /home | tail -n 1 | awk '{ print $3 }'";
/// How many KiB the disk usage may grow.
const DISK_BOUND: f64 = 1024.0;
/// The bound of the ratio of the last boot times to the first ones; noise is smaller.
const TIME_BOUND: f64 = 1.25;

/// The state of the machine after a boot.
struct Picture {
    same: Vec<String>,
    disk: f64,
    /// Seconds from the start of the kernel until the machine is ready.
    boot: f64,
}

/// Reboots the given number of times.
pub(crate) async fn soak(count: u16) -> Result<Vec<Figure>> {
    let guest = Guest::start(CLOUD_CONFIG).await?;
    let line = guest.ready().await?;
    for command in ENABLED {
        line.ask(command)
            .await
            .map_err(|error| guest.failed(error))?;
    }
    // The settings take effect from this boot on.
    let first = reboot(&guest, &line).await?;
    let (mut pictures, mut different) = (vec![first], 0.0);
    for number in 1..=count {
        let line = guest.line().await?;
        let next = match reboot(&guest, &line).await {
            Ok(next) => next,
            Err(why) => {
                println!("reboot {number} of {count}: the machine did not boot: {why}");
                different += 1.0;
                break;
            }
        };
        let changed = differences(&pictures[0], &next);
        println!(
            "reboot {number} of {count}: {:.1} s, {} KiB in use",
            next.boot, next.disk
        );
        changed.iter().for_each(|what| println!("  {what}"));
        different += f64::from(u8::from(!changed.is_empty()));
        pictures.push(next);
    }
    let grown = pictures
        .last()
        .map_or(f64::NAN, |last| last.disk - pictures[0].disk);
    let boots: Vec<f64> = pictures.iter().map(|picture| picture.boot).collect();
    let part = boots.len().div_ceil(3);
    let slower = median(&boots[boots.len() - part..]) / median(&boots[..part]);
    if different > 0.0 {
        println!("evidence: {}", guest.evidence.folder().display());
    } else {
        guest.end().await?;
    }
    Ok(vec![
        Figure::new("reboots after which something differed", different, 0.0, 0),
        Figure::new("KiB of disk usage growth", grown, DISK_BOUND, 0),
        Figure::new("boot time, last third over first", slower, TIME_BOUND, 2),
    ])
}

async fn reboot(guest: &Guest, line: &Line) -> Result<Picture> {
    let machine = &guest.machine;
    machine.expect_reboot().await;
    let down = async {
        tokio::select! {
            // The connection may break before the command ends.
            _ = line.ask("sudo reboot") => machine.wait_event("init", speed::seconds(DOWN_SECONDS)).await,
            booting = machine.wait_event("init", speed::seconds(DOWN_SECONDS)) => booting,
        }
    };
    machine
        .fail_fast(down)
        .await
        .map_err(|error| guest.failed(error))?;
    picture(guest).await
}

async fn picture(guest: &Guest) -> Result<Picture> {
    let line = guest.ready().await?;
    let ask = async |question: &str| {
        line.ask(question)
            .await
            .map_err(|error| guest.failed(error))
    };
    let events = guest.machine.boot_events();
    let started = events.iter().find(|event| event.stage == "started");
    let mut same = Vec::new();
    for (_, question) in SAME {
        same.push(ask(question).await?);
    }
    Ok(Picture {
        same,
        disk: ask(DISK).await?.trim().parse()?,
        boot: started.map_or(f64::NAN, |started| started.seconds),
    })
}

/// The state that has changed.
fn differences(first: &Picture, next: &Picture) -> Vec<String> {
    let pairs = SAME.iter().zip(first.same.iter().zip(&next.same));
    let changed = pairs.filter(|(_, (was, is))| was != is);
    let told = changed.map(|((what, _), (was, is))| format!("{what}: was {was:?}, is {is:?}"));
    told.collect()
}
