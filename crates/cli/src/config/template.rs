//! The file that `taosync init` writes: what was chosen, and every other key with its default as a comment.

use taosync_store::settings::Role;
use url::Url;

use super::Listen;

/// What `taosync init` was asked for.
#[derive(Clone, Debug)]
pub struct NewNode {
    /// Role.
    pub role: Role,
    /// Address to listen on.
    pub listen: Listen,
    /// Whether to speak HTTP without TLS.
    pub plain_http: bool,
    /// How others reach this server.
    pub public_url: Option<Url>,
    /// Further names and addresses in the certificate.
    pub hosts: Vec<String>,
}

/// The text of a new `taosync.toml`.
pub fn config_text(new: &NewNode) -> String {
    let public_url = match &new.public_url {
        Some(url) => format!("public_url = {}", quoted(url.as_str())),
        None => "# public_url = \"https://central.example:8443/\"".to_owned(),
    };
    let hosts: Vec<_> = new.hosts.iter().map(|host| quoted(host)).collect();
    format!(
        r#"# Configuration of a taosync node. Every key can also be given in the environment, as TAOSYNC_KEY or
# TAOSYNC_SECTION__KEY, for example TAOSYNC_SYNC_SERVICE__CHUNK_SIZE=500. Restart 'taosync serve' after a change.

# central holds the truth, local stands in a school. Fixed by 'taosync init'.
role = "{role}"

# Address and port to listen on; port 0 means any free one.
listen = "{listen}"

# HTTP without TLS; only accepted on this machine's own address (127.0.0.1).
plain_http = {plain_http}

# How others reach this server, when that is not the address above (a name, a forwarded port, a load balancer).
{public_url}

# Further names and addresses for the certificate; 'taosync serve' makes a new one when they change. Pins stay valid.
hosts = [{hosts}]

# Proxy towards central. Without it, HTTPS_PROXY and NO_PROXY are honoured.
# proxy = "http://proxy.example:3128"

[sync_service]
# Entities after which a sync that breaks off can continue (1 to 100000).
chunk_size = 2000
# Days for which central remembers what was removed. A local server that was away longer compares everything instead.
keep_removals_days = 30
# Days for which the history of syncs is kept. Of one server and organisation, 1000 syncs are kept at most.
keep_history_days = 400

# Properties that never travel to local servers, whatever the type: for example those with e-mail addresses.
# never_travels = ["http://www.tao.lu/Ontologies/generis.rdf#userMail"]

# Which properties of a type travel: only the named ones (fields), or all but the named ones (excluded_properties).
# Types: test-center, administrator, proctor, test-taker, eligibility, delivery. The defaults are those of TAO.
# [sync_service.test-taker]
# fields = []
# excluded_properties = ["http://www.tao.lu/Ontologies/TAO.rdf#UpdatedAt", "http://www.taotesting.com/Ontologies/TAO.rdf#CreatedAt"]

[result_service]
# Results handed in with one request at most (1 to 10000).
chunk_size = 500
# Whether a result disappears from this server's lists once central has confirmed that it holds it.
delete_after_send = false
# Which executions are handed in: finished, terminated, canceled.
status_executions_to_sync = ["finished"]
# Hours in which an ended execution can be reactivated; afterwards what that needs is erased.
reactivation_window_hours = 24
# Days for which a sealed copy of a confirmed result is kept at least.
keep_days = 14

[results]
# Results are sealed for the results keys ('taosync keys results list' at central); true leaves them readable for this
# server: a central then asks for none that are sealed and seals none, a local server seals none.
keep_readable = false

[retention]
# Days after which 'taosync retention run' erases at central (0: never): the content of results, from their hand-in;
# eligibilities, after the end of their delivery, so that local servers lose what they no longer need; test takers whom no
# eligibility names.
answers_days = 0
closed_exams_days = 0
people_days = 0

[oauth]
# Seconds a token lives (60 to 86400).
token_lifetime_seconds = 3600

[tao]
# Seconds between two looks of 'taosync serve' at the database of an adopted TAO (1 to 86400).
every_seconds = 60
"#,
        role = new.role,
        listen = new.listen,
        plain_http = new.plain_http,
        hosts = hosts.join(", "),
    )
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
