//! Identifiers in the form in which they are compared.

use super::{Comparison, Map};
use erasure_protocol::IdentifierKind;

impl Comparison {
    /// The value in the form in which two are equal when they mean the same person: what is hashed, deduplicated and bound.
    ///
    /// Case is folded by Unicode's default mapping (`Ä` becomes `ä`), blanks are Unicode's. A store folds by its own rules, and
    /// they differ: SQLite's `lower` knows ASCII only (`ÄPFEL` stays `Äpfel`), PostgreSQL's follows the database's collation. So a
    /// statement applies the *store's* function to both sides, and binds the value as it was given, only trimmed: a stored `Äpfel`
    /// is then found by `äpfel` in PostgreSQL, and not in SQLite. Stored blanks around a value are part of it.
    #[must_use]
    pub fn normalise(self, value: &str) -> String {
        match self {
            Self::Exact => value.to_owned(),
            Self::Lower => value.to_lowercase(),
            Self::TrimLower => value.trim().to_lowercase(),
        }
    }

    /// Whether case is ignored, so that a statement compares `lower(column)`.
    #[must_use]
    pub fn folds_case(self) -> bool {
        match self {
            Self::Exact => false,
            Self::Lower | Self::TrimLower => true,
        }
    }

    /// Whether blanks around a value are ignored.
    #[must_use]
    pub fn trims(self) -> bool {
        match self {
            Self::Exact | Self::Lower => false,
            Self::TrimLower => true,
        }
    }

    /// The word for it in the map.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Lower => "lower",
            Self::TrimLower => "trim_lower",
        }
    }
}

impl Map {
    /// How values of this kind are compared: as declared, byte by byte for a kind that the map does not know.
    #[must_use]
    pub fn comparison(&self, kind: &IdentifierKind) -> Comparison {
        self.identifiers.get(kind).copied().unwrap_or(Comparison::Exact)
    }

    /// A value of this kind in the form in which it is compared. See [`Comparison::normalise`].
    #[must_use]
    pub fn normalise(&self, kind: &IdentifierKind, value: &str) -> String {
        self.comparison(kind).normalise(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_comparison_ignores_exactly_what_it_says() {
        let value = " Ärger@Example.INVALID\t";
        assert_eq!(Comparison::Exact.normalise(value), value);
        assert_eq!(Comparison::Lower.normalise(value), " ärger@example.invalid\t");
        assert_eq!(Comparison::TrimLower.normalise(value), "ärger@example.invalid");
    }

    #[test]
    fn normalising_twice_changes_nothing_more() {
        for value in ["ÀÉÎ ", "ΑΣ", " İstanbul ", "ẞ", "plain"] {
            for comparison in [Comparison::Exact, Comparison::Lower, Comparison::TrimLower] {
                let once = comparison.normalise(value);
                assert_eq!(comparison.normalise(&once), once, "{value}");
            }
        }
    }
}
