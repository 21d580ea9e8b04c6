// OpenAI's own client asking the Responses API.

import OpenAI from 'openai';

import { caught, FAILURES } from './failures.js';

const used = (usage) => ({
  input: usage.input_tokens,
  output: usage.output_tokens,
  total: usage.total_tokens,
  cached: usage.input_tokens_details.cached_tokens,
});
const functions = (tools) => tools.map((tool) => ({ type: 'function', strict: false, ...tool }));
const called = (output) =>
  output
    .filter((item) => item.type === 'function_call')
    .map(({ call_id, name, arguments: text }) => ({ id: call_id, name, arguments: JSON.parse(text) }));

export class OpenAIResponses {
  constructor(url, key) {
    this.responses = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 }).responses;
  }

  async whole(models, { hello, system }) {
    const asked = { model: models.plain, input: hello, instructions: system, max_output_tokens: 100 };
    const reply = await this.responses.create(asked);
    const short = await this.responses.create({ model: models.length, input: hello });
    return {
      text: reply.output_text,
      finish: reply.status,
      usage: used(reply.usage),
      short: short.incomplete_details.reason,
    };
  }

  async stream(models, { hello, system }) {
    const stream = this.responses.stream({ model: models.plain, input: hello, instructions: system });
    const pieces = [];
    const numbers = [];
    for await (const event of stream) {
      numbers.push(event.sequence_number);
      if (event.type === 'response.output_text.delta') pieces.push(event.delta);
    }
    const reply = await stream.finalResponse();
    return { pieces, text: reply.output_text, finish: reply.status, usage: used(reply.usage), numbers };
  }

  async tools(models, said) {
    const input = [
      { role: 'system', content: said.system },
      { role: 'user', content: said.hello },
    ];
    const tools = functions(said.tools);
    const asked = { model: models.tools, input, tools, tool_choice: 'auto' };
    const whole = await this.responses.create(asked);
    const streamed = await this.responses.stream(asked).finalResponse();
    const results = called(whole.output).map(({ id }, at) => ({
      type: 'function_call_output',
      call_id: id,
      output: said.results[at],
    }));
    const again = await this.responses.create({
      model: models.plain,
      input: [...input, ...whole.output, ...results],
      tools,
    });
    return {
      whole: { calls: called(whole.output), finish: whole.status },
      streamed: { calls: called(streamed.output), finish: streamed.status },
      text: again.output_text,
    };
  }

  async image(models, { hello, picture }) {
    const content = [
      { type: 'input_text', text: hello },
      { type: 'input_image', image_url: `data:image/png;base64,${picture}`, detail: 'auto' },
    ];
    const reply = await this.responses.create({ model: models.plain, input: [{ role: 'user', content }] });
    return { text: reply.output_text };
  }

  async schema(models, { hello, person }) {
    const reply = await this.responses.parse({
      model: models.schema,
      input: hello,
      text: { format: { type: 'json_schema', name: 'person', schema: person, strict: true } },
    });
    return { object: JSON.parse(reply.output_text) };
  }

  async error(models, { hello }) {
    const found = [];
    for (const failure of FAILURES)
      for (const stream of [false, true])
        found.push(await caught(() => this.responses.create({ model: models[failure], input: hello, stream })));
    return found;
  }
}
