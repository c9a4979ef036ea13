//! What to do about each kind of failure.

use super::kind::{ConnectStage, ErrorKind};

/// The usual remedy; empty when there is none to give.
pub(super) fn hint(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::SenderRefused => {
            "Check sender_id and sender_password: they come from the Web Services licence, not from the company."
        }
        ErrorKind::SenderNotAuthorized => {
            "Ask the company's administrator to add the sender id under Company > Setup > Web Services authorizations."
        }
        ErrorKind::SignInRefused => {
            "Check company_id, user_id and password, and location_id if one is set; the user must be an active \
             web-services user."
        }
        ErrorKind::CompanyUnavailable => {
            "Ask Sage Intacct whether the company is active and its subscription valid."
        }
        ErrorKind::InvalidSession => {
            "Sessions end at once: check whether the same user is signed in elsewhere with a limit on sessions."
        }
        ErrorKind::Permission => {
            "Ask the company's administrator to give the web-services user a role with permission to read the object, \
             and check that the company subscribes to its application."
        }
        ErrorKind::UnknownObject => {
            "Check the spelling of the object; custom objects go by their integration name."
        }
        ErrorKind::UnknownFields(_) => {
            "sage_intacct.schema_diff() shows what has changed in Intacct since the import, with the statements that \
             follow it. The gateway also lists fields that it does not let be queried: remove those columns."
        }
        ErrorKind::RateLimited => {
            "Lower max_concurrency, run fewer statements at once, or ask Sage Intacct for a higher performance tier."
        }
        ErrorKind::Connect(ConnectStage::Dns) => {
            "Check the host name in the url and this machine's name resolution."
        }
        ErrorKind::Connect(ConnectStage::Tcp) => {
            "Check the url and whether a firewall lets this machine connect to it."
        }
        ErrorKind::Connect(ConnectStage::Tls) => {
            "The certificate of the host was not accepted; if a proxy or a private authority signs it, set ca_file."
        }
        ErrorKind::ConnectionLost => {
            "Try again; if it happens often, look at the network between here and the url."
        }
        ErrorKind::GatewayTimeout => {
            "The gateway or its front end had trouble: try again later, or ask for fewer rows or fewer columns at once."
        }
        ErrorKind::RequestTimeout => {
            "Raise request_timeout, or narrow the condition so that the gateway answers sooner."
        }
        ErrorKind::InvalidRequest => {
            "The gateway does not accept this form of request: please report it with the control id."
        }
        ErrorKind::Malformed => "Check that the url is that of an XML gateway; else try again and report it.",
        ErrorKind::TooLarge => "Lower page_size, or select fewer columns.",
        ErrorKind::TooManyCalls => {
            "Narrow the statement so that it needs fewer calls, look at its plan with EXPLAIN, or raise max_calls."
        }
        ErrorKind::EndpointRefused => {
            "Credentials are only sent to the host in url or to its own domain: check the url with your administrator."
        }
        ErrorKind::Formatting => {
            "Set the web-services user's preferences to locale English, date format mm/dd/yyyy and the 24-hour clock."
        }
        ErrorKind::Cell => {
            "Compare the column's type with the field in Intacct, or declare the column as text."
        }
        ErrorKind::NotOne => "Narrow the condition to the key of one record, or list the records.",
        ErrorKind::Moved => "Rows changed while they were read: run the statement again.",
        ErrorKind::Option => "Change the option that the message names.",
        ErrorKind::Refused => {
            "See the gateway's own words in the detail; if they do not help, ask Sage's support with the control id."
        }
        ErrorKind::Duplicate => "Use another key, or update the record that exists.",
        ErrorKind::MissingRequired => "Give a value for the field that the gateway names in the detail.",
        ErrorKind::BadReference => {
            "Create the record that is referred to first; a record that others refer to cannot be deleted."
        }
        ErrorKind::NotCleared => {
            "The gateway keeps a value in this field: set one instead of NULL, or clear it in Intacct."
        }
        ErrorKind::OutcomeUnknown => {
            "Look in Intacct whether the rows named in the detail are stored before you write them again: a second try \
             may store them twice."
        }
        ErrorKind::CallLimit => "Wait for the next day of UTC, or raise the limit.",
        ErrorKind::Interrupted => "",
        ErrorKind::NotLogged { disk_full: true } => {
            "Nothing was sent. Free space on the disk of the data directory, then repeat the statement."
        }
        ErrorKind::NotLogged { disk_full: false } => {
            "Nothing was sent. The operating-system user of the server must be able to write to the directory \
             sage_intacct in the data directory."
        }
        ErrorKind::Unsupported => "The gateway cannot express this operation; evaluate it in SQL instead.",
        ErrorKind::Syntax => "See docs/query-syntax.md for the connector's SELECT syntax.",
        ErrorKind::Undecided => "Read the objects one by one.",
        ErrorKind::Resources => {
            "Raise the limit of open files of this process, or read from fewer tables at once."
        }
        ErrorKind::Internal => "This is a bug in sage_intacct_fdw: please report the statement.",
    }
}
