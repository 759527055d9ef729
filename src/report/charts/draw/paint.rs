//! Pictures as files: the same shapes as PNG and as SVG.

use ab_glyph_rasterizer::{Rasterizer, point};
use plotters::backend::{BitMapBackend, DrawingBackend, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, FontDesc, FontFamily, FontStyle, RGBColor, TextStyle};

use super::font::Weight;
use super::scene::{Anchor, Ink, Scene, Shape, Text, WHITE, WIDTH};

/// Pixels of a PNG for each pixel of the picture: sharp on paper and on fine screens.
const PNG_SCALE: f64 = 2.0;
/// The library takes whole coordinates only; an SVG has this many of them to a pixel.
const SVG_SCALE: f64 = 10.0;
/// In which letters an SVG is shown: those of the PNG where the viewer has them.
const FAMILY: &str = "Inter, 'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', sans-serif";
/// What the library writes into every text instead, to be taken out again.
const NO_FAMILY: &str = "-";
/// The library makes the font of an SVG smaller by this.
const FONT_FACTOR: f64 = 1.24;
/// Where the library puts the base line below the point of a text, in parts of the font's size.
const BASE_LINE: f64 = 0.76;

fn color(ink: Ink) -> RGBColor {
    RGBColor(ink.0[0], ink.0[1], ink.0[2])
}

/// The picture as PNG, or why that cannot be made.
pub fn png(scene: &Scene) -> Result<Vec<u8>, String> {
    let (width, height) = size(scene, PNG_SCALE);
    let mut pixels = vec![u8::MAX; (width * height * 3) as usize];
    {
        let mut bitmap = BitMapBackend::with_buffer(&mut pixels, (width, height));
        for shape in &scene.shapes {
            draw(&mut bitmap, shape)?;
        }
        bitmap.present().map_err(|error| error.to_string())?;
    }
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Balanced);
    // Large areas of one colour: unfiltered they are smallest, and soonest done.
    encoder.set_filter(png::Filter::NoFilter);
    // Twice as fine as a screen, so that it is shown in its own size: 192 dots to the inch.
    encoder.set_pixel_dims(Some(png::PixelDimensions {
        xppu: 7559,
        yppu: 7559,
        unit: png::Unit::Meter,
    }));
    let mut writer = encoder.write_header().map_err(|error| error.to_string())?;
    let written = writer.write_image_data(&pixels);
    written
        .and_then(|()| writer.finish())
        .map_err(|error| error.to_string())?;
    Ok(file)
}

fn size(scene: &Scene, scale: f64) -> (u32, u32) {
    let whole = |length: f64| (length * scale).ceil() as u32;
    (whole(WIDTH), whole(scene.height))
}

fn draw(bitmap: &mut BitMapBackend, shape: &Shape) -> Result<(), String> {
    match shape {
        Shape::Rect([left, top, width, height], ink) => {
            let edge = |at: f64| (at * PNG_SCALE).round() as i32;
            let style = color(*ink).filled();
            // Up to the second corner, which is not part of it. Something thin is not lost.
            let (left_edge, top_edge) = (edge(*left), edge(*top));
            let right = edge(left + width).max(left_edge + 1);
            let bottom = edge(top + height).max(top_edge + 1);
            bitmap
                .draw_rect((left_edge, top_edge), (right, bottom), &style, true)
                .map_err(|error| error.to_string())
        }
        Shape::Line { points, ink, width } => {
            for two in points.windows(2) {
                fill(bitmap, &bar(two[0], two[1], *width), *ink)?;
            }
            // Round joints, where they can be seen.
            if *width > 1.0 && points.len() > 2 {
                for joint in &points[1..points.len() - 1] {
                    fill(bitmap, &disc(*joint, width / 2.0), *ink)?;
                }
            }
            Ok(())
        }
        Shape::Area(points, ink) => fill(bitmap, points, *ink),
        Shape::Text(text) => letters(bitmap, text),
    }
}

/// The corners of a straight line.
fn bar(from: (f64, f64), to: (f64, f64), width: f64) -> Vec<(f64, f64)> {
    let length = (to.0 - from.0).hypot(to.1 - from.1).max(1e-9);
    let (x, y) = (
        (to.1 - from.1) / length * width / 2.0,
        (from.0 - to.0) / length * width / 2.0,
    );
    vec![
        (from.0 + x, from.1 + y),
        (to.0 + x, to.1 + y),
        (to.0 - x, to.1 - y),
        (from.0 - x, from.1 - y),
    ]
}

/// A circle by its corners.
pub fn disc((x, y): (f64, f64), radius: f64) -> Vec<(f64, f64)> {
    let corners = 8 + (radius * 4.0) as u32;
    let corner = |i: u32| {
        let angle = f64::from(i) / f64::from(corners) * std::f64::consts::TAU;
        (x + radius * angle.cos(), y + radius * angle.sin())
    };
    (0..corners).map(corner).collect()
}

/// Fills a convex shape, each pixel by how much of it is covered: the library's own lines and polygons know
/// whole pixels only, which makes slanted ones uneven.
fn fill(bitmap: &mut BitMapBackend, points: &[(f64, f64)], ink: Ink) -> Result<(), String> {
    let scaled = || points.iter().map(|(x, y)| (x * PNG_SCALE, y * PNG_SCALE));
    let least = |of: fn((f64, f64)) -> f64| scaled().map(of).fold(f64::INFINITY, f64::min);
    let most = |of: fn((f64, f64)) -> f64| scaled().map(of).fold(f64::NEG_INFINITY, f64::max);
    let (left, top) = (least(|it| it.0).floor(), least(|it| it.1).floor());
    let (right, bottom) = (most(|it| it.0).ceil(), most(|it| it.1).ceil());
    let (wide, high) = (right - left, bottom - top);
    if !(wide >= 1.0 && high >= 1.0 && wide * high < 1e8) {
        return Ok(());
    }
    let mut raster = Rasterizer::new(wide as usize + 1, high as usize + 1);
    let corners: Vec<_> = scaled()
        .map(|(x, y)| point((x - left) as f32, (y - top) as f32))
        .collect();
    for (i, corner) in corners.iter().enumerate() {
        raster.draw_line(*corner, corners[(i + 1) % corners.len()]);
    }
    let mut outcome = Ok(());
    raster.for_each_pixel_2d(|across, down, coverage| {
        let at = (left as i32 + across as i32, top as i32 + down as i32);
        let dotted = dot(bitmap, at, ink, coverage);
        if dotted.is_err() {
            outcome = dotted;
        }
    });
    outcome
}

fn letters(bitmap: &mut BitMapBackend, text: &Text) -> Result<(), String> {
    let mut outcome = Ok(());
    let at = (text.left() * PNG_SCALE, text.y * PNG_SCALE);
    let size = text.size * PNG_SCALE;
    text.weight
        .draw(&text.text, size, at, &mut |x, y, coverage| {
            let dotted = dot(bitmap, (x, y), text.ink, coverage);
            if dotted.is_err() {
                outcome = dotted;
            }
        });
    outcome
}

fn dot(
    bitmap: &mut BitMapBackend,
    (x, y): (i32, i32),
    ink: Ink,
    coverage: f32,
) -> Result<(), String> {
    let coverage = f64::from(coverage).min(1.0);
    let (width, height) = bitmap.get_size();
    let is_inside = (0..width as i32).contains(&x) && (0..height as i32).contains(&y);
    if coverage < 0.004 || !is_inside {
        return Ok(());
    }
    let mixed = color(ink).mix(coverage).to_backend_color();
    bitmap
        .draw_pixel((x, y), mixed)
        .map_err(|error| error.to_string())
}

/// The picture as SVG, with its title and description for who does not see it.
pub fn svg(scene: &Scene, title: &str, description: &str) -> Result<String, String> {
    let mut body = String::new();
    let size = size(scene, SVG_SCALE);
    {
        let mut svg = SVGBackend::with_string(&mut body, size);
        let ground = Shape::Rect([0.0, 0.0, WIDTH, scene.height], WHITE);
        for shape in std::iter::once(&ground).chain(&scene.shapes) {
            trace(&mut svg, shape)?;
        }
        svg.present().map_err(|error| error.to_string())?;
    }
    // The library neither names its pictures nor lets them be smaller than their coordinates, and repeats in
    // every shape what is the same for all.
    let (_, shapes) = body.split_once('\n').unwrap_or_default();
    let family = format!(" font-family=\"{NO_FAMILY}\"");
    let shapes = shapes.replace(&family, "").replace(" opacity=\"1\"", "");
    let (width, height) = (f64::from(size.0) / SVG_SCALE, f64::from(size.1) / SVG_SCALE);
    let (title, description) = (escaped(title), escaped(description));
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {} {}\" font-family=\"{FAMILY}\" role=\"img\">\n\
         <title>{title}</title>\n<desc>{description}</desc>\n{shapes}",
        size.0, size.1
    ))
}

fn trace(svg: &mut SVGBackend, shape: &Shape) -> Result<(), String> {
    let whole = |(x, y): (f64, f64)| {
        let whole = |at: f64| (at * SVG_SCALE).round() as i32;
        (whole(x), whole(y))
    };
    let drawn = match shape {
        Shape::Rect([left, top, width, height], ink) => {
            let corner = (left + width, top + height);
            svg.draw_rect(
                whole((*left, *top)),
                whole(corner),
                &color(*ink).filled(),
                true,
            )
        }
        Shape::Line { points, ink, width } => {
            let thick = (width * SVG_SCALE).round() as u32;
            let style = color(*ink).stroke_width(thick);
            svg.draw_path(points.iter().copied().map(whole), &style)
        }
        Shape::Area(points, ink) => {
            svg.fill_polygon(points.iter().copied().map(whole), &color(*ink))
        }
        Shape::Text(text) => {
            let size = text.size * SVG_SCALE * FONT_FACTOR;
            let weight = match text.weight {
                Weight::Regular => FontStyle::Normal,
                Weight::Bold => FontStyle::Bold,
            };
            let across = match text.anchor {
                Anchor::Start => HPos::Left,
                Anchor::Middle => HPos::Center,
                Anchor::End => HPos::Right,
            };
            let font = FontDesc::new(FontFamily::Name(NO_FAMILY), size, weight);
            let ink = color(text.ink);
            let style = TextStyle::from(font).color(&ink);
            let style = style.pos(Pos::new(across, VPos::Top));
            let top = whole((text.x, text.y - BASE_LINE * text.size));
            svg.draw_text(&text.text, &style, top)
        }
    };
    drawn.map_err(|error| error.to_string())
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            c => out.push(c),
        }
    }
    out
}
