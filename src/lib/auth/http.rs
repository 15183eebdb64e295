//! The challenges of HTTP (RFC 9110 §11.6, RFC 7616): as those of SIP, but several may stand in one field.

use super::client::{Answer, Client, Sent, Side};
use crate::message::{
    HeaderId,
    header::{AuthParams, Challenge, Credentials},
};

/// A request as it was sent over HTTP.
#[derive(Debug, Clone, Copy)]
pub struct HttpRequest<'r> {
    /// GET, PUT and so on.
    pub method: &'r str,
    /// Path and query, as the request line had them.
    pub target: &'r str,
    /// The body.
    pub body: &'r [u8],
    /// Authorization and Proxy-Authorization, as they were made here.
    pub credentials: &'r [(HeaderId, String)],
}

impl Client {
    /// Takes the fields WWW-Authenticate of a 401, or Proxy-Authenticate of a 407, to the request `sent`.
    pub fn challenged_over_http(
        &mut self,
        fields: &[(Side, &str)],
        sent: &HttpRequest<'_>,
        random: &mut impl FnMut() -> u64,
    ) -> Answer {
        let challenges = fields.iter().flat_map(|(side, field)| {
            challenges(field).into_iter().map(|challenge| (*side, Challenge::parse(challenge)))
        });
        let nonce = |side: Side, realm: &str| {
            let of_side = sent.credentials.iter().filter(|(id, _)| *id == side.credentials());
            let mut views = of_side.filter_map(|(_, value)| Credentials::parse(value));
            let own = views.find(|view| view.params.text("realm").is_some_and(|text| text == realm))?;
            Some(own.params.text("nonce")?.into_owned())
        };
        let sent = Sent { method: sent.method, uri: sent.target, body: sent.body, nonce: &nonce };
        self.choose(challenges, &sent, random)
    }

    /// Takes the field Authentication-Info, or Proxy-Authentication-Info, of an answer that was no refusal.
    pub fn accepted_over_http(&mut self, side: Side, field: &str) {
        if let Some(info) = AuthParams::parse(field) {
            self.next_nonce(side, info);
        }
    }
}

/// A comma ends a challenge if a scheme follows: a word without an equals sign behind it.
fn challenges(field: &str) -> Vec<&str> {
    let mut begins = vec![0];
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in field.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted && begins_with_scheme(field.get(at + 1..).unwrap_or_default()) => {
                begins.push(at + 1)
            }
            _ => {}
        }
    }
    let ends = begins.iter().skip(1).map(|begin| begin - 1).chain([field.len()]);
    let parts = begins.iter().zip(ends).filter_map(|(begin, end)| field.get(*begin..end));
    parts.map(|part| part.trim_matches([',', ' ', '\t'])).filter(|part| !part.is_empty()).collect()
}

fn begins_with_scheme(text: &str) -> bool {
    // A parameter's name is short: a list of endless blanks is not looked through again at each comma.
    let text = text.get(..LONGEST).unwrap_or(text).trim_start();
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let end = text.find(|c| !is_token(c)).unwrap_or(text.len());
    let rest = text.get(end..).unwrap_or_default();
    end > 0 && !rest.trim_start().starts_with('=') && (rest.is_empty() || rest.starts_with([' ', '\t', ',']))
}

/// Octets that are looked at for a scheme.
const LONGEST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_told_apart() {
        for (field, parts) in [
            ("Digest realm=\"a\", nonce=\"b\"", &["Digest realm=\"a\", nonce=\"b\""][..]),
            (
                "Basic realm=\"a, Digest b\",Digest realm = \"\\\"a\", nonce=b , Negotiate",
                &["Basic realm=\"a, Digest b\"", "Digest realm = \"\\\"a\", nonce=b", "Negotiate"],
            ),
            ("Negotiate, Digest a=b", &["Negotiate", "Digest a=b"]),
            (", ,Digest a=b", &["Digest a=b"]),
            ("", &[]),
            ("Digest a=\"", &["Digest a=\""]),
        ] {
            assert_eq!(challenges(field), parts, "{field}");
        }
    }
}
