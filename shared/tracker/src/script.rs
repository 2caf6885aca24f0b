//! The Lua scripts, and the call of one.

use crate::broken;
use erasure_protocol::RequestKey;
use redis::{Cmd, Script};
use std::sync::LazyLock;

macro_rules! scripts {
    ($($name:ident = $($file:literal)+;)*) => {
        /// One of the tracker's scripts.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Name { $($name,)* }

        impl Name {
            pub(crate) fn code(self) -> &'static str {
                match self { $(Self::$name => concat!($(include_str!($file)),+),)* }
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
    Init = "scripts/common.lua" "scripts/init.lua" "scripts/each.lua";
    Claim = "scripts/common.lua" "scripts/claim.lua" "scripts/each.lua";
    Mark = "scripts/common.lua" "scripts/mark.lua" "scripts/each.lua";
    Unfail = "scripts/common.lua" "scripts/unfail.lua" "scripts/each.lua";
    Recount = "scripts/common.lua" "scripts/recount.lua" "scripts/each.lua";
    Finish = "scripts/common.lua" "scripts/finish.lua" "scripts/each.lua";
    HighWater = "scripts/high_water.lua";
    Allowance = "scripts/allowance.lua";
}

/// What a script on requests is to do for one of them.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) request: RequestKey,
    pub(crate) args: Vec<Vec<u8>>,
}

impl Ask {
    pub(crate) fn of(request: RequestKey) -> Self {
        Self {
            request,
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

    /// One request's part of a call on several.
    pub(crate) fn ask(&mut self, keys: [String; 2], ask: Ask) {
        self.keys.extend(keys);
        self.args.push(ask.args.len().to_string().into_bytes());
        self.args.push(ask.request.as_uuid().as_bytes().to_vec());
        self.args.extend(ask.args);
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
