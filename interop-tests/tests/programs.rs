//! Programs as they were built for nanomsg: the system's nanocat on our library, through the compatibility
//! links and through LD_PRELOAD, and nanomsg's own perf programs.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use interop_tests::Trouble;
use interop_tests::place::{Place, Wire};
use interop_tests::suite::archive::{Part, Workshop, fresh_folder};
use interop_tests::suite::nanocat::{Nanocat, Route};
use interop_tests::suite::ports::Ports;
use interop_tests::suite::process::Process;

/// How long anything may take that is not measured.
const LONG: Duration = Duration::from_secs(20);

const QUESTION: &str = "question";
const ANSWER: &str = "answer";

/// Two socket types that converse. The active side speaks first.
struct Pattern {
    active: &'static str,
    passive: &'static str,
    /// Whether the passive side speaks too.
    answers: bool,
}

fn pattern(active: &'static str, passive: &'static str, answers: bool) -> Pattern {
    Pattern { active: option(active), passive: option(passive), answers }
}

fn option(socket: &'static str) -> &'static str {
    match socket {
        "push" => "--push",
        "pull" => "--pull",
        "pub" => "--pub",
        "sub" => "--sub",
        "req" => "--req",
        "rep" => "--rep",
        "surveyor" => "--surveyor",
        "respondent" => "--respondent",
        "bus" => "--bus",
        "pair" => "--pair",
        other => panic!("nanocat has no {other}"),
    }
}

fn cats() -> Nanocat {
    Nanocat::find().unwrap_or_else(|e| panic!("{e}"))
}

fn place(wire: Wire) -> Place {
    Place::reserve(wire).unwrap_or_else(|e| panic!("{e}"))
}

fn start(cats: &Nanocat, route: Route, arguments: &[&str]) -> Process {
    cats.start(route, arguments).unwrap_or_else(|e| panic!("{e}"))
}

/// Fail with both sides' words.
fn expect(result: Result<(), Trouble>, what: &str, others: &[&Process]) {
    if let Err(e) = result {
        let words: String = others.iter().map(|p| p.words()).collect();
        panic!("{what}: {e}\nthe other side: {words}");
    }
}

/// Whether at least two lines came; they must all be this.
fn is_twice(bytes: &[u8], line: &str) -> bool {
    let text = String::from_utf8_lossy(bytes);
    assert!(text.split_terminator('\n').all(|l| line.starts_with(l)), "{line} is awaited, not {text}");
    text.matches(&format!("{line}\n")).count() >= 2
}

/// Both sides hear each other more than once, each on the library it shall be on. Who binds alternates.
fn converse(pattern: &Pattern, wire: Wire) {
    let cats = cats();
    for (index, (active_route, passive_route)) in Route::PAIRINGS.into_iter().enumerate() {
        let place = place(wire);
        let active_binds = (index % 2 == 0) == (wire == Wire::Tcp);
        let (active_way, passive_way) =
            if active_binds { ("--bind", "--connect") } else { ("--connect", "--bind") };
        let what = format!(
            "{} {active_route:?} {active_way}, {} {passive_route:?}",
            pattern.active, pattern.passive
        );
        let mut passive_words = vec![pattern.passive, "--ascii", passive_way, place.address()];
        if pattern.answers {
            passive_words.extend(["--data", ANSWER]);
        }
        // These two send by themselves, not when they are asked.
        if pattern.active == pattern.passive {
            passive_words.extend(["--interval", "0.05"]);
        }
        let mut active_words = vec![pattern.active, active_way, place.address()];
        active_words.extend(["--data", QUESTION, "--interval", "0.05"]);
        if pattern.answers {
            active_words.push("--ascii");
        }
        let mut passive = start(&cats, passive_route, &passive_words);
        let mut active = start(&cats, active_route, &active_words);
        expect(passive.wait_for(LONG, |b| is_twice(b, QUESTION)), &what, &[&active]);
        if pattern.answers {
            expect(active.wait_for(LONG, |b| is_twice(b, ANSWER)), &what, &[&passive]);
        }
        expect(cats.check_memory_map(&active, active_route), &what, &[]);
        expect(cats.check_memory_map(&passive, passive_route), &what, &[]);
    }
}

#[test]
fn nanocat_push_and_pull() {
    converse(&pattern("push", "pull", false), Wire::Tcp);
    converse(&pattern("push", "pull", false), Wire::Ipc);
}

#[test]
fn nanocat_pub_and_sub() {
    converse(&pattern("pub", "sub", false), Wire::Tcp);
    converse(&pattern("pub", "sub", false), Wire::Ipc);
}

#[test]
fn nanocat_req_and_rep() {
    converse(&pattern("req", "rep", true), Wire::Tcp);
    converse(&pattern("req", "rep", true), Wire::Ipc);
}

#[test]
fn nanocat_surveyor_and_respondent() {
    converse(&pattern("surveyor", "respondent", true), Wire::Tcp);
    converse(&pattern("surveyor", "respondent", true), Wire::Ipc);
}

#[test]
fn nanocat_bus() {
    converse(&pattern("bus", "bus", true), Wire::Tcp);
    converse(&pattern("bus", "bus", true), Wire::Ipc);
}

#[test]
fn nanocat_pair() {
    converse(&pattern("pair", "pair", true), Wire::Tcp);
    converse(&pattern("pair", "pair", true), Wire::Ipc);
}

/// The loader tells where each name was found.
#[test]
fn nanocat_finds_every_function_in_the_library_under_test() {
    let cats = cats();
    for route in Route::OURS {
        let mut command = cats.command(route, &["--help"]);
        command.env("LD_DEBUG", "bindings").env("LD_BIND_NOW", "1");
        let mut process = Process::start(command).unwrap_or_else(|e| panic!("{e}"));
        expect(process.finish_with(0, LONG), "nanocat --help", &[]);
        assert!(process.stdout().starts_with(b"Usage:"), "{}", process.words());
        let bindings = process.stderr();
        let mut functions: Vec<&str> =
            bindings.lines().filter_map(|l| bound(l, cats.library().file())).collect();
        functions.sort_unstable();
        functions.dedup();
        let expected = [
            "nn_bind",
            "nn_close",
            "nn_connect",
            "nn_freemsg",
            "nn_recv",
            "nn_send",
            "nn_setsockopt",
            "nn_socket",
            "nn_strerror",
        ];
        assert_eq!(functions, expected, "{route:?}");
    }
}

/// The nn_ function that nanocat finds according to this line; panics when it is found outside `library`.
fn bound<'a>(line: &'a str, library: &Path) -> Option<&'a str> {
    let (_, rest) = line.split_once("binding file nanocat [0] to ")?;
    let (file, rest) = rest.split_once(" [0]: normal symbol `")?;
    let (function, _) = rest.split_once('\'')?;
    if !function.starts_with("nn_") {
        return None;
    }
    let file = Path::new(file).canonicalize().unwrap_or_else(|e| panic!("{file}: {e}"));
    assert_eq!(file, library, "{line}");
    Some(function)
}

/// Every byte, the ones that need an escape among them.
fn every_byte() -> Vec<u8> {
    (0..=u8::MAX).collect()
}

fn is_printable(byte: u8) -> bool {
    (b' '..=b'~').contains(&byte)
}

/// What nanocat prints for a body.
fn printed(format: &str, body: &[u8]) -> Vec<u8> {
    let hex = |b: u8| format!("\\x{b:02x}").into_bytes();
    let quote = |b: u8| match b {
        b'\n' => b"\\n".to_vec(),
        b'\r' => b"\\r".to_vec(),
        b'\\' | b'"' => vec![b'\\', b],
        b if is_printable(b) => vec![b],
        b => hex(b),
    };
    let in_quotes = |inner: Vec<u8>| [b"\"", inner.as_slice(), b"\"\n"].concat();
    match format {
        "raw" => body.to_vec(),
        "ascii" => {
            let shown = body.iter().map(|b| if is_printable(*b) { *b } else { b'.' });
            shown.chain([b'\n']).collect()
        }
        "quoted" => in_quotes(body.iter().flat_map(|b| quote(*b)).collect()),
        "hex" => in_quotes(body.iter().flat_map(|b| hex(*b)).collect()),
        "msgpack" => [msgpack_head(body.len()).as_slice(), body].concat(),
        other => panic!("{other} is not a format that prints"),
    }
}

fn msgpack_head(len: usize) -> Vec<u8> {
    let len = u32::try_from(len).expect("a short body").to_be_bytes();
    match len {
        [0, 0, 0, low] => vec![0xc4, low],
        [0, 0, high, low] => vec![0xc5, high, low],
        all => [&[0xc6], all.as_slice()].concat(),
    }
}

/// One message, one shot: the sender ends at once and nothing is lost. nanocat aborts at an empty file.
fn print_one(route: Route, format_words: &[&str], format: &str, body: &[u8]) {
    let cats = cats();
    let folder = fresh_folder().unwrap_or_else(|e| panic!("{e}"));
    let file = folder.path().join("body");
    std::fs::write(&file, body).unwrap_or_else(|e| panic!("{e}"));
    let socket = folder.path().join("socket").display().to_string();
    let pull_words = [&["--pull", "--bind-ipc", &socket], format_words].concat();
    let mut pull = start(&cats, route, &pull_words);
    let file = file.display().to_string();
    let source = if body.is_empty() { ["--data", ""] } else { ["--file", &file] };
    let mut push = start(&cats, route, &[&["--push", "--connect-ipc", &socket], &source[..]].concat());
    let expected = printed(format, body);
    expect(pull.wait_for(LONG, |bytes| bytes.len() >= expected.len()), format, &[&push]);
    assert!(pull.stdout() == expected, "{format}: {}", pull.words());
    expect(push.finish_with(0, LONG), format, &[&pull]);
}

#[test]
fn nanocat_prints_all_formats_by_their_names() {
    for format in ["raw", "ascii", "quoted", "msgpack", "hex"] {
        print_one(Route::Links, &["--format", format], format, &every_byte());
    }
}

#[test]
fn nanocat_prints_all_formats_by_their_flags() {
    for (flag, format) in
        [("--raw", "raw"), ("-A", "ascii"), ("-Q", "quoted"), ("--msgpack", "msgpack"), ("--hex", "hex")]
    {
        print_one(Route::Preload, &[flag], format, &every_byte());
    }
}

#[test]
fn nanocat_prints_msgpack_with_all_lengths_of_length() {
    for len in [0, 1, 255, 256, 65535, 65536] {
        print_one(Route::Links, &["--msgpack"], "msgpack", &vec![b'm'; len]);
    }
}

/// REP prints a request before it answers: when the answer has come, it would have printed.
#[test]
fn nanocat_prints_nothing_unless_told_to() {
    let cats = cats();
    for route in Route::OURS {
        for format in [&["--format", "no"][..], &[]] {
            let place = place(Wire::Tcp);
            let rep_words = [&["--rep", "--bind", place.address(), "--data", ANSWER], format].concat();
            let rep = start(&cats, route, &rep_words);
            let req_words = ["--req", "--connect", place.address(), "--data", QUESTION, "--raw"];
            let mut req = start(&cats, route, &req_words);
            expect(req.finish_with(0, LONG), "req", &[&rep]);
            assert_eq!((req.stdout(), rep.stdout()), (ANSWER.as_bytes().to_vec(), vec![]));
        }
    }
}

#[test]
fn nanocat_sends_its_standard_input() {
    let cats = cats();
    let ports = Ports::reserve(1).unwrap_or_else(|e| panic!("{e}"));
    let port = ports.first().to_string();
    let folder = fresh_folder().unwrap_or_else(|e| panic!("{e}"));
    let file = folder.path().join("input");
    let body = every_byte().repeat(40);
    std::fs::write(&file, &body).unwrap_or_else(|e| panic!("{e}"));
    let input = Stdio::from(File::open(&file).unwrap_or_else(|e| panic!("{e}")));
    let mut pull = start(&cats, Route::Links, &["--pull", "--bind-local", &port, "--raw"]);
    let push_words = ["--push", "--connect-local", &port, "--file", "-"];
    let push = cats.start_reading(Route::Links, &push_words, input);
    let mut push = push.unwrap_or_else(|e| panic!("{e}"));
    expect(pull.wait_for(LONG, |bytes| bytes.len() >= body.len()), "stdin", &[&push]);
    assert!(pull.stdout() == body, "{}", pull.words());
    expect(push.finish_with(0, LONG), "stdin", &[&pull]);
}

/// Start one that binds an ipc address, and wait until it did.
fn start_bound(cats: &Nanocat, route: Route, place: &Place, arguments: &[&str]) -> Process {
    let process = start(cats, route, &[arguments, &["--bind", place.address()]].concat());
    let path = Path::new(place.address().trim_start_matches("ipc://"));
    let begun = Instant::now();
    while !path.exists() {
        assert!(begun.elapsed() < LONG, "{} is not there: {}", path.display(), process.words());
        std::thread::sleep(Duration::from_millis(1));
    }
    process
}

/// A survey prints every answer that comes before its deadline, and ends with it.
#[test]
fn nanocat_survey_prints_both_answers_and_ends_at_the_deadline() {
    let cats = cats();
    for route in Route::OURS {
        let places = [place(Wire::Ipc), place(Wire::Ipc)];
        let one = start_bound(&cats, route, &places[0], &["--respondent", "--data", "one"]);
        let two = start_bound(&cats, route, &places[1], &["--respondent", "--data", "two"]);
        let to = ["--connect", places[0].address(), "--connect", places[1].address()];
        let words = [&["--surveyor", "--data", QUESTION, "--ascii", "--delay", "1"], &to[..]].concat();
        let mut surveyor = start(&cats, route, &words);
        expect(surveyor.finish_with(0, LONG), "surveyor", &[&one, &two]);
        let text = String::from_utf8_lossy(&surveyor.stdout()).into_owned();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["one", "two"], "{}", surveyor.words());
    }
}

#[test]
fn nanocat_subscribes_to_each_prefix_it_is_given() {
    let cats = cats();
    for route in Route::OURS {
        let (fruit, all) = (place(Wire::Ipc), place(Wire::Ipc));
        let fruit_words =
            ["--sub", "--bind", fruit.address(), "--ascii", "--subscribe", "app", "--subscribe", "ban"];
        let mut some = start(&cats, route, &fruit_words);
        let mut every = start(&cats, route, &["--sub", "--bind", all.address(), "--ascii"]);
        let say = |data| {
            let to = ["--pub", "--connect", all.address(), "--connect", fruit.address()];
            let words = [&to[..], &["--data", data, "--interval", "0.05"]].concat();
            start(&cats, route, &words)
        };
        let publishers = [say("apple"), say("banana"), say("ap"), say("cherry")];
        let has = |bytes: &[u8], word: &str, count: usize| {
            String::from_utf8_lossy(bytes).lines().filter(|l| *l == word).count() >= count
        };
        let everything = |b: &[u8]| ["apple", "banana", "ap", "cherry"].iter().all(|w| has(b, w, 2));
        expect(every.wait_for(LONG, everything), "everything", &[&publishers[0]]);
        expect(some.wait_for(LONG, |b| has(b, "apple", 3) && has(b, "banana", 3)), "some", &[&every]);
        let text = String::from_utf8_lossy(&some.stdout()).into_owned();
        let heard = text.split_terminator('\n');
        assert!(heard.clone().all(|l| "apple".starts_with(l) || "banana".starts_with(l)), "{text}");
        assert!(!text.contains("ap\n"), "{text}");
    }
}

#[test]
fn nanocat_repeats_at_its_interval_and_waits_for_its_delay() {
    let cats = cats();
    for route in Route::OURS {
        let place = place(Wire::Tcp);
        let mut pull = start(&cats, route, &["--pull", "--bind", place.address(), "--ascii"]);
        let begun = Instant::now();
        let words = ["--push", "--connect", place.address(), "--data", QUESTION];
        let push = start(&cats, route, &[&words[..], &["--delay", "0.3", "--interval", "0.2"]].concat());
        let three = |b: &[u8]| b.iter().filter(|b| **b == b'\n').count() >= 3;
        expect(pull.wait_for(LONG, three), "interval", &[&push]);
        // The delay, and two intervals between three messages; a clock of milliseconds may round each down.
        assert!(begun.elapsed() >= Duration::from_millis(695), "{:?}", begun.elapsed());
    }
}

/// A subscriber that is there hears a publisher's only message, however soon that one ends.
#[test]
fn nanocat_one_shot_publisher_is_heard_after_its_delay() {
    let cats = cats();
    for route in Route::OURS {
        let place = place(Wire::Ipc);
        let mut sub = start_bound(&cats, route, &place, &["--sub", "--ascii"]);
        let words = ["--pub", "--connect", place.address(), "--data", QUESTION, "--delay", "1"];
        let mut publisher = start(&cats, route, &words);
        expect(publisher.finish_with(0, LONG), "pub", &[&sub]);
        expect(sub.wait_for(LONG, |b| b.ends_with(b"\n")), "sub", &[&publisher]);
        assert_eq!(sub.stdout(), b"question\n");
    }
}

/// Run one to its end: its exit code, its complaints, and how long it took.
fn run(cats: &Nanocat, route: Route, code: i32, words: &[&str]) -> (String, Duration) {
    let begun = Instant::now();
    let mut process = start(cats, route, words);
    expect(process.finish_with(code, LONG), "alone", &[]);
    assert_eq!(process.stdout(), b"", "{}", process.words());
    (process.stderr(), begun.elapsed())
}

/// Receivers end well, answerers and senders end with an error. A receive timeout is cut to whole seconds.
#[test]
fn nanocat_timeouts() {
    let cats = cats();
    for route in Route::OURS {
        let place = place(Wire::Tcp);
        let at = ["--bind", place.address()];
        for socket in ["--pull", "--sub", "--bus", "--pair", "--rep", "--respondent"] {
            let words = [&[socket], &at[..], &["--recv-timeout", "0.5"]].concat();
            assert_eq!(run(&cats, route, 0, &words).0, "", "{socket}");
        }
        let words = [&["--pull"], &at[..], &["--recv-timeout", "1.5"]].concat();
        let (words, took) = run(&cats, route, 0, &words);
        assert!(words.is_empty() && took >= Duration::from_millis(990), "{words} {took:?}");
        let words = [&["--rep"], &at[..], &["--recv-timeout", "0.1", "--data", ANSWER]].concat();
        assert_eq!(run(&cats, route, 3, &words).0, "Can't recv: Connection timed out\n");
        let words = [&["--push"], &at[..], &["--send-timeout", "0.3", "--data", QUESTION]].concat();
        let (words, took) = run(&cats, route, 3, &words);
        assert_eq!(words, "Can't send: Connection timed out\n");
        assert!(took >= Duration::from_millis(290), "{took:?}");
    }
}

#[test]
fn nanocat_reports_errors_of_the_library_with_exit_code_3() {
    let cats = cats();
    for route in Route::OURS {
        let wrong = |way, address| run(&cats, route, 3, &["--pair", way, address]).0;
        assert_eq!(wrong("--bind", "tcp://127.0.0.1:"), "Can't bind: Invalid argument\n");
        assert_eq!(wrong("--bind", "quux://here"), "Can't bind: Protocol not supported\n");
        assert_eq!(wrong("--connect", "tcp://*:5555"), "Can't connect: Invalid argument\n");
        let place = place(Wire::Ipc);
        let twice = ["--bind", place.address(), "--bind", place.address()];
        let words = [&["--pair", "--socket-name", "twins"], &twice[..]].concat();
        assert_eq!(run(&cats, route, 3, &words).0, "Can't bind: Address already in use\n");
        let name = "n".repeat(64);
        let words = ["--pair", "--connect", place.address(), "--socket-name", &name];
        assert_eq!(run(&cats, route, 3, &words).0, "Can't set socket name: Invalid argument\n");
    }
}

/// What a perf program printed: `label: number [unit]` on each line, in this order.
fn figures(process: &Process, expected: &[(&str, &str)]) -> Vec<f64> {
    let text = String::from_utf8_lossy(&process.stdout()).into_owned();
    println!("{text}");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), expected.len(), "{}", process.words());
    let parse = |line: &str, label: &str, unit: &str| -> Option<f64> {
        let number = line.strip_prefix(label)?.strip_prefix(": ")?.strip_suffix(unit)?;
        number.trim_end().parse().ok()
    };
    let pairs = lines.iter().zip(expected);
    pairs.map(|(l, (label, unit))| parse(l, label, unit).unwrap_or_else(|| panic!("{l}"))).collect()
}

fn perf(workshop: &Workshop, name: &str, arguments: &[&str]) -> Process {
    let file = workshop.build(Part::Perf, name).unwrap_or_else(|e| panic!("{e}"));
    let mut command = Command::new(file);
    command.args(arguments);
    Process::start(command).unwrap_or_else(|e| panic!("{e}"))
}

fn workshop() -> Workshop {
    Workshop::open().unwrap_or_else(|e| panic!("{e}"))
}

const LATENCY: [(&str, &str); 3] =
    [("message size", "[B]"), ("roundtrip count", ""), ("average latency", "[us]")];

fn throughput(label: &'static str) -> [(&'static str, &'static str); 4] {
    [("message size", "[B]"), ("message count", ""), (label, "[msg/s]"), (label, "[Mb/s]")]
}

#[test]
fn every_perf_program_of_nanomsg_is_run_here() {
    let theirs = workshop().programs(Part::Perf).unwrap_or_else(|e| panic!("{e}"));
    let ours = ["inproc_lat", "inproc_thr", "local_lat", "local_thr", "remote_lat", "remote_thr"];
    assert_eq!(theirs, ours);
}

#[test]
fn perf_inproc_latency_and_throughput() {
    let workshop = workshop();
    for size in [0_u16, 1, 64, 1000] {
        let size_word = size.to_string();
        let mut latency = perf(&workshop, "inproc_lat", &[&size_word, "500"]);
        expect(latency.finish_with(0, LONG), "inproc_lat", &[]);
        let values = figures(&latency, &LATENCY);
        assert_eq!(values[..2], [f64::from(size), 500.0]);
        assert!(values[2] > 0.0);
        let mut through = perf(&workshop, "inproc_thr", &[&size_word, "5000"]);
        expect(through.finish_with(0, LONG), "inproc_thr", &[]);
        let values = figures(&through, &throughput("mean throughput"));
        assert_eq!(values[..2], [f64::from(size), 5000.0]);
        assert!(values[2] > 0.0 && (size == 0 || values[3] > 0.0));
    }
}

fn perf_over(wire: Wire) {
    let workshop = workshop();
    let place = place(wire);
    let mut local = perf(&workshop, "local_lat", &[place.address(), "64", "500"]);
    let mut remote = perf(&workshop, "remote_lat", &[place.address(), "64", "500"]);
    expect(remote.finish_with(0, LONG), "remote_lat", &[&local]);
    expect(local.finish_with(0, LONG), "local_lat", &[&remote]);
    let values = figures(&remote, &LATENCY);
    assert!(values[..2] == [64.0, 500.0] && values[2] > 0.0, "{values:?}");
    assert_eq!(figures(&local, &[]), []);
    let mut local = perf(&workshop, "local_thr", &[place.address(), "64", "20000"]);
    let mut remote = perf(&workshop, "remote_thr", &[place.address(), "64", "20000"]);
    expect(local.finish_with(0, LONG), "local_thr", &[&remote]);
    expect(remote.finish_with(0, LONG), "remote_thr", &[&local]);
    let values = figures(&local, &throughput("throughput"));
    assert!(values[..2] == [64.0, 20000.0] && values[2] > 0.0 && values[3] > 0.0, "{values:?}");
    assert_eq!(figures(&remote, &[]), []);
}

#[test]
fn perf_latency_and_throughput_over_tcp() {
    perf_over(Wire::Tcp);
}

#[test]
fn perf_latency_and_throughput_over_ipc() {
    perf_over(Wire::Ipc);
}
