import {executionHeader} from './call.ts';
import type {Calls} from './calls.ts';
import type {AnswerSink} from './invoke.ts';

export interface OwnAnswer {
  readonly status: number;
  readonly executionId: string | null;
  /** The beginning of the body. */
  readonly text: string;
}

const keptBytes = 4096;

/** Calls a script as a client would. Rejects with the signal's reason, or where the answer breaks off. */
export function callAsOurselves(
  calls: Calls,
  path: string,
  {signal}: {signal: AbortSignal},
): Promise<OwnAnswer> {
  const answer = Promise.withResolvers<OwnAnswer>();
  const kept: Uint8Array[] = [];
  let status = 0;
  let keptLength = 0;
  let executionId: string | null = null;
  const keep = (chunk: Uint8Array) => {
    const part = chunk.slice(0, keptBytes - keptLength);
    keptLength += part.length;
    if (part.length > 0) kept.push(part);
  };
  const sink: AnswerSink = {
    head(code, headers) {
      status = code;
      const at = headers.findIndex((name, index) => index % 2 === 0 && name === executionHeader);
      executionId = at === -1 ? null : (headers[at + 1] ?? null);
    },
    write(chunk) {
      keep(chunk);
      return true;
    },
    end(last) {
      if (last !== undefined) keep(last);
      answer.resolve({status, executionId, text: Buffer.concat(kept).toString()});
    },
    destroy: () => answer.reject(new Error('The answer broke off.')),
    onDrain() {
      // We are never behind.
    },
    onLeave: (listener) => signal.addEventListener('abort', listener, {once: true}),
  };
  signal.addEventListener('abort', () => answer.reject(signal.reason), {once: true});
  const request = {method: 'GET', headers: ['host', 'localhost'], body: null};
  void calls.answer({request, path, target: path, clientIp: '', findRun: () => null}, sink);
  return answer.promise;
}
