//! Rust as text: code without comments, quotations and unit tests, and its words.

/// The text without its unit tests: those at the foot of the file, and the declarations of those that stand
/// in a file of their own.
pub fn without_tests(text: &str) -> String {
    const SIGN: &str = "#[cfg(test)]\n";
    let mut own = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(SIGN) {
        let (before, after) = rest.split_at(at);
        own.push_str(before);
        let line = after[SIGN.len()..].trim_start_matches(|letter| letter != 'm' && letter != 'p');
        let item = &line[..line.find([';', '{']).map_or(line.len(), |end| end + 1)];
        if item.contains("mod ") && item.ends_with('{') {
            return own;
        }
        let is_declaration = item.contains("mod ") && item.ends_with(';');
        let skipped = if is_declaration {
            after.len() - line.len() + item.len()
        } else {
            SIGN.len()
        };
        rest = &after[skipped..];
    }
    own.push_str(rest);
    own
}

/// The text without comments and without what stands in quotes.
pub fn code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let skipped = passage(rest);
        if skipped == 0 {
            code.push(next);
            rest = &rest[next.len_utf8()..];
        } else {
            code.push(' ');
            rest = &rest[skipped..];
        }
    }
    code
}

/// The length of the comment or quotation that `text` begins with; 0 if it doesn't.
fn passage(text: &str) -> usize {
    let to = |end: &str, from: usize| {
        let found = text[from..].find(end);
        found.map_or(text.len(), |at| from + at + end.len())
    };
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return to("*/", 2);
    }
    if text.starts_with("r#\"") {
        return to("\"#", 3);
    }
    if text.starts_with("r\"") {
        return to("\"", 2);
    }
    if text.starts_with('"') {
        return quotation(text);
    }
    // A character, such as '"' or '\''; a lifetime has no second quote so near.
    let mut characters = text.char_indices();
    match (characters.next(), characters.next(), characters.next()) {
        (Some((_, '\'')), Some((_, '\\')), Some((at, escaped))) => to("'", at + escaped.len_utf8()),
        (Some((_, '\'')), Some(_), Some((at, '\''))) => at + 1,
        _ => 0,
    }
}

fn quotation(text: &str) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => return at + 1,
            _ => escaped = false,
        }
    }
    text.len()
}

/// Identifiers, `::`, and every other character that isn't space, in order.
pub fn words(code: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut within = false;
    for character in code.chars() {
        let part = character.is_alphanumeric() || character == '_';
        match words.last_mut() {
            Some(last) if part && within => last.push(character),
            Some(last) if character == ':' && last == ":" => last.push(':'),
            _ if character.is_whitespace() => {}
            _ => words.push(character.to_string()),
        }
        within = part;
    }
    words
}
