//! No text makes the parser panic, and what it reads prints as something that reads the same.
#![no_main]

use intacct::{Condition, Query};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for query in [
        text.parse::<Query>(),
        Query::parse_with(text, &|word| word.len() % 2 == 0),
    ]
    .into_iter()
    .flatten()
    {
        let printed = query.to_string();
        assert_eq!(printed.parse::<Query>().as_ref(), Ok(&query), "{printed}");
    }
    if let Ok(condition) = text.parse::<Condition>() {
        let printed = condition.to_string();
        assert_eq!(printed.parse::<Condition>().as_ref(), Ok(&condition), "{printed}");
    }
});
