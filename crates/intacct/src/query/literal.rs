//! Constants: canonical spelling and recognition.
use super::Value;

impl Value {
    /// A number in canonical spelling; `None` when `text` is not a decimal number.
    pub fn number(text: &str) -> Option<Value> {
        Some(Value::Number(text.to_owned()))
    }
}
