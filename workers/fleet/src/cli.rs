//! The command line. What each command does is in the module of its name under `commands`.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Erasure Fleet: erases people from every part of an estate, and says "erased" only when it is so.
#[derive(Debug, Parser)]
#[command(name = "erasure", version, max_term_width = 110, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// The configuration file.
    #[arg(long, global = true, env = crate::config::CONFIG_VARIABLE, default_value = "erasure.toml", value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Print data as JSON, for other programs.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Everything that `erasure` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run roles of the fleet in this process until SIGTERM.
    Run(RunArgs),
    /// Ask for a person to be erased (or deactivated, or reactivated).
    Request(RequestArgs),
    /// Ask for everybody in a CSV or NDJSON file.
    Import(ImportArgs),
    /// How far a request is.
    Status(StatusArgs),
    /// Find a person's requests by any identifier.
    Find(PersonArgs),
    /// Everything that is held of a person, by subsystem, table and column.
    Lookup(PersonArgs),
    /// What needs somebody: list, show, redrive, discard.
    #[command(subcommand)]
    Attention(AttentionCommand),
    /// The data map.
    #[command(subcommand)]
    Map(MapCommand),
    /// RabbitMQ's exchanges and queues.
    #[command(subcommand)]
    Topology(TopologyCommand),
    /// The durable record.
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// The parts of the estate that every request must pass.
    #[command(subcommand)]
    Subsystem(SubsystemCommand),
    /// The key ring.
    #[command(subcommand)]
    Key(KeyCommand),
    /// The configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Completions for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// `all`, or any of: intake, reconciler, api, and the names of subsystems.
    #[arg(required = true, value_name = "ROLE")]
    pub(crate) roles: Vec<String>,
}

/// One person, by identifiers.
#[derive(Debug, Args)]
pub(crate) struct PersonArgs {
    /// The tenant, by account number or exact account name.
    #[arg(long)]
    pub(crate) tenant: String,
    /// An identifier, for example `user_id=42`, or `email=…` together with `business_unit=…`.
    #[arg(required = true, value_name = "KIND=VALUE")]
    pub(crate) identifiers: Vec<String>,
}

/// What is asked, whoever it is asked for.
#[derive(Debug, Args)]
pub(crate) struct AskArgs {
    /// The tenant, by account number or exact account name.
    #[arg(long)]
    pub(crate) tenant: String,
    /// What to do.
    #[arg(long, value_enum, default_value = "erase")]
    pub(crate) operation: OperationArg,
    /// The request's id; made up when left out. The same id never starts twice.
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// When the person asked (RFC 3339); the clock counts from here. Now, when left out.
    #[arg(long, value_name = "TIME")]
    pub(crate) received_at: Option<String>,
    /// Whose time limit counts; the tenant's, when left out.
    #[arg(long, value_parser = ["gdpr", "ccpa", "thirty_days"])]
    pub(crate) regulation: Option<String>,
    /// The ticket it belongs to.
    #[arg(long)]
    pub(crate) ticket: Option<String>,
    /// Keep an account when its last participant is erased.
    #[arg(long)]
    pub(crate) preserve_empty_account: bool,
    /// Wait until it is final, showing progress. Exit code 0 only when it was carried out.
    #[arg(long)]
    pub(crate) watch: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OperationArg {
    /// Permanent.
    Erase,
    /// Blocks log-in, keeps all data.
    Deactivate,
    /// Takes a deactivation back.
    Reactivate,
}

#[derive(Debug, Args)]
pub(crate) struct RequestArgs {
    #[command(flatten)]
    pub(crate) ask: AskArgs,
    /// Only look: print what would be touched, in rows, and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// An identifier of the person, for example `user_id=42`, or `email=…` together with `business_unit=…`.
    #[arg(required = true, value_name = "KIND=VALUE")]
    pub(crate) identifiers: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    #[command(flatten)]
    pub(crate) ask: AskArgs,
    /// A `.csv` file whose header names identifier kinds, or an `.ndjson` file with one object a line.
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The request's id.
    pub(crate) id: String,
    /// The tenant, where two tenants use the same id.
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// Go on until it is final. Exit code 0 only when it was carried out.
    #[arg(long)]
    pub(crate) watch: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AttentionCommand {
    /// Failed tasks and parked messages.
    List(AttentionFilterArgs),
    /// One of them in full, with what to do.
    Show {
        /// A request's id, or a parked message's.
        id: String,
        /// The tenant, where two tenants use the same id.
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Try again, once the cause is gone.
    Redrive {
        #[command(flatten)]
        which: AttentionFilterArgs,
        /// Everything that matches nothing narrower.
        #[arg(long)]
        all: bool,
        /// Who does it.
        #[arg(long, env = "ERASURE_ACTOR")]
        actor: String,
    },
    /// Give up: the request ends as "closed, not erased".
    Discard {
        /// A request's id, or a parked message's.
        id: String,
        /// The tenant, where two tenants use the same id.
        #[arg(long)]
        tenant: Option<String>,
        /// Who does it.
        #[arg(long, env = "ERASURE_ACTOR")]
        actor: String,
        /// Why, as a code, for example `duplicate` or `not-our-customer`.
        #[arg(long)]
        reason: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AttentionFilterArgs {
    /// Only this request.
    #[arg(long)]
    pub(crate) request: Option<String>,
    /// Only this subsystem.
    #[arg(long)]
    pub(crate) subsystem: Option<String>,
    /// Only this code, for example `STORE-012`.
    #[arg(long)]
    pub(crate) code: Option<String>,
    /// Only this tenant.
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// Only this parked message.
    #[arg(long, value_name = "ID")]
    pub(crate) parked: Option<String>,
    /// Only parked messages that came from this queue, as the list names it.
    #[arg(long)]
    pub(crate) queue: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MapCommand {
    /// Compare the data map with the live stores.
    Check,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TopologyCommand {
    /// The table, the definitions for an administrator, and the permissions each role needs.
    Show {
        /// Only the definitions, in RabbitMQ's import format.
        #[arg(long)]
        definitions: bool,
    },
    /// Declare what is missing.
    Apply,
    /// Compare the broker with the table.
    Verify,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    /// Bring the ledger's schema up to date. Needs a login that may create tables.
    Migrate,
    /// The statements that let a login run the fleet on a PostgreSQL ledger.
    Grants {
        /// The login.
        role: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum SubsystemCommand {
    /// Which are registered.
    List,
    /// Take one out: new requests need not pass it.
    Retire {
        /// Its name.
        name: String,
        /// Why, as a code.
        #[arg(long)]
        reason: String,
        /// Who does it.
        #[arg(long, env = "ERASURE_ACTOR")]
        actor: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a new key ring.
    Generate,
    /// The keys, without their material.
    List,
    /// Begin a new period: a new current key; the old one still opens.
    Rotate {
        /// Which purpose.
        #[arg(long, default_value = "seal", value_parser = ["seal", "lookup", "park"])]
        purpose: String,
    },
    /// Destroy a key's material: what it sealed can never be read again.
    Retire {
        /// The key's id.
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check the configuration, the data map and the key ring, connecting to nothing.
    Check,
    /// The JSON Schema of the configuration file.
    Schema,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
