//! The facts about the gateway that are not confirmed, and what this company shows of each: for bug reports, so without
//! any data. `docs/gateway-facts.md` holds them all, by the same numbers.

/// An unconfirmed fact.
#[derive(Debug, PartialEq, Eq)]
pub struct Fact {
    /// Its number in the documentation.
    pub number: u8,
    /// What it is about.
    pub name: &'static str,
    /// How it is checked.
    pub seen: Seen,
}

/// How a fact is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// By requests that read.
    By(Observation),
    /// Not at all, and why.
    Not(&'static str),
}

/// What is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observation {
    TextOrder,
    NullOrder,
    DottedOrder,
    Negatives,
    CaseOfText,
    BlanksOfConstants,
    BlanksOfPatterns,
    Underscore,
    NullGroups,
    CaseOfGroups,
    CountOfField,
    TotalOfGroups,
    EmptyAggregate,
    DottedPaths,
    EntityRows,
    EmptyElements,
    UnsetBooleans,
    Dates,
    Decimals,
    Counts,
    Offsets,
    OrderOfBounds,
    Zone,
}

const WRITES: Seen = Seen::Not("not checked: requires a write");

const fn fact(number: u8, name: &'static str, seen: Seen) -> Fact {
    Fact { number, name, seen }
}

/// Every unconfirmed fact that something here leans on.
#[rustfmt::skip]
pub static FACTS: &[Fact] = &[
    fact(12, "order of text", Seen::By(Observation::TextOrder)),
    fact(13, "order of NULLs", Seen::By(Observation::NullOrder)),
    fact(14, "order by dotted fields", Seen::By(Observation::DottedOrder)),
    fact(15, "offsets under an order", Seen::By(Observation::Offsets)),
    fact(17, "counts of an answer", Seen::By(Observation::Counts)),
    fact(20, "negatives and NULL", Seen::By(Observation::Negatives)),
    fact(21, "case of text", Seen::By(Observation::CaseOfText)),
    fact(22, "blanks at the end of text", Seen::By(Observation::BlanksOfConstants)),
    fact(23, "blanks at the end of patterns", Seen::By(Observation::BlanksOfPatterns)),
    fact(24, "wildcards of patterns", Seen::By(Observation::Underscore)),
    fact(25, "bounds of between in the wrong order", Seen::By(Observation::OrderOfBounds)),
    fact(26, "empty values in conditions", Seen::Not("not checked: never sent")),
    fact(27, "depth of conditions", Seen::Not("not checked: none deeper than 40 is sent")),
    fact(28, "longest request", Seen::Not("not checked: lists end at 10,000 values")),
    fact(30, "groups of NULL", Seen::By(Observation::NullGroups)),
    fact(31, "groups that differ by case", Seen::By(Observation::CaseOfGroups)),
    fact(32, "count of a field", Seen::By(Observation::CountOfField)),
    fact(33, "totalcount of groups", Seen::By(Observation::TotalOfGroups)),
    fact(34, "aggregates of no rows", Seen::By(Observation::EmptyAggregate)),
    fact(35, "element names of aggregates", Seen::Not("not checked: FUNC.FIELD and FIELD are both read")),
    fact(36, "scale of averages", Seen::Not("not checked: averages are divided in PostgreSQL")),
    fact(40, "dotted paths without a parent", Seen::By(Observation::DottedPaths)),
    fact(41, "rows that entities own, at top level", Seen::By(Observation::EntityRows)),
    fact(50, "elements of empty fields", Seen::By(Observation::EmptyElements)),
    fact(51, "unset booleans", Seen::By(Observation::UnsetBooleans)),
    fact(52, "form of dates and times", Seen::By(Observation::Dates)),
    fact(53, "form of decimals", Seen::By(Observation::Decimals)),
    fact(54, "zone of times", Seen::By(Observation::Zone)),
    fact(61, "lifetime of a stored result", Seen::Not("not checked: results are read at once")),
    fact(62, "keys that read does not find", Seen::Not("not checked: a missing record is an error")),
    fact(63, "lines by natural key", Seen::Not("not checked: without lines it is an error")),
    fact(70, "empty elements in update", WRITES),
    fact(71, "answer to a repeated control id", WRITES),
    fact(72, "fields in the answer to update", WRITES),
    fact(73, "keys of one delete", WRITES),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_lists_these_facts_and_no_other_as_unconfirmed() {
        let documented = include_str!("../../../docs/gateway-facts.md");
        let rows = documented.lines().filter_map(|line| {
            let (number, fact) = line.strip_prefix("- **")?.split_once("** · ")?;
            let number: u8 = number.parse().ok()?;
            fact.starts_with("UNCONFIRMED").then_some(number)
        });
        let listed: Vec<u8> = FACTS.iter().map(|fact| fact.number).collect();
        assert_eq!(rows.collect::<Vec<_>>(), listed);
    }
}
