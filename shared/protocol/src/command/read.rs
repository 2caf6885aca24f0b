//! From JSON to a command.

use super::{
    COMMAND_VERSION, Command, CommandCode, CommandError, CommandPart, Json, Origin, PART_NUMBER_MAX, Problems, Regulation,
    TENANT_BYTES_MAX, VersionRead, shown_name, version_is_read,
};
use crate::{Identifier, IdentifierKind, Millis, Operation, Options, Record, RequestId};
use std::collections::BTreeSet;

const FIELDS: [&str; 11] = [
    "version",
    "request_id",
    "tenant",
    "operation",
    "subjects",
    "received_at",
    "regulation",
    "origin",
    "ticket",
    "preserveEmptyAccount",
    "part",
];

/// Reads a command. `given` is the request id when the command does not carry one itself.
pub(crate) fn read_command(json: &Json, given: Option<RequestId>) -> Result<Command, CommandError> {
    let Some(fields) = json.object() else {
        return Err(CommandError::one(CommandCode::WrongType, ""));
    };
    // A newer version may have any other shape: nothing else is judged then.
    check_version(json)?;
    let mut reader = Reader {
        json,
        problems: Problems::default(),
    };
    reader.names("", fields, &FIELDS);
    let part = reader.part();
    let request_id = reader.id("request_id").or(given);
    if request_id.is_none() && !reader.has("request_id") {
        reader.problems.add(CommandCode::Missing, "request_id");
    }
    let tenant = reader.tenant();
    let operation = reader.word("operation", Operation::parse);
    if !reader.has("operation") {
        reader.problems.add(CommandCode::Missing, "operation");
    }
    let subjects = reader.subjects(Command::subjects_max(part));
    let received_at = reader.time("received_at");
    let regulation = reader.word("regulation", Regulation::parse);
    let origin = reader.word("origin", Origin::parse);
    let ticket = reader.id("ticket").map(String::from);
    let options = Options {
        preserve_empty_account: reader.flag("preserveEmptyAccount"),
    };
    reader.problems.end()?;
    let (Some(request_id), Some(tenant), Some(operation)) = (request_id, tenant, operation) else {
        return Err(CommandError::one(CommandCode::Missing, ""));
    };
    Ok(Command {
        request_id,
        tenant,
        operation,
        subjects,
        received_at,
        regulation,
        origin,
        ticket,
        options,
        part,
    })
}

fn check_version(json: &Json) -> Result<(), CommandError> {
    let refused = |code| Err(CommandError::one(code, "version"));
    let found = match json.get("version") {
        None => return refused(CommandCode::Missing),
        Some(Json::Integer(digits)) => digits,
        Some(_) => return refused(CommandCode::WrongType),
    };
    let Ok(found) = found.parse::<u32>() else {
        return refused(CommandCode::WrongType);
    };
    match version_is_read(COMMAND_VERSION, found) {
        VersionRead::Read => Ok(()),
        VersionRead::Older => refused(CommandCode::VersionOld),
        VersionRead::Newer => refused(CommandCode::VersionNewer),
    }
}

struct Reader<'a> {
    json: &'a Json,
    problems: Problems,
}

impl<'a> Reader<'a> {
    fn has(&self, field: &str) -> bool {
        self.json.get(field).is_some()
    }

    /// Every name is known and given once.
    fn names(&mut self, path: &str, fields: &[(String, Json)], known: &[&str]) {
        let mut seen = BTreeSet::new();
        for (name, _) in fields {
            if !known.contains(&name.as_str()) {
                self.problems
                    .add(CommandCode::UnknownField, format!("{path}{}", shown_name(name)));
            } else if !seen.insert(name) {
                self.problems.add(CommandCode::GivenTwice, format!("{path}{name}"));
            }
        }
    }

    /// A text field, if it is there; something else is a problem.
    fn text(&mut self, field: &str) -> Option<&'a str> {
        let value = self.json.get(field)?;
        let text = value.text();
        if text.is_none() {
            self.problems.add(CommandCode::WrongType, field);
        }
        text
    }

    /// What a text field means; a text without meaning is a problem under `code`.
    fn meaning<T>(&mut self, field: &str, code: CommandCode, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let text = self.text(field)?;
        let value = read(text);
        if value.is_none() {
            self.problems.add(code, field);
        }
        value
    }

    fn id(&mut self, field: &str) -> Option<RequestId> {
        self.meaning(field, CommandCode::BadId, |text| RequestId::new(text).ok())
    }

    fn word<T>(&mut self, field: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        self.meaning(field, CommandCode::UnknownWord, parse)
    }

    fn time(&mut self, field: &str) -> Option<Millis> {
        self.meaning(field, CommandCode::BadTime, Millis::from_rfc3339)
    }

    fn tenant(&mut self) -> Option<String> {
        if !self.has("tenant") {
            self.problems.add(CommandCode::Missing, "tenant");
        }
        self.meaning("tenant", CommandCode::BadTenant, |text| {
            let fits = !text.trim().is_empty() && text.len() <= TENANT_BYTES_MAX && !text.chars().any(char::is_control);
            fits.then(|| text.to_owned())
        })
    }

    fn flag(&mut self, field: &str) -> bool {
        match self.json.get(field) {
            None => false,
            Some(Json::Bool(value)) => *value,
            Some(_) => {
                self.problems.add(CommandCode::WrongType, field);
                false
            }
        }
    }

    fn part(&mut self) -> Option<CommandPart> {
        let value = self.json.get("part")?;
        let Some(fields) = value.object() else {
            self.problems.add(CommandCode::WrongType, "part");
            return None;
        };
        self.names("part.", fields, &["number", "last"]);
        let number = match value.get("number") {
            None => Err(CommandCode::Missing),
            Some(Json::Integer(digits)) => digits
                .parse()
                .ok()
                .filter(|number| *number <= PART_NUMBER_MAX)
                .ok_or(CommandCode::BadPart),
            Some(_) => Err(CommandCode::WrongType),
        };
        let last = match value.get("last") {
            None => Err(CommandCode::Missing),
            Some(Json::Bool(last)) => Ok(*last),
            Some(_) => Err(CommandCode::WrongType),
        };
        let number = number.map_err(|code| self.problems.add(code, "part.number")).ok();
        let last = last.map_err(|code| self.problems.add(code, "part.last")).ok();
        Some(CommandPart {
            number: number?,
            last: last?,
        })
    }

    fn subjects(&mut self, max: usize) -> Vec<Record> {
        let list = match self.json.get("subjects") {
            Some(Json::List(list)) => list,
            Some(_) => {
                self.problems.add(CommandCode::WrongType, "subjects");
                return Vec::new();
            }
            None => {
                self.problems.add(CommandCode::Missing, "subjects");
                return Vec::new();
            }
        };
        if list.is_empty() {
            self.problems.add(CommandCode::NoSubjects, "subjects");
        }
        if list.len() > max {
            self.problems.add(CommandCode::TooManySubjects, "subjects");
            return Vec::new();
        }
        list.iter()
            .enumerate()
            .map(|(at, subject)| self.subject(at, subject))
            .collect()
    }

    fn subject(&mut self, at: usize, subject: &Json) -> Record {
        let mut record = Record::new();
        let Some(fields) = subject.object() else {
            self.problems.add(CommandCode::WrongType, format!("subjects[{at}]"));
            return record;
        };
        if fields.is_empty() {
            self.problems.add(CommandCode::NoIdentifiers, format!("subjects[{at}]"));
        }
        for (name, value) in fields {
            let path = || format!("subjects[{at}].{}", shown_name(name));
            let Some(kind) = IdentifierKind::new(name) else {
                self.problems.add(CommandCode::UnknownKind, path());
                continue;
            };
            match identifier(value) {
                Err(code) => self.problems.add(code, path()),
                Ok(_) if record.contains_key(&kind) => self.problems.add(CommandCode::GivenTwice, path()),
                Ok(value) => {
                    record.insert(kind, value);
                }
            }
        }
        record
    }
}

fn identifier(value: &Json) -> Result<Identifier, CommandCode> {
    let text = match value {
        Json::Text(text) | Json::Integer(text) => text,
        Json::Null | Json::Bool(_) | Json::Fraction | Json::List(_) | Json::Object(_) => {
            return Err(CommandCode::IdentifierNotText);
        }
    };
    Identifier::new(text.as_str()).ok_or_else(|| {
        if text.contains('\0') {
            CommandCode::IdentifierNul
        } else if text.trim().is_empty() {
            CommandCode::IdentifierEmpty
        } else {
            CommandCode::IdentifierTooLong
        }
    })
}
