//! Runs a script as Redis does: its keys and arguments in `KEYS` and `ARGV`, `redis.call` on the keys of the double.
//!
//! One interpreter for each thread, its scripts compiled once: a script may set no global, so that one run leaves nothing to the next.

use super::keyspace::Keyspace;
use super::reply::{Refusal, Reply};
use super::structs;
use crate::broken;
use crate::script::Name;
use erasure_protocol::Millis;
use mlua::{Error, Function, Lua, LuaOptions, LuaString, MultiValue, Result, StdLib, Table, Value};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::mem::swap;
use std::rc::Rc;

thread_local! {
    static INTERPRETER: Interpreter = Interpreter::new().expect("the interpreter's own set-up needs nothing but memory");
}

struct Interpreter {
    lua: Lua,
    scripts: RefCell<BTreeMap<Name, Function>>,
    desk: Rc<RefCell<Desk>>,
}

/// What the running script works on.
#[derive(Default)]
struct Desk {
    keys: Keyspace,
    now: Millis,
}

/// Runs a script on these keys. Time stands still for it. What it did before it failed stays, as in Redis.
pub(super) fn run(keyspace: &mut Keyspace, now: Millis, name: Name, keys: &[String], args: &[Vec<u8>]) -> Reply {
    let answer = INTERPRETER.with(|it| {
        it.exchange(keyspace, now);
        let answer = it.run(name, keys, args);
        it.exchange(keyspace, now);
        answer
    });
    answer.map_err(|error| Refusal(format!("ERR {error} in script {name:?}")))
}

impl Interpreter {
    fn new() -> Result<Self> {
        // Without the just-in-time compiler: the scripts make their functions anew at each run, and compiling costs more than it saves.
        let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH | StdLib::BIT;
        let lua = Lua::new_with(libraries, LuaOptions::default())?;
        let desk = Rc::new(RefCell::new(Desk::default()));
        let redis = lua.create_table()?;
        let work = Rc::clone(&desk);
        redis.raw_set("call", lua.create_function(move |lua, words| call(lua, &work, words))?)?;
        let globals = lua.globals();
        globals.raw_set("redis", redis)?;
        globals.raw_set("struct", structs::library(&lua)?)?;
        forbid_globals(&lua, &globals)?;
        Ok(Self {
            lua,
            scripts: RefCell::default(),
            desk,
        })
    }

    fn exchange(&self, keyspace: &mut Keyspace, now: Millis) {
        let mut desk = self.desk.borrow_mut();
        swap(&mut desk.keys, keyspace);
        desk.now = now;
    }

    fn run(&self, name: Name, keys: &[String], args: &[Vec<u8>]) -> Result<redis::Value> {
        let script = self.script(name)?;
        let globals = self.lua.globals();
        globals.raw_set("KEYS", self.strings(keys)?)?;
        globals.raw_set("ARGV", self.strings(args)?)?;
        answer(&script.call::<Value>(())?)
    }

    fn script(&self, name: Name) -> Result<Function> {
        if let Some(known) = self.scripts.borrow().get(&name) {
            return Ok(known.clone());
        }
        let script = self
            .lua
            .load(&*broken::text(name.code()))
            .set_name(format!("@{name:?}"))
            .into_function()?;
        self.scripts.borrow_mut().insert(name, script.clone());
        Ok(script)
    }

    fn strings(&self, list: &[impl AsRef<[u8]>]) -> Result<Table> {
        let table = self.lua.create_table_with_capacity(list.len(), 0)?;
        for it in list {
            table.raw_push(self.lua.create_string(it)?)?;
        }
        Ok(table)
    }
}

/// As Redis does: a script that sets a global, or reads one that is not there, fails.
fn forbid_globals(lua: &Lua, globals: &Table) -> Result<()> {
    let refuse = lua.create_function(|_, (_, name): (Value, LuaString)| -> Result<()> {
        Err(Error::runtime(format!(
            "a script may not use the global variable {}",
            name.display()
        )))
    })?;
    let rules = lua.create_table()?;
    rules.raw_set("__index", &refuse)?;
    rules.raw_set("__newindex", refuse)?;
    globals.set_metatable(Some(rules))
}

/// `redis.call`: a refused command ends the script.
fn call(lua: &Lua, desk: &RefCell<Desk>, words: MultiValue) -> Result<Value> {
    let words: Vec<Vec<u8>> = words.iter().map(word).collect::<Result<_>>()?;
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    let desk = &mut *desk.borrow_mut();
    let reply = desk.keys.run(desk.now, &words).map_err(|refusal| Error::runtime(refusal.0))?;
    reply_to_lua(lua, &reply)
}

fn word(value: &Value) -> Result<Vec<u8>> {
    match value {
        Value::String(text) => Ok(text.as_bytes().to_vec()),
        Value::Integer(number) => Ok(number.to_string().into_bytes()),
        other => Err(Error::runtime(format!(
            "redis.call takes strings and whole numbers, not a {}",
            other.type_name()
        ))),
    }
}

fn reply_to_lua(lua: &Lua, reply: &redis::Value) -> Result<Value> {
    match reply {
        redis::Value::Nil => Ok(Value::Boolean(false)),
        redis::Value::Int(number) => Ok(Value::Integer(*number)),
        redis::Value::BulkString(bytes) => lua.create_string(bytes).map(Value::String),
        redis::Value::Array(all) => {
            let table = lua.create_table_with_capacity(all.len(), 0)?;
            for it in all {
                table.raw_push(reply_to_lua(lua, it)?)?;
            }
            Ok(Value::Table(table))
        }
        _ => Err(Error::runtime("an answer that the double does not know")),
    }
}

/// A script's answer: a list ends at its first nil, a fraction is cut off.
fn answer(value: &Value) -> Result<redis::Value> {
    match value {
        Value::Nil | Value::Boolean(false) => Ok(redis::Value::Nil),
        Value::Boolean(true) => Ok(redis::Value::Int(1)),
        Value::Integer(number) => Ok(redis::Value::Int(*number)),
        Value::String(text) => Ok(redis::Value::BulkString(text.as_bytes().to_vec())),
        Value::Table(list) => {
            let all: Result<Vec<_>> = list.sequence_values::<Value>().map(|it| answer(&it?)).collect();
            Ok(redis::Value::Array(all?))
        }
        other => Err(Error::runtime(format!(
            "a script may not answer with a {}",
            other.type_name()
        ))),
    }
}
