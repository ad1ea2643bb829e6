// The Agent Server of LangGraph.js with the graphs joke and slow, at a port that is free:
//
//   node server.js FOLDER
//
// It keeps its files in FOLDER.
import net from "node:net";

process.env.LANGSMITH_TRACING = "false";
process.env.LOG_LEVEL = "error";
const { startServer } = await import("@langchain/langgraph-api/server");

const port = await new Promise((resolve) => {
  const probe = net.createServer().listen(0, "127.0.0.1", () => {
    const { port } = probe.address();
    probe.close(() => resolve(port));
  });
});
const graphs = new URL("graphs.js", import.meta.url).pathname;
await startServer({
  port,
  nWorkers: 200, // Runs at once.
  host: "127.0.0.1",
  cwd: process.argv[2],
  graphs: { joke: `${graphs}:joke`, slow: `${graphs}:slow` },
});
console.log(`listening at http://127.0.0.1:${port}`);
process.on("SIGTERM", () => process.exit(0));
