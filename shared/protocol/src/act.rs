//! What operators ask of the reconciler: the only role that changes the ledger on their behalf.

use crate::{FaultCode, Millis, RequestKey, SubsystemName, TenantId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The version of the acts. Readers accept this one and the one before; see [`crate::version_is_read`].
pub const ACT_VERSION: u32 = 1;

/// One act, carried out once however often it is delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Act {
    /// See [`ACT_VERSION`].
    pub version: u32,
    /// Its id, chosen where it was asked for.
    pub id: Uuid,
    /// Who asked: the name of an account of the operators', not of a person whose data is held.
    pub actor: String,
    /// When, in milliseconds since the Unix epoch.
    pub at: Millis,
    /// What.
    pub act: ActKind,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ActKind {
    /// Try parked tasks again: those that fit every condition given.
    Redrive {
        /// Only of this request.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Option<RequestKey>,
        /// Only in this subsystem.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subsystem: Option<SubsystemName>,
        /// Only those parked under this code.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
        code: Option<FaultCode>,
    },
    /// Give up on a request: it ends as closed, not erased.
    Discard {
        /// Which.
        request: RequestKey,
        /// Why: a code of the operators' choice, without anything of a person.
        reason_code: String,
    },
    /// Put a parked message aside for good.
    DiscardParked {
        /// Its id.
        parked: String,
        /// Why.
        reason_code: String,
    },
    /// Read a parked message again, as if it had just come.
    RedriveParked {
        /// Its id.
        parked: String,
    },
    /// Read every message again that was parked under one code from one queue, as if it had just come.
    RedriveParkedGroup {
        /// The queue it came from.
        queue: String,
        /// The code it was parked under.
        code: String,
        /// Only of this tenant.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tenant: Option<TenantId>,
    },
    /// No longer ask anything of a subsystem in new requests.
    RetireSubsystem {
        /// Which.
        name: SubsystemName,
        /// Why.
        reason: String,
    },
}

impl ActKind {
    /// What a group of parked messages is called in the records of acts; `None` for any other act.
    #[must_use]
    pub fn group(&self) -> Option<String> {
        match self {
            Self::RedriveParkedGroup { queue, code, .. } => Some(format!("{queue}/{code}")),
            Self::Redrive { .. }
            | Self::Discard { .. }
            | Self::DiscardParked { .. }
            | Self::RedriveParked { .. }
            | Self::RetireSubsystem { .. } => None,
        }
    }
}

impl Act {
    /// The JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers always become JSON")
    }

    /// Reads the JSON; `None` when it is no act. The version is left for the caller to judge.
    #[must_use]
    pub fn parse(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }
}
