import {request as httpRequest, type IncomingMessage} from 'node:http';
import {request as httpsRequest} from 'node:https';
import type {Readable} from 'node:stream';
import {pipeline} from 'node:stream/promises';
import {AppError, successStatus} from '../schemas/errors.ts';

export interface PipeRequest {
  readonly url: URL;
  readonly method: 'GET' | 'PUT';
  readonly headers: Readonly<Record<string, string>>;
  /** Sent as it comes; its end is the end of the body. */
  readonly body?: Readable;
}

/**
 * Resolves with the head of the answer, which may come long before the body is through. Throws AppError
 * CONTROLLER_UNREACHABLE where nobody answers, BACKEND_ERROR where the answer is an error.
 */
export async function requestPipe({url, method, headers, body}: PipeRequest): Promise<IncomingMessage> {
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
  const outgoing = send(url, {method, headers: {...headers}, agent: false});
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.once('response', resolve);
    outgoing.once('error', reject);
  });
  if (body === undefined) outgoing.end();
  else {
    // The receivers are waited for before there is anything to send.
    outgoing.flushHeaders();
    pipeline(body, outgoing).catch((error: unknown) =>
      outgoing.destroy(error instanceof Error ? error : undefined),
    );
  }
  const answer = await answered.catch((error: unknown) => {
    throw new AppError(
      'CONTROLLER_UNREACHABLE',
      `Nothing answers at ${url.origin}: ${error instanceof Error ? error.message : String(error)}`,
      {cause: error},
    );
  });
  const {statusCode: status = 0} = answer;
  if (status === successStatus.ok || status === successStatus.noContent) return answer;
  const text = await readText(answer);
  throw new AppError(
    'BACKEND_ERROR',
    text.replace(/^\[ERROR\] /, '').trim() || `${url.origin} answered ${status}.`,
  );
}

async function readText(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

/** Lines of an answer as they come, without their ends. */
export async function* linesOf(answer: IncomingMessage): AsyncIterable<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of answer) {
    const lines = `${rest}${decoder.decode(chunk as Buffer, {stream: true})}`.split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
  if (rest !== '') yield rest;
}
