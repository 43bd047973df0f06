// The official openai package for Node against a running gateway: whole, streamed, tools, by both dialects.
//
// usage: NODE_EXTRA_CA_CERTS=CA_FILE node openai_chat.mjs BASE_URL KEY
import assert from "node:assert/strict";
import OpenAI from "openai";

const [baseURL, apiKey] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const model = "reasoner";
const parameters = { type: "object", properties: { city: { type: "string" } } };
const ask = (content) => ({ model, messages: [{ role: "user", content }] });

const reply = await client.chat.completions.create(ask("hello"));
assert.equal(reply.choices[0].message.content, "Olá, mundo");
let text = "";
for await (const chunk of await client.chat.completions.create({ ...ask("hello"), stream: true })) {
  text += chunk.choices[0]?.delta?.content ?? "";
}
assert.equal(text, "Olá, mundo");
const tools = [{ type: "function", function: { name: "weather", parameters } }];
const called = await client.chat.completions.create({ ...ask("use the tool"), tools });
assert.deepEqual(JSON.parse(called.choices[0].message.tool_calls[0].function.arguments), { city: "Porto" });
const response = await client.responses.create({ model, input: "hello" });
assert.equal(response.output_text, "Olá, mundo");
text = "";
for await (const event of await client.responses.create({ model, input: "hello", stream: true })) {
  if (event.type === "response.output_text.delta") text += event.delta;
}
assert.equal(text, "Olá, mundo");
console.log("ok");
