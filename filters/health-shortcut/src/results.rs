//! What the workers of a proxy know of the dependencies, in one slot of the shared store.
//!
//! 1. The slot has a fixed greatest size: [`MOST_RECORDS`] records. When it is full, the record of
//!    another configuration that was asked for the longest time ago makes room.
//! 2. A record belongs to what is pinged ([`Watched::key`]), not to a place in a list: another
//!    configuration never shows it under another name. An old configuration whose exchanges are
//!    still drained and its successor can use the slot at once.
//! 3. To ask is to claim: whoever writes that it asks is the one that does, and nobody else before
//!    the next is due. A claim whose worker died ends by itself.
//! 4. A slot with other bytes than these is as good as an empty one.

use std::time::Duration;

use shared::time::Timestamp;

/// As many as two configurations can have dependencies.
pub(crate) const MOST_RECORDS: usize = 128;
/// The first byte of the slot; another for another form.
const FORM: u8 = 1;
/// How much later than its timeout the end of a ping may be told.
const GRACE: Duration = Duration::from_secs(1);

/// What a record is looked up by, and how long it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Watched {
    /// Stands for all that makes the ping what it is.
    pub(crate) key: u64,
    /// How often it is asked for.
    pub(crate) interval: Duration,
    /// How long an answer may take.
    pub(crate) timeout: Duration,
}

/// The slot, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Results {
    started: Timestamp,
    records: Vec<Record>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Record {
    key: u64,
    asked: Timestamp,
    answered: Option<Timestamp>,
    /// Of the last answer.
    ok: bool,
}

/// What an answer changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nothing that anybody would want to know.
    Same,
    /// It is OK, and was not.
    Recovered,
    /// It is not OK, and was, or nobody knew.
    Failed,
}

impl Results {
    /// Those of a plugin that was configured at `started` and knows nothing yet.
    pub(crate) const fn new(started: Timestamp) -> Self {
        Self { started, records: Vec::new() }
    }

    /// Since when this process has had the plugin.
    pub(crate) const fn started(&self) -> Timestamp {
        self.started
    }

    /// Whether the last answer was good and still counts: three intervals and a timeout. A clock
    /// that has jumped, in either direction, makes answers worthless.
    pub(crate) fn is_ok(&self, watched: &Watched, now: Timestamp) -> bool {
        let good_for = watched.interval.saturating_mul(3).saturating_add(watched.timeout);
        self.find(watched.key).is_some_and(|record| {
            let near = |moment| now.since(moment).max(moment.since(now)) <= good_for;
            record.ok && record.answered.is_some_and(near)
        })
    }

    /// Whether it is time to ask.
    pub(crate) fn is_due(&self, watched: &Watched, now: Timestamp) -> bool {
        let Some(record) = self.find(watched.key) else { return true };
        let under_way = record.answered.is_none_or(|answered| answered < record.asked);
        let wait = match under_way {
            true => watched.interval.max(watched.timeout.saturating_add(GRACE)),
            false => watched.interval,
        };
        // A moment to come is one of a clock that has jumped back since.
        record.asked > now || now.since(record.asked) >= wait
    }

    /// Notes that somebody asks now. `ours` are the keys that must not make room.
    pub(crate) fn ask(&mut self, watched: &Watched, now: Timestamp, ours: impl Fn(u64) -> bool) {
        if let Some(record) = self.records.iter_mut().find(|record| record.key == watched.key) {
            record.asked = now;
            return;
        }
        if self.records.len() >= MOST_RECORDS {
            let others = self.records.iter().enumerate().filter(|(_, record)| !ours(record.key));
            let oldest = others.min_by_key(|(_, record)| record.asked).map(|(index, _)| index);
            oldest.map(|index| self.records.swap_remove(index));
        }
        self.records.push(Record { key: watched.key, asked: now, answered: None, ok: false });
    }

    /// Notes the answer to what was asked at `asked`; `None` where somebody else has asked since.
    pub(crate) fn answer(
        &mut self,
        key: u64,
        asked: Timestamp,
        now: Timestamp,
        ok: bool,
    ) -> Option<Turn> {
        let record =
            self.records.iter_mut().find(|record| (record.key, record.asked) == (key, asked))?;
        let turn = match (record.answered.map(|_| record.ok), ok) {
            (Some(false), true) => Turn::Recovered,
            (None | Some(true), false) => Turn::Failed,
            _ => Turn::Same,
        };
        // A clock that jumped back meanwhile must not leave the ping under way.
        record.answered = Some(now.max(asked));
        record.ok = ok;
        Some(turn)
    }

    /// Reads the slot.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&[FORM])?;
        let (started, rest) = number(rest)?;
        let records: Option<Vec<_>> = rest.chunks(RECORD).map(Record::parse).collect();
        let records = records.filter(|records| records.len() <= MOST_RECORDS)?;
        Some(Self { started: Timestamp::from_nanos(started), records })
    }

    /// The bytes of the slot.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![FORM];
        bytes.extend(self.started.nanos().to_le_bytes());
        for record in &self.records {
            record.write(&mut bytes);
        }
        bytes
    }

    fn find(&self, key: u64) -> Option<&Record> {
        self.records.iter().find(|record| record.key == key)
    }
}

/// How many bytes a record takes: three numbers and whether it is OK.
const RECORD: usize = 25;

impl Record {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (key, rest) = number(bytes)?;
        let (asked, rest) = number(rest)?;
        let (answered, rest) = number(rest)?;
        let ok = match rest {
            [0] => false,
            [1] => true,
            _ => return None,
        };
        let answered = (answered > 0).then_some(Timestamp::from_nanos(answered));
        Some(Self { key, asked: Timestamp::from_nanos(asked), answered, ok })
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        let answered = self.answered.map_or(0, Timestamp::nanos);
        for number in [self.key, self.asked.nanos(), answered] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.push(self.ok.into());
    }
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u64::from_le_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WATCHED: Watched =
        Watched { key: 7, interval: Duration::from_secs(5), timeout: Duration::from_secs(1) };

    fn at(millis: u64) -> Timestamp {
        Timestamp::default().after(Duration::from_millis(millis))
    }

    fn asked_at(millis: u64) -> Results {
        let mut results = Results::new(at(0));
        results.ask(&WATCHED, at(millis), |_| true);
        results
    }

    fn answered_at(millis: u64) -> Results {
        let mut results = asked_at(millis);
        results.answer(7, at(millis), at(millis), true).unwrap();
        results
    }

    #[test]
    fn reads_what_it_writes() {
        for results in [Results::new(at(5)), asked_at(10_000), answered_at(10_000)] {
            assert_eq!(Results::parse(&results.bytes()), Some(results));
        }
    }

    #[test]
    fn other_bytes_are_none() {
        let whole = answered_at(10_000).bytes();
        let truncated = (0..whole.len()).filter(|end| *end != 9).map(|end| whole[..end].to_vec());
        let longer = [&whole[..], &[0]].concat();
        let other_form = [&[2], &whole[1..]].concat();
        let doubtful = [&whole[..whole.len() - 1], &[2]].concat();
        let endless = [vec![FORM], vec![0; 8 + RECORD * (MOST_RECORDS + 1)]].concat();
        for bytes in truncated.chain([longer, other_form, doubtful, endless]) {
            assert_eq!(Results::parse(&bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn what_was_never_asked_is_due_and_not_ok() {
        let results = Results::new(at(0));
        assert!(results.is_due(&WATCHED, at(1)) && !results.is_ok(&WATCHED, at(1)));
    }

    #[test]
    fn it_is_due_again_an_interval_after_it_was_asked() {
        assert!(!answered_at(10_000).is_due(&WATCHED, at(14_999)));
        assert!(answered_at(10_000).is_due(&WATCHED, at(15_000)));
    }

    #[test]
    fn one_ping_is_under_way_at_a_time() {
        let slow = Watched { timeout: Duration::from_secs(5), ..WATCHED };
        assert!(!asked_at(10_000).is_due(&slow, at(15_999)));
        assert!(asked_at(10_000).is_due(&slow, at(16_000)));
    }

    #[test]
    fn a_claim_of_the_future_is_void() {
        assert!(asked_at(10_000).is_due(&WATCHED, at(9_999)));
    }

    #[test]
    fn an_answer_is_good_for_three_intervals_and_a_timeout() {
        for (now, ok) in [(10_000, true), (26_000, true), (26_001, false), (1, true), (0, true)] {
            assert_eq!(answered_at(10_000).is_ok(&WATCHED, at(now)), ok, "{now}");
        }
        assert!(!answered_at(100_000).is_ok(&WATCHED, at(83_999)), "of the future");
    }

    #[test]
    fn an_answer_to_a_claim_that_another_took_over_is_not_noted() {
        let mut results = asked_at(10_000);
        results.ask(&WATCHED, at(16_000), |_| true);
        assert_eq!(results.answer(7, at(10_000), at(16_500), true), None);
        assert!(!results.is_ok(&WATCHED, at(16_500)));
    }

    #[test]
    fn a_clock_that_jumps_back_leaves_no_ping_under_way() {
        let mut results = asked_at(10_000);
        results.answer(7, at(10_000), at(9_000), true).unwrap();
        let slow = Watched { timeout: Duration::from_secs(5), ..WATCHED };
        assert!(results.is_due(&slow, at(15_000)));
    }

    #[test]
    fn turns_are_told_once() {
        let mut results = asked_at(10_000);
        let mut turn = |ok| results.answer(7, at(10_000), at(10_000), ok).unwrap();
        assert_eq!(turn(false), Turn::Failed);
        assert_eq!(turn(false), Turn::Same);
        assert_eq!(turn(true), Turn::Recovered);
        assert_eq!(turn(true), Turn::Same);
        assert_eq!(turn(false), Turn::Failed);
    }

    #[test]
    fn a_full_slot_drops_the_oldest_of_others() {
        let mut results = Results::new(at(0));
        for key in 0..200 {
            let watched = Watched { key, ..WATCHED };
            results.ask(&watched, at(1000 + key), |key| key < 10);
        }
        let keys: Vec<_> = results.records.iter().map(|record| record.key).collect();
        assert_eq!(keys.len(), MOST_RECORDS);
        assert!((0..10).chain(82..200).all(|key| keys.contains(&key)), "{keys:?}");
        assert!(Results::parse(&results.bytes()).is_some());
    }
}
