//! Redis' Lua library `struct`, as far as the scripts use it.

use mlua::{Lua, Result, Table};

pub(super) fn library(lua: &Lua) -> Result<Table> {
    lua.load(include_str!("struct.lua")).set_name("@struct").eval()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlua::{BString, FromLuaMulti, Value};

    fn eval<T: FromLuaMulti>(code: &str) -> Result<T> {
        let lua = Lua::new();
        lua.globals().set("struct", library(&lua)?)?;
        lua.load(code).eval()
    }

    /// The bytes are those that a real Redis gives.
    #[test]
    fn integers_travel_as_in_redis() -> Result<()> {
        let packed: BString = eval("return struct.pack('>i4I6I2', -2, 1790000000123, 512)")?;
        assert_eq!(*packed, [255, 255, 255, 254, 1, 160, 196, 80, 108, 123, 2, 0][..]);
        let back: (i64, i64, i64, i64) = eval("return struct.unpack('>i4I6I2', struct.pack('>i4I6I2', -2, 1790000000123, 512))")?;
        assert_eq!(back, (-2, 1_790_000_000_123, 512, 13));
        let wrapped: BString = eval("return struct.pack('>i4', 4294967295)")?;
        assert_eq!(*wrapped, [255; 4][..]);
        Ok(())
    }

    #[test]
    fn what_the_scripts_do_not_use_is_refused() {
        assert!(eval::<Value>("return struct.pack('<i4', 1)").is_err());
        assert!(eval::<Value>("return struct.pack('>s', 'a')").is_err());
        assert!(eval::<Value>("return struct.pack('>i4')").is_err());
        assert!(eval::<Value>("return struct.unpack('>i4', 'abc')").is_err());
    }
}
