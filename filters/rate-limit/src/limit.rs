//! A limit, as it was configured, and what it asks of a request.

use std::hash::Hasher;

use shared::config::{Invalid, Mode};
use shared::headers::Sole;
use shared::matching::Matcher;
use shared::matching::path::BadPath;
use shared::view::Request;
use siphasher::sip::SipHasher24;

use crate::config::{Cost, Counted, Event, HeaderCost, KeyPart, LimitEntry, Missing};
use crate::key;
use crate::quota::{Quota, Rate};

/// A limit.
#[derive(Debug)]
pub(crate) struct Limit {
    /// Its name.
    pub(crate) name: &'static str,
    matches: Option<Matcher>,
    key: Vec<KeyPart>,
    missing: Missing,
    usual: Tier,
    /// By group, the most generous first.
    tiers: Vec<(String, Tier)>,
    cost: Cost,
    /// What becomes of its decision.
    pub(crate) mode: Mode,
    /// What it counts.
    pub(crate) on: Event,
    /// Who counts it.
    pub(crate) counted: Counted,
}

/// A quota of a limit.
#[derive(Clone, Debug)]
pub(crate) struct Tier {
    /// What tells its counts from those of any other quota.
    pub(crate) id: u64,
    /// How it is counted.
    pub(crate) rate: Rate,
    /// How it is written.
    pub(crate) quota: Quota,
    /// The limit's item in `RateLimit-Policy`.
    pub(crate) policy: String,
}

impl Limit {
    /// A limit, as it is written, or what is wrong with it.
    pub(crate) fn new(entry: LimitEntry) -> Result<Self, Invalid> {
        let LimitEntry {
            name,
            matches,
            key,
            missing,
            quota,
            algorithm,
            tiers,
            cost,
            mode,
            on,
            counted,
        } = entry;
        // A key of another make is another limit, though it may come to the same bytes.
        let counts = format!("{algorithm:?} {on:?} {:?}", key.as_ref().map(|key| key.to_vec()));
        let tier = |quota: Quota, path: String| {
            let mut rate = Rate::new(algorithm, quota).map_err(|error| error.within(&path))?;
            rate.owes = on == Event::Unauthenticated;
            if cost.greatest() > rate.capacity {
                let most = rate.capacity;
                let why = format!(
                    "may be {}, of which {path} never lets {most} through at once",
                    cost.greatest()
                );
                return Err(Invalid::at("cost", why));
            }
            Ok(Tier::new(&name.0, &counts, quota, rate))
        };
        if on == Event::Unauthenticated && cost != Cost::default() {
            return Err(Invalid::at("cost", "a failed authentication counts once"));
        }
        for (index, part) in key.iter().flat_map(|key| key.iter()).enumerate() {
            if let KeyPart::Header(name) = part
                && name.shared().starts_with("x-auth-")
            {
                let why = "anybody can send it; the key `consumer` or `subject` says who it is";
                return Err(Invalid::at(format!("key[{index}].header"), why));
            }
        }
        let usual = tier(quota, "quota".into())?;
        let mut by_group = Vec::new();
        for (group, quota) in tiers {
            by_group.push((group.clone(), tier(quota, format!("tiers.{group}"))?));
        }
        by_group.sort_by_key(|(_, tier)| std::cmp::Reverse(tier.quota.generosity()));
        let key = key.map(|key| key.into_iter().collect()).unwrap_or_default();
        Ok(Self {
            name: crate::names::keep(&name.0),
            matches,
            key,
            missing,
            usual,
            tiers: by_group,
            cost,
            mode,
            on,
            counted,
        })
    }

    /// Whether it is for this request.
    pub(crate) fn concerns(&self, request: &Request<'_>) -> Result<bool, BadPath> {
        if self.mode == Mode::Off {
            return Ok(false);
        }
        self.matches.as_ref().map_or(Ok(true), |matcher| matcher.matches(request))
    }

    /// What the request is counted under; `None` if it is exempt for want of it.
    pub(crate) fn key(&self, request: &Request<'_>) -> Result<Option<Vec<u8>>, BadPath> {
        let mut bytes = Vec::new();
        for part in &self.key {
            let found = key::part(part, request)?;
            if found.is_none() && self.missing == Missing::Exempt {
                return Ok(None);
            }
            key::append(&mut bytes, found.as_deref());
        }
        Ok(Some(bytes))
    }

    /// The parts of the key, and what the request has of each.
    pub(crate) fn parts(
        &self,
        request: &Request<'_>,
    ) -> impl Iterator<Item = (KeyPart, Option<Vec<u8>>)> {
        // A path that can be read in more than one way was refused before.
        self.key.iter().map(|part| (part.clone(), key::part(part, request).unwrap_or_default()))
    }

    /// The quota of this id; the usual one where there is none.
    pub(crate) fn tier_of(&self, id: u64) -> &Tier {
        let tier = self.tiers.iter().find(|(_, tier)| tier.id == id);
        tier.map_or(&self.usual, |(_, tier)| tier)
    }

    /// The quota of whoever sends the request.
    pub(crate) fn tier(&self, request: &Request<'_>) -> &Tier {
        if self.tiers.is_empty() {
            return &self.usual;
        }
        let groups = request.property(&["gatehouse.groups"]).unwrap_or_default();
        let is_of =
            |group: &str| groups.split(|byte| *byte == b',').any(|of| of == group.as_bytes());
        let tier = self.tiers.iter().find(|(group, _)| is_of(group));
        tier.map_or(&self.usual, |(_, tier)| tier)
    }

    /// What the request costs.
    pub(crate) fn cost(&self, request: &Request<'_>) -> u32 {
        let HeaderCost { header, greatest, default } = match &self.cost {
            Cost::Fixed(cost) => return cost.get(),
            Cost::Header(cost) => cost,
        };
        match request.sole(&header.shared()) {
            Sole::Absent => default.get(),
            Sole::Once(value) => whole(value).unwrap_or(u32::MAX).min(greatest.get()),
            Sole::Repeated => greatest.get(),
        }
    }
}

impl Tier {
    fn new(name: &str, counts: &str, quota: Quota, rate: Rate) -> Self {
        let Quota { requests, per, burst } = quota;
        let mut hasher = SipHasher24::new();
        let of = format!("{name} {requests} {:?} {burst:?} {counts}", per.duration());
        hasher.write(of.as_bytes());
        let policy = crate::fields::policy(name, &quota);
        Self { id: hasher.finish(), rate, quota, policy }
    }
}

/// A whole number from 1.
fn whole(value: &[u8]) -> Option<u32> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = std::str::from_utf8(value).ok()?.parse().ok()?;
    (number > 0).then_some(number)
}
