//! Which limits apply to a descriptor, and under which counter: `limitador` says.

use std::collections::HashMap;
use std::error::Error;

use envoy_types::pb::envoy::extensions::common::ratelimit::v3::RateLimitDescriptor;
use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitRequest;
use limitador::counter::Counter;
use limitador::limit::{Context, Expression, Limit, Predicate};

use crate::counts::Charge;

/// All limits, in all domains.
pub(crate) struct Limits(Vec<Limit>);

impl Limits {
    /// Reads `DOMAIN/NAME=MOST/SECONDS[:PART,PART]`.
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        words.map(|word| limit(&word)).collect::<Result<_, _>>().map(Self)
    }

    /// What to charge for each descriptor.
    pub(crate) fn charges(&self, request: &RateLimitRequest) -> Vec<Vec<Charge>> {
        let of = |descriptor| self.of(&request.domain, descriptor, request.hits_addend);
        request.descriptors.iter().map(of).collect()
    }

    fn of(&self, domain: &str, descriptor: &RateLimitDescriptor, addend: u32) -> Vec<Charge> {
        let entries = descriptor.entries.iter();
        let entries: HashMap<_, _> =
            entries.map(|entry| (entry.key.clone(), entry.value.clone())).collect();
        let mut context = Context::default();
        context.list_binding("descriptors".to_owned(), vec![entries]);
        let own = descriptor.hits_addend.as_ref().map(|addend| addend.value);
        let hits = own.unwrap_or_else(|| u64::from(addend.max(1)));
        let in_domain = self.0.iter().filter(|limit| limit.namespace().as_ref() == domain);
        in_domain
            .filter(|limit| limit.applies(&context))
            .filter_map(|limit| Counter::new(limit.clone(), &context).ok().flatten())
            .map(|counter| Charge::new(&counter, hits))
            .collect()
    }
}

fn limit(word: &str) -> Result<Limit, Box<dyn Error>> {
    let (rest, parts) = word.split_once(':').unwrap_or((word, ""));
    let (domain, rest) = rest.split_once('/').ok_or("no domain")?;
    let (name, rest) = rest.split_once('=').ok_or("no name")?;
    let (most, seconds) = rest.split_once('/').ok_or("no window")?;
    let of = |part: &str| format!("descriptors[0]['{part}']");
    let condition = Predicate::parse(format!("{} == '{name}'", of("limit")))?;
    let parts = parts.split(',').filter(|part| !part.is_empty());
    let variables = parts.map(|part| Expression::parse(of(part))).collect::<Result<Vec<_>, _>>()?;
    let mut limit = Limit::new(domain, most.parse()?, seconds.parse()?, [condition], variables);
    limit.set_name(name.to_owned());
    Ok(limit)
}
