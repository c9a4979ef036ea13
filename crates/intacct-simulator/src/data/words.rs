//! Words of a believable company, with the awkward ones that readers trip over.

use std::borrow::Cow;

use super::recipe::Pool;

const NAMES: &[&str] = &[
    "Northwind",
    "Contoso",
    "Fabrikam",
    "Tailspin",
    "Litware",
    "Proseware",
    "Wingtip",
    "Adatum",
    "Humongous",
    "Lucerne",
    "Margie",
    "Coho",
    "Trey",
    "Alpine",
    "Blue Yonder",
    "Consolidated",
    "Datum",
    "Graphic",
    "Southridge",
    "Woodgrove",
    "Bellows",
    "Nod",
    "Fourth Coffee",
    "Relecloud",
    "Munson",
    "Lakeshore",
    "Birchwood",
    "Kestrel",
];
const KINDS: &[&str] = &[
    "Traders",
    "Industries",
    "Foods",
    "Logistics",
    "Medical",
    "Systems",
    "Partners",
    "Supply",
    "Textiles",
    "Labs",
    "Holdings",
    "Energy",
    "Works",
    "Media",
];
const FORMS: &[&str] = &["Inc.", "LLC", "Ltd", "GmbH", "S.A.", "Co.", "plc", ""];
const FIRST: &[&str] = &[
    "Anna", "Bo", "Chloé", "Dmitri", "Eve", "Farid", "Grace", "Hiro", "Inês", "Jürgen", "Kofi", "Lena",
    "Mårten", "Nia", "Omar", "Priya", "Quinn", "Rosa", "Søren", "Tess", "Uma", "Victor", "Wei", "Ximena",
    "Yusuf", "Zoë",
];
const LAST: &[&str] = &[
    "Smith",
    "O'Brien",
    "García",
    "Müller",
    "Nguyen",
    "Kowalski",
    "D'Angelo",
    "Øverland",
    "Okafor",
    "Tanaka",
    "van der Berg",
    "Haddad",
    "Johnson",
    "Ivanova",
    "Silva",
    "Peña",
    "Cohen",
    "Ström",
    "McKay",
    "Żak",
];
const CITIES: &[(&str, &str, &str, &str)] = &[
    ("San Jose", "CA", "United States", "US"),
    ("Austin", "TX", "United States", "US"),
    ("New York", "NY", "United States", "US"),
    ("München", "BY", "Germany", "DE"),
    ("Zürich", "ZH", "Switzerland", "CH"),
    ("São Paulo", "SP", "Brazil", "BR"),
    ("Kraków", "", "Poland", "PL"),
    ("東京", "", "Japan", "JP"),
    ("Montréal", "QC", "Canada", "CA"),
    ("L'Aquila", "AQ", "Italy", "IT"),
    ("London", "", "United Kingdom", "GB"),
    ("Reykjavík", "", "Iceland", "IS"),
];
const STREETS: &[&str] = &[
    "Main St",
    "Oak Avenue",
    "1st & Pine",
    "Rue de l'Église",
    "Hauptstraße",
    "Market Square",
];
const PRODUCTS: &[&str] = &[
    "Widget",
    "Gear 3\"",
    "Service hour",
    "Licence <annual>",
    "Cable & plug",
    "Café blend",
    "Bracket",
    "Sensor",
    "Pallet",
    "Battery",
];
const WORDS: &[&str] = &[
    "alpha", "Bravo", "charlie", "Delta", "echo", "Foxtrot", "golf", "Hotel", "india", "Juliet", "kilo",
    "Lima", "mike", "November", "oscar", "Papa", "quebec", "Romeo", "sierra", "Tango", "uniform", "Victor",
    "whiskey",
];
const AWKWARD: &[&str] = &[
    "O'Reilly & Söhne <\"KG\">",
    " leading blank",
    "trailing blank ",
    "100% _sure_ \\ maybe",
    "naïve façade – ½ € 𝒳 🙂",
    "Ärger",
    "ärger",
    "ARGER",
    "line one\nline two",
    "tab\there",
    "comma, semicolon; #~# hash",
    "]]> &amp; &#039;",
    "İstanbul ẞ ß ﬁ",
    "a\u{301} (combining) vs á",
    "null",
    "0",
    "-1",
    "true",
    "'",
    "\"",
];

/// Text number `n` (a hash) of a pool, for the row at `position`.
pub fn word(pool: Pool, n: u64, position: u64) -> Cow<'static, str> {
    let pick = |list: &'static [&'static str], salt: u32| list[(n >> salt) as usize % list.len()];
    let city = || CITIES[(n >> 3) as usize % CITIES.len()];
    match pool {
        Pool::Company => match n % 61 {
            0 => AWKWARD[(n >> 8) as usize % AWKWARD.len()].into(),
            _ => format!("{} {} {}", pick(NAMES, 2), pick(KINDS, 11), pick(FORMS, 19))
                .trim_end()
                .to_string()
                .into(),
        },
        Pool::Person => format!("{} {}", pick(FIRST, 2), pick(LAST, 17)).into(),
        Pool::First => pick(FIRST, 2).into(),
        Pool::Last => pick(LAST, 17).into(),
        Pool::Email => format!("user{}.{}@example.com", position, n % 97).into(),
        Pool::Phone => format!("+1 (555) {:03}-{:04}", n % 1000, (n >> 12) % 10_000).into(),
        Pool::Street => format!("{} {}", n % 900 + 1, pick(STREETS, 13)).into(),
        Pool::City => city().0.into(),
        Pool::State => non_empty(city().1),
        Pool::Zip => format!("{:05}", (n >> 5) % 100_000).into(),
        Pool::Country => city().2.into(),
        Pool::CountryCode => city().3.into(),
        Pool::Word => match n % 53 {
            0 => AWKWARD[(n >> 8) as usize % AWKWARD.len()].into(),
            _ => pick(WORDS, 4).into(),
        },
        Pool::Sentence => format!("{} {} {}", pick(WORDS, 4), pick(WORDS, 9), pick(WORDS, 14)).into(),
        Pool::Memo => match n % 211 {
            0 => "lorem ipsum – dolor & sit "
                .repeat(150)
                .trim_end()
                .to_string()
                .into(),
            1..=20 => AWKWARD[(n >> 8) as usize % AWKWARD.len()].into(),
            _ => format!(
                "{} {} {} {}",
                pick(WORDS, 4),
                pick(PRODUCTS, 9),
                pick(WORDS, 14),
                n % 1000
            )
            .into(),
        },
        Pool::Product => format!("{} {}", pick(PRODUCTS, 3), (n >> 9) % 500).into(),
        Pool::ContactName => format!("{} {} #{}", pick(FIRST, 2), pick(LAST, 17), position).into(),
    }
}

fn non_empty(text: &'static str) -> Cow<'static, str> {
    if text.is_empty() {
        "n/a".into()
    } else {
        text.into()
    }
}
