//! Requests read from the wire, answers written to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use super::{Answer, Received};

/// The next request; nothing where the connection ends.
pub(super) fn read(reader: &mut BufReader<TcpStream>) -> Option<Received> {
    let mut request = Received::default();
    let first = line(reader, &mut request.head)?;
    let first = String::from_utf8_lossy(&first).into_owned();
    let mut words = first.split(' ');
    request.method = words.next()?.to_owned();
    request.target = words.next()?.to_owned();
    loop {
        let header = line(reader, &mut request.head)?;
        if header.is_empty() {
            break;
        }
        let colon = header.iter().position(|byte| *byte == b':')?;
        let name = String::from_utf8_lossy(&header[..colon]).to_lowercase();
        request.headers.push((name, header[colon + 1..].trim_ascii().to_vec()));
    }
    read_body(reader, &mut request)?;
    Some(request)
}

fn read_body(reader: &mut BufReader<TcpStream>, request: &mut Received) -> Option<()> {
    if let Some(length) = request.header("content-length").and_then(|length| length.parse().ok()) {
        reader.take(length).read_to_end(&mut request.body).ok()?;
    } else if request.header("transfer-encoding").is_some() {
        while read_chunk(reader, &mut request.body)? > 0 {}
    }
    Some(())
}

fn read_chunk(reader: &mut BufReader<TcpStream>, body: &mut Vec<u8>) -> Option<u64> {
    let size = line(reader, &mut Vec::new())?;
    let size = u64::from_str_radix(&String::from_utf8_lossy(&size), 16).ok()?;
    reader.take(size).read_to_end(body).ok()?;
    line(reader, &mut Vec::new())?;
    Some(size)
}

/// A line without its end; its bytes are added to `all`.
fn line(reader: &mut BufReader<TcpStream>, all: &mut Vec<u8>) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line).ok()?;
    all.extend_from_slice(&line);
    (line.pop() == Some(b'\n')).then(|| line.trim_ascii_end().to_vec())
}

/// Whether the connection can be used again.
pub(super) fn write(stream: &mut TcpStream, answer: Answer, head: bool) -> bool {
    match answer {
        Answer::Http(status, headers, body) => {
            stream.write_all(&bytes(status, &headers, &body, head)).is_ok()
        }
        Answer::After(time, answer) => {
            thread::sleep(time);
            write(stream, *answer, head)
        }
        Answer::Slowly(pause, answer) => match *answer {
            Answer::Http(status, headers, body) => {
                bytes(status, &headers, &body, head).iter().all(|byte| {
                    thread::sleep(pause);
                    stream.write_all(&[*byte]).is_ok()
                })
            }
            other => write(stream, other, head),
        },
        Answer::Hang => {
            // Until the other side has had enough.
            let _ = stream.read(&mut [0]);
            false
        }
        Answer::Reset => reset(stream),
        Answer::Torn => {
            let _ = stream.write_all(b"HTTP/1.1 200 Status\r\ncontent-length: 100\r\n\r\ntorn");
            // A reset overtakes what has not been read yet.
            thread::sleep(Duration::from_millis(100));
            reset(stream)
        }
        Answer::Garbage => {
            let _ = stream.write_all(b"\x00\xff this is no HTTP\r\n\r\n");
            false
        }
        Answer::Switch => {
            let head = b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n";
            let _ = stream.write_all(head);
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut bytes) {
                if stream.write_all(&bytes[..count]).is_err() {
                    break;
                }
            }
            false
        }
    }
}

fn bytes(status: u16, headers: &[(String, String)], body: &[u8], head: bool) -> Vec<u8> {
    let mut lines = format!("HTTP/1.1 {status} Status\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        lines.push_str(&format!("{name}: {value}\r\n"));
    }
    let body = if head { &[] } else { body };
    [lines.as_bytes(), b"\r\n", body].concat()
}

/// Makes the end of the connection, which follows, a reset.
fn reset(stream: &TcpStream) -> bool {
    let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
    false
}
