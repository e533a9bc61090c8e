//! The OpenAPI documents in `docs/openapi/`: they say of our routes what the servers' own tables say, and are served.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use taosync_server::routes::{Access, Endpoint};
use taosync_server::{central_endpoints, local_endpoints};

use crate::place::Place;
use crate::room::Room;

const METHODS: [&str; 7] = ["get", "post", "put", "delete", "patch", "head", "options"];

fn document(role: &str) -> Value {
    let path = format!("{}/../../docs/openapi/{role}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// OpenAPI has no word for the rest of a path.
fn path_of(endpoint: &Endpoint) -> String {
    endpoint.path.replace("{*", "{")
}

fn scheme(access: Access) -> Option<&'static str> {
    match access {
        Access::Anybody | Access::SyncManager | Access::Account => None,
        Access::ClientSecret => Some("client_secret"),
        Access::Consumer => Some("consumer"),
        Access::TestRunner => Some("runner_key"),
        Access::TaoClient => Some("tao"),
        Access::Visitor | Access::Overseer | Access::Administrator | Access::Operator => Some("session"),
    }
}

#[test]
fn every_route_is_described_and_nothing_else() {
    for (role, endpoints) in [("central", central_endpoints()), ("local", local_endpoints())] {
        let document = document(role);
        let named = document["paths"].as_object().unwrap().iter().flat_map(|(path, methods)| {
            methods
                .as_object()
                .unwrap()
                .keys()
                .filter(|key| METHODS.contains(&key.as_str()))
                .map(move |m| (m.clone(), path.clone()))
        });
        let named: BTreeSet<_> = named.collect();
        let served: BTreeSet<_> = endpoints.iter().map(|e| (e.method.as_str().to_lowercase(), path_of(e))).collect();
        assert_eq!(named, served, "docs/openapi/{role}.json (left) and the routes (right)");
        for endpoint in &endpoints {
            let described = &document["paths"][path_of(endpoint)][endpoint.method.as_str().to_lowercase()];
            let expected = scheme(endpoint.access).filter(|_| !endpoint.path.contains("/TokenApi/"));
            let expected: Vec<Value> = expected.into_iter().map(|scheme| json!({scheme: []})).collect();
            assert_eq!(described["security"], json!(expected), "{endpoint:?}");
            assert!(described["responses"]["default"].is_object(), "what an error looks like: {endpoint:?}");
        }
    }
}

/// References lead somewhere, and a path names its own parameters.
#[test]
fn the_documents_are_whole() {
    for role in ["central", "local"] {
        let document = document(role);
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let pointer = reference.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, described) in methods.as_object().unwrap() {
                let named = described["parameters"].as_array().cloned().unwrap_or_default();
                let named: Vec<_> = named
                    .iter()
                    .filter(|p| p["in"] == "path")
                    .map(|p| p["name"].as_str().unwrap().to_owned())
                    .collect();
                let held: Vec<_> =
                    path.split('{').skip(1).map(|part| part.split('}').next().unwrap().to_owned()).collect();
                assert_eq!(named, held, "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn each_server_shows_its_own() {
    for (role, place) in [("central", Place::central().await), ("local", Room::open().await.place)] {
        let answer = place.get("/api/v1/openapi.json", &[]).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
        assert_eq!(answer.json(), document(role));
    }
}
