//! Error reports: SQLSTATE, message, DETAIL and HINT; the one place where a failure of the gateway gets its SQLSTATE.

use intacct::{ConnectStage, ErrorKind};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode, function_name};

/// A message for the user: SQLSTATE, text, DETAIL and HINT.
#[derive(Debug, Clone)]
pub struct Report {
    /// SQLSTATE.
    pub code: PgSqlErrorCode,
    /// One line.
    pub message: String,
    /// What exactly; may be empty.
    pub detail: String,
    /// What to do; may be empty.
    pub hint: String,
}

impl Report {
    /// A message without DETAIL and HINT.
    pub fn new(code: PgSqlErrorCode, message: impl Into<String>) -> Self {
        Report {
            code,
            message: message.into(),
            detail: String::new(),
            hint: String::new(),
        }
    }

    /// The same with a DETAIL.
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// The same with a failure as DETAIL: its message, then its own DETAIL.
    pub fn cause(self, error: &intacct::Error) -> Self {
        let detail = error.detail();
        match detail.is_empty() {
            true => self.detail(error.to_string()),
            false => self.detail(format!("{error}\n{detail}")),
        }
    }

    /// The same with a HINT.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// The five characters of the SQLSTATE.
    pub fn sqlstate(&self) -> String {
        state_name(self.code as i32)
    }

    /// Sends the message at a level below ERROR.
    #[track_caller]
    pub fn emit(self, level: PgLogLevel) {
        self.into_pgrx().report(level);
    }

    /// Raises the message as an ERROR.
    #[track_caller]
    pub fn raise(self) -> ! {
        self.into_pgrx().report(PgLogLevel::ERROR);
        unreachable!("an ERROR does not return")
    }

    #[track_caller]
    fn into_pgrx(self) -> ErrorReport {
        let mut report = ErrorReport::new(self.code, self.message, function_name!());
        if !self.detail.is_empty() {
            report = report.set_detail(self.detail);
        }
        if !self.hint.is_empty() {
            report = report.set_hint(self.hint);
        }
        report
    }
}

/// The five characters of a SQLSTATE as PostgreSQL packs it.
pub fn state_name(code: i32) -> String {
    // Six bits a character, least significant first, as MAKE_SQLSTATE packs them.
    (0..5)
        .map(|index| char::from(b'0' + ((code >> (6 * index)) & 0x3f) as u8))
        .collect()
}

/// Raises a failure as an ERROR with its SQLSTATE, DETAIL and HINT.
#[track_caller]
pub fn raise(error: impl Into<Report>) -> ! {
    error.into().raise()
}

/// Raises what can only be our own mistake.
#[track_caller]
pub fn raise_internal(message: &str) -> ! {
    Report::new(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, message)
        .hint("This is a bug in sage_intacct_fdw: please report the statement.")
        .raise()
}

/// Serves interrupts in a loop whose length is not known here, in code that unit tests run without a server as well.
pub fn interruptible() {
    #[cfg(not(test))]
    pgrx::check_for_interrupts!();
}

/// A NOTICE.
#[track_caller]
pub fn notice(message: impl Into<String>, detail: impl Into<String>, hint: impl Into<String>) {
    Report::new(PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION, message)
        .detail(detail)
        .hint(hint)
        .emit(PgLogLevel::NOTICE);
}

impl From<intacct::Error> for Report {
    fn from(error: intacct::Error) -> Report {
        Report::from(&error)
    }
}

impl From<&intacct::Error> for Report {
    fn from(error: &intacct::Error) -> Report {
        Report::new(sqlstate(error.kind()), error.to_string())
            .detail(error.detail())
            .hint(error.hint())
    }
}

/// The SQLSTATE of a failure; `docs/errors.md` is the same table for people.
pub fn sqlstate(kind: &ErrorKind) -> PgSqlErrorCode {
    match kind {
        ErrorKind::SenderRefused
        | ErrorKind::SenderNotAuthorized
        | ErrorKind::CompanyUnavailable
        | ErrorKind::InvalidSession => PgSqlErrorCode::ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
        ErrorKind::SignInRefused => PgSqlErrorCode::ERRCODE_INVALID_PASSWORD,
        ErrorKind::Permission => PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        ErrorKind::UnknownObject => PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
        ErrorKind::UnknownFields(_) => PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
        ErrorKind::RateLimited | ErrorKind::CallLimit => PgSqlErrorCode::ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
        ErrorKind::Connect(ConnectStage::Dns | ConnectStage::Tcp | ConnectStage::Tls) => {
            PgSqlErrorCode::ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION
        }
        ErrorKind::ConnectionLost | ErrorKind::GatewayTimeout | ErrorKind::RequestTimeout => {
            PgSqlErrorCode::ERRCODE_CONNECTION_FAILURE
        }
        ErrorKind::TooLarge | ErrorKind::TooManyCalls => PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
        ErrorKind::Cell => PgSqlErrorCode::ERRCODE_INVALID_TEXT_REPRESENTATION,
        ErrorKind::NotOne => PgSqlErrorCode::ERRCODE_CARDINALITY_VIOLATION,
        ErrorKind::Moved => PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE,
        ErrorKind::Option => PgSqlErrorCode::ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE,
        ErrorKind::Formatting | ErrorKind::Unsupported => PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
        ErrorKind::Syntax => PgSqlErrorCode::ERRCODE_SYNTAX_ERROR,
        ErrorKind::OutcomeUnknown => PgSqlErrorCode::ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN,
        ErrorKind::Interrupted => PgSqlErrorCode::ERRCODE_QUERY_CANCELED,
        ErrorKind::NotLogged { disk_full: true } => PgSqlErrorCode::ERRCODE_DISK_FULL,
        ErrorKind::NotLogged { disk_full: false } => PgSqlErrorCode::ERRCODE_IO_ERROR,
        ErrorKind::Duplicate => PgSqlErrorCode::ERRCODE_UNIQUE_VIOLATION,
        ErrorKind::MissingRequired => PgSqlErrorCode::ERRCODE_NOT_NULL_VIOLATION,
        ErrorKind::BadReference => PgSqlErrorCode::ERRCODE_FOREIGN_KEY_VIOLATION,
        ErrorKind::NotCleared => PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
        ErrorKind::Resources => PgSqlErrorCode::ERRCODE_INSUFFICIENT_RESOURCES,
        ErrorKind::Internal => PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
        ErrorKind::InvalidRequest => PgSqlErrorCode::ERRCODE_FDW_UNABLE_TO_CREATE_EXECUTION,
        ErrorKind::Refused | ErrorKind::Malformed | ErrorKind::EndpointRefused => {
            PgSqlErrorCode::ERRCODE_FDW_ERROR
        }
        _ => PgSqlErrorCode::ERRCODE_FDW_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_those_of_the_design_and_of_the_documentation() {
        let documented = include_str!("../docs/errors.md");
        let expected = [
            (ErrorKind::SenderRefused, "28000"),
            (ErrorKind::SenderNotAuthorized, "28000"),
            (ErrorKind::CompanyUnavailable, "28000"),
            (ErrorKind::InvalidSession, "28000"),
            (ErrorKind::SignInRefused, "28P01"),
            (ErrorKind::Permission, "42501"),
            (ErrorKind::UnknownObject, "42P01"),
            (ErrorKind::UnknownFields(vec![]), "42703"),
            (ErrorKind::RateLimited, "53400"),
            (ErrorKind::CallLimit, "53400"),
            (ErrorKind::Connect(ConnectStage::Dns), "08001"),
            (ErrorKind::Connect(ConnectStage::Tls), "08001"),
            (ErrorKind::ConnectionLost, "08006"),
            (ErrorKind::GatewayTimeout, "08006"),
            (ErrorKind::RequestTimeout, "08006"),
            (ErrorKind::TooLarge, "54000"),
            (ErrorKind::TooManyCalls, "54000"),
            (ErrorKind::Cell, "22P02"),
            (ErrorKind::NotOne, "21000"),
            (ErrorKind::Moved, "40001"),
            (ErrorKind::Option, "HV024"),
            (ErrorKind::Formatting, "0A000"),
            (ErrorKind::Unsupported, "0A000"),
            (ErrorKind::Syntax, "42601"),
            (ErrorKind::Malformed, "HV000"),
            (ErrorKind::EndpointRefused, "HV000"),
            (ErrorKind::Refused, "HV000"),
            (ErrorKind::InvalidRequest, "HV00L"),
            (ErrorKind::OutcomeUnknown, "08007"),
            (ErrorKind::Interrupted, "57014"),
            (ErrorKind::NotLogged { disk_full: true }, "53100"),
            (ErrorKind::NotLogged { disk_full: false }, "58030"),
            (ErrorKind::Duplicate, "23505"),
            (ErrorKind::MissingRequired, "23502"),
            (ErrorKind::BadReference, "23503"),
            (ErrorKind::NotCleared, "22004"),
            (ErrorKind::Resources, "53000"),
            (ErrorKind::Internal, "XX000"),
        ];
        for (kind, state) in expected {
            let report = Report::from(intacct::Error::new(kind.clone(), "x"));
            assert_eq!(report.sqlstate(), state, "{kind:?}");
            assert!(documented.contains(&format!("- **{state}** ")), "{state}");
        }
    }
}
