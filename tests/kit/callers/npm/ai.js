// The AI SDK, whichever of its provider packages it asks by: each holds every answer to a schema of its vendor's dialect.

import { generateObject, generateText, streamObject, streamText, tool } from 'ai';
import { z } from 'zod';

import { caught, FAILURES } from './failures.js';

export const used = (usage) => ({
  input: usage.inputTokens,
  output: usage.outputTokens,
  total: usage.totalTokens,
  cached: usage.inputTokenDetails.cacheReadTokens,
});
export const pieces = (parts, kind) => parts.filter((part) => part.type === kind).map((part) => part.text);
/** The tools; `execute` has them run here. */
export const offered = ({ tools, results }, execute) =>
  Object.fromEntries(
    tools.map(({ name, description, parameters }, at) => [
      name,
      tool({
        description,
        inputSchema: z.fromJSONSchema(parameters),
        ...(execute && { execute: (input) => execute(name, input, results[at]) }),
      }),
    ]),
  );
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
      pieces: pieces(parts, 'text-delta'),
      text: await stream.text,
      finish: await stream.finishReason,
      usage: used(await stream.usage),
    };
  }

  async tools(models, said) {
    const messages = [{ role: 'user', content: said.hello }];
    const asked = {
      ...this.always,
      model: this.model(models.tools),
      system: said.system,
      messages,
      tools: offered(said),
    };
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
