//! Every option, once: the validator, the readers, the error texts and the reference are made from this table.

use super::kind::OptionKind;

/// Where an option may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OptionLevel {
    /// `CREATE FOREIGN DATA WRAPPER`
    Wrapper,
    /// `CREATE SERVER`
    Server,
    /// `CREATE USER MAPPING`
    UserMapping,
    /// `CREATE FOREIGN TABLE`
    Table,
    /// A column of a foreign table.
    Column,
    /// `IMPORT FOREIGN SCHEMA`
    Import,
}

impl OptionLevel {
    /// The level as it is named in messages.
    pub fn name(self) -> &'static str {
        match self {
            OptionLevel::Wrapper => "foreign-data wrapper",
            OptionLevel::Server => "server",
            OptionLevel::UserMapping => "user mapping",
            OptionLevel::Table => "foreign table",
            OptionLevel::Column => "column",
            OptionLevel::Import => "IMPORT FOREIGN SCHEMA",
        }
    }

    /// The options of this level, in the order of the reference.
    pub fn specs(self) -> impl Iterator<Item = &'static OptionSpec> {
        SPECS.iter().filter(move |spec| spec.level == self)
    }

    /// The option of this name.
    pub fn spec(self, name: &str) -> Option<&'static OptionSpec> {
        self.specs().find(|spec| spec.name == name)
    }
}

/// What is known of one option.
#[derive(Debug, Clone, Copy)]
pub struct OptionSpec {
    /// Name as typed in `OPTIONS (…)`.
    pub name: &'static str,
    /// Where it may stand.
    pub level: OptionLevel,
    /// Values that it takes.
    pub kind: OptionKind,
    /// Value when it is not given; empty when there is none.
    pub default: &'static str,
    /// Meaning, one sentence for the reference.
    pub doc: &'static str,
}

const fn option(
    level: OptionLevel,
    name: &'static str,
    kind: OptionKind,
    default: &'static str,
    doc: &'static str,
) -> OptionSpec {
    OptionSpec {
        name,
        level,
        kind,
        default,
        doc,
    }
}

use OptionKind::{Boolean, Choice, Cost, File, Integer, Proxy, Secret, Text};
use OptionLevel::{Column, Import, Server, Table, UserMapping};

const ROWS_PER_PAGE: OptionKind = Integer { min: 1, max: 2000 };
const ROWS_PER_WRITE: OptionKind = Integer { min: 1, max: 100 };
const SECONDS: OptionKind = OptionKind::Seconds {
    min: 0.001,
    max: 86_400.0,
};

/// Every option of every level.
#[rustfmt::skip]
pub static SPECS: &[OptionSpec] = &[
    option(Server, "company_id", Text, "", "Company to sign in at. Required."),
    option(Server, "url", OptionKind::Url, intacct::Config::PUBLIC_URL,
        "First endpoint of the gateway; `http://` is accepted for a loopback host only."),
    option(Server, "dtd_version", Choice(&["3.0", "2.1"]), "3.0", "Version of the request schema."),
    option(Server, "location_id", Text, "", "Entity to sign in at; the user mapping's wins. None is the top level."),
    option(Server, "client_id", Text, "", "Client company to sign in at from a console; the user mapping's wins."),
    option(Server, "page_size", ROWS_PER_PAGE, "2000", "Rows requested at a time, clamped to what the gateway \
                                                        function allows."),
    option(Server, "max_concurrency", Integer { min: 1, max: 32 }, "2",
        "Requests in flight at once. What a company may use depends on its contract."),
    option(Server, "request_timeout", SECONDS, "300", "Seconds that one request that reads may take, its retries included."),
    option(Server, "write_timeout", SECONDS, "900", "The same for a request that writes. The gateway gives up after 900 seconds itself: giving up earlier creates doubt."),
    option(Server, "connect_timeout", SECONDS, "10", "Seconds for name resolution, TCP and TLS together."),
    option(Server, "max_retries", Integer { min: 0, max: 20 }, "5", "Repetitions of a failed read before it is an error."),
    option(Server, "share_sessions", Boolean, "on",
        "Backends with the same user mapping use one session, where they share memory."),
    option(Server, "time_zone", OptionKind::TimeZone, "",
        "Zone of the gateway's timestamps (`Europe/Berlin`, `+01:00`). Default: the offset that \
         `readUserFormatting` returns, by a clock that may keep daylight saving: only a declared zone whose clock \
         never changes lets the gateway sort and group by timestamps."),
    option(Server, "ordering", Choice(&["proven", "binary"]), "proven",
        "`binary`: assume that the gateway sorts text in C order, NULLs last ascending and first descending. Rows \
         in another order are an error."),
    option(Server, "push_where", Boolean, "on", "Push conditions down to the gateway."),
    option(Server, "push_order", Boolean, "on", "Push ORDER BY down where the gateway's order is known to be \
                                                 PostgreSQL's."),
    option(Server, "push_limit", Boolean, "on", "Let LIMIT size the pages."),
    option(Server, "push_aggregates", Boolean, "on", "Push aggregates and GROUP BY down to the gateway."),
    option(Server, "push_joins", Boolean, "on", "Push joins along many-to-one relations down, into one request."),
    option(Server, "push_lookups", Boolean, "on", "Read the rows of a joined table by lists of join keys."),
    option(Server, "push_left_joins", Boolean, "off", "Also LEFT joins; only where `check()` saw that dotted paths keep rows without a parent."),
    option(Server, "show_private", Boolean, "off",
        "Also read rows that are private to an entity. `off`, where it is given, is final: a table with `on` is an \
         error then."),
    option(Server, "verify_aggregates", Boolean, "on", "Check pushed groups against the ungrouped row count before a row is emitted."),
    option(Server, "updatable", Boolean, "on",
        "Whether tables of this server may be written. `off` is final: no option of a table overrides it."),
    option(Server, "write_mode", Choice(&["immediate", "on_commit"]), "immediate", "When writes are sent."),
    option(Server, "batch_size", ROWS_PER_WRITE, "100", "Rows of one create, update or delete."),
    option(Server, "max_rows_per_statement", Integer { min: 0, max: 1_000_000_000 }, "0",
        "Rows that one statement may write; 0 means no limit. Nothing is sent before all rows are there, so \
         statements that must go row by row are refused."),
    option(Server, "max_calls_per_day", Integer { min: 0, max: 1_000_000_000 }, "0",
        "Calls and sign-ins of all backends on a day of UTC; 0 means no limit. Needs memory that backends share."),
    option(Server, "match_unmodified", Boolean, "off",
        "Before an UPDATE or DELETE is sent, WHENMODIFIED is read again, and a row in which it changed is refused \
         (40001): one more request per batch."),
    option(Server, "async_capable", Boolean, "on", "Whether partitions and UNION ALL branches are read at the same time."),
    option(Server, "use_remote_estimate", Boolean, "off", "Request row counts from the gateway while planning."),
    option(Server, "fdw_startup_cost", Cost, "100", "Planner's cost of starting a scan."),
    option(Server, "fdw_tuple_cost", Cost, "0.2", "Planner's cost of a row from the gateway."),
    option(Server, "ca_file", File, "", "Certificates (PEM) trusted beside the public roots. Only for roles that may read server files."),

    option(Server, "proxy", Proxy, "",
        "HTTP proxy through which the gateway is reached by https. Only for roles that may read server files; its credentials belong into the user mapping."),

    option(UserMapping, "user_id", Text, "", "Web-services user. Required."),
    option(UserMapping, "password", Secret, "", "Password of the user. Required, unless `password_file` is given."),
    option(UserMapping, "password_file", File, "", "File on the server that holds the password. Only for roles that may read server files."),
    option(UserMapping, "sender_id", Text, "", "Web-services sender. Required."),
    option(UserMapping, "sender_password", Secret, "", "Password of the sender. Required, unless `sender_password_file` is given."),
    option(UserMapping, "sender_password_file", File, "", "File on the server that holds the sender's password. Only for roles that may read server files."),
    option(UserMapping, "proxy_user", Text, "", "User at the server's proxy, where it asks for one."),
    option(UserMapping, "proxy_password", Secret, "",
        "Password at the proxy. Sent only to a proxy that is reached by https, or on this machine."),
    option(UserMapping, "proxy_password_file", File, "", "File on the server that holds the proxy's password. Only for roles that may read server files."),
    option(UserMapping, "location_id", Text, "", "Entity to sign in at; wins over the server's."),
    option(UserMapping, "client_id", Text, "", "Client company to sign in at from a console; wins over the server's."),

    option(Table, "object", Text, "", "Intacct object. Default: the table's name in upper case."),
    option(Table, "docparid", Text, "", "Transaction definition of Order Entry, Purchasing and Inventory documents (`Sales Order`)."),
    option(Table, "function", Choice(&["query", "readByQuery", "get_list"]), "query",
        "Gateway function that reads the rows; `get_list` is the default on a 2.1 server."),
    option(Table, "filter", OptionKind::Condition, "", "A condition in connector syntax, always applied."),
    option(Table, "row_key", OptionKind::OptionalText, "RECORDNO",
        "Field that is unique and never null, in whose order pages are read; empty for objects without one (GLDETAIL, GLACCOUNTBALANCE)."),
    option(Table, "missing_elements", Choice(&["error", "null"]), "error",
        "Meaning of a requested element that a row does not have; `null` is for a gateway that leaves out the \
         elements of empty fields."),
    option(Table, "show_private", Boolean, "", "Overrides the server's, unless that is given as `off`."),
    option(Table, "page_size", ROWS_PER_PAGE, "", "Overrides the server's."),
    option(Table, "updatable", Boolean, "", "`off`: this table is not written. It cannot be written either where \
                                             the server's option is `off`."),
    option(Table, "batch_size", ROWS_PER_WRITE, "", "Overrides the server's."),
    option(Table, "async_capable", Boolean, "", "Overrides the server's."),
    option(Table, "use_remote_estimate", Boolean, "", "Overrides the server's."),
    option(Table, "entities", Choice(&["off", "hidden", "shown"]), "",
        "Rows of entities. `off`: there are none; IMPORT sets it where the object has no MEGAENTITYID. `hidden`, \
         `shown`: what a direct query at top level is assumed to show of them when a join is pushed; it is verified \
         all the same. Without the option it is determined, where the table has that column."),
    option(Table, "label", OptionKind::OptionalText, "", "Intacct's name of the object for people; `apply_comments()` makes it the table's comment."),

    option(Column, "field", Text, "", "Path in Intacct (`DISPLAYCONTACT.EMAIL1`). Default: the column's name in upper case."),
    option(Column, "key", Boolean, "off", "This column identifies the row for writes. Default: the column of RECORDNO."),
    option(Column, "type", OptionKind::DataType, "", "Intacct's DATATYPE, set by IMPORT. Conditions are sent only where the column's type is the one that IMPORT gives to it."),
    option(Column, "required", Boolean, "off", "Needed when a row is created."),
    option(Column, "read_only", Boolean, "off", "Never written."),
    option(Column, "label", OptionKind::OptionalText, "", "Intacct's name of the field for people; `apply_comments()` makes it the column's comment."),
    option(Column, "references", OptionKind::Reference, "", "Many-to-one relation, `PATH=OBJECT(FIELD)`, set by IMPORT."),
    option(Column, "constant", OptionKind::OptionalText, "", "The column is not in Intacct: every row has this value."),

    option(Import, "import_custom", Boolean, "on", "Also custom objects and custom fields."),
    option(Import, "import_related", Boolean, "off", "Also dotted columns of many-to-one relations."),
    option(Import, "import_private", Boolean, "off", "Set `show_private` on the tables made."),
    option(Import, "import_lines", Boolean, "off", "Also a jsonb column for the lines that records own (`APBILLITEMS.APBILLITEM`): reading it costs a request for every 100 records."),
    option(Import, "probe", Boolean, "on", "Request one row of each object, to leave out what the gateway or the \
                                            user's permissions refuse."),
    option(Import, "text_collation", Choice(&["default", "C"]), "default", "Collation of text columns."),
    option(Import, "case", Choice(&["lower", "keep"]), "lower", "Names in lower case, or in Intacct's own spelling."),
];

#[cfg(test)]
mod tests {
    use super::*;

    const LEVELS: [OptionLevel; 5] = [
        OptionLevel::Server,
        OptionLevel::UserMapping,
        OptionLevel::Table,
        OptionLevel::Column,
        OptionLevel::Import,
    ];

    #[test]
    fn every_default_is_a_value_that_the_option_takes() {
        for spec in SPECS.iter().filter(|spec| !spec.default.is_empty()) {
            assert_eq!(spec.kind.check(spec.default), Ok(()), "{}", spec.name);
        }
    }

    #[test]
    fn no_level_has_two_options_of_a_name() {
        for level in LEVELS {
            let mut names: Vec<&str> = level.specs().map(|spec| spec.name).collect();
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), all, "{level:?}");
        }
    }

    /// A value for the reference: one that a user would set.
    fn example(spec: &OptionSpec) -> &'static str {
        match (spec.level, spec.name) {
            (_, "company_id") => "acme",
            (_, "location_id") => "WEST",
            (_, "client_id") => "subsidiary7",
            (_, "user_id") => "webservices",
            (_, "sender_id") => "acme-sender",
            (_, "password_file") => "/etc/postgresql/intacct/password",
            (_, "sender_password_file") => "/etc/postgresql/intacct/sender_password",
            (_, "ca_file") => "/etc/postgresql/intacct/ca.pem",
            (_, "proxy") => "https://proxy.acme.example:3128",
            (_, "proxy_user") => "postgres",
            (_, "proxy_password_file") => "/etc/postgresql/intacct/proxy_password",
            (_, "max_concurrency") => "4",
            (_, "request_timeout") => "60",
            (_, "write_timeout") => "1200",
            (_, "connect_timeout") => "2.5",
            (_, "max_retries") => "0",
            (_, "max_rows_per_statement") => "5000",
            (_, "max_calls_per_day") => "3000",
            (_, "fdw_startup_cost") => "500",
            (_, "object") => "SODOCUMENT",
            (_, "docparid") => "Sales Order",
            (_, "function") => "readByQuery",
            (_, "row_key") => "",
            (OptionLevel::Table, "label") => "AR Invoices",
            (_, "label") => "Due date",
            (_, "field") => "DISPLAYCONTACT.EMAIL1",
            (_, "constant") => "acme",
            _ => match spec.kind {
                Boolean if spec.default == "on" => "off",
                Boolean => "on",
                Secret => "s3cret",
                ROWS_PER_PAGE => "500",
                ROWS_PER_WRITE => "25",
                Cost => "0.5",
                Choice(words) => words
                    .iter()
                    .find(|word| **word != spec.default)
                    .expect("two words"),
                OptionKind::Url => intacct::Config::PUBLIC_URL,
                OptionKind::TimeZone => "America/New_York",
                OptionKind::Condition => "STATUS = active",
                OptionKind::DataType => "CURRENCY",
                OptionKind::Reference => "CUSTOMER=CUSTOMER(CUSTOMERID)",
                Text
                | OptionKind::OptionalText
                | File
                | Proxy
                | Integer { .. }
                | OptionKind::Seconds { .. } => {
                    panic!("{} has no example", spec.name)
                }
            },
        }
    }

    #[test]
    fn the_reference_lists_the_options_as_they_are_here() {
        // The lines are wrapped: words count, not where a line ends.
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let reference = words(include_str!("../../docs/reference.md"));
        for level in LEVELS {
            let entries: String = level
                .specs()
                .map(|spec| {
                    let default = match spec.default {
                        "" => String::new(),
                        default => format!(" (default `{default}`)"),
                    };
                    let allowed = spec.kind.allowed();
                    // The reference has the other spellings of a boolean once, at its top.
                    let allowed = allowed.split(" (or true,").next().unwrap_or_default();
                    let example = example(spec);
                    assert_eq!(spec.kind.check(example), Ok(()), "{}: {example}", spec.name);
                    format!(
                        "- **`{name}`**{default}: {} Value: {allowed}. Example: `{name} '{example}'` ",
                        spec.doc,
                        name = spec.name
                    )
                })
                .collect();
            let entries = words(&entries);
            assert!(
                reference.contains(&entries),
                "docs/reference.md should have\n{entries}"
            );
        }
    }
}
