//! The values of one header field, which the first octet chooses: read, asked for everything they know, written
//! and read again.
#![no_main]

use sipkit::message::{
    HeaderId, Limits, Message, NameAddr, Params, Uri, fuzz_header,
    header::{self, AuthParams, Feature},
};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((&field, value)) = data.split_first() else { return };
    let id = HeaderId::KNOWN[usize::from(field) % HeaderId::KNOWN.len()];
    fuzz_header(id, value);
    let front = format!("OPTIONS sip:a@b SIP/2.0\r\n{}: ", id.name());
    let bytes = [front.as_bytes(), value, b"\r\n\r\n"].concat();
    if let Some(message) = Message::salvage(bytes.into(), &Limits::default()) {
        ask(id, &message);
    }
});

/// Views that have more to say than their parts.
fn ask(id: HeaderId, message: &Message) {
    macro_rules! each {
        ($($field:ident: |$view:ident| $ask:expr;)*) => {
            match id {
                $(HeaderId::$field => message.each::<header::$field>().flatten().for_each(|$view| _ = $ask),)*
                _ => {}
            }
        };
    }
    each! {
        Accept: |view| (view.q(), view.accepts("text", "plain"));
        AcceptContact: |view| (view.is_required(), view.is_explicit(), view.features().map(feature).count());
        AcceptEncoding: |view| view.q();
        AcceptLanguage: |view| view.q();
        AlertInfo: |view| view.purpose();
        AnswerMode: |view| (view.is_auto(), view.is_manual(), view.is_required());
        AuthenticationInfo: |view| auth(view);
        Authorization: |view| (view.is_digest(), auth(view.params));
        CallInfo: |view| view.purpose();
        Contact: |view| {
            (view.address().map(address), view.expires(), view.q(), view.instance(), view.reg_id());
            (view.public_gruu().map(uri), view.temporary_gruu().map(uri), view.features().map(feature).count())
        };
        ContentType: |view| (view.q(), params(view.params));
        Diversion: |view| (view.reason(), view.counter(), view.limit(), view.privacy(), view.is_screened());
        Event: |view| (view.q(), params(view.params));
        FeatureCaps: |view| view.features().map(feature).count();
        From: |view| address(view);
        GeolocationError: |view| view.text().map(|text| text.to_string());
        HistoryInfo: |view| {
            address(view.address);
            assert!(view.index.numbers().count() > 0 && !view.index.is_child_of(view.index));
            (view.retarget(), view.reason(), view.cause(), view.privacy(), view.is_private())
        };
        Identity: |view| (view.info().map(uri), view.algorithm(), view.passport_type());

        PChargingVector: |view| (view.originating(), view.terminating(), params(view.params));
        Privacy: |view| (view.iter().count(), view.has("id"), view.is_critical());
        ProxyAuthenticate: |view| (view.is_digest(), auth(view.params));
        Reason: |view| (view.cause(), view.text().map(|text| text.to_string()));
        ReferTo: |view| address(view);
        RejectContact: |view| view.features().map(feature).count();
        Replaces: |view| view.is_early_only();
        RetryAfter: |view| view.duration();
        Route: |view| address(view);
        SecurityServer: |view| {
            (view.q(), view.digest_algorithm(), view.digest_qop(), view.digest_verify(), params(view.params))
        };
        SessionExpires: |view| (view.seconds, view.refresher());
        SessionId: |view| view.remote();
        TriggerConsent: |view| view.target().map(uri);
        UserToUser: |view| (view.purpose(), view.content(), view.encoding());
        Via: |view| {
            params(view.params);
            (view.branch(), view.has_magic_cookie(), view.received(), view.rport(), view.maddr(), view.ttl())
        };
        WwwAuthenticate: |view| (view.is_digest(), auth(view.params));
    }
}

fn auth(params: AuthParams<'_>) {
    for param in params.iter() {
        assert!(params.find(param.name).is_some() && params.as_str().contains(param.value));
        let _ = params.text(param.name);
    }
}

fn address(address: NameAddr<'_>) {
    let _ = (address.tag(), address.to_string());
    uri(address.uri);
    params(address.params);
}

fn uri(uri: Uri<'_>) {
    assert!(uri.equivalent(&uri.normal().as_uri()));
    params(uri.params());
}

fn params(params: Params<'_>) {
    for (name, _) in params.iter() {
        assert!(params.has(name));
        let _ = (params.text(name).map(|text| text.to_string()), params.number::<u32>(name));
    }
}

fn feature(feature: Feature<'_>) {
    let _ = (feature.values().count(), feature.allows("true"));
}
