//! Metadata for tools: views for those that list no foreign tables, and comments that describe columns. The work is done by
//! the SQL in `sql/tools/`.

use pgrx::prelude::*;

extension_sql_file!(
    "../../sql/tools/fivetran.sql",
    name = "fivetran",
    requires = ["foreign_data_wrapper"]
);
extension_sql_file!(
    "../../sql/tools/views.sql",
    name = "views",
    requires = ["fivetran", "mirror_registry"]
);
extension_sql_file!(
    "../../sql/tools/comments.sql",
    name = "comments",
    requires = ["foreign_data_wrapper", apply_table_comments]
);
