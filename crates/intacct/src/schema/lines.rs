//! Lines that records own: read and written with their header, and never alone.

/// Headers, and where their lines are: collection and line (facts 60, 63).
const LINES: [(&str, &str); 13] = [
    ("APADJUSTMENT", "APADJUSTMENTITEMS.APADJUSTMENTITEM"),
    ("APBILL", "APBILLITEMS.APBILLITEM"),
    ("APPYMT", "APPYMTDETAILS.APPYMTDETAIL"),
    ("ARADJUSTMENT", "ARADJUSTMENTITEMS.ARADJUSTMENTITEM"),
    ("ARINVOICE", "ARINVOICEITEMS.ARINVOICEITEM"),
    ("ARPYMT", "ARPYMTDETAILS.ARPYMTDETAIL"),
    ("EEXPENSES", "EEXPENSESITEMS.EEXPENSESITEM"),
    ("EXCHANGERATE", "EXCHANGERATEENTRIES.EXCHANGERATEENTRY"),
    ("GLBATCH", "ENTRIES.GLENTRY"),
    ("INVDOCUMENT", "INVDOCUMENTENTRIES.INVDOCUMENTENTRY"),
    ("PODOCUMENT", "PODOCUMENTENTRIES.PODOCUMENTENTRY"),
    ("SODOCUMENT", "SODOCUMENTENTRIES.SODOCUMENTENTRY"),
    ("TIMESHEET", "TIMESHEETENTRIES.TIMESHEETENTRY"),
];

/// The path of the lines that records of an object own, where it is known to have any: `APBILLITEMS.APBILLITEM`.
pub fn owned_lines(object: &str) -> Option<&'static str> {
    LINES
        .iter()
        .find(|(header, _)| header.eq_ignore_ascii_case(object))
        .map(|(_, path)| *path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_known_by_name() {
        assert_eq!(owned_lines("apbill"), Some("APBILLITEMS.APBILLITEM"));
        assert_eq!(owned_lines("CUSTOMER"), None);
    }
}
