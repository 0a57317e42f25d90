//! Requests that are almost right.

use serde_json::{Map, Value, json};

use crate::api::Operation;

/// Numbers from a seed (SplitMix64).
pub(crate) struct Dice(u64);

/// A request, bent in one way.
pub(crate) struct Bent {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<String>,
    pub(crate) body: Vec<u8>,
    /// Whether it may meet another endpoint than was meant.
    pub(crate) elsewhere: bool,
    how: &'static str,
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

impl Bent {
    /// As it goes over the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nhost: 127.0.0.1\r\n", self.method, self.path);
        for header in &self.headers {
            head += header;
            head += "\r\n";
        }
        head += &format!("content-length: {}\r\n\r\n", self.body.len());
        [head.as_bytes(), &self.body].concat()
    }
}

impl std::fmt::Debug for Bent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        let (path, body) = (start(&self.path), start(&body));
        write!(f, "{}: {} {path} {:?} {body}", self.how, self.method, self.headers)
    }
}

fn start(text: &str) -> String {
    text.chars().take(500).collect()
}

/// Bends a right request of this operation once.
pub(crate) fn bend(dice: &mut Dice, operation: &Operation, names: &[(&str, String)]) -> Bent {
    let example = &operation.said["requestBody"]["content"]["application/json"]["example"];
    let mut bent = Bent {
        method: operation.method.to_uppercase(),
        path: operation.path.clone(),
        headers: Vec::new(),
        body: Vec::new(),
        elsewhere: false,
        how: "",
    };
    for (name, value) in names {
        bent.path = bent.path.replace(&format!("{{{name}}}"), value);
    }
    if !example.is_null() {
        bent.headers.push("content-type: application/json".to_owned());
        bent.body = serde_json::to_vec(example).unwrap();
    }
    let has_parts = operation.path.contains('{');
    loop {
        match dice.below(10) {
            0 if has_parts => break part(dice, &mut bent, &operation.path, names),
            1 => break query(dice, &mut bent, operation),
            2 if dice.below(3) == 0 => break method(dice, &mut bent),
            3 => break header(dice, &mut bent),
            4 if dice.below(5) == 0 => break place(dice, &mut bent),
            5 if !example.is_null() => break text(dice, &mut bent),
            6..=9 if !example.is_null() => break field(dice, &mut bent, example.clone()),
            _ => {}
        }
    }
    bent
}

/// A part of the path that names nothing.
fn part(dice: &mut Dice, bent: &mut Bent, template: &str, names: &[(&str, String)]) {
    bent.how = "a part of the path";
    let id = &names[dice.below(names.len())].1;
    let long = "a".repeat(5_000);
    let cut = &id[..id.len() - 1];
    let wrong = [
        "x",
        "%00",
        "%ff%fe",
        "..%2f..",
        "ex_",
        "ls_",
        "ex_00000000000000000000000000",
        "%F0%9F%A6%80",
        "%20",
        "null",
        "-1",
        "18446744073709551616",
        "a%2Fb",
        "%7B%7D",
        "'",
        cut,
        id.as_str(),
        long.as_str(),
    ];
    let parts: Vec<&str> = template.split('/').collect();
    let variable: Vec<usize> = (0..parts.len()).filter(|at| parts[*at].starts_with('{')).collect();
    let chosen = *dice.one(&variable);
    let mut path: Vec<String> = bent.path.split('/').map(str::to_owned).collect();
    // A verb behind it stays.
    let verb = parts[chosen].split_once('}').map_or("", |(_, verb)| verb);
    path[chosen] = format!("{}{verb}", dice.one(&wrong));
    bent.path = path.join("/");
}

/// A parameter that is not known, wrong, or there twice.
fn query(dice: &mut Dice, bent: &mut Bent, operation: &Operation) {
    bent.how = "the query";
    let parameters = operation.said["parameters"].as_array().into_iter().flatten();
    let known: Vec<&str> =
        parameters.filter(|one| one["in"] == "query").filter_map(|one| one["name"].as_str()).collect();
    let values = [
        "",
        "%00",
        "-1",
        "1e3",
        "0x10",
        "999999999999999999999",
        "%F0%9F%A6%80",
        "a%20b",
        "null",
        "%ff",
        "1&x",
        "[]",
        "2026-13-45",
        "9999-99-99T00:00:00Z",
        "true%00",
        "%2E%2E",
        "61000.5",
        "NaN",
    ];
    let value = *dice.one(&values);
    let query = match dice.below(4) {
        0 => format!("unknown={value}"),
        1 => format!("%00={value}"),
        // Twice the same: one is wrong even where the value is right.
        2 if !known.is_empty() => {
            let name = dice.one(&known);
            format!("{name}={value}&{name}={value}")
        }
        _ if !known.is_empty() => format!("{}={value}", dice.one(&known)),
        _ => format!("namespace={value}"),
    };
    bent.path = format!("{}?{query}", bent.path);
}

/// A method that the endpoint does not have.
fn method(dice: &mut Dice, bent: &mut Bent) {
    bent.how = "the method";
    bent.elsewhere = true;
    bent.method =
        (*dice.one(&["DELETE", "PATCH", "OPTIONS", "TRACE", "PURGE", "HEAD", "POST", "PUT"])).to_owned();
    if bent.method != "HEAD" {
        // What is right there by chance is not wanted.
        bent.body = b"{\"unknown\":1}".to_vec();
        bent.headers = vec!["content-type: application/json".to_owned()];
    }
}

/// A header that is wrong.
fn header(dice: &mut Dice, bent: &mut Bent) {
    bent.how = "a header";
    match dice.below(6) {
        0 => bent.headers = vec!["content-type: text/plain".to_owned()],
        1 => bent.headers = vec!["content-type: ".to_owned()],
        2 => bent.headers.clear(),
        3 => bent.headers.push(format!("idempotency-key: {}", "k".repeat(300))),
        4 => bent.headers.extend(["idempotency-key: a".to_owned(), "idempotency-key: b".to_owned()]),
        _ => bent.headers.push("idempotency-key: caf\u{e9} au lait".to_owned()),
    }
    if !bent.body.is_empty() && dice.below(2) == 0 {
        bent.body = b"{\"unknown\":1}".to_vec();
    }
}

/// A place where nothing is.
fn place(dice: &mut Dice, bent: &mut Bent) {
    bent.how = "the place";
    bent.elsewhere = true;
    bent.path = match dice.below(5) {
        0 => format!("{}/", bent.path),
        1 => format!("/{}", bent.path),
        2 => bent.path.replacen("/v1", "/v2", 1).replacen("z", "zz", 1),
        3 => bent.path.to_uppercase(),
        _ => format!("{}/more", bent.path),
    };
    if bent.body.is_empty() {
        bent.body = b"{\"unknown\":1}".to_vec();
    }
}

/// A body that is no JSON, or no object.
fn text(dice: &mut Dice, bent: &mut Bent) {
    bent.how = "the text of the body";
    let whole = bent.body.clone();
    bent.body = match dice.below(9) {
        0 => whole[..dice.below(whole.len())].to_vec(),
        1 => [&whole[..], b"x"].concat(),
        2 => b"\xff\xfe".to_vec(),
        3 => b"[]".to_vec(),
        4 => b"null".to_vec(),
        5 => b"\"text\"".to_vec(),
        6 => format!("{{\"unknown\":{}1{}}}", "[".repeat(5_000), "]".repeat(5_000)).into_bytes(),
        7 if dice.below(10) == 0 => vec![b' '; 5 * 1024 * 1024],
        _ => {
            // The same key twice, before the others.
            let first = String::from_utf8_lossy(&whole).into_owned();
            let Some(key) = first.split('"').nth(1) else {
                bent.body = b"{\"a\":1,\"a\":2}".to_vec();
                return;
            };
            format!("{{\"{key}\":null,{}", &first[1..]).into_bytes()
        }
    };
    if bent.body == whole || bent.body.is_empty() {
        bent.body = b"{".to_vec();
    }
}

/// A field that is wrong, missing, or not known.
fn field(dice: &mut Dice, bent: &mut Bent, mut example: Value) {
    bent.how = "a field";
    let mut places = Vec::new();
    collect(&example, String::new(), &mut places);
    let chosen = places[dice.below(places.len())].clone();
    let Some(found) = example.pointer_mut(&chosen) else { return };
    match dice.below(4) {
        0 => {
            if let Value::Object(map) = found {
                map.insert(
                    (*dice.one(&["unknown", "", "\u{202e}", "__proto__", "kind "])).to_owned(),
                    json!(1),
                );
            } else {
                *found = json!({"unknown": {}});
            }
        }
        1 => {
            if let Value::Object(map) = found
                && let Some(key) = map.keys().nth(dice.below(map.len().max(1))).cloned()
            {
                map.remove(&key);
            } else {
                *found = Value::Null;
            }
        }
        _ => *found = strange(dice),
    }
    forget_waits(&mut example);
    bent.body = serde_json::to_vec(&example).unwrap();
}

/// Where there is something, as pointers. What is the user's own, and may be anything, is left alone.
fn collect(value: &Value, at: String, places: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in
                map.iter().filter(|(key, _)| !matches!(key.as_str(), "input" | "output" | "tags"))
            {
                collect(value, format!("{at}/{key}"), places);
            }
        }
        Value::Array(list) => {
            for (n, value) in list.iter().enumerate() {
                collect(value, format!("{at}/{n}"), places);
            }
        }
        _ => {}
    }
    places.push(at);
}

fn strange(dice: &mut Dice) -> Value {
    match dice.below(13) {
        0 => json!(true),
        1 => json!(-1),
        2 => json!(1.5),
        3 => json!(u64::MAX),
        4 => json!(i64::MIN),
        5 => json!(""),
        6 => json!("\u{0}\u{202e}\u{1f980}"),
        7 => json!("x".repeat(70_000)),
        8 => json!([]),
        9 => json!({}),
        10 => json!([[[[1]]]]),
        11 => json!({"$bytes": "%"}),
        _ => json!(1e300),
    }
}

/// A wait that is right would be waited for.
fn forget_waits(example: &mut Value) {
    let wait = example.as_object_mut().and_then(|map: &mut Map<String, Value>| map.get_mut("wait_ms"));
    if let Some(wait) = wait
        && wait.as_u64().is_some_and(|ms| (1..=60_000).contains(&ms))
    {
        *wait = json!(0);
    }
}
