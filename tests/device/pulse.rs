//! A PulseAudio of the test's own: a loudspeaker and a microphone that are null sinks, and nobody else's sound.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The server and its files; dropping it ends both.
pub struct Pulse {
    folder: PathBuf,
    server: Option<Child>,
    players: Vec<Child>,
}

impl Pulse {
    /// Starts the server and waits until it answers.
    pub fn start(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("sipkit-pulse-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("pulse")).expect("a folder under the temporary one");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).expect("permissions");
        fs::write(folder.join("alsa.conf"), ALSA_CONF).expect("alsa.conf");
        let log = fs::File::create(folder.join("pulseaudio.log")).expect("a log file");
        let native = format!(
            "module-native-protocol-unix socket={} auth-anonymous=1",
            folder.join("pulse/native").display()
        );
        let sink = |name| format!("module-null-sink sink_name={name} rate=48000 channels=1 norewinds=1");
        let server = Command::new("pulseaudio")
            .args(["-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--disable-shm=yes"])
            .args(["-L", &native, "-L", &sink(SPEAKER), "-L", &sink(MICROPHONE)])
            .env("XDG_RUNTIME_DIR", &folder)
            .env("HOME", &folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log)
            .spawn();
        let server = match server {
            Ok(server) => server,
            Err(why) => panic!("pulseaudio cannot be started ({why}); {PACKAGES}"),
        };
        let pulse = Self { folder, server: Some(server), players: Vec::new() };
        let deadline = Instant::now() + Duration::from_secs(15);
        while !pulse.command("pactl").arg("info").output().is_ok_and(|output| output.status.success()) {
            assert!(Instant::now() < deadline, "pulseaudio does not answer; {PACKAGES}\n{}", pulse.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(
            Path::new("/usr/share/alsa/alsa.conf").exists()
                && ["/usr/lib", "/usr/lib64"].iter().any(|lib| has_plugin(Path::new(lib), 3)),
            "ALSA's PulseAudio plug-in is not installed; {PACKAGES}"
        );
        pulse
    }

    /// A command that sees this server as its sound system, whether it asks ALSA or PulseAudio.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env("XDG_RUNTIME_DIR", &self.folder)
            .env("HOME", &self.folder)
            .env("PULSE_SERVER", format!("unix:{}", self.folder.join("pulse/native").display()))
            .env("PULSE_SINK", SPEAKER)
            .env("PULSE_SOURCE", format!("{MICROPHONE}.monitor"))
            .env("ALSA_CONFIG_PATH", self.folder.join("alsa.conf"))
            .stdin(Stdio::null());
        command
    }

    /// A folder for the test's files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Plays a tone into the microphone until the server ends.
    pub fn speak(&mut self, hz: f32) {
        let wav = self.folder.join("spoken.wav");
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 48000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(&wav, spec).expect("a WAV file");
        for n in 0..60 * 48000u32 {
            let sample = (std::f64::consts::TAU * f64::from(hz) * f64::from(n) / 48000.0).sin() * 12000.0;
            writer.write_sample(sample as i16).expect("a WAV file");
        }
        writer.finalize().expect("a WAV file");
        let player = self
            .command("paplay")
            .arg(format!("--device={MICROPHONE}"))
            .arg(wav)
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|why| panic!("paplay cannot be started ({why}); {PACKAGES}"));
        self.players.push(player);
    }

    /// What the loudspeaker plays in the next `span`: 48 kHz, mono.
    pub fn listen(&self, span: Duration) -> Vec<i16> {
        let samples = (span.as_secs_f64() * 48000.0) as usize;
        let mut recorder = self
            .command("parec")
            .arg(format!("--device={SPEAKER}.monitor"))
            .args(["--rate=48000", "--channels=1", "--format=s16le", "--raw", "--latency-msec=20"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|why| panic!("parec cannot be started ({why}); {PACKAGES}"));
        let mut bytes = vec![0; 2 * samples];
        let heard = recorder.stdout.take().map(|mut out| std::io::Read::read_exact(&mut out, &mut bytes));
        end(&mut recorder);
        assert!(matches!(heard, Some(Ok(()))), "the monitor ended early\n{}", self.log());
        bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
    }

    /// Ends the server, as a user's session manager might in mid-call.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            end(&mut server);
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("pulseaudio.log")).unwrap_or_default()
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        for player in &mut self.players {
            end(player);
        }
        self.stop();
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "--- pulseaudio's log ---\n{}", self.log());
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn end(process: &mut Child) {
    let _ = process.kill();
    let _ = process.wait();
}

fn has_plugin(folder: &Path, depth: usize) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| {
        let path = entry.path();
        path.ends_with("alsa-lib/libasound_module_pcm_pulse.so")
            || (depth > 0 && path.is_dir() && has_plugin(&path, depth - 1))
    })
}

const SPEAKER: &str = "speaker";
const MICROPHONE: &str = "microphone";
/// ALSA's default device goes to the server too.
const ALSA_CONF: &str =
    "</usr/share/alsa/alsa.conf>\npcm.!default { type pulse }\nctl.!default { type pulse }\n";
const PACKAGES: &str = "this test needs the packages pulseaudio, pulseaudio-utils and libasound2-plugins: \
                        sudo apt-get install pulseaudio pulseaudio-utils libasound2-plugins";
