//! P- fields of the IMS: RFC 7315 (P-Associated-URI, P-Called-Party-ID, P-Visited-Network-ID,
//! P-Access-Network-Info, P-Charging-Function-Addresses, P-Charging-Vector), RFC 6050 (services), RFC 5009
//! (P-Early-Media), RFC 3313 (P-Media-Authorization), RFC 5502 (P-Served-User), RFC 5002 (P-Profile-Key),
//! RFC 4964 (P-Answer-State), RFC 5318 (P-Refused-URI-List), RFC 7316 (P-Private-Network-Indication),
//! RFC 8496 (P-Charge-Info).

use std::fmt;

use super::{TokenParams, header};
use crate::message::{Cursor, Malformed, NameAddr, Params, Text, Uri, address::bare_uri};

header!(
    /// URIs that the registrar has given the user, possibly none.
    PAssociatedUri, OptionalList, NameAddr<'m>, NameAddr::read);
header!(
    /// The address of record that was called.
    PCalledPartyId, Single, NameAddr<'m>, NameAddr::read);
header!(
    /// Networks on the way from the user to the registrar.
    PVisitedNetworkId, List, VisitedNetwork<'m>, VisitedNetwork::read);
header!(
    /// The access network: type or class, cell identities.
    PAccessNetworkInfo, List, TokenParams<'m>, TokenParams::read, words TokenParams::plain);
header!(
    /// Where charging data goes: ccf, ecf and others.
    PChargingFunctionAddresses, List, ParamList<'m>, ParamList::read);
header!(
    /// What ties charging data together.
    PChargingVector, Single, ChargingVector<'m>, ChargingVector::read);
header!(
    /// Services the user wants, as URNs.
    PPreferredService, List, Uri<'m>, bare_uri);
header!(
    /// Services by a trusted network's word.
    PAssertedService, List, Uri<'m>, bare_uri);
header!(
    /// Whether early media may flow: sendrecv, gated, supported, …
    PEarlyMedia, OptionalList, &'m str, Cursor::token, tokens);
header!(
    /// Tokens that authorise the use of resources, in hexadecimal digits.
    PMediaAuthorization, List, &'m str, |cursor: &mut Cursor<'m>| {
        let token = cursor.token()?;
        if token.bytes().all(|byte| byte.is_ascii_hexdigit()) { Ok(token) } else { Err(Malformed::Hex) }
    }
);
header!(
    /// The user who is served, with sescase and regstate.
    PServedUser, Single, NameAddr<'m>, NameAddr::read);
header!(
    /// The profile that a public service identity matched.
    PProfileKey, Single, NameAddr<'m>, NameAddr::read);
header!(
    /// Whether an answer comes from the user: Confirmed or Unconfirmed.
    PAnswerState, Single, TokenParams<'m>, TokenParams::read);
header!(
    /// Members of a list that were refused, with the part of the body that lists more.
    PRefusedUriList, List, NameAddr<'m>, NameAddr::read_bracketed);
header!(
    /// The private network the traffic belongs to.
    PPrivateNetworkIndication, Single, TokenParams<'m>, TokenParams::read);
header!(
    /// Who pays.
    PChargeInfo, Single, NameAddr<'m>, NameAddr::read);

/// The name of a network.
#[derive(Debug, Clone, Copy)]
pub struct VisitedNetwork<'m> {
    /// A token or a quoted string.
    pub network: Text<'m>,
    /// Parameters after it.
    pub params: Params<'m>,
}

impl<'m> VisitedNetwork<'m> {
    fn read(cursor: &mut Cursor<'m>) -> Result<Self, Malformed> {
        let network = if cursor.peek() == Some(b'"') {
            Text::quoted(cursor.quoted()?)
        } else {
            Text::plain(cursor.token()?.as_bytes())
        };
        Ok(Self { network, params: Params::read(cursor)? })
    }
}

/// Parameters with nothing before them.
#[derive(Debug, Clone, Copy)]
pub struct ParamList<'m> {
    /// All of them; the first stands without a ";".
    pub params: Params<'m>,
}

impl<'m> ParamList<'m> {
    fn read(cursor: &mut Cursor<'m>) -> Result<Self, Malformed> {
        Ok(Self { params: Params::read_list(cursor)? })
    }
}

/// What ties the charging data of a call together.
#[derive(Debug, Clone, Copy)]
pub struct ChargingVector<'m> {
    /// The charging identifier.
    pub icid: &'m str,
    /// icid-value, icid-generated-at, orig-ioi, term-ioi and others.
    pub params: Params<'m>,
}

impl<'m> ChargingVector<'m> {
    /// The network that the call came from.
    pub fn originating(&self) -> Option<Text<'m>> {
        self.params.text("orig-ioi")
    }

    /// The network that the call goes to.
    pub fn terminating(&self) -> Option<Text<'m>> {
        self.params.text("term-ioi")
    }

    fn read(cursor: &mut Cursor<'m>) -> Result<Self, Malformed> {
        let params = Params::read_list(cursor)?;
        let icid = params.value("icid-value").ok_or(Malformed::Parameter)?;
        Ok(Self { icid, params })
    }
}

/// Without the ";" before the first.
fn write_list(f: &mut fmt::Formatter<'_>, params: Params<'_>) -> fmt::Result {
    params.each().enumerate().try_for_each(|(at, param)| {
        let separator = if at == 0 { "" } else { ";" };
        write!(f, "{separator}{param}")
    })
}

impl fmt::Display for VisitedNetwork<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quote = if self.network.is_quoted() { "\"" } else { "" };
        write!(f, "{quote}{}{quote}{}", String::from_utf8_lossy(self.network.raw()), self.params)
    }
}

impl fmt::Display for ParamList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_list(f, self.params)
    }
}

impl fmt::Display for ChargingVector<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_list(f, self.params)
    }
}
