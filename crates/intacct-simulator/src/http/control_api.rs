//! `/_sim/`: the control surface for tests and demos. JSON, loopback peers only.

use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use rusqlite::types::ValueRef;
use serde_json::{Value as Json, json};

use super::body::{Body, reply};
use crate::catalog::Catalog;
use crate::faults::Fault;
use crate::gateway::Gateway;
use crate::store::changes::Change;

/// Serves one control request.
pub async fn serve(gateway: Arc<Gateway>, request: Request<Incoming>) -> Response<Body> {
    let method = request.method().clone();
    let path = request.uri().path().trim_start_matches("/_sim").to_string();
    let query = request.uri().query().unwrap_or_default().to_string();
    let Ok(body) = request.into_body().collect().await else {
        return reply(400, "application/json", "{}");
    };
    let body = body.to_bytes();
    let done = tokio::task::spawn_blocking(move || {
        let input = if body.is_empty() {
            Ok(Json::Null)
        } else {
            serde_json::from_slice::<Json>(&body)
        };
        match input {
            Ok(input) => answer(&gateway, &method, &path, &query, input),
            Err(e) => Err((400, e.to_string())),
        }
    })
    .await;
    match done {
        Ok(Ok(json)) => reply(200, "application/json", json.to_string()),
        Ok(Err((status, text))) => reply(status, "application/json", json!({ "error": text }).to_string()),
        Err(_) => reply(
            500,
            "application/json",
            json!({ "error": "internal" }).to_string(),
        ),
    }
}

type Answer = Result<Json, (u16, String)>;

fn answer(gateway: &Gateway, method: &Method, path: &str, query: &str, input: Json) -> Answer {
    let bad = |text: String| (400, text);
    match (method.as_str(), path) {
        ("GET", "/log") => {
            let since = query
                .strip_prefix("since=")
                .and_then(|n| n.parse().ok())
                .unwrap_or(0);
            Ok(json!(gateway.log.since(since)))
        }
        ("POST", "/log/clear") => {
            gateway.log.clear();
            Ok(json!({}))
        }
        ("GET", "/settings") => Ok(json!(gateway.settings().list())),
        ("POST", "/settings") => {
            let pairs = input
                .as_object()
                .ok_or_else(|| bad("an object of settings is expected".into()))?;
            let pairs: Vec<(String, String)> = pairs
                .iter()
                .map(|(k, v)| (k.clone(), v.as_str().map_or_else(|| v.to_string(), Into::into)))
                .collect();
            gateway
                .set(pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())))
                .map_err(bad)?;
            Ok(json!(gateway.settings().list()))
        }
        ("GET", "/faults") => {
            let lines: Vec<Json> = gateway
                .faults
                .fired()
                .into_iter()
                .map(|(fault, fired)| json!({ "fault": fault, "fired": fired }))
                .collect();
            Ok(json!(lines))
        }
        ("POST", "/faults") => {
            let list = if input.is_array() { input } else { json!([input]) };
            let faults: Vec<Fault> = serde_json::from_value(list).map_err(|e| bad(e.to_string()))?;
            gateway.faults.add(faults);
            Ok(json!({}))
        }
        ("POST", "/faults/clear") => {
            gateway.faults.clear();
            Ok(json!({}))
        }
        ("POST", "/sessions/expire") => Ok(json!({ "expired": gateway.sessions.close_all() })),
        ("GET", "/sessions") => Ok(json!({ "open": gateway.sessions.count() })),
        ("GET", "/catalog") => Ok(json!(Catalog::builtin())),
        ("POST", "/sql") => {
            let text = |name: &str| {
                input
                    .get(name)
                    .and_then(Json::as_str)
                    .unwrap_or_default()
                    .to_string()
            };
            sql(gateway, &text("company"), &text("sql"))
        }
        ("POST", "/change") => {
            let company = input.get("company").and_then(Json::as_str).unwrap_or_default();
            let hold = input.get("hold").and_then(Json::as_bool).unwrap_or(false);
            let ops = input.get("ops").cloned().unwrap_or_default();
            let ops: Vec<Change> = serde_json::from_value(ops).map_err(|e| bad(e.to_string()))?;
            Ok(json!({ "keys": gateway.change(company, ops, hold).map_err(bad)? }))
        }
        ("POST", "/change/release") => Ok(json!({ "released": gateway.release().map_err(bad)? })),
        ("GET", "/rows") => {
            let pick = |name: &str| {
                query
                    .split('&')
                    .filter_map(|p| p.split_once('='))
                    .find(|(k, _)| *k == name)
                    .map_or("", |(_, v)| v)
            };
            let object = Catalog::builtin()
                .object(pick("object"))
                .ok_or_else(|| (404, format!("no object {}", pick("object"))))?;
            sql(
                gateway,
                pick("company"),
                &format!("SELECT * FROM {}", crate::store::quote(&object.name)),
            )
        }
        _ => Err((404, format!("no {method} /_sim{path}"))),
    }
}

/// Rows of a statement as objects; decimals of the views are strings.
fn sql(gateway: &Gateway, company: &str, sql: &str) -> Answer {
    let company = gateway
        .companies
        .get(company)
        .ok_or_else(|| (404, format!("no company {company}")))?;
    let run = || -> rusqlite::Result<Json> {
        let reader = company.store.read()?;
        let mut statement = reader.prepare(sql)?;
        let names: Vec<String> = statement
            .column_names()
            .iter()
            .map(|n| (*n).to_string())
            .collect();
        let mut rows = statement.query([])?;
        let mut out = Vec::new();
        while let Some(row) = rows.next()? {
            let mut object = serde_json::Map::new();
            for (i, name) in names.iter().enumerate() {
                let value = match row.get_ref(i)? {
                    ValueRef::Null | ValueRef::Blob(_) => Json::Null,
                    ValueRef::Integer(n) => json!(n),
                    ValueRef::Real(r) => json!(r),
                    ValueRef::Text(t) => json!(String::from_utf8_lossy(t)),
                };
                object.insert(name.clone(), value);
            }
            out.push(Json::Object(object));
        }
        Ok(Json::Array(out))
    };
    run().map_err(|e| (400, e.to_string()))
}
