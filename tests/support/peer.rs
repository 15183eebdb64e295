//! A peer that follows a script: one UDP socket, nothing done by itself.

use std::{
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use super::{
    PATIENCE,
    message::{Draft, Text},
};

pub struct Peer {
    pub socket: UdpSocket,
    pub addr: SocketAddr,
}

impl Peer {
    pub fn new() -> Self {
        Self::at("127.0.0.1")
    }

    /// At another address of loopback.
    pub fn at(ip: &str) -> Self {
        let socket = UdpSocket::bind((ip, 0)).unwrap();
        let addr = socket.local_addr().unwrap();
        Self { socket, addr }
    }

    /// A target for `sip-call`.
    pub fn uri(&self) -> String {
        format!("sip:peer@{}", self.addr)
    }

    pub fn send(&self, to: SocketAddr, bytes: impl AsRef<[u8]>) {
        self.socket.send_to(bytes.as_ref(), to).unwrap();
    }

    /// The next datagram, if one comes in time.
    pub fn receive_within(&self, time: Duration) -> Option<(Vec<u8>, SocketAddr)> {
        let until = Instant::now() + time;
        let mut buffer = vec![0; 65_535];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            self.socket.set_read_timeout(Some(left)).unwrap();
            match self.socket.recv_from(&mut buffer) {
                Ok((len, from)) => return Some((buffer[..len].to_vec(), from)),
                // An ICMP error of something sent earlier is of no interest here.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                Err(_) => return None,
            }
        }
    }

    /// The next message for which `wanted` holds; others are skipped.
    #[track_caller]
    pub fn receive(&self, what: &str, wanted: impl Fn(&Text) -> bool) -> (Text, SocketAddr) {
        let until = Instant::now() + PATIENCE;
        let mut skipped = String::new();
        while let Some((bytes, from)) = self.receive_within(until.saturating_duration_since(Instant::now())) {
            let text = Text::of(&bytes);
            if wanted(&text) {
                return (text, from);
            }
            skipped += &format!("{}\n", text.start());
        }
        panic!("no {what} came; other messages:\n{skipped}")
    }

    #[track_caller]
    pub fn request(&self, method: &str) -> (Text, SocketAddr) {
        self.receive(method, |text| text.method() == method)
    }

    #[track_caller]
    pub fn response(&self, status: u16) -> Text {
        self.receive(&status.to_string(), |text| text.status() == Some(status)).0
    }

    /// Sends a request and gives its final response, acknowledged if it is one to an INVITE.
    #[track_caller]
    pub fn ask(&self, to: SocketAddr, draft: &Draft) -> Text {
        self.send(to, draft.text());
        let wanted = |text: &Text| {
            text.status().is_some_and(|status| status >= 200)
                && text.header("CSeq") == Some(&format!("{} {}", draft.number, draft.method))
                && text.header("Call-ID") == Some(&draft.call_id)
        };
        let (response, _) = self.receive(&format!("final response to {}", draft.method), wanted);
        if draft.method == "INVITE" {
            let ack = match response.status() {
                Some(200..=299) => draft.within("ACK", &response),
                _ => draft.same("ACK", response.must("To")),
            };
            self.send(to, ack.text());
        }
        response
    }

    /// Answers a request.
    pub fn answer(&self, request: &(Text, SocketAddr), status: u16, more: &str, body: &str) -> String {
        let text = request.0.response(status, "peer", self.addr, more, body);
        self.send(request.1, &text);
        text
    }
}

/// Two neighbouring ports, the first one even, that nobody uses.
pub fn free_pair() -> (UdpSocket, UdpSocket) {
    loop {
        let first = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        if port.is_multiple_of(2)
            && let Ok(second) = UdpSocket::bind(("127.0.0.1", port + 1))
        {
            return (first, second);
        }
    }
}
