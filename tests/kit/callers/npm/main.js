// Asks with the vendors' npm clients what standard input says, a JSON object a line, and answers in kind.
//
// Knows how lines come and go and who asks; it judges nothing: what a client hands to its caller goes back as it is.
// A line is {client, ask, url, key, models, said}; its answer {found}, or {failed} where the client threw.

import { createInterface } from 'node:readline';

import { anthropic, chat, google, OpenAIChatAtWork, responses, responsesKept } from './at_work.js';
import { OpenAIResponses } from './openai_responses.js';

const CLIENTS = {
  'openai-chat': (url, key) => new OpenAIChatAtWork(url, key),
  'openai-responses': (url, key) => new OpenAIResponses(url, key),
  'ai-chat': chat,
  'ai-responses': responses,
  'ai-responses-kept': responsesKept,
  'ai-anthropic': anthropic,
  'ai-google': google,
};
// Standard output is for answers.
globalThis.AI_SDK_LOG_WARNINGS = false;
console.log = console.info = console.error;
const PATIENCE_MS = 20_000;
const open = new Map();

function client({ client: name, url, key }) {
  const where = `${name} ${url} ${key}`;
  if (!open.has(where)) open.set(where, CLIENTS[name](url, key));
  return open.get(where);
}

/** What comes of it, or an error that says that nothing did: whoever waits for a line gets one. */
function within(found) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing came of it in ${PATIENCE_MS} ms`)), PATIENCE_MS);
  });
  return Promise.race([found, late]).finally(() => clearTimeout(timer));
}

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  let answer;
  try {
    answer = { found: await within(client(asked)[asked.ask](asked.models, asked.said)) };
  } catch (error) {
    answer = { failed: error?.stack ?? String(error) };
  }
  process.stdout.write(JSON.stringify(answer) + '\n');
}
