//! Records both sides of a call into one stereo WAV file: local left, remote right, 16 bit.
//!
//! The media thread only hands blocks to a bounded queue; a thread of its own writes them, and completes the header
//! once a second, so that the file is valid whenever the program is killed. When the disk cannot keep up, blocks are
//! replaced by as much silence and counted: the two sides stay in step with the clock.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hound::{SampleFormat, WavSpec, WavWriter};

use super::resample::Push;
use super::{to_float, to_pcm};

/// The recording cannot be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot record to `{}`: {why}", .path.display())]
pub struct RecordError {
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    pub why: std::io::Error,
}

/// A recording under way. Dropping it completes the file.
pub struct Recorder {
    queue: Option<SyncSender<Block>>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
    /// Samples not queued because the queue was full; made up for by silence.
    owed: usize,
}

#[derive(Default)]
struct Shared {
    /// Nothing is written any more: the disk is full, or gone, or the file has reached its largest size.
    failed: AtomicBool,
    /// Samples per side that were replaced by silence.
    lost: AtomicU64,
}

/// As much of both sides, at one rate.
struct Block {
    rate: u32,
    /// Silence that goes before, in samples per side.
    gap: usize,
    local: Vec<i16>,
    remote: Vec<i16>,
}

impl Recorder {
    /// Creates or empties the file, so that what is wrong with it is known before the call.
    ///
    /// The file gets the rate of the first block; later blocks at another rate are converted to it.
    pub fn create(path: &Path) -> Result<Self, RecordError> {
        let wrong = |why| RecordError { path: path.to_owned(), why };
        let file = File::create(path).map_err(wrong)?;
        let (queue, blocks) = sync_channel(QUEUE);
        let shared = Arc::new(Shared::default());
        let writer = Writer {
            path: path.to_owned(),
            file: Some(file),
            wav: None,
            rate: 0,
            shared: Arc::clone(&shared),
        };
        let named = thread::Builder::new().name("wav writer".into());
        let thread = named.spawn(move || writer.run(blocks)).map_err(wrong)?;
        Ok(Self { queue: Some(queue), thread: Some(thread), shared, owed: 0 })
    }

    /// Takes as much of one side as of the other; the shorter one is filled up with silence. Never blocks.
    pub fn write(&mut self, rate: u32, local: &[i16], remote: &[i16]) {
        let Some(queue) = &self.queue else { return };
        let length = local.len().max(remote.len());
        let filled = |side: &[i16]| {
            let mut side = side.to_vec();
            side.resize(length, 0);
            side
        };
        let gap = self.owed.min(rate as usize);
        let block = Block { rate, gap, local: filled(local), remote: filled(remote) };
        if queue.try_send(block).is_ok() {
            self.owed -= gap;
        } else {
            self.owed += length;
            self.shared.lost.fetch_add(length as u64, Ordering::Relaxed);
        }
    }

    /// Whether the disk refused to take more. Already told in the log.
    pub fn failed(&self) -> bool {
        self.shared.failed.load(Ordering::Relaxed)
    }

    /// Samples per side that became silence because the disk was too slow.
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Writes what is queued and completes the file. Blocks until that is done: not for the media thread.
    pub fn finish(mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("failed", &self.failed()).field("lost", &self.lost()).finish()
    }
}

struct Writer {
    path: PathBuf,
    file: Option<File>,
    wav: Option<Wav>,
    /// Of the file, Hz; 0 before the first block.
    rate: u32,
    shared: Arc<Shared>,
}

struct Wav {
    writer: WavWriter<BufWriter<File>>,
    /// For blocks at another rate than the file's: that rate, and one converter per side.
    converters: Option<(u32, Push, Push)>,
}

impl Writer {
    fn run(mut self, blocks: Receiver<Block>) {
        let mut flushed = Instant::now();
        loop {
            let result = match blocks.recv_timeout(FLUSH_EVERY) {
                Ok(block) => self.block(&block),
                Err(RecvTimeoutError::Timeout) => Ok(()),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let result = result.and_then(|()| {
                if flushed.elapsed() >= FLUSH_EVERY
                    && let Some(wav) = &mut self.wav
                {
                    flushed = Instant::now();
                    wav.writer.flush()?;
                }
                Ok(())
            });
            if let Err(why) = result {
                self.shared.failed.store(true, Ordering::Relaxed);
                tracing::warn!(path = %self.path.display(), %why, "the recording stops here");
                // Go on emptying the queue: the media thread does not care.
                while blocks.recv().is_ok() {}
                return;
            }
        }
        if let Err(why) = self.complete() {
            self.shared.failed.store(true, Ordering::Relaxed);
            tracing::warn!(path = %self.path.display(), %why, "the recording could not be completed");
        }
    }

    fn block(&mut self, block: &Block) -> hound::Result<()> {
        let rate = self.rate;
        let wav = self.open(block.rate)?;
        let rate = if rate == 0 { block.rate } else { rate };
        if wav.writer.len() > MOST_SAMPLES {
            return Err(hound::Error::FormatError("a WAV file cannot be larger than 4 GiB"));
        }
        for _ in 0..block.gap {
            wav.writer.write_sample(0i16)?;
            wav.writer.write_sample(0i16)?;
        }
        if block.rate == rate {
            for (left, right) in block.local.iter().zip(&block.remote) {
                wav.writer.write_sample(*left)?;
                wav.writer.write_sample(*right)?;
            }
            return Ok(());
        }
        if wav.converters.as_ref().is_none_or(|(from, ..)| *from != block.rate) {
            let make = || Push::new(block.rate, rate, false);
            let (Ok(left), Ok(right)) = (make(), make()) else {
                return Err(hound::Error::FormatError("the session's rate cannot be converted"));
            };
            wav.converters = Some((block.rate, left, right));
        }
        if let Some((_, left, right)) = &mut wav.converters {
            // The same converter fed the same lengths: both sides come out equally long.
            let (left, right) = (converted(left, &block.local), converted(right, &block.remote));
            for (left, right) in left.into_iter().zip(right) {
                wav.writer.write_sample(left)?;
                wav.writer.write_sample(right)?;
            }
        }
        Ok(())
    }

    fn open(&mut self, rate: u32) -> hound::Result<&mut Wav> {
        if let Some(file) = self.file.take() {
            let spec = WavSpec {
                channels: 2,
                sample_rate: rate,
                bits_per_sample: 16,
                sample_format: SampleFormat::Int,
            };
            let mut writer = WavWriter::new(BufWriter::new(file), spec)?;
            writer.flush()?;
            self.rate = rate;
            self.wav = Some(Wav { writer, converters: None });
        }
        self.wav.as_mut().ok_or(hound::Error::FormatError("the file could not be opened"))
    }

    /// A call without media still leaves a valid, empty file.
    fn complete(&mut self) -> hound::Result<()> {
        self.open(8000)?;
        self.wav.take().map_or(Ok(()), |wav| wav.writer.finalize())
    }
}

fn converted(converter: &mut Push, pcm: &[i16]) -> Vec<i16> {
    let floats: Vec<f32> = pcm.iter().map(|sample| to_float(*sample)).collect();
    let mut out = Vec::new();
    converter.write(&floats, |piece| out.extend(piece.iter().map(|sample| to_pcm(*sample))));
    out
}

/// Blocks the disk may be behind: 10 s of 20 ms blocks.
const QUEUE: usize = 500;
/// How often the header is made to say what is in the file.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// Samples of both sides: what fits into a WAV file's 32 bit length, less a little.
const MOST_SAMPLES: u32 = u32::MAX / 2 - 200_000;

#[cfg(test)]
mod tests {
    use super::*;

    struct Scratch(PathBuf);
    impl Scratch {
        fn new(name: &str) -> Self {
            Self(std::env::temp_dir().join(format!("sipkit-record-{}-{name}", std::process::id())))
        }
        fn read(&self) -> (WavSpec, Vec<i16>) {
            let mut reader = hound::WavReader::open(&self.0).unwrap();
            (reader.spec(), reader.samples::<i16>().map(Result::unwrap).collect())
        }
    }
    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    #[test]
    fn local_is_left_and_remote_is_right() {
        let file = Scratch::new("sides.wav");
        let mut recorder = Recorder::create(&file.0).unwrap();
        recorder.write(16000, &[1, 2, 3], &[-1, -2]);
        recorder.finish();
        let (spec, samples) = file.read();
        assert_eq!((spec.channels, spec.sample_rate, spec.bits_per_sample), (2, 16000, 16));
        assert_eq!(samples, [1, -1, 2, -2, 3, 0]);
    }

    #[test]
    fn valid_while_it_is_being_written() {
        let file = Scratch::new("live.wav");
        let mut recorder = Recorder::create(&file.0).unwrap();
        for _ in 0..120 {
            recorder.write(8000, &[7; 160], &[8; 160]);
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::sleep(Duration::from_millis(1100));
        let (_, samples) = file.read();
        assert_eq!(samples.len(), 120 * 320);
        recorder.finish();
    }

    #[test]
    fn a_rate_change_keeps_the_files_rate() {
        let file = Scratch::new("rates.wav");
        let mut recorder = Recorder::create(&file.0).unwrap();
        for _ in 0..50 {
            recorder.write(8000, &[100; 160], &[200; 160]);
        }
        for _ in 0..50 {
            recorder.write(48000, &[100; 960], &[200; 960]);
        }
        recorder.finish();
        let (spec, samples) = file.read();
        assert_eq!(spec.sample_rate, 8000);
        assert!((samples.len() as i64 - 2 * 16000).abs() < 800, "{}", samples.len());
        assert!((samples[31000] - 100).abs() <= 1 && (samples[31001] - 200).abs() <= 1);
    }

    #[test]
    fn an_empty_call_leaves_a_valid_file_and_a_bad_path_is_told() {
        let file = Scratch::new("empty.wav");
        Recorder::create(&file.0).unwrap().finish();
        assert!(file.read().1.is_empty());
        let why = Recorder::create(Path::new("/nonexistent/x.wav")).err().unwrap().to_string();
        assert!(why.starts_with("cannot record to `/nonexistent/x.wav`"), "{why}");
    }

    #[test]
    fn a_disk_that_is_full_is_noticed_and_harms_nobody() {
        let full = Path::new("/dev/full");
        if !full.exists() {
            return;
        }
        let mut recorder = Recorder::create(full).unwrap();
        for _ in 0..2000 {
            recorder.write(48000, &[1; 960], &[1; 960]);
        }
        for _ in 0..200 {
            if recorder.failed() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the full disk was not noticed");
    }
}
