// What a client throws, as it is found by its caller.

import { APICallError } from 'ai';
import { APIError } from 'openai';

export const FAILURES = ['error-400', 'error-429', 'error-500'];

/** The class, the status and the body of what is thrown. What is no client's error of an answer is thrown on. */
export async function caught(ask) {
  try {
    await ask();
  } catch (error) {
    if (error instanceof APIError)
      return { kind: error.constructor.name, status: error.status, message: error.message, body: error.error };
    if (APICallError.isInstance(error))
      return { kind: error.name, status: error.statusCode, message: error.message, body: error.data };
    throw error;
  }
  throw new Error('it did not fail');
}
