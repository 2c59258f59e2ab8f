use super::*;

fn list(text: &str) -> Vec<Rule> {
    match text.parse() {
        Ok(Network::List(rules)) => rules,
        other => panic!("{text}: {other:?}"),
    }
}

fn shown(network: Network) -> String {
    network.to_string()
}

/// Does a proxy with this list call it? Every name has the address 1.1.1.1.
fn is_open(rules: &str, asked: &str) -> bool {
    let everywhere = &mut |_: &str| Ok::<_, ()>(vec![IpAddr::from([1, 1, 1, 1])]);
    Target::parse(asked, None).is_some_and(|target| target.addresses(&list(rules), everywhere).is_ok())
}

#[test]
fn what_can_be_listed() {
    assert_eq!("none".parse(), Ok(Network::None));
    assert_eq!("allow".parse(), Ok(Network::Allow));
    assert_eq!(shown("Crates.IO".parse().unwrap()), "crates.io:80,crates.io:443");
    assert_eq!(
        shown("*.npmjs.org:443, [::1]:80,10.0.0.1:5432".parse().unwrap()),
        "*.npmjs.org:443,10.0.0.1:5432,[::1]:80"
    );
    let bad = "|non|a,|*|*.|*.com|*.*.org|a*.org|.org|a..org|a.org:|a.org:0|a.org:65536|a.org:+80|a.org: 80|http://a.org|a.org/x|\
        u@a.org|a b.org|a.org:80:80|::1|[::1|[::1]x|[fe80::1%eth0]|127.1|0x7f.0.0.1|2130706433|0177.0.0.1|*.127.0.0.1|bücher.de|%61.org|a\0.org";
    for text in bad.split('|') {
        assert!(text.parse::<Network>().is_err(), "{text:?} should not be understood");
    }
    let error = "bücher.de".parse::<Network>().unwrap_err().to_string();
    assert!(error.contains("xn--"), "{error}");
}

#[test]
fn a_rule_is_written_as_it_is_read() {
    let network: Network = "a.org,*.b.org:8080,[2001:db8::1]:443".parse().unwrap();
    let text = serde_json::to_string(&network).unwrap();
    assert_eq!(text, r#"{"list":["a.org:80","a.org:443","*.b.org:8080","[2001:db8::1]:443"]}"#);
    assert_eq!(serde_json::from_str::<Network>(&text).unwrap(), network);
    assert_eq!(serde_json::to_string(&Network::None).unwrap(), "\"none\"");
    assert!(serde_json::from_str::<Rule>("\"a.org\"").is_err());
}

#[test]
fn who_is_on_a_list() {
    for asked in ["crates.io:443", "CRATES.io.:443", "www.crates.io:443", "a.b.crates.io:443"] {
        assert!(is_open("crates.io:443,*.crates.io:443", asked), "{asked}");
    }
    let refused = "crates.io:80|evilcrates.io:443|crates.io.evil.org:443|crates.io:443.evil.org|io:443|.crates.io:443|crates.io..:443|\
        x@crates.io:443|crates.io%00.evil.org:443|crates.io\0.evil.org:443|crates.io:443/x|crates.io|crates.io:|crates.io:0443000|\u{ff43}rates.io:443|\
        1.1.1.1:443|[::1]:443|localhost:443";
    for asked in refused.split('|') {
        assert!(!is_open("crates.io:443,*.crates.io:443", asked), "{asked:?}");
    }
    assert!(!is_open("*.crates.io:443", "crates.io:443"), "what is below it is not it");
    assert_eq!(
        Target::parse("crates.io:443", None)
            .unwrap()
            .addresses::<()>(&[], &mut |_| panic!("a name that is not listed is not even looked up")),
        Err(Refusal::Denied(Why::NotListed))
    );
}

#[test]
fn an_address_has_one_spelling() {
    let rules = "127.0.0.1:80,*.nip.io:80,[::2]:80";
    assert!(is_open(rules, "127.0.0.1:80") && is_open(rules, "[::ffff:127.0.0.1]:80") && is_open(rules, "[0:0::2]:80"));
    let odd = "127.1|0x7f.0.0.1|0x7f000001|2130706433|0177.0.0.1|127.0.0.01|127.0.0.1.nip|0x|[::ffff:7f00:2]|[::2%1]|[::2%25eth0]|::2|[127.0.0.1]|\
        127.0.0.1%00|127。0。0。1|①27.0.0.1|017700000001";
    for asked in odd.split('|') {
        assert!(!is_open(rules, &format!("{asked}:80")), "{asked}");
    }
}

#[test]
fn a_name_that_leads_here_is_refused_unless_that_is_listed() {
    let ask = |rules: &str, leads: &[&str]| {
        let leads: Vec<IpAddr> = leads.iter().map(|text| text.parse().unwrap()).collect();
        let target = Target::parse("rebind.org:80", None).unwrap();
        let addresses = target.addresses::<()>(&list(rules), &mut |_| Ok(leads.clone()));
        addresses.map(|all| all.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>())
    };
    let inner = "127.0.0.1 127.9.9.9 0.0.0.0 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 169.254.169.254 100.64.0.1 100.100.100.200 \
        168.63.129.16 192.0.0.192 198.18.0.1 224.0.0.1 255.255.255.255 ::1 :: ::ffff:127.0.0.1 ::ffff:10.0.0.1 fe80::1 fc00::1 fd00:ec2::254 \
        ff02::1 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 2002:7f00:1:: 2001::1 2001:db8::1 ::127.0.0.1 fec0::1";
    for address in inner.split_whitespace() {
        assert_eq!(ask("rebind.org", &[address]), Err(Refusal::Denied(Why::NotPublic)), "{address}");
    }
    for address in ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::101:101"] {
        assert!(ask("rebind.org", &[address]).is_ok(), "{address}");
    }
    assert_eq!(ask("rebind.org", &["127.0.0.1", "1.1.1.1"]), Ok(vec!["1.1.1.1".to_owned()]));
    assert_eq!(ask("rebind.org,127.0.0.1:80", &["127.0.0.1"]), Ok(vec!["127.0.0.1".to_owned()]));
    assert!(ask("rebind.org,127.0.0.1:81", &["127.0.0.1"]).is_err());
}

#[test]
fn localhost_is_this_machine_and_nobody_is_asked() {
    let nobody = &mut |_: &str| -> Result<Vec<IpAddr>, ()> { panic!("it was asked for") };
    let target = Target::parse("LocalHost.:5000", None).unwrap();
    let all = target.addresses(&list("localhost:5000"), nobody).unwrap();
    assert!(all.iter().all(|address| address.ip().is_loopback()), "{all:?}");
    assert!(target.addresses(&list("localhost"), nobody).is_err(), "not at this port");
}

#[test]
fn a_nearer_file_can_only_make_it_closer() {
    let meet = |one: &str, two: &str| {
        let (one, two): (Network, Network) = (one.parse().unwrap(), two.parse().unwrap());
        let there = one.clone().closer(two.clone());
        assert_eq!(there, two.closer(one), "it is the same the other way round");
        shown(there)
    };
    assert_eq!(meet("none", "a.org"), "none");
    assert_eq!(meet("none", "allow"), "none");
    assert_eq!(meet("allow", "a.org:1"), "a.org:1");
    assert_eq!(meet("a.org,b.org:443", "a.org:443,c.org"), "a.org:443");
    assert_eq!(
        meet("*.a.org:1", "x.a.org:1,a.org:1,*.y.a.org:1,*.org.org:1"),
        "*.y.a.org:1,x.a.org:1".split(',').rev().collect::<Vec<_>>().join(",")
    );
    assert_eq!(meet("a.org", "b.org"), "");
}
