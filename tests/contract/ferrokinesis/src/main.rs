//! Serves ferrokinesis, with its write limits on, on 127.0.0.1 and the port that the first argument names.

use ferrokinesis::store::StoreOptions;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port: u16 = std::env::args().nth(1).ok_or("usage: ferrokinesis-on-loopback PORT")?.parse()?;
    let options = StoreOptions { enforce_limits: true, shard_limit: 500, ..StoreOptions::default() };
    let (app, _store) = ferrokinesis::create_app(options);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    let mut end = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    ferrokinesis::serve_plain_http(listener, app, async move {
        end.recv().await;
    })
    .await?;
    Ok(())
}
