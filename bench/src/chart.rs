//! Draws the bar chart.

use std::{error::Error, io, path::Path};

use plotters::{
    backend::SVGBackend,
    drawing::IntoDrawingArea,
    element::{Rectangle, Text},
    style::{Color, IntoFont, RGBColor, WHITE},
};

const WIDTH: u32 = 860;
const ROW_HEIGHT: i32 = 34;
const LABEL_WIDTH: i32 = 270;
const VALUE_WIDTH: i32 = 110;
const TEXT_COLOR: RGBColor = RGBColor(0x22, 0x2b, 0x38);
const SIGNET_COLOR: RGBColor = RGBColor(0x1f, 0x7a, 0x8c);
const OTHER_COLOR: RGBColor = RGBColor(0x9a, 0xa8, 0xba);

/// Writes a bar for each line `label<TAB>value` of standard input.
pub(crate) fn draw(file: &Path, title: &str) -> Result<(), Box<dyn Error>> {
    let mut rows: Vec<(String, f64)> = Vec::new();
    for line in io::stdin().lines() {
        let line = line?;
        let (label, value) = line.split_once('\t').ok_or("a line has no tab")?;
        rows.push((label.to_owned(), value.parse()?));
    }
    let largest = rows.iter().map(|row| row.1).fold(1.0, f64::max);
    let height = ROW_HEIGHT * (i32::try_from(rows.len())? + 2);
    let area = SVGBackend::new(file, (WIDTH, height.unsigned_abs())).into_drawing_area();
    area.fill(&WHITE)?;
    let text = |content: String, x, y, size| {
        let font = ("sans-serif", size).into_font().color(&TEXT_COLOR);
        Text::new(content, (x, y), font)
    };
    area.draw(&text(title.to_owned(), 16, 14, 19))?;
    let scale = f64::from(i32::try_from(WIDTH)? - LABEL_WIDTH - VALUE_WIDTH) / largest;
    let mut top = 14;
    for (label, value) in rows {
        top += ROW_HEIGHT;
        #[expect(clippy::cast_possible_truncation, reason = "at most WIDTH")]
        let end = LABEL_WIDTH + (scale * value) as i32;
        let is_signet = label.starts_with("Signet");
        let color = if is_signet { SIGNET_COLOR } else { OTHER_COLOR };
        let corners = [(LABEL_WIDTH, top), (end, top + ROW_HEIGHT - 10)];
        area.draw(&text(label, 16, top + 4, 16))?;
        area.draw(&Rectangle::new(corners, color.filled()))?;
        area.draw(&text(format!("{value:.0}"), end + 8, top + 4, 16))?;
    }
    Ok(area.present()?)
}
