//! getAPISession, readUserFormatting, readEntityDetails.

use std::time::Duration;

use super::Caller;
use crate::envelope::Node;
use crate::error::Fault;
use crate::format::{Preferences, gmt_offset};
use crate::respond::{Outcome, Xml};
use crate::session::Identity;

/// Opens a session, at an entity if one is named.
///
/// # Errors
/// The fault that the gateway answers.
pub fn get_api_session(caller: &Caller<'_>, node: &Node) -> Result<Outcome, Fault> {
    let location = match node.child_text("locationid") {
        None => caller.identity.location.clone(),
        Some("") => None,
        Some(entity) if caller.company.entities.iter().any(|e| e == entity) => Some(entity.into()),
        Some(entity) => {
            return Err(Fault::new(
                "Get API Session Failed",
                format!("The entity {entity} is not valid"),
            ));
        }
    };
    let lifetime = Duration::from_secs(caller.settings.session_ttl);
    let identity = Identity {
        location: location.clone(),
        ..caller.identity.clone()
    };
    let id = caller.gateway.sessions.open(identity, lifetime);
    let endpoint = match caller.settings.endpoint.as_str() {
        "" => caller.gateway.url(),
        other => other.into(),
    };
    let mut xml = Xml::part(caller.whitespace, 3);
    xml.open("data", &[]).open("api", &[]);
    xml.leaf("sessionid", &id)
        .leaf("endpoint", &endpoint)
        .leaf("locationid", location.as_deref().unwrap_or(""));
    xml.close("api").close("data");
    Ok(Outcome {
        data: Some(xml),
        ..Outcome::default()
    })
}

/// Formatting preferences of a user, by USERINFO.RECORDNO or login id.
///
/// # Errors
/// The fault that the gateway answers.
pub fn user_formatting(caller: &Caller<'_>, node: &Node) -> Result<Outcome, Fault> {
    let (column, value) = match node.child_text("key") {
        Some(key) => ("RECORDNO", key),
        None => ("LOGINID", node.child_text("userId").unwrap_or_default()),
    };
    let reader = caller.company.store.read()?;
    let mut statement = reader.prepare_cached(&format!(
        "SELECT RECORDNO, LOGINID FROM t_USERINFO WHERE CAST({column} AS TEXT) = ?"
    ))?;
    let (record, login): (i64, String) = statement
        .query_row([value], |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(|_| Fault::new("BL01001973", format!("Cannot find user with key {value}")))?;
    let preferences = caller
        .company
        .users
        .iter()
        .find(|u| u.id == login)
        .map(|u| u.preferences.clone());
    let preferences = preferences.unwrap_or_else(Preferences::default);
    let mut xml = Xml::part(caller.whitespace, 3);
    xml.open("data", &[("listtype", "userformatting"), ("count", "1")])
        .open("userformatting", &[]);
    xml.leaf("recordno", &record.to_string())
        .leaf("locale", &preferences.locale);
    xml.leaf("dateformat", &preferences.date_format);
    let settings = caller.settings;
    xml.leaf(
        "gmtoffset",
        &gmt_offset(&preferences, &settings.readings, &settings.time_zone),
    );
    xml.leaf("clock", &preferences.clock.to_string())
        .close("userformatting")
        .close("data");
    Ok(Outcome {
        data: Some(xml),
        ..Outcome::default()
    })
}

/// The entities that the user may access.
///
/// # Errors
/// The fault that the gateway answers.
pub fn entity_details(caller: &Caller<'_>) -> Result<Outcome, Fault> {
    let reader = caller.company.store.read()?;
    let mut statement = reader.prepare_cached(
        "SELECT LOCATIONID, NAME, RECORDNO, CURRENCY, FIRSTMONTH, FIRSTMONTHTAX, WEEKSTART FROM t_LOCATIONENTITY ORDER BY LOCATIONID",
    )?;
    let rows: Vec<Vec<String>> = statement
        .query_map([], |row| {
            let text = |i| {
                row.get_ref(i).map(|v| match v {
                    rusqlite::types::ValueRef::Integer(n) => n.to_string(),
                    rusqlite::types::ValueRef::Text(t) => String::from_utf8_lossy(t).into_owned(),
                    _ => String::new(),
                })
            };
            (0..7).map(text).collect()
        })?
        .collect::<Result<_, _>>()?;
    let mut xml = Xml::part(caller.whitespace, 3);
    xml.open(
        "data",
        &[("listtype", "entity"), ("count", &rows.len().to_string())],
    );
    for row in &rows {
        xml.open("entity", &[]);
        let names = [
            "id",
            "name",
            "recordno",
            "currency",
            "firstfiscalmonth",
            "firstfiscaltaxmonth",
            "weekstart",
        ];
        for (name, value) in names.iter().zip(row) {
            xml.leaf(name, value);
        }
        xml.close("entity");
    }
    xml.close("data");
    Ok(Outcome {
        data: Some(xml),
        ..Outcome::default()
    })
}
