// A call that goes out packed by fetch, and whose answer comes packed: URL.
import { gzipSync } from "node:zlib";

const call = { jsonrpc: "2.0", id: 1, method: "eth_call", params: [{ to: `0x${"0".repeat(40)}` }, "latest"] };
const answer = await fetch(process.argv[2], {
  method: "POST",
  headers: { "content-type": "application/json", "content-encoding": "gzip" },
  body: gzipSync(JSON.stringify(call)),
});
const { result } = await answer.json();
console.log(answer.headers.get("content-encoding"), result.length);
