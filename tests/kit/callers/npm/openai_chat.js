// OpenAI's own client asking for chat completions.

import OpenAI from 'openai';

import { caught, FAILURES } from './failures.js';

const functions = (tools) => tools.map((tool) => ({ type: 'function', function: tool }));
const used = (usage) => ({
  input: usage.prompt_tokens,
  output: usage.completion_tokens,
  total: usage.total_tokens,
  cached: usage.prompt_tokens_details?.cached_tokens,
});
const called = (message) =>
  message.tool_calls.map(({ id, function: { name, arguments: text } }) => ({ id, name, arguments: JSON.parse(text) }));

export class OpenAIChat {
  constructor(url, key) {
    this.completions = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 }).chat.completions;
  }

  turns({ hello, system }) {
    return [
      { role: 'system', content: system },
      { role: 'user', content: hello },
    ];
  }

  async whole(models, said) {
    const messages = this.turns(said);
    const reply = await this.completions.create({ model: models.plain, messages, max_completion_tokens: 100 });
    const short = await this.completions.create({ model: models.length, messages });
    const [choice] = reply.choices;
    return {
      text: choice.message.content,
      finish: choice.finish_reason,
      usage: used(reply.usage),
      short: short.choices[0].finish_reason,
    };
  }

  async stream(models, said) {
    const stream = this.completions.stream({
      model: models.plain,
      messages: this.turns(said),
      stream_options: { include_usage: true },
    });
    const pieces = [];
    stream.on('content', (piece) => pieces.push(piece));
    const { choices, usage } = await stream.finalChatCompletion();
    const { content: text } = choices[0].message;
    return { pieces, text, finish: choices[0].finish_reason, usage: used(usage) };
  }

  async tools(models, said) {
    const messages = this.turns(said);
    const tools = functions(said.tools);
    const asked = { model: models.tools, messages, tools, tool_choice: 'auto' };
    const whole = (await this.completions.create(asked)).choices[0];
    const streamed = (await this.completions.stream(asked).finalChatCompletion()).choices[0];
    const results = whole.message.tool_calls.map(({ id }, at) => ({
      role: 'tool',
      tool_call_id: id,
      content: said.results[at],
    }));
    const again = await this.completions.create({
      model: models.plain,
      messages: [...messages, whole.message, ...results],
      tools,
    });
    return {
      whole: { calls: called(whole.message), finish: whole.finish_reason },
      streamed: { calls: called(streamed.message), finish: streamed.finish_reason },
      text: again.choices[0].message.content,
    };
  }

  async image(models, { hello, picture }) {
    const content = [
      { type: 'text', text: hello },
      { type: 'image_url', image_url: { url: `data:image/png;base64,${picture}` } },
    ];
    const reply = await this.completions.create({ model: models.plain, messages: [{ role: 'user', content }] });
    return { text: reply.choices[0].message.content };
  }

  async schema(models, said) {
    const reply = await this.completions.parse({
      model: models.schema,
      messages: this.turns(said),
      response_format: {
        type: 'json_schema',
        json_schema: { name: 'person', schema: said.person, strict: true },
      },
    });
    return { object: JSON.parse(reply.choices[0].message.content) };
  }

  async error(models, said) {
    const found = [];
    for (const failure of FAILURES)
      for (const stream of [false, true])
        found.push(
          await caught(() =>
            this.completions.create({ model: models[failure], messages: this.turns(said), stream }),
          ),
        );
    return found;
  }
}
