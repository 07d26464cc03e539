//! HTTP/2 alone, by the library that tonic stands on, served in turns as creditd serves:
//! it reads what has come, and gives each call the same bytes. Nothing that is built on
//! h2 costs less.

use std::future::{Future as _, poll_fn};
use std::io;
use std::net::{TcpListener, TcpStream};
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use prost::Message;
use tokio::sync::mpsc;
use tokio::task::LocalSet;

/// Most calls of one turn.
const TURN_CALLS_MAX: usize = 256;

type Call = (Request<RecvStream>, SendResponse<Bytes>);

/// Serves for ever: a thread with a runtime of its own for each core, connections in turn.
pub fn serve(reply: &impl Message) -> io::Result<()> {
    let mut frame = vec![0];
    let message = reply.encode_to_vec();
    frame.extend(
        u32::try_from(message.len())
            .unwrap_or_default()
            .to_be_bytes(),
    );
    frame.extend(message);
    let frame = Bytes::from(frame);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("listens on {}", listener.local_addr()?);
    let threads = std::thread::available_parallelism()?.get();
    let threads: Vec<_> = (0..threads)
        .map(|_| {
            let (sender, streams) = mpsc::channel(1_024);
            let frame = frame.clone();
            std::thread::spawn(move || run(streams, frame));
            sender
        })
        .collect();
    for (stream, thread) in listener.incoming().zip(threads.iter().cycle()) {
        if thread.blocking_send(stream?).is_err() {
            return Err(io::Error::other("a thread has ended"));
        }
    }
    Ok(())
}

fn run(mut streams: mpsc::Receiver<TcpStream>, frame: Bytes) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let tasks = LocalSet::new();
    runtime.block_on(tasks.run_until(async {
        while let Some(stream) = streams.recv().await {
            let frame = frame.clone();
            tokio::task::spawn_local(async move {
                // A peer that goes away is its own affair.
                let _ = connection(stream, frame).await;
            });
        }
        Ok(())
    }))
}

async fn connection(stream: TcpStream, frame: Bytes) -> Result<(), Box<dyn std::error::Error>> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    let stream = tokio::net::TcpStream::from_std(stream)?;
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(1_024);
    let mut http = builder.handshake::<_, Bytes>(stream).await?;
    let mut came: Vec<Call> = Vec::new();
    loop {
        let goes_on = poll_fn(|context| {
            while came.len() < TURN_CALLS_MAX {
                match http.poll_accept(context) {
                    Poll::Ready(Some(Ok(call))) => came.push(call),
                    Poll::Ready(_) => return Poll::Ready(false),
                    Poll::Pending if came.is_empty() => return Poll::Pending,
                    Poll::Pending => break,
                }
            }
            Poll::Ready(true)
        });
        if !goes_on.await {
            return Ok(());
        }
        for call in came.drain(..) {
            answer(call, &frame).await?;
        }
        tokio::task::yield_now().await;
    }
}

async fn answer((request, mut respond): Call, frame: &Bytes) -> Result<(), h2::Error> {
    let mut body = request.into_body();
    // What is there of it; a small request comes whole.
    let data = poll_fn(|context| {
        let mut data = pin!(body.data());
        Poll::Ready(match data.as_mut().poll(context) {
            Poll::Ready(data) => data,
            Poll::Pending => None,
        })
    });
    if let Some(data) = data.await.transpose()? {
        body.flow_control().release_capacity(data.len())?;
    }
    let mut head = Response::new(());
    let grpc = HeaderValue::from_static("application/grpc");
    head.headers_mut().insert(header::CONTENT_TYPE, grpc);
    let mut stream = respond.send_response(head, false)?;
    stream.send_data(frame.clone(), false)?;
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    stream.send_trailers(trailers)
}
