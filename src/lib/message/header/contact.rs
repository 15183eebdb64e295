//! Contact: where to reach somebody directly (RFC 3261 §20.10), with the parameters of RFC 5626, RFC 5627,
//! RFC 3840.

use super::{
    feature::{Feature, features},
    header,
    qvalue::thousandths,
};
use crate::message::{Cursor, NameAddr, Params, Uri};

header!(
    /// Addresses, or "*" in a REGISTER that removes all bindings.
    Contact, List, ContactValue<'m>, |cursor: &mut Cursor<'m>| {
        if cursor.eat(b'*') {
            return Ok(ContactValue::Star);
        }
        NameAddr::read(cursor).map(ContactValue::Addr)
    },
    words |cursor: Cursor<'m>| Some((ContactValue::Star, cursor.plain_star()?))
);

/// One Contact value.
#[derive(Debug, Clone, Copy)]
pub enum ContactValue<'m> {
    /// All bindings.
    Star,
    /// One address.
    Addr(NameAddr<'m>),
}

impl<'m> ContactValue<'m> {
    /// The address, unless it is "*".
    pub fn address(&self) -> Option<NameAddr<'m>> {
        match *self {
            Self::Star => None,
            Self::Addr(address) => Some(address),
        }
    }

    /// Seconds of the expires parameter; a malformed one counts as 3600 (RFC 3261 §20.10).
    pub fn expires(&self) -> Option<u32> {
        let text = self.address()?.params.get("expires")?;
        Some(text.and_then(|text| text.parse().ok()).unwrap_or(3600))
    }

    /// The preference in thousandths, 0 to 1000; `None` if there is none or it is malformed.
    pub fn q(&self) -> Option<u16> {
        thousandths(self.address()?.params.value("q")?)
    }

    /// The device, a URN in most cases (`+sip.instance`, RFC 5626 §4.1).
    pub fn instance(&self) -> Option<&'m str> {
        self.address()?.params.value("+sip.instance")?.strip_prefix('<')?.strip_suffix('>')
    }

    /// Which of the device's flows this is, 1 to 2^31 - 1 (RFC 5626 §4.2).
    pub fn reg_id(&self) -> Option<u32> {
        self.address()?.params.number("reg-id").filter(|id| (1..1 << 31).contains(id))
    }

    /// The public GRUU that the registrar made (RFC 5627 §5).
    pub fn public_gruu(&self) -> Option<Uri<'m>> {
        Uri::parse(self.address()?.params.value("pub-gruu")?).ok()
    }

    /// The temporary GRUU that the registrar made.
    pub fn temporary_gruu(&self) -> Option<Uri<'m>> {
        Uri::parse(self.address()?.params.value("temp-gruu")?).ok()
    }

    /// What the device can do (RFC 3840).
    pub fn features(&self) -> impl Iterator<Item = Feature<'m>> + use<'m> {
        features(self.address().map_or(Params::NONE, |address| address.params))
    }
}

impl std::fmt::Display for ContactValue<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Star => f.write_str("*"),
            Self::Addr(address) => address.fmt(f),
        }
    }
}
