//! Settings of the session: they override the push switches of every server, and restrict writes.

use crate::options::{PushSwitches, ServerOptions};
use pgrx::guc::{GucContext, GucEnum, GucFlags, GucRegistry, GucSetting};
use pgrx::pg_sys;
use std::ffi::CStr;

/// The session's setting for one class of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// The server's option.
    Default,
    /// Pushed down, where it gives the same answer.
    On,
    /// Done here.
    Off,
}

/// Spellings, those of PostgreSQL's booleans included. What is hidden is accepted, but not listed in error texts.
struct Spellings([pg_sys::config_enum_entry; 12]);

// SAFETY: the names are static texts, and the table is never written.
unsafe impl Sync for Spellings {}

const fn spelling(name: &'static CStr, value: Switch, hidden: bool) -> pg_sys::config_enum_entry {
    pg_sys::config_enum_entry {
        name: name.as_ptr(),
        val: value as i32,
        hidden,
    }
}

static SPELLINGS: Spellings = Spellings([
    spelling(c"default", Switch::Default, false),
    spelling(c"on", Switch::On, false),
    spelling(c"off", Switch::Off, false),
    spelling(c"true", Switch::On, true),
    spelling(c"false", Switch::Off, true),
    spelling(c"yes", Switch::On, true),
    spelling(c"no", Switch::Off, true),
    spelling(c"t", Switch::On, true),
    spelling(c"f", Switch::Off, true),
    spelling(c"1", Switch::On, true),
    spelling(c"0", Switch::Off, true),
    pg_sys::config_enum_entry {
        name: std::ptr::null(),
        val: 0,
        hidden: false,
    },
]);

// SAFETY: the table is static and ends with an entry without a name.
unsafe impl GucEnum for Switch {
    fn from_ordinal(ordinal: i32) -> Self {
        match ordinal {
            ordinal if ordinal == Switch::On as i32 => Switch::On,
            ordinal if ordinal == Switch::Off as i32 => Switch::Off,
            _ => Switch::Default,
        }
    }

    fn to_ordinal(&self) -> i32 {
        *self as i32
    }

    const CONFIG_ENUM_ENTRY: *const pg_sys::config_enum_entry = SPELLINGS.0.as_ptr();
}

static PUSH_WHERE: GucSetting<Switch> = GucSetting::<Switch>::new(Switch::Default);
static PUSH_ORDER: GucSetting<Switch> = GucSetting::<Switch>::new(Switch::Default);
static PUSH_LIMIT: GucSetting<Switch> = GucSetting::<Switch>::new(Switch::Default);
static PUSH_AGGREGATES: GucSetting<Switch> = GucSetting::<Switch>::new(Switch::Default);
static PUSH_JOINS: GucSetting<Switch> = GucSetting::<Switch>::new(Switch::Default);
static PUSH_LOOKUPS: GucSetting<Switch> = GucSetting::<Switch>::new(Switch::Default);

static DRY_RUN: GucSetting<bool> = GucSetting::<bool>::new(false);
static MAX_ROWS: GucSetting<i32> = GucSetting::<i32>::new(0);
static MAX_CALLS: GucSetting<i32> = GucSetting::<i32>::new(0);
static MAX_STATEMENT_CALLS: GucSetting<i32> = GucSetting::<i32>::new(0);
static LOOKUP_BATCH: GucSetting<i32> = GucSetting::<i32>::new(MOST_KEYS);

/// Keys of one list: more are split.
const MOST_KEYS: i32 = 1000;

/// The most keys that a lookup join asks for at once.
pub fn lookup_batch() -> usize {
    LOOKUP_BATCH.get().clamp(1, MOST_KEYS) as usize
}

#[cfg(debug_assertions)]
static LOOKUP_FAULT: GucSetting<i32> = GucSetting::<i32>::new(0);
#[cfg(debug_assertions)]
static COMBINE_FAULT: GucSetting<i32> = GucSetting::<i32>::new(0);

/// What a lookup join is to do wrong, so that tests can show that they see it. Only builds with assertions have it.
#[cfg(debug_assertions)]
pub fn lookup_fault() -> i32 {
    LOOKUP_FAULT.get()
}

/// As above: nothing.
#[cfg(not(debug_assertions))]
pub fn lookup_fault() -> i32 {
    0
}

/// What an aggregate over the gateway's groups is to do wrong, as above.
#[cfg(debug_assertions)]
pub fn combine_fault() -> i32 {
    COMBINE_FAULT.get()
}

/// As above: nothing.
#[cfg(not(debug_assertions))]
pub fn combine_fault() -> i32 {
    0
}

/// Whether writes are shown instead of sent.
pub fn dry_run() -> bool {
    DRY_RUN.get()
}

/// Calls that one statement may take; none is as many as it likes.
pub fn max_calls() -> Option<u64> {
    u64::try_from(MAX_STATEMENT_CALLS.get())
        .ok()
        .filter(|most| *most > 0)
}

/// Rows that one statement may write; none is as many as it likes. The setting narrows the server's option.
pub fn max_rows_per_statement(server: &ServerOptions) -> Option<usize> {
    narrower(server.max_rows_per_statement, &MAX_ROWS).map(|limit| limit as usize)
}

/// Calls that a server may have a day; none is as many as there are. The setting narrows the server's option.
pub fn max_calls_per_day(of_server: u32) -> Option<u64> {
    narrower(of_server, &MAX_CALLS).map(u64::from)
}

/// The smaller of an option and a setting of which 0 is no bound.
fn narrower(option: u32, setting: &GucSetting<i32>) -> Option<u32> {
    let limits = [option, u32::try_from(setting.get()).unwrap_or(0)];
    limits.into_iter().filter(|limit| *limit > 0).min()
}

/// Makes the settings known; called once when the library is loaded.
pub fn init() {
    let settings = [
        (
            c"sage_intacct.push_where",
            c"Push conditions down to the gateway.",
            &PUSH_WHERE,
        ),
        (
            c"sage_intacct.push_order",
            c"Push ORDER BY down to the gateway.",
            &PUSH_ORDER,
        ),
        (
            c"sage_intacct.push_limit",
            c"Let LIMIT size the pages.",
            &PUSH_LIMIT,
        ),
        (
            c"sage_intacct.push_aggregates",
            c"Push aggregates and GROUP BY down to the gateway.",
            &PUSH_AGGREGATES,
        ),
        (
            c"sage_intacct.push_joins",
            c"Push joins along many-to-one relations down, into one request.",
            &PUSH_JOINS,
        ),
        (
            c"sage_intacct.push_lookups",
            c"Read the rows of a joined table by lists of join keys.",
            &PUSH_LOOKUPS,
        ),
    ];
    for (name, short, setting) in settings {
        GucRegistry::define_enum_guc(
            name,
            short,
            c"\"default\" uses the option of the same name of each server.",
            setting,
            GucContext::Userset,
            GucFlags::default(),
        );
    }
    GucRegistry::define_bool_guc(
        c"sage_intacct.dry_run",
        c"Show what writes would send, and send nothing.",
        c"Each function element is shown in a warning; no row is counted as written.",
        &DRY_RUN,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"sage_intacct.max_rows_per_statement",
        c"Maximum number of rows that one statement writes to a server.",
        c"0 uses the server option of the same name, which this setting can only lower.",
        &MAX_ROWS,
        0,
        i32::MAX,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"sage_intacct.max_calls_per_day",
        c"Maximum number of calls to a server per day; beyond it, this session sends nothing.",
        c"0 uses the server option of the same name, which this setting can only lower.",
        &MAX_CALLS,
        0,
        i32::MAX,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"sage_intacct.lookup_batch",
        c"Number of join keys in one list of a lookup join.",
        c"Fewer keys take more calls and less memory.",
        &LOOKUP_BATCH,
        1,
        MOST_KEYS,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"sage_intacct.max_calls",
        c"Maximum number of calls to Sage Intacct of one statement.",
        c"A call is a page read or a record written. 0 means no limit.",
        &MAX_STATEMENT_CALLS,
        0,
        i32::MAX,
        GucContext::Userset,
        GucFlags::default(),
    );
    #[cfg(debug_assertions)]
    GucRegistry::define_int_guc(
        c"sage_intacct.lookup_fault",
        c"What a lookup join does wrong, for tests.",
        c"1 loses rows, 2 doubles rows, 3 does not check conditions, 4 mistakes rows without a match, 5 mistakes parameters, 6 loses rows of those read whole.",
        &LOOKUP_FAULT,
        0,
        6,
        GucContext::Suset,
        GucFlags::NO_SHOW_ALL,
    );
    #[cfg(debug_assertions)]
    GucRegistry::define_int_guc(
        c"sage_intacct.combine_fault",
        c"What an aggregate over the gateway's groups does wrong, for tests.",
        c"1 counts groups for rows, 2 loses FILTER, 3 loses ELSE, 4 loses one of several gateways, 5 loses groups that match nothing, 6 counts rows for values.",
        &COMBINE_FAULT,
        0,
        6,
        GucContext::Suset,
        GucFlags::NO_SHOW_ALL,
    );
    // SAFETY: main thread, while the library is loaded; the prefix is a static text.
    unsafe { pg_sys::MarkGUCPrefixReserved(c"sage_intacct".as_ptr()) };
}

/// What is pushed down for this server in this session.
pub fn push_switches(server: &ServerOptions) -> PushSwitches {
    let effective = |setting: &GucSetting<Switch>, option: bool| match setting.get() {
        Switch::Default => option,
        Switch::On => true,
        Switch::Off => false,
    };
    PushSwitches {
        where_: effective(&PUSH_WHERE, server.push.where_),
        order: effective(&PUSH_ORDER, server.push.order),
        limit: effective(&PUSH_LIMIT, server.push.limit),
        aggregates: effective(&PUSH_AGGREGATES, server.push.aggregates),
        joins: effective(&PUSH_JOINS, server.push.joins),
        lookups: effective(&PUSH_LOOKUPS, server.push.lookups),
    }
}
