//! Names of tables and columns made from Intacct's names.

use std::collections::{HashMap, HashSet};

/// Bytes of a PostgreSQL identifier.
const MAX_BYTES: usize = 63;

/// Names that every table has already.
pub const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "ctid", "xmin", "cmin", "xmax", "cmax"];

/// How Intacct's spelling becomes an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// Lower case.
    Lower,
    /// As Intacct spells it.
    Keep,
}

/// What had to be done to a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assigned {
    /// The plain name.
    Plain(String),
    /// The plain name was too long or taken; this one stands for it.
    Changed(String),
}

/// The identifier for a path in Intacct, of any length: dots become underscores.
pub fn plain(path: &str, case: Case) -> String {
    let spelled: String = path
        .chars()
        .filter(|c| !c.is_control())
        .map(|c| if c == '.' { '_' } else { c })
        .collect();
    match case {
        Case::Lower => spelled.to_lowercase(),
        Case::Keep => spelled,
    }
}

/// Gives out names, each once.
pub struct Namer {
    case: Case,
    taken: HashSet<String>,
    /// The number to try next for a name that is taken.
    next: HashMap<String, u64>,
}

impl Namer {
    /// Nothing is taken but `reserved`.
    pub fn new(case: Case, reserved: &[&str]) -> Self {
        Namer {
            case,
            taken: reserved.iter().map(|&name| name.to_owned()).collect(),
            next: HashMap::new(),
        }
    }

    /// A name for a path, cut to the length of an identifier and with a number where it is taken.
    pub fn assign(&mut self, path: &str) -> Assigned {
        let wanted = plain(path, self.case);
        let wanted = if wanted.is_empty() {
            "unnamed".to_owned()
        } else {
            wanted
        };
        let name = cut(&wanted, MAX_BYTES).to_owned();
        if self.taken.insert(name.clone()) {
            return if name == wanted {
                Assigned::Plain(name)
            } else {
                Assigned::Changed(name)
            };
        }
        let number = self.next.entry(name).or_insert(2);
        loop {
            let suffix = format!("_{number}");
            let name = format!("{}{suffix}", cut(&wanted, MAX_BYTES - suffix.len()));
            *number += 1;
            if self.taken.insert(name.clone()) {
                return Assigned::Changed(name);
            }
        }
    }
}

/// The longest prefix of whole characters within so many bytes.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_identifiers() {
        assert_eq!(
            plain("DISPLAYCONTACT.EMAIL1", Case::Lower),
            "displaycontact_email1"
        );
        assert_eq!(plain("Region_Code", Case::Lower), "region_code");
        assert_eq!(plain("MCA_attendee", Case::Keep), "MCA_attendee");
        assert_eq!(plain("a\u{0}b\nc", Case::Lower), "abc");
    }

    #[test]
    fn a_taken_name_gets_a_number() {
        let mut namer = Namer::new(Case::Lower, &SYSTEM_COLUMNS);
        assert_eq!(namer.assign("A.B"), Assigned::Plain("a_b".into()));
        assert_eq!(namer.assign("A_B"), Assigned::Changed("a_b_2".into()));
        assert_eq!(namer.assign("a_b"), Assigned::Changed("a_b_3".into()));
        assert_eq!(namer.assign("CTID"), Assigned::Changed("ctid_2".into()));
        assert_eq!(namer.assign(""), Assigned::Plain("unnamed".into()));
    }

    #[test]
    fn long_names_are_cut_between_characters_and_stay_unique() {
        let mut namer = Namer::new(Case::Lower, &[]);
        let long = "é".repeat(40);
        let first = namer.assign(&long);
        assert_eq!(first, Assigned::Changed("é".repeat(31)));
        let second = namer.assign(&long);
        assert_eq!(second, Assigned::Changed(format!("{}_2", "é".repeat(30))));
        for _ in 3..=12 {
            let (Assigned::Plain(name) | Assigned::Changed(name)) = namer.assign(&long);
            assert!(name.len() <= MAX_BYTES);
        }
    }
}
