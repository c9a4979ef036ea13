//! Writes generated rows into a company's database.

use rusqlite::{Connection, Result, params_from_iter};

use super::Generator;
use super::value::Value;
use crate::catalog::{Catalog, Object};
use crate::store::{create_table, create_view, quote};

/// Creates all tables, fills them, then indexes the columns that relations and watermarks look up.
///
/// # Errors
/// What SQLite refuses.
pub fn load(connection: &mut Connection, catalog: &Catalog, generator: &Generator) -> Result<()> {
    let transaction = connection.transaction()?;
    for (position, object) in catalog.objects.iter().enumerate() {
        transaction.execute_batch(&create_table(object))?;
        transaction.execute_batch(&create_view(object))?;
        fill(&transaction, object, position, generator)?;
    }
    for sql in indexes(catalog) {
        transaction.execute_batch(&sql)?;
    }
    transaction.commit()
}

fn fill(connection: &Connection, object: &Object, position: usize, generator: &Generator) -> Result<()> {
    let without_key = object.field(&object.row_id).is_none();
    let width = object.fields.len() + usize::from(without_key);
    let marks = vec!["?"; width].join(", ");
    let mut insert = connection.prepare(&format!(
        "INSERT INTO {} VALUES ({marks})",
        quote(&object.table())
    ))?;
    for row in 0..generator.rows(position) {
        let key = without_key.then(|| Value::Int(generator.record_no(position, row)));
        let cells = (0..object.fields.len()).map(|field| generator.value(position, field, row));
        insert.execute(params_from_iter(key.into_iter().chain(cells)))?;
    }
    Ok(())
}

fn indexes(catalog: &Catalog) -> Vec<String> {
    let mut wanted: Vec<(String, String)> = Vec::new();
    for object in &catalog.objects {
        // Lines look up their header, people look up by customer or vendor, and GLDETAIL is read by period; the rest is
        // scanned.
        let own = object
            .relations
            .iter()
            .filter(|r| ["CUSTOMER", "VENDOR", "ITEM", "PROJECT"].contains(&r.object.as_str()))
            .map(|r| (object.name.clone(), r.local.clone()));
        let line = object.owner.iter().map(|o| (object.name.clone(), o.link.clone()));
        let remote = object
            .relations
            .iter()
            .map(|r| (r.object.clone(), r.remote.clone()));
        let key = object
            .natural_key
            .iter()
            .map(|k| (object.name.clone(), k.clone()));
        let stamp = object
            .field("WHENMODIFIED")
            .map(|f| (object.name.clone(), f.name.clone()));
        let period = object
            .field("ENTRY_DATE")
            .map(|f| (object.name.clone(), f.name.clone()));
        wanted.extend(
            own.chain(line)
                .chain(remote)
                .chain(key)
                .chain(stamp)
                .chain(period),
        );
    }
    wanted.sort();
    wanted.dedup();
    wanted
        .into_iter()
        .filter(|(object, field)| catalog.object(object).is_some_and(|o| o.row_id != *field))
        .map(|(object, field)| {
            format!(
                "CREATE INDEX {} ON {} ({})",
                quote(&format!("i_{object}_{field}")),
                quote(&format!("t_{object}")),
                match field.as_str() {
                    // Rows of a period are counted by their numbers.
                    "ENTRY_DATE" => format!("{}, \"RECORDNO\"", quote(&field)),
                    _ => quote(&field),
                }
            )
        })
        .collect()
}
