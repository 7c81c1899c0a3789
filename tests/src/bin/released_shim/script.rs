//! The frozen lines, filled in and recognised.

use crate::bytes::{Reader, Writer, crc32c, of_hex};

const RELEASED: &str = include_str!("../../../released/0.1.0.txt");

/// A process, as it stands in claims and records.
#[derive(Clone, Debug)]
pub(crate) struct Id {
    pub(crate) boot_id: String,
    pub(crate) pid_ns: u64,
    pub(crate) pid: i32,
    pub(crate) start_time: u64,
}

/// What fills a place.
#[derive(Clone, Debug)]
pub(crate) enum Fill {
    Number(u64),
    Signed(i64),
    Text(String),
    Raw(Vec<u8>),
    Process(Id),
}

/// The bytes of the line `name`, its places filled.
pub(crate) fn write(name: &str, fills: &[(&str, Fill)]) -> Vec<u8> {
    let mut writer = Writer::default();
    let mut sum_from = None;
    for word in words(name) {
        let Some(place) = place(word) else {
            writer.0.extend(of_hex(word));
            continue;
        };
        if place == "crc" {
            writer.0.extend([0; 4]);
            sum_from = Some(writer.0.len());
            continue;
        }
        let fill = fills.iter().find(|(filled, _)| *filled == place);
        let (_, fill) = fill.unwrap_or_else(|| panic!("{name} needs {place}"));
        match fill {
            Fill::Number(number) => writer.number(*number),
            Fill::Signed(number) => writer.signed(*number),
            Fill::Text(text) => writer.text(text),
            Fill::Raw(bytes) => writer.0.extend(bytes),
            Fill::Process(id) => {
                writer.text(&id.boot_id);
                writer.number(id.pid_ns);
                writer.signed(i64::from(id.pid));
                writer.number(id.start_time);
            }
        }
    }
    if let Some(from) = sum_from {
        let sum = crc32c(&writer.0[from..]).to_le_bytes();
        writer.0[from - 4..from].copy_from_slice(&sum);
    }
    writer.0
}

/// Does `message` begin as the line `name` does? Then what is behind that.
pub(crate) fn is<'a>(name: &str, message: &'a [u8]) -> Option<Reader<'a>> {
    let begin: Vec<u8> = words(name)
        .take_while(|word| place(word).is_none())
        .flat_map(of_hex)
        .collect();
    message.strip_prefix(&begin[..]).map(Reader)
}

fn words(name: &str) -> impl Iterator<Item = &'static str> {
    let line = RELEASED
        .lines()
        .find(|line| line.split_whitespace().next() == Some(name));
    let line = line.unwrap_or_else(|| panic!("no line {name}"));
    line.split_whitespace().skip(1)
}

fn place(word: &str) -> Option<&str> {
    word.strip_prefix('<')?.strip_suffix('>')
}
