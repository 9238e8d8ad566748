//! The outcome as bars.

use std::{error::Error, io, path::Path};

use plotters::{
    backend::SVGBackend,
    drawing::IntoDrawingArea,
    element::{Rectangle, Text},
    style::{Color, IntoFont, RGBColor, WHITE},
};

const WIDTH: u32 = 860;
/// Of one bar, with what is between it and the next.
const ROW: i32 = 34;
/// Where the bars begin: the labels are before them.
const LEFT: i32 = 270;
/// Beyond the longest bar, for its value.
const RIGHT: i32 = 110;
const INK: RGBColor = RGBColor(0x22, 0x2b, 0x38);
const BAR: RGBColor = RGBColor(0x9a, 0xa8, 0xba);
const OURS: RGBColor = RGBColor(0x1f, 0x7a, 0x8c);

/// Draws what is on standard input: a title, then lines of a label, a tab and a value.
pub(crate) fn draw(file: &Path) -> Result<(), Box<dyn Error>> {
    let input = io::read_to_string(io::stdin())?;
    let mut lines = input.lines();
    let title = lines.next().ok_or("there is no title")?;
    let rows: Vec<(&str, f64)> = lines
        .map(|line| {
            let (label, value) = line.split_once('\t').ok_or("a line has no tab")?;
            Ok::<_, Box<dyn Error>>((label, value.parse()?))
        })
        .collect::<Result<_, _>>()?;
    let largest = rows
        .iter()
        .map(|(_, value)| *value)
        .fold(f64::MIN_POSITIVE, f64::max);
    let height = ROW * (i32::try_from(rows.len())? + 2);
    let area = SVGBackend::new(file, (WIDTH, height.unsigned_abs())).into_drawing_area();
    area.fill(&WHITE)?;
    let font = |size| ("sans-serif", size).into_font().color(&INK);
    area.draw(&Text::new(title, (16, 14), font(19)))?;
    let room = f64::from(i32::try_from(WIDTH)? - LEFT - RIGHT);
    for (row, (label, value)) in (0..).zip(&rows) {
        let top = ROW * (row + 1) + 14;
        #[expect(clippy::cast_possible_truncation, reason = "it is a number of pixels")]
        let end = LEFT + (room * value / largest) as i32;
        let colour = if label.starts_with("Signet") {
            OURS
        } else {
            BAR
        };
        area.draw(&Text::new(*label, (16, top + 4), font(16)))?;
        area.draw(&Rectangle::new(
            [(LEFT, top), (end, top + ROW - 10)],
            colour.filled(),
        ))?;
        area.draw(&Text::new(
            format!("{value:.0}"),
            (end + 8, top + 4),
            font(16),
        ))?;
    }
    area.present()?;
    Ok(())
}
