//! Where a call's sound comes from and goes to: nothing, a tone, an echo, a WAV file, a sound card; and the recorder.
//!
//! Everything here is a [`Source`] or a [`Sink`] that can also be told a new session rate ([`Input`], [`Output`]):
//! a re-INVITE may swap an 8 kHz codec for a 48 kHz one, and neither the position in a file nor an open sound card may
//! be lost by it. Nothing here blocks its caller: files are read and written, and cards opened and closed, on threads
//! of their own. This module knows no RTP and no codec.

#[cfg(feature = "audio")]
pub mod cpal;
pub mod echo;
pub mod none;
pub mod record;
pub mod resample;
pub mod spec;
pub mod tone;
pub mod wav;

pub use self::record::{RecordError, Recorder};
pub use self::spec::{AudioSpec, SpecError};
pub use super::{Sink, Source};

/// A source that follows its session from rate to rate, and says how it is doing.
pub trait Input: Source {
    /// From the next `read` on, samples are at `rate` Hz. What was being played goes on where it was.
    fn set_rate(&mut self, rate: u32);

    /// Whether there is still anything behind this source. It goes on delivering silence when there is not.
    fn condition(&self) -> Condition {
        Condition::Working
    }
}

/// A sink that follows its session from rate to rate.
pub trait Output: Sink {
    /// From the next `write` on, samples are at `rate` Hz.
    fn set_rate(&mut self, rate: u32);

    /// Whether anybody still hears what is written.
    fn condition(&self) -> Condition {
        Condition::Working
    }
}

/// How a source or sink is doing. Once it has left `Working` it stays where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It delivers or takes sound.
    Working,
    /// A file was played to its end; silence follows.
    Finished,
    /// The device is gone; silence follows.
    Lost(Loss),
}

/// Why a sound device was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The system says that the device is no longer there.
    Disconnected,
    /// The device reported an error that does not pass.
    Failed,
    /// The device asked for or brought no sound for more than a second.
    Stalled,
}

impl std::fmt::Display for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Loss::Disconnected => "it was disconnected",
            Loss::Failed => "it reported an error",
            Loss::Stalled => "it stopped moving sound for more than a second",
        })
    }
}

/// Both directions of a call's sound, ready to be attached to a session.
pub struct Audio {
    /// What we send.
    pub input: Box<dyn Input>,
    /// What becomes of what we hear.
    pub output: Box<dyn Output>,
    /// What the user should be told once: silence stands in for something.
    pub warning: Option<Warning>,
}

impl Audio {
    /// Sends silence, drops what it hears. Allocates nothing.
    pub fn silence() -> Self {
        Self { input: Box::new(none::Silence), output: Box::new(none::Discard), warning: None }
    }

    /// Sends a tone of `hz` Hz, drops what it hears.
    pub fn tone(hz: f32) -> Self {
        Self { input: Box::new(tone::Tone::new(hz)), output: Box::new(none::Discard), warning: None }
    }

    /// Sends back what it hears.
    pub fn echo() -> Self {
        let (input, output) = echo::pair();
        Self { input: Box::new(input), output: Box::new(output), warning: None }
    }

    /// Anything else.
    pub fn new(input: impl Input + 'static, output: impl Output + 'static) -> Self {
        Self { input: Box::new(input), output: Box::new(output), warning: None }
    }
}

impl std::fmt::Debug for Audio {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Audio")
            .field("input", &self.input.condition())
            .field("output", &self.output.condition())
            .field("warning", &self.warning)
            .finish()
    }
}

/// Sound was opened, but not all of it works.
#[derive(Debug, thiserror::Error)]
pub enum Warning {
    /// The default sound card cannot be used: the call sends silence and is not heard.
    #[error("no sound: {0}; silence stands in for it")]
    Silent(OpenError),
    /// The device plays but does not capture: the call sends silence.
    #[error("sound device `{name}` has no usable microphone: {why}; silence is sent")]
    NoCapture {
        /// The device.
        name: String,
        /// What the system said.
        why: DeviceFault,
    },
    /// The device captures but does not play: the call is not heard.
    #[error("sound device `{name}` has no usable loudspeaker: {why}; the peer is not heard")]
    NoPlayback {
        /// The device.
        name: String,
        /// What the system said.
        why: DeviceFault,
    },
}

/// Why sound could not be opened. All of these are about something the user named.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The WAV file to play.
    #[error(transparent)]
    Wav(#[from] wav::WavError),
    /// A sound device, by name.
    #[error("sound device `{name}` does not exist; {}", listing(.known))]
    NoSuchDevice {
        /// The name that was asked for.
        name: String,
        /// Every device there is.
        known: Vec<String>,
    },
    /// A sound device that is there, or should be, and cannot be used.
    #[error("sound device `{name}` cannot be used: {why}; {}", listing(.known))]
    Unusable {
        /// The name that was asked for, `default` if none was.
        name: String,
        /// What the system said.
        why: DeviceFault,
        /// Every device there is.
        known: Vec<String>,
    },
    /// The package was built without the feature `audio`.
    #[error("this build has no sound card support (feature `audio`)")]
    NotBuilt,
}

/// What the sound system said about a device.
#[derive(Debug, thiserror::Error)]
pub enum DeviceFault {
    /// In the words of the sound system.
    #[cfg(feature = "audio")]
    #[error("{0}")]
    System(::cpal::Error),
    /// Neither direction offers a sample format that we can convert.
    #[error("it has no usable sample format")]
    Format,
    /// The rate the device runs at, Hz.
    #[error("its rate of {0} Hz is out of range")]
    Rate(u32),
    /// The thread that is to own the device could not be started.
    #[error("its thread could not be started")]
    Thread,
    /// The sound system was asked to open it and never answered.
    #[error("the sound system does not answer")]
    Silent,
}

/// A sound device as the system lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    /// What to write after `device:`.
    pub name: String,
    /// The system's description, one line, may be empty.
    pub description: String,
    /// It can capture.
    pub input: bool,
    /// It can play.
    pub output: bool,
}

/// Every sound device the system lists, without opening any of them.
pub fn devices() -> Vec<DeviceInfo> {
    #[cfg(feature = "audio")]
    return cpal::devices();
    #[cfg(not(feature = "audio"))]
    Vec::new()
}

fn listing(known: &[String]) -> String {
    if known.is_empty() {
        "there is no sound device here".into()
    } else {
        format!("there are: {}", known.join(", "))
    }
}

/// PCM to the range −1…1 in which resampling is done.
fn to_float(sample: i16) -> f32 {
    f32::from(sample) / 32768.0
}

/// Back to PCM, saturating.
fn to_pcm(sample: f32) -> i16 {
    (sample * 32768.0).round().clamp(-32768.0, 32767.0) as i16
}
