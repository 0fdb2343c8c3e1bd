//! Models of the algorithms: slow, and obviously right. And sequences of requests by number, so that
//! the same ones run on the filter and on the built module.

/// What comes: so many milliseconds after the last, for one of three keys, at a cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) gap: u64,
    pub(crate) key: u8,
    pub(crate) cost: u32,
}

/// What was granted to one key: when (nanoseconds), and how much.
pub(crate) type Granted = Vec<(u64, u32)>;

/// A quota, and how it is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counting {
    pub(crate) algorithm: &'static str,
    pub(crate) requests: u32,
    /// Nanoseconds; a multiple of eight.
    pub(crate) per: u64,
    pub(crate) burst: u32,
}

pub(crate) const ALGORITHMS: [&str; 3] = ["token-bucket", "fixed-window", "sliding-window"];

impl Counting {
    /// What is to come of a request, from what was granted to its key before.
    pub(crate) fn may(&self, granted: &Granted, now: u64, cost: u32) -> bool {
        let (per, quota) = (self.per, u64::from(self.requests));
        let fits = |used: u64| used + u64::from(cost) <= quota;
        match self.algorithm {
            "token-bucket" => self.level(granted, now) >= u64::from(cost) * self.token(),
            "fixed-window" => fits(sum(granted, |at| at / per == now / per)),
            // What came in this eighth of a window and in the eight before it.
            _ => fits(sum(granted, |at| now / (per / 8) - at / (per / 8) <= 8)),
        }
    }

    /// How full the bucket is, in nanoseconds of its filling.
    fn level(&self, granted: &Granted, now: u64) -> u64 {
        let full = self.token() * u64::from(self.burst);
        let (mut level, mut then) = (full, 0);
        for (at, cost) in granted {
            level = (level + (at - then)).min(full) - u64::from(*cost) * self.token();
            then = *at;
        }
        (level + (now - then)).min(full)
    }

    fn token(&self) -> u64 {
        self.per.div_ceil(u64::from(self.requests))
    }

    /// The configuration of a limit by the header `k`, at the cost that the header `cost` says.
    pub(crate) fn config(&self) -> String {
        let Self { algorithm, requests, per, burst } = self;
        let burst = match *algorithm {
            "token-bucket" => format!(r#", "burst": {burst}"#),
            _ => String::new(),
        };
        format!(
            r#"{{"limits": [{{"name": "a", "algorithm": "{algorithm}", "key": [{{"header": "k"}}],
                "cost": {{"header": "cost", "greatest": 4}},
                "quota": {{"requests": {requests}, "per": "{}ms"{burst}}}}}]}}"#,
            per / 1_000_000
        )
    }

    /// Runs a sequence: `passes` says at which moment which request comes, and learns whether it was
    /// let through.
    pub(crate) fn check(
        &self,
        steps: &[Step],
        mut passes: impl FnMut(u64, &Step) -> bool,
    ) -> Vec<Granted> {
        let mut granted = vec![Granted::new(); 3];
        let mut now = 1_800_000_000_000_000_000;
        for (index, step) in steps.iter().enumerate() {
            now += step.gap * 1_000_000;
            let of = &mut granted[usize::from(step.key)];
            let expected = self.may(of, now, step.cost);
            assert_eq!(passes(now, step), expected, "{self:?} {index}: {:?}", &steps[..=index]);
            if expected {
                of.push((now, step.cost));
            }
        }
        granted
    }
}

/// How much was granted at moments that count.
pub(crate) fn sum(granted: &Granted, counts: impl Fn(u64) -> bool) -> u64 {
    granted.iter().filter(|(at, _)| counts(*at)).map(|(_, cost)| u64::from(*cost)).sum()
}

/// The sequence of this number, and what it is counted by.
pub(crate) fn sequence(number: u64) -> (Counting, Vec<Step>) {
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut below = |most: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) % most
    };
    let counting = Counting {
        algorithm: ALGORITHMS[below(3) as usize],
        requests: 4 + below(8) as u32,
        per: 5_000_000_000,
        burst: 4 + below(8) as u32,
    };
    let length = 20 + below(80);
    let mut step = || Step {
        gap: match below(10) {
            0..=3 => 0,
            4..=7 => below(300),
            8 => below(5_000),
            _ => below(40_000),
        },
        key: below(3) as u8,
        cost: if below(4) == 0 { 1 + below(4) as u32 } else { 1 },
    };
    (counting, (0..length).map(|_| step()).collect())
}
