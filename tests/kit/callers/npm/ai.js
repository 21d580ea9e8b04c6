// The AI SDK, by its provider packages: each asks in its vendor's own dialect, and holds every answer to a schema of it.

import { createAnthropic } from '@ai-sdk/anthropic';
import { createGoogleGenerativeAI } from '@ai-sdk/google';
import { createOpenAI } from '@ai-sdk/openai';
import { generateObject, generateText, jsonSchema, streamObject, streamText, tool } from 'ai';
import { z } from 'zod';

import { caught, FAILURES } from './failures.js';

const used = (usage) => ({
  input: usage.inputTokens,
  output: usage.outputTokens,
  total: usage.totalTokens,
  cached: usage.inputTokenDetails.cacheReadTokens,
});
const called = (calls) => calls.map(({ toolCallId: id, toolName: name, input }) => ({ id, name, arguments: input }));

/** What is thrown within a stream is an event of it, which its caller has to look for. */
export async function read(stream) {
  const parts = [];
  for await (const part of stream.fullStream) {
    if (part.type === 'error') throw part.error;
    parts.push(part);
  }
  return parts;
}

export class AI {
  constructor(model, providerOptions = {}) {
    this.model = model;
    this.always = { maxRetries: 0, providerOptions };
  }

  async whole(models, { hello, system }) {
    const asked = { model: this.model(models.plain), system, prompt: hello, maxOutputTokens: 100 };
    const reply = await generateText({ ...this.always, ...asked });
    const short = await generateText({ ...this.always, model: this.model(models.length), prompt: hello });
    return {
      text: reply.text,
      finish: reply.finishReason,
      usage: used(reply.usage),
      short: short.finishReason,
    };
  }

  async stream(models, { hello, system }) {
    const stream = streamText({ ...this.always, model: this.model(models.plain), system, prompt: hello });
    const parts = await read(stream);
    return {
      pieces: parts.filter((part) => part.type === 'text-delta').map((part) => part.text),
      text: await stream.text,
      finish: await stream.finishReason,
      usage: used(await stream.usage),
    };
  }

  async tools(models, said) {
    const tools = Object.fromEntries(
      said.tools.map(({ name, description, parameters }) => [
        name,
        tool({ description, inputSchema: jsonSchema(parameters) }),
      ]),
    );
    const messages = [{ role: 'user', content: said.hello }];
    const asked = { ...this.always, model: this.model(models.tools), system: said.system, messages, tools };
    const whole = await generateText(asked);
    const streamed = streamText(asked);
    await read(streamed);
    const results = whole.toolCalls.map(({ toolCallId, toolName }, at) => ({
      type: 'tool-result',
      toolCallId,
      toolName,
      output: { type: 'text', value: said.results[at] },
    }));
    const again = await generateText({
      ...asked,
      model: this.model(models.plain),
      messages: [...messages, ...whole.response.messages, { role: 'tool', content: results }],
    });
    return {
      whole: { calls: called(whole.toolCalls), finish: whole.finishReason },
      streamed: { calls: called(await streamed.toolCalls), finish: await streamed.finishReason },
      text: again.text,
    };
  }

  async image(models, { hello, picture }) {
    const content = [
      { type: 'text', text: hello },
      { type: 'image', image: picture, mediaType: 'image/png' },
    ];
    const messages = [{ role: 'user', content }];
    const { text } = await generateText({ ...this.always, model: this.model(models.plain), messages });
    return { text };
  }

  async schema(models, { hello, person }) {
    const asked = {
      ...this.always,
      model: this.model(models.schema),
      prompt: hello,
      schema: z.fromJSONSchema(person),
      schemaName: 'person',
    };
    const { object } = await generateObject(asked);
    const stream = streamObject(asked);
    let grown = 0;
    for await (const _ of stream.partialObjectStream) grown += 1;
    return { object, streamed: await stream.object, grown };
  }

  async error(models, { hello }) {
    const found = [];
    for (const failure of FAILURES) {
      const asked = { ...this.always, model: this.model(models[failure]), prompt: hello, onError: () => {} };
      found.push(await caught(() => generateText(asked)));
      found.push(await caught(() => read(streamText(asked))));
    }
    return found;
  }
}

export const chat = (url, key) => new AI(createOpenAI({ baseURL: `${url}/v1`, apiKey: key }).chat);
// What the provider keeps it would refer to from then on; a provider of another dialect keeps nothing.
export const responses = (url, key) =>
  new AI(createOpenAI({ baseURL: `${url}/v1`, apiKey: key }).responses, { openai: { store: false } });
export const google = (url, key) =>
  new AI(createGoogleGenerativeAI({ baseURL: `${url}/v1beta`, apiKey: key }));
// A model whose name it does not know gets its schema as a tool: here it is asked for what Anthropic has for that.
export const anthropic = (url, key) =>
  new AI(createAnthropic({ baseURL: `${url}/v1`, apiKey: key }), {
    anthropic: { structuredOutputMode: 'outputFormat' },
  });
