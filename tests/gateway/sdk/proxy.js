// A TCP proxy that cuts connections off.
import { once } from "node:events";
import net from "node:net";

export class Proxy {
  // Told of each request: its method and path, and its Last-Event-ID.
  onRequest = () => {};

  // The first connection is cut after so many bytes from the server as `cuts` begins with, the second after so many as
  // come next there, and so on; the others are not.
  static async to(port, cuts) {
    const proxy = new Proxy();
    proxy.port = port;
    proxy.cuts = cuts;
    proxy.server = net.createServer((client) => proxy.connect(client));
    proxy.server.listen(0, "127.0.0.1");
    await once(proxy.server, "listening");
    proxy.url = `http://127.0.0.1:${proxy.server.address().port}`;
    return proxy;
  }

  connect(client) {
    const server = net.connect(this.port, "127.0.0.1");
    for (const [socket, other] of [[client, server], [server, client]]) {
      socket.on("error", () => {});
      socket.on("close", () => other.destroy());
    }
    client.on("data", (bytes) => {
      // Requests are small: each comes in one piece.
      const head = bytes.toString("latin1").match(/^([A-Z]+ [^ ?]+)\S* HTTP[^]*?\r\n\r\n/);
      if (head) this.onRequest({ request: head[1], lastEventId: head[0].match(/^last-event-id: (.*)\r$/im)?.[1] });
      server.write(bytes);
    });
    let left = this.cuts.shift() ?? Infinity;
    server.on("data", (bytes) => {
      if (left <= 0) return;
      client.write(bytes.subarray(0, left));
      left -= bytes.length;
      if (left <= 0) client.end(() => server.destroy());
    });
  }

  close() {
    this.server.close();
  }
}
