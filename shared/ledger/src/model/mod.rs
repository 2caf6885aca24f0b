//! The values that go into the ledger and come out of it.

mod accept;
mod answer;
mod attention;
mod outbox;
mod subsystem;

pub use accept::{Accepted, FailedNow, NewPart, NewSlice, Part, SubjectHash};
pub use answer::{
    Act, Closed, Dispatch, DispatchCount, DuePending, EvidenceRow, Final, Finalised, FoundPerson, KeyReferences, NewAct, Overlap,
    PersonTask, PurgeBefore, Purged, Report, Reported, Standing, StoredSlice,
};
pub use attention::{Attention, AttentionFilter, AttentionKey};
pub use outbox::{Event, NewParked, Parked, ParkedFilter, ParkedGroup, ParkedState};
pub use subsystem::{EvidenceHistory, Registered, Registration, Subsystem, SubsystemKind};
