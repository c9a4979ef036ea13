//! Prints the installation script that a built library of the extension describes, or compares it with a script.
//!
//! ```text
//! extension-sql LIBRARY CONTROL_FILE > sql/install/sage_intacct_fdw--VERSION.sql
//! extension-sql LIBRARY CONTROL_FILE sql/install/sage_intacct_fdw--VERSION.sql
//! ```
//!
//! pgrx puts a description of each function and each `extension_sql!` block into a section of the library. This program turns
//! it into SQL, without the comments that name source lines: they would change the script with every edit of the sources. The
//! script is committed, so that building and installing the extension need nothing but Cargo; a test compares the two. pgrx
//! orders what does not depend on each other anew each time, so the order is not compared.
#![forbid(unsafe_code)]

use std::error::Error;
use std::path::Path;

use object::{Object, ObjectSection};
use pgrx_sql_entity_graph::section::{decode_entities, is_schema_section_name};
use pgrx_sql_entity_graph::{ControlFile, PgrxSql, SqlGraphEntity};

mod layout;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (library, control, committed) = match &arguments[..] {
        [library, control] => (library, control, None),
        [library, control, committed] => (library, control, Some(committed)),
        _ => return Err("usage: extension-sql LIBRARY CONTROL_FILE [SCRIPT]".into()),
    };
    let blocks = blocks(Path::new(library), Path::new(control))?;
    match committed {
        None => print!("{}", layout::script(&blocks)),
        Some(committed) => {
            layout::compare(&blocks, &std::fs::read_to_string(committed)?)
                .map_err(|difference| format!("{committed}: {difference}"))?;
        }
    }
    Ok(())
}

/// The statements that `library` describes. The control file says in which schema the objects live.
///
/// # Errors
///
/// A file that cannot be read, or a library that was not built with pgrx 0.18.
fn blocks(library: &Path, control: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let bytes = std::fs::read(library)?;
    let file = object::File::parse(&*bytes)?;
    let section = file
        .sections()
        .find(|section| section.name().is_ok_and(is_schema_section_name))
        .ok_or_else(|| format!("{} holds no description of SQL objects", library.display()))?;
    let mut entities: Vec<SqlGraphEntity> = vec![ControlFile::try_from(control.to_path_buf())?.into()];
    entities.extend(decode_entities(section.data()?)?);
    let sql = PgrxSql::build(entities.into_iter(), "sage_intacct_fdw".to_owned(), false)?.to_sql()?;
    Ok(layout::blocks(&sql))
}
