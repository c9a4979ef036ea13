//! Metadata: the user's formatting preferences, and what objects the company has.

use super::Client;
use crate::config::DtdVersion;
use crate::dialect::legacy::LegacyObject;
use crate::error::{Error, ErrorKind, Level, classify};
use crate::formatting::{GatewayZone, UserFormatting};
use crate::response::Answer;
use crate::schema::{ObjectDefinition, ObjectName};
use crate::xml::escape::push_element;
use std::sync::PoisonError;

impl Client {
    /// The user's formatting preferences: asked once, then remembered.
    ///
    /// # Errors
    /// What the gateway refuses, and what keeps its answer from arriving: see [`ErrorKind`](crate::ErrorKind).
    pub async fn formatting(&self) -> Result<UserFormatting, Error> {
        self.recall_formatting().await?;
        if let Some(known) = self.known_formatting() {
            return Ok(known);
        }
        const FUNCTION: &str = "readUserFormatting";
        let answer = match self.tree(FUNCTION, None, self.formatting_function()?).await {
            Ok(answer) => answer,
            Err(error) if self.lacks_metadata(&error) => return self.assumed_formatting(error),
            Err(error) => return Err(error),
        };
        self.take_formatting(answer)
    }

    /// Takes over what another process has asked for in the session that they share. Signs in where none is open, which
    /// the request for them would do.
    ///
    /// # Errors
    /// What the sign-in failed with.
    pub(super) async fn recall_formatting(&self) -> Result<(), Error> {
        let requester = &self.inner.requester;
        let is_settled = self.known_formatting().is_some() || requester.config.asks_formatting;
        if is_settled || requester.config.share.is_none() {
            return Ok(());
        }
        requester.session().await?;
        if let Some(formatting) = requester.shared_formatting() {
            self.remember(formatting);
        }
        Ok(())
    }

    /// Whether a failure means that a company of dtd version 2.1 does not take the functions of 3.0, by which metadata
    /// are asked for. What 2.1 knows of objects is then all that there is.
    pub fn lacks_metadata(&self, error: &Error) -> bool {
        self.config().dtd_version == DtdVersion::V2_1
            && matches!(
                error.kind(),
                ErrorKind::InvalidRequest
                    | ErrorKind::Refused
                    | ErrorKind::Permission
                    | ErrorKind::Unsupported
            )
    }

    /// Where preferences cannot be asked for, the option `time_zone` says that they are the usual ones.
    pub(super) fn assumed_formatting(&self, error: Error) -> Result<UserFormatting, Error> {
        if self.config().time_zone.is_none() {
            return Err(error.with_hint(
                "The company does not report the user's formatting preferences. Set the server's time_zone to the zone of \
                 the gateway's timestamps: it then also says that the user's locale is English, with dates as \
                 mm/dd/yyyy and a 24-hour clock.",
            ));
        }
        Ok(self.remember(UserFormatting {
            locale: "en_US".to_owned(),
            date_format: "/mdY".to_owned(),
            gmt_offset_seconds: 0,
            clock: 24,
        }))
    }

    pub(super) fn remember(&self, formatting: UserFormatting) -> UserFormatting {
        let mut known = self
            .inner
            .formatting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        known.insert(formatting).clone()
    }

    /// As [`zone`](Self::zone), requested where it is not known yet.
    ///
    /// # Errors
    /// What asking failed with.
    pub async fn gateway_zone(&self) -> Result<GatewayZone, Error> {
        if self.config().time_zone.is_none() {
            self.formatting().await?;
        }
        Ok(self.zone())
    }

    /// Fields and relations of an object.
    ///
    /// # Errors
    /// What the gateway refuses, and what keeps its answer from arriving: see [`ErrorKind`](crate::ErrorKind).
    pub async fn lookup(&self, object: &str, docparid: Option<&str>) -> Result<ObjectDefinition, Error> {
        let mut body = String::from("<lookup>");
        let mut written = push_element(&mut body, "object", object);
        if let Some(docparid) = docparid {
            written = written.and_then(|()| push_element(&mut body, "docparid", docparid));
        }
        body.push_str("</lookup>");
        written.map_err(|_| {
            Error::new(
                ErrorKind::UnknownObject,
                "the object's name holds a control character",
            )
            .of_object(object)
        })?;
        let data = self.data("lookup", Some(object), body).await?;
        ObjectDefinition::read(&data).map_err(|error| self.place(error, Some(object), "lookup"))
    }

    /// As [`lookup`](Self::lookup), as far as the version of the server shows the object. Where a company of dtd version
    /// 2.1 does not report it, it is what 2.1 is known to show.
    ///
    /// # Errors
    /// What the gateway refuses, and what keeps its answer from arriving: see [`ErrorKind`](crate::ErrorKind).
    pub async fn lookup_shown(
        &self,
        object: &str,
        docparid: Option<&str>,
    ) -> Result<ObjectDefinition, Error> {
        let legacy = match self.config().dtd_version {
            DtdVersion::V2_1 => LegacyObject::find(object),
            DtdVersion::V3_0 => None,
        };
        match (self.lookup(object, docparid).await, legacy) {
            (Ok(mut definition), Some(legacy)) => {
                legacy.keep_shown(&mut definition);
                Ok(definition)
            }
            (Err(error), Some(legacy)) if self.lacks_metadata(&error) => Ok(legacy.definition()),
            (result, _) => result,
        }
    }

    /// Every object type of the company.
    ///
    /// # Errors
    /// What the gateway refuses, and what keeps its answer from arriving: see [`ErrorKind`](crate::ErrorKind).
    pub async fn inspect_all(&self) -> Result<Vec<ObjectName>, Error> {
        let data = self
            .data("inspect", None, "<inspect><object>*</object></inspect>".into())
            .await?;
        Ok(ObjectName::read_all(&data))
    }

    pub(super) fn formatting_function(&self) -> Result<String, Error> {
        let mut body = String::from("<readUserFormatting>");
        push_element(&mut body, "userId", &self.config().user_id)
            .map_err(|_| Error::new(ErrorKind::SignInRefused, "the user id holds a control character"))?;
        body.push_str("</readUserFormatting>");
        Ok(body)
    }

    pub(super) fn take_formatting(&self, answer: Option<Answer>) -> Result<UserFormatting, Error> {
        const FUNCTION: &str = "readUserFormatting";
        let formatting = match answer {
            Some(Answer::Tree(Some(data))) => UserFormatting::read(&data),
            Some(Answer::Failure(errors)) => Err(classify::refusal(Level::Function, FUNCTION, errors).0),
            _ => Err(Error::new(
                ErrorKind::Malformed,
                "the answer holds no formatting preferences",
            )),
        };
        let formatting = formatting.map_err(|error| self.place(error, None, FUNCTION))?;
        self.inner.requester.share_formatting(&formatting);
        Ok(self.remember(formatting))
    }
}
