//! What every subsystem holds of one person: for the look-up with values, for the dry run in rows.

use crate::assemble::Fleet;
use crate::output::{Output, counted, plain, table};
use anyhow::{Context as _, bail};
use erasure_kit::{AnyResolve, Resolve as _, Subsystem as _};
use erasure_protocol::{Fault, Finding, Findings, Record, Resolution, Subject, SubsystemName, TenantId};
use erasure_stores::FindMode;
use futures_util::future::join_all;
use serde::Serialize;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

/// How much is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// How many rows an erasure would touch.
    Rows,
    /// The values too.
    Values,
}

impl Look {
    fn mode(self) -> FindMode {
        match self {
            Self::Rows => FindMode::Counts,
            Self::Values => FindMode::Values,
        }
    }
}

/// One place that holds something.
#[derive(Serialize)]
struct Place<'a> {
    subsystem: &'a SubsystemName,
    store: &'a str,
    table: &'a str,
    rule: &'a str,
    rows: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    kept_because: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<Vec<BTreeMap<&'a str, Option<&'a str>>>>,
}

/// A subsystem that could not be asked.
#[derive(Serialize)]
struct Unread<'a> {
    subsystem: &'a SubsystemName,
    code: &'static str,
    source: &'a str,
    meaning: &'static str,
    advice: &'static str,
}

#[derive(Serialize)]
struct Held<'a> {
    tenant: &'a TenantId,
    person_found: bool,
    /// Only where every subsystem could be asked.
    nothing_held: bool,
    holds: Vec<Place<'a>>,
    not_read: Vec<Unread<'a>>,
}

/// Finds the person, asks every subsystem, and prints what it holds. Changes nothing.
///
/// # Errors
/// When the person cannot be looked for, or the identifiers fit several.
pub(crate) async fn show(
    fleet: &Fleet,
    tenant: &TenantId,
    resolve: &AnyResolve,
    record: Record,
    look: Look,
    out: Output,
) -> anyhow::Result<ExitCode> {
    let subject = subject(resolve, tenant, record).await?;
    let person_found = subject.resolution == Resolution::Found;
    let answers = ask(fleet, tenant, Arc::new(subject), look.mode()).await?;
    let held = held(tenant, person_found, &answers, look);
    out.document(&held, || text(&held, look))?;
    for unread in &held.not_read {
        let Unread {
            subsystem,
            code,
            source,
            meaning,
            advice,
        } = unread;
        out.say(format_args!(
            "error: {subsystem} could not be asked: {source}: {meaning} ({code}). {advice}"
        ));
    }
    Ok(if held.not_read.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn subject(resolve: &AnyResolve, tenant: &TenantId, record: Record) -> anyhow::Result<Subject> {
    let found = resolve
        .resolve(tenant, std::slice::from_ref(&record))
        .await
        .context("finding the person")?;
    let subject = found.into_iter().next().unwrap_or_else(|| Subject::given(record));
    match subject.resolution {
        Resolution::Found | Resolution::Nobody => Ok(subject),
        Resolution::Ambiguous => {
            bail!("these identifiers fit several people: give one that is a single person's, for example a system id")
        }
    }
}

type Asked = (SubsystemName, Result<Findings, Fault>);

async fn ask(fleet: &Fleet, tenant: &TenantId, subject: Arc<Subject>, mode: FindMode) -> anyhow::Result<Vec<Asked>> {
    let subsystems = fleet.subsystems(mode, None)?;
    let subjects = [subject];
    let asking = subsystems.into_iter().map(|(name, known)| {
        let subjects = &subjects;
        async move {
            let found = known.subsystem.find(tenant, subjects, None).await;
            (name, found.map(|all| all.into_iter().next().unwrap_or_default()))
        }
    });
    Ok(join_all(asking).await)
}

fn held<'a>(tenant: &'a TenantId, person_found: bool, answers: &'a [Asked], look: Look) -> Held<'a> {
    let (mut holds, mut not_read) = (Vec::new(), Vec::new());
    for (subsystem, answer) in answers {
        match answer {
            Ok(findings) => {
                let somewhere = findings.0.iter().filter(|finding| finding.rows > 0);
                holds.extend(somewhere.map(|finding| place(subsystem, finding, look)));
            }
            Err(fault) => not_read.push(Unread {
                subsystem,
                code: fault.code.as_str(),
                source: &fault.source.0,
                meaning: fault.code.meaning(),
                advice: fault.code.advice(),
            }),
        }
    }
    Held {
        tenant,
        person_found,
        nothing_held: holds.is_empty() && not_read.is_empty(),
        holds,
        not_read,
    }
}

fn place<'a>(subsystem: &'a SubsystemName, finding: &'a Finding, look: Look) -> Place<'a> {
    let row = |row: &'a Vec<(String, Option<String>)>| {
        row.iter()
            .map(|(column, value)| (column.as_str(), value.as_deref()))
            .collect()
    };
    Place {
        subsystem,
        store: &finding.store,
        table: &finding.table,
        rule: &finding.rule,
        rows: finding.rows,
        kept_because: finding.kept.as_ref().map(|ground| ground.0.as_str()),
        values: match look {
            Look::Rows => None,
            Look::Values => Some(finding.values.iter().map(row).collect()),
        },
    }
}

fn text(held: &Held<'_>, look: Look) -> String {
    if held.holds.is_empty() {
        let where_asked = if held.not_read.is_empty() {
            ""
        } else {
            " in the subsystems that could be asked"
        };
        return format!("Nothing held{where_asked}.");
    }
    let rows = held.holds.iter().map(|place| {
        vec![
            place.subsystem.to_string(),
            format!("{}.{}", place.store, place.table),
            place.rule.to_owned(),
            place.rows.to_string(),
            place
                .kept_because
                .map_or_else(|| "no".to_owned(), |ground| format!("kept: {ground}")),
        ]
    });
    let overview = table(&["subsystem", "table", "rule", "rows", "kept"], rows);
    let all: u64 = held.holds.iter().map(|place| place.rows).sum();
    let kept: u64 = held
        .holds
        .iter()
        .filter(|place| place.kept_because.is_some())
        .map(|place| place.rows)
        .sum();
    match look {
        Look::Rows => format!(
            "{overview}\nErasing would touch at most {}, and keep {}. Nothing was changed.",
            counted(all - kept, "row"),
            counted(kept, "row")
        ),
        Look::Values => format!("{overview}\n{}", held.holds.iter().map(values).collect::<String>()),
    }
}

fn values(place: &Place<'_>) -> String {
    let shown = place.values.as_deref().unwrap_or_default();
    let mut text = format!("{} {}.{} ({})\n", place.subsystem, place.store, place.table, place.rule);
    for (at, row) in shown.iter().enumerate() {
        for (column, value) in row {
            let value = value.map_or_else(|| "(null)".to_owned(), plain);
            text.push_str(&format!("  row {}: {column} = {value}\n", at + 1));
        }
    }
    let more = place.rows.saturating_sub(shown.len() as u64);
    if more > 0 {
        text.push_str(&format!("  and {} whose values are not shown\n", counted(more, "row")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use erasure_protocol::{Blame, FaultClass, FaultCode, Ground};

    fn tenant() -> TenantId {
        TenantId::new("acme").unwrap()
    }

    fn name(text: &str) -> SubsystemName {
        SubsystemName::new(text).unwrap()
    }

    fn finding(rows: u64, kept: Option<&str>) -> Finding {
        Finding {
            store: "crm".to_owned(),
            table: "participants".to_owned(),
            rule: "participants".to_owned(),
            rows,
            values: vec![vec![("email".to_owned(), Some("planted@example.org".to_owned()))]],
            kept: kept.map(|ground| Ground(ground.to_owned())),
        }
    }

    #[test]
    fn a_dry_run_shows_rows_and_no_value() {
        let answers = [(
            name("profiles"),
            Ok(Findings(vec![finding(2, None), finding(1, Some("tax law"))])),
        )];
        let tenant = tenant();
        let held = held(&tenant, true, &answers, Look::Rows);
        let (text, json) = (text(&held, Look::Rows), serde_json::to_string(&held).unwrap());
        assert!(
            text.contains("touch at most 2 rows, and keep 1 row") && text.contains("tax law"),
            "{text}"
        );
        assert!(!text.contains("planted") && !json.contains("planted"), "{text} {json}");
    }

    #[test]
    fn a_look_up_shows_values_and_says_when_nothing_is_held() {
        let answers = [(name("profiles"), Ok(Findings(vec![finding(3, None)])))];
        let tenant = tenant();
        let shown = text(&held(&tenant, true, &answers, Look::Values), Look::Values);
        assert!(
            shown.contains("email = planted@example.org") && shown.contains("and 2 rows"),
            "{shown}"
        );
        let answers = [(name("profiles"), Ok(Findings(vec![finding(0, None)])))];
        let held = held(&tenant, false, &answers, Look::Values);
        assert!(held.nothing_held && text(&held, Look::Values) == "Nothing held.");
    }

    #[test]
    fn a_subsystem_that_cannot_be_asked_is_not_nothing_held() {
        let fault = Fault::new(FaultClass::Transient, Blame::Store, FaultCode::StoreUnreachable, "crm");
        let answers = [(name("profiles"), Err(fault))];
        let tenant = tenant();
        let held = held(&tenant, false, &answers, Look::Values);
        assert!(!held.nothing_held && text(&held, Look::Values).contains("that could be asked"));
    }
}
