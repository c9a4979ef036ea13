//! What a company's rows show of an unconfirmed fact, in words that hold none of its data. Runs on the I/O thread: nothing
//! here may call PostgreSQL.

use super::facts::Observation;
use super::observe::{NAMES, Sample, TextOrder, fields, is_refusal, judge_text, page, sample};
use intacct::{
    AggregateFunction, Client, CompareOp, Condition, DataType, DialectKind, Error, OrderKey, Page,
    PageRequest, Query, SelectItem, Value,
};
use std::collections::HashSet;

/// Objects whose rows may belong to an entity.
const OWNED: [&str; 7] = [
    "CUSTOMER",
    "VENDOR",
    "ITEM",
    "EMPLOYEE",
    "ARINVOICE",
    "APBILL",
    "GLBATCH",
];
/// Fields of a type that are tried, at most.
const TRIED: usize = 10;

/// What was seen; none: the rows do not show it.
type Shown = Result<Option<String>, Error>;

/// A field of text with some of its values.
#[derive(Clone)]
struct Texts {
    object: &'static str,
    field: &'static str,
    /// In the gateway's order.
    values: Vec<String>,
}

/// Looks at facts one after another; what several need is read once.
pub struct Look<'a> {
    client: &'a Client,
    sample: Option<Option<Sample>>,
    texts: Option<Vec<Texts>>,
}

fn words(text: &str) -> Shown {
    Ok(Some(text.to_owned()))
}

fn compare(field: &str, op: CompareOp, value: Value) -> Condition {
    Condition::Compare {
        field: field.to_owned(),
        op,
        value,
    }
}

fn null(field: &str, negated: bool) -> Condition {
    Condition::IsNull {
        field: field.to_owned(),
        negated,
    }
}

fn ascending(field: &str) -> Vec<OrderKey> {
    vec![OrderKey {
        field: field.to_owned(),
        descending: false,
    }]
}

/// The form of a value without its content: digits as 9, letters as a.
fn form(cell: &[u8]) -> String {
    let letter = |c: char| match c {
        c if c.is_ascii_digit() => '9',
        c if c.is_alphabetic() => 'a',
        other => other,
    };
    String::from_utf8_lossy(cell).chars().map(letter).collect()
}

fn text(cell: &[u8]) -> String {
    String::from_utf8_lossy(cell).into_owned()
}

impl<'a> Look<'a> {
    pub fn new(client: &'a Client) -> Look<'a> {
        Look {
            client,
            sample: None,
            texts: None,
        }
    }

    pub async fn at(&mut self, observation: Observation) -> Shown {
        match observation {
            Observation::TextOrder => self.text_order().await,
            Observation::NullOrder => self.null_order().await,
            Observation::DottedOrder => self.dotted_order().await,
            Observation::Negatives => self.negatives().await,
            Observation::CaseOfText => self.case_of_text().await,
            Observation::BlanksOfConstants => self.blanks(false).await,
            Observation::BlanksOfPatterns => self.blanks(true).await,
            Observation::Underscore => self.underscore().await,
            Observation::NullGroups => self.null_groups().await,
            Observation::CaseOfGroups => self.case_of_groups().await,
            Observation::CountOfField => self.count_of_field().await,
            Observation::TotalOfGroups => self.total_of_groups().await,
            Observation::EmptyAggregate => self.empty_aggregate().await,
            Observation::DottedPaths => self.dotted_paths().await,
            Observation::EntityRows => self.entity_rows().await,
            Observation::EmptyElements => self.empty_elements().await,
            Observation::UnsetBooleans => self.unset_booleans().await,
            Observation::Dates => self.forms(&[DataType::Date, DataType::Timestamp]).await,
            Observation::Decimals => self.forms(&[DataType::Currency, DataType::Decimal]).await,
            Observation::Counts => self.counts().await,
            Observation::Offsets => self.offsets().await,
            Observation::OrderOfBounds => self.order_of_bounds().await,
            Observation::Zone => self.zone().await,
        }
    }

    async fn sample(&mut self) -> Result<Option<&Sample>, Error> {
        if self.sample.is_none() {
            self.sample = Some(sample(self.client).await?);
        }
        Ok(self.sample.as_ref().and_then(Option::as_ref))
    }

    /// Object, field and number of different values of a field that is set in some rows only.
    async fn partly_set(&mut self) -> Result<Option<(String, String)>, Error> {
        let sample = self.sample().await?;
        Ok(sample.and_then(|sample| {
            let (field, _) = sample.partly_set.iter().min_by_key(|(_, distinct)| *distinct)?;
            Some((sample.definition.name.clone(), field.clone()))
        }))
    }

    async fn texts(&mut self) -> Result<&[Texts], Error> {
        if self.texts.is_none() {
            let mut found = Vec::new();
            for (object, field) in NAMES {
                let mut query = fields(object, &[field]);
                query.filter = Some(null(field, true));
                query.order_by = ascending(field);
                match page(self.client, &query, 500).await {
                    Ok(read) => found.push(Texts {
                        object,
                        field,
                        values: (0..read.rows())
                            .filter_map(|row| read.cell(row, 0))
                            .map(text)
                            .collect(),
                    }),
                    Err(error) if is_refusal(&error) => {}
                    Err(error) => return Err(error),
                }
            }
            self.texts = Some(found);
        }
        Ok(self.texts.as_deref().unwrap_or_default())
    }

    /// A text with a letter in it and nothing at its edges, and where it stands.
    async fn one_text(&mut self) -> Result<Option<(Texts, String)>, Error> {
        let plain = |value: &&String| {
            value.trim() == value.as_str()
                && value.chars().any(|c| c.is_ascii_alphabetic())
                && !value.contains(['%', '_', '\\'])
                && !value.contains(char::is_control)
        };
        Ok(self.texts().await?.iter().find_map(|texts| {
            let value = texts.values.iter().find(plain)?;
            Some((texts.clone(), value.clone()))
        }))
    }

    async fn count(
        &self,
        object: &str,
        filter: Option<Condition>,
        private: bool,
    ) -> Result<Option<u64>, Error> {
        let mut query = fields(object, &["RECORDNO"]);
        query.filter = filter;
        query.show_private = private;
        Ok(page(self.client, &query, 1).await?.total_count)
    }

    async fn finds(&self, texts: &Texts, condition: Condition) -> Result<bool, Error> {
        Ok(self.count(texts.object, Some(condition), false).await? > Some(0))
    }

    async fn text_order(&mut self) -> Shown {
        for texts in self.texts().await? {
            match judge_text(&texts.values) {
                TextOrder::Open => {}
                TextOrder::Binary => return words("C order"),
                TextOrder::Other(..) => return words("not C order"),
            }
        }
        Ok(None)
    }

    async fn null_order(&mut self) -> Shown {
        let Some((object, field)) = self.partly_set().await? else {
            return Ok(None);
        };
        let mut places = Vec::new();
        for descending in [false, true] {
            let mut query = fields(&object, &[&field]);
            query.order_by = ascending(&field);
            query.order_by[0].descending = descending;
            let read = page(self.client, &query, 1).await?;
            places.push(match read.cell(0, 0) {
                None => "first",
                Some(_) => "last",
            });
        }
        Ok(Some(format!("{} ascending, {} descending", places[0], places[1])))
    }

    async fn dotted_order(&mut self) -> Shown {
        let Some(sample) = self.sample().await? else {
            return Ok(None);
        };
        let relation = sample
            .definition
            .relationships
            .iter()
            .find(|relation| relation.kind == "MANY2ONE");
        let Some(relation) = relation else { return Ok(None) };
        let path = format!("{}.RECORDNO", relation.path);
        let mut query = fields(&sample.definition.name, &["RECORDNO", &path]);
        page(self.client, &query, 1).await?;
        query.order_by = ascending(&path);
        match page(self.client, &query, 1).await {
            Ok(_) => words("accepted"),
            Err(error) if is_refusal(&error) => words("refused"),
            Err(error) => Err(error),
        }
    }

    async fn negatives(&mut self) -> Shown {
        let Some((object, field)) = self.partly_set().await? else {
            return Ok(None);
        };
        let mut query = fields(&object, &[&field]);
        query.filter = Some(null(&field, true));
        let read = page(self.client, &query, 1).await?;
        let Some(value) = read.cell(0, 0).map(text) else {
            return Ok(None);
        };
        let value = |op| compare(&field, op, Value::Text(value.clone()));
        let all = self.count(&object, None, false).await?;
        let set = self.count(&object, Some(null(&field, true)), false).await?;
        let equal = self.count(&object, Some(value(CompareOp::Eq)), false).await?;
        let differ = self.count(&object, Some(value(CompareOp::Ne)), false).await?;
        let (Some(all), Some(set), Some(equal), Some(differ)) = (all, set, equal, differ) else {
            return Ok(None);
        };
        words(if equal + differ == set {
            "rows without a value are left out"
        } else if equal + differ == all {
            "rows without a value are kept"
        } else {
            "neither all nor none of the rows without a value"
        })
    }

    async fn case_of_text(&mut self) -> Shown {
        let Some((texts, value)) = self.one_text().await? else {
            return Ok(None);
        };
        let swapped: String = value
            .chars()
            .map(|c| match c.is_ascii_uppercase() {
                true => c.to_ascii_lowercase(),
                false => c.to_ascii_uppercase(),
            })
            .collect();
        if texts.values.contains(&swapped) {
            return Ok(None);
        }
        let condition = compare(texts.field, CompareOp::Eq, Value::Text(swapped));
        words(match self.finds(&texts, condition).await? {
            true => "equalto disregards case",
            false => "equalto respects case",
        })
    }

    async fn blanks(&mut self, of_patterns: bool) -> Shown {
        let Some((texts, value)) = self.one_text().await? else {
            return Ok(None);
        };
        let longer = Value::Text(format!("{value} "));
        let condition = match of_patterns {
            true => Condition::Like {
                field: texts.field.to_owned(),
                pattern: longer,
                negated: false,
            },
            false => compare(texts.field, CompareOp::Eq, longer),
        };
        words(match self.finds(&texts, condition).await? {
            true => "a blank at the end of a constant is disregarded",
            false => "a blank at the end of a constant counts",
        })
    }

    async fn underscore(&mut self) -> Shown {
        let Some((texts, value)) = self.one_text().await? else {
            return Ok(None);
        };
        let pattern: String = value.chars().skip(1).collect();
        let condition = Condition::Like {
            field: texts.field.to_owned(),
            pattern: Value::Text(format!("_{pattern}")),
            negated: false,
        };
        words(match self.finds(&texts, condition).await? {
            true => "_ stands for a character",
            false => "_ stands for itself",
        })
    }

    /// The groups of a field, as far as a page goes; whether these are all.
    async fn groups(&self, object: &str, field: &str) -> Result<(Page, bool), Error> {
        let mut query = fields(object, &[field]);
        query.select.push(SelectItem::Aggregate {
            function: AggregateFunction::Count,
            field: "RECORDNO".to_owned(),
        });
        let read = page(self.client, &query, 2000).await?;
        let all = read.rows() < 2000;
        Ok((read, all))
    }

    async fn null_groups(&mut self) -> Shown {
        let Some((object, field)) = self.partly_set().await? else {
            return Ok(None);
        };
        let (read, all) = self.groups(&object, &field).await?;
        match ((0..read.rows()).any(|row| read.cell(row, 0).is_none()), all) {
            (true, _) => words("kept"),
            (false, true) => words("left out"),
            (false, false) => Ok(None),
        }
    }

    async fn case_of_groups(&mut self) -> Shown {
        let twins = |values: &[String]| {
            let all: HashSet<&String> = values.iter().collect();
            let folded: HashSet<String> = all.iter().map(|value| value.to_lowercase()).collect();
            folded.len() < all.len()
        };
        let found: Vec<Texts> = self.texts().await?.to_vec();
        for texts in found.iter().filter(|texts| twins(&texts.values)) {
            let (read, all) = self.groups(texts.object, texts.field).await?;
            let groups: Vec<String> = (0..read.rows())
                .filter_map(|row| read.cell(row, 0))
                .map(text)
                .collect();
            if twins(&groups) {
                return words("groups that differ by case are kept apart");
            }
            if all {
                return words("groups that differ by case are one");
            }
        }
        Ok(None)
    }

    async fn count_of_field(&mut self) -> Shown {
        let Some((object, field)) = self.partly_set().await? else {
            return Ok(None);
        };
        let mut query = Query::new(object.clone());
        query.select = vec![SelectItem::Aggregate {
            function: AggregateFunction::Count,
            field: field.clone(),
        }];
        let read = page(self.client, &query, 1).await?;
        let counted: Option<u64> = read.cell(0, 0).and_then(|cell| text(cell).trim().parse().ok());
        let all = self.count(&object, None, false).await?;
        let set = self.count(&object, Some(null(&field, true)), false).await?;
        match counted {
            None => Ok(None),
            counted if counted == set => words("values"),
            counted if counted == all => words("rows"),
            _ => words("neither values nor rows"),
        }
    }

    async fn total_of_groups(&mut self) -> Shown {
        let Some((object, field)) = self.partly_set().await? else {
            return Ok(None);
        };
        let (read, all) = self.groups(&object, &field).await?;
        let rows = self.count(&object, None, false).await?;
        match read.total_count {
            Some(total) if all && total == read.rows() as u64 => words("counts the groups"),
            Some(total) if Some(total) == rows => words("counts the rows"),
            Some(_) if all => words("counts neither groups nor rows"),
            Some(_) => Ok(None),
            None => words("is not returned"),
        }
    }

    async fn empty_aggregate(&mut self) -> Shown {
        let Some((object, _)) = self.partly_set().await? else {
            return Ok(None);
        };
        let mut query = Query::new(object);
        query.missing_as_null = true;
        query.select = vec![SelectItem::Aggregate {
            function: AggregateFunction::Count,
            field: "RECORDNO".to_owned(),
        }];
        query.filter = Some(compare("RECORDNO", CompareOp::Lt, Value::Number("0".to_owned())));
        let read = page(self.client, &query, 1).await?;
        words(match (read.rows(), read.cell(0, 0)) {
            (0, _) => "no group",
            (_, Some(_)) => "a group that counts nothing",
            (_, None) => "a group without a count",
        })
    }

    async fn dotted_paths(&mut self) -> Shown {
        let Some(sample) = self.sample().await? else {
            return Ok(None);
        };
        let relation = sample.definition.relationships.iter().find(|relation| {
            relation.kind == "MANY2ONE"
                && sample
                    .partly_set
                    .iter()
                    .any(|(field, _)| *field == relation.related_by)
        });
        let Some(relation) = relation else { return Ok(None) };
        let path = format!("{}.RECORDNO", relation.path);
        let mut query = fields(&sample.definition.name, &["RECORDNO", &path]);
        query.filter = Some(null(&relation.related_by, false));
        let read = page(self.client, &query, 1).await?;
        words(match read.rows() {
            0 => "rows without a parent are left out",
            _ => "rows without a parent are kept",
        })
    }

    async fn entity_rows(&mut self) -> Shown {
        let mut shown = Vec::new();
        for object in OWNED {
            let owned = || Some(null("MEGAENTITYID", true));
            let counted = async {
                let direct = self.count(object, owned(), false).await?;
                Ok((direct, self.count(object, owned(), true).await?))
            };
            let (direct, private) = match counted.await {
                Ok((Some(direct), Some(private))) => (direct, private),
                Ok(_) => continue,
                Err(error) if is_refusal(&error) => continue,
                Err(error) => return Err(error),
            };
            shown.push(match (direct, private) {
                (0, 0) => format!("{object} none"),
                (0, _) => format!("{object} hidden"),
                (direct, private) if direct == private => format!("{object} shown"),
                _ => format!("{object} some shown"),
            });
        }
        Ok((!shown.is_empty()).then(|| shown.join(", ")))
    }

    async fn empty_elements(&mut self) -> Shown {
        let Some((object, field)) = self.partly_set().await? else {
            return Ok(None);
        };
        let mut query = fields(&object, &["RECORDNO", &field]);
        query.filter = Some(null(&field, false));
        let read = page(self.client, &query, 10).await?;
        words(match (read.rows(), read.missing().next()) {
            (0, _) => return Ok(None),
            (_, None) => "sent",
            (_, Some(_)) => "left out: the tables need missing_elements 'null'",
        })
    }

    async fn unset_booleans(&mut self) -> Shown {
        for field in self.fields_of(&[DataType::Boolean]).await? {
            let mut query = fields(&field.0, &[&field.1]);
            query.filter = Some(null(&field.1, false));
            let read = match page(self.client, &query, 1).await {
                Ok(read) if read.rows() > 0 => read,
                Ok(_) => continue,
                Err(error) if is_refusal(&error) => continue,
                Err(error) => return Err(error),
            };
            return words(match read.cell(0, 0) {
                None => "read as empty",
                Some(_) => "read as a value",
            });
        }
        Ok(None)
    }

    /// Fields of these types: object and field.
    async fn fields_of(&mut self, types: &[DataType]) -> Result<Vec<(String, String)>, Error> {
        let Some(sample) = self.sample().await? else {
            return Ok(Vec::new());
        };
        let of_type = sample
            .definition
            .fields
            .iter()
            .filter(|field| types.contains(&field.data_type));
        Ok(of_type
            .map(|field| (sample.definition.name.clone(), field.id.clone()))
            .take(TRIED)
            .collect())
    }

    async fn forms(&mut self, types: &[DataType]) -> Shown {
        let mut seen: Vec<String> = Vec::new();
        for (object, field) in self.fields_of(types).await? {
            let mut query = fields(&object, &[&field]);
            query.filter = Some(null(&field, true));
            let read = match page(self.client, &query, 20).await {
                Ok(read) => read,
                Err(error) if is_refusal(&error) => continue,
                Err(error) => return Err(error),
            };
            let forms = (0..read.rows()).filter_map(|row| read.cell(row, 0)).map(|cell| {
                let form = form(cell);
                // How many digits stand before the point is data.
                match types.contains(&DataType::Date) {
                    true => form,
                    false => form.trim_start_matches(['9', '-']).to_owned(),
                }
            });
            for form in forms {
                let form = if form.is_empty() { "whole".to_owned() } else { form };
                if !seen.contains(&form) {
                    seen.push(form);
                }
            }
        }
        seen.sort_unstable();
        Ok((!seen.is_empty()).then(|| seen.join(", ")))
    }

    async fn counts(&mut self) -> Shown {
        let Some((object, _)) = self.partly_set().await? else {
            return Ok(None);
        };
        let read = page(self.client, &fields(&object, &["RECORDNO"]), 1).await?;
        let returned = |returned: bool| if returned { "returned" } else { "not returned" };
        Ok(Some(format!(
            "totalcount {}, numremaining {}, and they agree",
            returned(read.total_count.is_some()),
            returned(read.remaining.is_some())
        )))
    }

    async fn offsets(&mut self) -> Shown {
        let Some((object, _)) = self.partly_set().await? else {
            return Ok(None);
        };
        let mut query = fields(&object, &["RECORDNO"]);
        query.order_by = ascending("RECORDNO");
        let two = page(self.client, &query, 2).await?;
        let request = PageRequest { size: 1, offset: 1 };
        let second = self
            .client
            .page(&query, DialectKind::Query, &request, false)
            .await?;
        words(match (two.cell(1, 0), second.cell(0, 0)) {
            (Some(a), Some(b)) if a == b => "skip rows of the order",
            (None, _) => return Ok(None),
            _ => "do not skip rows of the order",
        })
    }

    async fn order_of_bounds(&mut self) -> Shown {
        let Some((object, _)) = self.partly_set().await? else {
            return Ok(None);
        };
        let reversed = Condition::Between {
            field: "RECORDNO".to_owned(),
            low: Value::Number(i32::MAX.to_string()),
            high: Value::Number("0".to_owned()),
        };
        match self.count(&object, Some(reversed), false).await {
            Ok(Some(0)) => words("find nothing"),
            Ok(Some(_)) => words("are reordered"),
            Ok(None) => Ok(None),
            Err(error) if is_refusal(&error) => words("are refused"),
            Err(error) => Err(error),
        }
    }

    async fn zone(&mut self) -> Shown {
        let formatting = self.client.formatting().await?;
        let offset = match formatting.gmt_offset_seconds {
            0 => "the offset of Greenwich is returned",
            _ => "another offset is returned",
        };
        words(match self.client.config().time_zone {
            Some(_) => "option time_zone is set",
            None => offset,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::form;

    #[test]
    fn a_form_holds_no_data() {
        assert_eq!(form(b"12/31/2024 08:30:00"), "99/99/9999 99:99:99");
        assert_eq!(form("-1.50 Zoë".as_bytes()), "-9.99 aaa");
    }
}
