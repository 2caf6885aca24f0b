//! The compact form of the last thing a worker reported: tab-separated, without masks and references.

use erasure_protocol::{Blame, Fault, FaultClass, FaultCode, Ground, Mask, Millis, Sealed, TaskOutcome};

/// The stored form. Its first letter is that of the bitmap: `r`, `p`, `w` or `f`. Free text comes last.
pub(crate) fn encode(note: &TaskOutcome) -> String {
    match note {
        TaskOutcome::Retained { ground, until, .. } => format!("r\t{}\t{}", until.0, ground.0),
        TaskOutcome::Pending { check_at, .. } => format!("p\t{}", check_at.0),
        TaskOutcome::Retry {
            fault,
            attempt,
            next_try,
            ..
        } => format!("w\t{}\t{attempt}\t{}", next_try.0, fault_text(fault)),
        TaskOutcome::Failed { fault, attempt, .. } => format!("f\t{attempt}\t{}", fault_text(fault)),
    }
}

/// Reads the stored form; `None` when it is none, for example one of a later version.
pub(crate) fn decode(text: &str) -> Option<TaskOutcome> {
    let (kind, rest) = text.split_once('\t')?;
    let tasks = Mask::EMPTY;
    match kind {
        "r" => {
            let (until, ground) = rest.split_once('\t')?;
            Some(TaskOutcome::Retained {
                tasks,
                ground: Ground(ground.to_owned()),
                until: Millis(until.parse().ok()?),
            })
        }
        "p" => Some(TaskOutcome::Pending {
            tasks,
            check_at: Millis(rest.parse().ok()?),
            references: Sealed(Vec::new()),
        }),
        "w" => {
            let mut parts = rest.splitn(3, '\t');
            let next_try = Millis(parts.next()?.parse().ok()?);
            let attempt = parts.next()?.parse().ok()?;
            Some(TaskOutcome::Retry {
                tasks,
                fault: read_fault(parts.next()?)?,
                attempt,
                next_try,
            })
        }
        "f" => {
            let (attempt, fault) = rest.split_once('\t')?;
            Some(TaskOutcome::Failed {
                tasks,
                fault: read_fault(fault)?,
                attempt: attempt.parse().ok()?,
            })
        }
        _ => None,
    }
}

fn fault_text(fault: &Fault) -> String {
    let after = fault.retry_after_ms.map(|ms| ms.to_string()).unwrap_or_default();
    let (class, blame) = (class_letter(fault.class), blame_letter(fault.blame));
    format!("{class}{blame}\t{}\t{after}\t{}", fault.code, fault.source.0)
}

fn read_fault(text: &str) -> Option<Fault> {
    let mut parts = text.splitn(4, '\t');
    let mut letters = parts.next()?.chars();
    let (class, blame) = (letters.next()?, letters.next()?);
    let class = CLASSES.into_iter().find(|it| class_letter(*it) == class)?;
    let blame = BLAMES.into_iter().find(|it| blame_letter(*it) == blame)?;
    let code = parts.next()?;
    let code = FaultCode::ALL.iter().copied().find(|it| it.as_str() == code)?;
    let after = parts.next()?;
    let mut fault = Fault::new(class, blame, code, parts.next()?);
    fault.retry_after_ms = if after.is_empty() { None } else { Some(after.parse().ok()?) };
    Some(fault)
}

const CLASSES: [FaultClass; 4] = [
    FaultClass::Transient,
    FaultClass::Throttled,
    FaultClass::Permanent,
    FaultClass::Poison,
];
const BLAMES: [Blame; 3] = [Blame::Store, Blame::Batch, Blame::Subject];

fn class_letter(class: FaultClass) -> char {
    match class {
        FaultClass::Transient => 't',
        FaultClass::Throttled => 'h',
        FaultClass::Permanent => 'p',
        FaultClass::Poison => 'x',
    }
}

fn blame_letter(blame: Blame) -> char {
    match blame {
        Blame::Store => 's',
        Blame::Batch => 'b',
        Blame::Subject => 'u',
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_note_survives_the_round_trip() {
        let tasks = Mask::EMPTY;
        let fault = Fault::new(FaultClass::Throttled, Blame::Store, FaultCode::VendorThrottles, "mail.api");
        let poison = Fault::new(FaultClass::Poison, Blame::Subject, FaultCode::Panicked, "");
        let ground = Ground("GDPR Art. 17(3)(b)".to_owned());
        for note in [
            TaskOutcome::Retained {
                tasks,
                ground,
                until: Millis(7),
            },
            TaskOutcome::Pending {
                tasks,
                check_at: Millis(8),
                references: Sealed(Vec::new()),
            },
            TaskOutcome::Retry {
                tasks,
                fault: fault.after(Duration::from_secs(3)),
                attempt: 2,
                next_try: Millis(9),
            },
            TaskOutcome::Failed {
                tasks,
                fault: poison,
                attempt: 12,
            },
        ] {
            assert_eq!(decode(&encode(&note)), Some(note));
        }
        assert_eq!(decode("q\t1"), None);
    }
}
