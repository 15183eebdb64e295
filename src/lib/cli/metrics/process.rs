//! What the kernel knows of this process: memory, files, time, and datagrams that nobody read in time. Linux tells it in
//! /proc; what is not told is left out of the page.

use std::{net::SocketAddr, time::SystemTime};

use super::text::{Kind, Text};

/// Figures of this process.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Process {
    /// Seconds since 1970.
    pub started: f64,
    pub resident_bytes: Option<u64>,
    pub cpu_seconds: Option<f64>,
    pub open_files: Option<u64>,
    pub most_files: Option<u64>,
}

impl Process {
    /// Reads what there is to be read; `started` is when the process began.
    pub fn read(started: SystemTime) -> Self {
        let started = started.duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        let file = |name: &str| std::fs::read_to_string(name).ok();
        Self {
            started,
            resident_bytes: file("/proc/self/status").and_then(|text| resident(&text)),
            cpu_seconds: cpu(),
            open_files: std::fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as u64),
            most_files: file("/proc/self/limits").and_then(|text| limit(&text)),
        }
    }

    /// Under the names that every program has them.
    pub fn write(&self, text: &mut Text) {
        let start = "Start time of the process since unix epoch in seconds.";
        text.one(Kind::Gauge, "process_start_time_seconds", start, self.started);
        if let Some(bytes) = self.resident_bytes {
            text.one(Kind::Gauge, "process_resident_memory_bytes", "Resident memory size in bytes.", bytes);
        }
        if let Some(seconds) = self.cpu_seconds {
            let help = "Total user and system CPU time spent in seconds.";
            text.one(Kind::Counter, "process_cpu_seconds_total", help, seconds);
        }
        if let Some(files) = self.open_files {
            text.one(Kind::Gauge, "process_open_fds", "Number of open file descriptors.", files);
        }
        if let Some(files) = self.most_files {
            text.one(Kind::Gauge, "process_max_fds", "Maximum number of open file descriptors.", files);
        }
    }
}

/// Datagrams that the kernel dropped because these sockets were not read in time, and octets that wait in them.
pub fn unread(sockets: &[SocketAddr]) -> Option<(u64, u64)> {
    let tables = ["/proc/self/net/udp", "/proc/self/net/udp6"];
    let tables: Vec<String> = tables.iter().filter_map(|name| std::fs::read_to_string(name).ok()).collect();
    (!tables.is_empty()).then(|| {
        tables.iter().fold((0, 0), |(dropped, waiting), table| {
            let (more, octets) = of_sockets(table, sockets);
            (dropped + more, waiting + octets)
        })
    })
}

/// Rows `sl local rem st tx:rx tr:when retrnsmt uid timeout inode ref pointer drops`, numbers in hexadecimal but the last.
fn of_sockets(table: &str, sockets: &[SocketAddr]) -> (u64, u64) {
    let wanted: Vec<String> = sockets.iter().map(written).collect();
    let row = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let local = fields.nth(1)?;
        let waiting = fields.nth(2)?.split_once(':')?.1;
        let dropped = fields.next_back()?;
        let is_ours = wanted.iter().any(|socket| socket == local);
        is_ours.then_some((dropped.parse().ok()?, u64::from_str_radix(waiting, 16).ok()?))
    };
    let rows = table.lines().skip(1).filter_map(row);
    rows.fold((0, 0), |(dropped, waiting), (more, octets): (u64, u64)| (dropped + more, waiting + octets))
}

/// An address as the kernel writes it: words of 32 bits in the order of this machine.
fn written(addr: &SocketAddr) -> String {
    let octets: Vec<u8> = match addr.ip() {
        std::net::IpAddr::V4(ip) => ip.octets().to_vec(),
        std::net::IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let (words, _) = octets.as_chunks::<4>();
    let ip: String = words.iter().map(|word| format!("{:08X}", u32::from_ne_bytes(*word))).collect();
    format!("{ip}:{:04X}", addr.port())
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes << 10)
}

/// The soft limit.
fn limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(unix)]
fn cpu() -> Option<f64> {
    use nix::sys::{
        resource::{UsageWho, getrusage},
        time::TimeValLike,
    };

    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Some(micros as f64 / 1e6)
}

#[cfg(not(unix))]
fn cpu() -> Option<f64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_tells_is_read() {
        assert_eq!(resident("Name:\tx\nVmRSS:\t    1234 kB\nVmData: 1 kB\n"), Some(1234 << 10));
        assert_eq!(resident("Name:\tx\n"), None);
        let limits =
            "Limit   Soft Limit  Hard Limit  Units\nMax open files            1024       4096       files\n";
        assert_eq!(limit(limits), Some(1024));
        assert_eq!(limit("Max open files   unlimited   unlimited   files"), None);
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn drops_of_our_sockets_only_are_counted() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
                     1: 0100007F:13C4 00000000:0000 07 00000000:00000300 00:00000000 00000000     0        0 1 2 0 17\n\
                     2: 0100007F:13C4 00000000:0000 07 00000000:00000100 00:00000000 00000000     0        0 1 2 0 3\n\
                     3: 0200007F:13C4 00000000:0000 07 00000000:00000300 00:00000000 00000000     0        0 1 2 0 100\n\
                     garbage\n";
        let sockets: Vec<SocketAddr> = vec!["127.0.0.1:5060".parse().unwrap(), "[::1]:5060".parse().unwrap()];
        assert_eq!(of_sockets(table, &sockets), (20, 0x400));
        assert_eq!(written(&sockets[1]), "00000000000000000000000001000000:13C4");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_told_of() {
        let read = Process::read(SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(1_500));
        assert_eq!(read.started, 1.5);
        assert!(
            read.resident_bytes.unwrap() > 1 << 20
                && read.open_files.unwrap() > 2
                && read.cpu_seconds.is_some()
        );
        assert_eq!(unread(&[]), Some((0, 0)));
    }
}
