//! `erasure topology`: what the fleet needs on RabbitMQ.

use crate::assemble::Fleet;
use crate::cli::TopologyCommand;
use crate::output::{Output, table};
use anyhow::anyhow;
use erasure_broker::{Applied, Argument, Permission, Problem, Row, Topology};
use serde::Serialize;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Shows, applies or verifies.
///
/// # Errors
/// When the broker cannot be reached, is too old, or refuses.
pub(crate) async fn run(fleet: &Fleet, command: &TopologyCommand, out: Output) -> anyhow::Result<ExitCode> {
    let topology = fleet.topology();
    match command {
        TopologyCommand::Show { definitions: true } => {
            out.text(&topology.definitions_json())?;
            Ok(ExitCode::SUCCESS)
        }
        TopologyCommand::Show { definitions: false } => show(&topology, out),
        TopologyCommand::Apply => apply(fleet, &topology, out).await,
        TopologyCommand::Verify => verify(fleet, &topology, out).await,
    }
}

fn show(topology: &Topology, out: Output) -> anyhow::Result<ExitCode> {
    let rows = topology.table();
    let permissions = topology.permissions();
    let definitions: Value = serde_json::from_str(&topology.definitions_json())?;
    let document = json!({
        "table": rows.iter().map(row_json).collect::<Vec<_>>(),
        "permissions": permissions.iter().map(permission_json).collect::<Vec<_>>(),
        "definitions": definitions,
    });
    out.document(&document, || {
        let all = table(&["what", "name", "properties"], rows.iter().map(row_text));
        let header = ["role", "configure", "write", "read", "routing keys"];
        let rights = table(&header, permissions.iter().map(permission_text));
        format!(
            "{all}\nPermissions, for `rabbitmqctl set_permissions` and `set_topic_permissions`\n{rights}\n\
             `erasure topology show --definitions` prints what an administrator can import."
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn apply(fleet: &Fleet, topology: &Topology, out: Output) -> anyhow::Result<ExitCode> {
    let applied = Box::pin(erasure_broker::apply(&fleet.config.broker, topology)).await;
    let Applied {
        server,
        exchanges,
        queues,
        bindings,
    } = applied.map_err(|error| anyhow!("applying the topology: {}", error.detail()))?;
    let document = json!({ "server": format!("{server}"), "exchanges": exchanges, "queues": queues, "bindings": bindings });
    out.document(&document, || {
        format!("RabbitMQ {server} has {exchanges} exchanges, {queues} queues and {bindings} bindings of the fleet.")
    })?;
    Ok(ExitCode::SUCCESS)
}

#[derive(Serialize)]
struct Found {
    blocking: bool,
    problem: String,
}

async fn verify(fleet: &Fleet, topology: &Topology, out: Output) -> anyhow::Result<ExitCode> {
    let verified = Box::pin(erasure_broker::verify(&fleet.config.broker, topology)).await;
    let problems = verified.map_err(|error| anyhow!("verifying the topology: {}", error.detail()))?;
    let found: Vec<_> = problems.iter().map(found).collect();
    let sound = !found.iter().any(|it| it.blocking);
    out.list(&found, || {
        let lines = found
            .iter()
            .map(|it| format!("{}: {}\n", if it.blocking { "error" } else { "note" }, it.problem));
        let end = if sound {
            "What the fleet needs is there."
        } else {
            "The fleet must not start like this."
        };
        format!("{}{end}", lines.collect::<String>())
    })?;
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn found(problem: &Problem) -> Found {
    Found {
        blocking: problem.is_blocking(),
        problem: problem.to_string(),
    }
}

fn row_text(row: &Row) -> Vec<String> {
    match row {
        Row::Exchange { name, kind, alternate } => {
            let alternate = alternate
                .as_ref()
                .map_or_else(String::new, |to| format!(", what nobody wants goes to {to}"));
            vec!["exchange".to_owned(), name.clone(), format!("{}{alternate}", kind.as_str())]
        }
        Row::Queue { name, arguments } => {
            let arguments: Vec<_> = arguments
                .iter()
                .map(|(name, value)| format!("{name}={}", argument_text(value)))
                .collect();
            vec!["queue".to_owned(), name.clone(), arguments.join(" ")]
        }
        Row::Binding { exchange, queue, key } => {
            vec![
                "binding".to_owned(),
                queue.clone(),
                format!("from {exchange} by {}", if key.is_empty() { "(any)" } else { key }),
            ]
        }
    }
}

fn row_json(row: &Row) -> Value {
    match row {
        Row::Exchange { name, kind, alternate } => {
            json!({ "what": "exchange", "name": name, "type": kind.as_str(), "alternate": alternate })
        }
        Row::Queue { name, arguments } => {
            let arguments: serde_json::Map<_, _> = arguments
                .iter()
                .map(|(name, value)| ((*name).to_owned(), argument_json(value)))
                .collect();
            json!({ "what": "queue", "name": name, "arguments": arguments })
        }
        Row::Binding { exchange, queue, key } => json!({ "what": "binding", "exchange": exchange, "queue": queue, "key": key }),
    }
}

fn argument_text(argument: &Argument) -> String {
    match argument {
        Argument::Text(text) => text.clone(),
        Argument::Number(number) => number.to_string(),
    }
}

fn argument_json(argument: &Argument) -> Value {
    match argument {
        Argument::Text(text) => json!(text),
        Argument::Number(number) => json!(number),
    }
}

fn permission_text(permission: &Permission) -> Vec<String> {
    let Permission {
        role,
        configure,
        write,
        read,
        topic,
    } = permission;
    let keys = topic
        .as_ref()
        .map_or_else(|| "any".to_owned(), |topic| format!("{} on {}", topic.write, topic.exchange));
    vec![role.as_str().to_owned(), configure.clone(), write.clone(), read.clone(), keys]
}

fn permission_json(permission: &Permission) -> Value {
    let Permission {
        role,
        configure,
        write,
        read,
        topic,
    } = permission;
    let topic = topic
        .as_ref()
        .map(|topic| json!({ "exchange": topic.exchange, "write": topic.write }));
    json!({ "role": role.as_str(), "configure": configure, "write": write, "read": read, "topic": topic })
}
