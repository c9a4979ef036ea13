//! Runtime switches: one for every reading of a fact that `docs/gateway-facts.md` marks UNCONFIRMED, and the knobs
//! of the server itself.

use std::collections::BTreeMap;

/// Declares the switches: field, type, allowed words (the first is the default) and what it decides.
macro_rules! switches {
    ($($(#[$doc:meta])* $name:ident: $type:ident { $first:ident = $first_word:literal, $($variant:ident = $word:literal),+ };)+) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
            pub enum $type {
                #[doc = concat!("`", $first_word, "`")]
                #[default]
                $first,
                $(#[doc = concat!("`", $word, "`")] $variant),+
            }
            impl $type {
                const WORDS: &'static [&'static str] = &[$first_word, $($word),+];
                fn parse(word: &str) -> Option<Self> {
                    match word { $first_word => Some(Self::$first), $($word => Some(Self::$variant),)+ _ => None }
                }
                fn word(self) -> &'static str {
                    match self { Self::$first => $first_word, $(Self::$variant => $word),+ }
                }
            }
        )+

        /// The switches with a closed list of words.
        #[derive(Debug, Clone, PartialEq, Eq, Default)]
        pub struct Readings { $($(#[$doc])* pub $name: $type),+ }

        impl Readings {
            /// Every switch with its words, the default first: for tests that draw a value of each.
            pub const ALL: &'static [(&'static str, &'static [&'static str])] =
                &[$((stringify!($name), $type::WORDS)),+];

            fn set(&mut self, key: &str, value: &str) -> Option<Result<(), String>> {
                match key {
                    $(stringify!($name) => Some(match $type::parse(value) {
                        Some(v) => { self.$name = v; Ok(()) }
                        None => Err(format!("{key}: {value} is none of {}", $type::WORDS.join(", "))),
                    }),)+
                    _ => None,
                }
            }
            fn list(&self, out: &mut BTreeMap<String, String>) {
                $(out.insert(stringify!($name).into(), self.$name.word().into());)+
            }
        }
    };
}

switches! {
    /// Where NULL sorts: above all values, below all values, always last, always first.
    nulls: Nulls { High = "high", Low = "low", Last = "last", First = "first" };
    /// Whether rows whose group key is NULL form a group.
    null_groups: NullGroups { Kept = "kept", Dropped = "dropped" };
    /// How a dotted path joins.
    dotted_paths: DottedPaths { Left = "left", Inner = "inner" };
    /// Whether `orderby` accepts dotted fields.
    dotted_order: DottedOrder { Accepted = "accepted", Refused = "refused" };
    /// Whether notequalto, notin and notlike return rows in which the field is NULL.
    negatives: Negatives { WithoutNulls = "without_nulls", WithNulls = "with_nulls" };
    /// Order of text in comparisons, orderby, min and max.
    text_order: TextOrder { Binary = "binary", Linguistic = "linguistic" };
    /// Form of dates in answers: as the user prefers, always US, or ISO.
    date_format: DateFormat { User = "user", Us = "us", Iso = "iso" };
    /// Whether a dotted path shows a parent row that a direct query would hide.
    hidden_parents: HiddenParents { Shown = "shown", Hidden = "hidden" };
    /// Which rows of entities a direct query shows at top level: those of each object as it was seen (of documents and
    /// employees, not of master data), none, or all.
    owned_rows: OwnedRows { ByObject = "by_object", Hidden = "hidden", Shown = "shown" };
    /// Which entities the user sees: all; the first alone; or the first alone unless rows private to entities are asked for.
    user_entities: UserEntities { All = "all", One = "one", OneUnlessPrivate = "one_unless_private" };
    /// Whether the option showprivate is taken.
    private_option: PrivateOption { Taken = "taken", Refused = "refused" };
    /// Element name of sum, avg, min and max.
    aggregate_names: AggregateNames { Prefixed = "prefixed", Plain = "plain" };
    /// How an unset boolean reads.
    unset_booleans: UnsetBooleans { Empty = "empty", False = "false" };
    /// Which texts make one group: those that are the same, also those that differ by case, by trailing blanks, or by both.
    text_groups: TextGroups { Exact = "exact", Case = "case", Blanks = "blanks", Both = "case_and_blanks" };
    /// What `count` of a field counts.
    count: Count { Values = "values", Rows = "rows" };
    /// Answer to aggregates without plain fields over no rows.
    empty_aggregate: EmptyAggregate { None = "none", Zero = "zero", Empty = "empty" };
    /// Whether trailing blanks matter in equalto, notequalto, in, notin, like and notlike, of values as of constants.
    trailing_blanks: TrailingBlanks { Significant = "significant", Ignored = "ignored" };
    /// Whether a row has an element for a field without a value.
    empty_elements: EmptyElements { Sent = "sent", Omitted = "omitted" };
    /// Decimals without or with trailing zeros.
    numbers: Numbers { Short = "short", Padded = "padded" };
    /// Row order when no orderby is given: another one for each request, or the row key's.
    unordered: Unordered { Shuffled = "shuffled", Stable = "stable" };
    /// Case of the field elements in rows.
    tag_case: TagCase { Catalog = "catalog", Requested = "requested", Upper = "upper" };
    /// Whether views that need a filter (GLACCOUNTBALANCE, GLDETAIL, AUDITHISTORY) refuse a query without one.
    require_filters: RequireFilters { Off = "off", On = "on" };
    /// Whether characters that XML 1.0 forbids are left out of answers or sent raw.
    control_characters: ControlCharacters { Stripped = "stripped", Raw = "raw" };
    /// What happens to the objects after a refused one in create and update.
    partial_success: PartialSuccess { Prefix = "prefix", Each = "each" };
    /// Whether requests of dtdversion 3.0 are taken, or 2.1 is all that there is.
    dtd_3_0: Dtd30 { Taken = "taken", Refused = "refused" };
    /// Which offset of a zone with daylight saving `readUserFormatting` reports.
    reported_offset: ReportedOffset { Standard = "standard", Summer = "summer" };
    /// Which of the two moments a filter means by a reading that the clock shows twice.
    repeated_hour: RepeatedHour { First = "first", Second = "second" };
    /// Whether timestamps are compared and sorted as points in time, or as the clock shows them.
    clock_order: ClockOrder { Instants = "instants", Readings = "readings" };
    /// What an empty element for a scalar field does in update.
    empty_update: EmptyUpdate { Clears = "clears", Ignored = "ignored" };
}

/// All settings of a running simulator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Readings of unconfirmed facts.
    pub readings: Readings,
    /// IANA zone in which timestamps are shown and read; empty: the user's fixed offset.
    pub time_zone: String,
    /// `endpoint` that getAPISession answers; empty: the simulator's own URL.
    pub endpoint: String,
    /// Error number for a repeated function controlid.
    pub duplicate_errorno: String,
    /// Added to every gateway request, milliseconds.
    pub latency_ms: u64,
    /// Requests in process per company; 0: no limit.
    pub concurrency: usize,
    /// How long a request over the limit waits before it is refused, milliseconds.
    pub queue_ms: u64,
    /// Lifetime of a session after its last use, seconds.
    pub session_ttl: u64,
    /// How often a report answers that it is pending before its rows come.
    pub report_polls: u64,
    /// The gateway's clock minus the machine's, seconds.
    pub clock_skew: i64,
    /// Most rows that one get_list shows, whatever it asks for.
    pub list_rows: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            readings: Readings::default(),
            time_zone: String::new(),
            endpoint: String::new(),
            duplicate_errorno: "XL03000006".into(),
            latency_ms: 0,
            concurrency: 16,
            queue_ms: 250,
            session_ttl: 6 * 3600,
            report_polls: 1,
            clock_skew: 0,
            list_rows: 1000,
        }
    }
}

impl Settings {
    /// Sets one switch from text.
    ///
    /// # Errors
    /// An unknown key, or a value that is not allowed; the text names what is.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        if let Some(done) = self.readings.set(key, value) {
            return done;
        }
        fn number<T: std::str::FromStr>(key: &str, value: &str) -> Result<T, String> {
            value
                .parse()
                .map_err(|_| format!("{key}: {value} is not a number"))
        }
        match key {
            "time_zone" => {
                if !value.is_empty() {
                    jiff::tz::TimeZone::get(value).map_err(|_| format!("time_zone: no zone {value}"))?;
                }
                self.time_zone = value.into();
            }
            "endpoint" => self.endpoint = value.into(),
            "duplicate_errorno" => self.duplicate_errorno = value.into(),
            "latency_ms" => self.latency_ms = number(key, value)?,
            "concurrency" => self.concurrency = number(key, value)?,
            "queue_ms" => self.queue_ms = number(key, value)?,
            "session_ttl" => self.session_ttl = number(key, value)?,
            "report_polls" => self.report_polls = number(key, value)?,
            "clock_skew" => self.clock_skew = number(key, value)?,
            "list_rows" => self.list_rows = number(key, value)?,
            _ => {
                let known: Vec<String> = self.list().into_keys().collect();
                return Err(format!("no setting {key}; there are {}", known.join(", ")));
            }
        }
        Ok(())
    }

    /// All settings as text.
    pub fn list(&self) -> BTreeMap<String, String> {
        let mut out = BTreeMap::new();
        self.readings.list(&mut out);
        out.insert("time_zone".into(), self.time_zone.clone());
        out.insert("endpoint".into(), self.endpoint.clone());
        out.insert("duplicate_errorno".into(), self.duplicate_errorno.clone());
        out.insert("latency_ms".into(), self.latency_ms.to_string());
        out.insert("concurrency".into(), self.concurrency.to_string());
        out.insert("queue_ms".into(), self.queue_ms.to_string());
        out.insert("session_ttl".into(), self.session_ttl.to_string());
        out.insert("report_polls".into(), self.report_polls.to_string());
        out.insert("clock_skew".into(), self.clock_skew.to_string());
        out.insert("list_rows".into(), self.list_rows.to_string());
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_setting_takes_its_own_value() {
        let mut settings = Settings::default();
        for (key, value) in settings.clone().list() {
            settings.set(&key, &value).unwrap();
        }
        assert_eq!(settings.list(), Settings::default().list());
    }

    #[test]
    fn every_word_of_every_reading_is_taken() {
        assert!(Readings::ALL.len() > 20);
        let mut settings = Settings::default();
        for (key, words) in Readings::ALL {
            assert_eq!(settings.list()[*key], words[0], "{key}");
            for word in *words {
                settings.set(key, word).unwrap();
                assert_eq!(settings.list()[*key], *word, "{key}");
            }
        }
    }

    #[test]
    fn wrong_words_name_the_right_ones() {
        let mut settings = Settings::default();
        assert!(
            settings
                .set("nulls", "middle")
                .unwrap_err()
                .contains("high, low, last, first")
        );
        assert!(settings.set("nils", "high").unwrap_err().contains("nulls"));
        settings.set("nulls", "first").unwrap();
        assert_eq!(settings.readings.nulls, Nulls::First);
    }
}
