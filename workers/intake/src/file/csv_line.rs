//! One line of CSV (RFC 4180). A quoted field ends in its line: an open quote must not swallow the rest of the file.

use super::LineCode;

/// The fields of a line.
pub(super) fn fields(line: &str) -> Result<Vec<String>, LineCode> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(inside) => quoted(inside)?,
            None => plain(rest)?,
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(fields),
            None => return Err(LineCode::BadQuote),
        }
    }
}

fn plain(text: &str) -> Result<(String, &str), LineCode> {
    let (field, after) = text.split_at(text.find(',').unwrap_or(text.len()));
    if field.contains('"') {
        Err(LineCode::BadQuote)
    } else {
        Ok((field.to_owned(), after))
    }
}

fn quoted(mut text: &str) -> Result<(String, &str), LineCode> {
    let mut field = String::new();
    loop {
        let end = text.find('"').ok_or(LineCode::BadQuote)?;
        field.push_str(&text[..end]);
        text = &text[end + 1..];
        match text.strip_prefix('"') {
            Some(after) => {
                field.push('"');
                text = after;
            }
            None => return Ok((field, text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_protect_commas_and_quotes() {
        assert_eq!(fields(r#"a,"b,c","d""e",,"#).unwrap(), ["a", "b,c", "d\"e", "", ""]);
        assert_eq!(fields("").unwrap(), [""]);
    }

    #[test]
    fn an_open_or_stray_quote_is_told() {
        for line in [r#""a"#, r#"a"b"#, r#""a"b,c"#, r#"a,""#] {
            assert_eq!(fields(line), Err(LineCode::BadQuote), "{line}");
        }
    }
}
