//! Mirrors: local copies of foreign tables that are refreshed. The work is done by the SQL in `sql/mirrors/`; here is
//! what SQL cannot express.

mod commit;
mod guard;
mod planned;
mod remote;
mod sums;

use pgrx::prelude::*;

extension_sql_file!(
    "../../../sql/mirrors/options.sql",
    name = "mirror_options",
    requires = ["foreign_data_wrapper"]
);
extension_sql_file!(
    "../../../sql/mirrors/registry.sql",
    name = "mirror_registry",
    requires = ["mirror_options"]
);
extension_sql_file!(
    "../../../sql/mirrors/shape.sql",
    name = "mirror_shape",
    requires = ["mirror_registry"]
);
extension_sql_file!(
    "../../../sql/mirrors/companies.sql",
    name = "mirror_companies",
    requires = ["mirror_shape"]
);
extension_sql_file!(
    "../../../sql/mirrors/distributed.sql",
    name = "mirror_distributed",
    requires = ["mirror_shape"]
);
extension_sql_file!(
    "../../../sql/mirrors/source.sql",
    name = "mirror_source",
    requires = ["mirror_distributed"]
);
extension_sql_file!(
    "../../../sql/mirrors/plan.sql",
    name = "mirror_plan",
    requires = ["mirror_source"]
);
extension_sql_file!(
    "../../../sql/mirrors/counts.sql",
    name = "mirror_counts",
    requires = ["mirror_plan"]
);
extension_sql_file!(
    "../../../sql/mirrors/periods.sql",
    name = "mirror_periods",
    requires = ["mirror_counts"]
);
extension_sql_file!(
    "../../../sql/mirrors/fetch.sql",
    name = "mirror_fetch",
    requires = ["mirror_periods"]
);
extension_sql_file!(
    "../../../sql/mirrors/apply.sql",
    name = "mirror_apply",
    requires = ["mirror_fetch"]
);
extension_sql_file!(
    "../../../sql/mirrors/deletes.sql",
    name = "mirror_deletes",
    requires = ["mirror_apply"]
);
extension_sql_file!(
    "../../../sql/mirrors/owners.sql",
    name = "mirror_owners",
    requires = ["mirror_deletes"]
);
extension_sql_file!(
    "../../../sql/mirrors/procedures.sql",
    name = "mirror_procedures",
    requires = ["mirror_owners"]
);
extension_sql_file!(
    "../../../sql/mirrors/many.sql",
    name = "mirror_many",
    requires = ["mirror_procedures"]
);
extension_sql_file!(
    "../../../sql/mirrors/events.sql",
    name = "mirror_events",
    requires = ["mirror_many"]
);
