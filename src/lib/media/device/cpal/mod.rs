//! Sound cards, through cpal (ALSA on Linux).
//!
//! A card runs on its own clock and rate; lock-free rings (`stream.rs`) lie between its callbacks and the media
//! thread's ends (`line.rs`), which convert to the session's rate and absorb the drift between the two clocks. Opening
//! and closing a card can block for seconds, so a thread of its own owns it: it opens, watches, and closes.
//!
//! A card that is disconnected, or does not recover from an error, or whose callbacks stay away for more than a second, is closed and given up for the
//! rest of the call: [`Condition::Lost`](super::Condition::Lost), and silence.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use cpal::traits::{DeviceTrait, HostTrait};
use cpal::{Device, DeviceId, ErrorKind, Host};

use self::line::{Capture, Playback};
use super::{Audio, DeviceFault, DeviceInfo, Input, Loss, OpenError, Output, Warning, none};

#[cfg(target_os = "linux")]
mod alsa;
mod drift;
pub mod line;
mod stream;

/// Opens a device in both directions; `None` is the system's default one.
///
/// A device that only plays or only captures is opened with a [`Warning`]; one that does neither is an error. Blocks
/// until the sound system has answered, 10 s at most.
pub fn open(name: Option<&str>) -> Result<Audio, OpenError> {
    quiet();
    let (answer, answered) = sync_channel(1);
    let owned = name.map(str::to_owned);
    let unusable =
        |why| OpenError::Unusable { name: name.unwrap_or("default").to_owned(), why, known: known_names() };
    thread::Builder::new()
        .name("sound card".into())
        .spawn(move || own(owned.as_deref(), &answer))
        .map_err(|_| unusable(DeviceFault::Thread))?;
    answered.recv_timeout(OPEN_TIMEOUT).unwrap_or_else(|_| Err(unusable(DeviceFault::Silent)))
}

/// Every device the system lists, without opening any: opening all of them is slow and noisy.
pub fn devices() -> Vec<DeviceInfo> {
    quiet();
    let listed = host().and_then(|host| host.devices());
    let Ok(listed) = listed else { return Vec::new() };
    listed
        .filter_map(|device| {
            let name = device.id().ok()?.id().to_owned();
            let description = device.description().map(|d| d.name().to_owned()).unwrap_or_default();
            Some(DeviceInfo {
                name,
                description,
                input: device.supports_input(),
                output: device.supports_output(),
            })
        })
        .collect()
}

/// What the callbacks, the owner and the media thread's ends tell each other. Atomics only.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// 0 while all is well, else a [`Loss`] as [`loss_code`] writes it.
    loss: AtomicU8,
    /// Nobody uses the card any more.
    stop: AtomicBool,
    capture: Side,
    playback: Side,
}

/// How one direction's stream is doing.
#[derive(Debug, Default)]
pub(crate) struct Side {
    /// Callbacks so far.
    beats: AtomicU64,
    /// There was an error since the last callback.
    failing: AtomicBool,
}

impl Side {
    /// In each callback: neither locks nor allocates.
    fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
        self.failing.store(false, Ordering::Relaxed);
    }
}

impl Shared {
    fn loss(&self) -> Option<Loss> {
        match self.loss.load(Ordering::Relaxed) {
            0 => None,
            1 => Some(Loss::Disconnected),
            2 => Some(Loss::Failed),
            _ => Some(Loss::Stalled),
        }
    }

    /// The first reason counts.
    fn lose(&self, why: Loss) {
        let _ = self.loss.compare_exchange(0, loss_code(why), Ordering::Relaxed, Ordering::Relaxed);
    }
}

fn loss_code(loss: Loss) -> u8 {
    match loss {
        Loss::Disconnected => 1,
        Loss::Failed => 2,
        Loss::Stalled => 3,
    }
}

/// Held by both ends; the card is closed when both are gone.
#[derive(Debug)]
pub(crate) struct Card {
    shared: Arc<Shared>,
    owner: Thread,
}

impl Card {
    fn loss(&self) -> Option<Loss> {
        self.shared.loss()
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.owner.unpark();
    }
}

/// The owner thread: opens, answers, watches, closes.
fn own(name: Option<&str>, answer: &SyncSender<Result<Audio, OpenError>>) {
    let shared = Arc::new(Shared::default());
    let (audio, streams) = match open_both(name, &shared) {
        Ok(opened) => opened,
        Err(why) => return drop(answer.try_send(Err(why))),
    };
    // If nobody waits any more, dropping the answer sets `stop`, and the watch ends at once.
    drop(answer.try_send(Ok(audio)));
    let mut watches =
        [(streams.capture.is_some(), &shared.capture), (streams.playback.is_some(), &shared.playback)]
            .map(|(used, side)| Watch { side: used.then_some(side), seen: 0, since: Instant::now() });
    while !shared.stop.load(Ordering::Relaxed) {
        let before = Instant::now();
        thread::park_timeout(LOOK_EVERY);
        let now = Instant::now();
        // If we ourselves were not let run, the callbacks were not either: that is the machine, not the card.
        let starved = now - before > 3 * LOOK_EVERY;
        for why in watches.iter_mut().filter_map(|watch| watch.look(now, starved)) {
            shared.lose(why);
        }
        if shared.loss().is_some() {
            break;
        }
    }
    // A broken card's stream calls its error callback in a tight loop: closing it now also ends that.
    drop(streams);
}

/// One direction's heartbeat.
struct Watch<'a> {
    side: Option<&'a Side>,
    seen: u64,
    since: Instant,
}

impl Watch<'_> {
    fn look(&mut self, now: Instant, starved: bool) -> Option<Loss> {
        let side = self.side?;
        let beats = side.beats.load(Ordering::Relaxed);
        if beats != self.seen || starved {
            self.seen = beats;
            self.since = now;
        }
        let quiet = now - self.since;
        match side.failing.load(Ordering::Relaxed) {
            true if quiet > FAILING => Some(Loss::Failed),
            false if quiet > STALL => Some(Loss::Stalled),
            _ => None,
        }
    }
}

struct Streams {
    capture: Option<cpal::Stream>,
    playback: Option<cpal::Stream>,
}

fn open_both(name: Option<&str>, shared: &Arc<Shared>) -> Result<(Audio, Streams), OpenError> {
    let called = name.unwrap_or("default");
    let unusable = |why| OpenError::Unusable { name: called.to_owned(), why, known: known_names() };
    let host = host().map_err(|why| unusable(DeviceFault::System(why)))?;
    let (capturing, playing) = match name {
        None | Some("default") => (host.default_input_device(), host.default_output_device()),
        Some(name) => {
            let found = find(&host, name);
            if found.is_none() {
                return Err(OpenError::NoSuchDevice { name: name.to_owned(), known: known_names() });
            }
            (found.clone(), found)
        }
    };
    let card = Arc::new(Card { shared: Arc::clone(shared), owner: thread::current() });
    let absent = || DeviceFault::System(ErrorKind::DeviceNotAvailable.into());
    let playback = playing.ok_or_else(absent).and_then(|device| stream::playback(&device, shared));
    let capture = capturing.ok_or_else(absent).and_then(|device| stream::capture(&device, shared));
    let (warning, playback, capture) = match (playback, capture) {
        (Ok(playback), Ok(capture)) => (None, Some(playback), Some(capture)),
        (Ok(playback), Err(why)) => {
            (Some(Warning::NoCapture { name: called.to_owned(), why }), Some(playback), None)
        }
        (Err(why), Ok(capture)) => {
            (Some(Warning::NoPlayback { name: called.to_owned(), why }), None, Some(capture))
        }
        (Err(why), Err(_)) => return Err(unusable(why)),
    };
    let mut streams = Streams { capture: None, playback: None };
    let mut input: Box<dyn Input> = Box::new(none::Silence);
    let mut output: Box<dyn Output> = Box::new(none::Discard);
    if let Some(stream::Opened { stream, ring, rate }) = capture {
        streams.capture = Some(stream);
        input = Box::new(
            Capture::new(ring, rate, Arc::clone(&card)).map_err(|_| unusable(DeviceFault::Rate(rate)))?,
        );
    }
    if let Some(stream::Opened { stream, ring, rate }) = playback {
        streams.playback = Some(stream);
        output = Box::new(Playback::new(ring, rate, card).map_err(|_| unusable(DeviceFault::Rate(rate)))?);
    }
    Ok((Audio { input, output, warning }, streams))
}

/// By id (`pulse`, `plughw:CARD=0,DEV=0`, also with `alsa:` before it) or by description.
fn find(host: &Host, name: &str) -> Option<Device> {
    let given = name.parse::<DeviceId>().ok();
    let id = given.filter(|id| id.host() == host.id()).unwrap_or_else(|| DeviceId::new(host.id(), name));
    host.device_by_id(&id).or_else(|| {
        host.devices()
            .ok()?
            .find(|device| device.description().is_ok_and(|described| described.name() == name))
    })
}

fn host() -> Result<Host, cpal::Error> {
    let first = cpal::available_hosts().into_iter().next().ok_or(ErrorKind::HostUnavailable)?;
    cpal::host_from_id(first)
}

fn known_names() -> Vec<String> {
    devices().into_iter().map(|device| device.name).collect()
}

fn quiet() {
    #[cfg(target_os = "linux")]
    alsa::silence();
}

/// How long a sound system may take to open a device.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the owner looks after its card.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A card that reports errors may have so long to recover.
const FAILING: Duration = Duration::from_millis(400);
/// A card whose callbacks stay away longer than this is lost.
const STALL: Duration = Duration::from_secs(1);
