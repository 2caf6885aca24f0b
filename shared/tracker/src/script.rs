//! The Lua scripts, and the call of one.

use crate::broken;
use redis::{Cmd, Script};
use std::sync::LazyLock;

macro_rules! scripts {
    ($($name:ident = $file:literal;)*) => {
        /// One of the tracker's scripts.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Name { $($name,)* }

        impl Name {
            pub(crate) fn code(self) -> &'static str {
                match self { $(Self::$name => concat!(include_str!("scripts/common.lua"), include_str!($file)),)* }
            }

            fn hash(self) -> &'static str {
                match self {
                    $(Self::$name => {
                        static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(&broken::text(Name::$name.code())));
                        SCRIPT.get_hash()
                    })*
                }
            }
        }
    };
}

scripts! {
    Init = "scripts/init.lua";
    Claim = "scripts/claim.lua";
    Mark = "scripts/mark.lua";
    Unfail = "scripts/unfail.lua";
    Recount = "scripts/recount.lua";
    Finish = "scripts/finish.lua";
    HighWater = "scripts/high_water.lua";
    Allowance = "scripts/allowance.lua";
}

/// A call of a script, which can be sent by its hash or, when the server has lost it, in full.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    name: Name,
    keys: Vec<String>,
    args: Vec<Vec<u8>>,
}

impl Call {
    pub(crate) fn new(name: Name, keys: Vec<String>) -> Self {
        Self {
            name,
            keys,
            args: Vec::new(),
        }
    }

    pub(crate) fn arg(mut self, value: impl AsRef<[u8]>) -> Self {
        self.args.push(value.as_ref().to_vec());
        self
    }

    pub(crate) fn number(self, value: impl ToString) -> Self {
        self.arg(value.to_string())
    }

    pub(crate) fn by_hash(&self) -> Cmd {
        self.command("EVALSHA", self.name.hash())
    }

    /// Runs it from its text, which also puts it back into the server's cache.
    pub(crate) fn in_full(&self) -> Cmd {
        self.command("EVAL", &broken::text(self.name.code()))
    }

    /// What is run, on which keys, with which arguments.
    #[cfg(feature = "double")]
    pub(crate) fn parts(&self) -> (Name, &[String], &[Vec<u8>]) {
        (self.name, &self.keys, &self.args)
    }

    fn command(&self, verb: &str, script: &str) -> Cmd {
        let mut command = redis::cmd(verb);
        command.arg(script).arg(self.keys.len()).arg(&self.keys).arg(&self.args);
        command
    }
}
