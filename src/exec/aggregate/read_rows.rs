//! When answers have cost as many calls as the rows themselves, the local plan computes them from rows that its scan reads once.

use super::job;
use super::state::{AggregatePhase, AggregateState, bind};
use crate::exec::scan::ScanState;
use intacct::{Binding, Client};

impl AggregateState {
    /// Whether the local plan, whose only scan is this, computes the present answer and all further ones. Else determines how many
    /// calls the present one may take.
    pub(super) fn reads_rows(&mut self, client: &Client, bindings: &[Binding], scan: &mut ScanState) -> bool {
        // Where what was asked came to nothing, the scan has asked as well.
        self.received.elsewhere = scan.received.meter.stats().calls;
        if scan.has_read_whole() {
            if let Some(answers) = &mut self.answers {
                answers.recalled += 1;
            }
            return true;
        }
        if let Some(rows) = self.rows_due(client, bindings, scan) {
            self.read_whole(scan, rows);
            return true;
        }
        let counted = self.read_through.counted();
        let counted = counted.filter(|_| self.blocking && scan.can_read_whole());
        self.most_calls = counted.map(|(_, pages)| pages);
        false
    }

    /// The number of all rows, if answers have cost as many calls as reading them.
    fn rows_due(&mut self, client: &Client, bindings: &[Binding], scan: &ScanState) -> Option<u64> {
        let asked = self.answers.as_ref().map_or(0, |answers| answers.asked);
        if asked == 0 || !scan.can_read_whole() {
            return None;
        }
        let constant = self.parameters.constant(bindings);
        let query = bind(&self.plan, &constant).and_then(|plan| match plan.only_count {
            true => plan.queries.into_iter().next(),
            false => job::whole(&plan),
        });
        let (client, dialect) = (client.clone(), self.plan.dialect);
        let page_size = self.table.page_size();
        self.read_through
            .before_lookup(asked, &mut self.received, page_size, || {
                Some((client, dialect, query?))
            })
    }

    /// The same in the place of an answer whose rest would cost more.
    pub(super) fn reads_rows_instead(
        &mut self,
        has_local: bool,
        scan: Option<&mut ScanState>,
    ) -> AggregatePhase {
        if let (Some(scan), Some((rows, _))) = (scan, self.read_through.counted()) {
            self.read_whole(scan, rows);
        }
        if let Some(answers) = &mut self.answers {
            answers.asked = answers.asked.saturating_sub(1);
        }
        self.local(has_local, None)
    }

    fn read_whole(&mut self, scan: &mut ScanState, rows: u64) {
        scan.read_whole_next(rows);
        if let Some(answers) = &mut self.answers {
            answers.whole_after = Some(self.received.meter.stats().calls);
            answers.recalled += 1;
        }
    }
}
