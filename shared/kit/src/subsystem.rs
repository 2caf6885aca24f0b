//! The seam between the fleet and one part of the estate.

use erasure_protocol::{
    EvidenceKey, Fault, Findings, IdentifierKind, Millis, Operation, Outcome, Record, Subject, Task, TenantId,
};
use futures_util::future::BoxFuture;
use std::sync::Arc;

/// One part of the estate that must forget people.
pub trait Subsystem: Send + Sync + 'static {
    /// Does the operation for each task. One outcome per task, in order; `Err` is the whole batch's fault. Safe to run any number
    /// of times. When it answers [`Outcome::Erased`], the change is committed durably and was read back.
    fn perform(&self, operation: Operation, tasks: &[Task]) -> impl Future<Output = Result<Vec<Outcome>, Fault>> + Send;

    /// Looks without changing anything: the look-up, the dry run and the read-back all use it. One answer per subject, in order.
    ///
    /// With `accepted_at`, what was created later is spared, as far as that can be known: it belongs to somebody new.
    fn find(
        &self,
        tenant: &TenantId,
        subjects: &[Arc<Subject>],
        accepted_at: Option<Millis>,
    ) -> impl Future<Output = Result<Vec<Findings>, Fault>> + Send;

    /// What evidence of this subsystem is bound to: the identity and timeline of its stores as they are now, and the revision of
    /// its part of the data map.
    fn evidence(&self) -> impl Future<Output = Result<EvidenceKey, Fault>> + Send;

    /// The part of the evidence key that is known without the stores: a digest of its part of the data map.
    fn map_digest(&self) -> [u8; 16];
}

/// Finds the people behind identifiers, before anything is erased.
pub trait Resolve: Send + Sync + 'static {
    /// The sets of identifier kinds that can find a person, for example `[[user_id], [external_id], [email, business_unit]]`.
    fn alternatives(&self) -> Vec<Vec<IdentifierKind>>;

    /// The kinds that the data map declares.
    fn kinds(&self) -> Vec<IdentifierKind>;

    /// For each record of identifiers, the subject it belongs to: found (its own record first, then one for each row), nobody, or
    /// ambiguous. In order.
    fn resolve(&self, tenant: &TenantId, given: &[Record]) -> impl Future<Output = Result<Vec<Subject>, Fault>> + Send;

    /// The value of an identifier in the form in which it is compared (for example trimmed and lower case), for hashing.
    fn normalise(&self, kind: &IdentifierKind, value: &str) -> String;
}

/// Lists the members of a segment.
pub trait Members: Send + Sync + 'static {
    /// Up to `limit` records of members of the segment, after `after` (none at first), in a stable order, and where to go on.
    fn members(
        &self,
        tenant: &TenantId,
        segment: &str,
        after: Option<String>,
        limit: usize,
    ) -> impl Future<Output = Result<(Vec<Record>, Option<String>), Fault>> + Send;
}

macro_rules! boxed {
    ($(#[$doc:meta])* $any:ident, $trait:ident, $twin:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $any(Arc<dyn $twin>);

        impl $any {
            /// Boxes an implementation.
            pub fn new(it: impl $trait) -> Self {
                Self(Arc::new(it))
            }

            /// Boxes a shared implementation.
            pub fn shared(it: Arc<impl $trait>) -> Self {
                Self(it)
            }
        }

        impl std::fmt::Debug for $any {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(stringify!($any))
            }
        }
    };
}

boxed!(
    /// Any [`Subsystem`].
    AnySubsystem, Subsystem, SubsystemTwin
);
boxed!(
    /// Any [`Resolve`].
    AnyResolve, Resolve, ResolveTwin
);
boxed!(
    /// Any [`Members`].
    AnyMembers, Members, MembersTwin
);

trait SubsystemTwin: Send + Sync {
    fn perform<'a>(&'a self, operation: Operation, tasks: &'a [Task]) -> BoxFuture<'a, Result<Vec<Outcome>, Fault>>;
    fn find<'a>(
        &'a self,
        tenant: &'a TenantId,
        subjects: &'a [Arc<Subject>],
        accepted_at: Option<Millis>,
    ) -> BoxFuture<'a, Result<Vec<Findings>, Fault>>;
    fn evidence(&self) -> BoxFuture<'_, Result<EvidenceKey, Fault>>;
    fn map_digest(&self) -> [u8; 16];
}

impl<S: Subsystem> SubsystemTwin for S {
    fn perform<'a>(&'a self, operation: Operation, tasks: &'a [Task]) -> BoxFuture<'a, Result<Vec<Outcome>, Fault>> {
        Box::pin(Subsystem::perform(self, operation, tasks))
    }
    fn find<'a>(
        &'a self,
        tenant: &'a TenantId,
        subjects: &'a [Arc<Subject>],
        accepted_at: Option<Millis>,
    ) -> BoxFuture<'a, Result<Vec<Findings>, Fault>> {
        Box::pin(Subsystem::find(self, tenant, subjects, accepted_at))
    }
    fn evidence(&self) -> BoxFuture<'_, Result<EvidenceKey, Fault>> {
        Box::pin(Subsystem::evidence(self))
    }
    fn map_digest(&self) -> [u8; 16] {
        Subsystem::map_digest(self)
    }
}

impl Subsystem for AnySubsystem {
    async fn perform(&self, operation: Operation, tasks: &[Task]) -> Result<Vec<Outcome>, Fault> {
        self.0.perform(operation, tasks).await
    }
    async fn find(
        &self,
        tenant: &TenantId,
        subjects: &[Arc<Subject>],
        accepted_at: Option<Millis>,
    ) -> Result<Vec<Findings>, Fault> {
        self.0.find(tenant, subjects, accepted_at).await
    }
    async fn evidence(&self) -> Result<EvidenceKey, Fault> {
        self.0.evidence().await
    }
    fn map_digest(&self) -> [u8; 16] {
        self.0.map_digest()
    }
}

trait ResolveTwin: Send + Sync {
    fn alternatives(&self) -> Vec<Vec<IdentifierKind>>;
    fn kinds(&self) -> Vec<IdentifierKind>;
    fn resolve<'a>(&'a self, tenant: &'a TenantId, given: &'a [Record]) -> BoxFuture<'a, Result<Vec<Subject>, Fault>>;
    fn normalise(&self, kind: &IdentifierKind, value: &str) -> String;
}

impl<R: Resolve> ResolveTwin for R {
    fn alternatives(&self) -> Vec<Vec<IdentifierKind>> {
        Resolve::alternatives(self)
    }
    fn kinds(&self) -> Vec<IdentifierKind> {
        Resolve::kinds(self)
    }
    fn resolve<'a>(&'a self, tenant: &'a TenantId, given: &'a [Record]) -> BoxFuture<'a, Result<Vec<Subject>, Fault>> {
        Box::pin(Resolve::resolve(self, tenant, given))
    }
    fn normalise(&self, kind: &IdentifierKind, value: &str) -> String {
        Resolve::normalise(self, kind, value)
    }
}

impl Resolve for AnyResolve {
    fn alternatives(&self) -> Vec<Vec<IdentifierKind>> {
        self.0.alternatives()
    }
    fn kinds(&self) -> Vec<IdentifierKind> {
        self.0.kinds()
    }
    async fn resolve(&self, tenant: &TenantId, given: &[Record]) -> Result<Vec<Subject>, Fault> {
        self.0.resolve(tenant, given).await
    }
    fn normalise(&self, kind: &IdentifierKind, value: &str) -> String {
        self.0.normalise(kind, value)
    }
}

/// A page of members: their records, and where the next page begins.
type Page = (Vec<Record>, Option<String>);

trait MembersTwin: Send + Sync {
    fn members<'a>(
        &'a self,
        tenant: &'a TenantId,
        segment: &'a str,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page, Fault>>;
}

impl<M: Members> MembersTwin for M {
    fn members<'a>(
        &'a self,
        tenant: &'a TenantId,
        segment: &'a str,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page, Fault>> {
        Box::pin(Members::members(self, tenant, segment, after, limit))
    }
}

impl Members for AnyMembers {
    async fn members(&self, tenant: &TenantId, segment: &str, after: Option<String>, limit: usize) -> Result<Page, Fault> {
        self.0.members(tenant, segment, after, limit).await
    }
}
