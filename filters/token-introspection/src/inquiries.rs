//! The tokens that a worker wants to know of at the moment, each with all the requests that wait.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::rc::Rc;

use shared::cache::Fingerprint;
use shared::hash::Spread;
use shared::time::Timestamp;

use crate::evaluate::Checked;
use crate::refusal::No;

/// What will have been heard of a token: once, and then for all who wait.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hearing(Rc<OnceCell<Result<Rc<Checked>, No>>>);

impl Hearing {
    /// What was heard; nothing as long as that is open.
    pub(crate) fn outcome(&self) -> Option<&Result<Rc<Checked>, No>> {
        self.0.get()
    }

    fn conclude(&self, outcome: Result<Rc<Checked>, No>) {
        // An inquiry is taken off the list when it is concluded, so there is no second time.
        let _ = self.0.set(outcome);
    }
}

/// A token that is being asked about.
pub(crate) struct Inquiry {
    pub(crate) token: Box<str>,
    /// When the first request began to wait.
    pub(crate) since: Timestamp,
    /// Who asks.
    pub(crate) asker: Asker,
    hearing: Hearing,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// This worker, by a call of this number, which the proxy ends by then.
    Here(u32, Timestamp),
    /// The same, whose end has passed by the clock. If nobody has set that, it is over at this time.
    Overdue(u32, Timestamp),
    /// Another worker.
    Elsewhere,
}

/// All of them.
pub(crate) struct Inquiries {
    open: HashMap<Fingerprint, Inquiry, Spread>,
    most: usize,
    calls: u32,
}

/// There are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Inquiries {
    /// None yet, and never more than `most`.
    pub(crate) fn new(most: usize) -> Self {
        Self { open: HashMap::default(), most, calls: 0 }
    }

    /// What will be heard of a token that is being asked about.
    pub(crate) fn join(&self, token: &Fingerprint) -> Option<Hearing> {
        self.open.get(token).map(|inquiry| inquiry.hearing.clone())
    }

    /// Whether there is room for one more.
    pub(crate) fn room(&self) -> Result<(), Full> {
        if self.open.len() < self.most { Ok(()) } else { Err(Full) }
    }

    /// One more.
    pub(crate) fn open(
        &mut self,
        key: Fingerprint,
        token: &str,
        asker: Asker,
        since: Timestamp,
    ) -> Hearing {
        let hearing = Hearing::default();
        let inquiry = Inquiry { token: token.into(), since, asker, hearing: hearing.clone() };
        self.open.insert(key, inquiry);
        hearing
    }

    /// A number that no call under way has.
    pub(crate) fn next_call(&mut self) -> u32 {
        self.calls = self.calls.wrapping_add(1);
        self.calls
    }

    /// The token that a call asks about; none where nobody waits for its answer any more.
    pub(crate) fn of_call(&self, id: u32) -> Option<Fingerprint> {
        let asks = |inquiry: &Inquiry| match inquiry.asker {
            Asker::Here(call, _) | Asker::Overdue(call, _) => call == id,
            Asker::Elsewhere => false,
        };
        self.open.iter().find(|(_, inquiry)| asks(inquiry)).map(|(key, _)| *key)
    }

    /// Tells all who wait for a token.
    pub(crate) fn conclude(&mut self, key: &Fingerprint, outcome: Result<Rc<Checked>, No>) {
        if let Some(inquiry) = self.open.remove(key) {
            inquiry.hearing.conclude(outcome);
        }
    }

    /// Every token, to look at who asks about it.
    pub(crate) fn keys(&self) -> Vec<Fingerprint> {
        self.open.keys().copied().collect()
    }

    /// The inquiry about a token.
    pub(crate) fn get_mut(&mut self, key: &Fingerprint) -> Option<&mut Inquiry> {
        self.open.get_mut(key)
    }
}
