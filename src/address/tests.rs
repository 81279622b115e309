use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use quickcheck::{Arbitrary, Gen, quickcheck};

use super::*;

const V4: Rules = Rules { ipv4_only: true, dialect: Dialect::Nanomsg };
const V6: Rules = Rules { ipv4_only: false, dialect: Dialect::Nanomsg };
const RUST: Rules = Rules { ipv4_only: false, dialect: Dialect::Rust };
const RUST_V4: Rules = Rules { ipv4_only: true, dialect: Dialect::Rust };

/// The errno that nanomsg gives, or "ok".
fn outcome<T>(result: Result<T, AddressError>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(AddressError::TooLong { .. } | AddressError::IpcPathTooLong { .. }) => "ENAMETOOLONG",
        Err(AddressError::Malformed { .. }) => "EINVAL",
        Err(AddressError::UnknownTransport { .. }) => "EPROTONOSUPPORT",
        Err(AddressError::NoSuchDevice { .. }) => "ENODEV",
    }
}

/// Checks rows of address, outcome of bind and outcome of connect.
fn check_rows(rules: Rules, rows: &[(&str, &str, &str)]) {
    for (text, bind, connect) in rows {
        assert_eq!(outcome(BindAddress::parse(text, &rules)), *bind, "bind {text:?} {rules:?}");
        assert_eq!(outcome(ConnectAddress::parse(text, &rules)), *connect, "connect {text:?} {rules:?}");
    }
}

/// Rows that do not depend on whether IPv6 is on.
fn check_rows_both(rows: &[(&str, &str, &str)]) {
    check_rows(V4, rows);
    check_rows(V6, rows);
}

fn bind(text: &str, rules: Rules) -> BindAddress {
    BindAddress::parse(text, &rules).unwrap_or_else(|error| panic!("bind {text}: {error}"))
}

fn connect(text: &str, rules: Rules) -> ConnectAddress {
    ConnectAddress::parse(text, &rules).unwrap_or_else(|error| panic!("connect {text}: {error}"))
}

fn literal(ip: impl Into<IpAddr>) -> IpLiteral {
    IpLiteral { ip: ip.into(), scope: None }
}

#[test]
fn r88_address_of_127_bytes_is_accepted_and_of_128_is_too_long() {
    for scheme in ["inproc://", "bogus"] {
        let longest = format!("{scheme}{}", "n".repeat(127 - scheme.len()));
        let too_long = format!("{longest}n");
        let accepted = if scheme == "inproc://" { "ok" } else { "EINVAL" };
        let rows =
            [(longest.as_str(), accepted, accepted), (too_long.as_str(), "ENAMETOOLONG", "ENAMETOOLONG")];
        check_rows_both(&rows);
    }
    let error = BindAddress::parse([b'x'; 128], &V4).unwrap_err();
    assert_eq!(error, AddressError::TooLong { len: 128, max: 127 });
    assert_eq!(error.to_string(), "the address has 128 bytes, at most 127 are accepted");
}

#[test]
fn r88_outside_the_c_interface_the_longest_host_name_fits() {
    let label = "a".repeat(63);
    let name = [label.as_str(); 4].join(".");
    assert_eq!(name.len(), 255);
    let text = format!("tcp://[::1];{name}:65535");
    assert_eq!(outcome(ConnectAddress::parse(&text, &RUST)), "ok");
    assert_eq!(outcome(ConnectAddress::parse(format!("tcp://{name}a:1"), &RUST)), "EINVAL");
    assert_eq!(outcome(ConnectAddress::parse(&text, &V6)), "ENAMETOOLONG");
    assert_eq!(outcome(BindAddress::parse(vec![b'x'; 1025], &RUST)), "ENAMETOOLONG");
}

#[test]
fn r89_missing_separator_and_unknown_scheme() {
    check_rows_both(&[
        ("", "EINVAL", "EINVAL"),
        ("bogus", "EINVAL", "EINVAL"),
        ("inproc", "EINVAL", "EINVAL"),
        ("inproc:", "EINVAL", "EINVAL"),
        ("inproc:/x", "EINVAL", "EINVAL"),
        ("tcp:/x", "EINVAL", "EINVAL"),
        ("tcp:x//", "EINVAL", "EINVAL"),
        ("tcp:x://", "EINVAL", "EINVAL"),
        ("://x", "EPROTONOSUPPORT", "EPROTONOSUPPORT"),
        ("foo://x", "EPROTONOSUPPORT", "EPROTONOSUPPORT"),
        ("udp://127.0.0.1:5555", "EPROTONOSUPPORT", "EPROTONOSUPPORT"),
        ("INPROC://x", "EPROTONOSUPPORT", "EPROTONOSUPPORT"),
        ("TCP://127.0.0.1:5555", "EPROTONOSUPPORT", "EPROTONOSUPPORT"),
        ("tcp ://127.0.0.1:5555", "EPROTONOSUPPORT", "EPROTONOSUPPORT"),
    ]);
    assert_eq!(outcome(BindAddress::parse(b"\xff\xfe://x", &V4)), "EPROTONOSUPPORT");
}

#[test]
fn r89_the_error_lists_what_is_known() {
    let text = BindAddress::parse("udp://x", &V4).unwrap_err().to_string();
    assert!(text.starts_with("there is no transport \"udp\": known are inproc, ipc, "), "{text}");
    let last = match (cfg!(feature = "ws"), cfg!(feature = "tls")) {
        (false, false) => "tcp",
        (true, false) => "tcp, ws",
        (false, true) => "tcp, tls+tcp",
        (true, true) => "tcp, ws, tls+tcp, wss",
    };
    assert!(text.ends_with(&format!("{last}, in lower case")), "{text}");
    let text = ConnectAddress::parse("tcp://-host:1", &V4).unwrap_err().to_string();
    assert_eq!(
        text,
        "the address \"tcp://-host:1\" is malformed: the host is an IPv4 address or a host name (IPv6 is off)"
    );
    let text = BindAddress::parse("tcp://lo:1", &V6).unwrap_err().to_string();
    assert_eq!(text, "\"lo\" is nothing to bind to: accepted is * or an IP address");
}

#[test]
fn r82_inproc_names_are_bytes_and_may_be_empty() {
    check_rows_both(&[("inproc://", "ok", "ok"), ("inproc://a b:;@/%", "ok", "ok")]);
    let name = b"inproc://\xff\x00A";
    assert_eq!(BindAddress::parse(name, &V4), Ok(BindAddress::Inproc(b"\xff\x00A".as_slice().into())));
    assert_eq!(ConnectAddress::parse(name, &V4), Ok(ConnectAddress::Inproc(b"\xff\x00A".as_slice().into())));
    assert_ne!(bind("inproc://a", V4), bind("inproc://A", V4));
    assert_ne!(bind("inproc://a", V4), bind("inproc://a ", V4));
}

#[test]
fn r31_ipc_path_of_107_bytes_is_accepted_and_of_108_is_an_error() {
    let longest = format!("ipc://{}", "p".repeat(107));
    let too_long = format!("{longest}p");
    let rows = [
        ("ipc://rel/path", "ok", "ok"),
        ("ipc:///nonexistent/dir/x", "ok", "ok"),
        ("ipc://", "ok", "ok"),
        (longest.as_str(), "ok", "ok"),
        (too_long.as_str(), "ENAMETOOLONG", "ENAMETOOLONG"),
    ];
    check_rows_both(&rows);
    check_rows(RUST, &rows);
    let error = BindAddress::parse(&too_long, &V4).unwrap_err();
    assert_eq!(error, AddressError::IpcPathTooLong { len: 108, max: 107 });
    assert_eq!(outcome(BindAddress::parse("ipc://a\0b", &V4)), "EINVAL");
}

#[test]
fn r31_ipc_path_stays_as_it_was_written() {
    assert_eq!(bind("ipc://./a/../b", V4), BindAddress::Ipc(IpcName::Path("./a/../b".into())));
    assert_eq!(connect("ipc:///tmp/a%20b", V4), ConnectAddress::Ipc(IpcName::Path("/tmp/a%20b".into())));
    assert_eq!(bind("ipc://@x", V4), BindAddress::Ipc(IpcName::Path("@x".into())));
}

#[cfg(unix)]
#[test]
fn r31_ipc_path_may_hold_any_byte_but_nul() {
    use std::os::unix::ffi::OsStrExt;
    let Ok(BindAddress::Ipc(IpcName::Path(path))) = BindAddress::parse(b"ipc:///tmp/\xff\xfe", &V4) else {
        panic!("a path")
    };
    assert_eq!(path.as_os_str().as_bytes(), b"/tmp/\xff\xfe");
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod abstract_names {
    use super::*;

    fn name(bytes: &[u8]) -> IpcName {
        IpcName::Abstract(bytes.into())
    }

    #[test]
    fn r34_abstract_scheme_takes_a_name_with_escapes() {
        for rules in [V4, RUST] {
            assert_eq!(bind("abstract://node/1", rules), BindAddress::Ipc(name(b"node/1")));
            assert_eq!(connect("abstract://a%00%fFb", rules), ConnectAddress::Ipc(name(b"a\x00\xffb")));
            let longest = format!("abstract://{}", "%41".repeat(38));
            assert_eq!(longest.len(), 125);
            assert_eq!(bind(&longest, rules), BindAddress::Ipc(name(&[b'A'; 38])));
        }
        check_rows_both(&[
            ("abstract://", "EINVAL", "EINVAL"),
            ("abstract://a%", "EINVAL", "EINVAL"),
            ("abstract://a%4", "EINVAL", "EINVAL"),
            ("abstract://a%+4", "EINVAL", "EINVAL"),
            ("abstract://a%4g", "EINVAL", "EINVAL"),
        ]);
    }

    #[test]
    fn r34_abstract_name_has_the_room_of_a_socket_address() {
        let longest = format!("abstract://{}", "%41".repeat(107));
        assert_eq!(bind(&longest, RUST), BindAddress::Ipc(name(&[b'A'; 107])));
        let too_long = format!("{longest}A");
        assert_eq!(outcome(BindAddress::parse(&too_long, &RUST)), "ENAMETOOLONG");
        let at = format!("ipc://@{}", "A".repeat(106));
        assert_eq!(bind(&at, RUST), BindAddress::Ipc(name(&[b'A'; 106])));
    }

    #[test]
    fn r34_at_sign_is_an_abstract_name_outside_the_c_interface() {
        assert_eq!(connect("ipc://@x%41", RUST), ConnectAddress::Ipc(name(b"x%41")));
        assert_eq!(bind("ipc://@x", RUST), bind("abstract://x", RUST));
        assert_eq!(outcome(BindAddress::parse("ipc://@", &RUST)), "EINVAL");
    }

    #[test]
    fn r34_empty_path_is_the_name_that_nanomsg_binds_then() {
        assert_eq!(bind("ipc://", V4), BindAddress::Ipc(name(&[0; 107])));
        assert_eq!(bind("ipc://", V4).to_string(), "ipc://");
    }
}

#[test]
fn r90_ports_are_decimal_1_to_65535() {
    check_rows_both(&[
        ("tcp://*:5555", "ok", "EINVAL"),
        ("tcp://*:65535", "ok", "EINVAL"),
        ("tcp://127.0.0.1:1", "ok", "ok"),
        ("tcp://127.0.0.1:05802", "ok", "ok"),
        ("tcp://127.0.0.1:0000000000000000000005802", "ok", "ok"),
        ("tcp://", "EINVAL", "EINVAL"),
        ("tcp://:", "EINVAL", "EINVAL"),
        ("tcp://*", "EINVAL", "EINVAL"),
        ("tcp://*:", "EINVAL", "EINVAL"),
        ("tcp://127.0.0.1", "EINVAL", "EINVAL"),
        ("tcp://127.0.0.1:", "EINVAL", "EINVAL"),
        ("tcp://*:0", "EINVAL", "EINVAL"),
        ("tcp://127.0.0.1:0", "EINVAL", "EINVAL"),
        ("tcp://127.0.0.1:00", "EINVAL", "EINVAL"),
        ("tcp://*:65536", "EINVAL", "EINVAL"),
        ("tcp://127.0.0.1:65536", "EINVAL", "EINVAL"),
        ("tcp://*:1000000", "EINVAL", "EINVAL"),
        ("tcp://127.0.0.1:18446744073709557171", "EINVAL", "EINVAL"),
        ("tcp://*:some_port", "EINVAL", "EINVAL"),
        ("tcp://127.0.0.1:-1", "EINVAL", "EINVAL"),
        ("tcp://127.0.0.1:+1", "EINVAL", "EINVAL"),
        ("tcp://127.0.0.1:0x10", "EINVAL", "EINVAL"),
        ("tcp://127.0.0.1: 5555", "EINVAL", "EINVAL"),
        ("tcp://127.0.0.1:5555 ", "EINVAL", "EINVAL"),
        ("tcp://127.0.0.1:5555/", "EINVAL", "EINVAL"),
        ("tcp://127.0.0.1:5555/path", "EINVAL", "EINVAL"),
        ("tcp://127.0.0.1:1;127.0.0.1", "EINVAL", "EINVAL"),
        // The port is looked at first, whatever is wrong with the host.
        ("tcp://-host:x", "EINVAL", "EINVAL"),
    ]);
}

#[test]
fn r90_port_0_is_accepted_where_the_bound_port_can_be_read() {
    let any = BindAddress::Tcp(TcpBind { host: BindHost::Any, port: 0 });
    assert_eq!(bind("tcp://*:0", RUST), any);
    check_rows(RUST, &[("tcp://127.0.0.1:0", "ok", "EINVAL"), ("tcp://localhost:0", "ok", "EINVAL")]);
}

#[test]
fn r91_bind_of_an_unusable_host_text_is_enodev() {
    check_rows_both(&[
        ("tcp://localhost:5555", "ENODEV", "ok"),
        ("tcp://nosuchhost.invalid:5555", "ENODEV", "ok"),
        ("tcp://lo:5555", "ENODEV", "ok"),
        ("tcp://eth0:5555", "ENODEV", "ok"),
        ("tcp://eth10000:5555", "ENODEV", "ok"),
        ("tcp://1.2.3:5555", "ENODEV", "ok"),
        ("tcp://999.1.1.1:5555", "ENODEV", "ok"),
        ("tcp://a.b.:5555", "ENODEV", "ok"),
        ("tcp://127.0.0.1;127.0.0.1:5555", "ENODEV", "ok"),
        ("tcp://*;127.0.0.1:5555", "ENODEV", "ok"),
        ("tcp://:5555", "ENODEV", "EINVAL"),
        // Whether the system has these addresses is seen by binding them.
        ("tcp://192.0.2.1:5555", "ok", "ok"),
        ("tcp://8.8.8.8:5555", "ok", "ok"),
    ]);
}

#[test]
fn r91_host_names_and_empty_hosts_can_be_bound_outside_the_c_interface() {
    for rules in [RUST, RUST_V4] {
        let name = BindHost::Name("localhost".into());
        assert_eq!(bind("tcp://localhost:5", rules), BindAddress::Tcp(TcpBind { host: name, port: 5 }));
        assert_eq!(bind("tcp://:5", rules), BindAddress::Tcp(TcpBind { host: BindHost::Any, port: 5 }));
        check_rows(
            rules,
            &[
                ("tcp://a_b:5", "ENODEV", "EINVAL"),
                ("tcp://*;127.0.0.1:5", "ENODEV", "ok"),
                ("tcp://:5", "ok", "EINVAL"),
                ("tcp://:", "EINVAL", "EINVAL"),
            ],
        );
    }
}

#[test]
fn r92_connect_with_an_invalid_host_is_einval() {
    let longest = format!("tcp://{}.{}:1", "a".repeat(63), "b".repeat(40));
    let label_too_long = format!("tcp://{}:1", "a".repeat(64));
    check_rows_both(&[
        ("tcp://a_b:5555", "ENODEV", "EINVAL"),
        ("tcp://-host:5555", "ENODEV", "EINVAL"),
        ("tcp://-hostname:5555", "ENODEV", "EINVAL"),
        ("tcp://abc...123:5555", "ENODEV", "EINVAL"),
        ("tcp://.123:5555", "ENODEV", "EINVAL"),
        ("tcp://abc.123.---.#:5555", "ENODEV", "EINVAL"),
        ("tcp://abc.123.---:5555", "ENODEV", "ok"),
        ("tcp://.:5555", "ENODEV", "EINVAL"),
        ("tcp://a..:5555", "ENODEV", "EINVAL"),
        ("tcp://a.-b-:5555", "ENODEV", "ok"),
        ("tcp://a b:5555", "ENODEV", "EINVAL"),
        ("tcp:// 127.0.0.1:5555", "ENODEV", "EINVAL"),
        ("tcp://127.0.0.1 :5555", "ENODEV", "EINVAL"),
        ("tcp://[]:5555", "ENODEV", "EINVAL"),
        ("tcp://[localhost]:5555", "ENODEV", "EINVAL"),
        ("tcp://[127.0.0.1:5555", "ENODEV", "EINVAL"),
        ("tcp://127.0.0.1]:5555", "ENODEV", "EINVAL"),
        ("tcp://[[127.0.0.1]]:5555", "ENODEV", "EINVAL"),
        ("tcp://[::1:5555", "ENODEV", "EINVAL"),
        ("tcp://127.0.0.1%lo:5555", "ENODEV", "EINVAL"),
        (longest.as_str(), "ENODEV", "ok"),
        (label_too_long.as_str(), "ENODEV", "EINVAL"),
    ]);
    assert_eq!(outcome(ConnectAddress::parse(b"tcp://h\xc3\xb6st:1", &V4)), "EINVAL");
}

#[test]
fn r92_connect_with_an_invalid_local_part_is_enodev() {
    check_rows_both(&[
        ("tcp://lo;127.0.0.1:5555", "ENODEV", "ENODEV"),
        ("tcp://eth10000;127.0.0.1:5555", "ENODEV", "ENODEV"),
        ("tcp://;127.0.0.1:5555", "ENODEV", "ENODEV"),
        ("tcp://*;localhost:5555", "ENODEV", "ok"),
        // The remote host is looked at before the local part.
        ("tcp://lo;-host:5555", "ENODEV", "EINVAL"),
        ("tcp://*;*:5555", "ENODEV", "EINVAL"),
        ("tcp://*;:5555", "ENODEV", "EINVAL"),
        ("tcp://*;127.0.0.1;127.0.0.1:5555", "ENODEV", "EINVAL"),
    ]);
    let expected = TcpConnect {
        local: Some(LocalHost::Ip(literal(Ipv4Addr::new(10, 0, 0, 1)))),
        remote: RemoteHost::Name("example.org.".into()),
        port: 80,
    };
    assert_eq!(connect("tcp://10.0.0.1;example.org.:80", V4), ConnectAddress::Tcp(expected));
}

#[test]
fn r95_literals_of_both_families_work_for_connect() {
    for (text, ip) in [
        ("tcp://127.0.0.1:7", IpAddr::from(Ipv4Addr::LOCALHOST)),
        ("tcp://[127.0.0.1]:7", Ipv4Addr::LOCALHOST.into()),
        ("tcp://[::1]:7", Ipv6Addr::LOCALHOST.into()),
        ("tcp://::1:7", Ipv6Addr::LOCALHOST.into()),
        ("tcp://:::7", Ipv6Addr::UNSPECIFIED.into()),
    ] {
        for rules in [V6, RUST] {
            let remote = RemoteHost::Ip(literal(ip));
            let expected = ConnectAddress::Tcp(TcpConnect { local: None, remote, port: 7 });
            assert_eq!(connect(text, rules), expected, "{text}");
            let expected = TcpBind { host: BindHost::Ip(literal(ip)), port: 7 };
            assert_eq!(bind(text, rules), BindAddress::Tcp(expected), "{text}");
        }
    }
    check_rows(V4, &[("tcp://127.0.0.1:7", "ok", "ok"), ("tcp://[127.0.0.1]:7", "ok", "ok")]);
}

#[test]
fn r95_scope_of_a_literal_is_kept_as_text() {
    let ip: Ipv6Addr = "fe80::1".parse().unwrap();
    for text in ["tcp://[fe80::1%eth0]:7", "tcp://fe80::1%eth0:7"] {
        let scoped = IpLiteral { ip: ip.into(), scope: Some("eth0".into()) };
        let expected = TcpBind { host: BindHost::Ip(scoped.clone()), port: 7 };
        assert_eq!(bind(text, V6), BindAddress::Tcp(expected));
        let expected = TcpConnect { local: None, remote: RemoteHost::Ip(scoped), port: 7 };
        assert_eq!(connect(text, V6), ConnectAddress::Tcp(expected));
    }
    check_rows(
        V6,
        &[
            ("tcp://[fe80::1%]:7", "ENODEV", "EINVAL"),
            ("tcp://[fe80::1%a b]:7", "ENODEV", "EINVAL"),
            ("tcp://[fe80::1%a%b]:7", "ENODEV", "EINVAL"),
            ("tcp://[fe80::1%a/b]:7", "ENODEV", "EINVAL"),
            ("tcp://fe80::1%eth0;[::1]:7", "ENODEV", "ok"),
        ],
    );
}

#[test]
fn r96_ipv6_literals_are_refused_while_ipv6_is_off() {
    let rows =
        ["tcp://[::1]:5555", "tcp://::1:5555", "tcp://[::ffff:1.2.3.4]:5555", "tcp://[fe80::1%lo]:5555"];
    for text in rows {
        check_rows(V4, &[(text, "ENODEV", "EINVAL")]);
        check_rows(RUST_V4, &[(text, "ENODEV", "EINVAL")]);
        check_rows(V6, &[(text, "ok", "ok")]);
        check_rows(RUST, &[(text, "ok", "ok")]);
    }
    check_rows(V4, &[("tcp://[::1];127.0.0.1:5555", "ENODEV", "ENODEV")]);
    check_rows(V6, &[("tcp://[::1];[::1]:5555", "ENODEV", "ok")]);
    for rules in [V4, V6, RUST] {
        let any = BindAddress::Tcp(TcpBind { host: BindHost::Any, port: 5555 });
        assert_eq!(bind("tcp://*:5555", rules), any);
    }
}

#[test]
fn canonical_text_of_addresses() {
    for (text, canonical) in [
        ("inproc://a b", "inproc://a b"),
        ("ipc://rel/path", "ipc://rel/path"),
        ("ipc:///abs", "ipc:///abs"),
        ("tcp://:05", "tcp://*:5"),
        ("tcp://*:0", "tcp://*:0"),
        ("tcp://[127.0.0.1]:05802", "tcp://127.0.0.1:5802"),
        ("tcp://::1:80", "tcp://[::1]:80"),
        ("tcp://fe80:0::1%eth0:80", "tcp://[fe80::1%eth0]:80"),
        ("tcp://localhost:80", "tcp://localhost:80"),
    ] {
        assert_eq!(bind(text, RUST).to_string(), canonical);
        assert_eq!(bind(canonical, RUST), bind(text, RUST));
    }
    for (text, canonical) in [
        ("inproc://", "inproc://"),
        ("tcp://*;[127.0.0.1]:080", "tcp://*;127.0.0.1:80"),
        ("tcp://::1;::1:80", "tcp://[::1];[::1]:80"),
        ("tcp://127.0.0.1;a.b.:80", "tcp://127.0.0.1;a.b.:80"),
    ] {
        assert_eq!(connect(text, RUST).to_string(), canonical);
        assert_eq!(connect(canonical, RUST), connect(text, RUST));
    }
}

#[cfg(feature = "tls")]
#[test]
fn addresses_of_tls_are_those_of_tcp_behind_their_scheme() {
    check_rows_both(&[
        ("tls+tcp://127.0.0.1:5555", "ok", "ok"),
        ("tls+tcp://*:5555", "ok", "EINVAL"),
        ("tls+tcp://localhost:5555", "ENODEV", "ok"),
        ("tls+tcp://127.0.0.1;localhost:5555", "ENODEV", "ok"),
        ("tls+tcp://127.0.0.1:0", "EINVAL", "EINVAL"),
        ("tls+tcp://127.0.0.1", "EINVAL", "EINVAL"),
        ("tls://127.0.0.1:5555", "EPROTONOSUPPORT", "EPROTONOSUPPORT"),
        ("TLS+TCP://127.0.0.1:5555", "EPROTONOSUPPORT", "EPROTONOSUPPORT"),
    ]);
    let text = "tls+tcp://127.0.0.1;localhost:5555";
    assert_eq!(connect(text, V4).to_string(), text);
    assert_eq!(bind("tls+tcp://*:7", V4).to_string(), "tls+tcp://*:7");
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[test]
fn canonical_text_of_abstract_names() {
    for (text, canonical) in [
        ("ipc://@node/1", "abstract://node/1"),
        ("ipc://@a b%", "abstract://a%20b%25"),
        ("abstract://%00%FF~", "abstract://%00%ff~"),
    ] {
        assert_eq!(bind(text, RUST).to_string(), canonical);
        assert_eq!(bind(canonical, RUST), bind(text, RUST));
    }
}

/// Text made of the pieces that mean something, so that much of it parses.
#[derive(Clone, Debug)]
struct Text(Vec<u8>);

impl Arbitrary for Text {
    fn arbitrary(g: &mut Gen) -> Self {
        const SCHEMES: [&str; 6] = ["tcp://", "tcp://", "ipc://", "inproc://", "abstract://", ""];
        const PIECES: [&str; 16] =
            ["*", ";", ":", "80", "0", "[", "]", "::1", "127.0.0.1", "host", ".", "-", "%", "41", "@", "/"];
        let mut text = g.choose(&SCHEMES).unwrap().as_bytes().to_vec();
        for _ in 0..u8::arbitrary(g) % 8 {
            match bool::arbitrary(g) || bool::arbitrary(g) {
                true => text.extend_from_slice(g.choose(&PIECES).unwrap().as_bytes()),
                false => text.push(u8::arbitrary(g)),
            }
        }
        if bool::arbitrary(g) {
            text.extend_from_slice(b":5555");
        }
        Text(text)
    }
}

/// Whether the canonical text says everything: it does not for bytes that are not UTF-8.
fn is_printable(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok()
}

quickcheck! {
    fn any_text_is_read_or_refused_and_canonical_text_reads_back(text: Text, ipv4_only: bool) -> bool {
        let rules = Rules { ipv4_only, dialect: Dialect::Rust };
        let bound = BindAddress::parse(&text.0, &rules).ok();
        let connected = ConnectAddress::parse(&text.0, &rules).ok();
        !is_printable(&text.0)
            || bound.is_none_or(|it| BindAddress::parse(it.to_string(), &rules).as_ref() == Ok(&it))
                && connected.is_none_or(|it| ConnectAddress::parse(it.to_string(), &rules).as_ref() == Ok(&it))
    }

    fn what_the_c_interface_accepts_is_accepted_everywhere(text: Text, ipv4_only: bool) -> bool {
        let c = Rules { ipv4_only, dialect: Dialect::Nanomsg };
        let rust = Rules { ipv4_only, dialect: Dialect::Rust };
        let is_at_sign_alone = text.0 == b"ipc://@";
        is_at_sign_alone
            || (BindAddress::parse(&text.0, &c).is_err() || BindAddress::parse(&text.0, &rust).is_ok())
                && (ConnectAddress::parse(&text.0, &c).is_err()
                    || ConnectAddress::parse(&text.0, &rust) == ConnectAddress::parse(&text.0, &c)
                    || text.0.starts_with(b"ipc://@"))
    }

    fn arbitrary_bytes_never_panic(text: Vec<u8>) -> bool {
        [V4, V6, RUST, RUST_V4].iter().all(|rules| {
            BindAddress::parse(&text, rules).is_ok() == ConnectAddress::parse(&text, rules).is_ok()
                || text.starts_with(b"tcp://")
        })
    }
}

#[cfg(feature = "ws")]
mod ws {
    use super::*;

    #[test]
    fn r90_r91_r92_r96_ws_addresses_are_those_of_nanomsg() {
        check_rows_both(&[
            ("ws://", "EINVAL", "EINVAL"),
            ("ws://*", "EINVAL", "EINVAL"),
            ("ws:///", "EINVAL", "EINVAL"),
            ("ws://*:5555", "ok", "EINVAL"),
            ("ws://*:0", "EINVAL", "EINVAL"),
            ("ws://127.0.0.1:5555", "ok", "ok"),
            ("ws://127.0.0.1:0", "EINVAL", "EINVAL"),
            ("ws://127.0.0.1:65536", "EINVAL", "EINVAL"),
            ("ws://127.0.0.1:x", "EINVAL", "EINVAL"),
            ("ws://127.0.0.1", "EINVAL", "ok"),
            ("ws://127.0.0.1/path", "EINVAL", "ok"),
            ("ws://127.0.0.1:5555/a/b?c", "EINVAL", "ok"),
            ("ws://127.0.0.1:5555/a:b", "EINVAL", "ok"),
            ("ws://127.0.0.1:5555?c", "EINVAL", "EINVAL"),
            ("ws://127.0.0.1/x:5555", "ENODEV", "EINVAL"),
            ("ws://:5555", "ENODEV", "EINVAL"),
            ("ws://localhost:5555", "ENODEV", "ok"),
            ("ws://127.0.0.1;127.0.0.1:5555", "ENODEV", "ok"),
            ("ws://eth10000;127.0.0.1:5555", "ENODEV", "ENODEV"),
            ("ws://-host:5555", "ENODEV", "EINVAL"),
            ("WS://127.0.0.1:5555", "EPROTONOSUPPORT", "EPROTONOSUPPORT"),
        ]);
        check_rows(V4, &[("ws://[::1]:5555", "ENODEV", "EINVAL"), ("ws://[::1]", "EINVAL", "EINVAL")]);
        check_rows(V6, &[("ws://[::1]:5555", "ok", "ok"), ("ws://[::1]", "EINVAL", "ok")]);
    }

    #[test]
    fn r47_r48_request_gets_host_and_target_as_typed() {
        let rows = [
            ("ws://example.org", "example.org", 80, "/"),
            ("ws://Example.org:8080/", "Example.org:8080", 8080, "/"),
            ("ws://127.0.0.1;h:1/a//b/?c=d:e&f", "h:1", 1, "/a//b/?c=d:e&f"),
            ("ws://[::1]:9/x", "[::1]:9", 9, "/x"),
            ("ws://[::1]/x", "[::1]", 80, "/x"),
            ("ws://h:0080", "h:0080", 80, "/"),
        ];
        for (text, host, port, target) in rows {
            let ConnectAddress::Ws(address) = connect(text, RUST) else { panic!("{text}") };
            assert_eq!((&*address.host, address.tcp.port, &*address.target), (host, port, target), "{text}");
        }
    }

    #[test]
    fn what_cannot_stand_in_a_request_is_refused() {
        for bad in ["a b", "a\r\nHost: x", "a\0", "ä", "a#b", "\u{7f}"] {
            check_rows_both(&[(&format!("ws://h:1/{bad}"), "EINVAL", "EINVAL")]);
            check_rows(RUST, &[(&format!("ws://h:1/{bad}"), "EINVAL", "EINVAL")]);
        }
    }

    #[test]
    fn r57_a_path_can_be_bound_outside_the_c_interface() {
        for (text, path) in [("ws://*:0", None), ("ws://:0/", Some("/")), ("ws://h:7/a/b", Some("/a/b"))] {
            let BindAddress::Ws(address) = bind(text, RUST) else { panic!("{text}") };
            assert_eq!(address.path.as_deref(), path);
        }
        check_rows(RUST, &[("ws://*:1/a?b", "EINVAL", "EINVAL"), ("ws://*/a", "EINVAL", "EINVAL")]);
    }

    #[test]
    fn canonical_text_has_scheme_and_path() {
        assert_eq!(bind("ws://*:7/x", RUST).to_string(), "ws://*:7/x");
        assert_eq!(bind("ws://[127.0.0.1]:07", V4).to_string(), "ws://127.0.0.1:7");
        assert_eq!(connect("ws://*;h/x?y", RUST).to_string(), "ws://*;h:80/x?y");
    }
}

#[cfg(all(feature = "tls", feature = "ws"))]
mod wss {
    use super::*;

    #[test]
    fn r90_r91_r92_r96_wss_addresses_are_those_of_ws_behind_their_scheme() {
        check_rows_both(&[
            ("wss://", "EINVAL", "EINVAL"),
            ("wss://*:5555", "ok", "EINVAL"),
            ("wss://127.0.0.1:5555", "ok", "ok"),
            ("wss://127.0.0.1:0", "EINVAL", "EINVAL"),
            ("wss://127.0.0.1", "EINVAL", "ok"),
            ("wss://127.0.0.1/path", "EINVAL", "ok"),
            ("wss://127.0.0.1:5555/a/b?c", "EINVAL", "ok"),
            ("wss://127.0.0.1/x:5555", "ENODEV", "EINVAL"),
            ("wss://localhost:5555", "ENODEV", "ok"),
            ("wss://127.0.0.1;localhost", "EINVAL", "ok"),
            ("wss://h:1/a b", "EINVAL", "EINVAL"),
            ("WSS://127.0.0.1:5555", "EPROTONOSUPPORT", "EPROTONOSUPPORT"),
            ("tls+ws://127.0.0.1:5555", "EPROTONOSUPPORT", "EPROTONOSUPPORT"),
        ]);
        check_rows(V6, &[("wss://[::1]:5555", "ok", "ok"), ("wss://[::1]", "EINVAL", "ok")]);
    }

    #[test]
    fn r47_r48_request_gets_host_and_target_as_typed_and_the_port_is_443() {
        let rows = [
            ("wss://example.org", "example.org", 443, "/"),
            ("wss://Example.org/a?b", "Example.org", 443, "/a?b"),
            ("wss://Example.org:8443/", "Example.org:8443", 8443, "/"),
            ("wss://127.0.0.1;h:1/a//b/?c=d:e&f", "h:1", 1, "/a//b/?c=d:e&f"),
            ("wss://[::1]/x", "[::1]", 443, "/x"),
        ];
        for (text, host, port, target) in rows {
            let ConnectAddress::Wss(address) = connect(text, RUST) else { panic!("{text}") };
            assert_eq!((&*address.host, address.tcp.port, &*address.target), (host, port, target), "{text}");
        }
    }

    #[test]
    fn r57_a_path_can_be_bound_outside_the_c_interface() {
        for (text, path) in [("wss://*:0", None), ("wss://:0/", Some("/")), ("wss://h:7/a/b", Some("/a/b"))] {
            let BindAddress::Wss(address) = bind(text, RUST) else { panic!("{text}") };
            assert_eq!(address.path.as_deref(), path);
        }
        check_rows(RUST, &[("wss://*:1/a?b", "EINVAL", "EINVAL"), ("wss://*/a", "EINVAL", "EINVAL")]);
    }

    #[test]
    fn canonical_text_has_scheme_and_path() {
        assert_eq!(bind("wss://*:7/x", RUST).to_string(), "wss://*:7/x");
        assert_eq!(connect("wss://*;h/x?y", RUST).to_string(), "wss://*;h:443/x?y");
    }
}
