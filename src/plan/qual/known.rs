//! Conditions of one relation that were translated before in this planning: its paths, the steps above it and its plan all
//! ask for them.

use super::{Params, RemoteCondition, Translator};
use pgrx::{PgMemoryContexts, pg_sys};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// What an expression was translated to.
pub struct Translated {
    /// The condition; its parameters are numbered by themselves.
    pub pushed: Option<RemoteCondition>,
    /// Their expressions.
    pub params: Params,
}

/// By the expression, and by whether case may be disregarded.
#[derive(Default)]
pub struct TranslationCache(RefCell<HashMap<(*mut pg_sys::Node, bool), Rc<Translated>>>);

impl Translator<'_> {
    /// As [`translate`](Translator::translate), with numbers of its own for the parameters.
    ///
    /// # Safety
    /// As [`translate`](Translator::translate); the expression must live as long as the planning.
    pub unsafe fn translated(&self, expression: *mut pg_sys::Node) -> Rc<Translated> {
        let key = (expression, self.may_disregard_case);
        if let Some(known) = self.known.0.borrow().get(&key) {
            return known.clone();
        }
        let mut translator = Translator {
            params: Params::default(),
            ..*self
        };
        // SAFETY: same contract as this function. What is made for parameters must live as long as the planning, while joins may be
        // tried out in memory that does not.
        let pushed = unsafe {
            PgMemoryContexts::For((*self.root).planner_cxt).switch_to(|_| translator.truth(expression, false))
        };
        let translated = Rc::new(Translated {
            pushed,
            params: translator.params,
        });
        self.known.0.borrow_mut().insert(key, translated.clone());
        translated
    }
}

impl Translated {
    /// The condition, its parameters numbered among `params`.
    ///
    /// # Safety
    /// Within the planning of the expression.
    pub unsafe fn among(&self, params: &mut Params) -> Option<RemoteCondition> {
        let mut pushed = self.pushed.clone()?;
        if !self.params.is_empty() {
            // SAFETY: same contract as this function.
            let numbers = unsafe { params.adopt(&self.params) };
            pushed
                .condition
                .renumber(&mut |number| numbers[number as usize - 1]);
        }
        Some(pushed)
    }
}
