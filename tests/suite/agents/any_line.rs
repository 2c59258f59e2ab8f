//! Whatever an agent writes, it is understood or it is not: nothing panics, and nothing of it grows without end.

use std::fs;
use std::path::Path;

use pleach::core::agent::acp::Client;
use pleach::core::agent::{Account, Dialect, Permit, limit_of, read};

/// The same numbers on every machine (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % most.max(1) as u64) as usize
    }
}

/// The recorded lines of real agents.
fn seeds() -> Vec<String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/agents/recorded");
    let files = fs::read_dir(dir).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    files
        .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .filter(|line| line.len() < 20_000)
        .collect()
}

/// Other values in the places of some: what is a text becomes a number, a list an object.
fn bent(value: &mut serde_json::Value, random: &mut Random) {
    use serde_json::{Value, json};
    if random.below(8) == 0 {
        let others = [
            json!(null),
            json!(-1),
            json!(1e300),
            json!(u64::MAX),
            json!("é\u{0}\u{1b}[2J"),
            json!([]),
            json!({}),
            json!(true),
        ];
        *value = others[random.below(others.len())].clone();
        return;
    }
    match value {
        Value::Array(list) => list.iter_mut().for_each(|one| bent(one, random)),
        Value::Object(map) => map.values_mut().for_each(|one| bent(one, random)),
        _ => {}
    }
}

#[test]
fn no_line_makes_it_panic() {
    let seeds = seeds();
    assert!(seeds.len() > 20);
    let mut random = Random(7);
    let mut account = Account::default();
    for _ in 0..6000 {
        let mut line = seeds[random.below(seeds.len())].clone();
        match random.below(3) {
            0 => {
                let mut bytes = line.into_bytes();
                let at = random.below(bytes.len());
                match random.below(3) {
                    0 => bytes.truncate(at),
                    1 => drop(bytes.remove(at)),
                    _ => bytes.insert(at, b"{}[]\",:\\0\xff"[random.below(10)]),
                }
                line = String::from_utf8_lossy(&bytes).into_owned();
            }
            _ => {
                let mut value: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
                bent(&mut value, &mut random);
                line = value.to_string();
            }
        }
        for (_, dialect) in Dialect::ALL {
            read(*dialect, &line).into_iter().for_each(|said| account.take(said));
        }
        limit_of(&line);
        for permit in [Permit::Allow, Permit::Deny] {
            let mut client = Client::new("/".to_owned(), "x".to_owned(), None, permit);
            client.begin();
            client.receive(r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":1}}"#);
            client.receive(&line);
            client.receive(r#"{"jsonrpc":"2.0","id":2,"result":{"sessionId":"s"}}"#);
            client.receive(&line);
            client.add("more".to_owned());
            client.receive(&line);
            client.cancel();
        }
    }
    assert!(serde_json::to_string(&account).unwrap().len() < 200_000);
}
