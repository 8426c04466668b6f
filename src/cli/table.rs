//! Rows for people: columns as wide as their widest cell, two blanks between them.

use std::io;

/// What stands in the place of a table without nodes.
pub const HOW_TO_BEGIN: &str = "There are no nodes yet. Add the first, or a leader:\n  \
    forebay backends add http://10.0.0.11:8545\n  \
    forebay backends add 'https://mainnet.infura.io/v3/${INFURA_KEY}' --leader";

/// Writes `rows`, headings first. Control characters become `?`: what stands in a registry or
/// comes from a node must not steer the terminal.
///
/// # Errors
/// When `out` can't be written.
pub fn write<const COLUMNS: usize>(
    out: &mut dyn io::Write,
    rows: &[[String; COLUMNS]],
) -> io::Result<()> {
    let widths: [usize; COLUMNS] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    });
    for row in rows {
        let cells = row.iter().zip(widths);
        let line: Vec<_> = cells
            .map(|(cell, width)| format!("{:width$}", printable(cell)))
            .collect();
        writeln!(out, "{}", line.join("  ").trim_end())?;
    }
    Ok(())
}

/// `text` without control characters.
pub fn printable(text: &str) -> String {
    let plain = |letter: char| if letter.is_control() { '?' } else { letter };
    text.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_control_characters_are_taken_out() {
        let rows = [["A", "LAST"], ["l\u{1b}ng", "x"], ["é", ""]];
        let mut out = Vec::new();
        write(&mut out, &rows.map(|row| row.map(str::to_string))).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert_eq!(out, "A     LAST\nl?ng  x\né\n");
    }
}
