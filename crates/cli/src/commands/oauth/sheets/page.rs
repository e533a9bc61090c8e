//! The page that is printed: plain HTML without anything from elsewhere, readable for a teacher who has never seen the program.

use taosync_model::OrgId;
use zeroize::Zeroizing;

use super::Code;
use crate::output;

/// The page of a code.
pub(super) fn of(code: &Code) -> Zeroizing<String> {
    let rows: Zeroizing<String> =
        Zeroizing::new(code.lines.iter().flat_map(|line| ["<li>", line.as_str(), "</li>"]).collect());
    let orgs = code.orgs.iter().map(OrgId::as_str).collect::<Vec<_>>().join(", ");
    Zeroizing::new(format!(
        "<!DOCTYPE html>
<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Enrolment: {label}</title>
<style>body{{font:12pt serif;max-width:40em;margin:2em auto}}li{{font:16pt monospace;margin:.3em 0}}code{{font:11pt monospace}}</style>
</head><body>
<h1>{label}</h1>
<p>This sheet connects <b>one</b> machine, <b>once</b>, for <b>{orgs}</b>. It is good until {until}. Keep it like a key until it was used,
then destroy it. If it was lost, tell the office: key {key}.</p>
<h2>On the machine</h2>
<ol type=\"a\"><li style=\"font:inherit\">Set the clock, and check that the network works.</li>
<li style=\"font:inherit\">Unless it was done before: <code>taosync --dir /var/lib/taosync init local</code></li>
<li style=\"font:inherit\"><code>taosync --dir /var/lib/taosync oauth import --code -</code>, then type the lines below, and end with Ctrl-D on an empty line.</li>
<li style=\"font:inherit\"><code>taosync --dir /var/lib/taosync sync all</code></li></ol>
<h2>The code</h2>
<ol>{rows}</ol>
<p>Capital and small letters are the same; hyphens and spaces do not matter. There is no letter O, I, L or U: what looks like O is a zero, what
looks like I or L is a one. The last character of each line checks it: a mistake is found before anything is sent, with the number of its line.</p>
<p>Central: <code>{root}</code></p>
</body></html>
",
        label = escaped(&code.label),
        orgs = escaped(&orgs),
        until = output::time(code.expires_at),
        key = escaped(&code.key),
        root = escaped(code.root_url.as_str()),
        rows = rows.as_str(),
    ))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_the_code_and_nothing_from_elsewhere() {
        let code = Code {
            key: "abcdef".into(),
            orgs: vec![OrgId::new("A&B").unwrap()],
            label: "<North>".into(),
            root_url: "https://central.example/".parse().unwrap(),
            expires_at: jiff::Timestamp::UNIX_EPOCH,
            lines: vec![Zeroizing::new("AAAA-BBBB-CCCC-DDDD".to_owned())],
        };
        let page = of(&code);
        for word in ["AAAA-BBBB-CCCC-DDDD", "A&amp;B", "&lt;North&gt;", "https://central.example/", "1970-01-01"] {
            assert!(page.contains(word), "{word}");
        }
        for word in ["<script", "src=", "href=", "url("] {
            assert!(!page.contains(word), "{word}");
        }
    }
}
