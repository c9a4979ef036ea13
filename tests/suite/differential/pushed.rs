//! Counts what was left to the gateway, so that a test cannot pass because nothing was.

use regex::Regex;

/// How many requests carried work of each class.
#[derive(Debug, Default)]
pub struct Pushed {
    conditions: u32,
    orders: u32,
    limits: u32,
    aggregates: u32,
    joins: u32,
}

impl std::ops::AddAssign for Pushed {
    fn add_assign(&mut self, other: Self) {
        self.conditions += other.conditions;
        self.orders += other.orders;
        self.limits += other.limits;
        self.aggregates += other.aggregates;
        self.joins += other.joins;
    }
}

impl Pushed {
    /// Adds requests.
    pub fn count(&mut self, requests: &[String]) {
        // Paging itself filters by `key > last` and orders by the key: these do not count.
        let condition =
            Regex::new("<(equalto|notequalto|in|notin|isnull|isnotnull|like|lessthan|lessthanorequalto)>");
        let condition = condition.expect("a pattern");
        let path = Regex::new(
            "<isnotnull><field>[A-Z.]+[.](CUSTOMERID|EMPLOYEEID|NAME|TERRITORYID|RECORDNO)</field>",
        );
        let path = path.expect("a pattern");
        let size = Regex::new("<pagesize>(1|2|5|10|7)</pagesize>").expect("a pattern");
        for request in requests.iter().filter(|request| request.contains("<query>")) {
            self.conditions += u32::from(condition.is_match(request));
            self.orders += u32::from(request.contains("</order><order>"));
            self.limits += u32::from(size.is_match(request));
            self.aggregates += u32::from(request.contains("<count>"));
            self.joins += u32::from(path.is_match(request));
        }
    }

    /// Fails if hardly anything was pushed by companies that each allow less than all, half of whose statements are joins.
    #[track_caller]
    pub fn assert_some(&self, statements: u32) {
        assert!(
            self.conditions >= statements / 4,
            "{self:?} of {statements} statements"
        );
        for few in [self.orders, self.limits, self.aggregates, self.joins] {
            assert!(
                statements < 1000 || few >= statements / 50,
                "{self:?} of {statements} statements"
            );
        }
    }

    /// What was pushed too seldom by so many statements; `None`: nothing.
    pub fn lacking(&self, statements: u32) -> Option<String> {
        let short = |class: &str, pushed: u32, demanded: u32| {
            (pushed < demanded).then(|| format!("{class}: {pushed} of {demanded} demanded"))
        };
        let most = statements / 2;
        match std::env::var("SAGE_FUZZ_ONLY").as_deref() {
            Ok("aggregates") => return short("aggregates", self.aggregates, most),
            Ok("joins") => return short("joins", self.joins, most),
            _ => {}
        }
        let conditions = short("conditions", self.conditions, most);
        // A short run may hold few of the kinds that are not most of the statements.
        if std::env::var_os("SAGE_FUZZ_ONLY").is_some() || statements < 200 {
            return conditions;
        }
        conditions
            .or_else(|| short("orders", self.orders, statements / 20))
            .or_else(|| short("limits", self.limits, statements / 20))
            .or_else(|| short("aggregates", self.aggregates, statements / 40))
            .or_else(|| short("joins", self.joins, statements / 40))
    }

    /// Fails if a class was hardly ever pushed.
    #[track_caller]
    pub fn assert_plenty(&self, statements: u32) {
        println!("{self:?} of {statements} statements");
        let lacking = self.lacking(statements);
        assert!(
            lacking.is_none(),
            "{self:?} of {statements} statements: {lacking:?}"
        );
    }
}
