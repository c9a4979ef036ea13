//! The format of the object files.
//!
//! ```text
//! object CUSTOMER 300 key=CUSTOMERID master write=cud label="Customer"
//!   RECORDNO   i-          rec            | Record number
//!   CUSTOMERID t*          code:C:5       | Customer ID
//!   STATUS     e(active=T,inactive=F)
//!   TOTALDUE   c2-?10      amount:0:9000
//!   @contact DISPLAYCONTACT
//!   @tail
//!   rel TERM ARTERM TERMNAME=NAME
//! ```
//! A field is name, type, optional recipe ([`crate::data::recipe`]), optional label. Types: `t` text, `e` enum
//! (labels, each with an optional `=code`), `q` sequence, `i` integer, `n`/`c`/`p` decimal, currency, percent
//! with an optional scale, `b` boolean, `d` date, `s` timestamp. Flags after the type: `*` required, `-`
//! read-only, `+` custom, `!` refused by `query`, `?n` empty in n % of the rows. An object that joins the others is
//! `later`: data depends on an object's position, and theirs must stay as it is. Rows of `private` objects may belong to an
//! entity; `master` says that those are hidden at top level.

use super::{Catalog, DataType, Field, Object, Owner, Relation};
use crate::data::recipe::Recipe;

/// Parses all object files into one catalogue.
///
/// # Errors
/// The line that is wrong, and why.
pub fn parse(sources: &[&str]) -> Result<Catalog, String> {
    let mut objects: Vec<Object> = Vec::new();
    for source in sources {
        for (number, line) in source.lines().enumerate() {
            let line = line.split(" #").next().unwrap_or_default().trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            parse_line(line, &mut objects).map_err(|e| format!("line {}: {e}: {line}", number + 1))?;
        }
    }
    Ok(Catalog::new(objects))
}

fn parse_line(line: &str, objects: &mut Vec<Object>) -> Result<(), String> {
    let (body, label) = match line.split_once(" | ") {
        Some((body, label)) => (body, Some(label.trim())),
        None => (line, None),
    };
    let words = words(body);
    if words[0] == "object" {
        objects.push(object(&words[1..])?);
        return Ok(());
    }
    let object = objects.last_mut().ok_or("field before the first object")?;
    match words[0].as_str() {
        "rel" | "customrel" => {
            let (local, remote) = words
                .get(3)
                .and_then(|w| w.split_once('='))
                .ok_or("relation needs LOCAL=REMOTE")?;
            object.relations.push(Relation {
                path: words[1].clone(),
                object: words[2].clone(),
                local: local.into(),
                remote: remote.into(),
                custom: words[0] == "customrel",
            });
        }
        block if block.starts_with('@') => {
            let argument = words.get(1).map_or("", String::as_str);
            for line in expand(block, argument)? {
                let words = self::words(&line);
                if object.fields.iter().any(|f| f.name == words[0]) {
                    continue;
                }
                let field = field(&words, None)?;
                object.fields.push(field);
            }
        }
        _ => object.fields.push(field(&words, label)?),
    }
    Ok(())
}

fn object(words: &[String]) -> Result<Object, String> {
    let name = words.first().ok_or("object needs a name")?.clone();
    let rows = words
        .get(1)
        .and_then(|w| w.parse().ok())
        .ok_or("object needs a row count")?;
    let mut object = Object {
        label: name.clone(),
        row_id: "RECORDNO".into(),
        natural_key: None,
        custom: false,
        rows,
        later: false,
        private: false,
        master: false,
        read_by_query_only: false,
        unsubscribed: false,
        writable: String::new(),
        audit_key: "RECORDNO".into(),
        owner: None,
        fields: Vec::new(),
        relations: Vec::new(),
        by_name: Default::default(),
        name,
    };
    for word in &words[2..] {
        let (option, value) = word.split_once('=').unwrap_or((word, ""));
        match option {
            "key" => object.natural_key = Some(value.into()),
            "rowid" => object.row_id = value.into(),
            "private" => object.private = true,
            "master" => {
                object.private = true;
                object.master = true;
            }
            "later" => object.later = true,
            "custom" => object.custom = true,
            "readbyquery" => object.read_by_query_only = true,
            "unsubscribed" => object.unsubscribed = true,
            "write" => object.writable = value.into(),
            "audit" => object.audit_key = value.into(),
            "label" => object.label = value.into(),
            "owner" => {
                let parts: Vec<&str> = value.split('/').collect();
                let [header, collection, link] = parts[..] else {
                    return Err("owner=OBJECT/COLLECTION/LINK".into());
                };
                object.owner = Some(Owner {
                    object: header.into(),
                    collection: collection.into(),
                    link: link.into(),
                });
            }
            other => return Err(format!("unknown object option {other}")),
        }
    }
    Ok(object)
}

fn field(words: &[String], label: Option<&str>) -> Result<Field, String> {
    let name = words[0].clone();
    let spec = words.get(1).ok_or("field needs a type")?;
    let mut chars = spec.chars();
    let data_type = match chars.next() {
        Some('t') => DataType::Text,
        Some('e') => DataType::Enum,
        Some('q') => DataType::Sequence,
        Some('i') => DataType::Integer,
        Some('n') => DataType::Decimal,
        Some('c') => DataType::Currency,
        Some('p') => DataType::Percent,
        Some('b') => DataType::Boolean,
        Some('d') => DataType::Date,
        Some('s') => DataType::Timestamp,
        other => return Err(format!("unknown type {other:?}")),
    };
    let mut rest = chars.as_str();
    let mut scale = if data_type.is_decimal() { 2 } else { 0 };
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    if digits > 0 {
        scale = rest[..digits].parse().map_err(|_| "scale is too large")?;
        rest = &rest[digits..];
    }
    let mut values = Vec::new();
    let mut flat = rest.to_string();
    if let Some((before, inner)) = rest.split_once('(') {
        let (list, after) = inner.split_once(')').ok_or("unclosed value list")?;
        values = list
            .split(',')
            .map(|v| {
                v.split_once('=')
                    .map_or((v.into(), v.into()), |(l, c)| (l.into(), c.into()))
            })
            .collect();
        flat = format!("{before}{after}");
    }
    let rest = flat.as_str();
    let (flags, nulls) = rest.split_once('?').unwrap_or((rest, "0"));
    if let Some(flag) = flags.chars().find(|c| !"*-+!".contains(*c)) {
        return Err(format!("unknown flag {flag}"));
    }
    let recipe = match words.get(2) {
        Some(text) => Recipe::parse(text)?,
        None => Recipe::default_for(data_type, &name),
    };
    Ok(Field {
        label: label.map_or_else(|| default_label(&name), Into::into),
        data_type,
        scale,
        required: flags.contains('*'),
        read_only: flags.contains('-'),
        custom: flags.contains('+'),
        queryable: !flags.contains('!'),
        values,
        null_percent: nulls.parse().map_err(|_| "null share is a number")?,
        recipe,
        name,
    })
}

/// Turns `TOTAL_DUE` into `Total due`.
fn default_label(name: &str) -> String {
    let spaced = name.replace(['_', '.'], " ").to_lowercase();
    let mut chars = spaced.chars();
    chars
        .next()
        .map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}

/// Splits at white space outside of parentheses and double quotes; quotes are dropped.
fn words(line: &str) -> Vec<String> {
    let (mut out, mut word, mut quoted, mut depth) = (Vec::new(), String::new(), false, 0);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            c if c.is_whitespace() && !quoted && depth == 0 => {
                if !word.is_empty() {
                    out.push(std::mem::take(&mut word));
                }
            }
            c => {
                depth += i32::from(c == '(') - i32::from(c == ')');
                word.push(c);
            }
        }
    }
    if !word.is_empty() {
        out.push(word);
    }
    out
}

/// Field lines of the blocks that many objects share.
fn expand(block: &str, argument: &str) -> Result<Vec<String>, String> {
    let lines: &[&str] = match block {
        "@tail" => &[
            "WHENCREATED s- created",
            "WHENMODIFIED s-?12 modified",
            "CREATEDBY i- ref:USERINFO",
            "MODIFIEDBY i-?12 ref:USERINFO",
            "@entity",
        ],
        "@audit" => &[
            "AUWHENCREATED s- created",
            "WHENMODIFIED s-?12 modified",
            "CREATEDBY i- ref:USERINFO",
            "MODIFIEDBY i-?12 ref:USERINFO",
            "@entity",
        ],
        "@stamps" => &["WHENCREATED s- created", "WHENMODIFIED s-?12 modified"],
        "@who" => &[
            "WHENCREATED s- created",
            "WHENMODIFIED s-?12 modified",
            "CREATEDBY i- ref:USERINFO",
            "MODIFIEDBY i-?12 ref:USERINFO",
        ],
        "@entity" => &[
            "MEGAENTITYKEY i- entity:RECORDNO",
            "MEGAENTITYID t- entity:LOCATIONID",
            "MEGAENTITYNAME t- entity:NAME",
            "RECORD_URL t-! const:https://example.invalid/ia/acct/ur.phtml",
        ],
        "@contact" => &[
            "%.CONTACTNAME t contactname",
            "%.COMPANYNAME t?40 company",
            "%.FIRSTNAME t?20 first",
            "%.LASTNAME t?15 last",
            "%.PRINTAS t company",
            "%.PHONE1 t?30 phone",
            "%.EMAIL1 t?25 email",
            "%.TAXABLE b?30 bool:40",
            "%.MAILADDRESS.ADDRESS1 t?15 street",
            "%.MAILADDRESS.ADDRESS2 t?80 word",
            "%.MAILADDRESS.CITY t?10 city",
            "%.MAILADDRESS.STATE t?25 state",
            "%.MAILADDRESS.ZIP t?12 zip",
            "%.MAILADDRESS.COUNTRY t?10 country",
            "%.MAILADDRESS.COUNTRYCODE t?10 countrycode",
        ],
        "@dims" => &[
            "DEPARTMENTID t?30 refid:DEPARTMENT:DEPARTMENTID",
            "DEPARTMENTNAME t- via:DEPARTMENTID:TITLE",
            "LOCATIONID t?20 refid:LOCATION:LOCATIONID",
            "LOCATIONNAME t- via:LOCATIONID:NAME",
            "@coredims",
        ],
        "@coredims" => &[
            "CLASSDIMKEY i?60 ref:CLASS",
            "CLASSID t via:CLASSDIMKEY:CLASSID",
            "CLASSNAME t- via:CLASSDIMKEY:NAME",
            "CUSTOMERDIMKEY i?50 ref:CUSTOMER",
            "CUSTOMERID t via:CUSTOMERDIMKEY:CUSTOMERID",
            "CUSTOMERNAME t- via:CUSTOMERDIMKEY:NAME",
            "VENDORDIMKEY i?70 ref:VENDOR",
            "VENDORID t via:VENDORDIMKEY:VENDORID",
            "VENDORNAME t- via:VENDORDIMKEY:NAME",
            "EMPLOYEEDIMKEY i?80 ref:EMPLOYEE",
            "EMPLOYEEID t via:EMPLOYEEDIMKEY:EMPLOYEEID",
            "ITEMDIMKEY i?40 ref:ITEM",
            "ITEMID t via:ITEMDIMKEY:ITEMID",
            "ITEMNAME t- via:ITEMDIMKEY:NAME",
            "PROJECTDIMKEY i?55 ref:PROJECT",
            "PROJECTID t via:PROJECTDIMKEY:PROJECTID",
            "PROJECTNAME t- via:PROJECTDIMKEY:NAME",
        ],
        other => return Err(format!("unknown block {other}")),
    };
    let mut out = Vec::new();
    for line in lines {
        if let Some(nested) = line.strip_prefix('@') {
            out.extend(expand(&format!("@{nested}"), argument)?);
        } else {
            out.push(line.replace('%', argument));
        }
    }
    Ok(out)
}
