//! What `sip-stateless-proxy` does: starts the proxy on each address, tells how busy it is, reads its routes again when
//! asked to, and ends.

use std::{
    convert::Infallible,
    fs::File,
    io::{ErrorKind, Read},
    path::Path,
    time::{Duration, SystemTime},
};

use crate::{
    cli::{Context, Event, Failure, Why, account, config::Config, event, hep::Hep, metrics, place, serve},
    endpoint::{Builder, Security, Shards, page::Page},
    proxy::{self, Counters, Own, Secret, Stateless, Table},
    resolve::system::Resolver,
    stack,
    transport::Target,
};

use super::{Args, Settings, page::Told};

/// Forwards until told to stop.
pub async fn run(args: Args, cx: Context) -> Result<(), Failure> {
    let settings = args.settings(&cx.config)?;
    let secret = secret(settings.flow_key_file.as_deref())?;
    let listen: Vec<Target> = settings.listen.iter().flat_map(|listen| listen.targets(Args::port)).collect();
    let Settings { rules, domains, record_route, probe, metrics, shards, .. } = settings;
    let resolver = account::resolver(&args.dns, &cx.config);
    let hep = match &settings.hep {
        Some(hep) => Some(Hep::start(hep, &Resolver::new(resolver.clone())).await?),
        None => None,
    };
    let builder = Builder {
        listen,
        connections: serve::connections(),
        security: security(&args, &cx)?,
        tap: match &hep {
            Some(hep) => Some(hep.beside(cx.tap())),
            None => cx.tap(),
        },
        resolver,
        stack: stack::Config { fixed_order: true, ..Builder::default().stack },
    };
    let make = |_, local: &[Target]| {
        let own = Own::new(local.to_vec(), domains.clone());
        let (table, secret) = (Table::new(rules.clone()), secret.clone());
        Stateless::new(proxy::Config { own, table, secret, record_route, probe })
    };
    let endpoint = builder.start_shards(shards, make).map_err(|error| place::start_failure(&error))?;
    // One asks the next hops for all. A proxy that stopped already says so below.
    let _ = endpoint.first(Stateless::start).await;
    for local in endpoint.local() {
        cx.out.event(Event::Listening {
            protocol: local.protocol.as_str().to_owned(),
            local: local.addr.to_string(),
        });
    }
    let outcome = match metrics.map(|address| metrics::open(address, &cx.out)).transpose() {
        Ok(None) => serve(&args, &cx, &endpoint).await,
        Ok(Some(page)) => tokio::select! {
            biased;
            outcome = serve(&args, &cx, &endpoint) => outcome,
            never = watch(&page, &cx, &endpoint, hep.as_ref()) => match never {},
        },
        Err(failure) => Err(failure),
    };
    endpoint.stop().await;
    if let Some(hep) = hep {
        hep.finish();
    }
    outcome
}

/// Answers who wants to know the figures.
async fn watch(page: &Page, cx: &Context, endpoint: &Shards<Stateless>, hep: Option<&Hep>) -> Infallible {
    let started = SystemTime::now() - cx.started.elapsed();
    let told = async || {
        let told = Told { hep: hep.map(Hep::counts), ..Told::by(endpoint, started).await? };
        Some(told.page())
    };
    page.serve(told).await
}

async fn serve(args: &Args, cx: &Context, endpoint: &Shards<Stateless>) -> Result<(), Failure> {
    let mut tick = tokio::time::interval(SECOND);
    let mut hangups = cx.stop.hangups();
    let mut before = Counters::default();
    loop {
        tokio::select! {
            biased;
            why = cx.stop.requested() => {
                tell(cx, endpoint, &mut before).await;
                // Being told to stop is how a server ends well; a deadline is not.
                return if why == Why::Deadline { Err(why.into()) } else { Ok(()) };
            }
            Ok(()) = hangups.changed() => again(args, endpoint).await,
            _ = tick.tick() => tell(cx, endpoint, &mut before).await,
        }
    }
}

/// Says what was done since the last time, if it was anything.
async fn tell(cx: &Context, endpoint: &Shards<Stateless>, before: &mut Counters) {
    let Ok(each) = endpoint.each(|proxy, _| proxy.counters().clone()).await else { return };
    let now = each.iter().fold(Counters::default(), |mut all, shard| {
        all += shard;
        all
    });
    if now != *before {
        let answered = |counters: &Counters| counters.answered.values().sum();
        let messages = |counters: &Counters| counters.requests_forwarded + counters.responses_forwarded;
        cx.out.event(Event::Forwarded(event::Forwarded {
            requests: now.requests_forwarded,
            responses: now.responses_forwarded,
            answered: answered(&now),
            dropped: now.acks_dropped + now.responses_foreign + now.responses_stuck,
            messages_per_second: (messages(&now) - messages(before)) as f64 / SECOND.as_secs_f64(),
        }));
        *before = now;
    }
}

/// Reads the configuration once more; a mistake in it leaves everything as it is.
async fn again(args: &Args, endpoint: &Shards<Stateless>) {
    let settings = Config::load(args.common.run.config.as_deref(), false)
        .map_err(Failure::usage)
        .and_then(|config| args.settings(&config));
    match settings {
        Ok(Settings { rules, domains, record_route, .. }) => {
            tracing::warn!("the configuration was read again: {} routes", rules.len());
            // A proxy that stopped has no use for it.
            let _ = endpoint.each(move |proxy, _| proxy.reload(rules, domains, record_route)).await;
        }
        Err(failure) => tracing::error!("the configuration stays as it was: {failure}"),
    }
}

fn secret(path: Option<&Path>) -> Result<Secret, Failure> {
    let passing = rand::random();
    let Some(path) = path else { return Ok(Secret::new(rand::random(), passing)) };
    let wrong = |why: &dyn std::fmt::Display| {
        Failure::usage(format_args!("cannot use {} as the key: {why}", path.display()))
    };
    let mut lasting = [0; 16];
    // No more of it: it may be a device.
    match File::open(path).and_then(|mut file| file.read_exact(&mut lasting)) {
        Ok(()) => Ok(Secret::new(lasting, passing)),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            Err(wrong(&"16 octets are wanted at least"))
        }
        Err(error) => Err(wrong(&error)),
    }
}

#[cfg(feature = "tls")]
fn security(args: &Args, cx: &Context) -> Result<Security, Failure> {
    use crate::cli::tls;

    let client = tls::client(&args.tls, &cx.config, cx.tap())?;
    let server = tls::server(&args.tls.as_server(), &cx.config, cx.tap())?;
    Ok(Security { client: Some(client.into()), server: server.map(Into::into) })
}

#[cfg(not(feature = "tls"))]
fn security(_: &Args, _: &Context) -> Result<Security, Failure> {
    Ok(Security::default())
}

const SECOND: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_16_octets_of_a_file_however_long_it_is() {
        assert!(secret(None).is_ok());
        assert!(secret(Some(Path::new("/dev/zero"))).is_ok());
        let mistake = |path: &str| secret(Some(Path::new(path))).unwrap_err().to_string();
        assert!(mistake("/dev/null").contains("16 octets are wanted"), "{}", mistake("/dev/null"));
        assert!(mistake("/nonexistent").contains("cannot use /nonexistent"), "{}", mistake("/nonexistent"));
    }
}
