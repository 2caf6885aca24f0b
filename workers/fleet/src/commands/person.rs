//! A person and a tenant, as the command line names them. What is wrong is told by kind and position, never by value.

use super::WrongUse;
use erasure_intake::Tenants;
use erasure_kit::{AnyResolve, Resolve as _};
use erasure_protocol::{Identifier, IdentifierKind, Record, TenantId};

/// Reads `KIND=VALUE` pairs as the identifiers of one person.
///
/// # Errors
/// When a pair is not one, a kind is named twice, or a value cannot be an identifier.
pub(crate) fn record(pairs: &[String]) -> anyhow::Result<Record> {
    let mut record = Record::new();
    for (at, pair) in pairs.iter().enumerate() {
        let position = at + 1;
        let parts = pair
            .split_once('=')
            .and_then(|(kind, value)| Some((IdentifierKind::new(kind)?, value)));
        let Some((kind, value)) = parts else {
            let sentence = format!("identifier {position} must be KIND=VALUE, for example user_id=42 (the kind in lower case)");
            return Err(WrongUse::error(sentence));
        };
        let Some(value) = Identifier::new(value) else {
            let sentence = format!("the value of {kind} is empty, too long or holds a NUL");
            return Err(WrongUse::error(sentence));
        };
        if record.insert(kind.clone(), value).is_some() {
            return Err(WrongUse::error(format!(
                "{kind} is given twice: one person has one of each kind"
            )));
        }
    }
    Ok(record)
}

/// Whether the identifiers are of declared kinds and form a complete way to find a person.
///
/// # Errors
/// With the kinds and the ways that there are.
pub(crate) fn check_kinds(record: &Record, resolve: &AnyResolve) -> anyhow::Result<()> {
    let (kinds, ways) = (resolve.kinds(), resolve.alternatives());
    if let Some(unknown) = record.keys().find(|kind| !kinds.contains(kind)) {
        let names: Vec<_> = kinds.iter().map(IdentifierKind::as_str).collect();
        let sentence = format!(
            "the data map declares no identifier {}; it declares {}",
            unknown.shown(),
            names.join(", ")
        );
        return Err(WrongUse::error(sentence));
    }
    if !ways.iter().any(|way| completes(record, way)) {
        let sentence = format!(
            "these identifiers do not form a complete way to find a person; give {}",
            shown(&ways)
        );
        return Err(WrongUse::error(sentence));
    }
    Ok(())
}

/// Whether the identifiers hold every kind of the way.
fn completes(record: &Record, way: &[IdentifierKind]) -> bool {
    way.iter().all(|kind| record.contains_key(kind))
}

/// The ways for people: `user_id, or email + business_unit`.
fn shown(ways: &[Vec<IdentifierKind>]) -> String {
    let way = |kinds: &Vec<IdentifierKind>| kinds.iter().map(IdentifierKind::as_str).collect::<Vec<_>>().join(" + ");
    ways.iter().map(way).collect::<Vec<_>>().join(", or ")
}

/// The tenant of this account number or exact account name.
///
/// # Errors
/// When it is not declared; the declared ones are named.
pub(crate) fn tenant(tenants: &Tenants, named: &str) -> anyhow::Result<TenantId> {
    tenants.find(named).map(|(id, _)| id.clone()).ok_or_else(|| {
        let ids: Vec<_> = tenants.ids().map(TenantId::as_str).collect();
        WrongUse::error(format!(
            "no tenant of this number or exact name is declared, or its name is not unique; declared are {}",
            ids.join(", ")
        ))
    })
}

/// The tenant, where only one is declared.
pub(crate) fn only_tenant(tenants: &Tenants) -> Option<TenantId> {
    let mut ids = tenants.ids();
    let first = ids.next()?;
    ids.next().is_none().then(|| first.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(pairs: &[&str]) -> String {
        let pairs: Vec<_> = pairs.iter().map(|pair| (*pair).to_owned()).collect();
        record(&pairs).map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[test]
    fn a_value_may_hold_an_equals_sign() {
        let record = record(&["user_id=a=b".to_owned()]).unwrap();
        assert_eq!(record.values().map(Identifier::expose).collect::<Vec<_>>(), ["a=b"]);
    }

    #[test]
    fn what_is_wrong_is_told_without_a_value() {
        for pairs in [
            &["planted@x.org"][..],
            &["Planted=x"],
            &["user_id=1", "planted"],
            &["email=planted", "email=planted"],
        ] {
            let text = refusal(pairs);
            assert!(!text.is_empty() && !text.to_lowercase().contains("planted"), "{text}");
        }
        assert!(refusal(&["user_id="]).contains("user_id"));
    }

    #[test]
    fn ways_are_named_for_people() {
        let kind = |name: &str| IdentifierKind::new(name).unwrap();
        let ways = [vec![kind("user_id")], vec![kind("email"), kind("business_unit")]];
        assert_eq!(shown(&ways), "user_id, or email + business_unit");
    }
}
