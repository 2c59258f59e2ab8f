//! A set of places in a line: what one run verifies.

/// How many results are looked at together; what stands behind them waits.
pub const WINDOW: usize = 64;

/// A set of places in the line, each below [`WINDOW`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Probe(u64);

impl Probe {
    /// These places.
    pub fn of(places: impl IntoIterator<Item = usize>) -> Self {
        places.into_iter().fold(Self(0), Self::with)
    }

    /// The first `length` places.
    pub fn first(length: usize) -> Self {
        Self::of(0..length)
    }

    /// Its places, in the order of the line.
    pub fn places(self) -> impl Iterator<Item = usize> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let place = left.trailing_zeros() as usize;
            left &= left.checked_sub(1)?;
            Some(place)
        })
    }

    /// How many.
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// None?
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Is this place one of it?
    pub fn has(self, place: usize) -> bool {
        place < WINDOW && self.0 & (1 << place) != 0
    }

    /// Does it hold all of another?
    pub fn holds(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// Have they a place in common?
    pub fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// One more.
    #[must_use]
    pub fn with(self, place: usize) -> Self {
        assert!(place < WINDOW, "place {place} is behind what is looked at together");
        Self(self.0 | 1 << place)
    }

    /// All of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both.
    #[must_use]
    pub fn within(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Less these.
    #[must_use]
    pub fn less(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Its first `length` places.
    #[must_use]
    pub fn start(self, length: usize) -> Self {
        Self::of(self.places().take(length))
    }
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.places()).finish()
    }
}
