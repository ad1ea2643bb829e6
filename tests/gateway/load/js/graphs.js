// joke and slow as weir-gateway has them.
import { setTimeout as sleep } from "node:timers/promises";

import { Annotation, END, START, StateGraph } from "@langchain/langgraph";

export const joke = new StateGraph(Annotation.Root({ topic: Annotation, joke: Annotation }))
  .addNode("refine_topic", ({ topic }) => ({ topic: `${topic} and cats` }))
  .addNode("generate_joke", ({ topic }) => ({ joke: `This is a joke about ${topic}` }))
  .addEdge(START, "refine_topic")
  .addEdge("refine_topic", "generate_joke")
  .addEdge("generate_joke", END)
  .compile();

export const slow = new StateGraph(Annotation.Root({ n: Annotation, ms: Annotation, done: Annotation }))
  .addNode("ticker", async ({ n, ms }, { writer }) => {
    for (let tick = 0; tick < n; ++tick) {
      // A timer's shortest wait is a millisecond.
      if (ms > 0) await sleep(ms);
      writer({ tick });
    }
    return { done: n };
  })
  .addNode("finish", ({ done }) => ({ done: `ticked ${done}` }))
  .addEdge(START, "ticker")
  .addEdge("ticker", "finish")
  .addEdge("finish", END)
  .compile();
