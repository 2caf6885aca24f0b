//! What a code means and what to do about it.

use erasure_protocol::{CommandCode, FaultCode};

/// Meaning and advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Advice {
    pub(crate) meaning: &'static str,
    pub(crate) advice: &'static str,
}

/// Codes that only intake gives.
const OF_INTAKE: [(&str, &str, &str); 4] = [
    (
        "COMMAND-TENANT",
        "the tenant is not declared, or its name is not unique",
        "Declare it as [tenant.…] in the configuration, restart intake, then redrive.",
    ),
    (
        "COMMAND-PRODUCER",
        "the producer may not ask this for this tenant",
        "Declare it as [producer.…], let it publish with user-id, restart intake, then redrive.",
    ),
    (
        "COMMAND-SEAL",
        "the sealed command cannot be opened",
        "Send it again, sealed with a key of this fleet's key ring; then discard this one.",
    ),
    (
        "COMMAND-CONFLICT",
        "the id was used before, for other content",
        "Send it again under a new id if it is another request; then discard this one.",
    ),
];

/// For any code of the fleet; a code of another release is told as such.
pub(crate) fn advice(code: &str) -> Advice {
    let of_intake = OF_INTAKE.iter().find(|it| it.0 == code).map(|it| Advice {
        meaning: it.1,
        advice: it.2,
    });
    let of_command = || {
        let code = CommandCode::ALL.iter().find(|it| it.as_str() == code)?;
        Some(Advice {
            meaning: code.meaning(),
            advice: code.advice(),
        })
    };
    let of_task = || {
        fault(code).map(|code| Advice {
            meaning: code.meaning(),
            advice: code.advice(),
        })
    };
    of_intake.or_else(of_command).or_else(of_task).unwrap_or(Advice {
        meaning: "a code that this release does not know",
        advice: "Look with the release that wrote it.",
    })
}

/// The fault of this code.
pub(super) fn fault(code: &str) -> Option<FaultCode> {
    FaultCode::ALL.iter().copied().find(|it| it.as_str() == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_advice() {
        let codes = FaultCode::ALL
            .iter()
            .map(|it| it.as_str())
            .chain(CommandCode::ALL.iter().map(|it| it.as_str()));
        for code in codes.chain(OF_INTAKE.map(|it| it.0)) {
            assert!(!advice(code).meaning.contains("this release"), "{code}");
        }
        assert!(advice("STORE-999").meaning.contains("this release"));
    }
}
