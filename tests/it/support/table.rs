//! Tables in text: a case a line, cells between `|`, `#` for comments.

use super::root;

/// A line of a table.
pub struct Row {
    pub line: usize,
    pub cells: Vec<String>,
}

/// The rows of a table under tests/data; all must have so many cells.
pub fn read(file: &str, columns: usize) -> Vec<Row> {
    let path = root("tests/data").join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let rows: Vec<Row> = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|(number, line)| Row {
            line: number + 1,
            cells: line.split('|').map(|cell| cell.trim().to_owned()).collect(),
        })
        .collect();
    for row in &rows {
        assert_eq!(row.cells.len(), columns, "{file}:{}", row.line);
    }
    assert!(!rows.is_empty(), "{file} is empty");
    rows
}
