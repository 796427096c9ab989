//! Scene distance against temporal distance of pairs of data sets (the paper's Figure 2).

use super::chart::{CLASS, apart, css, ticks};
use crate::describe::svg::{STREAMS, num, rule, style, width};
use maud::{PreEscaped, html};

/// A pair of data sets.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pair {
    /// Its name.
    pub name: String,
    /// The number of videos of both sets.
    pub videos: f64,
    /// Scene distance, where it was measured.
    pub delta_bg: Option<f64>,
    /// Temporal distance.
    pub delta_temp: f64,
}

const W: f64 = 720.0;
const H: f64 = 460.0;
const LEFT: f64 = 66.0;
const TOP: f64 = 64.0;
const BOTTOM: f64 = 58.0;
/// Radius of the circle of the pair with the most videos.
const LARGEST: f64 = 34.0;
const SMALLEST: f64 = 5.0;

/// `own` among `others`; the areas of circles are proportional to the numbers of videos. Without a scene distance,
/// `own` is a line at its temporal distance.
pub(super) fn scatter(own: &Pair, others: &[Pair]) -> String {
    let all = || others.iter().chain([own]);
    let largest = |f: &dyn Fn(&Pair) -> f64| all().map(f).fold(0.0, f64::max);
    let most = largest(&|p| p.videos).max(1.0);
    let radius = |p: &Pair| (LARGEST * (p.videos / most).sqrt()).max(SMALLEST);
    let right = all().map(|p| width(&p.name, 12.0)).fold(60.0, f64::max) + LARGEST;
    let (x1, y1) = (
        (largest(&|p| p.delta_temp) * 1.12).max(1.0),
        (largest(&|p| p.delta_bg.unwrap_or(0.0)) * 1.3).max(0.05),
    );
    let x = |v: f64| LEFT + (W - LEFT - right - 10.0) * v / x1;
    let y = |v: f64| TOP + (H - TOP - BOTTOM) * (1.0 - v / y1);
    let placed: Vec<(&Pair, f64, f64)> = all()
        .filter_map(|p| Some((p, x(p.delta_temp), y(p.delta_bg?))))
        .collect();
    let wanted: Vec<f64> = placed.iter().map(|p| p.2).collect();
    let names = apart(&wanted, 30.0, (TOP, H - BOTTOM));
    let digits = |v: f64| if y1 < 0.2 { format!("{v:.2}") } else { format!("{v:.1}") };
    let title = "Scene distance Δ_bg against temporal distance Δ_temp";
    let svg = html! {
        svg.(CLASS) xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {} {}", num(W), num(H)))
            width=(num(W)) height=(num(H)) role="img" {
            title { (title) }
            style { (PreEscaped(css())) (PreEscaped(colours())) }
            rect.page width=(num(W)) height=(num(H)) {}
            text.head x="20" y="34" { (title) }
            @for v in ticks(0.0, y1, 5) {
                path.grid d=(format!("M{} {}H{}", num(LEFT), num(y(v)), num(x(x1)))) {}
                text.tick x=(num(LEFT - 8.0)) y=(num(y(v) + 3.6)) text-anchor="end" { (digits(v)) }
            }
            @for v in ticks(0.0, x1, 6) {
                path.grid d=(format!("M{} {}V{}", num(x(v)), num(TOP), num(H - BOTTOM))) {}
                text.tick x=(num(x(v))) y=(num(H - BOTTOM + 17.0)) text-anchor="middle" { (num(v)) }
            }
            text.tick x=(num(x(x1))) y=(num(H - BOTTOM + 34.0)) text-anchor="end" { "Δ_temp, frames" }
            text.tick x=(num(LEFT - 8.0)) y=(num(TOP - 12.0)) text-anchor="end" { "Δ_bg" }
            text.tick x="20" y=(num(H - 8.0)) { "areas: numbers of videos; grey: published" }
            @for (p, cx, cy) in &placed {
                @let class = if std::ptr::eq(*p, own) { "own" } else { "other" };
                circle.(class) cx=(num(*cx)) cy=(num(*cy)) r=(num(radius(p))) {
                    title { (p.name) ": Δ_bg " (p.delta_bg.unwrap_or(0.0)) ", Δ_temp " (p.delta_temp) ", " (p.videos) " videos" }
                }
            }
            @for ((p, cx, _), at) in placed.iter().zip(&names) {
                @let class = if std::ptr::eq(*p, own) { "end t0" } else { "end quiet" };
                @let beside = cx + radius(p) + 6.0;
                text class=(class) x=(num(beside)) y=(num(at - 2.0)) { (p.name) }
                text.tick x=(num(beside)) y=(num(at + 11.0)) {
                    (format!("{:.2}, {:.1}", p.delta_bg.unwrap_or(0.0), p.delta_temp))
                }
            }
            @if own.delta_bg.is_none() {
                path.ownline d=(format!("M{} {}V{}", num(x(own.delta_temp)), num(TOP), num(H - BOTTOM))) {}
                text class="end t0" x=(num(x(own.delta_temp) + 7.0)) y=(num(TOP + 9.0)) { (own.name) }
                text.tick x=(num(x(own.delta_temp) + 7.0)) y=(num(TOP + 23.0)) { (format!("{:.1}; Δ_bg not measured", own.delta_temp)) }
            }
        }
    };
    svg.into_string() + "\n"
}

fn colours() -> String {
    style(CLASS, |base, dark| {
        let (light, black) = STREAMS[0];
        let own = if dark { black } else { light };
        vec![
            rule(
                ".own",
                format!("fill:{own};fill-opacity:.75;stroke:{own};stroke-width:1.5"),
            ),
            rule(".ownline", format!("stroke:{own};stroke-width:2;fill:none")),
            rule(".t0", format!("fill:{own}")),
            rule(
                ".other",
                format!("fill:{0};fill-opacity:.35;stroke:{0};stroke-width:1", base.flow),
            ),
            rule(".quiet", format!("fill:{}", base.word)),
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str, videos: f64, delta_bg: Option<f64>, delta_temp: f64) -> Pair {
        Pair {
            name: name.into(),
            videos,
            delta_bg,
            delta_temp,
        }
    }

    #[test]
    fn areas_are_numbers_of_videos_and_what_was_not_measured_is_a_line() {
        let others = [pair("A→B", 400.0, Some(0.2), 90.0), pair("C→D", 100.0, Some(0.1), 60.0)];
        let picture = scatter(&pair("ours", 100.0, Some(0.3), 180.0), &others);
        let tree = roxmltree::Document::parse(&picture).unwrap();
        let radii: Vec<f64> = tree
            .descendants()
            .filter(|n| n.has_tag_name("circle"))
            .map(|n| n.attribute("r").unwrap().parse().unwrap())
            .collect();
        assert_eq!(radii, [34.0, 17.0, 17.0]);
        assert!(!picture.contains("not measured"));
        let picture = scatter(&pair("ours", 100.0, None, 180.0), &others);
        assert_eq!(picture.matches("<circle").count(), 2);
        assert!(picture.contains("180.0; Δ_bg not measured"));
    }
}
