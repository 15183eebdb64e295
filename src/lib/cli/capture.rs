//! Capture files, written by the program itself: classic pcap for `.pcap`, pcapng for `.pcapng`.
//!
//! Link type RAW (an IP packet and nothing before it), nanosecond timestamps. Works without root because nothing is
//! sniffed: the packets come from the program's own sockets through [`transport::Tap`](crate::transport::Tap).
//!
//! Connections are written as on the wire, and with TLS a pcapng file has the secrets as well, in Decryption Secrets
//! Blocks. The crate has no type for that block, so its body is made here and written as a block it does not know.
//! A classic file has no place for secrets: there, by default, what is encrypted is written as it was before.

use std::{
    borrow::Cow,
    fmt,
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use pcap_file::{
    DataLink, Endianness, PcapError, TsResolution,
    pcap::{PcapHeader, PcapPacket, PcapWriter},
    pcapng::{
        PcapNgWriter,
        blocks::{
            enhanced_packet::EnhancedPacketBlock,
            interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption},
            section_header::{SectionHeaderBlock, SectionHeaderOption},
            unknown::UnknownBlock,
        },
    },
};

use zeroize::Zeroizing;

use super::{
    datagram::Datagram,
    recorder::{Recorded, RecordedSegment, Writer},
    segments::{Piece, Segments},
};
use crate::transport::{Direction, PacketKind, Protocol};

/// Where to write, and as what: the ending of the name decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapturePath {
    path: PathBuf,
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Pcap,
    PcapNg,
}

impl CapturePath {
    pub fn as_path(&self) -> &Path {
        &self.path
    }
}

impl FromStr for CapturePath {
    type Err = CapturePathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let path = PathBuf::from(text);
        let format = match path.extension().and_then(|ending| ending.to_str()) {
            Some("pcap") => Format::Pcap,
            Some("pcapng") => Format::PcapNg,
            _ => return Err(CapturePathError),
        };
        Ok(Self { path, format })
    }
}

/// How what is encrypted is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum CaptureMode {
    /// As on the wire; in pcapng with the secrets.
    Wire,
    /// As it was before it was encrypted, each message in a UDP packet.
    Plain,
    /// Both, on two interfaces (pcapng only).
    Both,
}

/// The name says neither format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name must end in .pcap (classic) or .pcapng")]
pub struct CapturePathError;

/// A classic file has one interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--pcap-mode both needs a file that ends in .pcapng")]
pub struct NoSecondInterface;

impl CapturePath {
    /// The mode that was asked for, or the one that lets a reader see everything.
    pub fn mode(&self, asked: Option<CaptureMode>) -> Result<CaptureMode, NoSecondInterface> {
        match (self.format, asked) {
            (Format::Pcap, Some(CaptureMode::Both)) => Err(NoSecondInterface),
            (Format::Pcap, None) => Ok(CaptureMode::Plain),
            (Format::PcapNg, None) => Ok(CaptureMode::Wire),
            (_, Some(mode)) => Ok(mode),
        }
    }
}

/// An open capture file.
pub(super) struct Capture {
    path: PathBuf,
    media: bool,
    mode: CaptureMode,
    segments: Segments,
    file: OpenFile,
    out: Shared,
}

enum OpenFile {
    Pcap(PcapWriter<Shared>),
    PcapNg(PcapNgWriter<Shared>),
}

/// The buffered file, held twice: the crate's writers keep theirs to themselves, and flushing is ours.
#[derive(Clone)]
struct Shared(Arc<Mutex<BufWriter<File>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).flush()
    }
}

impl Capture {
    /// Creates the file and writes its header; `media` says whether RTP and RTCP go in.
    pub fn create(path: &CapturePath, mode: CaptureMode, media: bool) -> io::Result<Self> {
        let file = BufWriter::with_capacity(64 * 1024, File::create(&path.path)?);
        let mut out = Shared(Arc::new(Mutex::new(file)));
        let file = match path.format {
            Format::Pcap => OpenFile::Pcap(
                PcapWriter::with_header(
                    out.clone(),
                    PcapHeader {
                        datalink: DataLink::RAW,
                        endianness: Endianness::native(),
                        snaplen: SNAPSHOT_LENGTH,
                        ts_resolution: TsResolution::NanoSecond,
                        ..PcapHeader::default()
                    },
                )
                .map_err(into_io)?,
            ),
            Format::PcapNg => {
                let mut writer = PcapNgWriter::with_section_header(
                    out.clone(),
                    SectionHeaderBlock {
                        endianness: Endianness::native(),
                        options: vec![SectionHeaderOption::UserApplication(Cow::Borrowed(APPLICATION))],
                        ..SectionHeaderBlock::default()
                    },
                )
                .map_err(into_io)?;
                for name in match mode {
                    CaptureMode::Wire => &["wire"][..],
                    CaptureMode::Plain => &["plain"],
                    CaptureMode::Both => &["wire", "plain"],
                } {
                    let block = InterfaceDescriptionBlock {
                        linktype: DataLink::RAW,
                        snaplen: SNAPSHOT_LENGTH,
                        options: vec![
                            InterfaceDescriptionOption::IfName(Cow::Borrowed(name)),
                            // The crate writes nanoseconds whatever this says, so it must say nanoseconds.
                            InterfaceDescriptionOption::IfTsResol(9),
                        ],
                    };
                    writer.write_pcapng_block(block).map_err(into_io)?;
                }
                OpenFile::PcapNg(writer)
            }
        };
        out.flush()?;
        let segments = Segments::default();
        Ok(Self { path: path.path.clone(), media, mode, segments, file, out })
    }

    fn put(&mut self, interface: u32, at: SystemTime, datagram: Datagram) -> io::Result<()> {
        let timestamp = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let written = match &mut self.file {
            OpenFile::Pcap(writer) => {
                writer.write_packet(&PcapPacket::new(timestamp, datagram.original_length, &datagram.bytes))
            }
            OpenFile::PcapNg(writer) => writer.write_pcapng_block(EnhancedPacketBlock {
                interface_id: interface,
                timestamp,
                original_len: datagram.original_length,
                data: Cow::Owned(datagram.bytes),
                options: Vec::new(),
            }),
        };
        written.map(drop).map_err(into_io)
    }

    fn put_all(&mut self, pieces: Vec<Piece>) -> io::Result<()> {
        for piece in pieces {
            match (piece, &mut self.file) {
                (Piece::Packet { at, datagram }, _) => self.put(WIRE, at, datagram)?,
                (Piece::Secrets(lines), OpenFile::PcapNg(writer)) => {
                    let body = secrets_block(&lines);
                    let block = UnknownBlock::new(DECRYPTION_SECRETS, 0, &body);
                    writer.write_pcapng_block(block).map_err(into_io)?;
                }
                (Piece::Secrets(_), OpenFile::Pcap(_)) => {}
            }
        }
        Ok(())
    }
}

/// The body of a Decryption Secrets Block: type, length, and the lines of a key log.
fn secrets_block(lines: &str) -> Zeroizing<Vec<u8>> {
    let mut body = Zeroizing::new(Vec::with_capacity(8 + lines.len()));
    body.extend(TLS_KEY_LOG.to_ne_bytes());
    body.extend(u32::try_from(lines.len()).unwrap_or(u32::MAX).to_ne_bytes());
    body.extend_from_slice(lines.as_bytes());
    body
}

impl Writer for Capture {
    fn write(&mut self, packet: &Recorded) -> io::Result<()> {
        if packet.kind != PacketKind::Sip && !self.media {
            return Ok(());
        }
        let interface = match (packet.kind, packet.protocol, self.mode) {
            (PacketKind::Rtp | PacketKind::Rtcp, ..) | (_, Protocol::Udp, _) => WIRE,
            // What TCP carries is plain anyway, and comes as segments.
            (PacketKind::Sip, Protocol::Tcp, _) | (PacketKind::Sip, _, CaptureMode::Wire) => return Ok(()),
            (PacketKind::Sip, _, CaptureMode::Plain) => 0,
            (PacketKind::Sip, _, CaptureMode::Both) => 1,
        };
        let (from, to) = match packet.direction {
            Direction::Sent => (packet.local, packet.remote),
            Direction::Received => (packet.remote, packet.local),
        };
        self.put(interface, packet.at, Datagram::udp(from, to, &packet.bytes))
    }

    fn segment(&mut self, segment: &RecordedSegment) -> io::Result<()> {
        if self.mode == CaptureMode::Plain && segment.protocol != Protocol::Tcp {
            return Ok(());
        }
        let mut pieces = Vec::new();
        self.segments.segment(Instant::now(), segment, &mut pieces);
        self.put_all(pieces)
    }

    fn secret(&mut self, line: &str) -> io::Result<()> {
        if self.mode == CaptureMode::Plain {
            return Ok(());
        }
        let mut pieces = Vec::new();
        self.segments.secret(line, &mut pieces);
        self.put_all(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut pieces = Vec::new();
        self.segments.advance(Instant::now(), &mut pieces);
        self.put_all(pieces)?;
        self.out.flush()
    }

    fn is_waiting(&self) -> bool {
        self.segments.is_waiting()
    }

    fn finish(&mut self) -> io::Result<()> {
        let mut pieces = Vec::new();
        self.segments.release_all(&mut pieces);
        self.put_all(pieces)?;
        match self.segments.overdue() {
            0 => {}
            count => tracing::warn!(
                "{count} packets of TLS connections are in the capture without their secrets, which did not come in time"
            ),
        }
        self.out.flush()
    }

    fn name(&self) -> String {
        format!("capture file {}", self.path.display())
    }
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture").field("path", &self.path).finish_non_exhaustive()
    }
}

fn into_io(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(error) => error,
        error => io::Error::other(error),
    }
}

/// The interface of what is written as on the wire; the only one but for [`CaptureMode::Both`].
const WIRE: u32 = 0;
/// The block type, and of it the kind that TLS has ("TLSK"): draft-ietf-opsawg-pcapng §4.7.
const DECRYPTION_SECRETS: u32 = 0x0a;
const TLS_KEY_LOG: u32 = 0x544c_534b;
const APPLICATION: &str = concat!("sipkit ", env!("CARGO_PKG_VERSION"));
/// Wireshark's own; more than any IP packet.
const SNAPSHOT_LENGTH: u32 = 262_144;

#[cfg(test)]
mod tests {
    use std::fs;

    use pcap_file::{
        pcap::PcapReader,
        pcapng::{Block, PcapNgReader},
    };

    use super::*;
    use crate::transport::Protocol;

    fn recorded(kind: PacketKind, direction: Direction, bytes: Vec<u8>) -> Recorded {
        Recorded {
            at: SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789),
            kind,
            direction,
            protocol: Protocol::Udp,
            local: "127.0.0.1:5060".parse().expect("an address"),
            remote: "127.0.0.2:5070".parse().expect("an address"),
            bytes,
        }
    }

    fn write(name: &str, media: bool) -> PathBuf {
        let path = std::env::temp_dir().join(format!("sipkit-{}-{name}", std::process::id()));
        let capture_path: CapturePath = path.to_str().expect("a plain path").parse().expect("a known ending");
        let mut capture =
            Capture::create(&capture_path, capture_path.mode(None).expect("a mode"), media).expect("a file");
        for packet in [
            recorded(PacketKind::Sip, Direction::Sent, b"OPTIONS".to_vec()),
            recorded(PacketKind::Rtp, Direction::Received, vec![0x80; 172]),
            recorded(PacketKind::Sip, Direction::Received, vec![b'x'; 100_000]),
        ] {
            capture.write(&packet).expect("room on the disk");
        }
        capture.flush().expect("room on the disk");
        // Not dropped before it is read: a killed run leaves what was flushed.
        path
    }

    #[test]
    fn classic_pcap_has_nanoseconds_and_addresses_in_order() {
        let path = write("a.pcap", true);
        let mut reader = PcapReader::new(fs::File::open(&path).expect("written")).expect("a pcap header");
        assert_eq!(reader.header().datalink, DataLink::RAW);
        let first = reader.next_packet().expect("three packets").expect("well-formed").into_owned();
        assert_eq!(first.timestamp, Duration::new(1_700_000_000, 123_456_789));
        assert_eq!(first.data[12..20], [127, 0, 0, 1, 127, 0, 0, 2]);
        let second = reader.next_packet().expect("three packets").expect("well-formed").into_owned();
        assert_eq!(second.data[12..20], [127, 0, 0, 2, 127, 0, 0, 1], "received: the remote comes first");
        let third = reader.next_packet().expect("three packets").expect("well-formed").into_owned();
        assert_eq!((third.data.len(), third.orig_len), (65_535, 100_028));
        assert!(reader.next_packet().is_none());
        let _ = fs::remove_file(path);
    }

    #[test]
    fn pcapng_says_nanoseconds_and_leaves_media_out_when_told() {
        let path = write("b.pcapng", false);
        let mut reader = PcapNgReader::new(fs::File::open(&path).expect("written")).expect("a section");
        let mut packets = Vec::new();
        while let Some(block) = reader.next_block() {
            match block.expect("well-formed").into_owned() {
                Block::InterfaceDescription(interface) => {
                    assert_eq!(interface.linktype, DataLink::RAW);
                    assert!(interface.options.contains(&InterfaceDescriptionOption::IfTsResol(9)));
                }
                Block::EnhancedPacket(packet) => packets.push(packet),
                _ => {}
            }
        }
        assert_eq!(packets.len(), 2, "RTP left out");
        assert_eq!(packets[0].timestamp, Duration::new(1_700_000_000, 123_456_789));
        let _ = fs::remove_file(path);
    }

    #[test]
    fn the_mode_follows_the_format() {
        let mode = |name: &str, asked| {
            let path: CapturePath = name.parse().expect("a known ending");
            path.mode(asked)
        };
        assert_eq!(mode("a.pcapng", None), Ok(CaptureMode::Wire));
        assert_eq!(mode("a.pcap", None), Ok(CaptureMode::Plain));
        assert_eq!(mode("a.pcap", Some(CaptureMode::Wire)), Ok(CaptureMode::Wire));
        assert_eq!(mode("a.pcapng", Some(CaptureMode::Both)), Ok(CaptureMode::Both));
        assert_eq!(mode("a.pcap", Some(CaptureMode::Both)), Err(NoSecondInterface));
    }

    #[test]
    fn other_endings_are_refused() {
        for name in ["call", "call.cap", ".pcap", "call.pcap.gz", ""] {
            assert_eq!(name.parse::<CapturePath>(), Err(CapturePathError), "{name}");
        }
        assert!("a/b.pcapng".parse::<CapturePath>().is_ok());
    }
}

/// Captures of real conversations, read by Wireshark.
#[cfg(all(test, feature = "tls"))]
mod tls_tests;
