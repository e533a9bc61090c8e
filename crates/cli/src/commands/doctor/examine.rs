//! The examinations, each by itself: one that fails does not hide the others.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use jiff::Timestamp;
use taosync_model::Clock;
use taosync_store::Store;
use taosync_store::history::SyncOutcome;
use taosync_store::nodes::{NodeOrg, WENT_BACK_AT};
use taosync_store::results_keys::in_use;
use taosync_store::settings::Role;
use taosync_sync::tao::{Compat, orphans};
use taosync_vault::Keyring;
use taosync_vault::tls::{Tls, Window};

use super::{Finding, Verdict, encryption};
use crate::certificate::WARN_DAYS;
use crate::commands::serve;
use crate::config::{Config, Place};
use crate::context::Context;
use crate::failure::Failure;
use crate::locks::{self, Way};
use crate::node::Node;
use crate::output;
use crate::readiness::{self, Level};
use crate::verification;

/// Before this year the clock is certainly wrong.
const FIRST_YEAR: i16 = 2026;

/// Everything that can be examined.
pub async fn all(context: &Context) -> Vec<Finding> {
    let place = &context.place;
    let config = Config::load(place);
    let mut findings =
        vec![configuration(place, &config), keys(place), encryption::finding(place.dir()), clock(&*context.clock)];
    if let Ok(config) = &config {
        findings.push(transport(place, config, context.clock.now()));
        findings.push(port(place, config).await);
    }
    match Node::open(context).await {
        Ok(node) => {
            findings.push(Finding::ok(
                "database",
                format!("opens; node {} is a {} server", node.identity.node, node.identity.role),
            ));
            findings.push(offset(&node).await);
            findings.push(disk(&node).await);
            findings.push(whole(&node).await);
            findings.push(unfinished(&node).await);
            findings.push(partner(&node.store, node.identity.role).await);
            findings.push(identity(&node.store, node.identity.role).await);
            if node.identity.role == Role::Central {
                findings.push(history(&node.store).await);
                findings.push(results_keys(&node).await);
                findings.push(tao(&node).await);
                findings.push(orphans(&node.store).await);
            }
            node.store.close().await;
        }
        // What failed before the database stands in a line of its own.
        Err(_) if findings.iter().any(|finding| finding.verdict == Verdict::Fail) => {}
        Err(failure) => findings.push(Finding::of("database", &failure)),
    }
    findings
}

fn configuration(place: &Place, config: &Result<Config, Failure>) -> Finding {
    const NAME: &str = "configuration";
    let file = place.config_file();
    match config {
        Err(failure) => Finding::of(NAME, failure),
        Ok(config) if config.proxy.is_some() && mode(file) & 0o004 != 0 => Finding::warn(
            NAME,
            format!("{} can be read by everybody and names a proxy", file.display()),
            format!("if it holds a password, run: chmod 0640 '{}'", file.display()),
        ),
        Ok(_) => Finding::ok(NAME, format!("{} is fine", file.display())),
    }
}

/// Whether results are sealed for somebody, and whether anybody could open them.
async fn results_keys(node: &Node) -> Finding {
    const NAME: &str = "results keys";
    if node.config.results.keep_readable {
        let advice = "leave out keep_readable in [results] to have them sealed; see docs/KEYS.md";
        return Finding::warn(NAME, "results stay readable for this server, and in its backups", advice);
    }
    let keys = match node.store.results_keys().await {
        Ok(keys) => keys,
        Err(error) => return Finding::of(NAME, &error.into()),
    };
    let used = in_use(&keys);
    let waiting = keys.iter().filter(|key| !used.contains(&key.recipient)).count();
    if used.is_empty() {
        let advice = "put keys/results.age back from a backup, or rehearse two offline keys; see docs/KEYS.md";
        Finding::fail(NAME, "results are sealed for nobody: whoever reads this disk and its keys reads them", advice)
    } else if waiting > 0 {
        let advice = "taosync results rehearse --identity FILE; an offline key counts only beside another one";
        Finding::warn(NAME, format!("{waiting} of {} keys do not count yet", keys.len()), advice)
    } else {
        Finding::ok(NAME, format!("results are sealed for {} keys", used.len()))
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode())
}

fn keys(place: &Place) -> Finding {
    match Keyring::open(&place.keys()) {
        Ok(_) => Finding::ok("keys", "only this user can read them"),
        Err(error) => Finding::of("keys", &error.into()),
    }
}

fn clock(clock: &dyn Clock) -> Finding {
    let now = clock.now();
    if now.to_zoned_datetime(jiff::tz::TimeZone::UTC).year() < FIRST_YEAR {
        let text = format!("this machine believes it is {}", output::time(now));
        return Finding::fail("clock", text, "set the clock, and replace the battery of the machine if it forgets it");
    }
    Finding::ok("clock", format!("{} here", output::time(now)))
}

/// How far this clock is from central's, as the last syncs measured it.
async fn offset(node: &Node) -> Finding {
    const NAME: &str = "central's clock";
    if node.identity.role == Role::Central {
        return Finding::ok(NAME, "local servers compare theirs with this one");
    }
    match readiness::clock_ahead(&node.store).await {
        Err(failure) => Finding::of(NAME, &failure),
        Ok(ahead) => {
            let check = readiness::clock(ahead);
            match check.level {
                Level::Ok => Finding::ok(NAME, check.text),
                Level::Warning => Finding::warn(NAME, check.text, "set this machine's clock"),
                Level::Critical => Finding::fail(
                    NAME,
                    check.text,
                    "set this machine's clock, and replace its battery if it forgets the time when it is switched off",
                ),
            }
        }
    }
}

fn transport(place: &Place, config: &Config, now: Timestamp) -> Finding {
    if config.plain_http {
        return Finding::warn(
            "plain http",
            "no encryption: only for trying things out",
            "make a node without --plain-http",
        );
    }
    let opened = Tls::open(&place.keys()).and_then(|tls| Ok((tls, Tls::window(&place.keys())?)));
    match opened {
        Ok((tls, window)) => certificate(&tls, window, now),
        Err(error) => Finding::of("certificate", &error.into()),
    }
}

fn certificate(tls: &Tls, window: Window, now: Timestamp) -> Finding {
    const NAME: &str = "certificate";
    let days = window.until.duration_since(now).as_hours() / 24;
    let until = output::time(window.until);
    if now < window.from || window.until <= now {
        let text =
            format!("by this machine's clock it is not valid: only from {} to {until}", output::time(window.from));
        return Finding::fail(NAME, text, "check the clock first; then start the server again, which makes a new one");
    }
    if days < WARN_DAYS {
        let text = format!("ends in {days} days, on {until}");
        return Finding::warn(NAME, text, "start the server again: it makes a new one; what local servers pin stays");
    }
    Finding::ok(NAME, format!("fits its key, valid until {until}; fingerprint of its authority {}", tls.fingerprint()))
}

async fn port(place: &Place, config: &Config) -> Finding {
    let listen = config.listen;
    match tokio::net::TcpListener::bind(listen.0).await {
        Ok(_) => Finding::ok("port", format!("{listen} is free")),
        Err(_) if serve::read_serving(place).is_some() => Finding::ok("port", format!("the server runs on {listen}")),
        Err(error) => Finding::fail(
            "port",
            format!("cannot listen on {listen}: {error}"),
            "stop the other program, or change 'listen'",
        ),
    }
}

async fn disk(node: &Node) -> Finding {
    let free = async { Ok::<_, Failure>(node.blobs().await?.free_bytes().await?) };
    match free.await {
        Ok(free) => {
            let check = readiness::disk(free);
            match check.level {
                Level::Ok => Finding::ok("disk", check.text),
                Level::Warning => Finding::warn("disk", check.text, "delete what is not needed"),
                Level::Critical => Finding::fail("disk", check.text, "delete what is not needed"),
            }
        }
        Err(failure) => Finding::of("disk", &failure),
    }
}

async fn whole(node: &Node) -> Finding {
    match verification::last(&node.store).await {
        Err(error) => Finding::of("verify", &error.into()),
        Ok(last) => {
            let check = readiness::whole(last.as_ref(), node.clock.now());
            match check.level {
                Level::Ok => Finding::ok("verify", check.text),
                Level::Warning => Finding::warn("verify", check.text, "run 'taosync verify'"),
                Level::Critical => Finding::fail("verify", check.text, "run 'taosync verify': it names everything"),
            }
        }
    }
}

/// Syncs that never ended although nobody is syncing.
async fn unfinished(node: &Node) -> Finding {
    const NAME: &str = "syncs";
    if node.identity.role == Role::Central {
        return Finding::ok(NAME, "local servers sync with this one");
    }
    let is_syncing =
        [Way::Down, Way::Up].into_iter().any(|way| locks::sync_lock(node.place.dir(), way, &*node.clock).is_err());
    match node.store.sync_list(None, 100).await {
        Err(error) => Finding::of(NAME, &error.into()),
        Ok(_) if is_syncing => Finding::ok(NAME, "a sync is running"),
        Ok(runs) => {
            let open = runs.iter().filter(|run| run.outcome == SyncOutcome::Running).count();
            if open > 0 {
                let text = format!("{open} ended half-way");
                return Finding::warn(NAME, text, "run 'taosync sync all': it continues where the last one stopped");
            }
            Finding::ok(NAME, "none was left half-way")
        }
    }
}

/// Whether a machine was copied or restored and nobody has said yet which one goes on.
async fn identity(store: &Store, role: Role) -> Finding {
    const NAME: &str = "identity";
    const WHAT: &str = "'taosync node adopt' on the machine that goes on, 'taosync node renew' on a copy";
    if role == Role::Local {
        return match store.sync_list(None, 1).await {
            Err(error) => Finding::of(NAME, &error.into()),
            Ok(runs) if runs.iter().any(|run| run.code.as_deref() == Some("TS-311")) => Finding::fail(
                NAME,
                "[TS-311] central has met another machine with this identity, or this one in a newer state: it gives no data",
                format!("{WHAT}, then 'taosync sync all'"),
            ),
            Ok(_) => Finding::ok(NAME, "central has not objected to this machine"),
        };
    }
    match store.nodes_list().await {
        Err(error) => Finding::of(NAME, &error.into()),
        Ok(nodes) => match nodes.iter().filter(|node| node.orgs.iter().any(|org| org.diverged.is_some())).count() {
            0 => Finding::ok(NAME, "no local server looks like a copied or restored one"),
            number => Finding::fail(
                NAME,
                format!("{number} local servers look like copied or restored ones: they get no data"),
                format!("'taosync node list' says which; {WHAT}; then 'taosync node approve ID' here"),
            ),
        },
    }
}

/// Whether central is in the newest state that anybody has met, and who is not yet heard since it was not.
async fn history(store: &Store) -> Finding {
    const NAME: &str = "history";
    let looked = async { Ok::<_, Failure>((store.nodes_list().await?, store.setting_get(WENT_BACK_AT).await?)) };
    let (nodes, went_back) = match looked.await {
        Ok(looked) => looked,
        Err(failure) => return Finding::of(NAME, &failure),
    };
    let behind = nodes.iter().filter(|node| node.orgs.iter().any(|org| org.behind_at.is_some())).count();
    if behind > 0 {
        return Finding::fail(
            NAME,
            format!("[TS-410] this central was put back to an older state than {behind} local servers have met"),
            "let every local server sync: each hands in again what may be lost; see 'taosync node list'",
        );
    }
    let Some(since) = went_back.and_then(|text| text.parse().ok()) else {
        return Finding::ok(NAME, "no local server has met a newer state of this central");
    };
    let unheard = |org: &NodeOrg| org.reported_at.is_none_or(|at| at.as_millisecond() < since);
    let active = nodes.iter().filter(|node| node.node.revoked_at.is_none());
    let unheard = active.filter(|node| node.orgs.iter().any(unheard)).count();
    if unheard > 0 {
        return Finding::warn(
            NAME,
            format!("this central was put back to an older state, and {unheard} local servers have not synced since"),
            "let them sync: they may hold results that were lost here; 'node revoke' those that are gone for good",
        );
    }
    Finding::ok(NAME, "it was put back once; every local server has synced since")
}

/// Whether TAO's boxes may come in, and who reads along when they do.
async fn tao(node: &Node) -> Finding {
    const NAME: &str = "tao";
    let compat = match Compat::load(&node.store).await {
        Ok(compat) => compat,
        Err(error) => return Finding::of(NAME, &error.into()),
    };
    let has_tls = !node.config.plain_http || node.config.public_url.as_ref().is_some_and(|url| url.scheme() == "https");
    match (compat.tao, has_tls, compat.supported_versions.is_empty()) {
        (false, ..) => Finding::ok(NAME, "TAO's protocol is switched off"),
        (true, false, _) => Finding::warn(
            NAME,
            "TAO's protocol is switched on without encryption: whoever is on the line can read tokens and passwords",
            "'taosync compat set tao off', or make a node without --plain-http",
        ),
        (true, true, true) => Finding::ok(NAME, "TAO's protocol is switched on; no version of TAO is in the list yet"),
        (true, true, false) => {
            Finding::ok(NAME, format!("boxes with TAO {} may sync", compat.supported_versions.join(", ")))
        }
    }
}

/// Whether keys go on whose sync manager is gone. Nothing ends by itself: a school may be in an exam.
async fn orphans(store: &Store) -> Finding {
    const NAME: &str = "sync managers";
    let orphans = match orphans::look(store).await {
        Ok(orphans) => orphans,
        Err(error) => return Finding::of(NAME, &error.into()),
    };
    if orphans.is_empty() {
        return Finding::ok(NAME, "every key that one connected has its sync manager");
    }
    let named = orphans.iter().map(|orphan| {
        let orgs = orphan.orgs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        if orgs.is_empty() { orphan.client_key.clone() } else { format!("{} ({orgs})", orphan.client_key) }
    });
    let named = named.collect::<Vec<_>>().join("; ");
    Finding::warn(
        NAME,
        format!("keys go on whose sync manager was removed or is of other organisations now: {named}"),
        "give their machines new keys ('taosync oauth generate --org ORG --out DIR'), then 'taosync oauth revoke KEY'",
    )
}

/// Whether there is anybody to exchange with.
async fn partner(store: &Store, role: Role) -> Finding {
    let counted = async {
        Ok::<_, Failure>(match role {
            Role::Central => store.consumers_list().await?.iter().filter(|c| c.revoked_at.is_none()).count(),
            Role::Local => store.remotes_list().await?.len(),
        })
    };
    match (role, counted.await) {
        (_, Err(failure)) => Finding::of("partners", &failure),
        (Role::Central, Ok(0)) => {
            Finding::warn("partners", "no local server has a key", "make one with 'taosync oauth generate --org ORG'")
        }
        (Role::Local, Ok(0)) => {
            Finding::warn("partners", "no central is known", "run the 'taosync oauth import' command from the office")
        }
        (Role::Central, Ok(number)) => Finding::ok("partners", format!("{number} keys for local servers")),
        (Role::Local, Ok(number)) => Finding::ok("partners", format!("{number} central(s) known")),
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan as _;
    use taosync_model::clock::SystemClock;

    use super::*;

    #[test]
    fn a_certificate_is_warned_of_before_its_end() {
        let (dir, now) = (tempfile::tempdir().unwrap(), SystemClock.now());
        let tls = Tls::create(dir.path(), &["localhost".to_owned()], now).unwrap();
        let window = Tls::window(dir.path()).unwrap();
        let verdict =
            |days: i64| certificate(&tls, window, window.until.checked_sub((days * 24).hours()).unwrap()).verdict;
        assert_eq!(verdict(WARN_DAYS + 1), Verdict::Ok);
        assert_eq!(verdict(WARN_DAYS - 1), Verdict::Warn);
        assert_eq!(verdict(-1), Verdict::Fail);
        assert_eq!(verdict(11 * 365), Verdict::Fail, "the clock is before its beginning");
    }
}
