//! Counts what was left to the gateway, so that a test cannot pass because nothing was.

use regex::Regex;

/// How many requests carried work of each class.
#[derive(Debug, Default)]
pub struct Pushed {
    conditions: u32,
    orders: u32,
    limits: u32,
}

impl Pushed {
    /// Adds requests.
    pub fn count(&mut self, requests: &[String]) {
        // Paging itself filters by `key > last` and orders by the key: these do not count.
        let condition =
            Regex::new("<(equalto|notequalto|in|notin|isnull|isnotnull|like|lessthan|lessthanorequalto)>");
        let condition = condition.expect("a pattern");
        let size = Regex::new("<pagesize>(1|2|5|10|7)</pagesize>").expect("a pattern");
        for request in requests.iter().filter(|request| request.contains("<query>")) {
            self.conditions += u32::from(condition.is_match(request));
            self.orders += u32::from(request.contains("</order><order>"));
            self.limits += u32::from(size.is_match(request));
        }
    }

    /// Fails if a class was hardly ever pushed.
    #[track_caller]
    pub fn assert_plenty(&self, statements: u32) {
        assert!(
            self.conditions >= statements / 2,
            "{self:?} of {statements} statements"
        );
        assert!(
            self.orders >= statements / 20,
            "{self:?} of {statements} statements"
        );
        assert!(
            self.limits >= statements / 20,
            "{self:?} of {statements} statements"
        );
    }
}
