//! Plays a WAV file: any rate, any number of channels (mixed to one), 8 to 32 bit integers or 32 bit floats.
//!
//! The header is judged before the call starts, with an error that says what was found. The sound is read ahead by a
//! thread of its own, so that a slow disk stalls nobody. Compressed WAV (A-law, ADPCM, …) is refused.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;

use hound::{SampleFormat, WavReader, WavSpec};

use super::resample::{MAX_RATE, MIN_RATE, Pull};
use super::{Condition, Input, Source, to_pcm};

/// Why a file cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum WavError {
    /// It cannot be opened or read.
    #[error("cannot read `{}`: {why}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        why: std::io::Error,
    },
    /// Its first bytes are not those of a WAV file.
    #[error("`{}` is not a WAV file: it begins with {found}, where \"RIFF….WAVE\" is expected", .path.display())]
    NotWav {
        /// The file.
        path: PathBuf,
        /// Its first bytes, readable.
        found: String,
    },
    /// It says that it is a WAV file, and goes wrong after that.
    #[error("`{}` is a damaged WAV file: {why}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: &'static str,
    },
    /// A WAV file whose kind of samples cannot be played.
    #[error("`{}` is a WAV file of an unsupported kind: {why}", .path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What is unsupported.
        why: &'static str,
    },
    /// A WAV file with a rate that is none.
    #[error("`{}` has a rate of {rate} Hz; {MIN_RATE} to {MAX_RATE} can be played", .path.display())]
    Rate {
        /// The file.
        path: PathBuf,
        /// Hz.
        rate: u32,
    },
}

/// A file being played once, then silence.
pub struct WavSource {
    blocks: Receiver<Vec<f32>>,
    block: Vec<f32>,
    /// How much of `block` has been played.
    used: usize,
    /// Hz.
    file_rate: u32,
    resampler: Option<Pull>,
    scratch: Vec<f32>,
    /// The reader is through with the file.
    ended: bool,
    finished: bool,
}

impl WavSource {
    /// Opens `path` and reads the first seconds. What is wrong with the file is found here, not in mid-call.
    pub fn open(path: &Path) -> Result<Self, WavError> {
        let mut reader = open(path)?;
        let spec = reader.spec();
        let (sender, blocks) = sync_channel(READ_AHEAD);
        // A short file is in memory now, and needs no thread.
        let mut ended = false;
        for _ in 0..READ_AHEAD {
            match decode(&mut reader, spec) {
                Ok(block) if block.is_empty() => {
                    ended = true;
                    break;
                }
                Ok(block) => sender.try_send(block).unwrap_or_default(),
                Err(why) => return Err(explain(path, why)),
            }
        }
        if !ended {
            let path = path.to_owned();
            let named = thread::Builder::new().name("wav reader".into());
            let started = named.spawn({
                let path = path.clone();
                move || read_on(reader, spec, sender, &path)
            });
            started.map_err(|why| WavError::Io { path, why })?;
        }
        let mut source = Self {
            blocks,
            block: Vec::new(),
            used: 0,
            file_rate: spec.sample_rate,
            resampler: None,
            scratch: Vec::new(),
            ended: false,
            finished: false,
        };
        source.set_rate(8000);
        Ok(source)
    }

    /// Whether the file has been played to its end.
    pub fn finished(&self) -> bool {
        self.finished
    }

    /// The next samples of the file at its own rate; silence when the disk is late or the file is through.
    fn fetch(
        out: &mut [f32],
        blocks: &Receiver<Vec<f32>>,
        block: &mut Vec<f32>,
        used: &mut usize,
        ended: &mut bool,
    ) {
        let mut filled = 0;
        while filled < out.len() {
            if *used == block.len() {
                *used = 0;
                match blocks.try_recv() {
                    Ok(next) => *block = next,
                    Err(why) => {
                        block.clear();
                        *ended = matches!(why, TryRecvError::Disconnected);
                        break;
                    }
                }
            }
            let now = (block.len() - *used).min(out.len() - filled);
            out[filled..filled + now].copy_from_slice(&block[*used..*used + now]);
            filled += now;
            *used += now;
        }
        out[filled..].fill(0.0);
    }
}

impl Source for WavSource {
    fn read(&mut self, out: &mut [i16]) {
        let Some(resampler) = self.resampler.as_mut().filter(|_| !self.finished) else { return out.fill(0) };
        let Self { blocks, block, used, ended, scratch, .. } = self;
        scratch.resize(out.len(), 0.0);
        resampler.read(scratch, |wanted| Self::fetch(wanted, blocks, block, used, ended));
        for (sample, float) in out.iter_mut().zip(scratch.iter()) {
            *sample = to_pcm(*float);
        }
        // One block of silence after the last sample lets the filter ring out before we call it the end.
        self.finished = *ended && out.iter().all(|sample| *sample == 0);
    }
}

impl Input for WavSource {
    fn set_rate(&mut self, rate: u32) {
        match Pull::new(self.file_rate, rate, false) {
            Ok(resampler) => self.resampler = Some(resampler),
            Err(why) => {
                tracing::warn!(%why, "the file cannot be played at the session's rate");
                self.resampler = None;
            }
        }
    }

    fn condition(&self) -> Condition {
        if self.finished { Condition::Finished } else { Condition::Working }
    }
}

fn open(path: &Path) -> Result<WavReader<BufReader<File>>, WavError> {
    let io = |why| WavError::Io { path: path.to_owned(), why };
    let mut head = Vec::new();
    File::open(path).map_err(io)?.take(12).read_to_end(&mut head).map_err(io)?;
    if !(head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WAVE")) {
        let found =
            if head.is_empty() { "nothing at all".into() } else { format!("\"{}\"", head.escape_ascii()) };
        return Err(WavError::NotWav { path: path.to_owned(), found });
    }
    let reader = WavReader::open(path).map_err(|why| explain(path, why))?;
    let spec = reader.spec();
    if spec.channels == 0 {
        return Err(WavError::Damaged { path: path.to_owned(), why: "it has no channels" });
    }
    if !(MIN_RATE..=MAX_RATE).contains(&spec.sample_rate) {
        return Err(WavError::Rate { path: path.to_owned(), rate: spec.sample_rate });
    }
    Ok(reader)
}

fn explain(path: &Path, why: hound::Error) -> WavError {
    let path = path.to_owned();
    match why {
        hound::Error::IoError(why) if cut_short(&why) => {
            WavError::Damaged { path, why: "it ends in mid-header" }
        }
        hound::Error::IoError(why) => WavError::Io { path, why },
        hound::Error::FormatError(why) => WavError::Damaged { path, why },
        hound::Error::UnfinishedSample => WavError::Damaged { path, why: "it ends in mid-sample" },
        hound::Error::Unsupported => WavError::Unsupported {
            path,
            why: "compressed or otherwise not plain PCM; convert it, e.g. with sox",
        },
        _ => WavError::Unsupported { path, why: "its samples are wider than it says" },
    }
}

/// hound says `Other` where the system would say that the file ends here.
fn cut_short(why: &std::io::Error) -> bool {
    matches!(why.kind(), std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::Other)
}

/// Up to one block, mixed to one channel; empty at the end of the file.
fn decode<R: Read>(reader: &mut WavReader<R>, spec: WavSpec) -> Result<Vec<f32>, hound::Error> {
    let channels = usize::from(spec.channels.max(1));
    let wanted = BLOCK * channels;
    let samples: Vec<f32> = match spec.sample_format {
        SampleFormat::Float => until_end(reader.samples::<f32>().take(wanted))?,
        SampleFormat::Int => {
            let full = 2f32.powi(i32::from(spec.bits_per_sample.clamp(1, 32)) - 1);
            until_end(reader.samples::<i32>().take(wanted))?
                .into_iter()
                .map(|s: i32| s as f32 / full)
                .collect()
        }
    };
    Ok(samples.chunks_exact(channels).map(|frame| frame.iter().sum::<f32>() / channels as f32).collect())
}

/// A file cut short (a recorder that was killed) is played as far as it goes.
fn until_end<S>(samples: impl Iterator<Item = Result<S, hound::Error>>) -> Result<Vec<S>, hound::Error> {
    let mut all = Vec::new();
    for sample in samples {
        match sample {
            Ok(sample) => all.push(sample),
            Err(hound::Error::IoError(why)) if cut_short(&why) => break,
            Err(hound::Error::FormatError(_) | hound::Error::UnfinishedSample) if !all.is_empty() => break,
            Err(why) => return Err(why),
        }
    }
    Ok(all)
}

/// The rest of a long file; ends when it does, or when nobody listens any more.
fn read_on(mut reader: WavReader<BufReader<File>>, spec: WavSpec, to: SyncSender<Vec<f32>>, path: &Path) {
    loop {
        match decode(&mut reader, spec) {
            Ok(block) if block.is_empty() => return,
            Ok(block) => {
                if to.send(block).is_err() {
                    return;
                }
            }
            Err(why) => {
                return tracing::warn!(path = %path.display(), %why, "the file being played ends early");
            }
        }
    }
}

/// Frames a block.
const BLOCK: usize = 8192;
/// Blocks read ahead: 1.4 s of a 48 kHz file, 8 s of an 8 kHz one.
const READ_AHEAD: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use std::f32::consts::TAU;

    struct Scratch(PathBuf);
    impl Scratch {
        fn new(name: &str) -> Self {
            Self(std::env::temp_dir().join(format!("sipkit-wav-{}-{name}", std::process::id())))
        }
    }
    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    fn write_tone(path: &Path, spec: WavSpec, seconds: f32) {
        let mut writer = hound::WavWriter::create(path, spec).unwrap();
        for n in 0..(seconds * spec.sample_rate as f32) as u32 {
            let value = (TAU * 1000.0 * n as f32 / spec.sample_rate as f32).sin() * 0.5;
            for _ in 0..spec.channels {
                match spec.sample_format {
                    SampleFormat::Float => writer.write_sample(value).unwrap(),
                    SampleFormat::Int => {
                        let full = 2f32.powi(i32::from(spec.bits_per_sample) - 1) - 1.0;
                        writer.write_sample((value * full) as i32).unwrap();
                    }
                }
            }
        }
        writer.finalize().unwrap();
    }

    fn level(pcm: &[i16], hz: f32, rate: u32) -> f32 {
        let (mut re, mut im) = (0.0, 0.0);
        for (n, sample) in pcm.iter().enumerate() {
            let angle = TAU * hz * n as f32 / rate as f32;
            re += f32::from(*sample) * angle.cos();
            im += f32::from(*sample) * angle.sin();
        }
        2.0 * re.hypot(im) / pcm.len() as f32
    }

    #[test]
    fn every_kind_of_file_sounds_the_same() {
        for (bits, format) in [
            (8, SampleFormat::Int),
            (16, SampleFormat::Int),
            (24, SampleFormat::Int),
            (32, SampleFormat::Int),
        ]
        .into_iter()
        .chain([(32, SampleFormat::Float)])
        {
            for (rate, channels) in [(8000, 1), (22050, 2), (44100, 1), (48000, 6)] {
                let file = Scratch::new(&format!("{bits}-{rate}-{channels}-{format:?}.wav"));
                let spec =
                    WavSpec { channels, sample_rate: rate, bits_per_sample: bits, sample_format: format };
                write_tone(&file.0, spec, 1.0);
                let mut source = WavSource::open(&file.0).unwrap();
                source.set_rate(16000);
                let mut pcm = vec![0i16; 8000];
                pcm.chunks_mut(320).for_each(|block| source.read(block));
                let level = level(&pcm[1600..8000], 1000.0, 16000);
                assert!((level - 16384.0).abs() < 400.0, "{bits} {rate} {channels}: {level}");
            }
        }
    }

    #[test]
    fn a_long_file_is_read_on_and_its_end_is_seen() {
        let file = Scratch::new("long.wav");
        let spec = WavSpec {
            channels: 1,
            sample_rate: 48000,
            bits_per_sample: 16,
            sample_format: SampleFormat::Int,
        };
        write_tone(&file.0, spec, 4.0);
        let mut source = WavSource::open(&file.0).unwrap();
        source.set_rate(48000);
        // A reader thread that gets no processor is a late disk: silence in between, and nothing lost. So what is
        // counted is the sound, not the blocks it came in.
        let loudness = |pcm: &[i16]| pcm.iter().map(|s| u64::from(s.unsigned_abs())).sum::<u64>();
        let whole: u64 = hound::WavReader::open(&file.0)
            .unwrap()
            .samples::<i16>()
            .map(|s| u64::from(s.unwrap().unsigned_abs()))
            .sum();
        let patience = std::time::Instant::now() + std::time::Duration::from_secs(60);
        let (mut heard, mut block) = (0, [0i16; 480]);
        while source.condition() == Condition::Working && std::time::Instant::now() < patience {
            source.read(&mut block);
            heard += loudness(&block);
            if loudness(&block) == 0 {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
        }
        assert!(source.finished());
        assert_eq!(heard, whole);
        source.read(&mut block);
        assert_eq!(block, [0; 480]);
    }

    #[test]
    fn a_rate_change_does_not_start_the_file_again() {
        let file = Scratch::new("change.wav");
        let spec = WavSpec {
            channels: 1,
            sample_rate: 16000,
            bits_per_sample: 16,
            sample_format: SampleFormat::Int,
        };
        write_tone(&file.0, spec, 1.0);
        let mut source = WavSource::open(&file.0).unwrap();
        source.set_rate(8000);
        source.read(&mut vec![0; 4000]);
        source.set_rate(48000);
        let mut rest = vec![0; 48000];
        source.read(&mut rest);
        let sounding = rest.iter().rposition(|s| s.unsigned_abs() > 100).unwrap();
        assert!((23000..25000).contains(&sounding), "{sounding}");
    }

    #[test]
    fn what_is_no_wav_is_told_precisely() {
        let file = Scratch::new("bad");
        let told = |bytes: &[u8]| {
            std::fs::write(&file.0, bytes).unwrap();
            WavSource::open(&file.0).err().map(|why| why.to_string()).unwrap_or_default()
        };
        assert!(told(b"").contains("nothing at all"));
        assert!(told(b"Dear diary, today").contains("it begins with \"Dear diary, \""));
        assert!(told(b"RIFF\x10\0\0\0AVI LIST").contains("is not a WAV file"));
        assert!(told(b"RIFF\x10\0\0\0WAVE").contains("damaged"));
        let missing = WavSource::open(Path::new("/nonexistent/x.wav")).err().unwrap().to_string();
        assert!(missing.contains("cannot read `/nonexistent/x.wav`"), "{missing}");
        assert!(matches!(WavSource::open(Path::new("/")), Err(WavError::Io { .. })));
    }

    #[test]
    fn no_damage_to_a_file_panics_or_hangs() {
        let file = Scratch::new("fuzz.wav");
        let spec =
            WavSpec { channels: 2, sample_rate: 8000, bits_per_sample: 16, sample_format: SampleFormat::Int };
        write_tone(&file.0, spec, 0.02);
        let good = std::fs::read(&file.0).unwrap();
        for at in 0..44 {
            for value in [0u8, 1, 3, 6, 0x7f, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                std::fs::write(&file.0, &bad).unwrap();
                if let Ok(mut source) = WavSource::open(&file.0) {
                    source.read(&mut [0; 1600]);
                }
            }
        }
        for length in 0..good.len().min(64) {
            std::fs::write(&file.0, &good[..length]).unwrap();
            let _ = WavSource::open(&file.0);
        }
    }
}
