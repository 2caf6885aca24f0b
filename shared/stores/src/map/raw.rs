//! The map as TOML spells it. Nothing here leaves this module: what comes out of it are the types of `types.rs`.
//!
//! No `untagged` and no `flatten`: both lose the places.

use super::{Comparison, Constant, KeepOption, Unit};
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Spanned;

pub(super) type Text = Spanned<String>;
pub(super) type Pairs = BTreeMap<Text, Text>;
pub(super) type RawChanges = BTreeMap<Text, RawStrategy>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMap {
    pub(super) version: Option<Spanned<i64>>,
    pub(super) revision: Option<Spanned<i64>>,
    #[serde(default)]
    pub(super) identifiers: BTreeMap<Text, RawComparison>,
    #[serde(default)]
    pub(super) subsystem: BTreeMap<Text, RawSection>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSection {
    pub(super) store: Option<Text>,
    pub(super) tenant: Option<Text>,
    pub(super) single_tenant: Option<Spanned<bool>>,
    #[serde(default)]
    pub(super) without_people: Pairs,
    #[serde(default)]
    pub(super) table: BTreeMap<Text, RawRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRule {
    pub(super) table: Option<Text>,
    pub(super) tenant: Option<Text>,
    pub(super) single_tenant: Option<Spanned<bool>>,
    #[serde(rename = "match")]
    pub(super) matches: Option<Spanned<Vec<Spanned<Pairs>>>>,
    pub(super) through: Option<Spanned<RawThrough>>,
    #[serde(default)]
    pub(super) key: Vec<Text>,
    #[serde(default)]
    pub(super) resolves: Pairs,
    #[serde(default)]
    pub(super) personal: Vec<Text>,
    pub(super) erase: Option<Spanned<RawErase>>,
    pub(super) hide: Option<Spanned<RawSet>>,
    pub(super) restore: Option<Spanned<RawSet>>,
    pub(super) deactivate: Option<Spanned<RawSet>>,
    pub(super) reactivate: Option<Spanned<RawSet>>,
    pub(super) when_last: Option<Spanned<RawWhenLast>>,
    pub(super) counted_in: Option<Spanned<RawCountedIn>>,
    pub(super) members_of: Option<Text>,
    pub(super) created: Option<Text>,
    pub(super) rows_at_once_max: Option<Spanned<i64>>,
    pub(super) rows_per_subject_max: Option<Spanned<i64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawThrough {
    pub(super) rule: Text,
    pub(super) on: Pairs,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWhenLast {
    pub(super) table: Text,
    pub(super) column: Text,
    pub(super) unless: Option<RawKeepOption>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCountedIn {
    pub(super) table: Text,
    pub(super) column: Text,
    pub(super) on: Pairs,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum RawErase {
    Delete,
    Anonymise(RawChanges),
    Keep { because: Text, for_days: Spanned<i64> },
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum RawSet {
    Set(RawChanges),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RawStrategy {
    Null,
    Now,
    Unlink,
    Pseudonym,
    Value(RawConstant),
    Truncate(RawUnit),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RawUnit {
    Day,
    Month,
    Year,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RawKeepOption {
    PreserveEmptyAccount,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RawComparison {
    Exact,
    Lower,
    TrimLower,
}

/// A constant, whose type in TOML is its type in the store.
pub(super) struct RawConstant(pub(super) Constant);

impl<'de> Deserialize<'de> for RawConstant {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = RawConstant;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a text, a whole number, true or false")
            }
            fn visit_str<E>(self, value: &str) -> Result<RawConstant, E> {
                Ok(RawConstant(Constant::Text(value.to_owned())))
            }
            fn visit_i64<E>(self, value: i64) -> Result<RawConstant, E> {
                Ok(RawConstant(Constant::Integer(value)))
            }
            fn visit_bool<E>(self, value: bool) -> Result<RawConstant, E> {
                Ok(RawConstant(Constant::Boolean(value)))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl From<RawUnit> for Unit {
    fn from(unit: RawUnit) -> Self {
        match unit {
            RawUnit::Day => Self::Day,
            RawUnit::Month => Self::Month,
            RawUnit::Year => Self::Year,
        }
    }
}

impl From<RawKeepOption> for KeepOption {
    fn from(option: RawKeepOption) -> Self {
        match option {
            RawKeepOption::PreserveEmptyAccount => Self::PreserveEmptyAccount,
        }
    }
}

impl From<RawComparison> for Comparison {
    fn from(comparison: RawComparison) -> Self {
        match comparison {
            RawComparison::Exact => Self::Exact,
            RawComparison::Lower => Self::Lower,
            RawComparison::TrimLower => Self::TrimLower,
        }
    }
}
