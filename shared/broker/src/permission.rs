//! What each role may do on the broker.

use crate::Topology;

/// Who logs in to the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A service that asks for erasures.
    Producer,
    /// Accepts commands.
    Intake,
    /// Erases.
    Worker,
    /// Finalises, dispatches again, tells what happened.
    Reconciler,
    /// API and command line.
    Operator,
    /// Applies the topology.
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 6] = [
        Self::Producer,
        Self::Intake,
        Self::Worker,
        Self::Reconciler,
        Self::Operator,
        Self::Admin,
    ];

    /// The role's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Producer => "producer",
            Self::Intake => "intake",
            Self::Worker => "worker",
            Self::Reconciler => "reconciler",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// What one role may do, as RabbitMQ's three regular expressions over names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// For whom.
    pub role: Role,
    /// What may be declared and deleted.
    pub configure: String,
    /// Where may be published to.
    pub write: String,
    /// What may be consumed from.
    pub read: String,
    /// Which routing keys may be published on the public exchange, where not all may.
    pub topic: Option<TopicPermission>,
}

/// A limit on routing keys (`rabbitmqctl set_topic_permissions`). Without it a producer could publish operators' acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPermission {
    /// The exchange.
    pub exchange: String,
    /// The routing keys, as a regular expression.
    pub write: String,
}

impl Topology {
    /// What each role has to be allowed.
    #[must_use]
    pub fn permissions(&self) -> Vec<Permission> {
        let prefix = escaped(self.names().prefix());
        let of = |names: &str| {
            if names.is_empty() {
                "^$".to_owned()
            } else {
                format!("^{prefix}({names})$")
            }
        };
        Role::ALL
            .map(|role| {
                let (configure, write, read) = match role {
                    Role::Producer => ("", r"erasure", ""),
                    Role::Intake => ("", r"erasure\.events|er\.(work|dead)", r"er\.ingest(\.bulk)?\.v1"),
                    Role::Worker => ("", r"er\.(work|dead|wait\.[0-9]+)", r"er\.work\..+\.v1"),
                    Role::Reconciler => (
                        "",
                        r"erasure\.events|er\.(work|dead|wait\.[0-9]+)",
                        r"er\.(outcome|act)\.v1|er\.(work|dead|wait)\..+\.v1|er\.unrouted\.v1",
                    ),
                    Role::Operator => ("", "erasure", r"er\..+\.v1"),
                    Role::Admin => (EVERYTHING, EVERYTHING, EVERYTHING),
                };
                Permission {
                    role,
                    configure: of(configure),
                    write: of(write),
                    read: of(read),
                    topic: self.topic(role),
                }
            })
            .to_vec()
    }

    fn topic(&self, role: Role) -> Option<TopicPermission> {
        match role {
            Role::Producer => Some(TopicPermission {
                exchange: self.names().requests(),
                write: KEYS_OF_A_PRODUCER.to_owned(),
            }),
            Role::Intake | Role::Worker | Role::Reconciler | Role::Operator | Role::Admin => None,
        }
    }
}

const KEYS_OF_A_PRODUCER: &str = r"^request(\.bulk)?$";
const EVERYTHING: &str = r"erasure(\.events)?|er\..+";

fn escaped(prefix: &str) -> String {
    prefix.replace('.', r"\.")
}
