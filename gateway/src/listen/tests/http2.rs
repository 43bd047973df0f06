//! HTTP/2 without TLS, frame by frame, so that a test can misbehave as no client library would.

use super::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: u8 = 4;
const RESET: u8 = 3;
const GOAWAY: u8 = 7;
const MAX_CONCURRENT_STREAMS: [u8; 2] = [0, 3];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// `GET path` as HEADERS that end the stream: indexed method and scheme, literal path and authority.
fn get(stream: u32, path: &str) -> Vec<u8> {
    let mut block = vec![0x82, 0x86, 0x04, u8::try_from(path.len()).unwrap()];
    block.extend_from_slice(path.as_bytes());
    block.extend_from_slice(&[0x41, 1, b'a']);
    frame(1, 0x05, stream, &block)
}

/// `POST path`, whose body is still to come.
fn post(stream: u32, path: &str) -> Vec<u8> {
    let mut post = get(stream, path);
    (post[4], post[9]) = (0x04, 0x83);
    post
}

struct Client(TcpStream);

impl Client {
    async fn begin(door: &Door) -> Self {
        let mut stream = door.connect().await;
        stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.unwrap();
        Self(stream)
    }

    /// The next frame's kind, stream and payload; `None` where the connection is closed.
    async fn next(&mut self) -> Option<(u8, u32, Vec<u8>)> {
        let read = async {
            let mut head = [0; 9];
            self.0.read_exact(&mut head).await.ok()?;
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            self.0.read_exact(&mut payload).await.ok()?;
            Some((head[3], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload))
        };
        timeout(Duration::from_secs(10), read).await.expect("neither a frame nor a close")
    }

    async fn next_of(&mut self, kind: u8) -> Option<(u32, Vec<u8>)> {
        loop {
            match self.next().await? {
                (found, stream, payload) if found == kind => return Some((stream, payload)),
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn streams_beyond_the_limit_are_told_and_refused() {
    let door = open(Limits { h2_streams: 2, ..patient() }, None);
    let mut client = Client::begin(&door).await;
    let (_, settings) = client.next_of(SETTINGS).await.unwrap();
    let limit = settings.chunks(6).find(|setting| setting[..2] == MAX_CONCURRENT_STREAMS).unwrap();
    assert_eq!(limit[2..], 2u32.to_be_bytes());
    for stream in [1, 3, 5] {
        client.0.write_all(&get(stream, "/never")).await.unwrap();
    }
    let (stream, why) = client.next_of(RESET).await.unwrap();
    assert_eq!((stream, &why[..]), (5, &7u32.to_be_bytes()[..]), "not REFUSED_STREAM");
}

#[tokio::test]
async fn a_stream_whose_body_nobody_wants_is_not_reset_under_its_answer() {
    let door = open(Limits { header_time: Duration::from_millis(300), ..patient() }, None);
    let mut client = Client::begin(&door).await;
    client.0.write_all(&post(1, "/unread")).await.unwrap();
    let answer = client.next_of(1).await.unwrap();
    assert_eq!((answer.0, answer.1[0]), (1, 0x88), "not 200");
    client.0.write_all(&[frame(0, 0, 1, &[b'x'; 9000]), frame(0, 1, 1, b"x")].concat()).await.unwrap();
    // Nothing but the answer has come when the next one is there.
    client.0.write_all(&get(3, "/")).await.unwrap();
    loop {
        match client.next().await.expect("the connection stays open") {
            (RESET, ..) => panic!("a stream was reset"),
            (1, 3, _) => break,
            _ => {}
        }
    }
    // One that does not end is given up in time.
    client.0.write_all(&post(5, "/unread")).await.unwrap();
    let (stream, why) = client.next_of(RESET).await.unwrap();
    assert_eq!((stream, &why[..]), (5, &0u32.to_be_bytes()[..]), "not NO_ERROR");
}

#[tokio::test]
async fn reset_flood_closes_the_connection_at_once_or_in_time() {
    // All at once, and one by one as a client that waits for each to be taken up.
    for together in [true, false] {
        let door = open(Limits { h2_resets: 5, ..patient() }, None);
        let mut client = Client::begin(&door).await;
        client.next_of(SETTINGS).await.unwrap();
        let mut flood = Vec::new();
        for number in 0..50 {
            let stream = 2 * number + 1;
            flood.extend_from_slice(&get(stream, "/never"));
            if !together {
                // The answer to a ping shows that what was sent before has been read.
                flood.extend_from_slice(&frame(6, 0, 0, &[0; 8]));
                if client.0.write_all(&flood).await.is_err() || client.next_of(6).await.is_none() {
                    break;
                }
                flood.clear();
            }
            flood.extend_from_slice(&frame(RESET, 0, stream, &8u32.to_be_bytes()));
        }
        let _ = client.0.write_all(&flood).await;
        if let Some((_, why)) = client.next_of(GOAWAY).await {
            assert_eq!(why[4..8], 11u32.to_be_bytes(), "not ENHANCE_YOUR_CALM");
        }
        while client.next().await.is_some() {}
        if !together {
            assert_eq!(door.front.counts().flooded.load(std::sync::atomic::Ordering::Relaxed), 1);
        }
    }
}

#[tokio::test]
async fn reply_that_gets_no_window_closes_its_connection_though_others_move() {
    let door = open_single(limits());
    let mut client = Client::begin(&door).await;
    client.0.write_all(&get(1, "/held")).await.unwrap();
    let others = async {
        for stream in (3..).step_by(2) {
            let sent = client.0.write_all(&get(stream, "/")).await;
            // Without data: the held reply has taken the connection's whole window.
            if sent.is_err() || client.next_of(1).await.is_none() {
                return;
            }
        }
    };
    tokio::join!(feed(&door.held), others);
    assert_eq!(door.front.counts().stalled.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[tokio::test]
async fn streams_that_end_well_are_no_flood() {
    let door = open(Limits { h2_resets: 2, ..patient() }, None);
    let mut client = Client::begin(&door).await;
    for number in 0..20 {
        client.0.write_all(&get(2 * number + 1, "/")).await.unwrap();
        assert!(client.next_of(0).await.is_some(), "closed after {number} streams");
    }
}

#[tokio::test]
async fn idle_connection_is_told_to_go_and_closed() {
    let door = open(limits(), None);
    let mut client = Client::begin(&door).await;
    client.0.write_all(&get(1, "/")).await.unwrap();
    assert!(client.next_of(GOAWAY).await.is_some());
    // Not even the ping is answered that would let the other side finish properly.
    while client.next().await.is_some() {}
}

#[tokio::test]
async fn oversized_head_is_answered_431() {
    let door = open(patient(), None);
    let mut client = Client::begin(&door).await;
    client.next_of(SETTINGS).await.unwrap();
    // Three literal fields of 4000 bytes; the last frame ends the head.
    let field = |at: u8| [&[0x40, 1, b'a' + at, 0x7f, 0xa1, 0x1e][..], &[b'x'; 4000]].concat();
    let mut head = get(1, "/");
    head[4] = 0x01;
    for at in 0..3 {
        head.extend_from_slice(&frame(9, if at == 2 { 0x04 } else { 0 }, 1, &field(at)));
    }
    client.0.write_all(&head).await.unwrap();
    let (_, block) = client.next_of(1).await.unwrap();
    // `:status` by name, then `431` in Huffman code.
    assert!(block.starts_with(&[0x48, 0x83, 0x69, 0x90, 0xff]), "{block:x?}");
}
