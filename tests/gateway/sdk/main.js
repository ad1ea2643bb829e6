// Drives a gateway with the JavaScript SDK of LangGraph's Agent Server, unchanged:
//
//   node main.js PROGRAM
//
// PROGRAM is weir-gateway, with its example graphs. The tests wait for events, never for a time: a run that has to be
// under way would go on for minutes, and its test cancels it.
import { after } from "node:test";

import { gateway } from "./support.js";

after(() => gateway.stop());

await import("./docs_test.js");
await import("./streams_test.js");
await import("./runs_test.js");
await import("./threads_test.js");
await import("./reconnect_test.js");
