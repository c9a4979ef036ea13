//! Whether two texts are the same value in the forms in which the gateway writes it.

use super::cells::CellReader;
use crate::query::Value;

/// Whether what is read is what was sent, as far as the gateway writes it in another form.
pub(crate) fn is_same(sent: &str, got: Option<&str>, reader: Option<&CellReader>) -> bool {
    let sent = sent.trim();
    let Some(got) = got.map(str::trim) else {
        return sent.is_empty() || sent == "false";
    };
    if sent == got || is_same_number(sent, got) {
        return true;
    }
    let Some(reader) = reader else { return false };
    let truth = |text: &str| reader.boolean(text.as_bytes()).ok();
    let date = |text: &str| reader.date(text.as_bytes()).ok();
    let instant = |text: &str| reader.timestamp(text.as_bytes()).ok();
    let equal = |a: Option<i64>, b: Option<i64>| a.is_some() && a == b;
    (matches!(sent, "true" | "false") && truth(sent) == truth(got))
        || (date(sent).is_some() && date(sent) == date(got))
        || equal(instant(sent), instant(got))
}

/// Whether the numbers are equal once the one sent is rounded to the digits of the other, two at least: the gateway
/// keeps cents, and leaves out zeros at the end.
fn is_same_number(sent: &str, got: &str) -> bool {
    let (Some(Value::Number(sent)), Some(Value::Number(got))) = (Value::number(sent), Value::number(got))
    else {
        return false;
    };
    if sent == got {
        return true;
    }
    let digits = |text: &str| text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let kept = digits(&got).max(2);
    digits(&sent) > kept && rounded(&sent, kept) == scaled(&got, kept)
}

/// The number without its point, at so many digits behind it.
fn scaled(number: &str, digits: usize) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    format!("{whole}{fraction:0<digits$}").parse().ok()
}

/// The same of a number with more digits, rounded half away from zero.
fn rounded(number: &str, digits: usize) -> Option<i128> {
    let (whole, fraction) = number.split_once('.')?;
    let cut = format!("{whole}{}", fraction.get(..digits)?);
    let value: i128 = cut.parse().ok()?;
    let up = fraction
        .as_bytes()
        .get(digits)
        .is_some_and(|digit| *digit >= b'5');
    let step = if number.starts_with('-') { -1 } else { 1 };
    Some(if up { value + step } else { value })
}
