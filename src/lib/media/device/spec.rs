//! What a user writes after `--audio`: `device`, `device:NAME`, `none`, `tone:440`, `echo`, `file:IN.wav`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::{Audio, Input, OpenError, Warning, none, wav};

/// Which sound a call is to have.
#[derive(Debug, Clone, PartialEq)]
pub enum AudioSpec {
    /// A sound card; `None` is the system's default one.
    Device(Option<String>),
    /// Silence out, nothing kept.
    None,
    /// A tone of so many Hz out, nothing kept.
    Tone(f32),
    /// What is heard is sent back.
    Echo,
    /// A WAV file out, nothing kept.
    File(PathBuf),
}

impl AudioSpec {
    /// Opens what is described. May take as long as the sound system takes: not for the media thread.
    ///
    /// A device by name that cannot be used is an error. The default device that cannot be used is silence with
    /// [`Audio::warning`] set; a program whose user insisted on sound makes that its failure.
    pub fn open(&self) -> Result<Audio, OpenError> {
        match self {
            Self::Device(name) => match open_device(name.as_deref()) {
                Err(why) if name.is_none() => {
                    Ok(Audio { warning: Some(Warning::Silent(why)), ..Audio::silence() })
                }
                opened => opened,
            },
            Self::None => Ok(Audio::silence()),
            Self::Tone(hz) => Ok(Audio::tone(*hz)),
            Self::Echo => Ok(Audio::echo()),
            Self::File(path) => {
                let input: Box<dyn Input> = Box::new(wav::WavSource::open(path)?);
                Ok(Audio { input, output: Box::new(none::Discard), warning: None })
            }
        }
    }
}

#[cfg(feature = "audio")]
fn open_device(name: Option<&str>) -> Result<Audio, OpenError> {
    super::cpal::open(name)
}

#[cfg(not(feature = "audio"))]
fn open_device(_name: Option<&str>) -> Result<Audio, OpenError> {
    Err(OpenError::NotBuilt)
}

impl FromStr for AudioSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let (kind, rest) = match text.split_once(':') {
            Some((kind, rest)) => (kind, Some(rest)),
            None => (text, None),
        };
        match (kind, rest) {
            ("device", None) => Ok(Self::Device(None)),
            ("device", Some("")) => Err(SpecError::NoName),
            ("device", Some(name)) => Ok(Self::Device(Some(name.to_owned()))),
            ("none", None) => Ok(Self::None),
            ("echo", None) => Ok(Self::Echo),
            ("tone", None) => Ok(Self::Tone(440.0)),
            ("tone", Some(hz)) => match hz.strip_suffix("Hz").unwrap_or(hz).parse::<f32>() {
                Ok(hz) if (MIN_TONE..=MAX_TONE).contains(&hz) => Ok(Self::Tone(hz)),
                _ => Err(SpecError::Tone(hz.to_owned())),
            },
            ("file", Some(path)) if !path.is_empty() => Ok(Self::File(PathBuf::from(path))),
            ("file", _) => Err(SpecError::NoFile),
            _ => Err(SpecError::Unknown(text.to_owned())),
        }
    }
}

impl fmt::Display for AudioSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(None) => f.write_str("device"),
            Self::Device(Some(name)) => write!(f, "device:{name}"),
            Self::None => f.write_str("none"),
            Self::Tone(hz) => write!(f, "tone:{hz}"),
            Self::Echo => f.write_str("echo"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

/// Hz; below is felt rather than heard.
const MIN_TONE: f32 = 20.0;
/// Hz; half of the highest session rate.
const MAX_TONE: f32 = 24_000.0;

/// What is wrong with an `--audio` value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// None of the known kinds.
    #[error("`{0}` is none of device, device:NAME, none, tone:HZ, echo, file:IN.wav")]
    Unknown(String),
    /// `device:` and nothing after it.
    #[error("`device:` wants a device name; `device` alone is the default one")]
    NoName,
    /// `file` without a path.
    #[error("`file:` wants the path of a WAV file")]
    NoFile,
    /// Not a frequency.
    #[error("`{0}` is no frequency of 20 to 24000 Hz")]
    Tone(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_reads_and_writes_back() {
        for (text, spec) in [
            ("device", AudioSpec::Device(None)),
            ("device:plughw:CARD=0,DEV=0", AudioSpec::Device(Some("plughw:CARD=0,DEV=0".into()))),
            ("none", AudioSpec::None),
            ("tone:440", AudioSpec::Tone(440.0)),
            ("echo", AudioSpec::Echo),
            ("file:a:b.wav", AudioSpec::File("a:b.wav".into())),
        ] {
            assert_eq!(text.parse(), Ok(spec.clone()));
            assert_eq!(spec.to_string(), text);
        }
        assert_eq!("tone".parse(), Ok(AudioSpec::Tone(440.0)));
        assert_eq!("tone:1000Hz".parse(), Ok(AudioSpec::Tone(1000.0)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, error) in [
            ("", SpecError::Unknown("".into())),
            ("none:x", SpecError::Unknown("none:x".into())),
            ("device:", SpecError::NoName),
            ("file", SpecError::NoFile),
            ("file:", SpecError::NoFile),
            ("tone:x", SpecError::Tone("x".into())),
            ("tone:NaN", SpecError::Tone("NaN".into())),
            ("tone:1e9", SpecError::Tone("1e9".into())),
        ] {
            assert_eq!(text.parse::<AudioSpec>(), Err(error));
        }
    }
}
