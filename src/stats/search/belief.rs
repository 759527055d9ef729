//! Where the limit of a system probably lies: a share of belief for each narrow band of rates.

/// The width of a band, as the logarithm of the ratio of its ends.
const BAND: f64 = 0.004;
/// The belief before any answer: a limit is likely near what a closed loop reached, and may all the same be far from it
/// (a window holds a loop back, an objective may be met at a fraction only). So it has long tails: Cauchy's, of this
/// half width as the logarithm of a ratio.
const HALF_WIDTH: f64 = 0.4;
/// Whoever takes so many messages in a closed loop takes somewhat less by a schedule.
const OF_CLOSED: f64 = 0.95;
/// A limit is no sharp edge: around it, within about this (the logarithm of a ratio), trials end both ways.
const EDGE: f64 = 0.004;

/// How often an answer is not what the limit would make it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wrong {
    /// A trial at a rate below the limit does not hold.
    pub(super) below: f64,
    /// One at a rate above it does.
    pub(super) above: f64,
}

/// Belief over rates from one to another, and over what lies below and above.
#[derive(Clone, Debug)]
pub(super) struct Belief {
    /// The logarithm of the lowest rate.
    from: f64,
    /// That of the highest.
    to: f64,
    prior: Vec<f64>,
    /// Below the lowest rate, in each band, above the highest; all sum up to one.
    shares: Vec<f64>,
}

impl Belief {
    /// `likely` is the rate that a closed loop reached, or another guess.
    pub(super) fn around(likely: f64, lowest: f64, highest: f64) -> Belief {
        let (from, to) = (lowest.ln(), highest.max(lowest * 1.1).ln());
        let center = (likely * OF_CLOSED).ln().clamp(from, to);
        let below = |rate: f64| 0.5 + ((rate - center) / HALF_WIDTH).atan() / std::f64::consts::PI;
        let bands = ((to - from) / BAND).ceil() as usize;
        let edge = |band: usize| from + band as f64 * BAND;
        let mut prior = vec![below(from)];
        prior.extend((0..bands).map(|band| below(edge(band + 1)) - below(edge(band))));
        prior.push(1.0 - below(edge(bands)));
        Belief {
            from,
            to,
            shares: prior.clone(),
            prior,
        }
    }

    /// As before any answer.
    pub(super) fn forget(&mut self) {
        self.shares.clone_from(&self.prior);
    }

    /// Takes an answer into account: whether this rate held. An answer of this kind is wrong as often as `wrong` says.
    /// `moved` is how likely the limit has moved since the last answer: so much of what was known is forgotten.
    pub(super) fn learn(&mut self, rate: f64, has_held: bool, wrong: Wrong, moved: f64) {
        let at = rate.ln();
        let last = self.shares.len() - 1;
        let mut sum = 0.0;
        for band in 0..=last {
            let is_below = match band {
                0 => 0.0,
                band if band == last => 1.0,
                band => 1.0 / (1.0 + (-(self.middle(band) - at) / EDGE).exp()),
            };
            let holds = wrong.above + (1.0 - wrong.below - wrong.above) * is_below;
            let agrees = if has_held { holds } else { 1.0 - holds };
            let before = (1.0 - moved) * self.shares[band] + moved * self.prior[band];
            self.shares[band] = before * agrees;
            sum += self.shares[band];
        }
        for share in &mut self.shares {
            *share /= sum;
        }
    }

    /// The logarithm of the middle of a band, counted from 1.
    fn middle(&self, band: usize) -> f64 {
        self.from + (band as f64 - 0.5) * BAND
    }

    /// The rate below which the limit lies as likely as above: an answer there tells most.
    pub(super) fn median(&self) -> f64 {
        let mut sum = 0.0;
        for (band, share) in self.shares.iter().enumerate() {
            if sum + share >= 0.5 {
                let within = (0.5 - sum) / share.max(f64::MIN_POSITIVE);
                let at = match band {
                    0 => self.from,
                    band => self.from + (band as f64 - 1.0 + within) * BAND,
                };
                return at.min(self.to).exp();
            }
            sum += share;
        }
        self.to.exp()
    }

    /// How likely the limit lies between two rates.
    pub(super) fn between(&self, low: f64, high: f64) -> f64 {
        let (low, high) = (low.ln(), high.ln());
        let within = |band: &usize| (low..=high).contains(&self.middle(*band));
        let bands = 1..self.shares.len() - 1;
        bands.filter(within).map(|band| self.shares[band]).sum()
    }

    /// How likely the limit lies below the lowest rate.
    pub(super) fn below_all(&self) -> f64 {
        self.shares[0]
    }

    /// How likely the limit lies above the highest rate.
    pub(super) fn above_all(&self) -> f64 {
        self.shares[self.shares.len() - 1]
    }

    /// Of all brackets whose ends have this ratio, the lower end of the one in which the limit most likely lies.
    pub(super) fn likeliest(&self, ratio: f64) -> f64 {
        let inner = &self.shares[1..self.shares.len() - 1];
        let width = ((ratio.ln() / BAND).round() as usize).clamp(1, inner.len());
        let mut sum: f64 = inner[..width].iter().sum();
        let (mut best, mut places) = (sum, (0, 0));
        for first in 1..=inner.len() - width {
            sum += inner[first + width - 1] - inner[first - 1];
            // Of equals the middle one: then the limit is as far from both ends as can be.
            if sum > best + 1e-6 {
                (best, places) = (sum, (first, first));
            } else if sum > best - 1e-6 && places.1 + 1 == first {
                places.1 = first;
            }
        }
        let place = (places.0 + places.1) as f64 / 2.0;
        (self.from + place * BAND).exp()
    }
}
