//! How colours are seen, for tests: by normal sight and by the kinds of colour blindness.

/// Red, green and blue as light, from 0 to 1.
pub fn light_of(hex: &str) -> [f64; 3] {
    [1, 3, 5].map(|i| {
        let part = f64::from(u8::from_str_radix(&hex[i..i + 2], 16).unwrap()) / 255.0;
        match part <= 0.04045 {
            true => part / 12.92,
            false => ((part + 0.055) / 1.055).powf(2.4),
        }
    })
}

pub fn through(matrix: [[f64; 3]; 3], light: [f64; 3]) -> [f64; 3] {
    matrix.map(|row| {
        row.iter()
            .zip(light)
            .map(|(a, b)| a * b)
            .sum::<f64>()
            .clamp(0.0, 1.0)
    })
}

/// Coordinates in which equal distances look equally different (Oklab, Ottosson 2020).
pub fn seen(light: [f64; 3]) -> [f64; 3] {
    let cones = through(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ],
        light,
    );
    let [l, m, s] = cones.map(f64::cbrt);
    [
        0.2104542553 * l + 0.7936177850 * m - 0.0040720468 * s,
        1.9779984951 * l - 2.4285922050 * m + 0.4505937099 * s,
        0.0259040371 * l + 0.7827717662 * m - 0.8086757660 * s,
    ]
}

/// What whole blindness to red, green and blue leaves of light (Machado and others, 2009), and normal sight.
pub const SIGHTS: [[[f64; 3]; 3]; 4] = [
    [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
];

/// How different two colours look that are given in the coordinates of [`seen`].
pub fn apart(a: [f64; 3], b: [f64; 3]) -> f64 {
    let squares = a.iter().zip(b).map(|(a, b)| (a - b).powi(2));
    squares.sum::<f64>().sqrt()
}

/// How much one stands out from the other (WCAG 2.2, contrast ratio).
pub fn contrast(a: &str, b: &str) -> f64 {
    let [a, b] = [a, b].map(|hex| {
        let [red, green, blue] = light_of(hex);
        0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05
    });
    (a / b).max(b / a)
}
