//! A browser as far as the pages need one: it keeps the cookie, and sends forms of pages it has seen.

use std::process::Stdio;

use bytes::Bytes;
use http_body_util::Full;
use serde_json::Value;

use super::node::{Node, Server};
use super::run::Started;
use super::runner_client::RunnerClient;

pub struct Browser {
    client: RunnerClient,
    cookie: String,
    form_token: String,
}

/// Makes an account whose password comes on standard input.
pub fn add_account(node: &Node, login: &str, password: &str, more: &[&str]) -> Value {
    let arguments = [&["account", "add", login], more].concat();
    let mut command = node.command(&arguments);
    let mut started = Started::new(command.stdin(Stdio::piped()));
    started.feed(format!("{password}\n").as_bytes());
    started.wait().done()
}

impl Browser {
    pub fn new(node: &Node, server: &Server) -> Self {
        Self { client: RunnerClient::new(node, server), cookie: String::new(), form_token: String::new() }
    }

    pub fn is_signed_in(&self) -> bool {
        !self.cookie.is_empty()
    }

    /// The same browser after another one's cookie was put into it.
    pub fn with_session_of(self, other: &Self) -> Self {
        Self { cookie: other.cookie.clone(), ..self }
    }

    /// The session's token, which stands nowhere but in the browser.
    pub fn token(&self) -> &str {
        self.cookie.split_once('=').unwrap().1
    }

    /// Signs in; a wrong password leaves the browser as it was.
    pub fn sign_in(&mut self, login: &str, password: &str) -> u16 {
        let fields = format!("login={}&password={}", form(login), form(password));
        let answer = self.send("POST", "/login", &fields);
        if let Some(cookie) = answer.headers().get("set-cookie") {
            self.cookie = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
        }
        answer.status().as_u16()
    }

    /// A page that must be shown.
    #[track_caller]
    pub fn page(&mut self, path: &str) -> String {
        let answer = self.send("GET", path, "");
        let text = String::from_utf8(answer.body().to_vec()).unwrap();
        assert_eq!(answer.status(), 200, "{path}: {text}");
        let token = text.split("name=\"form_token\" value=\"").nth(1).unwrap();
        self.form_token = token.split('"').next().unwrap().to_owned();
        text
    }

    pub fn status(&self, path: &str) -> u16 {
        self.send("GET", path, "").status().as_u16()
    }

    /// Sends a form of the page that was seen last: where it leads, or what is wrong.
    pub fn act(&self, path: &str, fields: &str) -> (u16, String) {
        let answer = self.send("POST", path, &format!("form_token={}&{fields}", self.form_token));
        let place = answer.headers().get("location").map(|place| place.to_str().unwrap().to_owned());
        (answer.status().as_u16(), place.unwrap_or_else(|| String::from_utf8_lossy(answer.body()).into_owned()))
    }

    fn send(&self, method: &str, path: &str, fields: &str) -> http::Response<Bytes> {
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("host", "127.0.0.1")
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("cookie", &self.cookie)
            .body(Full::new(Bytes::copy_from_slice(fields.as_bytes())));
        self.client.exchange(request.unwrap())
    }
}

/// A text as a field of a form.
fn form(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => char::from(byte).to_string(),
        b' ' => "+".to_owned(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}
