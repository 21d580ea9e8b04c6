// What clients do beyond one call: tools that run here, thoughts given back, leaving, waiting, streams that break.

import { createAnthropic } from '@ai-sdk/anthropic';
import { createGoogleGenerativeAI } from '@ai-sdk/google';
import { createOpenAI } from '@ai-sdk/openai';
import { generateObject, generateText, stepCountIs, streamObject, streamText } from 'ai';
import OpenAI from 'openai';
import { z } from 'zod';

import { AI, offered, pieces, read, used } from './ai.js';
import { OpenAIChat } from './openai_chat.js';

export class OpenAIChatAtWork extends OpenAIChat {
  constructor(url, key) {
    super(url, key);
    this.ready = new OpenAI({ baseURL: `${url}/v1`, apiKey: key }).chat.completions;
  }

  async steps(models, said) {
    const ran = [];
    const tools = said.tools.map((tool, at) => ({
      type: 'function',
      function: {
        ...tool,
        parse: JSON.parse,
        function: (input) => (ran.push({ name: tool.name, arguments: input }), said.results[at]),
      },
    }));
    const found = { ran };
    for (const [kind, more] of [
      ['whole', {}],
      ['streamed', { stream: true, stream_options: { include_usage: true } }],
    ]) {
      const runner = this.completions.runTools({ model: models.plain, messages: this.turns(said), tools, ...more });
      const text = await runner.finalContent();
      const { prompt_tokens: input, completion_tokens: output } = await runner.totalUsage();
      found[kind] = { text, steps: runner.allChatCompletions().length, input, output };
    }
    return found;
  }

  async leave(models, said) {
    const leaving = new AbortController();
    const stream = await this.completions.create(
      { model: models.plain, messages: this.turns(said), stream: true },
      { signal: leaving.signal, headers: said.headers },
    );
    const heard = [];
    for await (const { choices } of stream) {
      heard.push(choices[0].delta.content);
      leaving.abort();
    }
    return { text: heard.join('') };
  }

  async patient(models, said) {
    const ask = () => this.ready.create({ model: models.plain, messages: this.turns(said) });
    return (await Promise.all([ask(), ask()])).map((reply) => reply.choices[0].message.content);
  }
}

export class AIAtWork extends AI {
  async steps(models, said) {
    const ran = [];
    const run = (name, input, result) => (ran.push({ name, arguments: input }), result);
    const asked = {
      ...this.always,
      model: this.model(models.plain),
      system: said.system,
      prompt: said.hello,
      tools: offered(said, run),
      stopWhen: stepCountIs(4),
    };
    const whole = await generateText(asked);
    const stream = streamText(asked);
    await read(stream);
    const streamed = { text: await stream.text, steps: await stream.steps, totalUsage: await stream.totalUsage };
    const told = ({ text, steps, totalUsage }) => {
      const { input, output } = used(totalUsage);
      return { text, steps: steps.length, input, output };
    };
    return { ran, whole: told(whole), streamed: told(streamed) };
  }

  /** What was thought, and the turn given back as it came. */
  async thought(models, { hello, providerOptions }) {
    const messages = [{ role: 'user', content: hello }];
    const asked = { ...this.always, model: this.model(models.thinking), messages };
    asked.providerOptions = { ...asked.providerOptions, ...providerOptions };
    const whole = await generateText(asked);
    const stream = streamText(asked);
    const parts = await read(stream);
    const { messages: turn } = await stream.response;
    const again = await generateText({
      ...asked,
      model: this.model(models.plain),
      messages: [...messages, ...turn, ...messages],
    });
    return {
      whole: { thought: whole.reasoningText, text: whole.text },
      streamed: { thought: pieces(parts, 'reasoning-delta').join(''), text: pieces(parts, 'text-delta').join('') },
      text: again.text,
    };
  }

  /** A stream that ends before its time: what was said, and what says that there is no more. */
  async broken(models, { hello }) {
    const stream = streamText({ ...this.always, model: this.model(models.plain), prompt: hello, onError: () => {} });
    const parts = [];
    for await (const part of stream.fullStream) parts.push(part);
    const errors = parts.filter((part) => part.type === 'error').map((part) => part.error.message);
    return { text: pieces(parts, 'text-delta').join(''), errors };
  }

  /** An object, by whatever the client has for it where it is told nothing. */
  async object(models, { hello, city }) {
    const asked = { maxRetries: 0, model: this.model(models.plain), prompt: hello, schema: z.fromJSONSchema(city) };
    const { object } = await generateObject(asked);
    const stream = streamObject(asked);
    for await (const _ of stream.partialObjectStream);
    return { object, streamed: await stream.object };
  }

  async leave(models, { hello, headers }) {
    const leaving = new AbortController();
    const stream = streamText({
      ...this.always,
      model: this.model(models.plain),
      prompt: hello,
      headers,
      abortSignal: leaving.signal,
    });
    const parts = [];
    for await (const part of stream.fullStream) {
      parts.push(part);
      if (part.type === 'text-delta') leaving.abort();
    }
    return { text: pieces(parts, 'text-delta').join(''), last: parts.at(-1).type };
  }

  /** Two calls at once, with as many tries as it makes where nothing is said. */
  async patient(models, { hello }) {
    const ask = () => generateText({ model: this.model(models.plain), prompt: hello });
    return (await Promise.all([ask(), ask()])).map((reply) => reply.text);
  }
}

const openai = (url, key) => createOpenAI({ baseURL: `${url}/v1`, apiKey: key });
export const chat = (url, key) => new AIAtWork(openai(url, key).chat);
// What it takes for kept by the provider it would refer to from then on; only where the API is the same that is so.
export const responses = (url, key) => new AIAtWork(openai(url, key).responses, { openai: { store: false } });
export const responsesKept = (url, key) => new AIAtWork(openai(url, key).responses);
export const google = (url, key) =>
  new AIAtWork(createGoogleGenerativeAI({ baseURL: `${url}/v1beta`, apiKey: key }));
// A model whose name it does not know gets a schema as a tool, unless it is told that there is something better.
export const anthropic = (url, key) =>
  new AIAtWork(createAnthropic({ baseURL: `${url}/v1`, apiKey: key }), {
    anthropic: { structuredOutputMode: 'outputFormat' },
  });
