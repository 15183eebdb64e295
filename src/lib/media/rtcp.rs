//! RTCP (RFC 3550 §6): reading compound packets, sending SR or RR with SDES, and BYE at the end, round-trip time.
//!
//! Received packets are checked as a whole before a word of them is believed (RFC 3550 A.2). Hostile input can spoil
//! nothing but numbers: a report is used only if it is about our SSRC, and its round-trip time only if it answers a
//! sender report we sent. Types we do not use are stepped over. Reduced-size packets (RFC 5506) are not negotiated here
//! and refused.

use rtcp_types::{
    Bye, ReceiverReport, ReportBlock, ReportBlockBuilder, RtcpPacket, RtcpPacketParser, RtcpPacketWriter,
    RtcpPacketWriterExt, Sdes, SdesChunk, SdesItem, SenderReport,
};
use thiserror::Error;

use crate::time::{Duration, Instant};

/// Why bytes are no compound RTCP packet: always the sender's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RtcpError {
    #[error("not RTCP version 2")]
    Version,
    #[error("shorter than its lengths say")]
    Truncated,
    #[error("padding in the middle, or of impossible length")]
    Padding,
    #[error("does not start with a sender or receiver report")]
    First,
    #[error("a packet of type {0} whose contents do not fit")]
    Contents(u8),
}

/// What a compound packet says, as far as anyone here listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// The sender information of an SR.
    Sender {
        ssrc: u32,
        ntp: u64,
        rtp: u32,
        packets: u32,
        octets: u32,
    },
    Report(Report),
    Bye {
        ssrc: u32,
    },
}

/// One report block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    pub reporter: u32,
    /// The source it is about.
    pub about: u32,
    /// Of 256.
    pub fraction_lost: u8,
    /// Negative if duplicates outnumber losses.
    pub lost: i32,
    pub highest: u32,
    /// In timestamp units.
    pub jitter: u32,
    /// Middle 32 bits of the NTP time of the last SR, 0 if there was none.
    pub last_sr: u32,
    /// 1/65536 s.
    pub since_last_sr: u32,
}

/// Reads a compound packet and calls `hear` for what it says, only if all of it is sound.
///
/// # Errors
/// [`RtcpError`] says what is wrong with it.
pub fn read(bytes: &[u8], mut hear: impl FnMut(Said)) -> Result<(), RtcpError> {
    for packet in Packets(bytes) {
        check(bytes, packet?)?;
    }
    if bytes.is_empty() {
        return Err(RtcpError::Truncated);
    }
    for packet in Packets(bytes).flatten() {
        say(packet, &mut hear);
    }
    Ok(())
}

/// The packets of a compound one; ends after the first error.
struct Packets<'a>(&'a [u8]);

impl<'a> Iterator for Packets<'a> {
    type Item = Result<&'a [u8], RtcpError>;

    fn next(&mut self) -> Option<Self::Item> {
        let all = std::mem::take(&mut self.0);
        if all.is_empty() {
            return None;
        }
        let &[first, _, high, low, ..] = all else { return Some(Err(RtcpError::Truncated)) };
        if first >> 6 != 2 {
            return Some(Err(RtcpError::Version));
        }
        let len = 4 * (usize::from(u16::from_be_bytes([high, low])) + 1);
        let Some((packet, rest)) = all.split_at_checked(len) else { return Some(Err(RtcpError::Truncated)) };
        if first & 0x20 != 0 {
            // Only the last packet may be padded, by a multiple of four that leaves its header (RFC 3550 §6.4.1).
            let padding = packet.last().map_or(0, |&count| usize::from(count));
            if !rest.is_empty() || padding == 0 || padding % 4 != 0 || padding > len - 4 {
                return Some(Err(RtcpError::Padding));
            }
        }
        self.0 = rest;
        Some(Ok(packet))
    }
}

fn check(compound: &[u8], packet: &[u8]) -> Result<(), RtcpError> {
    let &[flags, kind, ..] = packet else { return Err(RtcpError::Truncated) };
    if packet.as_ptr() == compound.as_ptr()
        && !matches!(kind, SenderReport::PACKET_TYPE | ReceiverReport::PACKET_TYPE)
    {
        return Err(RtcpError::First);
    }
    let sound = match kind {
        SenderReport::PACKET_TYPE => SenderReport::parse(packet).is_ok(),
        ReceiverReport::PACKET_TYPE => ReceiverReport::parse(packet).is_ok(),
        Bye::PACKET_TYPE => Bye::parse(packet).is_ok(),
        // rtcp-types takes padding for chunks; nothing in a description is used, so a padded one is stepped over.
        Sdes::PACKET_TYPE => flags & 0x20 != 0 || Sdes::parse(packet).is_ok(),
        _ => true,
    };
    if sound { Ok(()) } else { Err(RtcpError::Contents(kind)) }
}

fn say(packet: &[u8], hear: &mut impl FnMut(Said)) {
    match packet.get(1).copied() {
        Some(SenderReport::PACKET_TYPE) => {
            let Ok(report) = SenderReport::parse(packet) else { return };
            hear(Said::Sender {
                ssrc: report.ssrc(),
                ntp: report.ntp_timestamp(),
                rtp: report.rtp_timestamp(),
                packets: report.packet_count(),
                octets: report.octet_count(),
            });
            report.report_blocks().for_each(|block| hear(Said::Report(Report::new(report.ssrc(), &block))));
        }
        Some(ReceiverReport::PACKET_TYPE) => {
            let Ok(report) = ReceiverReport::parse(packet) else { return };
            report.report_blocks().for_each(|block| hear(Said::Report(Report::new(report.ssrc(), &block))));
        }
        Some(Bye::PACKET_TYPE) => {
            let Ok(bye) = Bye::parse(packet) else { return };
            bye.ssrcs().for_each(|ssrc| hear(Said::Bye { ssrc }));
        }
        _ => {}
    }
}

impl Report {
    fn new(reporter: u32, block: &ReportBlock<'_>) -> Self {
        Self {
            reporter,
            about: block.ssrc(),
            fraction_lost: block.fraction_lost(),
            // 24 bits, signed.
            lost: (block.cumulative_lost() << 8) as i32 >> 8,
            highest: block.extended_sequence_number(),
            jitter: block.interarrival_jitter(),
            last_sr: block.last_sender_report_timestamp(),
            since_last_sr: block.delay_since_last_sender_report_timestamp(),
        }
    }

    fn builder(&self) -> ReportBlockBuilder {
        ReportBlock::builder(self.about)
            .fraction_lost(self.fraction_lost)
            .cumulative_lost(self.lost.clamp(-0x80_0000, 0x7f_ffff) as u32 & 0xff_ffff)
            .extended_sequence_number(self.highest)
            .interarrival_jitter(self.jitter)
            .last_sender_report_timestamp(self.last_sr)
            .delay_since_last_sender_report_timestamp(self.since_last_sr)
    }
}

/// The NTP time (32.32 fixed point) of `now`, `epoch` being that of [`Instant::ZERO`].
pub fn ntp(epoch: u64, now: Instant) -> u64 {
    let micros = now.as_micros();
    let seconds = micros / 1_000_000;
    let fraction = ((micros % 1_000_000) << 32) / 1_000_000;
    epoch.wrapping_add(seconds << 32 | fraction)
}

/// What goes into the sender part of our reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderInfo {
    /// RTP time of now.
    pub rtp: u32,
    pub packets: u32,
    pub octets: u32,
}

/// When to send RTCP, and what the other side's RTCP tells us.
pub struct Control {
    ssrc: u32,
    cname: String,
    epoch: u64,
    random: u64,
    next: Instant,
    initial: bool,
    /// Average size of compound packets with UDP and IP headers, bytes (§6.3.3).
    average: f64,
    /// Middle NTP bits and time of the last sender reports we sent: what a round trip may be measured with.
    sent: [Option<(u32, Instant)>; 4],
    /// Middle NTP bits and arrival of the peer's last sender report, and whose it was.
    heard: Option<(u32, u32, Instant)>,
    round_trip: Option<Duration>,
    about_us: Option<Report>,
}

impl Control {
    /// `epoch` is the NTP time of [`Instant::ZERO`]; `seed` randomises the intervals.
    pub fn new(now: Instant, ssrc: u32, cname: &str, epoch: u64, seed: u64) -> Self {
        let mut cut = cname.len().min(255);
        while !cname.is_char_boundary(cut) {
            cut -= 1;
        }
        let mut control = Self {
            ssrc,
            cname: cname.get(..cut).unwrap_or_default().to_owned(),
            epoch,
            random: seed,
            next: now,
            initial: true,
            average: 128.0,
            sent: [None; 4],
            heard: None,
            round_trip: None,
            about_us: None,
        };
        control.schedule(now, false);
        control
    }

    /// When the next report is due.
    pub fn deadline(&self) -> Instant {
        self.next
    }

    /// Appends a report to `out`: SR if `sender` is given (RTP was sent lately), else RR; then SDES CNAME, and BYE if
    /// it is the last one. `report` is about the peer's source, its `last_sr` fields are filled in here.
    pub fn write(
        &mut self,
        now: Instant,
        sender: Option<SenderInfo>,
        report: Option<Report>,
        bye: bool,
        out: &mut Vec<u8>,
    ) {
        let start = out.len();
        let report = report.map(|report| match self.heard {
            Some((ssrc, middle, at)) if ssrc == report.about => {
                let since = (now.since(at).as_micros() << 16) / 1_000_000;
                Report { last_sr: middle, since_last_sr: since.min(u32::MAX.into()) as u32, ..report }
            }
            _ => report,
        });
        match sender {
            Some(info) => {
                let ntp = ntp(self.epoch, now);
                self.sent.rotate_right(1);
                self.sent[0] = Some((middle(ntp), now));
                let mut packet = SenderReport::builder(self.ssrc)
                    .ntp_timestamp(ntp)
                    .rtp_timestamp(info.rtp)
                    .packet_count(info.packets)
                    .octet_count(info.octets);
                if let Some(report) = &report {
                    packet = packet.add_report_block(report.builder());
                }
                append(&packet, out);
            }
            None => {
                let mut packet = ReceiverReport::builder(self.ssrc);
                if let Some(report) = &report {
                    packet = packet.add_report_block(report.builder());
                }
                append(&packet, out);
            }
        }
        let cname = SdesItem::builder(SdesItem::CNAME, &self.cname);
        append(&Sdes::builder().add_chunk(SdesChunk::builder(self.ssrc).add_item(cname)), out);
        if bye {
            append(&Bye::builder().add_source(self.ssrc), out);
        }
        self.weigh(out.len() - start);
        self.initial = false;
        self.schedule(now, sender.is_some());
    }

    /// Takes what a received compound packet of `size` bytes said.
    pub fn hear(&mut self, now: Instant, said: Said) {
        match said {
            Said::Sender { ssrc, ntp, .. } => self.heard = Some((ssrc, middle(ntp), now)),
            Said::Report(report) if report.about == self.ssrc => {
                self.about_us = Some(report);
                self.measure(now, &report);
            }
            Said::Report(_) | Said::Bye { .. } => {}
        }
    }

    /// Takes the size of a received compound packet into the average.
    pub fn weigh(&mut self, size: usize) {
        self.average += (size as f64 + OVERHEAD - self.average) / 16.0;
    }

    /// The last round-trip time measured.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// The peer's last report about our stream.
    pub fn about_us(&self) -> Option<&Report> {
        self.about_us.as_ref()
    }

    /// RFC 3550 §6.4.1: A − LSR − DLSR, with our own clock only: the middle bits just name one of our reports.
    fn measure(&mut self, now: Instant, report: &Report) {
        let answered = self.sent.iter().flatten().find(|&&(middle, _)| middle == report.last_sr);
        let (Some(&(_, at)), true) = (answered, report.last_sr != 0) else { return };
        let delay = Duration::from_micros((u64::from(report.since_last_sr) * 1_000_000) >> 16);
        let gone = now.since(at);
        // The field counts 15 µs steps, so on a fast line it may exceed what has passed; by more it is a lie.
        if delay <= gone + Duration::from_millis(1) {
            self.round_trip = Some(gone.saturating_sub(delay));
        }
    }

    fn schedule(&mut self, now: Instant, we_sent: bool) {
        let interval = interval(2, 1 + u32::from(we_sent), we_sent, self.average, self.initial);
        // §6.3.1: half to one and a half of it, less what timer reconsideration is known to add.
        let dice = (splitmix(&mut self.random) >> 11) as f64 / (1u64 << 53) as f64;
        let seconds = interval * (0.5 + dice) / (std::f64::consts::E - 1.5);
        self.next = now + Duration::from_secs_f64(seconds);
    }
}

/// The deterministic interval T_d of RFC 3550 §6.3.1 and A.7, seconds: bandwidth shared by all members, a quarter of it
/// for senders, never below 5 s (2.5 s before the first report).
fn interval(members: u32, senders: u32, we_sent: bool, average: f64, initial: bool) -> f64 {
    let least = if initial { 2.5 } else { 5.0 };
    let (share, count) = if f64::from(senders) > f64::from(members) * 0.25 {
        (1.0, members)
    } else if we_sent {
        (0.25, senders)
    } else {
        (0.75, members - senders)
    };
    (f64::from(count) * average / (BANDWIDTH * share)).max(least)
}

fn append(packet: &impl RtcpPacketWriter, out: &mut Vec<u8>) {
    let start = out.len();
    // What is written here is of bounded size, so that this cannot fail; if it did, nothing would be appended.
    let Ok(size) = packet.calculate_size() else { return };
    out.resize(start + size, 0);
    if packet.write_into(out.get_mut(start..).unwrap_or_default()).is_err() {
        out.truncate(start);
    }
}

fn middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

/// splitmix64, for what must differ between participants but need not be secret.
pub(super) fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Bytes per second for RTCP: 5 % of the 80 kbit/s that G.711 needs with its headers (§6.2).
const BANDWIDTH: f64 = 80_000.0 / 8.0 * 0.05;
/// IPv4 and UDP headers, bytes.
const OVERHEAD: f64 = 28.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::testing::{corpus, mutate};

    fn said(bytes: &[u8]) -> Result<Vec<Said>, RtcpError> {
        let mut all = vec![];
        read(bytes, |said| all.push(said)).map(|()| all)
    }

    #[test]
    fn the_corpus_is_read_as_it_says() {
        for case in corpus("rtcp.json") {
            let got = said(&case.bytes);
            // Feedback packets on their own are reduced-size RTCP, which is not negotiated.
            let reduced = matches!(case.bytes.get(1), Some(205..=207));
            if reduced {
                assert_eq!(got, Err(RtcpError::First), "{}", case.id);
            } else {
                assert_eq!(got.is_ok(), case.valid, "{}: {got:?}", case.id);
            }
        }
        let first = corpus("rtcp.json").remove(0);
        assert_eq!(
            said(&first.bytes).unwrap(),
            [
                Said::Sender {
                    ssrc: 0x1122_3344,
                    ntp: 0xe000_0000_8000_0000,
                    rtp: 160_000,
                    packets: 1000,
                    octets: 160_000
                },
                Said::Report(Report {
                    reporter: 0x1122_3344,
                    about: 0x5566_7788,
                    fraction_lost: 25,
                    lost: -2,
                    highest: 70_000,
                    jitter: 12,
                    last_sr: 0x1234_5678,
                    since_last_sr: 65_536,
                }),
            ]
        );
    }

    fn report(about: u32) -> Report {
        Report {
            reporter: 1,
            about,
            fraction_lost: 3,
            lost: -7,
            highest: 70_000,
            jitter: 5,
            last_sr: 0,
            since_last_sr: 0,
        }
    }

    #[test]
    fn what_is_written_is_read_back_and_times_the_round_trip() {
        let info = SenderInfo { rtp: 99, packets: 5, octets: 800 };
        let epoch = 0xe000_0000_0000_0000;
        let mut ours = Control::new(Instant::ZERO, 1, "us@host", epoch, 1);
        let mut theirs = Control::new(Instant::ZERO, 2, "them@host", epoch + (7 << 32), 2);
        let mut out = vec![];
        ours.write(Instant::from_millis(1000), Some(info), None, false, &mut out);
        let heard = said(&out).unwrap();
        assert_eq!(heard.len(), 1);
        heard.into_iter().for_each(|said| theirs.hear(Instant::from_millis(1030), said));

        let mut out = vec![];
        theirs.write(Instant::from_millis(3000), None, Some(report(1)), true, &mut out);
        let heard = said(&out).unwrap();
        assert_eq!(heard.last(), Some(&Said::Bye { ssrc: 2 }));
        heard.into_iter().for_each(|said| ours.hear(Instant::from_millis(3040), said));
        let round_trip = ours.round_trip().unwrap().as_micros();
        assert!((69_900..=70_100).contains(&round_trip), "{round_trip}");
        assert_eq!(ours.about_us().unwrap().lost, -7);
        assert_eq!(theirs.round_trip(), None, "it sent no sender report");
    }

    #[test]
    fn reports_that_answer_nothing_measure_nothing() {
        let mut ours = Control::new(Instant::ZERO, 1, "us", 0, 1);
        ours.hear(Instant::from_millis(100), Said::Report(Report { last_sr: 77, ..report(1) }));
        ours.hear(Instant::from_millis(100), Said::Report(report(5)));
        assert_eq!(ours.round_trip(), None);
        let mut out = vec![];
        let info = SenderInfo { rtp: 0, packets: 1, octets: 1 };
        ours.write(Instant::from_millis(1000), Some(info), None, false, &mut out);
        let last_sr = middle(ntp(0, Instant::from_millis(1000)));
        let lie = Report { last_sr, since_last_sr: 10 << 16, ..report(1) };
        ours.hear(Instant::from_millis(1100), Said::Report(lie));
        assert_eq!(ours.round_trip(), None, "10 s do not fit into 100 ms");
    }

    #[test]
    fn intervals() {
        assert_eq!(interval(2, 2, true, 128.0, true), 2.5);
        assert_eq!(interval(2, 2, true, 128.0, false), 5.0);
        // 1000 receivers share 3/4 of 500 bytes/s.
        assert!((interval(1001, 1, false, 100.0, false) - 1000.0 * 100.0 / 375.0).abs() < 1e-9);
        assert_eq!(interval(1001, 1, true, 100.0, false), 5.0);
        let mut control = Control::new(Instant::ZERO, 1, "us", 0, 9);
        let mut now = control.deadline();
        assert!((1000..3100).contains(&(now.as_micros() / 1000)), "{now:?}");
        for _ in 0..1000 {
            control.write(now, None, None, false, &mut vec![]);
            let wait = control.deadline().since(now).as_secs_f64();
            assert!((2.05..6.16).contains(&wait), "{wait}");
            now = control.deadline();
        }
    }

    #[test]
    fn a_long_name_is_cut() {
        let mut control = Control::new(Instant::ZERO, 1, &"ü".repeat(300), 0, 1);
        let mut out = vec![];
        control.write(Instant::ZERO, None, None, true, &mut out);
        assert!(said(&out).is_ok());
        assert!(out.len() < 300);
    }

    #[test]
    fn ntp_counts_in_two_to_the_minus_32() {
        assert_eq!(ntp(0, Instant::from_millis(1500)), 0x1_8000_0000);
        assert_eq!(ntp(u64::MAX, Instant::from_micros(1_000_000)), 0xffff_ffff);
    }

    #[test]
    fn mutations_never_panic() {
        let cases = corpus("rtcp.json");
        let mut control = Control::new(Instant::ZERO, 0x5566_7788, "us", 0, 1);
        mutate(&cases, 30_000, |bytes| {
            let _ = read(bytes, |said| control.hear(Instant::from_millis(5), said));
        });
        assert_eq!(control.round_trip(), None);
    }
}
