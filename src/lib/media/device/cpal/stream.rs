//! The card's side of the rings: choosing its format, and callbacks that neither lock nor allocate.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, Thread};
use std::time::Duration;

use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{
    BufferSize, Device, ErrorKind, FromSample, Sample, SampleFormat, SizedSample, Stream, StreamConfig,
    SupportedStreamConfigRange,
};
use rtrb::{Consumer, Producer, RingBuffer};

use super::super::{DeviceFault, Loss};
use super::line;
use super::{Shared, Side};

/// A running stream, and the media thread's end of its ring.
pub(super) struct Opened<R> {
    pub stream: Stream,
    pub ring: R,
    /// Hz, the card's own.
    pub rate: u32,
}

/// Opens and starts the microphone side.
pub(super) fn capture(device: &Device, shared: &Arc<Shared>) -> Result<Opened<Consumer<f32>>, DeviceFault> {
    let configs = device.supported_input_configs().map_err(DeviceFault::System)?;
    let (config, format) = choose(configs, 1).ok_or(DeviceFault::Format)?;
    let mut last = DeviceFault::Format;
    for buffer_size in [BufferSize::Fixed(config.sample_rate / PERIODS_A_SECOND), BufferSize::Default] {
        let config = StreamConfig { buffer_size, ..config };
        let (producer, ring) = RingBuffer::new(line::capacity(config.sample_rate));
        let errors = errors(shared, |shared| &shared.capture);
        let stream = match format {
            SampleFormat::F32 => capture_as::<f32>(device, config, producer, shared, errors),
            SampleFormat::I16 => capture_as::<i16>(device, config, producer, shared, errors),
            SampleFormat::I32 => capture_as::<i32>(device, config, producer, shared, errors),
            SampleFormat::I24 => capture_as::<cpal::I24>(device, config, producer, shared, errors),
            SampleFormat::F64 => capture_as::<f64>(device, config, producer, shared, errors),
            SampleFormat::U8 => capture_as::<u8>(device, config, producer, shared, errors),
            _ => return Err(DeviceFault::Format),
        };
        match stream.and_then(|stream| stream.play().map(|()| stream)) {
            Ok(stream) => return Ok(Opened { stream, ring, rate: config.sample_rate }),
            Err(why) => last = DeviceFault::System(why),
        }
    }
    Err(last)
}

/// Opens and starts the loudspeaker side.
pub(super) fn playback(device: &Device, shared: &Arc<Shared>) -> Result<Opened<Producer<f32>>, DeviceFault> {
    let configs = device.supported_output_configs().map_err(DeviceFault::System)?;
    let (config, format) = choose(configs, 2).ok_or(DeviceFault::Format)?;
    let mut last = DeviceFault::Format;
    for buffer_size in [BufferSize::Fixed(config.sample_rate / PERIODS_A_SECOND), BufferSize::Default] {
        let config = StreamConfig { buffer_size, ..config };
        let (ring, consumer) = RingBuffer::new(line::capacity(config.sample_rate));
        let errors = errors(shared, |shared| &shared.playback);
        let stream = match format {
            SampleFormat::F32 => play_as::<f32>(device, config, consumer, shared, errors),
            SampleFormat::I16 => play_as::<i16>(device, config, consumer, shared, errors),
            SampleFormat::I32 => play_as::<i32>(device, config, consumer, shared, errors),
            SampleFormat::I24 => play_as::<cpal::I24>(device, config, consumer, shared, errors),
            SampleFormat::F64 => play_as::<f64>(device, config, consumer, shared, errors),
            SampleFormat::U8 => play_as::<u8>(device, config, consumer, shared, errors),
            _ => return Err(DeviceFault::Format),
        };
        match stream.and_then(|stream| stream.play().map(|()| stream)) {
            Ok(stream) => return Ok(Opened { stream, ring, rate: config.sample_rate }),
            Err(why) => last = DeviceFault::System(why),
        }
    }
    Err(last)
}

/// The card's own way of running that is least work to convert: a format we know, few channels, 48 kHz if it has it.
fn choose(
    offered: impl Iterator<Item = SupportedStreamConfigRange>,
    channels: u16,
) -> Option<(StreamConfig, SampleFormat)> {
    offered
        .filter_map(|range| {
            let format = FORMATS.iter().position(|format| *format == range.sample_format())?;
            let rate = PREFERRED_RATE.clamp(range.min_sample_rate(), range.max_sample_rate());
            let cost = (range.channels().abs_diff(channels), rate.abs_diff(PREFERRED_RATE), format);
            let config = StreamConfig {
                channels: range.channels(),
                sample_rate: rate,
                buffer_size: BufferSize::Default,
            };
            Some((cost, config, range.sample_format()))
        })
        .min_by_key(|(cost, ..)| *cost)
        .map(|(_, config, format)| (config, format))
}

fn capture_as<T: SizedSample>(
    device: &Device,
    config: StreamConfig,
    mut ring: Producer<f32>,
    shared: &Arc<Shared>,
    errors: impl FnMut(cpal::Error) + Send + 'static,
) -> Result<Stream, cpal::Error>
where
    f32: FromSample<T>,
{
    let shared = Arc::clone(shared);
    let channels = usize::from(config.channels.max(1));
    let scale = 1.0 / channels as f32;
    let heard = move |data: &[T], _: &cpal::InputCallbackInfo| {
        shared.capture.beat();
        let room = ring.slots().min(data.len() / channels);
        // When the media thread is late the newest sound is dropped; it cuts the ring back itself when it returns.
        if let Ok(chunk) = ring.write_chunk_uninit(room) {
            let mixed = data.chunks_exact(channels);
            chunk.fill_from_iter(
                mixed.map(|frame| frame.iter().map(|s| f32::from_sample(*s)).sum::<f32>() * scale),
            );
        }
    };
    device.build_input_stream(config, heard, errors, None)
}

fn play_as<T: SizedSample + FromSample<f32>>(
    device: &Device,
    config: StreamConfig,
    mut ring: Consumer<f32>,
    shared: &Arc<Shared>,
    errors: impl FnMut(cpal::Error) + Send + 'static,
) -> Result<Stream, cpal::Error> {
    let shared = Arc::clone(shared);
    let channels = usize::from(config.channels.max(1));
    let target = line::target(config.sample_rate);
    let mut flowing = false;
    let wanted = move |data: &mut [T], _: &cpal::OutputCallbackInfo| {
        shared.playback.beat();
        let waiting = ring.slots();
        // After running dry, wait for the target again: one gap instead of a gap each period.
        flowing &= waiting > 0;
        flowing |= waiting >= target;
        let ready = if flowing { waiting.min(data.len() / channels) } else { 0 };
        let mut frames = data.chunks_exact_mut(channels);
        if let Ok(chunk) = ring.read_chunk(ready) {
            for (sample, frame) in chunk.into_iter().zip(&mut frames) {
                // The two front channels; a voice from every corner of the room helps nobody.
                for (channel, slot) in frame.iter_mut().enumerate() {
                    *slot = if channel < 2 { T::from_sample(sample) } else { T::EQUILIBRIUM };
                }
            }
        }
        frames.for_each(|frame| frame.fill(T::EQUILIBRIUM));
    };
    device.build_output_stream(config, wanted, errors, None)
}

/// What a stream's errors mean for the call. Called by cpal's thread, in a tight loop when the card is broken.
fn errors(
    shared: &Arc<Shared>,
    side: fn(&Shared) -> &Side,
) -> impl FnMut(cpal::Error) + Send + 'static + use<> {
    let shared = Arc::clone(shared);
    let owner: Thread = thread::current();
    move |error| match error.kind() {
        // Heals by itself; if it does not, the callbacks stay away and the owner notices.
        ErrorKind::Xrun | ErrorKind::RealtimeDenied | ErrorKind::DeviceChanged => {}
        ErrorKind::DeviceNotAvailable => {
            shared.lose(Loss::Disconnected);
            owner.unpark();
        }
        // PulseAudio's plug-in says "I/O error" now and then while it starts, and for ever when its server is gone.
        _ => {
            if !side(&shared).failing.swap(true, Ordering::Relaxed) {
                tracing::debug!(%error, "sound card");
            }
            thread::sleep(BETWEEN_ERRORS);
        }
    }
}

/// What we can convert, best first.
const FORMATS: [SampleFormat; 6] = [
    SampleFormat::F32,
    SampleFormat::I16,
    SampleFormat::I32,
    SampleFormat::I24,
    SampleFormat::F64,
    SampleFormat::U8,
];
/// Hz: what nearly every card runs at, and the rate of Opus.
const PREFERRED_RATE: u32 = 48_000;
/// Callbacks of 20 ms: short enough for a conversation, long enough for a busy machine.
const PERIODS_A_SECOND: u32 = 50;
/// A broken stream reports the same error as fast as it is let.
const BETWEEN_ERRORS: Duration = Duration::from_millis(5);
