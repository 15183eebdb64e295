//! Writes the first corpus of every target from the test data: seeds DATA CORPUS. A fuzzer that has seen sound
//! input reaches what lies behind the first check.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    path::{Path, PathBuf},
};

use sipkit::message::{HeaderId, Limits, Message, Multipart, count_values};

fn main() -> io::Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(data), Some(corpus)) = (arguments.next(), arguments.next()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "which DATA and which CORPUS?"));
    };
    let seeds = Seeds { corpus, read: RefCell::default() };
    for bytes in files(&data.join("torture"), &["dat", "sip"])? {
        seeds.message(&bytes)?;
    }
    for bytes in files(&data.join("sdp"), &["sdp"])? {
        seeds.add("sdp", &bytes)?;
    }
    for bytes in files(&data.join("presence"), &["xml", "txt"])? {
        seeds.add("presence", &bytes)?;
    }
    for (name, target) in [("rtcp.json", "rtcp"), ("rtp.json", "rtp")] {
        let text = fs::read_to_string(data.join("media").join(name))?;
        for bytes in strings(&text, "\"hex\": \"").filter_map(|hex| unhex(&hex)) {
            seeds.add(target, &bytes)?;
        }
    }
    seeds.challenges(&fs::read_to_string(data.join("digest/challenges.json"))?)?;
    for cpim in CPIM {
        seeds.add("cpim", cpim.replace('\n', "\r\n").as_bytes())?;
    }
    for multipart in MULTIPART {
        seeds.add("multipart", multipart.replace('\n', "\r\n").as_bytes())?;
    }
    for fragment in FRAGMENTS {
        seeds.add("sipfrag", fragment.replace('\n', "\r\n").as_bytes())?;
    }
    for uri in URIS {
        seeds.add("uri", uri.as_bytes())?;
    }
    for xcap in XCAP {
        seeds.add("xcap", xcap.as_bytes())?;
    }
    seeds.every_field()
}

struct Seeds {
    corpus: PathBuf,
    /// Fields of which a seed reads.
    read: RefCell<BTreeSet<HeaderId>>,
}

impl Seeds {
    /// A file named after what is in it, so that the same input is there once.
    fn add(&self, target: &str, bytes: &[u8]) -> io::Result<()> {
        let folder = self.corpus.join(target);
        fs::create_dir_all(&folder)?;
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        fs::write(folder.join(format!("seed-{:016x}", hasher.finish())), bytes)
    }

    fn add_chosen(&self, target: &str, choice: u8, bytes: &[u8]) -> io::Result<()> {
        self.add(target, &[&[choice], bytes].concat())
    }

    /// A message is a seed of its own, and so is each thing in it.
    fn message(&self, bytes: &[u8]) -> io::Result<()> {
        self.add("message", bytes)?;
        self.add("sipfrag", bytes)?;
        // Read whole, in small pieces, and against small limits.
        for cut in [0, 0b1_0001, 0b110, 0b11] {
            self.add_chosen("stream", cut, &[bytes, b"\r\n\r\n", bytes].concat())?;
        }
        let Some(message) = Message::salvage(bytes.to_vec().into(), &Limits::default())
            .or_else(|| Message::parse(bytes.to_vec().into(), &Limits::default()).ok())
        else {
            return Ok(());
        };
        for row in message.headers() {
            self.value(row.id, row.value)?;
            let digest = ["WWW-Authenticate", "Proxy-Authenticate", "Authorization", "Proxy-Authorization"];
            if let Some(choice) = digest.iter().position(|name| *name == row.id.name()) {
                self.add_chosen("digest", choice as u8, row.value)?;
            }
            let addresses =
                [HeaderId::From, HeaderId::To, HeaderId::Contact, HeaderId::Route, HeaderId::ReferTo];
            if addresses.contains(&row.id) {
                self.add("uri", row.value)?;
                let uri = row.value.split(|byte| b"<>".contains(byte)).nth(1).unwrap_or_default();
                self.add("uri", uri)?;
            }
        }
        if let Ok(request) = message.clone().into_request() {
            let uri = request.raw_uri().as_bytes();
            self.add("uri", &[uri, b"\n", uri].concat())?;
        }
        if Multipart::of(&message, &Limits::default()).is_ok() {
            let kind = message.header::<sipkit::message::header::ContentType>();
            let boundary = kind.ok().and_then(|kind| kind.params.value("boundary")).unwrap_or("b");
            let body = replace(message.body(), format!("--{boundary}").as_bytes(), b"--b");
            self.add("multipart", &body)?;
        }
        self.add("sdp", message.body())
    }

    fn challenges(&self, text: &str) -> io::Result<()> {
        for line in strings(text, "\"") {
            let Some((name, value)) = line.split_once(": ") else { continue };
            self.value(HeaderId::from_name(name.as_bytes()), value.as_bytes())?;
            self.add_chosen("digest", u8::from(name.starts_with("Proxy")), value.as_bytes())?;
        }
        for credentials in CREDENTIALS {
            self.add_chosen("digest", 2, credentials.as_bytes())?;
            self.add_chosen("digest", 3, credentials.as_bytes())?;
        }
        // Every field is begun with, also those that no example has.
        for id in HeaderId::KNOWN {
            for value in VALUES {
                self.value(id, value.as_bytes())?;
            }
        }
        Ok(())
    }

    fn value(&self, id: HeaderId, value: &[u8]) -> io::Result<()> {
        let Some(choice) = HeaderId::KNOWN.iter().position(|known| *known == id) else { return Ok(()) };
        let message =
            [b"OPTIONS sip:a SIP/2.0\r\n", id.name().as_bytes(), b": ", value, b"\r\n\r\n"].concat();
        let message = Message::salvage(message.into(), &Limits::default());
        if message.is_some_and(|message| matches!(count_values(&message), (1.., 0))) {
            self.read.borrow_mut().insert(id);
        }
        self.add_chosen("headers", choice as u8, value)
    }

    /// A field that no seed begins would be as good as not fuzzed.
    fn every_field(&self) -> io::Result<()> {
        let read = self.read.borrow();
        let missing: Vec<_> =
            HeaderId::KNOWN.iter().filter(|id| !read.contains(id)).map(|id| id.name()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(io::Error::other(format!("no seed is a sound value of {}", missing.join(", "))))
    }
}

/// The contents of all files of a folder with these endings, in order of their names.
fn files(folder: &Path, endings: &[&str]) -> io::Result<Vec<Vec<u8>>> {
    let mut folders = vec![folder.to_owned()];
    let mut found = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().and_then(|end| end.to_str()).is_some_and(|end| endings.contains(&end))
            {
                found.insert(path);
            }
        }
    }
    found.into_iter().map(fs::read).collect()
}

/// What stands in JSON after `front` up to the closing quote; enough for our own files.
fn strings<'t>(text: &'t str, front: &'t str) -> impl Iterator<Item = String> + 't {
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.find(front)? + front.len();
        let mut string = String::new();
        let mut chars = rest[start..].char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    rest = &rest[start + at + 1..];
                    return Some(string);
                }
                '\\' => string.extend(chars.next().map(|(_, c)| c)),
                c => string.push(c),
            }
        }
        None
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    text.as_bytes().chunks(2).map(digits).collect()
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    [&out, rest].concat()
}

/// One of these begins most fields.
const VALUES: [&str; 25] = [
    "urn:urn-7:3gpp-service.ims.icsi.mmtel, sip:a@b",
    "sip:a@b;target-uri=\"sip:c@d\"",
    "7",
    "0123abcd",
    "54.21 0.5",
    "776656 1 INVITE",
    "dsn.flash, wps.0",
    "nextnonce=\"x\", qop=auth, rspauth=\"00\", cnonce=\"y\", nc=00000001",
    "<sip:a@b;x=1>;purpose=trigger;x=\"y\"",
    "",
    "token",
    "7;x=1",
    "3600;refresher=uas;x=\"a, \\\"b\"",
    "a, b;q=0.5, c",
    "text/plain;charset=\"utf-8\"",
    "\"A \\\" b\" <sip:a@[::1]:5060;lr?x=y>;tag=1;index=1.2;rc=1, <tel:+1>;x",
    "<urn:a:b>;purpose=\"x\", <cid:a@b>",
    "*;audio;+sip.a=\"<x>\";methods=\"INVITE,BYE\";require",
    "a@b;to-tag=1;from-tag=2;local-tag=1;remote-tag=2;early-only",
    "Sat, 13 Nov 2010 23:29:00 GMT",
    "307 isi.edu \"text\", 399 [::1]:5060 \"b\"",
    "SIP;cause=200;text=\"done, \\\"really\\\"\"",
    "icid-value=1;orig-ioi=a;term-ioi=\"b\"",
    "120 (in (a) \\( meeting);duration=5",
    "eyJ.e30.c2ln;info=<https://a/b>;alg=ES256;ppt=shaken",
];

const CREDENTIALS: [&str; 3] = [
    "Digest username=\"bob\", realm=\"atlanta.example.com\", nonce=\"84f1c1ae6cbe5ua9c8e88dfa3ecm3459\", \
     uri=\"sip:a@b\", response=\"f57693c4a7a1ec2ea05d7c9a1df4ba48\", algorithm=MD5, cnonce=\"0a4f113b\", \
     qop=auth, nc=00000001, opaque=\"\"",
    "Digest username*=UTF-8''J%C3%A4s%C3%B8n, realm=\"atlanta.example.com\", nonce=\"n\", uri=\"*\", \
     response=\"00\", userhash=true, algorithm=SHA-256-sess, qop=auth-int, nc=ffffffff, cnonce=\"\"",
    "Digest realm=\"atlanta.example.com\",username=\"bob\",nonce=\"\",uri=\"sip:a@b\",response=\"\"",
];

const URIS: [&str; 8] = [
    "sip:alice:secret@[2001:db8::1]:5061;transport=TLS;lr;method=INVITE?to=a%40b&body=x\nSIP:%61lice:secret@h",
    "sips:;x@h;maddr=224.0.0.1;ttl=15;user=phone",
    "tel:+1-201-555-0123;ext=1;isub=a;phone-context=example.com\nTEL:+12015550123",
    "tel:7042;phone-context=+1(201)",
    "urn:service:sos.fire\nurn:service:sos%2efire",
    "http://example.com/a?b#c",
    "\"A \\\"quoted\\\" name\" <sip:a@b;x=\"y\">;tag=1;q=\"a,b\"",
    "A name <im:a@b>;x",
];

/// RFC 3862 §5.1 in short, and what RFC 5438 puts before it.
const CPIM: [&str; 2] = [
    "From: MR SANDERS <im:piglet@100akerwood.com>\nTo: \"Depressed Donkey\" <im:eeyore@100akerwood.com>\n\
     DateTime: 2000-12-13T13:40:00-08:00\nSubject: the weather\nSubject:;lang=fr beau temps \\u00e9\\n\n\
     NS: MyFeatures <mid:MessageFeatures@id.foo.com>\nRequire: MyFeatures.VitalMessageOption\n\
     MyFeatures.VitalMessageOption: Confirmation-requested\n\nContent-type: text/xml; charset=utf-8\n\
     Content-ID: <1234567890@foo.com>\n\n<body>\nHere is the text of my message.\n</body>\n",
    "To: <im:a@b>\nNS: imdn <urn:ietf:params:imdn>\nimdn.Message-ID: 34jk324j\n\n\nbody",
];

const MULTIPART: [&str; 3] = [
    "preamble\n--b\nContent-Type: application/sdp\n\nv=0\n\n--b\nContent-Type: multipart/alternative;boundary=\"c\"\n\n\
     --c\n\ntext\n--c\nContent-Disposition: render;handling=optional\nContent-ID: <a@b>\n\n<x/>\n--c--\n\n--b--\nepilogue",
    "--b\n\n\n--b  \n\nx\n--b--",
    "--b\nContent-Type: multipart/mixed;boundary=b\n\n--b\n\nx\n--b--\n--b--",
];

const FRAGMENTS: [&str; 4] = [
    "SIP/2.0 100 Trying\n",
    "SIP/2.0 200 OK",
    "From: <sip:a@b>;tag=1\nContact: <sip:a@c>\n\n",
    "INVITE sip:a@b SIP/2.0\nContent-Length: 10\n\nab",
];

const XCAP: [&str; 6] = [
    "https://xcap.example.com:8443/root/index?xmlns(a=b)",
    "resource-lists/list[@name=\"a/b\"][2]/x:entry[@y:uri='sip:a@b']/@uri",
    "401\nWWW-Authenticate: Basic realm=\"a\", Digest realm=\"x\", nonce=\"n\", qop=\"auth\", algorithm=MD5\n",
    "307\nLocation: /c?d#e\n",
    "409\n\n<xcap-error xmlns=\"urn:ietf:params:xml:ns:xcap-error\"><cannot-delete phrase=\"a\"/></xcap-error>",
    "<ruleset xmlns=\"urn:ietf:params:xml:ns:common-policy\"><rule id=\"a\"><conditions><identity><many/></identity>\
     </conditions></rule></ruleset>",
];
