//! What is answered, request by request.

use std::convert::Infallible;
use std::fmt::Write as _;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures_util::stream;
use serde_json::{Map, Value, json};
use taosync_model::tao::{Properties, TaoChecksum};
use taosync_wire::tao::query::{Query, encode};
use taosync_wire::tao::{
    PATH_CHECKSUMS, PATH_CLASSES, PATH_CONFIRM_FAILED, PATH_CONFIRM_FINISHED, PATH_DELIVERY_TEST, PATH_DETAILS,
    PATH_LOGS, PATH_LTI_USERS, PATH_RESULTS, PATH_SESSIONS, PATH_SUPPORTED_VM, PATH_TOKEN,
};

use super::{Fault, Inside, Row, Seen, VERSION, json, response};

impl Inside {
    pub(super) fn answer(&mut self, seen: &Seen) -> Response {
        if seen.path == PATH_TOKEN {
            return self.token(seen);
        }
        let bearer = seen.headers.get("authorization").and_then(|v| v.to_str().ok()).and_then(|v| v.get(7..));
        if !bearer.is_some_and(|token| self.tokens.iter().any(|known| known == token)) {
            return failure(401, "You are not authorized to access this functionality.");
        }
        if let Some(response) = self.stumble(seen) {
            return response;
        }
        match seen.path.as_str() {
            PATH_SUPPORTED_VM => json(200, &json!({"success": true, "data": [VERSION]})),
            PATH_CHECKSUMS => self.listing(&seen.query()),
            PATH_DETAILS => self.details(&seen.json()),
            PATH_CLASSES => self.classes(&seen.json()),
            PATH_DELIVERY_TEST => self.package(&seen.query()),
            PATH_RESULTS | PATH_LOGS | PATH_SESSIONS | PATH_LTI_USERS => self.hand_in(seen),
            PATH_CONFIRM_FINISHED | PATH_CONFIRM_FAILED => {
                self.confirmed.push(seen.json());
                json(200, &json!({"message": "Confirmation received."}))
            }
            _ => failure(403, "Access denied. Please renew your authentication!"),
        }
    }

    fn token(&mut self, seen: &Seen) -> Response {
        let form = Query::parse(std::str::from_utf8(&seen.body).unwrap());
        if (form.get("client_id"), form.get("client_secret")) != (Some("key"), Some("secret")) {
            return failure(401, "You are not authorized to perform this operation");
        }
        let token = format!("token{}", self.tokens.len());
        self.tokens.push(token.clone());
        json(200, &json!({"access_token": token, "expires": 1}))
    }

    fn stumble(&mut self, seen: &Seen) -> Option<Response> {
        match &mut self.fault {
            Fault::Stumbles(path, after) | Fault::Hangs(path, after) if seen.path.contains(*path) && *after > 0 => {
                *after -= 1;
                None
            }
            Fault::Stumbles(path, _) if seen.path.contains(*path) => {
                self.fired += 1;
                Some(failure(500, "Unexpected error. Please contact administrator"))
            }
            Fault::Hangs(path, _) if seen.path.contains(*path) => {
                self.fired += 1;
                Some(response(200, Body::from_stream(stream::pending::<Result<Bytes, Infallible>>())))
            }
            Fault::LoginPage(path) if seen.path.contains(*path) => {
                self.fired += 1;
                Some(response(200, Body::from("<html>log in</html>")))
            }
            _ => None,
        }
    }

    fn listing(&mut self, query: &Query) -> Response {
        if query.param("tao_version") != Some(VERSION) {
            return failure(500, "Provided version of TAO VM is not supported by server: x");
        }
        let entity_type = query.get("type").unwrap_or_default().to_owned();
        let offset: usize = query.param("offset").and_then(|text| text.parse().ok()).unwrap_or(0);
        let comes_at_once = self.by_org && !matches!(entity_type.as_str(), "test-center" | "test-taker");
        // A joined row for each label (WIRE §2.2).
        let rows = self.school.rows.iter().filter(|row| row.entity_type == entity_type);
        let rows: Vec<&Row> = rows.flat_map(|row| std::iter::repeat_n(row, row.labels)).collect();
        let page: Vec<Row> = if comes_at_once {
            rows.into_iter().cloned().collect()
        } else {
            rows.into_iter().skip(offset).take(self.chunk).cloned().collect()
        };
        let mut page = distinct(page);
        let mut has_next = page.len() == self.chunk;
        self.spoil(&entity_type, offset, &mut page, &mut has_next);
        let entities: Map<String, Value> = page.into_iter().map(|row| (row.uri.clone(), line(&row))).collect();
        let mut answer = json!({"type": entity_type, "entities": or_list(entities)});
        if has_next {
            answer["nextCallUrl"] = Value::from(self.next(query, offset));
        }
        json(200, &answer)
    }

    fn next(&self, query: &Query, offset: usize) -> String {
        let mut next = format!("/{PATH_CHECKSUMS}?type={}", query.get("type").unwrap());
        for name in ["organisation_id", "sync_id", "box_id", "tao_version"] {
            if let Some(value) = query.param(name) {
                write!(next, "&params%5B{name}%5D={}", encode(value)).unwrap();
            }
        }
        format!("{next}&params%5Boffset%5D={}", offset + self.chunk)
    }

    fn spoil(&mut self, entity_type: &str, offset: usize, page: &mut Vec<Row>, has_next: &mut bool) {
        let all = || distinct(self.school.rows.iter().filter(|row| row.entity_type == entity_type).cloned().collect());
        match self.fault.clone() {
            Fault::Repeats(of) if of == entity_type => {
                *page = all().into_iter().take(self.chunk).collect();
                *has_next = true;
            }
            Fault::CutShort(of) if of == entity_type && offset == 0 => {
                page.truncate(page.len() / 2);
                *has_next = false;
            }
            Fault::Empty(of) if of == entity_type => (*page, *has_next) = (Vec::new(), false),
            Fault::Flickers(of) if of == entity_type && offset == 0 => {
                page.drain(..self.fired as usize % 3);
                page.remove(0);
            }
            Fault::Duplicates(of) if of == entity_type && offset > 0 => {
                let end = (offset - 1 + self.chunk).min(all().len());
                *page = all()[offset.min(end + 1) - 1..end].to_vec();
                if offset > all().len() {
                    page.clear();
                }
            }
            _ => return,
        }
        self.fired += 1;
    }

    fn details(&mut self, request: &Value) -> Response {
        let entity_type = request["type"].as_str().unwrap().to_owned();
        let ids: Vec<&str> = request["entityIds"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
        let mut found = Map::new();
        let mut fired = 0;
        for row in &self.school.rows {
            if row.entity_type != entity_type {
                continue;
            }
            if !ids.contains(&row.uri.as_str()) {
                continue;
            }
            let is_first = row.uri == ids[0];
            match &self.fault {
                Fault::Vanishes(of) if *of == entity_type && is_first => fired += 1,
                Fault::WrongChecksum(of) if *of == entity_type && is_first => {
                    fired += 1;
                    let mut spoilt = full(row);
                    spoilt["checksum"] = Value::from("0".repeat(32));
                    found.insert(row.uri.clone(), spoilt);
                }
                _ => drop(found.insert(row.uri.clone(), full(row))),
            }
        }
        if self.fault == Fault::Unasked("test-taker") && entity_type == "test-taker" {
            fired += 1;
            found.insert("urn:unasked".to_owned(), entity("urn:unasked", &Properties::default(), true));
        }
        self.fired += fired;
        json(200, &or_list(found))
    }

    fn classes(&self, request: &Value) -> Response {
        let mut wanted: Vec<String> =
            request["requested-classes"].as_array().unwrap().iter().map(|c| c.as_str().unwrap().to_owned()).collect();
        let mut found = Map::new();
        while let Some(uri) = wanted.pop() {
            let none = Properties::default();
            let known = self.school.classes.get(&uri);
            if let Some(parent) =
                known.and_then(|class| class.texts(taosync_model::vocabulary::RDFS_SUB_CLASS_OF).first())
                && self.school.classes.contains_key(parent)
            {
                wanted.push(parent.clone());
            }
            let properties = known.unwrap_or(&none);
            found.insert(uri.clone(), entity(&uri, properties, true));
        }
        json(200, &or_list(found))
    }

    fn package(&self, query: &Query) -> Response {
        match query.get("delivery-uri").and_then(|uri| self.school.packages.get(uri)) {
            Some(zip) => response(200, Body::from(zip.clone())),
            None => failure(404, "Not found"),
        }
    }

    fn hand_in(&mut self, seen: &Seen) -> Response {
        let request = seen.json();
        let fault = match &self.fault {
            Fault::AnswerLost(path) | Fault::AckEmpty(path) | Fault::AckOfAnother(path) | Fault::AckFailed(path)
                if seen.path.contains(*path) =>
            {
                self.fired += 1;
                self.fault.clone()
            }
            _ => Fault::None,
        };
        if matches!(fault, Fault::AckEmpty(_)) {
            return json(200, &json!([]));
        }
        if matches!(fault, Fault::AckOfAnother(_)) {
            return json(200, &json!({"urn:another": {"success": 1, "deliveryId": "urn:x", "logsSynced": []}}));
        }
        let is_refused = matches!(fault, Fault::AckFailed(_));
        let answer = match seen.path.as_str() {
            PATH_RESULTS => self.take_results(&request["results"], is_refused),
            PATH_LOGS => self.take_logs(&request["delivery_logs"]),
            PATH_SESSIONS => self.take_sessions(&request["test_sessions"]),
            _ => self.take_users(&request["lti_users"]),
        };
        if matches!(fault, Fault::AnswerLost(_)) {
            let cut = futures_util::stream::once(async { Err::<Vec<u8>, _>(std::io::Error::other("cut")) });
            return response(200, Body::from_stream(cut));
        }
        json(200, &answer)
    }

    /// One that is held already is answered as failed, as the recording of a repeat shows.
    fn take_results(&mut self, results: &Value, is_refused: bool) -> Value {
        let mut acks = Map::new();
        for (name, result) in results.as_object().unwrap() {
            let is_held = self.results.iter().any(|(known, _)| known == name);
            let is_taken = !is_held && !is_refused && result["details"]["state"].is_string();
            acks.insert(name.clone(), json!({"success": u8::from(is_taken), "deliveryId": result["deliveryId"]}));
            if is_taken {
                self.results.push((name.clone(), result.clone()));
            }
        }
        or_list(acks)
    }

    fn take_logs(&mut self, logs: &Value) -> Value {
        let mut acks = Map::new();
        for (name, rows) in logs.as_object().unwrap() {
            let is_known = self.results.iter().any(|(known, _)| known == name);
            let rows: Vec<Value> = rows.as_array().unwrap().iter().filter(|_| is_known).cloned().collect();
            let ids: Vec<Value> = rows.iter().map(|row| row["id"].clone()).collect();
            self.logs.extend(rows);
            acks.insert(name.clone(), json!({"success": 1, "logsSynced": ids}));
        }
        or_list(acks)
    }

    fn take_sessions(&mut self, sessions: &Value) -> Value {
        let names = sessions.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
        let mut acks = Map::new();
        for name in names {
            let is_known = self.results.iter().any(|(known, _)| *known == name);
            acks.insert(name.clone(), json!({"success": u8::from(is_known)}));
            if is_known {
                self.sessions.push(name);
            }
        }
        or_list(acks)
    }

    /// No real one was recorded: an answer like that to sessions.
    fn take_users(&mut self, users: &Value) -> Value {
        let mut acks = Map::new();
        for user in users.as_array().unwrap() {
            acks.insert(user["client_user_id"].as_str().unwrap().to_owned(), json!({"success": 1}));
            self.users.push(user.clone());
        }
        or_list(acks)
    }
}

fn distinct(rows: Vec<Row>) -> Vec<Row> {
    let mut list: Vec<Row> = Vec::new();
    for row in rows {
        if !list.iter().any(|known| known.uri == row.uri) {
            list.push(row);
        }
    }
    list
}

/// PHP's empty array.
fn or_list(map: Map<String, Value>) -> Value {
    if map.is_empty() { json!([]) } else { Value::Object(map) }
}

fn line(row: &Row) -> Value {
    entity(&row.uri, &row.properties, false)
}

fn full(row: &Row) -> Value {
    entity(&row.uri, &row.properties, true)
}

fn entity(uri: &str, properties: &Properties, shows: bool) -> Value {
    let shown = if shows { serde_json::to_value(properties).unwrap() } else { json!([]) };
    json!({"id": uri, "checksum": TaoChecksum::of(properties).to_string(), "properties": shown})
}

fn failure(status: u16, words: &str) -> Response {
    json(status, &json!({"success": false, "errorCode": 0, "errorMsg": words, "version": VERSION}))
}
