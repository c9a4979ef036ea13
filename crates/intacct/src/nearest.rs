//! Which of the known names was probably meant.

/// The known name that is closest to `typed`, case aside, if one is close enough to be a slip.
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_ascii_lowercase();
    let slips = (typed.chars().count() / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|name| {
            (
                strsim::damerau_levenshtein(&typed, &name.to_ascii_lowercase()),
                name,
            )
        })
        .filter(|&(distance, _)| distance <= slips)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_slips_and_refuses_strangers() {
        let known = ["ARINVOICE", "APBILL", "CUSTOMER"];
        assert_eq!(nearest("airinvoice", known), Some("ARINVOICE"));
        assert_eq!(nearest("custmoer", known), Some("CUSTOMER"));
        assert_eq!(nearest("customer", known), Some("CUSTOMER"));
        assert_eq!(nearest("warehouse", known), None);
        assert_eq!(nearest("", known), None);
    }
}
