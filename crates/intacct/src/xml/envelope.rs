//! The request document around one or more functions.
//!
//! The order of the elements is fixed by the vendor's schema (`api.xsd` 3.0, `intacct_request.v2.1.dtd`).

use super::escape::{IllegalCharacter, push_element, push_text};
use crate::config::DtdVersion;

/// Who asks.
pub(crate) enum Authentication<'a> {
    /// With a session.
    Session(&'a str),
    /// With the user's credentials.
    Login {
        user_id: &'a str,
        company_id: &'a str,
        password: &'a str,
        client_id: Option<&'a str>,
        location_id: Option<&'a str>,
    },
}

/// A function element with the id by which its result is found.
pub(crate) struct Function<'a> {
    pub control_id: &'a str,
    /// The element, already rendered.
    pub body: &'a str,
}

/// Everything around the functions.
pub(crate) struct Envelope<'a> {
    pub sender_id: &'a str,
    pub sender_password: &'a str,
    pub control_id: &'a str,
    pub dtd_version: DtdVersion,
    /// The gateway refuses functions whose control id it has seen complete: for what must not happen twice.
    pub unique: bool,
    /// All functions are executed or none.
    pub transaction: bool,
    pub authentication: Authentication<'a>,
}

impl Envelope<'_> {
    /// The request document.
    pub(crate) fn render(&self, functions: &[Function<'_>]) -> Result<String, IllegalCharacter> {
        let mut out = String::with_capacity(1024 + functions.iter().map(|f| f.body.len()).sum::<usize>());
        out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<request><control>");
        push_element(&mut out, "senderid", self.sender_id)?;
        push_element(&mut out, "password", self.sender_password)?;
        push_element(&mut out, "controlid", self.control_id)?;
        push_element(&mut out, "uniqueid", if self.unique { "true" } else { "false" })?;
        push_element(&mut out, "dtdversion", self.dtd_version.as_str())?;
        push_element(&mut out, "includewhitespace", "false")?;
        let transaction = if self.transaction { "true" } else { "false" };
        out.push_str("</control><operation transaction=\"");
        out.push_str(transaction);
        out.push_str("\"><authentication>");
        match &self.authentication {
            Authentication::Session(id) => push_element(&mut out, "sessionid", id)?,
            Authentication::Login {
                user_id,
                company_id,
                password,
                client_id,
                location_id,
            } => {
                out.push_str("<login>");
                push_element(&mut out, "userid", user_id)?;
                push_element(&mut out, "companyid", company_id)?;
                push_element(&mut out, "password", password)?;
                if let Some(client_id) = client_id {
                    push_element(&mut out, "clientid", client_id)?;
                }
                if let Some(location_id) = location_id {
                    push_element(&mut out, "locationid", location_id)?;
                }
                out.push_str("</login>");
            }
        }
        out.push_str("</authentication><content>");
        for function in functions {
            out.push_str("<function controlid=\"");
            push_text(&mut out, &function.control_id.replace('"', ""))?;
            out.push_str("\">");
            out.push_str(function.body);
            out.push_str("</function>");
        }
        out.push_str("</content></operation></request>");
        Ok(out)
    }
}
